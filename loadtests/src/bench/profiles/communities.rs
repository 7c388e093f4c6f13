//! Communities in Postgres for the emulator's servers: every member has a profile, a verified wallet and a rank.

use anyhow::Context as _;
use arrakis_db::{Activity, Admin, CommunityId, GuildId, NewCommunity, TokenProfile, UserId};
use arrakis_domain::{Address, RuleSetId, ThemeId};
use arrakis_themes::Registry;
use sqlx::{Connection as _, PgConnection};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::bench::BenchPlatform;

/// Name of the token profile of all communities.
pub(super) const TOKEN: &str = "bgt";
/// Days before today on which each member was active.
const ACTIVE_DAYS: i64 = 3;
/// Communities that are written at the same time.
const AT_ONCE: usize = 4;

/// Onboards every server of the emulator.
pub(super) async fn onboard(platform: &BenchPlatform) -> anyhow::Result<()> {
    let now = OffsetDateTime::now_utc();
    let admin = platform.database.admin().await;
    let themes = Registry::load(None)?;
    let theme = themes.theme("basic")?;
    write_ranking(&admin, platform.options.members, now).await?;
    let guilds = platform.discord.guilds().await?;
    let mut writing = tokio::task::JoinSet::new();
    for (n, guild) in (0_u128..).zip(guilds) {
        let members = platform.discord.members(guild.id).await?;
        let people = members.iter().filter(|member| member["user"]["bot"] != true);
        let people = people
            .map(|member| {
                member["user"]["id"]
                    .as_str()
                    .context("a member without an id")?
                    .parse()
                    .context("a member's id")
            })
            .collect::<anyhow::Result<Vec<u64>>>()?;
        let new = NewCommunity {
            guild: GuildId::new(guild.id.0)?,
            name: format!("Community {n}"),
            theme: ThemeId::new("basic")?,
            rule_set: RuleSetId::new("ranked")?,
            plan: theme.plan,
            token_profile: TOKEN.parse()?,
        };
        let community = community_id(n);
        let admin = admin.clone();
        writing.spawn(async move { write_community(&admin, community, &new, &people, now).await });
        if writing.len() >= AT_ONCE
            && let Some(written) = writing.join_next().await
        {
            written??;
        }
    }
    while let Some(written) = writing.join_next().await {
        written??;
    }
    // Production databases have statistics from autovacuum; without them the query plans would differ.
    analyze(&platform.database.owner_url()).await
}

async fn analyze(owner_url: &str) -> anyhow::Result<()> {
    let mut owner = PgConnection::connect(owner_url).await?;
    sqlx::raw_sql("vacuum analyze").execute(&mut owner).await?;
    Ok(owner.close().await?)
}

/// Id of the community of the nth server.
pub(super) fn community_id(n: u128) -> CommunityId {
    CommunityId::from_uuid(Uuid::from_u128(0x0192_0000_0000_7000_9000_0000_0000_0000 + n))
}

async fn write_ranking(admin: &Admin, holders: u32, now: OffsetDateTime) -> anyhow::Result<()> {
    let mut tx = admin.database().global().await?;
    tx.eligibility()
        .put_token_profile(&TokenProfile {
            id: TOKEN.parse()?,
            name: "Bera Governance Token".to_owned(),
            symbol: "BGT".to_owned(),
            standard: arrakis_db::ProfileStandard::Erc20,
            chain_id: 80_094,
            contract: Address::from_bytes([1; 20]),
            decimals: 18,
            claims_from: None,
            burns_to: None,
            token_ids: Vec::new(),
            start_block: 0,
        })
        .await?;
    let holdings = (0..holders)
        .map(|n| Ok((wallet(n), format!("{}.5", holders - n).parse()?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    tx.replace_ranking(&TOKEN.parse()?, &holdings, 1, now).await?;
    Ok(tx.commit().await?)
}

async fn write_community(
    admin: &Admin,
    id: CommunityId,
    new: &NewCommunity,
    people: &[u64],
    now: OffsetDateTime,
) -> anyhow::Result<()> {
    let mut tx = admin.tenant(id).await?;
    tx.communities().create(new).await?;
    for (n, user) in (0..).zip(people) {
        let user = UserId::new(*user)?;
        tx.profiles()
            .join(user, &format!("rider{n}"), now - Duration::days(30))
            .await?;
        tx.profiles().link_wallet(user, Some(wallet(n))).await?;
        // PostgreSQL plans queries of a table that was empty at the last ANALYZE as for an empty table.
        for day in 1..=ACTIVE_DAYS {
            let at = now - Duration::days(day);
            tx.profiles().count_activity(user, Activity::Command, at).await?;
        }
    }
    Ok(tx.commit().await?)
}

/// The wallet of the nth member of every community.
pub(super) fn wallet(n: u32) -> Address {
    let mut bytes = [0x77; 20];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    Address::from_bytes(bytes)
}
