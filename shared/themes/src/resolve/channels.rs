//! `channels.yaml`: categories, channels, access to them, and the channels in which the bot posts.

use std::collections::{BTreeMap, BTreeSet};

use arrakis_domain::{
    Access, Audience, Category, Channel, ChannelKey, ChannelKind, FeatureFlag, PostChannels, Role, RoleKey, RoleRule,
};
use serde_saphyr::Location;

use super::known::Known;
use super::reader::Reader;
use crate::document::{CategoryEntry, ChannelEntry, Channels, KindName, PostsEntry, Text};

/// Discord's limits: channels in a category, and channels and categories in a server.
const MOST_IN_CATEGORY: usize = 50;
const MOST_IN_SERVER: usize = 500;
/// Longest topic, in characters; a forum's guidelines may be longer.
const LONGEST_TOPIC: usize = 1_024;
const LONGEST_FORUM_TOPIC: usize = 4_096;
/// Slow mode, in seconds: six hours at most.
const LONGEST_SLOW_MODE: u32 = 21_600;
/// Bitrates in bits per second; more than 96,000 requires a boosted server, which a gaib plan checks.
const BITRATES: std::ops::RangeInclusive<u32> = 8_000..=384_000;
const DEFAULT_BITRATE: u32 = 64_000;
const MOST_VOICE_USERS: u32 = 99;
const MOST_FORUM_TAGS: usize = 20;
const LONGEST_FORUM_TAG: usize = 20;

#[derive(Default)]
pub(crate) struct Resolved {
    pub(crate) categories: Vec<Category>,
    pub(crate) posts: PostChannels,
}

/// Names to which channels refer.
struct Names<'a> {
    known: &'a Known<'a>,
    /// Roles of the theme with its flags applied.
    roles: &'a [Role],
}

pub(crate) fn read(
    document: &Channels,
    known: &Known<'_>,
    roles: &[Role],
    flags: &BTreeMap<String, FeatureFlag>,
    reader: &mut Reader<'_>,
) -> Resolved {
    let names = Names { known, roles };
    let mut categories: Vec<Category> = Vec::new();
    let mut keys: Vec<ChannelKey> = Vec::new();
    let total: usize = document
        .categories
        .iter()
        .map(|category| category.channels.len() + 1)
        .sum();
    if total > MOST_IN_SERVER {
        reader.refuse_file(format!(
            "{total} categories and channels; a server has room for {MOST_IN_SERVER}"
        ));
    }
    for entry in &document.categories {
        let key = reader.unique(
            &entry.id,
            "category",
            categories.iter().map(|category| category.key.clone()),
        );
        let name = reader.name(&entry.name);
        let on = is_on(entry.flag.as_ref(), known, flags, reader);
        check_size(entry, reader);
        let mut channels = Vec::new();
        for channel in &entry.channels {
            let read = read_channel(channel, &names, &keys, reader);
            let on = is_on(channel.flag.as_ref(), known, flags, reader);
            if let Some(read) = read {
                keys.push(read.key.clone());
                channels.extend(on.then_some(read));
            }
        }
        if let (Some(key), true) = (key, on) {
            categories.push(Category { key, name, channels });
        }
    }
    let posts = read_posts(&document.posts, document, &categories, reader);
    Resolved { categories, posts }
}

fn check_size(entry: &CategoryEntry, reader: &mut Reader<'_>) {
    let count = entry.channels.len();
    if count > MOST_IN_CATEGORY {
        let reason = format!("{count} channels; a category has room for {MOST_IN_CATEGORY}");
        reader.refuse(entry.id.referenced, reason);
    }
}

/// Whether a part with this flag is enabled. An unknown flag is refused and counts as enabled.
fn is_on(
    flag: Option<&Text>,
    known: &Known<'_>,
    flags: &BTreeMap<String, FeatureFlag>,
    reader: &mut Reader<'_>,
) -> bool {
    let Some(flag) = flag else { return true };
    reader.reference::<String>(flag, "flag", &known.flags);
    flags.get(&flag.value).is_none_or(|flag| flag.enabled)
}

