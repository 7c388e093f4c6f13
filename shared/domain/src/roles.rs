//! The roles that a member should have, and the changes that lead there.
//!
//! Compares the theme's automatic roles with the roles that a member has. Never changes a role that the theme does not
//! assign: the server's other roles, managed roles, the bot's role.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

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

    /// Whether a member has the role by a rule that does not depend on the theme's role policy.
    fn holds(&self, evaluation: &Evaluation, facts: &MemberFacts) -> bool {
        let tier = evaluation.tier.as_ref();
        match self {
            Self::Bot | Self::ByHand | Self::Tier(_) => false,
            Self::FormerHolder(once) => facts.reached.contains(once) && tier != Some(once),
            Self::Waitlist => facts.waitlisted,
            Self::Badge(badge) => evaluation.badges.contains(badge),
            Self::Badges { at_least } => evaluation.badges.len() >= usize::from(*at_least),
            Self::Tenure { days } => facts.tenure_days >= *days,
        }
    }
}

/// The role policy of a theme: which of the tiers' roles a member has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TierRoles {
    /// The role of the member's own tier.
    #[default]
    Exclusive,
    /// The role of the member's own tier, and those of all tiers below it.
    Cumulative,
}

/// A text that is not the name of a role policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role policy; use `exclusive` or `cumulative`")]
pub struct UnknownTierRoles(String);

impl TierRoles {
    /// The name in theme files and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Cumulative => "cumulative",
        }
    }
}

impl FromStr for TierRoles {
    type Err = UnknownTierRoles;

    fn from_str(text: &str) -> Result<Self, UnknownTierRoles> {
        [Self::Exclusive, Self::Cumulative]
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or_else(|| UnknownTierRoles(text.to_owned()))
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
        let held = self.roles.iter().filter(|role| match &role.given_to {
            RoleRule::Tier(tier) => self.assigns_tier_role(tier, evaluation.tier.as_ref()),
            rule => rule.holds(evaluation, facts),
        });
        held.map(|role| role.key.clone()).collect()
    }

    /// Whether a member with the tier `held` has the role of this tier, by the theme's role policy.
    fn assigns_tier_role(&self, tier: &TierId, held: Option<&TierId>) -> bool {
        let position = |id: &TierId| self.tiers.iter().position(|tier| &tier.id == id);
        match (self.tier_roles, held) {
            (_, None) => false,
            (TierRoles::Exclusive, Some(held)) => held == tier,
            // The first tier is the highest.
            (TierRoles::Cumulative, Some(held)) => {
                matches!((position(tier), position(held)), (Some(tier), Some(held)) if tier >= held)
            }
        }
    }

    /// The removal of all tier roles that a member has, whatever the rules assign. Roles of other rules stay.
    #[must_use]
    pub fn tier_role_removal(&self, actual: &BTreeSet<RoleId>, bindings: &RoleBindings) -> RoleDifference {
        let of_tiers = self
            .roles
            .iter()
            .filter(|role| matches!(role.given_to, RoleRule::Tier(_)));
        let bound = of_tiers.filter_map(|role| Some((*bindings.get(&role.key)?, role.key.clone())));
        RoleDifference {
            remove: bound.filter(|(id, _)| actual.contains(id)).collect(),
            ..RoleDifference::default()
        }
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
    fn cumulative_policy_adds_the_roles_of_all_tiers_below() {
        let mut theme = small_theme();
        let facts = MemberFacts::default();
        let mut desired = |rank: u32, policy: TierRoles| {
            theme.tier_roles = policy;
            let standing = Standing::new(Rank::new(rank), Balance::ZERO);
            let evaluation = theme.evaluate(theme.ladder(None).unwrap(), standing, &facts);
            theme.desired_roles(&evaluation, &facts)
        };
        for (rank, exclusive, cumulative) in [
            (1, vec!["gold"], vec!["gold", "silver"]),
            (11, vec!["silver"], vec!["silver"]),
            (51, vec![], vec![]),
        ] {
            assert_eq!(names(&desired(rank, TierRoles::Exclusive)), exclusive, "{rank}");
            assert_eq!(names(&desired(rank, TierRoles::Cumulative)), cumulative, "{rank}");
        }
    }

    #[test]
    fn change_of_the_policy_is_a_difference_of_tier_roles() {
        let mut theme = small_theme();
        let bindings = bindings(&theme);
        let id = |key: &str| bindings[&RoleKey::new(key).unwrap()];
        let facts = MemberFacts::default();
        let exclusive = desired(1, &facts);
        theme.tier_roles = TierRoles::Cumulative;
        let standing = Standing::new(Rank::new(1), Balance::ZERO);
        let evaluation = theme.evaluate(theme.ladder(None).unwrap(), standing, &facts);
        let cumulative = theme.desired_roles(&evaluation, &facts);
        let both: BTreeSet<RoleId> = [id("gold"), id("silver")].into();
        let gained = theme.role_difference(&cumulative, &[id("gold")].into(), &bindings, RoleProtection::None);
        assert_eq!(gained.add.into_keys().collect::<Vec<_>>(), [id("silver")]);
        let lost = theme.role_difference(&exclusive, &both, &bindings, RoleProtection::None);
        assert_eq!(lost.remove.into_keys().collect::<Vec<_>>(), [id("silver")]);
    }

    #[test]
    fn removal_of_tier_roles_leaves_all_other_roles() {
        let theme = small_theme();
        let bindings = bindings(&theme);
        let id = |key: &str| bindings[&RoleKey::new(key).unwrap()];
        let actual = [RoleId(5), id("gold"), id("silver"), id("month"), id("bot"), id("guest")].into();
        let removal = theme.tier_role_removal(&actual, &bindings);
        assert!(removal.add.is_empty() && removal.unbound.is_empty());
        let removed: BTreeSet<RoleId> = removal.remove.into_keys().collect();
        assert_eq!(removed, [id("gold"), id("silver")].into());
        assert!(theme.tier_role_removal(&BTreeSet::new(), &bindings).is_empty());
    }

    #[test]
    fn role_policies_are_read_by_their_names() {
        for policy in [TierRoles::Exclusive, TierRoles::Cumulative] {
            assert_eq!(policy.as_str().parse(), Ok(policy));
        }
        let error = "both".parse::<TierRoles>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`both` is not a role policy; use `exclusive` or `cumulative`"
        );
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
