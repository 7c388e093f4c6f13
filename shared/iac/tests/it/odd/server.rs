//! Settings, roles, channels, emoji and stickers at random.

use arrakis_iac::live::Collections;
use serde_json::{Value, json};

use super::random::Random;

pub(super) const GUILD: u64 = 1_000;
const BOT: u64 = 1_001;

/// What there is to refer to, and what is gone.
pub(super) struct Ids {
    pub(super) roles: Vec<u64>,
    pub(super) categories: Vec<u64>,
    pub(super) channels: Vec<u64>,
    pub(super) emojis: Vec<u64>,
}

impl Ids {
    pub(super) fn generate(random: &mut Random, size: u64) -> Self {
        let mut some = |first: u64| -> Vec<u64> {
            let count = random.below(size + 1);
            (first..first + count).collect()
        };
        let mut ids = Self {
            roles: some(2_000),
            categories: some(3_000),
            channels: some(4_000),
            emojis: some(5_000),
        };
        // The first channel of an old server has the server's id, as @everyone has.
        if random.once_in(6) {
            ids.channels.push(GUILD);
        }
        ids
    }

    /// A channel, a category, a channel of an unknown kind, or an id that does not exist.
    pub(super) fn some_channel(&self, random: &mut Random) -> u64 {
        let all: Vec<u64> = self
            .channels
            .iter()
            .chain(&self.categories)
            .copied()
            .chain([777, 888])
            .collect();
        *random.one_of(&all)
    }

    pub(super) fn some_role(&self, random: &mut Random) -> u64 {
        let all: Vec<u64> = self.roles.iter().copied().chain([GUILD, 1_002, 666]).collect();
        *random.one_of(&all)
    }

    pub(super) fn channels(&self, random: &mut Random) -> Value {
        let count = random.below(4);
        (0..count)
            .map(|_| json!(self.some_channel(random).to_string()))
            .collect()
    }

    pub(super) fn roles(&self, random: &mut Random) -> Value {
        let count = random.below(4);
        (0..count).map(|_| json!(self.some_role(random).to_string())).collect()
    }
}

pub(super) fn collections(random: &mut Random, ids: &Ids) -> Collections {
    let channels = ids.categories.iter().map(|id| (*id, 4));
    let kinds = [0, 0, 2, 5, 13, 14, 15, 16, 42];
    let others: Vec<(u64, i64)> = ids.channels.iter().map(|id| (*id, *random.one_of(&kinds))).collect();
    let all: Vec<(u64, i64)> = channels.chain(others).chain([(777, 99)]).collect();
    Collections {
        me: json!({ "id": BOT.to_string() }),
        guild: guild(random, ids),
        channels: all
            .into_iter()
            .map(|(id, kind)| channel(random, ids, id, kind))
            .collect(),
        bot: json!({ "roles": ["1002"] }),
        ..Collections::default()
    }
}

