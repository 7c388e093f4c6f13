//! Categories and channels: one struct for all kinds, as at Discord.

mod file;
mod names;
mod overwrites;
mod read;

use arrakis_domain::Permission;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Attributes;
use super::definition::{
    Abilities, Bound, CheckedAt, Definition, Group, Limit, ListRequest, ReadContext, Requirement, Resolve, Sent,
    Violation, Write,
};
use crate::rules;
use crate::values::limits::{BITRATE_BY_LEVEL, DEFAULT_BITRATE, MAX_CHANNELS, MAX_IN_CATEGORY, STAGE_BITRATE};
use crate::values::{
    CATEGORY, Clearable, EMOJI, EmojiReference, Image, ImageAttribute, Kind, Kinds, Overwrites, ROLE, Reference,
    Snowflake, Target,
};
use crate::wire::Unreadable;
use crate::yaml::{Yaml, emoji};

pub(crate) use file::{CategoryEntry, ChannelEntry};
pub use names::{case_folded_name, normalised_name};
pub(crate) use read::{LIST, read};

/// <https://discord.com/developers/docs/resources/channel#channel-object-channel-flags>
pub const FLAG_REQUIRE_TAG: u64 = 1 << 4;
/// The same page.
pub const FLAG_HIDE_DOWNLOAD_OPTIONS: u64 = 1 << 15;

choices! {
    /// Kinds of channels, with Discord's numbers: <https://discord.com/developers/docs/resources/channel#channel-object-channel-types>.
    pub enum ChannelKind {
        /// A text channel.
        Text "text" = 0,
        /// A voice channel.
        Voice "voice" = 2,
        /// A category of channels.
        Category "category" = 4,
        /// An announcement channel, which other servers can follow; requires a community server.
        Announcement "announcement" = 5,
        /// A stage; requires a community server.
        Stage "stage" = 13,
        /// A forum; requires a community server.
        Forum "forum" = 15,
        /// A media channel; requires a community server.
        Media "media" = 16,
    }
}

impl ChannelKind {
    /// Whether the kind requires a community server (errors 50024 and 50035 elsewhere).
    #[must_use]
    pub const fn needs_community(self) -> bool {
        matches!(self, Self::Announcement | Self::Stage | Self::Forum | Self::Media)
    }

    /// Whether it is a voice channel or a stage.
    #[must_use]
    pub const fn is_voice(self) -> bool {
        matches!(self, Self::Voice | Self::Stage)
    }

    /// Whether it contains posts: threads with tags.
    #[must_use]
    pub const fn has_posts(self) -> bool {
        matches!(self, Self::Forum | Self::Media)
    }

    /// Whether Discord stores its names in lower case with dashes.
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

    /// Whether Discord can change a channel of this kind to the other kind in place. Any other change is a replacement,
    /// which deletes the messages.
    #[must_use]
    pub const fn converts_to(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Text, Self::Announcement) | (Self::Announcement, Self::Text)
        )
    }
}

/// A new channel without a kind is a text channel.
impl Default for ChannelKind {
    fn default() -> Self {
        Self::Text
    }
}

choices! {
    /// Inactivity after which a thread is archived. The number is in minutes.
    pub enum AutoArchive {
        /// One hour.
        OneHour "1h" = 60,
        /// One day.
        OneDay "1d" = 1440,
        /// Three days.
        ThreeDays "3d" = 4320,
        /// One week.
        OneWeek "7d" = 10080,
    }
}

choices! {
    /// Video quality of cameras.
    pub enum VideoQuality {
        /// Discord selects the quality.
        Auto "auto" = 1,
        /// 720p.
        Full "full" = 2,
    }
}

choices! {
    /// Initial sort order of posts.
    pub enum SortOrder {
        /// Most recent activity first.
        LatestActivity "latest_activity" = 0,
        /// Most recent creation first.
        CreationDate "creation_date" = 1,
    }
}

choices! {
    /// Initial layout of posts.
    pub enum ForumLayout {
        /// No default.
        NotSet "not_set" = 0,
        /// As a list.
        List "list" = 1,
        /// As tiles.
        Grid "grid" = 2,
    }
}

choices! {
    /// Which posts match several selected tags. The API uses the name.
    pub enum TagMatch {
        /// Posts with all of the tags.
        MatchAll "match_all" = 0,
        /// Posts with at least one of the tags.
        MatchSome "match_some" = 1,
    }
}

/// A tag of a forum or media channel. A configuration identifies tags by name, Discord by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// The id of an existing tag, which posts refer to; `None` in a configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Snowflake>,
    /// The name that Discord shows.
    pub name: String,
    /// Whether only members with `MANAGE_THREADS` can set it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moderated: bool,
    /// The emoji before the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<EmojiReference>,
}

