//! Badges and the rules by which members earn them.
//!
//! To add a rule, add a variant to [`BadgeRule`], the facts that it needs to [`MemberFacts`], and its YAML key to the
//! loader of themes.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::{BadgeId, Ladder, TierId};

/// Length of the window in which days with activity are counted, in days.
pub const ACTIVITY_WINDOW_DAYS: u8 = 30;

/// A badge of a theme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Badge {
    /// Its id in theme files and in the database.
    pub id: BadgeId,
    /// Its display name.
    pub name: String,
    /// Its emoji.
    pub emoji: String,
    /// Its description, one sentence.
    pub description: String,
    /// The rule by which members earn it.
    pub earned_by: BadgeRule,
    /// Its picture as an SVG document, checked by the loader of themes; `None` for a plain medal with the emoji.
    pub art: Option<Arc<str>>,
}

/// A rule by which members earn a badge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadgeRule {
    /// Member of the community for at least this many days.
    Tenure {
        /// Full days since joining.
        days: u32,
    },
    /// Ever held this tier or a higher one.
    Reached {
        /// The tier.
        tier: TierId,
    },
    /// Wrote a message or used a command on at least this many of the last [`ACTIVITY_WINDOW_DAYS`] days.
    Active {
        /// Days with activity, 1 to [`ACTIVITY_WINDOW_DAYS`].
        days: u8,
    },
    /// Held this tier before and does not hold it now.
    FormerHolder {
        /// The tier.
        tier: TierId,
    },
    /// Among the first members to join.
    Early {
        /// Number of first members.
        first: u32,
    },
    /// Given by an admin.
    Given,
    /// Shared by a member who holds it.
    Shared,
}

impl BadgeRule {
    /// Whether members earn the badge by what they do, and are not given it by an admin or a member.
    #[must_use]
    pub const fn is_rule(&self) -> bool {
        !matches!(self, Self::Given | Self::Shared)
    }
}

/// Facts about a member that rules depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberFacts {
    /// Full days since joining.
    pub tenure_days: u32,
    /// Position in the order of joining, 1 for the first member; `None` when it is behind every `Early` rule.
    pub join_order: Option<u32>,
    /// Tiers ever held.
    pub reached: BTreeSet<TierId>,
    /// Days with a message or a command among the last [`ACTIVITY_WINDOW_DAYS`].
    pub active_days: u8,
    /// Badges given by an admin or shared by a member.
    pub given: BTreeSet<BadgeId>,
    /// Whether the member is on the waitlist.
    pub waitlisted: bool,
    /// A tier that was imported from another tool, while it counts.
    pub imported_tier: Option<TierId>,
}

impl Badge {
    /// Whether a member with these facts who holds `tier` earns the badge. `ladder` orders the tiers.
    #[must_use]
    pub fn is_earned(&self, facts: &MemberFacts, tier: Option<&TierId>, ladder: &Ladder) -> bool {
        match &self.earned_by {
            BadgeRule::Tenure { days } => facts.tenure_days >= *days,
            BadgeRule::Reached { tier: wanted } => ladder
                .tier_and_above(wanted)
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
            art: None,
        };
        let ladder = ladder(&[("naib", "1-7", ""), ("fedaykin", "8-69", ""), ("hajra", "", "6.9")]);
        badge.is_earned(facts, held.map(tier).as_ref(), &ladder)
    }

    #[test]
    fn rules_change_at_their_boundaries() {
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
    fn higher_tier_counts_as_having_reached_the_lower() {
        let rule = || BadgeRule::Reached { tier: tier("hajra") };
        let once = MemberFacts {
            reached: [tier("fedaykin")].into(),
            ..MemberFacts::default()
        };
        assert!(earned(rule(), &once, None), "reached before, nothing now");
        assert!(earned(rule(), &MemberFacts::default(), Some("naib")), "reached now");
        assert!(!earned(rule(), &MemberFacts::default(), None));
        assert!(!earned(
            BadgeRule::Reached { tier: tier("naib") },
            &once,
            Some("fedaykin")
        ));
    }

    #[test]
    fn former_holder_badge_requires_that_the_tier_is_not_held() {
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
    fn given_and_shared_badges_follow_the_facts() {
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
