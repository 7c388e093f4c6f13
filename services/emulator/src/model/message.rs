//! Messages. <https://discord.com/developers/docs/resources/message#message-object>
//!
//! A message's JSON includes users, so `State::message_view` renders it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Id, Timestamp};

/// `flags` bit: only one user sees it.
pub const FLAG_EPHEMERAL: u64 = 1 << 6;
/// `flags` bit: an interaction's "thinking…".
pub const FLAG_LOADING: u64 = 1 << 7;
/// `flags` bit: components of the second version.
pub const FLAG_COMPONENTS_V2: u64 = 1 << 15;
/// `flags` bit: embeds are hidden.
pub const FLAG_SUPPRESS_EMBEDS: u64 = 1 << 2;
/// `flags` bit: it forwards another message.
pub const FLAG_HAS_SNAPSHOT: u64 = 1 << 14;
/// `flags` bit: no push notification.
pub const FLAG_SUPPRESS_NOTIFICATIONS: u64 = 1 << 12;

/// Author of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Author {
    /// A user or the bot.
    User(Id),
    /// A webhook, with the name of this message.
    Webhook {
        /// The webhook.
        id: Id,
        /// Display name.
        name: String,
        /// Avatar hash.
        avatar: Option<String>,
    },
}

impl Author {
    /// The user or webhook.
    #[must_use]
    pub const fn id(&self) -> Id {
        match self {
            Self::User(id) | Self::Webhook { id, .. } => *id,
        }
    }
}

/// A message of a channel.
#[derive(Clone, Debug)]
pub struct Message {
    /// Snowflake of the message.
    pub id: Id,
    /// Channel.
    pub channel_id: Id,
    /// Server, `None` in direct messages.
    pub guild_id: Option<Id>,
    /// Author.
    pub author: Author,
    /// Text, up to 2,000 characters.
    pub content: String,
    /// Time of sending.
    pub timestamp: Timestamp,
    /// Time of the last edit.
    pub edited_timestamp: Option<Timestamp>,
    /// Text to speech.
    pub tts: bool,
    /// Whether it mentions everyone.
    pub mention_everyone: bool,
    /// Users that it mentions.
    pub mentions: Vec<Id>,
    /// Roles that it mentions.
    pub mention_roles: Vec<Id>,
    /// Attachments.
    pub attachments: Vec<Attachment>,
    /// Up to ten embeds.
    pub embeds: Vec<Embed>,
    /// Reactions.
    pub reactions: Vec<Reaction>,
    /// Whether it is pinned.
    pub pinned: bool,
    /// Discord's message type: 0 default, 7 join, 19 reply, 20 command answer.
    pub kind: u8,
    /// Application that sent it, for answers to interactions and webhooks of applications.
    pub application_id: Option<Id>,
    /// Reference to the message that it replies to or forwards.
    pub message_reference: Option<Value>,
    /// The forwarded message at that time, in the form of `message_snapshots`.
    pub snapshot: Option<Value>,
    /// Bit set; see the constants here.
    pub flags: u64,
    /// Interaction that it answers, as `interaction_metadata`.
    pub interaction_metadata: Option<Value>,
    /// Components as validated by REST.
    pub components: Vec<Value>,
    /// Nonce of the sender.
    pub nonce: Option<Value>,
    /// Emulator only: the user who sees an ephemeral message.
    pub visible_to: Option<Id>,
}

impl Message {
    /// A plain text message.
    #[must_use]
    pub fn text(id: Id, channel_id: Id, guild_id: Option<Id>, author: Author, content: &str, at: Timestamp) -> Self {
        Self {
            id,
            channel_id,
            guild_id,
            author,
            content: content.to_owned(),
            timestamp: at,
            edited_timestamp: None,
            tts: false,
            mention_everyone: false,
            mentions: Vec::new(),
            mention_roles: Vec::new(),
            attachments: Vec::new(),
            embeds: Vec::new(),
            reactions: Vec::new(),
            pinned: false,
            kind: 0,
            application_id: None,
            message_reference: None,
            snapshot: None,
            flags: 0,
            interaction_metadata: None,
            components: Vec::new(),
            nonce: None,
            visible_to: None,
        }
    }

    /// Whether only one user sees it.
    #[must_use]
    pub const fn is_ephemeral(&self) -> bool {
        self.flags & FLAG_EPHEMERAL != 0
    }
}

/// A file of a message. The state has its bytes, by id.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attachment {
    /// Snowflake of the file.
    pub id: Id,
    /// Name with extension.
    pub filename: String,
    /// Alternative text, up to 1,024 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Media type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Size in bytes.
    pub size: usize,
    /// URL.
    pub url: String,
    /// URL at Discord's media proxy.
    pub proxy_url: String,
    /// Pixels, for images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels, for images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Whether the message is ephemeral.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ephemeral: bool,
}

/// An emoji under a message, with the users who reacted.
#[derive(Clone, Debug, PartialEq)]
pub struct Reaction {
    /// `{"id": null or snowflake, "name": …}`.
    pub emoji: Value,
    /// Users, in the order of reacting.
    pub users: Vec<Id>,
}

/// An embed. <https://discord.com/developers/docs/resources/message#embed-object>
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are Discord's own, documented at the link")]
pub struct Embed {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Always `rich` for bots.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub footer: Option<EmbedFooter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<EmbedMedia>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<EmbedMedia>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<EmbedAuthor>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<EmbedField>,
}

/// Footer of an embed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are Discord's own")]
pub struct EmbedFooter {
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon_url: Option<String>,
}

/// Image or thumbnail of an embed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are Discord's own")]
pub struct EmbedMedia {
    pub url: String,
    /// The alternative text of the attachment that is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// Author line of an embed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are Discord's own")]
pub struct EmbedAuthor {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon_url: Option<String>,
}

/// A name and a value side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are Discord's own")]
pub struct EmbedField {
    pub name: String,
    pub value: String,
    #[serde(default)]
    pub inline: bool,
}