attributes! {
    /// The attributes of a category or a channel. A category has only a name and overwrites.
    pub struct Channel(
        /// The kind of channel.
        kind: ChannelKind
    ) {
        /// The name, as Discord stores it (see [`normalised_name`]).
        name: String,
        /// The category it is in.
        category: Clearable<Reference>,
        /// The topic; the guidelines of a forum. Empty for none.
        topic: String,
        /// Whether the channel is age-restricted.
        nsfw: bool,
        /// Slow mode: seconds between two messages of a member, in a forum between two posts; 0 for none.
        slow_mode: u32,
        /// Bits per second of a voice channel or a stage.
        bitrate: u32,
        /// Maximum number of members in a voice channel or a stage; 0 for no limit.
        user_limit: u32,
        /// The voice region; `none` for automatic selection.
        region: Clearable<String>,
        /// Video quality of cameras.
        video_quality: VideoQuality,
        /// Inactivity after which a new thread is archived; `none` for the default of Discord.
        auto_archive: Clearable<AutoArchive>,
        /// Slow mode of new threads, in seconds.
        thread_slow_mode: u32,
        /// Tags of a forum, in order.
        tags: Vec<Tag>,
        /// Whether a post requires a tag.
        require_tag: bool,
        /// The default reaction of posts.
        default_reaction: Clearable<EmojiReference>,
        /// Initial sort order of posts; `none` for the choice of each member.
        sort_order: Clearable<SortOrder>,
        /// Initial layout of posts.
        layout: ForumLayout,
        /// Which posts match several selected tags; `none` for the default of Discord.
        tag_match: Clearable<TagMatch>,
        /// Whether media have no download options.
        hide_download_options: bool,
        /// Permission overwrites, managed as a whole.
        overwrites: Overwrites,
    }
}

impl Definition for Channel {
    const IMAGE: Option<ImageAttribute> = None;
    const LIST: Option<ListRequest> = None;
    const SHORT_REFERENCES: &'static [(&'static str, &'static str)] = &[("category", "category.")];
    const CONTAINER: Option<&'static str> = Some("category");

    fn of(attributes: &Attributes) -> Option<&Self> {
        attributes.channel()
    }

    fn name(&self) -> Option<&String> {
        self.name.as_ref()
    }

    fn name_mut(&mut self) -> Option<&mut String> {
        self.name.as_mut()
    }

    fn stored_name(&self, name: &str) -> String {
        normalised_name(self.kind, name)
    }

    fn image(&self) -> Option<&Image> {
        None
    }

    fn image_mut(&mut self) -> Option<&mut Option<Image>> {
        None
    }

    fn defaults(&self) -> Self {
        if self.kind == ChannelKind::Category {
            return Self {
                kind: self.kind,
                ..Self::default()
            };
        }
        let mut defaults = Self {
            kind: self.kind,
            name: None,
            category: Some(Clearable::Cleared),
            topic: Some(String::new()),
            nsfw: Some(false),
            slow_mode: Some(0),
            bitrate: Some(DEFAULT_BITRATE),
            user_limit: Some(0),
            region: Some(Clearable::Cleared),
            video_quality: Some(VideoQuality::Auto),
            auto_archive: Some(Clearable::Cleared),
            thread_slow_mode: Some(0),
            tags: Some(Vec::new()),
            require_tag: Some(false),
            default_reaction: Some(Clearable::Cleared),
            sort_order: Some(Clearable::Cleared),
            layout: Some(ForumLayout::NotSet),
            tag_match: Some(Clearable::Cleared),
            hide_download_options: Some(false),
            overwrites: None,
        };
        let absent = Self::FIELDS.iter().filter(|field| !self.kind.has(field));
        absent.for_each(|field| defaults.release(field));
        defaults
    }

    fn references(&self) -> Vec<&Reference> {
        let category = self.category.as_ref().and_then(Clearable::value);
        let reaction = self.default_reaction.as_ref().and_then(Clearable::value);
        let tags = self.tags.iter().flatten().filter_map(|tag| tag.emoji.as_ref());
        let emoji = reaction.into_iter().chain(tags).filter_map(EmojiReference::custom);
        let targets = self.overwrites.iter().flat_map(Overwrites::keys);
        let roles = targets.filter_map(|target| match target {
            Target::Role(role) => Some(role),
            Target::Everyone | Target::Bot | Target::Member(_) => None,
        });
        category.into_iter().chain(emoji).chain(roles).collect()
    }

    fn map_references(&mut self, change: &mut dyn FnMut(Kinds, &mut Reference)) {
        if let Some(Clearable::Set(category)) = &mut self.category {
            change(CATEGORY, category);
        }
        if let Some(Clearable::Set(EmojiReference::Own(emoji))) = &mut self.default_reaction {
            change(EMOJI, emoji);
        }
        for tag in self.tags.iter_mut().flatten() {
            if let Some(emoji) = tag.emoji.as_mut().and_then(EmojiReference::custom_mut) {
                change(EMOJI, emoji);
            }
        }
        let Some(overwrites) = &mut self.overwrites else {
            return;
        };
        let changed = std::mem::take(overwrites).into_iter().map(|(mut target, overwrite)| {
            if let Target::Role(role) = &mut target {
                change(ROLE, role);
            }
            (target, overwrite)
        });
        *overwrites = changed.collect();
    }

