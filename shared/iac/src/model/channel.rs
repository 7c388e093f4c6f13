//! Categories and channels: one struct for all kinds, as at Discord.

use serde::{Deserialize, Serialize};

use super::{Clearable, EmojiReference, Overwrites, Reference, Snowflake};

choices! {
    /// Kinds of channels, with Discord's numbers: <https://discord.com/developers/docs/resources/channel#channel-object-channel-types>.
    pub enum ChannelKind {
        /// Messages.
        Text "text" = 0,
        /// Voices.
        Voice "voice" = 2,
        /// A heading over channels.
        Category "category" = 4,
        /// Messages that other servers may follow; needs a community server.
        Announcement "announcement" = 5,
        /// A stage; needs a community server.
        Stage "stage" = 13,
        /// Posts under tags; needs a community server.
        Forum "forum" = 15,
        /// Posts with media; needs a community server.
        Media "media" = 16,
    }
}

impl ChannelKind {
    /// Whether Discord makes this kind only on a community server (errors 50024 and 50035 elsewhere).
    #[must_use]
    pub const fn needs_community(self) -> bool {
        matches!(self, Self::Announcement | Self::Stage | Self::Forum | Self::Media)
    }

    /// Whether it is for voices.
    #[must_use]
    pub const fn is_voice(self) -> bool {
        matches!(self, Self::Voice | Self::Stage)
    }

    /// Whether it holds posts: threads under tags.
    #[must_use]
    pub const fn has_posts(self) -> bool {
        matches!(self, Self::Forum | Self::Media)
    }

    /// Whether Discord writes its names in lower case with dashes.
    #[must_use]
    pub const fn normalises_names(self) -> bool {
        matches!(self, Self::Text | Self::Announcement | Self::Forum | Self::Media)
    }

    /// Whether channels of this kind have the attribute of this name (see [`Channel::FIELDS`]).
    #[must_use]
    pub fn has(self, attribute: &str) -> bool {
        match attribute {
            "category" | "nsfw" => self != Self::Category,
            "topic" | "auto_archive" | "thread_slow_mode" => !self.is_voice() && self != Self::Category,
            "slow_mode" => !matches!(self, Self::Announcement | Self::Category),
            "bitrate" | "user_limit" | "region" | "video_quality" => self.is_voice(),
            "tags" | "require_tag" | "default_reaction" | "sort_order" | "tag_match" => self.has_posts(),
            "layout" => self == Self::Forum,
            "hide_download_options" => self == Self::Media,
            _ => true,
        }
    }

    /// Whether Discord turns this kind into that one in place. Any other change is a replacement and loses the messages.
    #[must_use]
    pub const fn converts_to(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Text, Self::Announcement) | (Self::Announcement, Self::Text)
        )
    }
}

/// A new channel is text when nothing is said.
impl Default for ChannelKind {
    fn default() -> Self {
        Self::Text
    }
}

choices! {
    /// After how long without messages a thread is archived. The number is in minutes.
    pub enum AutoArchive {
        /// An hour.
        OneHour "1h" = 60,
        /// A day.
        OneDay "1d" = 1440,
        /// Three days.
        ThreeDays "3d" = 4320,
        /// A week.
        OneWeek "7d" = 10080,
    }
}

choices! {
    /// How good the pictures of cameras are.
    pub enum VideoQuality {
        /// Discord chooses.
        Auto "auto" = 1,
        /// 720p.
        Full "full" = 2,
    }
}

choices! {
    /// How posts are sorted at first.
    pub enum SortOrder {
        /// The last written in first.
        LatestActivity "latest_activity" = 0,
        /// The newest first.
        CreationDate "creation_date" = 1,
    }
}

choices! {
    /// How posts are shown at first.
    pub enum ForumLayout {
        /// Nothing is said.
        NotSet "not_set" = 0,
        /// As a list.
        List "list" = 1,
        /// As tiles.
        Grid "grid" = 2,
    }
}

choices! {
    /// Which posts several chosen tags show. Discord writes the name.
    pub enum TagMatch {
        /// Those with all of them.
        MatchAll "match_all" = 0,
        /// Those with any of them.
        MatchSome "match_some" = 1,
    }
}

/// A tag that posts may have. A configuration tells tags apart by name, Discord by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// Discord's id, by which posts refer to it. Known of tags that exist; a configuration has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Snowflake>,
    /// What is shown.
    pub name: String,
    /// Only those who manage threads may set it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moderated: bool,
    /// Shown before the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<EmojiReference>,
}

attributes! {
    /// A category or a channel. A category has name and overwrites alone.
    pub struct Channel(
        /// What it is.
        kind: ChannelKind
    ) {
        /// What Discord shows, as Discord writes it (see [`super::normalised_name`]).
        name: String,
        /// The category it is in.
        category: Clearable<Reference>,
        /// What it is for; the guidelines of a forum. Empty for none.
        topic: String,
        /// For adults alone.
        nsfw: bool,
        /// Seconds between two messages of one member; between two posts in a forum. 0 for none.
        slow_mode: u32,
        /// Bits per second of a voice channel or a stage.
        bitrate: u32,
        /// Most members at once in a voice channel or a stage; 0 for no limit.
        user_limit: u32,
        /// The voice region; `none` lets Discord choose.
        region: Clearable<String>,
        /// How good the pictures of cameras are.
        video_quality: VideoQuality,
        /// After how long a new thread is archived; `none` leaves it to Discord.
        auto_archive: Clearable<AutoArchive>,
        /// Slow mode of new threads, in seconds.
        thread_slow_mode: u32,
        /// Tags of a forum, in order.
        tags: Vec<Tag>,
        /// A post needs a tag.
        require_tag: bool,
        /// The emoji of the button under a post.
        default_reaction: Clearable<EmojiReference>,
        /// How posts are sorted at first; `none` leaves it to each member.
        sort_order: Clearable<SortOrder>,
        /// How posts are shown at first.
        layout: ForumLayout,
        /// Which posts several chosen tags show; `none` leaves it to Discord.
        tag_match: Clearable<TagMatch>,
        /// Media are shown without buttons to download them.
        hide_download_options: bool,
        /// Who may do what, other than everywhere; all of it when given.
        overwrites: Overwrites,
    }
}
