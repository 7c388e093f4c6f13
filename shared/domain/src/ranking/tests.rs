use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::Zone;

/// Few ranks, so that random rankings cross all of them.
const ZONES: Zones = Zones {
    council: Rank::literal(2),
    entry: Rank::literal(5),
    waitlist: Rank::literal(8),
};

fn address(number: u8) -> Address {
    Address::from_bytes([number; 20])
}

fn holding(number: u8, tokens: u64, block: u64) -> Holding {
    Holding {
        address: address(number),
        held: Balance::from_tokens(tokens),
        since: LogPosition { block, log_index: 0 },
    }
}

fn rank(holdings: Vec<Holding>, overrides: &[(u8, OverrideEffect)]) -> Vec<u8> {
    let overrides = overrides.iter().map(|(number, effect)| (address(*number), *effect));
    let ranking = Ranking::of_holdings(holdings, &overrides.collect(), ZONES);
    let numbers = ranking.wallets().iter().map(|(address, _)| address.as_bytes()[0]);
    numbers.collect()
}

/// A transfer between two of a few wallets; wallet 0 is the zero address of mints and burns.
#[derive(Clone, Copy, Debug)]
struct Transfer {
    from: u8,
    to: u8,
    amount: u64,
}

fn any_transfers() -> impl Strategy<Value = Vec<Transfer>> {
    let transfer = (0..12_u8, 0..12_u8, 0..5_u64).prop_map(|(from, to, amount)| Transfer { from, to, amount });
    proptest::collection::vec(transfer, 0..60)
}

/// The holdings after these transfers, each of which is the only log of its block.
fn play(transfers: &[(u64, Transfer)]) -> Vec<Holding> {
    let mut wallets: BTreeMap<u8, (u64, LogPosition)> = BTreeMap::new();
    for (block, transfer) in transfers {
        let since = LogPosition {
            block: *block,
            log_index: 0,
        };
        let available = wallets.get(&transfer.from).map_or(0, |(held, _)| *held);
        let is_possible = transfer.from == 0 || available >= transfer.amount;
        if !is_possible || transfer.amount == 0 || transfer.from == transfer.to {
            continue;
        }
        if transfer.from != 0 {
            wallets.insert(transfer.from, (available - transfer.amount, since));
        }
        if transfer.to != 0 {
            let held = wallets.get(&transfer.to).map_or(0, |(held, _)| *held);
            wallets.insert(transfer.to, (held + transfer.amount, since));
        }
    }
    let holding = |(number, (held, since)): (u8, (u64, LogPosition))| Holding {
        address: address(number),
        held: Balance::from_tokens(held),
        since,
    };
    wallets.into_iter().map(holding).collect()
}

fn any_ranking() -> impl Strategy<Value = Ranking> {
    any_transfers().prop_map(|transfers| {
        let transfers: Vec<_> = (1..).zip(transfers).collect();
        Ranking::of_holdings(play(&transfers), &BTreeMap::new(), ZONES)
    })
}

fn any_overrides() -> impl Strategy<Value = BTreeMap<Address, OverrideEffect>> {
    let effect = prop_oneof![Just(OverrideEffect::Add), Just(OverrideEffect::Remove)];
    proptest::collection::btree_map((0..16_u8).prop_map(address), effect, 0..10)
}

