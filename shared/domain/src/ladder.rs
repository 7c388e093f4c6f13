//! Ladders: the tiers of a rule set in order, highest first, each with its rule.
//!
//! [`Ladder::new`] refuses a ladder in which a better rank or a larger balance could result in a lower tier, or in which a
//! tier can never be held. The loader of themes adds file, line and column to its errors.

use std::cmp::Ordering;

use crate::rule::{Standing, TierRule};
use crate::{Balance, RankRange, TierId};

/// A tier of a ladder with its rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// The tier.
    pub tier: TierId,
    /// Its rule.
    pub rule: TierRule,
}

/// Tiers from the highest to the lowest. Never empty, no tier twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    rungs: Vec<Rung>,
}

/// Why rungs are not a ladder. `rung` is the index of the rung at fault; 0 is the highest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LadderError {
    /// There are no rungs.
    #[error("a rule set needs at least one tier")]
    Empty,
    /// A tier occurs twice.
    #[error("the tier `{tier}` occurs twice")]
    DuplicateTier {
        /// The second occurrence.
        rung: usize,
        /// Its tier.
        tier: TierId,
    },
    /// A tier with ranks is below a tier with a balance only.
    #[error(
        "`{tier}` requires ranks but is below `{above}`, which requires a balance only; put rank rules before balance rules"
    )]
    RankBelowBalance {
        /// The tier with ranks.
        rung: usize,
        /// Its tier.
        tier: TierId,
        /// The tier with a balance only.
        above: TierId,
    },
    /// Two tiers have a rank in common.
    #[error("ranks {ranks} of `{tier}` overlap ranks {above_ranks} of `{above}`")]
    OverlappingRanks {
        /// The lower tier.
        rung: usize,
        /// Its tier.
        tier: TierId,
        /// Its ranks.
        ranks: RankRange,
        /// The higher tier.
        above: TierId,
        /// Ranks of the higher tier.
        above_ranks: RankRange,
    },
    /// Ranks that no tier has, so that a better rank would result in a lower tier.
    #[error("`{tier}` starts at rank {found}, but the ranks before it end at {}; start it at {expected}", expected - 1)]
    RankGap {
        /// The lower tier.
        rung: usize,
        /// Its tier.
        tier: TierId,
        /// First rank of the tier.
        found: u32,
        /// First rank that it must have.
        expected: u32,
    },
    /// A lower tier requires at least the balance of a higher one.
    #[error(
        "`{tier}` requires {} and is below `{above}`, which requires {}; thresholds must fall from tier to tier",
        minimum.grouped(), above_minimum.grouped()
    )]
    UnorderedThresholds {
        /// The lower tier.
        rung: usize,
        /// Its tier.
        tier: TierId,
        /// Its minimum balance.
        minimum: Balance,
        /// The higher tier.
        above: TierId,
        /// Minimum balance of the higher tier.
        above_minimum: Balance,
    },
}

impl LadderError {
    /// Index of the rung at fault, 0 for the highest; `None` without rungs.
    #[must_use]
    pub const fn rung(&self) -> Option<usize> {
        match self {
            Self::Empty => None,
            Self::DuplicateTier { rung, .. }
            | Self::RankBelowBalance { rung, .. }
            | Self::OverlappingRanks { rung, .. }
            | Self::RankGap { rung, .. }
            | Self::UnorderedThresholds { rung, .. } => Some(*rung),
        }
    }
}

/// Change from one tier to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TierChange {
    /// The same tier, or none, before and after.
    Unchanged,
    /// To a higher tier, from a lower one or from none.
    Promoted {
        /// The tier before; `None` without one.
        from: Option<TierId>,
        /// The tier after.
        to: TierId,
    },
    /// To a lower tier or to none.
    Demoted {
        /// The tier before.
        from: TierId,
        /// The tier after; `None` without one.
        to: Option<TierId>,
    },
}

impl Ladder {
    /// A checked ladder of these rungs, in order from the highest to the lowest.
    ///
    /// # Errors
    ///
    /// The first error, from the highest rung down.
    pub fn new(rungs: Vec<Rung>) -> Result<Self, LadderError> {
        if rungs.is_empty() {
            return Err(LadderError::Empty);
        }
        let mut expected_first = 1;
        for (index, rung) in rungs.iter().enumerate() {
            let above = &rungs[..index];
            if above.iter().any(|other| other.tier == rung.tier) {
                return Err(LadderError::DuplicateTier {
                    rung: index,
                    tier: rung.tier.clone(),
                });
            }
            match rung.rule.ranks() {
                Some(ranks) => {
                    check_ranks(index, rung, ranks, above, expected_first)?;
                    expected_first = ranks.last().map_or(u32::MAX, |last| last.get().saturating_add(1));
                }
                None => check_threshold(index, rung, above.last())?,
            }
        }
        Ok(Self { rungs })
    }

    /// The rungs from the highest to the lowest.
    #[must_use]
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// The highest tier whose rule is met; `None` when none is.
    #[must_use]
    pub fn tier_of(&self, standing: Standing) -> Option<&TierId> {
        self.position_of(standing).map(|index| &self.rungs[index].tier)
    }

