//! Progress towards the next tier: the exact shortfall, and a permille for a progress bar.

use ruint::Uint;
use ruint::aliases::U256;

use crate::rule::Standing;
use crate::{Balance, Ladder, Rank, RankRange, TierId};

/// Wide enough for a 256-bit amount times a thousand.
type U320 = Uint<320, 5>;

/// What a member lacks for the next tier. At least one field is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shortfall {
    /// Further amount of the token.
    pub balance: Option<Balance>,
    /// The rank to reach.
    pub rank: Option<Rank>,
    /// Number of ranks between the member's rank and that one; `None` for a member without a rank.
    pub ranks_to_climb: Option<u32>,
}

/// The next tier and the progress towards it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The next tier.
    pub tier: TierId,
    /// What the member lacks for it.
    pub missing: Shortfall,
    /// Progress in thousandths, 0 to 999; never 1,000, because the tier is not held yet.
    pub permille: u16,
}

impl Ladder {
    /// Progress towards the tier above the current one; `None` for the highest tier.
    ///
    /// For a balance the permille counts from the threshold of the current tier (0 without one). For a rank it is the
    /// required rank divided by the current one: rank 138 is half of the way to 69. When a rule requires both, the smaller
    /// permille counts.
    #[must_use]
    pub fn progress(&self, standing: Standing) -> Option<Progress> {
        let held = self.position_of(standing);
        let next = match held {
            Some(0) => return None,
            Some(index) => index - 1,
            None => self.rungs().len() - 1,
        };
        let rung = self.rungs().get(next)?;
        let floor = held
            .and_then(|index| self.rungs()[index].rule.minimum())
            .unwrap_or(Balance::ZERO);
        let mut missing = Shortfall::default();
        let mut permille = 999;
        if let Some(target) = rung.rule.minimum().filter(|target| standing.balance < *target) {
            missing.balance = Some(target.saturating_sub(standing.balance));
            permille = permille.min(balance_permille(floor, standing.balance, target));
        }
        if let Some(target) = rung.rule.ranks().and_then(RankRange::last) {
            match standing.rank {
                Some(rank) if rank <= target => {}
                rank => {
                    missing.rank = Some(target);
                    missing.ranks_to_climb = rank.map(|rank| rank.get() - target.get());
                    permille = permille.min(rank_permille(rank, target));
                }
            }
        } else if rung.rule.ranks().is_some() && standing.rank.is_none() {
            // An open range is met by any rank, but not without a rank.
            missing.rank = rung.rule.ranks().map(RankRange::first);
            permille = 0;
        }
        Some(Progress {
            tier: rung.tier.clone(),
            missing,
            permille,
        })
    }
}

/// `(balance - floor) / (target - floor)` in thousandths, rounded down; 0 at or below the floor.
fn balance_permille(floor: Balance, balance: Balance, target: Balance) -> u16 {
    let distance = target.saturating_sub(floor).units();
    if distance == U256::ZERO {
        return 0;
    }
    let done = U320::from(balance.saturating_sub(floor).units()) * U320::from(1_000_u64);
    (done / U320::from(distance)).saturating_to::<u16>().min(999)
}

fn rank_permille(rank: Option<Rank>, target: Rank) -> u16 {
    let Some(rank) = rank else { return 0 };
    let share = u64::from(target.get()) * 1_000 / u64::from(rank.get());
    u16::try_from(share).unwrap_or(999).min(999)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ladder::tests::ladder;

    fn sample() -> Ladder {
        ladder(&[
            ("naib", "1-7", ""),
            ("fedaykin", "8-69", ""),
            ("usul", "", "1111"),
            ("ichwan", "", "69"),
            ("hajra", "", "6.9"),
        ])
    }

    fn at(rank: u32, balance: &str) -> Option<Progress> {
        sample().progress(Standing::new(Rank::new(rank), balance.parse().unwrap()))
    }

    #[test]
    fn missing_balance_is_exact() {
        let progress = at(0, "68.999999999999999999").unwrap();
        assert_eq!(progress.tier.as_str(), "ichwan");
        assert_eq!(progress.missing.balance, Some(Balance::ONE_UNIT));
        assert_eq!(progress.permille, 999);

        let halfway = at(0, "590").unwrap();
        assert_eq!(halfway.missing.balance, Some(Balance::from_tokens(521)));
        assert_eq!(halfway.permille, 500);

        let nothing = at(0, "0").unwrap();
        assert_eq!((nothing.tier.as_str(), nothing.permille), ("hajra", 0));
    }

    #[test]
    fn missing_rank_and_its_distance_are_reported() {
        let waiting = at(138, "2000").unwrap();
        assert_eq!(waiting.tier.as_str(), "fedaykin");
        assert_eq!(
            waiting.missing,
            Shortfall {
                balance: None,
                rank: Rank::new(69),
                ranks_to_climb: Some(69)
            }
        );
        assert_eq!(waiting.permille, 500);
        assert_eq!(at(8, "2000").unwrap().missing.ranks_to_climb, Some(1));
        assert_eq!(
            at(0, "2000").unwrap().missing,
            Shortfall {
                balance: None,
                rank: Rank::new(69),
                ranks_to_climb: None
            }
        );
        assert_eq!(at(7, "0"), None);
    }

    #[test]
    fn rule_of_rank_and_balance_reports_both_and_the_smaller_permille() {
        let both = ladder(&[("a", "1-10", "100"), ("b", "", "50")]);
        let progress = both
            .progress(Standing::new(Rank::new(20), Balance::from_tokens(60)))
            .unwrap();
        assert_eq!(progress.missing.balance, Some(Balance::from_tokens(40)));
        assert_eq!(progress.missing.ranks_to_climb, Some(10));
        assert_eq!(progress.permille, 200);
        let open = ladder(&[("a", "1+", "100")])
            .progress(Standing::new(None, Balance::from_tokens(200)))
            .unwrap();
        assert_eq!((open.missing.rank, open.permille), (Some(Rank::FIRST), 0));
    }

    proptest! {
        #[test]
        fn adding_the_missing_balance_reaches_the_tier(tokens in 0_u64..2_000, units in any::<u64>()) {
            let ladder = sample();
            let balance = Balance::from_tokens(tokens).checked_add(Balance::from_units(crate::U256::from(units))).unwrap();
            let progress = ladder.progress(Standing::new(None, balance)).unwrap();
            if let Some(missing) = progress.missing.balance {
                let reached = Standing::new(None, balance.checked_add(missing).unwrap());
                prop_assert_eq!(ladder.tier_of(reached), Some(&progress.tier));
                let short = Standing::new(None, reached.balance.saturating_sub(Balance::ONE_UNIT));
                prop_assert_ne!(ladder.tier_of(short), Some(&progress.tier));
            }
        }

        #[test]
        fn permille_stays_below_1000(limbs in any::<[u64; 4]>()) {
            let huge = ladder(&[("a", "", &Balance::MAX.to_string())]);
            let balance = Balance::from_units(crate::U256::from_limbs(limbs));
            if let Some(progress) = huge.progress(Standing::new(None, balance)) {
                prop_assert!(progress.permille < 1_000);
            }
        }
    }
}
