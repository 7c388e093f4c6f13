//! The evaluation of a member by a theme, and the difference between two evaluations.

use std::collections::BTreeSet;

use crate::rule::Standing;
use crate::{BadgeId, Ladder, TierChange, TierId};

/// Result of [`Theme::evaluate`](crate::Theme::evaluate).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// The rank and holding that were evaluated.
    pub standing: Standing,
    /// The tier held; `None` below the lowest.
    pub tier: Option<TierId>,
    /// The badges held.
    pub badges: BTreeSet<BadgeId>,
}

/// What changed for a member between two evaluations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvaluationDifference {
    /// The change of the tier.
    pub tier: TierChange,
    /// Badges held now and not before.
    pub badges_gained: BTreeSet<BadgeId>,
    /// Badges held before and not now.
    pub badges_lost: BTreeSet<BadgeId>,
    /// Whether rank or balance changed.
    pub standing_changed: bool,
}

impl EvaluationDifference {
    /// The difference from `before` to `after`, both by the same theme; `ladder` orders the tiers.
    #[must_use]
    pub fn between(ladder: &Ladder, before: &Evaluation, after: &Evaluation) -> Self {
        Self {
            tier: ladder.change(before.tier.as_ref(), after.tier.as_ref()),
            badges_gained: after.badges.difference(&before.badges).cloned().collect(),
            badges_lost: before.badges.difference(&after.badges).cloned().collect(),
            standing_changed: before.standing != after.standing,
        }
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tier == TierChange::Unchanged
            && self.badges_gained.is_empty()
            && self.badges_lost.is_empty()
            && !self.standing_changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ladder::tests::ladder;
    use crate::{Balance, Rank};

    fn evaluation(rank: u32, tier: &str, badges: &[&str]) -> Evaluation {
        Evaluation {
            standing: Standing::new(Rank::new(rank), Balance::from_tokens(10)),
            tier: TierId::new(tier).ok(),
            badges: badges.iter().map(|id| BadgeId::new(*id).unwrap()).collect(),
        }
    }

    #[test]
    fn difference_holds_tier_badges_and_standing() {
        let ladder = ladder(&[("naib", "1-7", ""), ("fedaykin", "8-69", "")]);
        let before = evaluation(8, "fedaykin", &["month", "giver"]);
        let after = evaluation(7, "naib", &["month", "crown"]);
        let difference = EvaluationDifference::between(&ladder, &before, &after);
        assert_eq!(
            difference.tier,
            TierChange::Promoted {
                from: before.tier.clone(),
                to: TierId::new("naib").unwrap()
            }
        );
        assert_eq!(difference.badges_gained, [BadgeId::new("crown").unwrap()].into());
        assert_eq!(difference.badges_lost, [BadgeId::new("giver").unwrap()].into());
        assert!(difference.standing_changed && !difference.is_empty());

        let moved = EvaluationDifference::between(
            &ladder,
            &evaluation(9, "fedaykin", &[]),
            &evaluation(8, "fedaykin", &[]),
        );
        assert_eq!(moved.tier, TierChange::Unchanged);
        assert!(!moved.is_empty());
        assert!(EvaluationDifference::between(&ladder, &before, &before).is_empty());
    }
}
