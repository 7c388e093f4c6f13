//! Categories and channels in a file: how they are read.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::overwrites::{self, OverwritesEntry};
use super::{AutoArchive, Channel, ChannelKind, ForumLayout, SortOrder, Tag, TagMatch, VideoQuality, normalised_name};
use crate::kinds::Attributes;
use crate::kinds::draft::{Draft, Section, present, resource_entry};
use crate::values::limits::{MAX_TAGS, STAGE_BITRATE, TOPIC, USER_LIMIT};
use crate::values::{Address, Clearable, EmojiReference, Kind, Overwrites, Reference, RulePart};
use crate::yaml::reader::{At, FromNode, Reader};
use crate::yaml::scalar::{
    EmojiLink, Limited, Link, List, Named, Number, OrNone, Pick, Text, Truth, inline_schema, or_variable,
};
use crate::yaml::tree::{Mark, Node};
use crate::yaml::{KnownAddresses, entries};

document! {
    /// A category.
    pub(crate) struct CategoryEntry {
        /// The name that Discord shows; the logical name when absent.
        name: Limited<1, 100>,
        /// Permission overwrites.
        overwrites: OverwritesEntry,
        /// Attributes that are not managed, also where `defaults` or a theme contain them.
        unmanaged: List<Text<1, 50>>,
        /// The flag that removes it and its channels from the configuration while the flag is off.
        flag: Text<1, 50>,
        /// The category directly above, where the order of the file is not the intended one.
        after: Link,
        /// The category directly below, where the order of the file is not the intended one.
        before: Link,
        /// Its channels by logical name, from the top.
        channels: Named<ChannelEntry>,
    }
}

document! {
    /// A channel.
    pub(crate) struct ChannelEntry {
        /// The kind; `text` when absent.
        kind: ListedKind,
        /// The name that Discord shows; the logical name when absent.
        name: Limited<1, 100>,
        /// The category, or `none`; for a channel that is not under a category of this file.
        category: OrNone<Link>,
        /// The topic; the guidelines of a forum.
        topic: Limited<0, 4096>,
        /// Whether the channel is age-restricted.
        nsfw: Truth,
        /// Slow mode: seconds between two messages or posts of a member; 0 for none.
        slow_mode: Number<0, 21600>,
        /// Bits per second of a voice channel (up to 96000, more on boosted servers) or a stage (up to 64000).
        bitrate: Number<8000, 384000>,
        /// Maximum number of members; 0 for no limit. Up to 99 in a voice channel, 10000 on a stage.
        user_limit: Number<0, 10000>,
        /// The voice region; `none` for automatic selection.
        region: OrNone<Limited<1, 100>>,
        /// Video quality of cameras.
        video_quality: Pick<VideoQuality>,
        /// Inactivity after which a thread is archived; `none` for the default of Discord.
        auto_archive: OrNone<Pick<AutoArchive>>,
        /// Slow mode of new threads, in seconds.
        thread_slow_mode: Number<0, 21600>,
        /// Tags of a forum or a media channel.
        tags: List<TagEntry>,
        /// Whether a post requires a tag.
        require_tag: Truth,
        /// The default reaction of posts, or `none`.
        default_reaction: OrNone<EmojiLink>,
        /// Initial sort order of posts, or `none`.
        sort_order: OrNone<Pick<SortOrder>>,
        /// Initial layout of the posts of a forum.
        layout: Pick<ForumLayout>,
        /// Which posts match several selected tags; `none` for the default of Discord.
        tag_match: OrNone<Pick<TagMatch>>,
        /// Whether media have no download options.
        hide_download_options: Truth,
        /// Permission overwrites; `synced` for those of the category.
        overwrites: OverwritesEntry,
        /// Attributes that are not managed, also where `defaults` or a theme contain them.
        unmanaged: List<Text<1, 50>>,
        /// The flag that removes it from the configuration while the flag is off.
        flag: Text<1, 50>,
        /// The channel directly above, where the order of the file is not the intended one.
        after: Link,
        /// The channel directly below, where the order of the file is not the intended one.
        before: Link,
    }
}