    fn remove_references(&mut self, is_gone: &dyn Fn(&Reference) -> bool) -> bool {
        if let Some(category) = &mut self.category
            && category.value().is_some_and(is_gone)
        {
            *category = Clearable::Cleared;
        }
        if let Some(Clearable::Set(EmojiReference::Own(emoji))) = &self.default_reaction
            && is_gone(emoji)
        {
            self.default_reaction = Some(Clearable::Cleared);
        }
        for tag in self.tags.iter_mut().flatten() {
            tag.emoji.take_if(|emoji| emoji.custom().is_some_and(is_gone));
        }
        if let Some(overwrites) = &mut self.overwrites {
            overwrites.retain(|target, _| !matches!(target, Target::Role(role) if is_gone(role)));
        }
        true
    }

    fn forces_replacement(&self, after: &Self) -> Option<&'static str> {
        let is_replaced = self.kind != after.kind && !self.kind.converts_to(after.kind);
        is_replaced.then_some("kind")
    }

    fn is_same_place(&self, found: &Self, resolve: Resolve<'_>) -> bool {
        let category = |channel: &Self| channel.category.as_ref().and_then(Clearable::value).map(resolve);
        let is_same_category = match (category(self), category(found)) {
            (None, None) => true,
            (Some(asked), Some(there)) => asked.is_some() && asked == there,
            _ => false,
        };
        self.kind == found.kind && (self.category.is_none() || is_same_category)
    }

    fn requirements(write: Write<'_, Self>) -> Vec<Requirement> {
        let permissions = [Permission::ManageChannels];
        match write {
            Write::Create(_) => Requirement::on_server(&permissions),
            Write::Update { .. } | Write::Delete { .. } => vec![Requirement {
                permissions: permissions.to_vec(),
                at: CheckedAt::Itself,
            }],
        }
    }

    fn limits(&self, resolve: Resolve<'_>) -> Vec<Limit> {
        let category = self.category.as_ref().and_then(Clearable::value).and_then(resolve);
        let in_category = category.map(|category| Limit {
            kind: Kind::Channel,
            group: Group::Within(category),
        });
        [Some(Limit::all(Kind::Channel)), in_category]
            .into_iter()
            .flatten()
            .collect()
    }

    fn bound(group: Group, _: u8) -> Bound {
        match group {
            Group::Within(_) => Bound {
                most: MAX_IN_CATEGORY,
                what: "channels",
                rule: rules::CATEGORY_LIMIT,
                what_to_do: "put some of them into another category",
            },
            _ => Bound {
                most: MAX_CHANNELS,
                what: "channels and categories",
                rule: rules::CHANNELS_LIMIT,
                what_to_do: "remove channels from the server or from the configuration",
            },
        }
    }

    fn violations(&self, sent: Sent<'_>, server: &Abilities<'_>) -> Vec<Violation> {
        let level = usize::from(server.boost_level).min(3);
        let most = match self.kind {
            ChannelKind::Stage => STAGE_BITRATE,
            _ if server.features.contains("VIP_REGIONS") => BITRATE_BY_LEVEL[3],
            _ => BITRATE_BY_LEVEL[level],
        };
        let asked = self
            .bitrate
            .filter(|bitrate| sent.has("bitrate") && self.kind.is_voice() && *bitrate > most);
        let violation = asked.map(|bitrate| Violation {
            rule: rules::BITRATE,
            what: format!(
                "{{}} has a bitrate of {bitrate}, above the maximum of {most} for {} channels at boost level {level}",
                self.kind
            ),
            what_to_do: format!("write `bitrate: {most}` or less, or boost the server"),
        });
        violation.into_iter().collect()
    }

    fn written(&self, field: &str, synced_with: Option<&Overwrites>) -> Option<Vec<(String, Yaml)>> {
        match field {
            // A kind under `categories` is not written, nor is text, the default of `channels`.
            "kind" => matches!(self.kind, ChannelKind::Category | ChannelKind::Text).then(Vec::new),
            "overwrites" => {
                let overwrites = self.overwrites.as_ref()?;
                let value = match synced_with == Some(overwrites) {
                    true => Yaml::text("synced"),
                    false => overwrites::written(overwrites),
                };
                Some(vec![(field.to_owned(), value)])
            }
            "tags" => {
                let tags = self.tags.iter().flatten().map(written_tag);
                Some(vec![(field.to_owned(), Yaml::List(tags.collect()))])
            }
            _ => None,
        }
    }

    fn read_answer(answer: &Value, server: ReadContext<'_>) -> Result<Option<Attributes>, Unreadable> {
        let list = json!([answer]);
        let found = read("PATCH /channels/{id}", &list, server.guild, &mut Vec::new())?.known;
        Ok(found.into_iter().next().map(|found| found.attributes))
    }
}

/// A tag as a file has it.
fn written_tag(tag: &Tag) -> Yaml {
    let mut fields = vec![("name".to_owned(), Yaml::text(&tag.name))];
    if tag.moderated {
        fields.push(("moderated".to_owned(), Yaml::Plain("true".to_owned())));
    }
    fields.extend(emoji(tag.emoji.as_ref()));
    Yaml::Map(fields)
}
