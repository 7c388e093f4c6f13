//! Settings, roles, channels, emoji and stickers by chance.

use arrakis_iac::live::Collections;
use serde_json::{Value, json};

use super::dice::Dice;

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
    pub(super) fn throw(dice: &mut Dice, size: u64) -> Self {
        let mut some = |first: u64| -> Vec<u64> {
            let count = dice.below(size + 1);
            (first..first + count).collect()
        };
        let mut ids = Self {
            roles: some(2_000),
            categories: some(3_000),
            channels: some(4_000),
            emojis: some(5_000),
        };
        // The first channel of an old server has the server's id, as @everyone has.
        if dice.once_in(6) {
            ids.channels.push(GUILD);
        }
        ids
    }

    /// A channel, a category, one of a kind that nobody knows, or nothing that is there.
    pub(super) fn some_channel(&self, dice: &mut Dice) -> u64 {
        let all: Vec<u64> = self
            .channels
            .iter()
            .chain(&self.categories)
            .copied()
            .chain([777, 888])
            .collect();
        *dice.one_of(&all)
    }

    pub(super) fn some_role(&self, dice: &mut Dice) -> u64 {
        let all: Vec<u64> = self.roles.iter().copied().chain([GUILD, 1_002, 666]).collect();
        *dice.one_of(&all)
    }

    pub(super) fn channels(&self, dice: &mut Dice) -> Value {
        let count = dice.below(4);
        (0..count).map(|_| json!(self.some_channel(dice).to_string())).collect()
    }

    pub(super) fn roles(&self, dice: &mut Dice) -> Value {
        let count = dice.below(4);
        (0..count).map(|_| json!(self.some_role(dice).to_string())).collect()
    }
}

pub(super) fn collections(dice: &mut Dice, ids: &Ids) -> Collections {
    let channels = ids.categories.iter().map(|id| (*id, 4));
    let kinds = [0, 0, 2, 5, 13, 14, 15, 16, 42];
    let others: Vec<(u64, i64)> = ids.channels.iter().map(|id| (*id, *dice.one_of(&kinds))).collect();
    let all: Vec<(u64, i64)> = channels.chain(others).chain([(777, 99)]).collect();
    Collections {
        guild: guild(dice, ids),
        channels: all.into_iter().map(|(id, kind)| channel(dice, ids, id, kind)).collect(),
        bot: json!({ "user": { "id": BOT.to_string() }, "roles": ["1002"] }),
        ..Collections::default()
    }
}

fn guild(dice: &mut Dice, ids: &Ids) -> Value {
    let channel = |dice: &mut Dice| match dice.below(3) {
        0 => Value::Null,
        _ => json!(ids.some_channel(dice).to_string()),
    };
    let features = ["COMMUNITY", "WELCOME_SCREEN_ENABLED", "ROLE_ICONS", "FROM_THE_FUTURE"];
    let features: Vec<&str> = features.into_iter().filter(|_| dice.once_in(2)).collect();
    let mut roles = vec![role(dice, GUILD, false), role(dice, 1_002, true)];
    roles[1]["permissions"] = json!("8");
    for id in &ids.roles {
        let managed = dice.once_in(6);
        roles.push(role(dice, *id, managed));
    }
    let emojis: Value = ids.emojis.iter().map(|id| emoji(dice, ids, *id)).collect();
    let stickers: Value = (0..dice.below(3)).map(|number| sticker(dice, 6_000 + number)).collect();
    let flags = if dice.once_in(6) {
        dice.below(1 << 20)
    } else {
        dice.below(64)
    };
    json!({
        "id": GUILD.to_string(), "owner_id": "9", "name": dice.name(100), "description": dice.one_of(&[Value::Null, json!(""), json!("d")]),
        "verification_level": dice.number(&[0, 1, 2, 3, 4]), "default_message_notifications": dice.number(&[0, 1]),
        "explicit_content_filter": dice.number(&[0, 1, 2]), "afk_timeout": dice.number(&[60, 300, 900, 1_800, 3_600]),
        "preferred_locale": dice.one_of(&["en-US", "de", "tlh", ""]), "system_channel_flags": flags,
        "afk_channel_id": channel(dice), "system_channel_id": channel(dice), "rules_channel_id": channel(dice),
        "public_updates_channel_id": channel(dice), "safety_alerts_channel_id": channel(dice),
        "premium_progress_bar_enabled": dice.once_in(2), "premium_tier": dice.number(&[0, 1, 2, 3]),
        "features": features, "roles": roles, "emojis": emojis, "stickers": stickers,
    })
}

fn color(dice: &mut Dice) -> Value {
    match dice.below(8) {
        0 => json!(1 << 24),
        1 => json!(-1),
        2 | 3 => json!(0),
        _ => json!(dice.below(1 << 24)),
    }
}

