//! The audit log. <https://discord.com/developers/docs/resources/audit-log#audit-log-entry-object>

use serde::Serialize;
use serde_json::Value;

use super::Id;

/// Type of an audit log entry; the number is Discord's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
#[expect(missing_docs, reason = "the names are those of Discord's table of audit log events")]
pub enum AuditAction {
    GuildUpdate = 1,
    ChannelCreate = 10,
    ChannelUpdate = 11,
    ChannelDelete = 12,
    ChannelOverwriteCreate = 13,
    ChannelOverwriteUpdate = 14,
    ChannelOverwriteDelete = 15,
    MemberKick = 20,
    MemberPrune = 21,
    MemberBanAdd = 22,
    MemberBanRemove = 23,
    MemberUpdate = 24,
    MemberRoleUpdate = 25,
    MemberMove = 26,
    MemberDisconnect = 27,
    BotAdd = 28,
    RoleCreate = 30,
    RoleUpdate = 31,
    RoleDelete = 32,
    WebhookCreate = 50,
    WebhookUpdate = 51,
    WebhookDelete = 52,
    EmojiCreate = 60,
    EmojiUpdate = 61,
    EmojiDelete = 62,
    MessageDelete = 72,
    MessageBulkDelete = 73,
    MessagePin = 74,
    MessageUnpin = 75,
    StickerCreate = 90,
    StickerUpdate = 91,
    StickerDelete = 92,
    GuildScheduledEventCreate = 100,
    GuildScheduledEventUpdate = 101,
    GuildScheduledEventDelete = 102,
    ThreadCreate = 110,
    ThreadUpdate = 111,
    ThreadDelete = 112,
    ApplicationCommandPermissionUpdate = 121,
    AutoModerationRuleCreate = 140,
    AutoModerationRuleUpdate = 141,
    AutoModerationRuleDelete = 142,
    OnboardingUpdate = 167,
}

impl Serialize for AuditAction {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(*self as u16)
    }
}

/// One field that changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Field, or `$add` / `$remove` for a member's roles.
    pub key: String,
    /// Value before the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_value: Option<Value>,
    /// Value after the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_value: Option<Value>,
}

/// One entry of a server's audit log.
#[derive(Clone, Debug, Serialize)]
pub struct AuditEntry {
    /// Snowflake of the entry.
    pub id: Id,
    /// User who made the change.
    pub user_id: Id,
    /// Object that was changed.
    pub target_id: Option<Id>,
    /// Type of the change.
    pub action_type: AuditAction,
    /// Changed fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// Further data of some types, e.g. channel and count of deleted messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Value>,
    /// `X-Audit-Log-Reason`, decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