fn guild(random: &mut Random, ids: &Ids) -> Value {
    let channel = |random: &mut Random| match random.below(3) {
        0 => Value::Null,
        _ => json!(ids.some_channel(random).to_string()),
    };
    let features = ["COMMUNITY", "WELCOME_SCREEN_ENABLED", "ROLE_ICONS", "FROM_THE_FUTURE"];
    let features: Vec<&str> = features.into_iter().filter(|_| random.once_in(2)).collect();
    let mut roles = vec![role(random, GUILD, false), role(random, 1_002, true)];
    roles[1]["permissions"] = json!("8");
    for id in &ids.roles {
        let managed = random.once_in(6);
        roles.push(role(random, *id, managed));
    }
    let emojis: Value = ids.emojis.iter().map(|id| emoji(random, ids, *id)).collect();
    let stickers: Value = (0..random.below(3))
        .map(|number| sticker(random, 6_000 + number))
        .collect();
    let flags = if random.once_in(6) {
        random.below(1 << 20)
    } else {
        random.below(64)
    };
    json!({
        "id": GUILD.to_string(), "owner_id": "9", "name": random.name(100), "description": random.one_of(&[Value::Null, json!(""), json!("d")]),
        "verification_level": random.number(&[0, 1, 2, 3, 4]), "default_message_notifications": random.number(&[0, 1]),
        "explicit_content_filter": random.number(&[0, 1, 2]), "afk_timeout": random.number(&[60, 300, 900, 1_800, 3_600]),
        "preferred_locale": random.one_of(&["en-US", "de", "tlh", ""]), "system_channel_flags": flags,
        "afk_channel_id": channel(random), "system_channel_id": channel(random), "rules_channel_id": channel(random),
        "public_updates_channel_id": channel(random), "safety_alerts_channel_id": channel(random),
        "premium_progress_bar_enabled": random.once_in(2), "premium_tier": random.number(&[0, 1, 2, 3]),
        "features": features, "roles": roles, "emojis": emojis, "stickers": stickers,
    })
}

fn color(random: &mut Random) -> Value {
    match random.below(8) {
        0 => json!(1 << 24),
        1 => json!(-1),
        2 | 3 => json!(0),
        _ => json!(random.below(1 << 24)),
    }
}

fn role(random: &mut Random, id: u64, managed: bool) -> Value {
    let optional = |random: &mut Random| if random.once_in(2) { Value::Null } else { color(random) };
    json!({
        "id": id.to_string(), "name": random.name(100), "managed": managed,
        "colors": { "primary_color": color(random), "secondary_color": optional(random), "tertiary_color": optional(random) },
        "hoist": random.once_in(2), "mentionable": random.once_in(2), "permissions": random.bits(),
        // Equal positions are no mistake: the lower id ranks above.
        "position": if id == GUILD { 0 } else { 1 + random.below(4) },
        "unicode_emoji": random.one_of(&[Value::Null, json!(""), json!("🔥"), json!("not one")]),
    })
}

fn overwrites(random: &mut Random, ids: &Ids) -> Value {
    let count = if random.once_in(150) { 120 } else { random.below(4) };
    let one = |number: u64| {
        let (id, kind) = match random.below(6) {
            0 => (GUILD, json!(0)),
            1 => (BOT, json!(1)),
            2 => (10_000 + number, json!(1)),
            3 => (20_000 + number, random.number(&[0])),
            _ => (ids.some_role(random), json!(0)),
        };
        json!({ "id": id.to_string(), "type": kind, "allow": random.bits(), "deny": random.bits() })
    };
    (0..count).map(one).collect()
}

fn channel(random: &mut Random, ids: &Ids, id: u64, kind: i64) -> Value {
    let mut channel = json!({
        "id": id.to_string(), "type": kind, "name": random.name(100), "position": random.below(5),
        "flags": if random.once_in(4) { random.below(1 << 30) } else { 0 },
    });
    let parent = json!(ids.some_channel(random).to_string());
    let overwrites = overwrites(random, ids);
    let tags = tags(random, ids);
    let (emoji_id, emoji_name) = random.emoji(&ids.emojis);
    let fields = [
        ("parent_id", parent),
        ("topic", json!(random.name(1_024))),
        ("nsfw", json!(random.once_in(2))),
        ("rate_limit_per_user", random.quantity(21_600)),
        ("bitrate", random.quantity(96_000)),
        ("user_limit", random.quantity(99)),
        ("rtc_region", json!(random.one_of(&["rotterdam", "", "none", "x y"]))),
        ("video_quality_mode", random.number(&[1, 2])),
        (
            "default_auto_archive_duration",
            random.number(&[60, 1_440, 4_320, 10_080]),
        ),
        ("default_thread_rate_limit_per_user", random.quantity(21_600)),
        ("available_tags", tags),
        (
            "default_reaction_emoji",
            json!({ "emoji_id": emoji_id, "emoji_name": emoji_name }),
        ),
        ("default_sort_order", random.number(&[0, 1])),
        ("default_forum_layout", random.number(&[0, 1, 2])),
        (
            "default_tag_setting",
            json!(random.one_of(&["match_all", "match_some", "match_none"])),
        ),
        ("permission_overwrites", overwrites),
    ];
    for (field, value) in fields {
        random.optional(&mut channel, field, value);
    }
    channel
}

