//! Which roles a member should have, and what to change so that it is so.
//!
//! Owns the difference between the theme's tier and special roles and the ones a member has. Refuses to touch any role
//! that the theme does not give: roles of the server's own, managed roles, the bot's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{BadgeId, Color, Evaluation, MemberFacts, Permissions, RoleKey, Theme, TierId};

/// A role of a theme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its stable name.
    pub key: RoleKey,
    /// What Discord shows.
    pub name: String,
    /// Its colour.
    pub color: Color,
    /// Shown apart in the member list.
    pub hoist: bool,
    /// Anybody may mention it.
    pub mentionable: bool,
    /// Order in the theme: the greater is the higher. Discord's positions are ranks and come out different.
    pub position: u16,
    /// What it may do everywhere.
    pub permissions: Permissions,
    /// Who has it.
    pub given_to: RoleRule,
}

/// Who has a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleRule {
    /// The bot; no member is ever given it.
    Bot,
    /// Nobody by rule: given and taken by hand, and never touched by us.
    ByHand,
    /// Holders of this tier, and of no higher one.
    Tier(TierId),
    /// Those who held this tier once and do not now.
    FormerHolder(TierId),
    /// Those on the waitlist.
    Waitlist,
    /// Holders of this badge.
    Badge(BadgeId),
    /// Holders of at least so many badges.
    Badges {
        /// How many.
        at_least: u16,
    },
    /// Members for at least so many days.
    Tenure {
        /// Full days since joining.
        days: u32,
    },
}

impl RoleRule {
    /// Whether members are given and lose the role by this rule.
    #[must_use]
    pub fn is_automatic(&self) -> bool {
        !matches!(self, Self::Bot | Self::ByHand)
    }

    fn holds(&self, evaluation: &Evaluation, facts: &MemberFacts) -> bool {
        let tier = evaluation.tier.as_ref();
        match self {
            Self::Bot | Self::ByHand => false,
            Self::Tier(wanted) => tier == Some(wanted),
            Self::FormerHolder(once) => facts.reached.contains(once) && tier != Some(once),
            Self::Waitlist => facts.waitlisted,
            Self::Badge(badge) => evaluation.badges.contains(badge),
            Self::Badges { at_least } => evaluation.badges.len() >= usize::from(*at_least),
            Self::Tenure { days } => facts.tenure_days >= *days,
        }
    }
}

/// A role's id at Discord.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoleId(pub u64);

impl fmt::Display for RoleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which role of a server stands for which role of the theme.
pub type RoleBindings = BTreeMap<RoleKey, RoleId>;

/// Whether the rules apply to a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protection {
    /// They do.
    #[default]
    None,
    /// An admin has set the member apart: roles stay as they are.
    Protected,
}

/// What to change for one member. Applying it twice changes nothing the second time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleDifference {
    /// Roles to give, with what the theme calls them.
    pub add: BTreeMap<RoleId, RoleKey>,
    /// Roles to take, with what the theme calls them.
    pub remove: BTreeMap<RoleId, RoleKey>,
    /// Roles that the member should have and the server lacks: deleted, or never made. For the admin's eyes; everything
    /// else goes on.
    pub unbound: BTreeSet<RoleKey>,
}

impl RoleDifference {
    /// Nothing to give and nothing to take.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }
}

impl Theme {
    /// The theme's roles that a member should have.
    #[must_use]
    pub fn desired_roles(&self, evaluation: &Evaluation, facts: &MemberFacts) -> BTreeSet<RoleKey> {
        let held = self.roles.iter().filter(|role| role.given_to.holds(evaluation, facts));
        held.map(|role| role.key.clone()).collect()
    }