document! {
    /// A tag for posts.
    pub(crate) struct TagEntry {
        /// The name that Discord shows.
        name: Limited<1, 50>,
        /// Whether only members with `MANAGE_THREADS` can set it.
        moderated: Truth,
        /// The emoji before the name.
        emoji: EmojiLink,
    }
}

/// A kind of channel that `channels` may contain: any but a category.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListedKind(pub(crate) ChannelKind);

impl FromNode for ListedKind {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match Pick::read(node, reader)? {
            Pick(ChannelKind::Category) => {
                reader.refuse(node.at, "a category belongs under `categories`");
                None
            }
            Pick(kind) => Some(Self(kind)),
        }
    }
}

inline_schema!([] ListedKind, "ChannelKind", |_generator| {
    let kinds = ChannelKind::ALL.iter().filter(|kind| **kind != ChannelKind::Category);
    let names: Vec<&str> = kinds.map(|kind| kind.name()).collect();
    or_variable(&json_schema!({ "enum": names }))
});

resource_entry!(CategoryEntry, flag);
resource_entry!(ChannelEntry, flag);

/// Builds the categories, then their channels.
impl Section for Named<CategoryEntry> {
    fn build(section: &At<Self>, names: &KnownAddresses, draft: &mut Draft, reader: &mut Reader<'_>) {
        for (address, name, entry) in present(section, Kind::Category, names) {
            let mut category = match draft.resources.get(&address) {
                Some(Attributes::Category(theirs)) => theirs.clone(),
                _ => Channel {
                    kind: ChannelKind::Category,
                    ..Channel::default()
                },
            };
            if let Some(shown) = &entry.value.name {
                category.name = Some(normalised_name(ChannelKind::Category, &shown.value.0));
            }
            category.name.get_or_insert_with(|| name.value.clone());
            match &entry.value.overwrites {
                Some(At {
                    value: OverwritesEntry::Own(own),
                    ..
                }) => {
                    category.overwrites = Some(overwrites::read(&address, own, names, reader));
                }
                Some(At {
                    value: OverwritesEntry::Synced,
                    at,
                }) => {
                    reader.refuse(*at, "a category has no parent category to be `synced` with");
                }
                None => {}
            }
            draft.put(address, Attributes::Category(category), name.at);
        }
        for (category, _, entry) in present(section, Kind::Category, names) {
            for (name, channel) in entries(entry.value.channels.as_ref()) {
                if let Some(misplaced) = &channel.value.category {
                    reader.refuse(misplaced.at, format!("this channel is under `{category}` already"));
                }
                build_channel(name, channel, Some(&category), names, draft, reader);
            }
        }
    }
}

impl Section for Named<ChannelEntry> {
    fn build(section: &At<Self>, names: &KnownAddresses, draft: &mut Draft, reader: &mut Reader<'_>) {
        for (name, channel) in entries(Some(section)) {
            build_channel(name, channel, None, names, draft, reader);
        }
    }
}

fn build_channel(
    name: &At<String>,
    entry: &At<ChannelEntry>,
    under: Option<&Address>,
    names: &KnownAddresses,
    draft: &mut Draft,
    reader: &mut Reader<'_>,
) {
    let Some(address) = names.present(Kind::Channel, name) else {
        return;
    };
    let theirs = match draft.resources.get(&address) {
        Some(Attributes::Channel(theirs)) => Some(theirs.clone()),
        _ => None,
    };
    let entry = &entry.value;
    let kind = entry
        .kind
        .as_ref()
        .map(|kind| kind.value.0)
        .or_else(|| theirs.as_ref().map(|theirs| theirs.kind));
    let kind = kind.unwrap_or_default();
    refuse_misplaced(entry, kind, reader);
    check_limits(&address, entry, kind, reader);
    let category = match under {
        Some(category) => Some(Clearable::Set(Reference::from(category.clone()))),
        None => names.link_or_none(entry.category.as_ref(), Kind::Category, reader),
    };
    let own = read(&address, entry, kind, category, names, reader);
    let mut channel = theirs.unwrap_or_default();
    if channel.kind != kind {
        // The kind may lack attributes that the theme sets for another kind.
        channel = Channel {
            name: channel.name,
            topic: channel.topic.filter(|_| kind.has("topic")),
            category: channel.category,
            overwrites: channel.overwrites,
            ..Channel::default()
        };
    }
    channel.override_with(own);
    channel.name.get_or_insert_with(|| normalised_name(kind, &name.value));
    // A channel outside of categories is in no category, also if a user moved it to one.
    channel.category.get_or_insert(Clearable::Cleared);
    match &entry.overwrites {
        None => {}
        Some(At {
            value: OverwritesEntry::Own(own),
            ..
        }) => channel.overwrites = Some(overwrites::read(&address, own, names, reader)),
        Some(At {
            value: OverwritesEntry::Synced,
            at,
        }) => channel.overwrites = synced(&channel, *at, draft, reader),
    }
    draft.put(address, Attributes::Channel(channel), name.at);
}

