//! Rules of auto moderation. <https://discord.com/developers/docs/resources/auto-moderation#auto-moderation-rule-object>

use serde::Serialize;
use serde_json::Value;

use super::Id;

/// A rule. Metadata and actions have Discord's own JSON form, as the form reader built them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AutomodRule {
    /// Snowflake of the rule.
    pub id: Id,
    /// Server of the rule.
    pub guild_id: Id,
    /// User who created it.
    pub creator_id: Id,
    /// Name.
    pub name: String,
    /// 1 message sent, 2 member joined or changed.
    pub event_type: u8,
    /// 1 keyword, 3 spam, 4 Discord's lists, 5 mentions, 6 profile. It cannot be changed.
    pub trigger_type: u8,
    /// Metadata of the trigger.
    pub trigger_metadata: Value,
    /// Actions.
    pub actions: Vec<Value>,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Roles that are exempt.
    pub exempt_roles: Vec<Id>,
    /// Channels that are exempt.
    pub exempt_channels: Vec<Id>,
}