    /// What to change so that a member who has `actual` has what is desired. Looks at the theme's automatic roles alone.
    ///
    /// Two keys may be bound to one role (an admin's choice): it is wanted when either is.
    #[must_use]
    pub fn role_difference(
        &self,
        desired: &BTreeSet<RoleKey>,
        actual: &BTreeSet<RoleId>,
        bindings: &RoleBindings,
        protection: Protection,
    ) -> RoleDifference {
        let mut difference = RoleDifference::default();
        if protection == Protection::Protected {
            return difference;
        }
        let automatic = || {
            self.roles
                .iter()
                .filter(|role| role.given_to.is_automatic())
                .map(|role| &role.key)
        };
        let wanted: BTreeSet<RoleId> = automatic()
            .filter(|key| desired.contains(*key))
            .filter_map(|key| bindings.get(key))
            .copied()
            .collect();
        for key in automatic() {
            match bindings.get(key) {
                None if desired.contains(key) => {
                    difference.unbound.insert(key.clone());
                }
                Some(id) if desired.contains(key) && !actual.contains(id) => {
                    difference.add.insert(*id, key.clone());
                }
                Some(id) if actual.contains(id) && !wanted.contains(id) => {
                    difference.remove.insert(*id, key.clone());
                }
                _ => {}
            }
        }
        difference
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::theme::tests::small_theme;
    use crate::{Balance, Rank, Standing};

    fn bindings(theme: &Theme) -> RoleBindings {
        theme
            .roles
            .iter()
            .zip(1000..)
            .map(|(role, id)| (role.key.clone(), RoleId(id)))
            .collect()
    }

    fn desired(rank: u32, facts: &MemberFacts) -> BTreeSet<RoleKey> {
        let theme = small_theme();
        let evaluation = theme.evaluate(
            theme.ladder(None).unwrap(),
            Standing::new(Rank::new(rank), Balance::ZERO),
            facts,
        );
        theme.desired_roles(&evaluation, facts)
    }

    fn names(keys: &BTreeSet<RoleKey>) -> Vec<&str> {
        keys.iter().map(RoleKey::as_str).collect()
    }

    #[test]
    fn one_tier_role_and_the_special_ones_that_hold() {
        let mut facts = MemberFacts {
            waitlisted: true,
            ..MemberFacts::default()
        };
        assert_eq!(names(&desired(1, &facts)), ["gold", "waiting"]);
        facts.reached.insert(TierId::new("gold").unwrap());
        facts.tenure_days = 89;
        facts.waitlisted = false;
        assert_eq!(names(&desired(11, &facts)), ["engaged", "month", "once-gold", "silver"]);
        assert_eq!(names(&desired(10, &facts)), ["engaged", "gold", "month"]);
        facts.tenure_days = 90;
        assert!(names(&desired(51, &facts)).contains(&"veteran"));
        assert_eq!(names(&desired(51, &MemberFacts::default())), Vec::<&str>::new());
    }

    #[test]
    fn roles_of_the_servers_own_are_left_alone() {
        let theme = small_theme();
        let bindings = bindings(&theme);
        let id = |key: &str| bindings[&RoleKey::new(key).unwrap()];
        let foreign = RoleId(5);
        let actual = [foreign, id("bot"), id("guest"), id("silver")].into();
        let difference = theme.role_difference(
            &desired(1, &MemberFacts::default()),
            &actual,
            &bindings,
            Protection::None,
        );
        assert_eq!(difference.add.keys().copied().collect::<Vec<_>>(), [id("gold")]);
        assert_eq!(difference.remove.keys().copied().collect::<Vec<_>>(), [id("silver")]);
    }

    #[test]
    fn protected_members_keep_what_they_have() {
        let theme = small_theme();
        let desired = desired(1, &MemberFacts::default());
        let difference = theme.role_difference(&desired, &BTreeSet::new(), &bindings(&theme), Protection::Protected);
        assert_eq!(difference, RoleDifference::default());
    }

    #[test]
    fn a_deleted_role_is_named_and_stops_nothing_else() {
        let theme = small_theme();
        let mut bindings = bindings(&theme);
        bindings.remove(&RoleKey::new("gold").unwrap());
        let facts = MemberFacts {
            waitlisted: true,
            ..MemberFacts::default()
        };
        let difference = theme.role_difference(&desired(1, &facts), &BTreeSet::new(), &bindings, Protection::None);
        assert_eq!(names(&difference.unbound), ["gold"]);
        assert_eq!(
            difference.add.values().map(RoleKey::as_str).collect::<Vec<_>>(),
            ["waiting"]
        );
    }

    #[test]
    fn two_keys_on_one_role_do_not_fight() {
        let theme = small_theme();
        let mut bindings = bindings(&theme);
        let shared = RoleId(77);
        for key in ["gold", "silver"] {
            bindings.insert(RoleKey::new(key).unwrap(), shared);
        }
        let difference = theme.role_difference(
            &desired(1, &MemberFacts::default()),
            &[shared].into(),
            &bindings,
            Protection::None,
        );
        assert!(difference.is_empty());
    }

    proptest! {
        #[test]
        fn applying_the_difference_reaches_what_is_desired(
            rank in 0_u32..120,
            tenure_days in 0_u32..200,
            waitlisted in any::<bool>(),
            was_gold in any::<bool>(),
            actual in proptest::collection::btree_set(995_u64..1012, 0..12),
        ) {
            let theme = small_theme();
            let bindings = bindings(&theme);
            let reached = was_gold.then(|| TierId::new("gold").unwrap()).into_iter().collect();
            let facts = MemberFacts { tenure_days, waitlisted, reached, ..MemberFacts::default() };
            let desired = desired(rank, &facts);
            let before: BTreeSet<RoleId> = actual.into_iter().map(RoleId).collect();
            let difference = theme.role_difference(&desired, &before, &bindings, Protection::None);
            let after: BTreeSet<RoleId> = before
                .iter()
                .filter(|id| !difference.remove.contains_key(id))
                .chain(difference.add.keys())
                .copied()
                .collect();
            prop_assert!(theme.role_difference(&desired, &after, &bindings, Protection::None).is_empty());
            for role in &theme.roles {
                let id = bindings[&role.key];
                if role.given_to.is_automatic() {
                    prop_assert_eq!(after.contains(&id), desired.contains(&role.key), "{}", role.key);
                } else {
                    prop_assert_eq!(after.contains(&id), before.contains(&id), "{}", role.key);
                }
            }
        }
    }
}