fn role(dice: &mut Dice, id: u64, managed: bool) -> Value {
    let optional = |dice: &mut Dice| if dice.once_in(2) { Value::Null } else { color(dice) };
    json!({
        "id": id.to_string(), "name": dice.name(100), "managed": managed,
        "colors": { "primary_color": color(dice), "secondary_color": optional(dice), "tertiary_color": optional(dice) },
        "hoist": dice.once_in(2), "mentionable": dice.once_in(2), "permissions": dice.bits(),
        // Equal positions are no mistake: the lower id ranks above.
        "position": if id == GUILD { 0 } else { 1 + dice.below(4) },
        "unicode_emoji": dice.one_of(&[Value::Null, json!(""), json!("🔥"), json!("not one")]),
    })
}

fn overwrites(dice: &mut Dice, ids: &Ids) -> Value {
    let count = if dice.once_in(150) { 120 } else { dice.below(4) };
    let one = |number: u64| {
        let (id, kind) = match dice.below(6) {
            0 => (GUILD, json!(0)),
            1 => (BOT, json!(1)),
            2 => (10_000 + number, json!(1)),
            3 => (20_000 + number, dice.number(&[0])),
            _ => (ids.some_role(dice), json!(0)),
        };
        json!({ "id": id.to_string(), "type": kind, "allow": dice.bits(), "deny": dice.bits() })
    };
    (0..count).map(one).collect()
}

fn channel(dice: &mut Dice, ids: &Ids, id: u64, kind: i64) -> Value {
    let mut channel = json!({
        "id": id.to_string(), "type": kind, "name": dice.name(100), "position": dice.below(5),
        "flags": if dice.once_in(4) { dice.below(1 << 30) } else { 0 },
    });
    let parent = json!(ids.some_channel(dice).to_string());
    let overwrites = overwrites(dice, ids);
    let tags = tags(dice, ids);
    let (emoji_id, emoji_name) = dice.emoji(&ids.emojis);
    let fields = [
        ("parent_id", parent),
        ("topic", json!(dice.name(1_024))),
        ("nsfw", json!(dice.once_in(2))),
        ("rate_limit_per_user", dice.quantity(21_600)),
        ("bitrate", dice.quantity(96_000)),
        ("user_limit", dice.quantity(99)),
        ("rtc_region", json!(dice.one_of(&["rotterdam", "", "none", "x y"]))),
        ("video_quality_mode", dice.number(&[1, 2])),
        (
            "default_auto_archive_duration",
            dice.number(&[60, 1_440, 4_320, 10_080]),
        ),
        ("default_thread_rate_limit_per_user", dice.quantity(21_600)),
        ("available_tags", tags),
        (
            "default_reaction_emoji",
            json!({ "emoji_id": emoji_id, "emoji_name": emoji_name }),
        ),
        ("default_sort_order", dice.number(&[0, 1])),
        ("default_forum_layout", dice.number(&[0, 1, 2])),
        (
            "default_tag_setting",
            json!(dice.one_of(&["match_all", "match_some", "match_none"])),
        ),
        ("permission_overwrites", overwrites),
    ];
    for (field, value) in fields {
        dice.optional(&mut channel, field, value);
    }
    channel
}

fn tags(dice: &mut Dice, ids: &Ids) -> Value {
    let count = if dice.once_in(30) { 25 } else { dice.below(4) };
    let one = |number: u64| {
        let (emoji_id, emoji_name) = match dice.once_in(4) {
            true => dice.emoji(&ids.emojis),
            false => (Value::Null, Value::Null),
        };
        json!({ "id": (30_000 + number).to_string(), "name": dice.name(50), "moderated": dice.once_in(2),
            "emoji_id": emoji_id, "emoji_name": emoji_name })
    };
    (0..count).map(one).collect()
}

fn emoji(dice: &mut Dice, ids: &Ids, id: u64) -> Value {
    json!({ "id": id.to_string(), "name": dice.name(32), "roles": ids.roles(dice), "managed": dice.once_in(5) })
}

fn sticker(dice: &mut Dice, id: u64) -> Value {
    let description = dice
        .one_of(&[Value::Null, json!(""), json!("x"), json!("a dune")])
        .clone();
    json!({ "id": id.to_string(), "name": dice.name(30), "description": description, "tags": dice.name(200) })
}

/// More of everything than Discord lets anybody make.
pub(super) fn beyond_limits() -> Collections {
    let mut dice = Dice::new(7);
    let ids = Ids {
        roles: (2_000..2_258).collect(),
        categories: (3_000..3_008).collect(),
        channels: Vec::new(),
        emojis: Vec::new(),
    };
    let mut collections = collections(&mut dice, &ids);
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