proptest! {
    #[test]
    fn order_of_the_input_does_not_matter(transfers in any_transfers(), rotate in 0..12_usize) {
        let transfers: Vec<_> = (1..).zip(transfers).collect();
        let holdings = play(&transfers);
        let mut other = holdings.clone();
        other.reverse();
        if !other.is_empty() {
            let by = rotate % other.len();
            other.rotate_left(by);
        }
        let none = BTreeMap::new();
        prop_assert_eq!(Ranking::of_holdings(holdings, &none, ZONES), Ranking::of_holdings(other, &none, ZONES));
    }

    /// Two groups of wallets that make no transfers with each other. Whichever way their transfers interleave, the order within
    /// each group is the same, and with it every rank that is not decided by a tie between the groups.
    #[test]
    fn permuting_unrelated_transfers_does_not_change_ranks(
        left in any_transfers(),
        right in any_transfers(),
        coins in proptest::collection::vec(any::<bool>(), 120),
    ) {
        // The right group has the wallets from 101 on. No holding of it equals one of the left group, which has larger amounts.
        let shift = |n: u8| if n == 0 { 0 } else { n + 100 };
        let left: Vec<_> = left.into_iter().map(|t| Transfer { amount: t.amount * 1_000, ..t }).collect();
        let right: Vec<_> = right.into_iter().map(|t| Transfer { from: shift(t.from), to: shift(t.to), ..t }).collect();
        let in_sequence: Vec<_> = (1..).zip(left.iter().chain(&right).copied()).collect();
        let (mut one, mut two) = (left.into_iter().peekable(), right.into_iter().peekable());
        let mut interleaved = Vec::new();
        let mut coins = coins.into_iter().cycle();
        while one.peek().is_some() || two.peek().is_some() {
            let from_left = coins.next().unwrap_or(true) && one.peek().is_some() || two.peek().is_none();
            interleaved.extend(if from_left { one.next() } else { two.next() });
        }
        let interleaved: Vec<_> = (1..).zip(interleaved).collect();
        let none = BTreeMap::new();
        let first = Ranking::of_holdings(play(&in_sequence), &none, ZONES);
        let second = Ranking::of_holdings(play(&interleaved), &none, ZONES);
        prop_assert_eq!(first, second);
    }

    #[test]
    fn difference_applied_to_before_gives_after(before in any_ranking(), after in any_ranking()) {
        let difference = RankingDifference::between(&before, &after, ZONES);
        prop_assert_eq!(difference.apply(&before), after.clone());
        let back = RankingDifference::between(&after, &before, ZONES);
        prop_assert_eq!(back.apply(&after), before.clone());
        prop_assert_eq!(back.changes.len(), difference.changes.len());
        let same = RankingDifference::between(&before, &before, ZONES);
        prop_assert_eq!(same, RankingDifference::default());
    }

    /// The threshold is the least holding of the eligible wallets, without those that an override added.
    #[test]
    fn threshold_is_that_of_the_last_eligible_wallet_by_holding(transfers in any_transfers(), overrides in any_overrides()) {
        let transfers: Vec<_> = (1..).zip(transfers).collect();
        let ranking = Ranking::of_holdings(play(&transfers), &overrides, ZONES);
        let eligible: Vec<_> = ranking.wallets().iter().take(5).collect();
        let by_holding: Vec<_> = eligible.iter().filter(|(address, _)| !ranking.by_override().contains(address)).collect();
        match ranking.entry_threshold(ZONES) {
            EntryThreshold::PlacesFree { free } => prop_assert_eq!(free as usize, 5 - eligible.len()),
            EntryThreshold::Holding { balance } => {
                prop_assert_eq!(eligible.len(), 5);
                if let Some(least) = by_holding.iter().map(|(_, held)| *held).min() {
                    prop_assert_eq!(balance, least);
                }
            }
        }
        let added = overrides.values().filter(|effect| **effect == OverrideEffect::Add).count();
        for address in ranking.by_override() {
            prop_assert_eq!(overrides.get(address), Some(&OverrideEffect::Add));
            prop_assert!(eligible.iter().any(|(found, _)| found == address) || added > 5);
        }
    }

    #[test]
    fn kinds_agree_with_the_zones(before in any_ranking(), after in any_ranking()) {
        for change in RankingDifference::between(&before, &after, ZONES).changes {
            let (from, to) = change.zones(ZONES);
            let kinds: BTreeSet<_> = change.kinds(ZONES).into_iter().collect();
            let opposite = WalletChange { before: change.after, after: change.before, ..change };
            prop_assert!(kinds.is_disjoint(&opposite.kinds(ZONES).into_iter().collect()));
            prop_assert_eq!(kinds.contains(&ChangeKind::BecameEligible), !from.is_eligible() && to.is_eligible());
            prop_assert_eq!(from == to && change.before.is_some() == change.after.is_some(), kinds.is_empty());
        }
    }

    #[test]
    fn overrides_hold_and_keep_the_order_of_the_others(transfers in any_transfers(), overrides in any_overrides()) {
        let transfers: Vec<_> = (1..).zip(transfers).collect();
        let natural = Ranking::of_holdings(play(&transfers), &BTreeMap::new(), ZONES);
        let ranking = Ranking::of_holdings(play(&transfers), &overrides, ZONES);
        let effect = |address: &Address| overrides.get(address).copied();
        let added = overrides.values().filter(|effect| **effect == OverrideEffect::Add).count();
        for (address, place) in ranking.places() {
            prop_assert_ne!(effect(&address), Some(OverrideEffect::Remove));
            if effect(&address) == Some(OverrideEffect::Add) && added <= 5 {
                prop_assert!(ZONES.zone_of(Some(place.rank)).is_eligible());
            }
        }
        let others = |ranking: &Ranking| -> Vec<Address> {
            let all = ranking.wallets().iter().map(|(address, _)| *address);
            all.filter(|address| effect(address).is_none()).collect()
        };
        prop_assert_eq!(others(&natural), others(&ranking));
        let distinct: BTreeSet<_> = ranking.wallets().iter().map(|(address, _)| *address).collect();
        prop_assert_eq!(distinct.len(), ranking.wallets().len());
    }
}

