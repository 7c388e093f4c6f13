//! [`Theme`]: tiers, badges, roles, texts and server of a community, as data.
//!
//! `arrakis-themes` reads and checks theme files, so every [`Theme`] is consistent: ids are unique, and every reference is
//! resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::rule::Standing;
use crate::{
    Badge, BadgeId, Category, ChannelKey, Color, Evaluation, Ladder, MemberFacts, Role, RoleKey, RoleRule, RuleSetId,
    ServerSettings, ThemeId, TierId, TierRoles,
};

/// Subscription plan of a community. A greater plan includes the lesser one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Plan {
    /// The free plan.
    Free,
    /// The premium plan.
    Premium,
}

impl Plan {
    /// The name in theme files and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Premium => "premium",
        }
    }

    /// Whether a community with this plan may use a theme.
    #[must_use]
    pub fn includes(self, theme: &Theme) -> bool {
        self >= theme.plan
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not the name of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the plans are `free` and `premium`")]
pub struct UnknownPlan;

impl FromStr for Plan {
    type Err = UnknownPlan;

    fn from_str(text: &str) -> Result<Self, UnknownPlan> {
        let found = [Self::Free, Self::Premium]
            .into_iter()
            .find(|plan| plan.as_str() == text);
        found.ok_or(UnknownPlan)
    }
}

/// A tier of a theme. Its rules are in the theme's rule sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Its id.
    pub id: TierId,
    /// Its display name.
    pub name: String,
    /// Its emoji.
    pub emoji: String,
    /// Its colour in embeds and badges.
    pub color: Color,
    /// Its description, one sentence.
    pub description: String,
}

/// Value of a theme variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A colour.
    Color(Color),
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Number(i64),
    /// A list of texts.
    List(Vec<String>),
}

impl Value {
    /// The value's type.
    #[must_use]
    pub const fn kind(&self) -> VariableType {
        match self {
            Self::Text(_) => VariableType::Text,
            Self::Color(_) => VariableType::Color,
            Self::Boolean(_) => VariableType::Boolean,
            Self::Number(_) => VariableType::Number,
            Self::List(_) => VariableType::List,
        }
    }
}

/// Types of [`Value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariableType {
    /// [`Value::Text`].
    Text,
    /// [`Value::Color`].
    Color,
    /// [`Value::Boolean`].
    Boolean,
    /// [`Value::Number`].
    Number,
    /// [`Value::List`].
    List,
}

impl VariableType {
    /// The type's name in theme files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Color => "color",
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::List => "list",
        }
    }
}

/// A variable of a resolved theme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its description.
    pub description: String,
    /// Its default.
    pub default: Value,
    /// The value with which the theme was resolved.
    pub value: Value,
}

/// A feature flag of a resolved theme. Parts that depend on a disabled flag are not in the theme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureFlag {
    /// Its description.
    pub description: String,
    /// Its default.
    pub default: bool,
    /// Whether it was enabled when the theme was resolved.
    pub enabled: bool,
}

/// The theme's own nouns and titles for replies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThemeWords {
    /// Singular noun for a member, lower case.
    pub member: String,
    /// Plural noun for members, lower case.
    pub members: String,
    /// Name of the council zone.
    pub council: String,
    /// Name of the waitlist zone.
    pub waitlist: String,
    /// Title of `/stats`.
    pub stats: String,
    /// Title of `/position`.
    pub position: String,
    /// Title of `/threshold`.
    pub threshold: String,
    /// Title of `/leaderboard`.
    pub leaderboard: String,
    /// Title of `/help`.
    pub help: String,
    /// Title of `/verify`.
    pub verify: String,
    /// Title of the welcome of a member.
    pub welcome: String,
    /// Footer of every reply.
    pub footer: String,
}

/// Channels in which the bot posts on its own; `None` disables a post.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostChannels {
    /// Channel of the live leaderboard, one message that is edited.
    pub leaderboard: Option<ChannelKey>,
    /// Channel of messages about joins and leaves.
    pub arrivals: Option<ChannelKey>,
    /// Channel of the weekly digest.
    pub digest: Option<ChannelKey>,
}