fn read_channel(
    entry: &ChannelEntry,
    names: &Names<'_>,
    before: &[ChannelKey],
    reader: &mut Reader<'_>,
) -> Option<Channel> {
    let key = reader.unique(&entry.id, "channel", before.iter().cloned());
    let written = entry.name.as_ref().unwrap_or(&entry.id);
    let name = reader.name(written);
    let kind = read_kind(entry, reader);
    if !kind.is_voice() {
        let normal = normalised(&name);
        if normal != name {
            let reason =
                format!("Discord changes names of such channels to lower case with dashes, so `{name}` would differ");
            reader.refuse_for(written.referenced, reason, normal);
        }
    }
    let topic = reader.text(&entry.topic);
    let longest = if entry.kind == KindName::Forum {
        LONGEST_FORUM_TOPIC
    } else {
        LONGEST_TOPIC
    };
    let length = topic.chars().count();
    if length == 0 || length > longest {
        reader.refuse(
            entry.topic.referenced,
            format!("a topic has 1 to {longest} characters; this one has {length}"),
        );
    }
    let access = read_access(entry, &kind, names, reader);
    Some(Channel {
        key: key?,
        name,
        topic,
        kind,
        access,
    })
}

/// A channel's name as Discord stores it, for other than voice channels.
fn normalised(name: &str) -> String {
    let dashed: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_whitespace() { '-' } else { c })
        .collect();
    let parts: Vec<&str> = dashed.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

fn read_kind(entry: &ChannelEntry, reader: &mut Reader<'_>) -> ChannelKind {
    let is_voice = matches!(entry.kind, KindName::Voice | KindName::Stage);
    let misplaced = [
        (
            entry.slow_mode.as_ref().filter(|_| entry.kind != KindName::Text),
            "`slow_mode` is for text channels",
        ),
        (
            entry.bitrate.as_ref().filter(|_| !is_voice),
            "`bitrate` is for voice channels and stages",
        ),
        (
            entry.user_limit.as_ref().filter(|_| entry.kind != KindName::Voice),
            "`user_limit` is for voice channels",
        ),
        (
            entry.tags.first().filter(|_| entry.kind != KindName::Forum),
            "`tags` are for forums",
        ),
    ];
    for (text, reason) in misplaced {
        if let Some(text) = text {
            reader.refuse(text.referenced, reason);
        }
    }
    let bitrate = entry
        .bitrate
        .as_ref()
        .map_or(DEFAULT_BITRATE, |text| reader.number(text, BITRATES));
    match entry.kind {
        KindName::Text => {
            let seconds = entry
                .slow_mode
                .as_ref()
                .map_or(0, |text| reader.number(text, 0..=LONGEST_SLOW_MODE));
            ChannelKind::Text {
                slow_mode_seconds: u16::try_from(seconds).unwrap_or_default(),
            }
        }
        KindName::Announcement => ChannelKind::Announcement,
        KindName::Voice => {
            let limit = entry
                .user_limit
                .as_ref()
                .map_or(0, |text| reader.number(text, 0..=MOST_VOICE_USERS));
            ChannelKind::Voice {
                bitrate,
                user_limit: u8::try_from(limit).unwrap_or_default(),
            }
        }
        KindName::Stage => ChannelKind::Stage { bitrate },
        KindName::Forum => ChannelKind::Forum {
            tags: read_tags(&entry.tags, reader),
        },
    }
}

fn read_tags(tags: &[Text], reader: &mut Reader<'_>) -> Vec<String> {
    if let Some(over) = tags.get(MOST_FORUM_TAGS) {
        reader.refuse(over.referenced, format!("a forum has at most {MOST_FORUM_TAGS} tags"));
    }
    let mut read = Vec::new();
    for tag in tags {
        let name = reader.name(tag);
        if name.chars().count() > LONGEST_FORUM_TAG {
            reader.refuse(
                tag.referenced,
                format!("a tag has at most {LONGEST_FORUM_TAG} characters"),
            );
        }
        read.push(name);
    }
    read
}