#[test]
fn ties_rank_by_who_was_there_first_and_then_by_address() {
    let holdings = vec![
        holding(1, 5, 30),
        holding(2, 5, 10),
        holding(3, 9, 99),
        holding(5, 5, 20),
        holding(4, 5, 20),
        holding(6, 0, 1),
    ];
    assert_eq!(rank(holdings, &[]), [3, 2, 4, 5, 1]);
}

#[test]
fn removed_wallet_has_no_rank() {
    let holdings = vec![holding(1, 9, 1), holding(2, 8, 1), holding(3, 7, 1)];
    assert_eq!(rank(holdings, &[(2, OverrideEffect::Remove)]), [1, 3]);
}

#[test]
fn added_wallets_take_the_last_eligible_ranks() {
    let ten = || (1..=10).map(|n| holding(n, 100 - u64::from(n), 1)).collect::<Vec<_>>();
    let add = |number| (number, OverrideEffect::Add);
    // Eligible by its holding: nothing changes.
    assert_eq!(rank(ten(), &[add(3)]), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    // Rank 5 of 5 goes to the added wallet.
    assert_eq!(rank(ten(), &[add(9)]), [1, 2, 3, 4, 9, 5, 6, 7, 8, 10]);
    // In order of holding; a wallet without a holding is the last.
    assert_eq!(
        rank(ten(), &[add(9), add(50), add(7)]),
        [1, 2, 7, 9, 50, 3, 4, 5, 6, 8, 10]
    );
    // An added wallet that another one would push out stays eligible.
    assert_eq!(rank(ten(), &[add(9), add(5)]), [1, 2, 3, 5, 9, 4, 6, 7, 8, 10]);
    // While ranks are free, it takes the next one.
    assert_eq!(rank(vec![holding(1, 5, 1)], &[add(2)]), [1, 2]);
}

#[test]
fn promotion_from_the_waitlist_has_both_kinds() {
    let place = |rank: u32| {
        Some(Place {
            rank: Rank::new(rank).unwrap(),
            held: Balance::from_tokens(1),
        })
    };
    let kinds = |before, after| {
        WalletChange {
            address: address(1),
            before,
            after,
        }
        .kinds(Zones::STANDARD)
    };
    use ChangeKind::{
        Added, BecameEligible, DemotedFromCouncil, EnteredWaitlist, LeftWaitlist, LostEligibility, PromotedToCouncil,
        Removed,
    };
    assert_eq!(kinds(place(70), place(69)), [BecameEligible, LeftWaitlist]);
    assert_eq!(kinds(place(69), place(70)), [LostEligibility, EnteredWaitlist]);
    assert_eq!(kinds(place(8), place(7)), [PromotedToCouncil]);
    assert_eq!(kinds(place(7), place(8)), [DemotedFromCouncil]);
    assert_eq!(kinds(None, place(3)), [Added, BecameEligible, PromotedToCouncil]);
    assert_eq!(kinds(place(100), None), [Removed, LeftWaitlist]);
    assert_eq!(kinds(place(100), place(101)), [LeftWaitlist]);
    assert_eq!(kinds(place(200), place(201)), []);
    assert_eq!(Zones::STANDARD.zone_of(None), Zone::Outside);
}

#[test]
fn amounts_are_scaled_to_18_decimals() {
    let scaled = |raw: u64, decimals| scale_to_balance(U256::from(raw), decimals).to_string();
    assert_eq!(scaled(69, 0), "69");
    assert_eq!(scaled(1_500_000, 6), "1.5");
    assert_eq!(scaled(1, 18), "0.000000000000000001");
    assert_eq!(scaled(1_999, 21), "0.000000000000000001");
    assert_eq!(scaled(999, 21), "0");
    assert_eq!(scaled(u64::MAX, 255), "0");
    assert_eq!(scale_to_balance(U256::MAX, 17), Balance::MAX);
    assert_eq!(scale_to_balance(U256::MAX, 18), Balance::MAX);
}
