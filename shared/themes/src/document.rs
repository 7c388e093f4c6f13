//! The YAML documents of a theme: their keys and types.
//!
//! Every scalar is a text with its location until [`crate::resolve`] has substituted variables, so that any value may be a
//! `${name}` and every problem has a location. The parser refuses unknown keys.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

/// A scalar with its location.
pub(crate) type Text = Spanned<String>;

/// `theme.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) name: Text,
    pub(crate) version: Text,
    pub(crate) plan: Spanned<PlanName>,
    pub(crate) description: Text,
    #[serde(default)]
    pub(crate) tags: Vec<Text>,
    pub(crate) accent: Text,
    #[serde(default)]
    pub(crate) tier_roles: TierRolesName,
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, Spanned<VariableEntry>>,
    #[serde(default)]
    pub(crate) flags: BTreeMap<String, Spanned<FlagEntry>>,
    pub(crate) words: WordsEntry,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PlanName {
    Free,
    Premium,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TierRolesName {
    #[default]
    Exclusive,
    Cumulative,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VariableEntry {
    #[serde(rename = "type")]
    pub(crate) kind: VariableKind,
    pub(crate) default: Spanned<DefaultValue>,
    pub(crate) description: Text,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum VariableKind {
    String,
    Color,
    Boolean,
    Number,
    List,
}

/// A list or a scalar, depending on the variable's type.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum DefaultValue {
    List(Vec<String>),
    Scalar(String),
    Boolean(bool),
    Number(i64),
    Float(f64),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FlagEntry {
    pub(crate) default: bool,
    pub(crate) description: Text,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WordsEntry {
    pub(crate) member: Text,
    pub(crate) members: Text,
    pub(crate) council: Text,
    pub(crate) waitlist: Text,
    pub(crate) stats: Text,
    pub(crate) position: Text,
    pub(crate) threshold: Text,
    pub(crate) leaderboard: Text,
    pub(crate) help: Text,
    pub(crate) verify: Option<Text>,
    pub(crate) welcome: Option<Text>,
    pub(crate) footer: Text,
}

/// `tiers.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tiers {
    pub(crate) rule_sets: Vec<Text>,
    pub(crate) default_rules: Text,
    pub(crate) tiers: Vec<TierEntry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TierEntry {
    pub(crate) id: Text,
    pub(crate) name: Text,
    pub(crate) emoji: Text,
    pub(crate) color: Text,
    pub(crate) description: Text,
    pub(crate) rules: Spanned<BTreeMap<String, Spanned<RuleEntry>>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleEntry {
    pub(crate) ranks: Option<Text>,
    pub(crate) minimum: Option<Text>,
}

/// `badges.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Badges {
    pub(crate) badges: Vec<BadgeEntry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BadgeEntry {
    pub(crate) id: Text,
    pub(crate) name: Text,
    pub(crate) emoji: Text,
    pub(crate) description: Text,
    pub(crate) earned_by: EarnedBy,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EarnedBy {
    TenureDays(Text),
    Reached(Text),
    ActiveDays(Text),
    Former(Text),
    FirstMembers(Text),
    Given,
    Shared,
}

/// `roles.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Roles {
    pub(crate) roles: Vec<RoleEntry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleEntry {
    pub(crate) id: Text,
    pub(crate) name: Text,
    pub(crate) color: Text,
    pub(crate) hoist: Option<Text>,
    pub(crate) mentionable: Option<Text>,
    pub(crate) position: Text,
    #[serde(default)]
    pub(crate) permissions: Vec<Text>,
    pub(crate) given_to: GivenTo,
    pub(crate) flag: Option<Text>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GivenTo {
    Bot,
    ByHand,
    Tier(Text),
    Former(Text),
    Waitlist,
    Badge(Text),
    Badges(Text),
    TenureDays(Text),
}

/// `channels.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Channels {
    #[serde(default)]
    pub(crate) posts: PostsEntry,
    pub(crate) categories: Vec<CategoryEntry>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PostsEntry {
    pub(crate) leaderboard: Option<Text>,
    pub(crate) arrivals: Option<Text>,
    pub(crate) digest: Option<Text>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CategoryEntry {
    pub(crate) id: Text,
    pub(crate) name: Text,
    pub(crate) flag: Option<Text>,
    pub(crate) channels: Vec<ChannelEntry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChannelEntry {
    pub(crate) id: Text,
    /// Name at Discord; the id by default.
    pub(crate) name: Option<Text>,
    pub(crate) kind: KindName,
    pub(crate) topic: Text,
    pub(crate) slow_mode: Option<Text>,
    pub(crate) bitrate: Option<Text>,
    pub(crate) user_limit: Option<Text>,
    #[serde(default)]
    pub(crate) tags: Vec<Text>,
    pub(crate) flag: Option<Text>,
    pub(crate) access: Spanned<AccessEntry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KindName {
    Text,
    Announcement,
    Voice,
    Stage,
    Forum,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessEntry {
    pub(crate) read: Option<Text>,
    pub(crate) write: Option<Text>,
    pub(crate) see: Option<Text>,
    pub(crate) join: Option<Text>,
    pub(crate) speak: Option<Text>,
}

/// `server.yaml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    pub(crate) name: Option<Text>,
    pub(crate) verification_level: Option<Verification>,
    pub(crate) default_notifications: Option<Notifications>,
    pub(crate) explicit_content_filter: Option<ContentFilter>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verification {
    None,
    Low,
    Medium,
    High,
    VeryHigh,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Notifications {
    AllMessages,
    OnlyMentions,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ContentFilter {
    Disabled,
    MembersWithoutRoles,
    AllMembers,
}