    /// The tier of a member: [`Ladder::tier_of`], or the tier that was imported for the member, whichever is higher.
    #[must_use]
    pub fn tier_with_imported<'a>(&'a self, standing: Standing, imported: Option<&'a TierId>) -> Option<&'a TierId> {
        let own = self.tier_of(standing);
        if self.compare(own, imported) == Ordering::Less {
            imported
        } else {
            own
        }
    }

    /// Index of the highest rung whose rule is met, 0 for the highest; `None` when none is.
    pub(crate) fn position_of(&self, standing: Standing) -> Option<usize> {
        self.rungs.iter().position(|rung| rung.rule.holds(standing))
    }

    /// Rule of this tier; `None` for a tier that is not in the ladder.
    #[must_use]
    pub fn rule(&self, tier: &TierId) -> Option<&TierRule> {
        self.rungs.iter().find(|rung| &rung.tier == tier).map(|rung| &rung.rule)
    }

    /// Compares two tiers; a higher tier is greater, no tier is the least. A tier that is not in the ladder (one of an
    /// earlier version of the theme) counts as no tier.
    #[must_use]
    pub fn compare(&self, left: Option<&TierId>, right: Option<&TierId>) -> Ordering {
        self.height(left).cmp(&self.height(right))
    }

    /// The change from `before` to `after`.
    #[must_use]
    pub fn change(&self, before: Option<&TierId>, after: Option<&TierId>) -> TierChange {
        match (self.compare(before, after), before, after) {
            (Ordering::Less, from, Some(to)) => TierChange::Promoted {
                from: from.cloned(),
                to: to.clone(),
            },
            (Ordering::Greater, Some(from), to) => TierChange::Demoted {
                from: from.clone(),
                to: to.cloned(),
            },
            _ => TierChange::Unchanged,
        }
    }

    /// The tier and all tiers above it, highest first; empty for a tier that is not in the ladder.
    #[must_use]
    pub fn tier_and_above(&self, tier: &TierId) -> Vec<&TierId> {
        match self.rungs.iter().position(|rung| &rung.tier == tier) {
            Some(index) => self.rungs[..=index].iter().map(|rung| &rung.tier).collect(),
            None => Vec::new(),
        }
    }

    /// Number of the rung from below, 1 for the lowest; 0 for no tier.
    fn height(&self, tier: Option<&TierId>) -> usize {
        tier.and_then(|tier| self.rungs.iter().position(|rung| &rung.tier == tier))
            .map_or(0, |index| self.rungs.len() - index)
    }
}

fn check_ranks(
    index: usize,
    rung: &Rung,
    ranks: RankRange,
    above: &[Rung],
    expected_first: u32,
) -> Result<(), LadderError> {
    let tier = rung.tier.clone();
    if let Some(balance_tier) = above.iter().find(|other| other.rule.ranks().is_none()) {
        return Err(LadderError::RankBelowBalance {
            rung: index,
            tier,
            above: balance_tier.tier.clone(),
        });
    }
    // Two tiers may have the same ranks when the higher one also requires a larger balance.
    if let Some(other) = above.last()
        && other.rule.ranks() == Some(ranks)
        && other.rule.minimum() > rung.rule.minimum()
    {
        return Ok(());
    }
    for other in above {
        if let Some(above_ranks) = other.rule.ranks().filter(|other| other.overlaps(ranks)) {
            let above = other.tier.clone();
            return Err(LadderError::OverlappingRanks {
                rung: index,
                tier,
                ranks,
                above,
                above_ranks,
            });
        }
    }
    if ranks.first().get() != expected_first {
        return Err(LadderError::RankGap {
            rung: index,
            tier,
            found: ranks.first().get(),
            expected: expected_first,
        });
    }
    Ok(())
}