/// A resolved theme: variables have values, and parts of disabled flags are removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Its id, the name of its folder.
    pub id: ThemeId,
    /// Its display name.
    pub name: String,
    /// Its semantic version, `3.0.0`.
    pub version: String,
    /// The least plan that includes it.
    pub plan: Plan,
    /// Its description.
    pub description: String,
    /// Tags for searching.
    pub tags: Vec<String>,
    /// Colour of replies without a tier.
    pub accent: Color,
    /// Its own words and titles in replies.
    pub words: ThemeWords,
    /// Variables by name.
    pub variables: BTreeMap<String, Variable>,
    /// Feature flags by name.
    pub flags: BTreeMap<String, FeatureFlag>,
    /// Tiers, highest first.
    pub tiers: Vec<Tier>,
    /// Ladders by rule set.
    pub rule_sets: BTreeMap<RuleSetId, Ladder>,
    /// The rule set of communities that chose none.
    pub default_rules: RuleSetId,
    /// Badges, in display order.
    pub badges: Vec<Badge>,
    /// Roles, highest first.
    pub roles: Vec<Role>,
    /// Which tier roles a member has.
    pub tier_roles: TierRoles,
    /// Categories and channels, from the top.
    pub categories: Vec<Category>,
    /// Channels in which the bot posts on its own.
    pub posts: PostChannels,
    /// Settings of the server.
    pub settings: ServerSettings,
}

impl Theme {
    /// The tier with this id.
    #[must_use]
    pub fn tier(&self, id: &TierId) -> Option<&Tier> {
        self.tiers.iter().find(|tier| &tier.id == id)
    }

    /// The badge with this id.
    #[must_use]
    pub fn badge(&self, id: &BadgeId) -> Option<&Badge> {
        self.badges.iter().find(|badge| &badge.id == id)
    }

    /// The role with this key.
    #[must_use]
    pub fn role(&self, key: &RoleKey) -> Option<&Role> {
        self.roles.iter().find(|role| &role.key == key)
    }

    /// The role of a tier.
    #[must_use]
    pub fn role_of_tier(&self, tier: &TierId) -> Option<&Role> {
        self.roles
            .iter()
            .find(|role| matches!(&role.given_to, RoleRule::Tier(of) if of == tier))
    }

    /// The ladder of a rule set. The default one for `None` and for an id that the theme does not have, which a community
    /// may have chosen under another theme.
    #[must_use]
    pub fn ladder(&self, rules: Option<&RuleSetId>) -> Option<&Ladder> {
        rules
            .and_then(|rules| self.rule_sets.get(rules))
            .or_else(|| self.rule_sets.get(&self.default_rules))
    }

    /// Colour of a tier; the accent without one.
    #[must_use]
    pub fn color_of(&self, tier: Option<&TierId>) -> Color {
        tier.and_then(|id| self.tier(id)).map_or(self.accent, |tier| tier.color)
    }

    /// Largest number of first members to whom an [`BadgeRule::Early`](crate::BadgeRule::Early) badge applies; 0 without
    /// such a badge.
    #[must_use]
    pub fn early_member_limit(&self) -> u32 {
        let firsts = self.badges.iter().filter_map(|badge| match badge.earned_by {
            crate::BadgeRule::Early { first } => Some(first),
            _ => None,
        });
        firsts.max().unwrap_or(0)
    }

    /// Evaluates a member: first the tier, then the badges, which may depend on it. An imported tier earns no badge.
    #[must_use]
    pub fn evaluate(&self, ladder: &Ladder, standing: Standing, facts: &MemberFacts) -> Evaluation {
        let tier = ladder.tier_with_imported(standing, facts.imported_tier.as_ref());
        let own = ladder.tier_of(standing);
        let earned = self.badges.iter().filter(|badge| badge.is_earned(facts, own, ladder));
        let badges: BTreeSet<BadgeId> = earned.map(|badge| badge.id.clone()).collect();
        Evaluation {
            standing,
            tier: tier.cloned(),
            badges,
        }
    }

    /// Number of variables and flags.
    #[must_use]
    pub fn variable_count(&self) -> usize {
        self.variables.len() + self.flags.len()
    }

