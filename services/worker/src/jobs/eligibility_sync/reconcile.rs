//! Compares the holdings of the best wallets with their balances on the chain. The chain's balance wins: logs can be missing, and the
//! balances of some tokens change without logs.

use std::collections::{BTreeMap, BTreeSet};

use arrakis_db::SyncedHolding;
use arrakis_domain::{Address, Holding, LogPosition, OverrideEffect, Ranking, U256, Zones, scale_to_balance};

use super::error::SyncError;
use super::events;
use super::sync::ProfileSync;
use crate::failure::Failure;

/// Wallets that are compared: all that are in a zone.
const COMPARED_RANKS: usize = 100;
/// A corrected wallet leaves its rank to one that was not compared; after these rounds the rest is left to the next sync.
const ROUNDS: u32 = 5;

/// Position of a wallet that holds something without a log: behind all others of the same holding.
const LAST: LogPosition = LogPosition {
    block: u64::MAX,
    log_index: u64::MAX,
};

/// The new ranking, in which the holdings of the best wallets are their balances on the chain.
pub(super) struct Reconciled {
    /// The ranking by these holdings, with overrides.
    pub(super) ranking: Ranking,
    /// Wallets whose holding differed.
    pub(super) mismatches: u32,
}

/// The holdings by logs, and how they are ranked.
struct Holdings {
    /// In order of the addresses.
    by_address: Vec<SyncedHolding>,
    overrides: BTreeMap<Address, OverrideEffect>,
    decimals: u8,
}

impl Holdings {
    fn new(mut synced: Vec<SyncedHolding>, overrides: BTreeMap<Address, OverrideEffect>, decimals: u8) -> Self {
        synced.sort_unstable_by_key(|holding| holding.address);
        Self {
            by_address: synced,
            overrides,
            decimals,
        }
    }

    fn rank(&self) -> Ranking {
        let holdings = self.by_address.iter().map(|holding| Holding {
            address: holding.address,
            held: scale_to_balance(holding.held, self.decimals),
            since: holding.since,
        });
        Ranking::of_holdings(holdings.collect(), &self.overrides, Zones::STANDARD)
    }

    /// Sets the holding of a wallet; returns the one before.
    fn set(&mut self, address: Address, held: U256) -> U256 {
        match self
            .by_address
            .binary_search_by_key(&address, |holding| holding.address)
        {
            Ok(index) => match self.by_address.get_mut(index) {
                Some(holding) => std::mem::replace(&mut holding.held, held),
                None => U256::ZERO,
            },
            // Zero needs no row: such a wallet has a rank by an override or none.
            Err(index) => {
                if !held.is_zero() {
                    let holding = SyncedHolding {
                        address,
                        held,
                        is_overdrawn: false,
                        since: LAST,
                    };
                    self.by_address.insert(index, holding);
                }
                U256::ZERO
            }
        }
    }
}

impl ProfileSync<'_> {
    /// Ranks these holdings, with the balances of the best wallets as of `block`.
    pub(super) async fn reconcile(
        &self,
        synced: Vec<SyncedHolding>,
        overrides: BTreeMap<Address, OverrideEffect>,
        block: u64,
    ) -> Result<Reconciled, SyncError> {
        let decimals = self.profile.decimals;
        let overdrawn = synced.iter().filter(|holding| holding.is_overdrawn).count();
        if overdrawn > 0 {
            tracing::warn!(token_profile = %self.profile.id, overdrawn, "wallets have more burns than claims: logs are missing");
        }
        let mut holdings = compute(move || Holdings::new(synced, overrides, decimals)).await?;
        let mut compared = BTreeSet::new();
        let mut mismatches = u32::try_from(overdrawn).unwrap_or(u32::MAX);
        let mut rounds = 0;
        loop {
            let ranking;
            (holdings, ranking) = compute(move || {
                let ranking = holdings.rank();
                (holdings, ranking)
            })
            .await?;
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
                let by_logs = holdings.set(address, balance);
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
}

/// Runs a computation about all holders on a blocking thread: with a million holders it would delay the other tasks of this thread.
///
/// # Errors
/// If the worker stops before it began; the job is retried.
pub(super) async fn compute<T: Send + 'static>(
    computation: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SyncError> {
    match tokio::task::spawn_blocking(computation).await {
        Ok(result) => Ok(result),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(Failure::retry(format!("the worker stops: {error}")).into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn computation_does_not_occupy_the_runtimes_thread() {
        let (send, receive) = std::sync::mpsc::channel();
        let task = tokio::spawn(async move { send.send(()) });
        // On the runtime's only thread, the task would never run.
        let limit = std::time::Duration::from_secs(10);
        assert!(compute(move || receive.recv_timeout(limit)).await.unwrap().is_ok());
        task.await.unwrap().unwrap();
    }

    #[test]
    fn balance_of_the_chain_replaces_a_holding_and_adds_one() {
        let wallet = |number: u8| Address::from_bytes([number; 20]);
        let holding = |number: u8, held: u64| SyncedHolding {
            address: wallet(number),
            held: U256::from(held),
            is_overdrawn: false,
            since: LogPosition::default(),
        };
        let mut holdings = Holdings::new(vec![holding(9, 4), holding(2, 5)], BTreeMap::new(), 18);
        assert_eq!(holdings.set(wallet(9), U256::from(7)), U256::from(4));
        assert_eq!(holdings.set(wallet(5), U256::from(6)), U256::ZERO);
        assert_eq!(holdings.set(wallet(6), U256::ZERO), U256::ZERO);
        let ranking = holdings.rank();
        let ranked: Vec<_> = ranking.wallets().iter().map(|(address, _)| *address).collect();
        assert_eq!(ranked, [wallet(9), wallet(5), wallet(2)]);
    }
}
