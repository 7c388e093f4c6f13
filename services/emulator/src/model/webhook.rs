//! Webhooks. <https://discord.com/developers/docs/resources/webhook#webhook-object>

use serde::Serialize;

use super::Id;

/// A webhook of a channel. REST adds `user` and `url`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Webhook {
    /// Snowflake of the webhook.
    pub id: Id,
    /// 1 incoming, 2 channel follower, 3 application.
    #[serde(rename = "type")]
    pub kind: u8,
    /// Server.
    pub guild_id: Id,
    /// Channel.
    pub channel_id: Id,
    /// User who created it; REST renders it as `user`.
    #[serde(skip)]
    pub user_id: Id,
    /// 1–80 characters.
    pub name: Option<String>,
    /// Hash of the avatar.
    pub avatar: Option<String>,
    /// Token for sending messages.
    pub token: String,
    /// Application that created it.
    pub application_id: Option<Id>,
}
