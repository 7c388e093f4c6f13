//! Channels of every kind. <https://discord.com/developers/docs/resources/channel#channel-object>

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use super::{Id, Permissions, Timestamp};

/// Type of a channel; the number is Discord's `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ChannelKind {
    /// Text channel of a server.
    Text = 0,
    /// Direct message between a user and the bot.
    Dm = 1,
    /// Voice channel of a server.
    Voice = 2,
    /// A category of channels.
    Category = 4,
    /// An announcement channel; community servers only.
    Announcement = 5,
    /// A thread in an announcement channel.
    AnnouncementThread = 10,
    /// A public thread.
    PublicThread = 11,
    /// A private thread.
    PrivateThread = 12,
    /// A stage; community servers only.
    Stage = 13,
    /// A forum; community servers only.
    Forum = 15,
    /// A media forum; community servers only.
    Media = 16,
}

impl ChannelKind {
    /// The type with this number of Discord's; `None` when the emulator does not have it.
    #[must_use]
    pub const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::Text,
            1 => Self::Dm,
            2 => Self::Voice,
            4 => Self::Category,
            5 => Self::Announcement,
            10 => Self::AnnouncementThread,
            11 => Self::PublicThread,
            12 => Self::PrivateThread,
            13 => Self::Stage,
            15 => Self::Forum,
            16 => Self::Media,
            _ => return None,
        })
    }

    /// Discord's number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Whether it is a thread.
    #[must_use]
    pub const fn is_thread(self) -> bool {
        matches!(
            self,
            Self::AnnouncementThread | Self::PublicThread | Self::PrivateThread
        )
    }

    /// Whether messages can be sent here (voice and stage channels have a chat of their own).
    #[must_use]
    pub const fn holds_messages(self) -> bool {
        !matches!(self, Self::Category | Self::Forum | Self::Media)
    }

    /// Whether it is a voice or stage channel.
    #[must_use]
    pub const fn is_voice(self) -> bool {
        matches!(self, Self::Voice | Self::Stage)
    }

    /// Whether it is a forum or media channel.
    #[must_use]
    pub const fn is_forum(self) -> bool {
        matches!(self, Self::Forum | Self::Media)
    }
}

impl Serialize for ChannelKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.number())
    }
}

/// Target type of an overwrite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverwriteKind {
    /// A role.
    Role,
    /// One member.
    Member,
}

/// A permission overwrite of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overwrite {
    /// Role or user.
    pub id: Id,
    /// Type of the target.
    pub kind: OverwriteKind,
    /// Allowed permissions.
    pub allow: Permissions,
    /// Denied permissions.
    pub deny: Permissions,
}

impl Serialize for Overwrite {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(Some(4))?;
        out.serialize_entry("id", &self.id)?;
        out.serialize_entry("type", &u8::from(self.kind == OverwriteKind::Member))?;
        out.serialize_entry("allow", &self.allow)?;
        out.serialize_entry("deny", &self.deny)?;
        out.end()
    }
}

/// A tag of a forum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForumTag {
    /// Snowflake of the tag.
    #[serde(default)]
    pub id: Id,
    /// 0–20 characters.
    pub name: String,
    /// Whether only moderators may use it.
    #[serde(default)]
    pub moderated: bool,
    /// Custom emoji, if any.
    #[serde(default)]
    pub emoji_id: Option<Id>,
    /// Unicode emoji, if any.
    #[serde(default)]
    pub emoji_name: Option<String>,
}

/// A member of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadMember {
    /// The user.
    pub user_id: Id,
    /// Time of joining.
    pub joined: Timestamp,
}

/// Fields of threads.
#[derive(Clone, Debug, PartialEq)]
pub struct ThreadState {
    /// User who started it.
    pub owner_id: Id,
    /// Whether it is archived.
    pub archived: bool,
    /// Minutes without a message until it is archived.
    pub auto_archive_duration: u32,
    /// Time of the last change of `archived`.
    pub archive_timestamp: Timestamp,
    /// Whether it is locked: only moderators may unarchive it.
    pub locked: bool,
    /// Whether members may add others (private threads).
    pub invitable: bool,
    /// Time of creation.
    pub create_timestamp: Timestamp,
    /// Tags of a forum post.
    pub applied_tags: Vec<Id>,
    /// Members, in the order of joining.
    pub members: Vec<ThreadMember>,
    /// Number of messages, without the first.
    pub message_count: u64,
}

