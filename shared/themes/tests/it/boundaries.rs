//! Every boundary of every built-in rule set, one raw unit and one rank to each side.

use arrakis_domain::{Balance, MemberFacts, Rank, RoleRule, RuleSetId, Standing, Theme, TierId, TierRoles};
use arrakis_themes::Registry;
use proptest::prelude::*;

/// Rows of rank (0 for none), balance and tier (empty for none).
type Rows<'a> = &'a [(u32, &'a str, &'a str)];

fn check(theme: &str, rules: &str, rows: Rows<'_>) {
    let registry = Registry::load(None).unwrap();
    let theme: &Theme = registry.theme(theme).unwrap();
    let rules = RuleSetId::new(rules).unwrap();
    let ladder = theme.ladder(Some(&rules)).unwrap();
    for (rank, balance, tier) in rows {
        let standing = Standing::new(Rank::new(*rank), balance.parse::<Balance>().unwrap());
        let held = ladder.tier_of(standing).map_or("", TierId::as_str);
        assert_eq!(held, *tier, "{} {rules}: rank {rank}, balance {balance}", theme.id);
        assert_eq!(
            ladder.tier_of(standing),
            ladder.tier_of(standing),
            "the same answer twice"
        );
    }
}

#[test]
fn sietch_by_balance() {
    check(
        "sietch",
        "balance",
        &[
            // Rank rules precede balance rules, at any holding.
            (1, "0", "naib"),
            (7, "0", "naib"),
            (7, "1111", "naib"),
            (8, "0", "fedaykin"),
            (8, "100000", "fedaykin"),
            (69, "0", "fedaykin"),
            (69, "68.9", "fedaykin"),
            (70, "0", ""),
            (70, "1111", "usul"),
            (70, "68.9", "hajra"),
            (100, "69", "ichwan"),
            (101, "69", "ichwan"),
            // Balances, without a rank.
            (
                0,
                "115792089237316195423570985008687907853269984665640564039457.584007913129639935",
                "usul",
            ),
            (0, "1111.000000000000000001", "usul"),
            (0, "1111", "usul"),
            (0, "1110.999999999999999999", "sayyadina"),
            (0, "888", "sayyadina"),
            (0, "887.999999999999999999", "mushtamal"),
            (0, "690", "mushtamal"),
            (0, "689.999999999999999999", "sihaya"),
            (0, "420", "sihaya"),
            (0, "419.999999999999999999", "qanat"),
            (0, "222", "qanat"),
            (0, "221.999999999999999999", "ichwan"),
            (0, "69.000000000000000001", "ichwan"),
            (0, "69", "ichwan"),
            (0, "68.999999999999999999", "hajra"),
            (0, "68.9", "hajra"),
            (0, "6.9", "hajra"),
            (0, "6.899999999999999999", ""),
            (0, "0.000000000000000001", ""),
            (0, "0", ""),
        ],
    );
}

#[test]
fn sietch_by_rank() {
    check(
        "sietch",
        "ranked",
        &[
            (1, "0", "naib"),
            (7, "0", "naib"),
            (8, "0", "fedaykin"),
            (69, "0", "fedaykin"),
            (70, "0", "usul"),
            (100, "0", "usul"),
            (101, "0", "sayyadina"),
            (150, "0", "sayyadina"),
            (151, "0", "mushtamal"),
            (200, "0", "mushtamal"),
            (201, "0", "sihaya"),
            (300, "0", "sihaya"),
            (301, "0", "qanat"),
            (500, "0", "qanat"),
            (501, "0", "ichwan"),
            (1000, "0", "ichwan"),
            (1001, "0", "hajra"),
            (u32::MAX, "0", "hajra"),
            // A balance without a rank gives no tier in this rule set.
            (0, "100000", ""),
            (0, "0", ""),
        ],
    );
}

#[test]
fn basic_by_rank() {
    check(
        "basic",
        "ranked",
        &[
            (1, "0", "gold"),
            (10, "0", "gold"),
            (11, "0", "silver"),
            (50, "0", "silver"),
            (51, "0", "bronze"),
            (100, "0", "bronze"),
            (101, "1000000", ""),
            (0, "1000000", ""),
            (0, "0", ""),
        ],
    );
}

/// A better rank or a larger balance never results in a lower tier, in any built-in rule set.
#[test]
fn tiers_are_monotone() {
    let registry = Registry::load(None).unwrap();
    let standing = |rank, tokens, unit| {
        let balance = Balance::from_tokens(tokens);
        let balance = if unit {
            balance.saturating_sub(Balance::ONE_UNIT)
        } else {
            balance
        };
        Standing::new(Rank::new(rank), balance)
    };
    // No rank is worse than every rank.
    let place = |rank: u32| if rank == 0 { u32::MAX } else { rank };
    proptest!(|(ranks in (0_u32..1_100, 0_u32..1_100), tokens in (0_u64..1_300, 0_u64..1_300), unit in any::<bool>())| {
        let (better, worse) = if place(ranks.0) <= place(ranks.1) { ranks } else { (ranks.1, ranks.0) };
        let richer = standing(better, tokens.0.max(tokens.1), unit);
        let poorer = standing(worse, tokens.0.min(tokens.1), unit);
        for ladder in registry.all().flat_map(|theme| theme.rule_sets.values()) {
            let order = ladder.compare(ladder.tier_of(richer), ladder.tier_of(poorer));
            prop_assert_ne!(order, std::cmp::Ordering::Less, "{:?} {:?}", richer, poorer);
        }
    });
}

/// For each tier of a theme from the highest: the tiers whose roles a member of it has, by the policy.
fn tier_roles(theme: &Theme, policy: TierRoles) -> Vec<Vec<TierId>> {
    let theme = Theme {
        tier_roles: policy,
        ..theme.clone()
    };
    let facts = MemberFacts::default();
    let roles_of = |tier: &TierId| {
        let evaluation = arrakis_domain::Evaluation {
            standing: Standing::new(None, Balance::ZERO),
            tier: Some(tier.clone()),
            badges: std::collections::BTreeSet::new(),
        };
        let desired = theme.desired_roles(&evaluation, &facts);
        let of_tiers = theme.roles.iter().filter(|role| desired.contains(&role.key));
        of_tiers
            .filter_map(|role| match &role.given_to {
                RoleRule::Tier(tier) => Some(tier.clone()),
                _ => None,
            })
            .collect()
    };
    theme.tiers.iter().map(|tier| roles_of(&tier.id)).collect()
}

#[test]
fn tier_roles_of_every_tier_by_both_policies() {
    let registry = Registry::load(None).unwrap();
    for theme in registry.all() {
        let tiers: Vec<TierId> = theme.tiers.iter().map(|tier| tier.id.clone()).collect();
        let exclusive: Vec<Vec<TierId>> = tiers.iter().map(|tier| vec![tier.clone()]).collect();
        assert_eq!(tier_roles(theme, TierRoles::Exclusive), exclusive, "{}", theme.id);
        // Of Naib all nine, of Hajra its own.
        let cumulative: Vec<Vec<TierId>> = (0..tiers.len()).map(|index| tiers[index..].to_vec()).collect();
        assert_eq!(tier_roles(theme, TierRoles::Cumulative), cumulative, "{}", theme.id);
    }
}
