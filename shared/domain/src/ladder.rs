//! A set of tier rules in order, highest first, and the questions asked of it.
//!
//! Owns which ladders make sense: [`Ladder::new`] refuses those in which a better rank or a larger balance could give a
//! lower tier, or in which a tier can never be held. The loader of themes turns its errors into file, line and column.

use std::cmp::Ordering;

use crate::rule::{Standing, TierRule};
use crate::{Balance, RankRange, TierId};

/// One tier and what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// The tier.
    pub tier: TierId,
    /// What it asks for.
    pub rule: TierRule,
}

/// Tiers from the highest to the lowest. Never empty, no tier twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    rungs: Vec<Rung>,
}

/// Why rungs make no ladder. `rung` counts from 0, the highest, and is the one to point at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LadderError {
    /// Nothing in it.
    #[error("a rule set needs at least one tier")]
    Empty,
    /// The same tier twice.
    #[error("the tier `{tier}` is there twice")]
    DuplicateTier {
        /// The second of the two.
        rung: usize,
        /// Its tier.
        tier: TierId,
    },
    /// A tier of balance alone above one of ranks.
    #[error(
        "`{tier}` asks for ranks but stands below `{above}`, which asks for a balance alone; rank rules go before balance rules"
    )]
    RankBelowBalance {
        /// The tier of ranks.
        rung: usize,
        /// Its tier.
        tier: TierId,
        /// The tier of balance above it.
        above: TierId,
    },
    /// Two tiers want the same rank.
    #[error("ranks {ranks} of `{tier}` overlap ranks {above_ranks} of `{above}`")]
    OverlappingRanks {
        /// The lower tier.
        rung: usize,
        /// Its name.
        tier: TierId,
        /// What it asks for.
        ranks: RankRange,
        /// The higher tier.
        above: TierId,
        /// What that asks for.
        above_ranks: RankRange,
    },
    /// Ranks that no tier takes, so that a better rank would give a lower tier.
    #[error("`{tier}` starts at rank {found}, but the ranks before it end at {}; start it at {expected}", expected - 1)]
    RankGap {
        /// The lower tier.
        rung: usize,
        /// Its name.
        tier: TierId,
        /// Where its ranks start.
        found: u32,
        /// Where they must.
        expected: u32,
    },
    /// A lower tier that asks for as much as a higher one.
    #[error(
        "`{tier}` asks for {} and stands below `{above}`, which asks for {}; thresholds fall from tier to tier",
        minimum.grouped(), above_minimum.grouped()
    )]
    UnorderedThresholds {
        /// The lower tier.
        rung: usize,
        /// Its name.
        tier: TierId,
        /// What it asks for.
        minimum: Balance,
        /// The higher tier.
        above: TierId,
        /// What that asks for.
        above_minimum: Balance,
    },
}

impl LadderError {
    /// The rung to point at, counted from the highest; nothing when there is none.
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

/// What happened between two tiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TierChange {
    /// The same tier, or none before and after.
    Unchanged,
    /// Up, from a lower tier or from none.
    Promoted {
        /// Before; `None` when there was no tier.
        from: Option<TierId>,
        /// After.
        to: TierId,
    },
    /// Down, to a lower tier or to none.
    Demoted {
        /// Before.
        from: TierId,
        /// After; `None` when there is no tier.
        to: Option<TierId>,
    },
}

impl Ladder {
    /// Checks the rungs, given from the highest to the lowest.
    ///
    /// # Errors
    ///
    /// [`LadderError`], the first that is found from the top.
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

    /// The highest tier whose rule holds. Rank rules stand above balance rules, so they are asked first.
    #[must_use]
    pub fn tier_of(&self, standing: Standing) -> Option<&TierId> {
        self.position_of(standing).map(|index| &self.rungs[index].tier)
    }

    /// Where a member stands: 0 is the highest rung, `None` below the lowest.
    pub(crate) fn position_of(&self, standing: Standing) -> Option<usize> {
        self.rungs.iter().position(|rung| rung.rule.holds(standing))
    }

    /// What this tier asks for.
    #[must_use]
    pub fn rule(&self, tier: &TierId) -> Option<&TierRule> {
        self.rungs.iter().find(|rung| &rung.tier == tier).map(|rung| &rung.rule)
    }

    /// Compares two tiers; the greater is the higher, no tier is the least. A tier that this ladder does not know (of an
    /// earlier version of a theme) counts as none.
    #[must_use]
    pub fn compare(&self, left: Option<&TierId>, right: Option<&TierId>) -> Ordering {
        self.height(left).cmp(&self.height(right))
    }

    /// What happened from `before` to `after`.
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

    /// The tier and every one above it, highest first; nothing for a tier that is not in the ladder.
    #[must_use]
    pub fn and_above(&self, tier: &TierId) -> Vec<&TierId> {
        match self.rungs.iter().position(|rung| &rung.tier == tier) {
            Some(index) => self.rungs[..=index].iter().map(|rung| &rung.tier).collect(),
            None => Vec::new(),
        }
    }

    /// Rungs counted from below, 1 the lowest; 0 for no tier.
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
    // The same ranks may serve two tiers when the higher one asks for a larger balance too.
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
        fn a_tier_is_monotone_in_rank_and_in_balance(one in any_standing(), other in any_standing()) {
            let ladder = mixed();
            if better_or_equal(one.rank, other.rank) && one.balance >= other.balance {
                prop_assert_ne!(ladder.compare(ladder.tier_of(one), ladder.tier_of(other)), Ordering::Less);
            }
        }

        #[test]
        fn change_is_told_both_ways(one in any_standing(), other in any_standing()) {
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
    fn who_misses_a_minimum_falls_to_the_next_tier_that_holds() {
        let ladder = mixed();
        let tier = |rank, tokens| {
            ladder
                .tier_of(Standing::new(Rank::new(rank), Balance::from_tokens(tokens)))
                .map(TierId::as_str)
        };
        assert_eq!(tier(2, 100), Some("a"));
        assert_eq!(tier(2, 99), Some("b"));
        assert_eq!(tier(5, 50), Some("c"));
        assert_eq!(tier(5, 49), Some("d"), "a better rank than the range still reaches it");
        assert_eq!(tier(21, 40), Some("e"));
        assert_eq!(tier(0, 39), Some("f"));
        assert_eq!(tier(0, 0), None);
    }

    #[test]
    fn ladders_that_make_no_sense_are_refused() {
        let message = |rungs: &[(&str, &str, &str)]| {
            let error = try_ladder(rungs).unwrap_err();
            (error.rung(), error.to_string())
        };
        assert_eq!(message(&[]), (None, "a rule set needs at least one tier".into()));
        assert_eq!(
            message(&[("a", "1-7", ""), ("a", "8-9", "")]),
            (Some(1), "the tier `a` is there twice".into())
        );
        assert_eq!(
            message(&[("a", "1-7", ""), ("b", "7-69", "")]),
            (Some(1), "ranks 7-69 of `b` overlap ranks 1-7 of `a`".into())
        );
        assert_eq!(
            message(&[("a", "1-7", ""), ("b", "1-7", "5")]).1,
            "ranks 1-7 of `b` overlap ranks 1-7 of `a`",
            "the lower tier asks for more"
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
                "`b` asks for 420 and stands below `a`, which asks for 69; thresholds fall from tier to tier".into()
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
        assert!(ladder.and_above(&gone).is_empty());
    }
}