    /// Number of channels in all categories.
    #[must_use]
    pub fn channel_count(&self) -> usize {
        self.categories.iter().map(|category| category.channels.len()).sum()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{Balance, Permissions, Rank};

    /// A theme of two tiers, one badge and a role of every kind.
    pub(crate) fn small_theme() -> Theme {
        let tier = |id: &str| TierId::new(id).unwrap();
        let role = |key: &str, position, given_to| Role {
            key: RoleKey::new(key).unwrap(),
            name: key.to_owned(),
            color: Color::from_rgb(0),
            hoist: false,
            mentionable: false,
            position,
            permissions: Permissions::NONE,
            given_to,
        };
        let badge = BadgeId::new("month").unwrap();
        let shown_tier = |id: &str, rgb| Tier {
            id: tier(id),
            name: id.to_owned(),
            emoji: String::new(),
            color: Color::from_rgb(rgb),
            description: String::new(),
        };
        let word = String::new;
        Theme {
            id: ThemeId::new("small").unwrap(),
            name: "Small".into(),
            version: "1.0.0".into(),
            plan: Plan::Free,
            description: word(),
            tags: Vec::new(),
            accent: Color::from_rgb(0x01_02_03),
            words: ThemeWords {
                member: word(),
                members: word(),
                council: word(),
                waitlist: word(),
                stats: word(),
                position: word(),
                threshold: word(),
                leaderboard: word(),
                help: word(),
                verify: word(),
                welcome: word(),
                footer: word(),
            },
            variables: BTreeMap::new(),
            flags: BTreeMap::new(),
            tiers: vec![shown_tier("gold", 0xff_d7_00), shown_tier("silver", 0xc0_c0_c0)],
            rule_sets: BTreeMap::from([
                (
                    RuleSetId::new("ranked").unwrap(),
                    crate::ladder::tests::ladder(&[("gold", "1-10", ""), ("silver", "11-50", "")]),
                ),
                (
                    RuleSetId::new("balance").unwrap(),
                    crate::ladder::tests::ladder(&[("gold", "", "100"), ("silver", "", "10")]),
                ),
            ]),
            default_rules: RuleSetId::new("ranked").unwrap(),
            badges: vec![Badge {
                id: badge.clone(),
                name: "Month".into(),
                emoji: String::new(),
                description: String::new(),
                earned_by: crate::BadgeRule::Tenure { days: 30 },
                art: None,
            }],
            roles: vec![
                role("gold", 9, RoleRule::Tier(tier("gold"))),
                role("silver", 8, RoleRule::Tier(tier("silver"))),
                role("bot", 7, RoleRule::Bot),
                role("once-gold", 6, RoleRule::FormerHolder(tier("gold"))),
                role("waiting", 5, RoleRule::Waitlist),
                role("month", 4, RoleRule::Badge(badge)),
                role("engaged", 3, RoleRule::Badges { at_least: 1 }),
                role("veteran", 2, RoleRule::Tenure { days: 90 }),
                role("guest", 1, RoleRule::ByHand),
            ],
            tier_roles: TierRoles::Exclusive,
            categories: Vec::new(),
            posts: PostChannels::default(),
            settings: ServerSettings::default(),
        }
    }

    #[test]
    fn unknown_rule_set_falls_back_to_the_default() {
        let theme = small_theme();
        let by_rank = Standing::new(Rank::new(5), Balance::ZERO);
        let tier = |rules: Option<&str>| {
            let rules = rules.map(|rules| RuleSetId::new(rules).unwrap());
            theme
                .ladder(rules.as_ref())
                .unwrap()
                .tier_of(by_rank)
                .map(TierId::as_str)
        };
        assert_eq!(tier(None), Some("gold"));
        assert_eq!(tier(Some("balance")), None);
        assert_eq!(tier(Some("gone")), Some("gold"));
    }

    #[test]
    fn imported_tier_counts_where_it_is_higher() {
        let theme = small_theme();
        let ladder = theme.ladder(None).unwrap();
        let tier = |rank: u32, imported: &str| {
            let facts = MemberFacts {
                imported_tier: TierId::new(imported).ok(),
                ..MemberFacts::default()
            };
            let standing = Standing::new(Rank::new(rank), Balance::ZERO);
            theme.evaluate(ladder, standing, &facts).tier
        };
        let id = |id: &str| TierId::new(id).ok();
        assert_eq!(tier(0, "silver"), id("silver"));
        assert_eq!(tier(11, "gold"), id("gold"));
        assert_eq!(tier(1, "silver"), id("gold"));
        // A tier of another theme does not count.
        assert_eq!(tier(0, "naib"), None);
        assert_eq!(tier(0, ""), None);
    }

    #[test]
    fn imported_tier_earns_no_badge() {
        let mut theme = small_theme();
        let gold = TierId::new("gold").unwrap();
        theme.badges[0].earned_by = crate::BadgeRule::Reached { tier: gold.clone() };
        let facts = MemberFacts {
            imported_tier: Some(gold),
            ..MemberFacts::default()
        };
        let badges = |rank: u32| {
            let standing = Standing::new(Rank::new(rank), Balance::ZERO);
            theme
                .evaluate(theme.ladder(None).unwrap(), standing, &facts)
                .badges
                .len()
        };
        assert_eq!((badges(0), badges(1)), (0, 1));
    }

    #[test]
    fn color_is_the_tiers_or_the_accent() {
        let theme = small_theme();
        assert_eq!(theme.color_of(TierId::new("gold").ok().as_ref()).rgb(), 0xff_d7_00);
        assert_eq!(theme.color_of(None), theme.accent);
        assert_eq!(theme.color_of(TierId::new("gone").ok().as_ref()), theme.accent);
    }

    #[test]
    fn premium_plan_includes_the_free_plan() {
        assert!(Plan::Premium > Plan::Free);
        let mut theme = small_theme();
        assert!(Plan::Free.includes(&theme) && Plan::Premium.includes(&theme));
        theme.plan = Plan::Premium;
        assert!(!Plan::Free.includes(&theme) && Plan::Premium.includes(&theme));
    }
}
