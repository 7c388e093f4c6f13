//! Rules of auto moderation. <https://discord.com/developers/docs/resources/auto-moderation#auto-moderation-rule-object>

use serde::Serialize;
use serde_json::Value;

use super::Id;

/// A rule. Metadata and actions are kept in Discord's own shape, as the form reader made them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AutomodRule {
    /// Snowflake of the rule.
    pub id: Id,
    /// Its server.
    pub guild_id: Id,
    /// Who made it.
    pub creator_id: Id,
    /// What moderators read.
    pub name: String,
    /// 1 a message is sent, 2 a member joins or changes.
    pub event_type: u8,
    /// 1 keyword, 3 spam, 4 Discord's lists, 5 mentions, 6 profile. Never changes.
    pub trigger_type: u8,
    /// What the trigger looks for.
    pub trigger_metadata: Value,
    /// What happens.
    pub actions: Vec<Value>,
    /// Whether it works.
    pub enabled: bool,
    /// Whom it does not bind.
    pub exempt_roles: Vec<Id>,
    /// Where it does not look.
    pub exempt_channels: Vec<Id>,
}
