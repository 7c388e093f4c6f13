//! The roles that a member should have, and the changes that lead there.
//!
//! Compares the theme's automatic roles with the roles that a member has. Never changes a role that the theme does not
//! assign: the server's other roles, managed roles, the bot's role.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{BadgeId, Color, Evaluation, MemberFacts, Permissions, RoleKey, Theme, TierId};

/// A role of a theme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its key.
    pub key: RoleKey,
    /// Its name at Discord.
    pub name: String,
    /// Its colour.
    pub color: Color,
    /// Whether its members are displayed separately (Discord's `hoist`).
    pub hoist: bool,
    /// Whether anyone may mention it.
    pub mentionable: bool,
    /// Order within the theme: a greater position is a higher role. Discord's positions differ.
    pub position: u16,
    /// Its permissions on the server.
    pub permissions: Permissions,
    /// The rule by which members have it.
    pub given_to: RoleRule,
}

/// A rule by which members have a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleRule {
    /// The bot's own role; no member has it by rule.
    Bot,
    /// Assigned and removed by hand; never changed by rules.
    ByHand,
    /// Members with this tier.
    Tier(TierId),
    /// Members who held this tier before and do not hold it now.
    FormerHolder(TierId),
    /// Members on the waitlist.
    Waitlist,
    /// Members with this badge.
    Badge(BadgeId),
    /// Members with at least this many badges.
    Badges {
        /// Number of badges.
        at_least: u16,
    },
    /// Members for at least this many days.
    Tenure {
        /// Full days since joining.
        days: u32,
    },
}

impl RoleRule {
    /// Whether members get and lose the role by this rule.
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

/// Id of a role at Discord.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoleId(pub u64);

impl fmt::Display for RoleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Role bindings: the role ids of a server by the theme's role keys.
pub type RoleBindings = BTreeMap<RoleKey, RoleId>;

/// Whether rules may change a member's roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoleProtection {
    /// Rules apply.
    #[default]
    None,
    /// An admin has protected the member: roles do not change.
    Protected,
}

/// The role changes for one member. Applying them twice has the same result as once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleDifference {
    /// Roles to assign, with their keys.
    pub add: BTreeMap<RoleId, RoleKey>,
    /// Roles to remove, with their keys.
    pub remove: BTreeMap<RoleId, RoleKey>,
    /// Roles that the member should have but that are not bound: deleted on the server, or never created. Reported to the
    /// admin; the other changes are still applied.
    pub unbound: BTreeSet<RoleKey>,
}

impl RoleDifference {
    /// Whether there is no role to assign or to remove.
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

    /// The changes from the roles `actual` to the roles `desired`. Considers only the theme's automatic roles.
    ///
    /// Two keys may be bound to one role, which is desired when either key is.
    #[must_use]
    pub fn role_difference(
        &self,
        desired: &BTreeSet<RoleKey>,
        actual: &BTreeSet<RoleId>,
        bindings: &RoleBindings,
        protection: RoleProtection,
    ) -> RoleDifference {
        let mut difference = RoleDifference::default();
        if protection == RoleProtection::Protected {
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
    fn desired_roles_are_one_tier_role_and_the_special_roles_whose_rules_are_met() {
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
    fn other_roles_of_the_server_are_not_changed() {
        let theme = small_theme();
        let bindings = bindings(&theme);
        let id = |key: &str| bindings[&RoleKey::new(key).unwrap()];
        let foreign = RoleId(5);
        let actual = [foreign, id("bot"), id("guest"), id("silver")].into();
        let difference = theme.role_difference(
            &desired(1, &MemberFacts::default()),
            &actual,
            &bindings,
            RoleProtection::None,
        );
        assert_eq!(difference.add.keys().copied().collect::<Vec<_>>(), [id("gold")]);
        assert_eq!(difference.remove.keys().copied().collect::<Vec<_>>(), [id("silver")]);
    }

    #[test]
    fn roles_of_protected_members_do_not_change() {
        let theme = small_theme();
        let desired = desired(1, &MemberFacts::default());
        let difference =
            theme.role_difference(&desired, &BTreeSet::new(), &bindings(&theme), RoleProtection::Protected);
        assert_eq!(difference, RoleDifference::default());
    }

    #[test]
    fn deleted_role_is_reported_and_other_roles_are_changed() {
        let theme = small_theme();
        let mut bindings = bindings(&theme);
        bindings.remove(&RoleKey::new("gold").unwrap());
        let facts = MemberFacts {
            waitlisted: true,
            ..MemberFacts::default()
        };
        let difference = theme.role_difference(&desired(1, &facts), &BTreeSet::new(), &bindings, RoleProtection::None);
        assert_eq!(names(&difference.unbound), ["gold"]);
        assert_eq!(
            difference.add.values().map(RoleKey::as_str).collect::<Vec<_>>(),
            ["waiting"]
        );
    }

    #[test]
    fn two_keys_bound_to_one_role_do_not_conflict() {
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
            RoleProtection::None,
        );
        assert!(difference.is_empty());
    }

    proptest! {
        #[test]
        fn applying_the_difference_results_in_the_desired_roles(
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
            let difference = theme.role_difference(&desired, &before, &bindings, RoleProtection::None);
            let after: BTreeSet<RoleId> = before
                .iter()
                .filter(|id| !difference.remove.contains_key(id))
                .chain(difference.add.keys())
                .copied()
                .collect();
            prop_assert!(theme.role_difference(&desired, &after, &bindings, RoleProtection::None).is_empty());
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