/// The overwrites of its category: Discord calls such a channel synced.
fn synced(channel: &Channel, at: Mark, draft: &Draft, reader: &mut Reader<'_>) -> Option<Overwrites> {
    let category = channel
        .category
        .as_ref()
        .and_then(Clearable::value)
        .and_then(Reference::address);
    match category.and_then(|category| draft.resources.get(category)) {
        Some(Attributes::Category(category)) if category.overwrites.is_some() => category.overwrites.clone(),
        Some(_) => {
            reader.refuse(
                at,
                "its category has no `overwrites` to be synced with; add `overwrites`, even `{}`",
            );
            None
        }
        None => {
            reader.refuse(at, "this channel has no category in this file to be synced with");
            None
        }
    }
}

/// Refuses attributes that this kind of channel does not have.
fn refuse_misplaced(entry: &ChannelEntry, kind: ChannelKind, reader: &mut Reader<'_>) {
    macro_rules! check {
        ($($field:ident for $whose:literal;)+) => {
            $(if let (Some(entry), false) = (&entry.$field, kind.has(stringify!($field))) {
                let reason = format!("`{}` is for {}; this is a channel of kind `{kind}`", stringify!($field), $whose);
                reader.refuse(entry.at, reason);
            })+
        };
    }
    check! {
        topic for "text, announcement, forum and media channels";
        slow_mode for "all but announcement channels";
        bitrate for "voice channels and stages";
        user_limit for "voice channels and stages";
        region for "voice channels and stages";
        video_quality for "voice channels and stages";
        auto_archive for "channels with threads: text, announcement, forum and media";
        thread_slow_mode for "channels with threads: text, announcement, forum and media";
        tags for "forums and media channels";
        require_tag for "forums and media channels";
        default_reaction for "forums and media channels";
        sort_order for "forums and media channels";
        layout for "forums";
        tag_match for "forums and media channels";
        hide_download_options for "media channels";
    }
}

/// Discord's limits of this kind of channel.
fn check_limits(address: &Address, entry: &ChannelEntry, kind: ChannelKind, reader: &mut Reader<'_>) {
    let mut check = |at: Mark, field: &str, reason: String| {
        reader.break_rule_of(at, address, &[RulePart::Attribute(field.to_owned())], reason);
    };
    if let Some(topic) = entry.topic.as_ref().filter(|_| !kind.has_posts()) {
        let length = topic.value.0.chars().count();
        if length > *TOPIC.end() {
            check(
                topic.at,
                "topic",
                format!("the topic has {length} characters; at most {} fit", TOPIC.end()),
            );
        }
    }
    if let Some(bitrate) = entry
        .bitrate
        .as_ref()
        .filter(|bitrate| kind == ChannelKind::Stage && bitrate.value.0 > STAGE_BITRATE)
    {
        check(
            bitrate.at,
            "bitrate",
            format!("a stage has at most {STAGE_BITRATE} bits per second"),
        );
    }
    if let Some(limit) = entry
        .user_limit
        .as_ref()
        .filter(|limit| kind == ChannelKind::Voice && limit.value.0 > *USER_LIMIT.end())
    {
        check(
            limit.at,
            "user_limit",
            format!(
                "a voice channel has at most {} members; 0 is no limit",
                USER_LIMIT.end()
            ),
        );
    }
}

