//! An operator's overrides of the ranking.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Address, Balance, Zones};

/// What an override does to a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OverrideEffect {
    /// The wallet has an eligible rank: the last ones, when its holding is not enough for one.
    Add,
    /// The wallet has no rank.
    Remove,
}

impl OverrideEffect {
    /// The effect as the database stores it: `add` or `remove`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
        }
    }
}

/// Applies the overrides to wallets in order of their holdings.
///
/// Wallets that an override adds and that would not be eligible by their holding take the last eligible ranks, in order of their
/// holdings. The wallets from there on move down. Also returns the wallets that were lifted so.
pub(super) fn apply(
    mut wallets: Vec<(Address, Balance)>,
    overrides: &BTreeMap<Address, OverrideEffect>,
    zones: Zones,
) -> (Vec<(Address, Balance)>, BTreeSet<Address>) {
    wallets.retain(|(address, _)| overrides.get(address) != Some(&OverrideEffect::Remove));
    let mut without_holding: BTreeSet<Address> = overrides
        .iter()
        .filter(|(_, effect)| **effect == OverrideEffect::Add)
        .map(|(address, _)| *address)
        .collect();
    let added = without_holding.clone();
    for (address, _) in &wallets {
        without_holding.remove(address);
    }
    wallets.extend(without_holding.into_iter().map(|address| (address, Balance::ZERO)));

    let eligible = usize::try_from(zones.entry.get()).unwrap_or(usize::MAX);
    let first = first_lifted_index(&wallets, &added, eligible);
    let behind = wallets.split_off(first);
    let (lifted, others): (Vec<_>, Vec<_>) = behind.into_iter().partition(|(address, _)| added.contains(address));
    let by_override = lifted.iter().map(|(address, _)| *address).collect();
    wallets.extend(lifted);
    wallets.extend(others);
    (wallets, by_override)
}

/// Index from which added wallets are lifted: each one that is lifted takes a rank from those before it, which may push another
/// added wallet out of the eligible ranks.
fn first_lifted_index(wallets: &[(Address, Balance)], added: &BTreeSet<Address>, eligible: usize) -> usize {
    let mut first = eligible.min(wallets.len());
    loop {
        let behind = wallets.get(first..).unwrap_or_default();
        let lifted = behind.iter().filter(|(address, _)| added.contains(address)).count();
        let next = eligible.saturating_sub(lifted).min(wallets.len());
        if next >= first {
            return first;
        }
        first = next;
    }
}
