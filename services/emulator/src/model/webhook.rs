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
    /// Its server.
    pub guild_id: Id,
    /// Where it posts.
    pub channel_id: Id,
    /// Who made it; rendered as `user` by REST.
    #[serde(skip)]
    pub user_id: Id,
    /// 1–80 characters.
    pub name: Option<String>,
    /// Hash of the avatar.
    pub avatar: Option<String>,
    /// Whoever has it may post.
    pub token: String,
    /// The application that made it.
    pub application_id: Option<Id>,
}