fn read(
    address: &Address,
    entry: &ChannelEntry,
    kind: ChannelKind,
    category: Option<Clearable<Reference>>,
    names: &KnownAddresses,
    reader: &mut Reader<'_>,
) -> Channel {
    Channel {
        kind,
        name: entry.name.as_ref().map(|name| normalised_name(kind, &name.value.0)),
        category,
        topic: entry.topic.as_ref().map(|topic| topic.value.0.clone()),
        nsfw: entry.nsfw.as_ref().map(|nsfw| nsfw.value.0),
        slow_mode: entry.slow_mode.as_ref().map(|seconds| seconds.value.0),
        bitrate: entry.bitrate.as_ref().map(|bitrate| bitrate.value.0),
        user_limit: entry.user_limit.as_ref().map(|limit| limit.value.0),
        region: entry.region.as_ref().map(|region| match &region.value.0 {
            Clearable::Cleared => Clearable::Cleared,
            Clearable::Set(region) => Clearable::Set(region.0.clone()),
        }),
        video_quality: entry.video_quality.as_ref().map(|quality| quality.value.0),
        auto_archive: entry.auto_archive.as_ref().map(choice_or_none),
        thread_slow_mode: entry.thread_slow_mode.as_ref().map(|seconds| seconds.value.0),
        tags: entry.tags.as_ref().map(|tags| {
            let part = [RulePart::Attribute("tags".to_owned())];
            reader.with_subject(address, &part, |reader| read_tags(&tags.value, names, reader))
        }),
        require_tag: entry.require_tag.as_ref().map(|required| required.value.0),
        default_reaction: reaction(entry, names, reader),
        sort_order: entry.sort_order.as_ref().map(choice_or_none),
        layout: entry.layout.as_ref().map(|layout| layout.value.0),
        tag_match: entry.tag_match.as_ref().map(choice_or_none),
        hide_download_options: entry.hide_download_options.as_ref().map(|hidden| hidden.value.0),
        overwrites: None,
    }
}

fn choice_or_none<T: Copy>(entry: &At<OrNone<Pick<T>>>) -> Clearable<T> {
    match &entry.value {
        OrNone(Clearable::Cleared) => Clearable::Cleared,
        OrNone(Clearable::Set(picked)) => Clearable::Set(picked.0),
    }
}

fn reaction(
    entry: &ChannelEntry,
    names: &KnownAddresses,
    reader: &mut Reader<'_>,
) -> Option<Clearable<EmojiReference>> {
    let At {
        value: OrNone(emoji),
        at,
    } = entry.default_reaction.as_ref()?;
    match emoji {
        Clearable::Cleared => Some(Clearable::Cleared),
        Clearable::Set(emoji) => names
            .emoji(
                &At {
                    value: emoji.clone(),
                    at: *at,
                },
                reader,
            )
            .map(Clearable::Set),
    }
}

fn read_tags(tags: &List<TagEntry>, names: &KnownAddresses, reader: &mut Reader<'_>) -> Vec<Tag> {
    if let Some(over) = tags.0.get(MAX_TAGS) {
        reader.break_rule(over.at, format!("more than {MAX_TAGS} tags; a forum has no more"));
    }
    let mut read: Vec<Tag> = Vec::new();
    for tag in &tags.0 {
        let Some(name) = &tag.value.name else {
            reader.refuse(tag.at, "the tag's `name` is missing");
            continue;
        };
        if read.iter().any(|before| before.name == name.value.0) {
            reader.break_rule(name.at, format!("the tag `{}` occurs twice", name.value.0));
        }
        read.push(Tag {
            id: None,
            name: name.value.0.clone(),
            moderated: tag.value.moderated.as_ref().is_some_and(|moderated| moderated.value.0),
            emoji: tag.value.emoji.as_ref().and_then(|emoji| names.emoji(emoji, reader)),
        });
    }
    read
}
