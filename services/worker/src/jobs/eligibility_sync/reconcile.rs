//! Compares the holdings of the best wallets with their balances on the chain. The chain's balance wins: logs can be missing, and the
//! balances of some tokens change without logs.

use std::collections::{BTreeMap, BTreeSet};

use arrakis_db::SyncedHolding;
use arrakis_domain::{Address, Holding, LogPosition, OverrideEffect, Ranking, U256, Zones, scale_to_balance};

use super::error::SyncError;
use super::events;
use super::sync::ProfileSync;

/// Wallets that are compared: all that are in a zone.
const COMPARED_RANKS: usize = 100;
/// A corrected wallet leaves its rank to one that was not compared; after these rounds the rest is left to the next sync.
const ROUNDS: u32 = 5;

/// Position of a wallet that holds something without a log: behind all others of the same holding.
const LAST: LogPosition = LogPosition {
    block: u64::MAX,
    log_index: u64::MAX,
};

/// Holdings of which the best are those of the chain.
pub(super) struct Reconciled {
    pub(super) ranking: Ranking,
    /// Wallets whose holding differed.
    pub(super) mismatches: u32,
}

impl ProfileSync<'_> {
    /// Ranks these holdings, with the balances of the best wallets as of `block`.
    pub(super) async fn reconcile(
        &self,
        synced: Vec<SyncedHolding>,
        overrides: &BTreeMap<Address, OverrideEffect>,
        block: u64,
    ) -> Result<Reconciled, SyncError> {
        let overdrawn = synced.iter().filter(|holding| holding.is_overdrawn).count();
        if overdrawn > 0 {
            tracing::warn!(token_profile = %self.profile.id, overdrawn, "wallets have more burns than claims: logs are missing");
        }
        let mut held: BTreeMap<Address, U256> = synced.iter().map(|holding| (holding.address, holding.held)).collect();
        let mut compared = BTreeSet::new();
        let mut mismatches = u32::try_from(overdrawn).unwrap_or(u32::MAX);
        let mut rounds = 0;
        loop {
            let ranking = self.rank(&synced, &held, overrides);
            let best = ranking
                .wallets()
                .iter()
                .take(COMPARED_RANKS)
                .map(|(address, _)| *address);
            let new: Vec<Address> = best.filter(|address| !compared.contains(address)).collect();
            let Some(token) = events::token(self.profile).filter(|_| !new.is_empty() && rounds < ROUNDS) else {
                return Ok(Reconciled { ranking, mismatches });
            };
            let balances = self.chain.balances(&token, &new, block).await?;
            for (address, balance) in new.into_iter().zip(balances) {
                compared.insert(address);
                let by_logs = held.insert(address, balance).unwrap_or_default();
                if by_logs != balance {
                    mismatches += 1;
                    tracing::warn!(
                        token_profile = %self.profile.id, %address, %by_logs, %balance, block,
                        "the holding by logs differs from the chain's balance, which is used"
                    );
                }
            }
            rounds += 1;
        }
    }

    fn rank(
        &self,
        synced: &[SyncedHolding],
        held: &BTreeMap<Address, U256>,
        overrides: &BTreeMap<Address, OverrideEffect>,
    ) -> Ranking {
        let known: BTreeMap<Address, _> = synced.iter().map(|holding| (holding.address, holding.since)).collect();
        let holdings = held.iter().map(|(address, raw)| Holding {
            address: *address,
            held: scale_to_balance(*raw, self.profile.decimals),
            since: known.get(address).copied().unwrap_or(LAST),
        });
        Ranking::of_holdings(holdings.collect(), overrides, Zones::STANDARD)
    }
}