impl ThreadState {
    /// Membership of this user.
    #[must_use]
    pub fn member(&self, user: Id) -> Option<&ThreadMember> {
        self.members.iter().find(|member| member.user_id == user)
    }
}

/// A channel. Fields that its kind does not have keep their defaults and are not serialised.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    /// Snowflake of the channel.
    pub id: Id,
    /// Type.
    pub kind: ChannelKind,
    /// Server; `None` for direct messages.
    pub guild_id: Option<Id>,
    /// 1–100 characters; text-like ones lower case with dashes.
    pub name: String,
    /// Position among channels of its type and category.
    pub position: i64,
    /// Category, or the channel of a thread.
    pub parent_id: Option<Id>,
    /// Up to 1,024 characters (forums 4,096).
    pub topic: Option<String>,
    /// Age restricted.
    pub nsfw: bool,
    /// Slow mode in seconds.
    pub rate_limit_per_user: u32,
    /// Permission overwrites.
    pub permission_overwrites: Vec<Overwrite>,
    /// Newest message.
    pub last_message_id: Option<Id>,
    /// Newest pin.
    pub last_pin_timestamp: Option<Timestamp>,
    /// Bitrate of voice in bits a second.
    pub bitrate: u32,
    /// User limit of voice; 0 is no limit.
    pub user_limit: u32,
    /// Region of voice; `None` is automatic.
    pub rtc_region: Option<String>,
    /// 1 automatic, 2 full.
    pub video_quality_mode: Option<u8>,
    /// Minutes, default for new threads.
    pub default_auto_archive_duration: Option<u32>,
    /// Slow mode of new threads.
    pub default_thread_rate_limit_per_user: Option<u32>,
    /// Bit set.
    pub flags: u64,
    /// Tags of a forum.
    pub available_tags: Vec<ForumTag>,
    /// Default reaction of a forum's posts.
    pub default_reaction_emoji: Option<Value>,
    /// How tags are combined when a forum's posts are searched: `match_all` or `match_some`.
    pub default_tag_setting: Option<String>,
    /// Order of a forum's posts.
    pub default_sort_order: Option<u8>,
    /// Layout of a forum.
    pub default_forum_layout: Option<u8>,
    /// Recipients of a direct message, without the bot.
    pub recipients: Vec<Id>,
    /// Fields of threads.
    pub thread: Option<ThreadState>,
}

impl Channel {
    /// A channel of a server with default values.
    #[must_use]
    pub fn named(id: Id, guild: Id, kind: ChannelKind, name: &str) -> Self {
        Self {
            guild_id: Some(guild),
            name: name.to_owned(),
            ..Self::empty(id, kind)
        }
    }

    /// The direct-message channel with one user.
    #[must_use]
    pub fn dm(id: Id, with: Id) -> Self {
        Self {
            recipients: vec![with],
            ..Self::empty(id, ChannelKind::Dm)
        }
    }

    fn empty(id: Id, kind: ChannelKind) -> Self {
        Self {
            id,
            kind,
            guild_id: None,
            name: String::new(),
            position: 0,
            parent_id: None,
            topic: None,
            nsfw: false,
            rate_limit_per_user: 0,
            permission_overwrites: Vec::new(),
            last_message_id: None,
            last_pin_timestamp: None,
            bitrate: 64_000,
            user_limit: 0,
            rtc_region: None,
            video_quality_mode: None,
            default_auto_archive_duration: None,
            default_thread_rate_limit_per_user: None,
            flags: 0,
            available_tags: Vec::new(),
            default_tag_setting: None,
            default_reaction_emoji: None,
            default_sort_order: None,
            default_forum_layout: None,
            recipients: Vec::new(),
            thread: None,
        }
    }
}

