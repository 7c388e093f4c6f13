//! Webhooks, auto moderation, welcome screen, onboarding and scheduled events at random.

use arrakis_iac::live::Collections;
use arrakis_iac::model::Kind;
use serde_json::{Value, json};

use super::random::Random;
use super::server::Ids;

/// Each of them, or not read at all.
pub(super) fn add(random: &mut Random, ids: &Ids, collections: &mut Collections) {
    let mut lists = Vec::new();
    let read = |random: &mut Random| !random.once_in(8);
    if read(random) {
        let webhooks = (0..random.below(4)).map(|number| webhook(random, ids, 7_000 + number));
        lists.push((Kind::Webhook, webhooks.collect()));
    }
    if read(random) {
        let rules = (0..random.below(9)).map(|number| rule(random, ids, 8_000 + number));
        lists.push((Kind::Automod, rules.collect()));
    }
    if read(random) {
        let screen = if random.once_in(4) {
            Value::Null
        } else {
            screen(random, ids)
        };
        lists.push((Kind::WelcomeScreen, screen));
    }
    if read(random) {
        lists.push((Kind::Onboarding, onboarding(random, ids)));
    }
    if read(random) {
        let events = (0..random.below(4)).map(|number| event(random, ids, 9_000 + number));
        lists.push((Kind::Event, events.collect()));
    }
    collections.lists.extend(lists);
}

fn webhook(random: &mut Random, ids: &Ids, id: u64) -> Value {
    let name = random.name(80);
    json!({
        "id": id.to_string(), "type": random.number(&[1, 1, 1, 2, 3]),
        "name": random.one_of(&[Value::Null, json!("Clyde"), json!("discord"), json!(name)]),
        "channel_id": if random.once_in(5) { Value::Null } else { json!(ids.some_channel(random).to_string()) },
    })
}

fn words(random: &mut Random, most: u64) -> Value {
    let count = if random.once_in(250) { 1_100 } else { random.below(4) };
    (0..count).map(|_| json!(random.name(most))).collect()
}

fn rule(random: &mut Random, ids: &Ids, id: u64) -> Value {
    if random.once_in(12) {
        return Value::Null;
    }
    let kind = random.number(&[1, 3, 4, 5, 6]);
    let metadata = match kind.as_i64() {
        Some(1 | 6) => {
            json!({ "keyword_filter": words(random, 60), "regex_patterns": words(random, 260), "allow_list": words(random, 60) })
        }
        Some(4) => {
            let presets: Value = (0..random.below(4)).map(|_| random.number(&[1, 2, 3])).collect();
            json!({ "presets": presets, "allow_list": words(random, 60) })
        }
        Some(5) => {
            json!({ "mention_total_limit": random.quantity(50), "mention_raid_protection_enabled": random.once_in(2) })
        }
        _ => random.one_of(&[Value::Null, json!({}), json!({ "new": [1] })]).clone(),
    };
    let actions: Value = (0..random.below(7)).map(|_| action(random, ids)).collect();
    json!({
        "id": id.to_string(), "name": random.name(100), "enabled": random.once_in(2), "trigger_type": kind,
        "trigger_metadata": metadata, "actions": actions, "exempt_roles": ids.roles(random), "exempt_channels": ids.channels(random),
    })
}

fn action(random: &mut Random, ids: &Ids) -> Value {
    let kind = random.number(&[1, 1, 1, 2, 2, 3, 3, 4]);
    let metadata = match kind.as_i64() {
        Some(1) => random
            .one_of(&[
                Value::Null,
                json!({}),
                json!({ "custom_message": "no" }),
                json!({ "custom_message": null }),
            ])
            .clone(),
        Some(2) => json!({ "channel_id": ids.some_channel(random).to_string() }),
        Some(3) => json!({ "duration_seconds": random.quantity(2_419_200) }),
        _ => Value::Null,
    };
    json!({ "type": kind, "metadata": metadata })
}

fn screen(random: &mut Random, ids: &Ids) -> Value {
    let channels: Value = (0..random.below(7))
        .map(|_| {
            let (emoji_id, emoji_name) = if random.once_in(2) {
                random.emoji(&ids.emojis)
            } else {
                (Value::Null, Value::Null)
            };
            json!({ "channel_id": ids.some_channel(random).to_string(), "description": random.name(50),
                "emoji_id": emoji_id, "emoji_name": emoji_name })
        })
        .collect();
    let description = random.name(140);
    json!({ "description": random.one_of(&[Value::Null, json!(description)]), "welcome_channels": channels })
}

fn onboarding(random: &mut Random, ids: &Ids) -> Value {
    let count = if random.once_in(40) { 17 } else { random.below(3) };
    let prompts: Value = (0..count).map(|number| prompt(random, ids, number)).collect();
    json!({ "guild_id": "1000", "enabled": random.once_in(2), "mode": random.number(&[0, 1]),
        "default_channel_ids": ids.channels(random), "prompts": prompts })
}

fn prompt(random: &mut Random, ids: &Ids, number: u64) -> Value {
    let count = if random.once_in(60) { 55 } else { random.below(4) };
    let options: Value = (0..count)
        .map(|number| {
            let (id, name) = if random.once_in(3) {
                random.emoji(&ids.emojis)
            } else {
                (Value::Null, Value::Null)
            };
            let title = random.name(50);
            let mut option = json!({ "id": (60_000 + number).to_string(), "title": title,
                "description": random.one_of(&[Value::Null, json!(""), json!("what it is")]),
                "role_ids": ids.roles(random), "channel_ids": ids.channels(random) });
            random.optional(
                &mut option,
                "emoji",
                json!({ "id": id, "name": name, "animated": false }),
            );
            option
        })
        .collect();
    let kind = if random.once_in(4) {
        random.number(&[0, 1])
    } else {
        json!(0)
    };
    json!({ "id": (70_000 + number).to_string(), "title": random.name(100), "type": kind, "single_select": random.once_in(2),
        "required": random.once_in(2), "in_onboarding": random.once_in(2), "options": options })
}

fn event(random: &mut Random, ids: &Ids, id: u64) -> Value {
    let kind = random.number(&[1, 2, 3, 3]);
    let location = random.name(100);
    let times = [
        "2026-12-24T18:00:00Z",
        "2026-12-24T18:00:00.123456+02:00",
        "+12026-01-01T00:00:00Z",
        "soon",
    ];
    let end = *random.one_of(&times);
    let mut event = json!({
        "id": id.to_string(), "name": random.name(100), "scheduled_start_time": random.one_of(&times),
        "scheduled_end_time": random.one_of(&[Value::Null, json!(end)]), "entity_type": kind,
        "channel_id": if random.once_in(3) { Value::Null } else { json!(ids.some_channel(random).to_string()) },
        "entity_metadata": if kind == 3 { json!({ "location": location }) } else { Value::Null },
    });
    let description = json!(random.name(1_000));
    random.optional(&mut event, "description", description);
    event
}