fn check_threshold(index: usize, rung: &Rung, above: Option<&Rung>) -> Result<(), LadderError> {
    let higher = above.filter(|other| other.rule.ranks().is_none());
    if let (Some(other), Some(minimum)) = (higher, rung.rule.minimum())
        && let Some(above_minimum) = other.rule.minimum().filter(|above| *above <= minimum)
    {
        let (tier, above) = (rung.tier.clone(), other.tier.clone());
        return Err(LadderError::UnorderedThresholds {
            rung: index,
            tier,
            minimum,
            above,
            above_minimum,
        });
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Rank;

    /// A ladder from lines like `("naib", "1-7", "")`.
    pub(crate) fn try_ladder(rungs: &[(&str, &str, &str)]) -> Result<Ladder, LadderError> {
        let rung = |&(tier, ranks, minimum): &(&str, &str, &str)| Rung {
            tier: TierId::new(tier).unwrap(),
            rule: TierRule::new(ranks.parse().ok(), minimum.parse().ok()).unwrap(),
        };
        Ladder::new(rungs.iter().map(rung).collect())
    }

    pub(crate) fn ladder(rungs: &[(&str, &str, &str)]) -> Ladder {
        try_ladder(rungs).unwrap()
    }

    fn mixed() -> Ladder {
        ladder(&[
            ("a", "1-3", "100"),
            ("b", "1-3", ""),
            ("c", "4-10", "50"),
            ("d", "11-20", ""),
            ("e", "", "40"),
            ("f", "", "0.5"),
        ])
    }

    fn any_standing() -> impl Strategy<Value = Standing> {
        (proptest::option::of(1_u32..30), 0_u64..130, 0_u64..3).prop_map(|(rank, tokens, units)| {
            let units = Balance::from_units(crate::U256::from(units));
            let balance = Balance::from_tokens(tokens).checked_add(units).unwrap();
            // One unit below each whole amount is as interesting as one above.
            Standing::new(rank.and_then(Rank::new), balance.saturating_sub(Balance::ONE_UNIT))
        })
    }

    fn better_or_equal(left: Option<Rank>, right: Option<Rank>) -> bool {
        right.is_none_or(|right| left.is_some_and(|left| left <= right))
    }

    proptest! {
        #[test]
        fn tier_is_monotone_in_rank_and_in_balance(one in any_standing(), other in any_standing()) {
            let ladder = mixed();
            if better_or_equal(one.rank, other.rank) && one.balance >= other.balance {
                prop_assert_ne!(ladder.compare(ladder.tier_of(one), ladder.tier_of(other)), Ordering::Less);
            }
        }

        #[test]
        fn opposite_changes_mirror_each_other(one in any_standing(), other in any_standing()) {
            let ladder = mixed();
            let (before, after) = (ladder.tier_of(one), ladder.tier_of(other));
            match (ladder.change(before, after), ladder.change(after, before)) {
                (TierChange::Unchanged, TierChange::Unchanged) => prop_assert_eq!(before, after),
                (TierChange::Promoted { from, to }, TierChange::Demoted { from: back_from, to: back_to })
                | (TierChange::Demoted { from: back_from, to: back_to }, TierChange::Promoted { from, to }) => {
                    prop_assert_eq!((from, to), (back_to, back_from));
                }
                unexpected => prop_assert!(false, "{:?}", unexpected),
            }
        }
    }

    #[test]
    fn member_below_a_minimum_gets_the_next_tier_that_is_met() {
        let ladder = mixed();
        let tier = |rank, tokens| {
            ladder
                .tier_of(Standing::new(Rank::new(rank), Balance::from_tokens(tokens)))
                .map(TierId::as_str)
        };
        assert_eq!(tier(2, 100), Some("a"));
        assert_eq!(tier(2, 99), Some("b"));
        assert_eq!(tier(5, 50), Some("c"));
        assert_eq!(
            tier(5, 49),
            Some("d"),
            "a better rank than the range also meets the rule"
        );
        assert_eq!(tier(21, 40), Some("e"));
        assert_eq!(tier(0, 39), Some("f"));
        assert_eq!(tier(0, 0), None);
    }

    #[test]
    fn inconsistent_ladders_are_refused() {
        let message = |rungs: &[(&str, &str, &str)]| {
            let error = try_ladder(rungs).unwrap_err();
            (error.rung(), error.to_string())
        };
        assert_eq!(message(&[]), (None, "a rule set needs at least one tier".into()));
        assert_eq!(
            message(&[("a", "1-7", ""), ("a", "8-9", "")]),
            (Some(1), "the tier `a` occurs twice".into())
        );
        assert_eq!(
            message(&[("a", "1-7", ""), ("b", "7-69", "")]),
            (Some(1), "ranks 7-69 of `b` overlap ranks 1-7 of `a`".into())
        );
        assert_eq!(
            message(&[("a", "1-7", ""), ("b", "1-7", "5")]).1,
            "ranks 1-7 of `b` overlap ranks 1-7 of `a`",
            "the lower tier requires more"
        );
        assert_eq!(
            message(&[("a", "1-7", ""), ("b", "9-69", "")]),
            (
                Some(1),
                "`b` starts at rank 9, but the ranks before it end at 7; start it at 8".into()
            )
        );
        assert_eq!(message(&[("a", "2-7", "")]).0, Some(0));
        assert_eq!(
            message(&[("a", "1+", ""), ("b", "9-69", "")]).1,
            "ranks 9-69 of `b` overlap ranks 1+ of `a`"
        );
        assert_eq!(
            message(&[("a", "", "69"), ("b", "", "420")]),
            (
                Some(1),
                "`b` requires 420 and is below `a`, which requires 69; thresholds must fall from tier to tier".into()
            )
        );
        assert_eq!(message(&[("a", "", "69"), ("b", "", "69")]).0, Some(1));
        assert_eq!(message(&[("a", "", "69"), ("b", "1-7", "")]).0, Some(1));
    }

    #[test]
    fn unknown_tiers_count_as_none() {
        let ladder = mixed();
        let (gone, f) = (TierId::new("gone").unwrap(), TierId::new("f").unwrap());
        assert_eq!(
            ladder.change(Some(&gone), Some(&f)),
            TierChange::Promoted {
                from: Some(gone.clone()),
                to: f
            }
        );
        assert_eq!(ladder.change(Some(&gone), None), TierChange::Unchanged);
        assert!(ladder.tier_and_above(&gone).is_empty());
    }
}