/// The JSON of a server channel. `State::channel_view` renders direct messages, which include users.
impl Serialize for Channel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = self.kind;
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("id", &self.id)?;
        out.serialize_entry("type", &kind)?;
        out.serialize_entry("flags", &self.flags)?;
        if let Some(guild) = self.guild_id {
            out.serialize_entry("guild_id", &guild)?;
            out.serialize_entry("name", &self.name)?;
            out.serialize_entry("parent_id", &self.parent_id)?;
        }
        if kind != ChannelKind::Category {
            out.serialize_entry("last_message_id", &self.last_message_id)?;
        }
        if let Some(thread) = &self.thread {
            serialize_thread(&mut out, self, thread)?;
        } else if self.guild_id.is_some() {
            out.serialize_entry("position", &self.position)?;
            out.serialize_entry("permission_overwrites", &self.permission_overwrites)?;
            if kind != ChannelKind::Category {
                out.serialize_entry("nsfw", &self.nsfw)?;
                out.serialize_entry("rate_limit_per_user", &self.rate_limit_per_user)?;
            }
            serialize_kind(&mut out, self)?;
        }
        out.end()
    }
}

fn serialize_kind<M: SerializeMap>(out: &mut M, channel: &Channel) -> Result<(), M::Error> {
    let kind = channel.kind;
    if kind.is_voice() {
        out.serialize_entry("bitrate", &channel.bitrate)?;
        out.serialize_entry("user_limit", &channel.user_limit)?;
        out.serialize_entry("rtc_region", &channel.rtc_region)?;
        if let Some(mode) = channel.video_quality_mode {
            out.serialize_entry("video_quality_mode", &mode)?;
        }
    }
    if matches!(kind, ChannelKind::Text | ChannelKind::Announcement) || kind.is_forum() {
        out.serialize_entry("topic", &channel.topic)?;
        if let Some(minutes) = channel.default_auto_archive_duration {
            out.serialize_entry("default_auto_archive_duration", &minutes)?;
        }
        if let Some(seconds) = channel.default_thread_rate_limit_per_user {
            out.serialize_entry("default_thread_rate_limit_per_user", &seconds)?;
        }
    }
    if matches!(kind, ChannelKind::Text | ChannelKind::Announcement) {
        out.serialize_entry("last_pin_timestamp", &channel.last_pin_timestamp)?;
    }
    if kind == ChannelKind::Stage {
        out.serialize_entry("topic", &channel.topic)?;
    }
    if kind.is_forum() {
        out.serialize_entry("available_tags", &channel.available_tags)?;
        out.serialize_entry("default_reaction_emoji", &channel.default_reaction_emoji)?;
        if let Some(setting) = &channel.default_tag_setting {
            out.serialize_entry("default_tag_setting", setting)?;
        }
        out.serialize_entry("default_sort_order", &channel.default_sort_order)?;
        out.serialize_entry("default_forum_layout", &channel.default_forum_layout.unwrap_or(0))?;
    }
    Ok(())
}

fn serialize_thread<M: SerializeMap>(out: &mut M, channel: &Channel, thread: &ThreadState) -> Result<(), M::Error> {
    out.serialize_entry("owner_id", &thread.owner_id)?;
    out.serialize_entry("rate_limit_per_user", &channel.rate_limit_per_user)?;
    out.serialize_entry("message_count", &thread.message_count)?;
    out.serialize_entry("total_message_sent", &thread.message_count)?;
    out.serialize_entry("member_count", &thread.members.len().min(50))?;
    out.serialize_entry("applied_tags", &thread.applied_tags)?;
    let mut metadata = serde_json::json!({
        "archived": thread.archived,
        "auto_archive_duration": thread.auto_archive_duration,
        "archive_timestamp": thread.archive_timestamp,
        "locked": thread.locked,
        "create_timestamp": thread.create_timestamp,
    });
    if channel.kind == ChannelKind::PrivateThread {
        metadata["invitable"] = thread.invitable.into();
    }
    out.serialize_entry("thread_metadata", &metadata)
}
