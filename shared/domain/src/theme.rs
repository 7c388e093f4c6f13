//! A theme: tiers, badges, roles, words and server of a community, as data.
//!
//! Owns the shape and the questions asked of it. Reading the files and refusing bad ones is `arrakis-themes`' part, so
//! that every [`Theme`] here hangs together: ids are unique, every reference is met.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::rule::Standing;
use crate::{
    Badge, BadgeId, Category, ChannelKey, Color, Evaluation, Ladder, MemberFacts, Role, RoleKey, RoleRule, RuleSetId,
    ServerSettings, ThemeId, TierId,
};

/// What a community pays for. The greater includes the lesser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Plan {
    /// Nothing.
    Free,
    /// The premium plan.
    Premium,
}

impl Plan {
    /// As data and databases write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Premium => "premium",
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A tier of a theme. What it asks for is in the theme's rule sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Its stable name.
    pub id: TierId,
    /// What people read.
    pub name: String,
    /// One emoji that stands for it.
    pub emoji: String,
    /// Its colour, of embeds and badges.
    pub color: Color,
    /// What it means, in one sentence.
    pub description: String,
}

/// A value that an operator may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A colour.
    Color(Color),
    /// Yes or no.
    Boolean(bool),
    /// A whole number.
    Number(i64),
    /// Texts.
    List(Vec<String>),
}

impl Value {
    /// Its type.
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
    /// As theme files write it.
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

/// A variable as the theme was resolved with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// What it changes.
    pub description: String,
    /// What the theme ships with.
    pub default: Value,
    /// What this theme was resolved with.
    pub value: Value,
}

/// A feature flag as the theme was resolved with it. What a flag that is off governs is not in the theme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// What it governs.
    pub description: String,
    /// What the theme ships with.
    pub default: bool,
    /// What this theme was resolved with.
    pub enabled: bool,
}

/// Words in the theme's voice, used where answers would else be plain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// One member, lower case.
    pub member: String,
    /// Several, lower case.
    pub members: String,
    /// Those of the first ranks.
    pub council: String,
    /// The zone behind the entry line.
    pub waitlist: String,
    /// Title of the statistics.
    pub stats: String,
    /// Title of the own standing.
    pub position: String,
    /// Title of what entry takes.
    pub threshold: String,
    /// Title of the ranking.
    pub leaderboard: String,
    /// Title of what can be done.
    pub help: String,
    /// Small print under every answer.
    pub footer: String,
}

/// Where the bot writes of its own accord; `None` switches a post off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Posts {
    /// The live leaderboard: one message, edited.
    pub leaderboard: Option<ChannelKey>,
    /// Who joined and who left.
    pub arrivals: Option<ChannelKey>,
    /// The weekly digest.
    pub digest: Option<ChannelKey>,
}

/// A theme, resolved: every variable has its value, what flags switch off is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Its stable name, that of its folder.
    pub id: ThemeId,
    /// What people read.
    pub name: String,
    /// Semantic version, `3.0.0`.
    pub version: String,
    /// The least plan that may use it.
    pub plan: Plan,
    /// What it is, in a sentence or two.
    pub description: String,
    /// For finding it.
    pub tags: Vec<String>,
    /// Colour of answers that belong to no tier.
    pub accent: Color,
    /// Words in its voice.
    pub words: Words,
    /// What an operator may set.
    pub variables: BTreeMap<String, Variable>,
    /// What an operator may switch.
    pub flags: BTreeMap<String, Flag>,
    /// Tiers, highest first.
    pub tiers: Vec<Tier>,
    /// What tiers ask for, by rule set.
    pub rule_sets: BTreeMap<RuleSetId, Ladder>,
    /// The rule set for communities that chose none.
    pub default_rules: RuleSetId,
    /// Badges, in the order shown.
    pub badges: Vec<Badge>,
    /// Roles, highest first.
    pub roles: Vec<Role>,
    /// Categories and channels, from the top.
    pub categories: Vec<Category>,
    /// Where the bot writes of its own accord.
    pub posts: Posts,
    /// The server itself.
    pub settings: ServerSettings,
}

impl Theme {
    /// A tier by id.
    #[must_use]
    pub fn tier(&self, id: &TierId) -> Option<&Tier> {
        self.tiers.iter().find(|tier| &tier.id == id)
    }

    /// A badge by id.
    #[must_use]
    pub fn badge(&self, id: &BadgeId) -> Option<&Badge> {
        self.badges.iter().find(|badge| &badge.id == id)
    }

    /// A role by key.
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

    /// The ladder of a rule set; the default one for `None` and for a name the theme does not have (a community may have
    /// chosen it under another theme).
    #[must_use]
    pub fn ladder(&self, rules: Option<&RuleSetId>) -> Option<&Ladder> {
        rules
            .and_then(|rules| self.rule_sets.get(rules))
            .or_else(|| self.rule_sets.get(&self.default_rules))
    }

    /// Colour of a tier, or the accent without one.
    #[must_use]
    pub fn color_of(&self, tier: Option<&TierId>) -> Color {
        tier.and_then(|id| self.tier(id)).map_or(self.accent, |tier| tier.color)
    }

    /// How many members of the first ones a badge asks for at most; 0 where none does.
    #[must_use]
    pub fn early(&self) -> u32 {
        let firsts = self.badges.iter().filter_map(|badge| match badge.earned_by {
            crate::BadgeRule::Early { first } => Some(first),
            _ => None,
        });
        firsts.max().unwrap_or(0)
    }

    /// Measures a member: the tier first, then the badges, which may depend on it.
    #[must_use]
    pub fn evaluate(&self, ladder: &Ladder, standing: Standing, facts: &MemberFacts) -> Evaluation {
        let tier = ladder.tier_of(standing);
        let earned = self.badges.iter().filter(|badge| badge.is_earned(facts, tier, ladder));
        let badges: BTreeSet<BadgeId> = earned.map(|badge| badge.id.clone()).collect();
        Evaluation {
            standing,
            tier: tier.cloned(),
            badges,
        }
    }

    /// What an operator may choose: variables, and flags, which are chosen in the same way.
    #[must_use]
    pub fn variable_count(&self) -> usize {
        self.variables.len() + self.flags.len()
    }

    /// Channels over all categories.
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
            words: Words {
                member: word(),
                members: word(),
                council: word(),
                waitlist: word(),
                stats: word(),
                position: word(),
                threshold: word(),
                leaderboard: word(),
                help: word(),
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
            categories: Vec::new(),
            posts: Posts::default(),
            settings: ServerSettings::default(),
        }
    }

    #[test]
    fn an_unknown_rule_set_falls_back_to_the_default() {
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
    fn colours_follow_the_tier() {
        let theme = small_theme();
        assert_eq!(theme.color_of(TierId::new("gold").ok().as_ref()).rgb(), 0xff_d7_00);
        assert_eq!(theme.color_of(None), theme.accent);
        assert_eq!(theme.color_of(TierId::new("gone").ok().as_ref()), theme.accent);
    }

    #[test]
    fn the_premium_plan_includes_the_free_one() {
        assert!(Plan::Premium > Plan::Free);
    }
}