fn tags(random: &mut Random, ids: &Ids) -> Value {
    let count = if random.once_in(30) { 25 } else { random.below(4) };
    let one = |number: u64| {
        let (emoji_id, emoji_name) = match random.once_in(4) {
            true => random.emoji(&ids.emojis),
            false => (Value::Null, Value::Null),
        };
        json!({ "id": (30_000 + number).to_string(), "name": random.name(50), "moderated": random.once_in(2),
            "emoji_id": emoji_id, "emoji_name": emoji_name })
    };
    (0..count).map(one).collect()
}

fn emoji(random: &mut Random, ids: &Ids, id: u64) -> Value {
    json!({ "id": id.to_string(), "name": random.name(32), "roles": ids.roles(random), "managed": random.once_in(5) })
}

fn sticker(random: &mut Random, id: u64) -> Value {
    let description = random
        .one_of(&[Value::Null, json!(""), json!("x"), json!("a dune")])
        .clone();
    json!({ "id": id.to_string(), "name": random.name(30), "description": description, "tags": random.name(200) })
}

/// More of everything than Discord permits.
pub(super) fn beyond_limits() -> Collections {
    let mut random = Random::new(7);
    let ids = Ids {
        roles: (2_000..2_258).collect(),
        categories: (3_000..3_008).collect(),
        channels: Vec::new(),
        emojis: Vec::new(),
    };
    let mut collections = collections(&mut random, &ids);
    let roles = collections.guild["roles"].as_array_mut().unwrap();
    roles.iter_mut().skip(2).for_each(|role| role["managed"] = json!(false));
    let members: Value = (0..130)
        .map(|number| json!({ "id": (50_000 + number).to_string(), "type": 1, "allow": "1024", "deny": "1024" }))
        .collect();
    let tags: Value = (0..25)
        .map(|number| json!({ "id": number.to_string(), "name": format!("tag {number}"), "moderated": false, "emoji_id": null, "emoji_name": null }))
        .collect();
    let channels = collections.channels.as_array_mut().unwrap();
    for number in 0..520_u64 {
        let kind = if number == 5 { 15 } else { 0 };
        let overwrites = if number == 3 { members.clone() } else { json!([]) };
        channels.push(json!({ "id": (4_000 + number).to_string(), "type": kind, "name": "same", "position": 0, "flags": 0,
            "parent_id": (3_000 + number / 55 % 8).to_string(), "available_tags": tags, "permission_overwrites": overwrites }));
    }
    collections
}

/// Many overwrites in every channel.
pub(super) fn full_of_overwrites() -> Collections {
    let ids = Ids {
        roles: Vec::new(),
        categories: Vec::new(),
        channels: Vec::new(),
        emojis: Vec::new(),
    };
    let mut collections = collections(&mut Random::new(7), &ids);
    let overwrites = |channel: u64| -> Value {
        let one = |number: u64| {
            let id = 1_152_921_504_606_846_976 + channel * 100 + number;
            json!({ "id": id.to_string(), "type": 1, "allow": "68608", "deny": "17592188141568" })
        };
        (0..70).map(one).collect()
    };
    let channel = |number: u64| {
        json!({ "id": (4_000 + number).to_string(), "type": 0, "name": format!("channel-{number}"), "position": number, "flags": 0,
            "parent_id": null, "permission_overwrites": overwrites(number) })
    };
    collections.channels = (0..500).map(channel).collect();
    collections
}
