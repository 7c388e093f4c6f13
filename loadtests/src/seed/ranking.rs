//! Writes the token profile, and the holdings of the plan: to a local chain, which a sync reads, or as rows of the ranking.

use arrakis_db::{Admin, ProfileStandard, TokenProfile};
use arrakis_domain::{Address, Balance};
use time::OffsetDateTime;

use super::RankingSource;
use super::plan::{Plan, TOKEN_PROFILE};
use crate::platform::Chain;
use crate::platform::chain::CHAIN_ID;
use crate::print::note;

/// Addresses of BGT and of its Distributor on Berachain.
const BGT: &str = "0x656b95e550c07a9ffe548bd4085c72418ceb1dba";
const DISTRIBUTOR: &str = "0xd2f19a79b026fb636a7c300bf5947df113940761";
/// The block of the ranking that is written as rows.
const BLOCK: u64 = 4_200_000;

/// Writes what the source of the ranking requires.
///
/// # Errors
/// When the database cannot be reached, or its schema is not the one of this build.
pub(super) async fn write(
    admin: &Admin,
    plan: &Plan,
    source: RankingSource<'_>,
    now: OffsetDateTime,
) -> anyhow::Result<()> {
    match source {
        RankingSource::Rows => write_rows(admin, plan, now).await,
        RankingSource::LocalChain(chain) => write_chain(admin, plan, chain).await,
        RankingSource::OwnChain if has_own_profile(admin).await? => Ok(()),
        RankingSource::OwnChain => write_rows(admin, plan, now).await,
    }
}

/// Whether a token profile is stored that is not the local chain's.
async fn has_own_profile(admin: &Admin) -> anyhow::Result<bool> {
    let mut tx = admin.database().global().await?;
    let profile = tx.eligibility().token_profile(&TOKEN_PROFILE.parse()?).await?;
    tx.commit().await?;
    Ok(profile.is_some_and(|profile| profile.contract != Chain::TOKEN))
}

async fn write_rows(admin: &Admin, plan: &Plan, now: OffsetDateTime) -> anyhow::Result<()> {
    let mut tx = admin.database().global().await?;
    tx.eligibility()
        .put_token_profile(&TokenProfile {
            id: TOKEN_PROFILE.parse()?,
            name: "Bera Governance Token".to_owned(),
            symbol: "BGT".to_owned(),
            standard: ProfileStandard::Bgt,
            chain_id: CHAIN_ID,
            contract: BGT.parse()?,
            decimals: 18,
            claims_from: Some(DISTRIBUTOR.parse()?),
            burns_to: Some(Address::from_bytes([0; 20])),
            token_ids: Vec::new(),
            start_block: 0,
        })
        .await?;
    tx.replace_ranking(&TOKEN_PROFILE.parse()?, &plan.holdings(), BLOCK, now)
        .await?;
    Ok(tx.commit().await?)
}

/// Writes the profile of the local chain's token. Chain and database belong together: a chain without the plan's history, or without
/// the blocks whose logs are stored, is replaced by a new one, and the stored logs are deleted.
async fn write_chain(admin: &Admin, plan: &Plan, chain: &Chain) -> anyhow::Result<()> {
    let profile = chain.token_profile(TOKEN_PROFILE)?;
    let mut tx = admin.database().global().await?;
    tx.eligibility().put_token_profile(&profile).await?;
    let stored = tx
        .eligibility()
        .stored_blocks(&profile.id, u64::try_from(i64::MAX)?)
        .await?
        .pop();
    let has_stored = match stored {
        Some(stored) => chain.block_hash(stored.number).await? == Some(alloy::hex::encode_prefixed(stored.hash)),
        None => true,
    };
    let holdings = plan.holdings();
    if has_stored && chain.has_history(&holdings).await {
        return Ok(tx.commit().await?);
    }
    if stored.is_some() {
        note("the chain is not the one that the database has read; both begin anew");
    }
    tx.reset_sync(&profile).await?;
    tx.commit().await?;
    let chain = if chain.is_new() {
        chain.clone()
    } else {
        chain.restart().await
    };
    chain.seed_history(&holdings).await;
    Ok(())
}

impl Plan {
    /// Every wallet with its holding, from rank 1.
    pub fn holdings(&self) -> Vec<(Address, Balance)> {
        let holders = self.holders.iter();
        holders.map(|holder| (holder.address, holder.held)).collect()
    }
}
