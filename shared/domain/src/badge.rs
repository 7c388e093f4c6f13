//! Badges: what earns one, told from typed facts about a member.
//!
//! To add a kind, add a variant to [`BadgeRule`], what it needs to [`MemberFacts`], and its spelling to the loader of
//! themes.

use std::collections::BTreeSet;

use crate::{BadgeId, Ladder, TierId};

/// Days over which activity is counted.
pub const ACTIVITY_WINDOW_DAYS: u8 = 30;

/// A badge of a theme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Badge {
    /// Its stable name.
    pub id: BadgeId,
    /// What people read.
    pub name: String,
    /// One emoji that stands for it.
    pub emoji: String,
    /// What it was given for, in one sentence.
    pub description: String,
    /// What earns it.
    pub earned_by: BadgeRule,
}

/// What earns a badge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadgeRule {
    /// Member of the community for so many days.
    Tenure {
        /// Full days since joining.
        days: u32,
    },
    /// Ever held this tier or a higher one: who rises straight to the top has passed every step below.
    Reached {
        /// The tier to reach.
        tier: TierId,
    },
    /// Wrote or used a command on so many of the last [`ACTIVITY_WINDOW_DAYS`] days.
    Active {
        /// Days with activity, 1 to [`ACTIVITY_WINDOW_DAYS`].
        days: u8,
    },
    /// Held this tier once and does not now.
    FormerHolder {
        /// The tier that was held.
        tier: TierId,
    },
    /// Among the first so many members.
    Early {
        /// How many came first.
        first: u32,
    },
    /// Given by an admin.
    Given,
    /// Given by a member who has it; the lineage is kept by the database.
    Shared,
}

/// What is known of a member, as the database keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberFacts {
    /// Full days since joining.
    pub tenure_days: u32,
    /// 1 for the first member of the community; `None` when it is not known.
    pub join_order: Option<u32>,
    /// Every tier ever held.
    pub reached: BTreeSet<TierId>,
    /// Days with a message or a command among the last [`ACTIVITY_WINDOW_DAYS`].
    pub active_days: u8,
    /// Badges given by an admin or shared by a member.
    pub given: BTreeSet<BadgeId>,
    /// Has put the name on the waitlist.
    pub waitlisted: bool,
}

impl Badge {
    /// Whether a member of these facts, who holds `tier` now, has the badge. `ladder` says which tiers are higher.
    #[must_use]
    pub fn is_earned(&self, facts: &MemberFacts, tier: Option<&TierId>, ladder: &Ladder) -> bool {
        match &self.earned_by {
            BadgeRule::Tenure { days } => facts.tenure_days >= *days,
            BadgeRule::Reached { tier: wanted } => ladder
                .and_above(wanted)
                .into_iter()
                .any(|above| tier == Some(above) || facts.reached.contains(above)),
            BadgeRule::Active { days } => facts.active_days >= *days,
            BadgeRule::FormerHolder { tier: once } => facts.reached.contains(once) && tier != Some(once),
            BadgeRule::Early { first } => facts.join_order.is_some_and(|order| order <= *first),
            BadgeRule::Given | BadgeRule::Shared => facts.given.contains(&self.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ladder::tests::ladder;

    fn tier(id: &str) -> TierId {
        TierId::new(id).unwrap()
    }

    fn earned(rule: BadgeRule, facts: &MemberFacts, held: Option<&str>) -> bool {
        let badge = Badge {
            id: BadgeId::new("badge").unwrap(),
            name: "Badge".into(),
            emoji: "🏅".into(),
            description: "For a test.".into(),
            earned_by: rule,
        };
        let ladder = ladder(&[("naib", "1-7", ""), ("fedaykin", "8-69", ""), ("hajra", "", "6.9")]);
        badge.is_earned(facts, held.map(tier).as_ref(), &ladder)
    }

    #[test]
    fn each_rule_turns_at_its_boundary() {
        let facts = |tenure_days, active_days, join_order| MemberFacts {
            tenure_days,
            active_days,
            join_order,
            ..MemberFacts::default()
        };
        assert!(!earned(BadgeRule::Tenure { days: 30 }, &facts(29, 0, None), None));
        assert!(earned(BadgeRule::Tenure { days: 30 }, &facts(30, 0, None), None));
        assert!(!earned(BadgeRule::Active { days: 20 }, &facts(0, 19, None), None));
        assert!(earned(BadgeRule::Active { days: 20 }, &facts(0, 20, None), None));
        assert!(earned(BadgeRule::Early { first: 100 }, &facts(0, 0, Some(100)), None));
        assert!(!earned(BadgeRule::Early { first: 100 }, &facts(0, 0, Some(101)), None));
        assert!(!earned(BadgeRule::Early { first: 100 }, &facts(0, 0, None), None));
    }

    #[test]
    fn a_higher_tier_counts_as_having_passed_the_lower() {
        let rule = || BadgeRule::Reached { tier: tier("hajra") };
        let once = MemberFacts {
            reached: [tier("fedaykin")].into(),
            ..MemberFacts::default()
        };
        assert!(earned(rule(), &once, None), "reached before, nothing now");
        assert!(
            earned(rule(), &MemberFacts::default(), Some("naib")),
            "reached this moment"
        );
        assert!(!earned(rule(), &MemberFacts::default(), None));
        assert!(!earned(
            BadgeRule::Reached { tier: tier("naib") },
            &once,
            Some("fedaykin")
        ));
    }

    #[test]
    fn a_former_holder_holds_it_no_more() {
        let rule = || BadgeRule::FormerHolder { tier: tier("naib") };
        let once = MemberFacts {
            reached: [tier("naib")].into(),
            ..MemberFacts::default()
        };
        assert!(earned(rule(), &once, Some("fedaykin")));
        assert!(earned(rule(), &once, None));
        assert!(!earned(rule(), &once, Some("naib")));
        assert!(!earned(rule(), &MemberFacts::default(), Some("fedaykin")));
    }

    #[test]
    fn given_badges_are_those_that_were_given() {
        let has = MemberFacts {
            given: [BadgeId::new("badge").unwrap()].into(),
            ..MemberFacts::default()
        };
        for rule in [BadgeRule::Given, BadgeRule::Shared] {
            assert!(earned(rule.clone(), &has, None));
            assert!(!earned(rule, &MemberFacts::default(), None));
        }
    }
}