fn read_access(entry: &ChannelEntry, kind: &ChannelKind, names: &Names<'_>, reader: &mut Reader<'_>) -> Access {
    let at = entry.access.referenced;
    let access = &entry.access.value;
    let (text_keys, voice_keys) = (
        [&access.read, &access.write],
        [&access.see, &access.join, &access.speak],
    );
    let (own, foreign, reason) = match kind.is_voice() {
        true => (
            &access.see,
            text_keys.into_iter().flatten().next(),
            "voice channels have `see`, `join` and `speak`",
        ),
        false => (
            &access.read,
            voice_keys.into_iter().flatten().next(),
            "text channels have `read` and `write`",
        ),
    };
    if let Some(foreign) = foreign {
        reader.refuse(foreign.referenced, reason);
    } else if own.is_none() {
        reader.refuse(
            at,
            format!(
                "who may {} the channel is missing",
                if kind.is_voice() { "`see`" } else { "`read`" }
            ),
        );
    }
    let mut audience = |text: &Option<Text>| text.as_ref().map(|text| read_audience(text, names, reader));
    if kind.is_voice() {
        let see = audience(&access.see).unwrap_or_default();
        let join = audience(&access.join).unwrap_or_else(|| see.clone());
        let speak = audience(&access.speak).unwrap_or_else(|| join.clone());
        return Access::Voice { see, join, speak };
    }
    let read = audience(&access.read).unwrap_or_default();
    let write = audience(&access.write).unwrap_or_default();
    Access::Text { read, write }
}

/// Parses an audience: `everyone`, `bot`, a role, or `tier+`; several are separated by commas.
fn read_audience(text: &Text, names: &Names<'_>, reader: &mut Reader<'_>) -> Audience {
    let mut audience = Audience {
        everyone: false,
        roles: BTreeSet::new(),
    };
    let value = reader.text(text);
    for part in value.split(',').map(str::trim) {
        match part {
            "everyone" => audience.everyone = true,
            "bot" => match names.roles.iter().find(|role| role.given_to == RoleRule::Bot) {
                Some(role) => drop(audience.roles.insert(role.key.clone())),
                None => reader.refuse(
                    text.referenced,
                    "the theme has no role for the bot; add one with `given_to: bot`",
                ),
            },
            part => match part.strip_suffix('+') {
                Some(tier) => audience
                    .roles
                    .extend(tier_and_above(tier, text.referenced, names, reader)),
                None => audience.roles.extend(role_of(part, text.referenced, names, reader)),
            },
        }
    }
    audience
}

fn tier_and_above(tier: &str, at: Location, names: &Names<'_>, reader: &mut Reader<'_>) -> Vec<RoleKey> {
    let Some(index) = names.known.tiers.iter().position(|id| *id == tier) else {
        let reason = format!("there is no tier `{tier}`; `tier+` means the tier and all tiers above it");
        reader.refuse_near(at, reason, tier, names.known.tiers.iter().copied());
        return Vec::new();
    };
    let above = &names.known.tiers[..=index];
    let is_above = |role: &&Role| matches!(&role.given_to, RoleRule::Tier(tier) if above.contains(&tier.as_str()));
    names
        .roles
        .iter()
        .filter(is_above)
        .map(|role| role.key.clone())
        .collect()
}

/// The role with this key; `None` if it is unknown or its flag is disabled.
fn role_of(name: &str, at: Location, names: &Names<'_>, reader: &mut Reader<'_>) -> Option<RoleKey> {
    if !names.known.roles.contains(&name) {
        let known = names.known.roles.iter().copied().chain(["everyone", "bot"]);
        let reason = format!("there is no role `{name}`; name a role, `everyone`, `bot`, or a tier with `+`");
        reader.refuse_near(at, reason, name, known);
        return None;
    }
    names
        .roles
        .iter()
        .find(|role| role.key.as_str() == name)
        .map(|role| role.key.clone())
}

fn read_posts(
    posts: &PostsEntry,
    document: &Channels,
    categories: &[Category],
    reader: &mut Reader<'_>,
) -> PostChannels {
    let known: Vec<&str> = document
        .categories
        .iter()
        .flat_map(|category| &category.channels)
        .map(|channel| channel.id.value.as_str())
        .collect();
    let mut post = |text: &Option<Text>| {
        let key: ChannelKey = reader.reference(text.as_ref()?, "channel", &known)?;
        // A post in a channel whose flag is disabled is disabled, too.
        categories
            .iter()
            .flat_map(|category| &category.channels)
            .any(|channel| channel.key == key)
            .then_some(key)
    };
    PostChannels {
        leaderboard: post(&posts.leaderboard),
        arrivals: post(&posts.arrivals),
        digest: post(&posts.digest),
    }
}
