//! The ranking of wallets: order of the holdings, an operator's overrides, and the difference of two rankings.
//!
//! Order: the larger holding first; of equal holdings the one that has existed for longer; then the address. To add an
//! override, add a variant to [`OverrideEffect`] and handle it in `overrides.rs`.

mod difference;
mod overrides;

pub use difference::{ChangeKind, RankingDifference, ThresholdChange, WalletChange};
pub use overrides::OverrideEffect;

use std::collections::{BTreeMap, BTreeSet};

use ruint::aliases::U256;

use crate::{Address, Balance, EntryThreshold, Rank, Zones};

/// Position of a log on its chain. The lesser one is earlier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition {
    /// Number of its block.
    pub block: u64,
    /// Its index within the block.
    pub log_index: u64,
}

/// The holding of a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The wallet.
    pub address: Address,
    /// What it holds.
    pub held: Balance,
    /// The log that changed the holding last: the wallet has held this amount since then.
    pub since: LogPosition,
}

/// Rank and holding of a wallet in a [`Ranking`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its rank.
    pub rank: Rank,
    /// Its holding.
    pub held: Balance,
}

/// Wallets with their holdings in order of rank, best first. No wallet occurs twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranking {
    wallets: Vec<(Address, Balance)>,
    /// Wallets that have an eligible rank by an override alone.
    by_override: BTreeSet<Address>,
}

impl Ranking {
    /// The ranking of wallets that are in order of rank already.
    #[must_use]
    pub const fn of_ordered(wallets: Vec<(Address, Balance)>) -> Self {
        Self {
            wallets,
            by_override: BTreeSet::new(),
        }
    }

    /// The same ranking, in which these wallets have an eligible rank by an override alone.
    #[must_use]
    pub fn with_overrides(self, by_override: BTreeSet<Address>) -> Self {
        Self { by_override, ..self }
    }

    /// Ranks these holdings, with an operator's overrides. A wallet that holds nothing has no rank, unless an override adds it.
    /// The order of `holdings` does not matter; no wallet may occur twice in it.
    #[must_use]
    pub fn of_holdings(
        mut holdings: Vec<Holding>,
        overrides: &BTreeMap<Address, OverrideEffect>,
        zones: Zones,
    ) -> Self {
        holdings.retain(|holding| !holding.held.is_zero());
        holdings.sort_unstable_by(|left, right| {
            let by_holding = right.held.cmp(&left.held);
            by_holding
                .then(left.since.cmp(&right.since))
                .then(left.address.cmp(&right.address))
        });
        let wallets = holdings.into_iter().map(|holding| (holding.address, holding.held));
        let (wallets, by_override) = overrides::apply(wallets.collect(), overrides, zones);
        Self { wallets, by_override }
    }

    /// The wallets with their holdings, best rank first.
    #[must_use]
    pub fn wallets(&self) -> &[(Address, Balance)] {
        &self.wallets
    }

    /// The wallets with their ranks and holdings, best rank first.
    pub fn places(&self) -> impl Iterator<Item = (Address, Place)> + '_ {
        let ranks = (1_u32..).filter_map(Rank::new);
        let places = ranks.zip(&self.wallets);
        places.map(|(rank, (address, held))| (*address, Place { rank, held: *held }))
    }

    /// The wallets that have an eligible rank by an override alone: their holdings are not enough for it.
    #[must_use]
    pub const fn by_override(&self) -> &BTreeSet<Address> {
        &self.by_override
    }

    /// The entry threshold of this ranking: the holding of the last eligible wallet that has its rank by its holding. A wallet that an
    /// override added takes a rank and sets no threshold: what it holds gives no other wallet a rank. Where every eligible rank
    /// is by an override, no holding is enough, and the threshold is that of the last rank.
    #[must_use]
    pub fn entry_threshold(&self, zones: Zones) -> EntryThreshold {
        let eligible = usize::try_from(zones.entry.get()).unwrap_or(usize::MAX);
        let Some((last, others)) = self.wallets.get(..eligible).and_then(<[_]>::split_last) else {
            return EntryThreshold::of(zones, self.wallets.iter().map(|(_, held)| *held));
        };
        let is_by_holding = |wallet: &&(Address, Balance)| !self.by_override.contains(&wallet.0);
        let setting = std::iter::once(last).chain(others.iter().rev()).find(is_by_holding);
        EntryThreshold::Holding {
            balance: setting.unwrap_or(last).1,
        }
    }
}

/// Converts an amount of a token with this many decimals to 18 decimals. What does not fit 256 bits becomes the largest amount;
/// what is below 10⁻¹⁸ is dropped. NFTs have no decimals: one is 10¹⁸.
#[must_use]
pub fn scale_to_balance(raw: U256, decimals: u8) -> Balance {
    const DECIMALS: u8 = 18;
    let power = |exponent: u8| U256::from(10).checked_pow(U256::from(exponent));
    let scaled = if decimals <= DECIMALS {
        power(DECIMALS - decimals).and_then(|factor| raw.checked_mul(factor))
    } else {
        // A divisor above 256 bits is larger than every amount.
        Some(power(decimals - DECIMALS).map_or(U256::ZERO, |divisor| raw / divisor))
    };
    scaled.map_or(Balance::MAX, Balance::from_units)
}

#[cfg(test)]
mod tests;
