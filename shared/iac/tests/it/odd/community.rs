//! Webhooks, auto moderation, welcome screen, onboarding and scheduled events by chance.

use arrakis_iac::live::Collections;
use serde_json::{Value, json};

use super::dice::Dice;
use super::server::Ids;

/// Each of them, or not read at all.
pub(super) fn add(dice: &mut Dice, ids: &Ids, collections: &mut Collections) {
    let read = |dice: &mut Dice| !dice.once_in(8);
    if read(dice) {
        collections.webhooks = Some(
            (0..dice.below(4))
                .map(|number| webhook(dice, ids, 7_000 + number))
                .collect(),
        );
    }
    if read(dice) {
        collections.automod = Some(
            (0..dice.below(9))
                .map(|number| rule(dice, ids, 8_000 + number))
                .collect(),
        );
    }
    if read(dice) {
        collections.welcome_screen = Some(if dice.once_in(4) {
            Value::Null
        } else {
            screen(dice, ids)
        });
    }
    if read(dice) {
        collections.onboarding = Some(onboarding(dice, ids));
    }
    if read(dice) {
        collections.events = Some(
            (0..dice.below(4))
                .map(|number| event(dice, ids, 9_000 + number))
                .collect(),
        );
    }
}

fn webhook(dice: &mut Dice, ids: &Ids, id: u64) -> Value {
    let name = dice.name(80);
    json!({
        "id": id.to_string(), "type": dice.number(&[1, 1, 1, 2, 3]),
        "name": dice.one_of(&[Value::Null, json!("Clyde"), json!("discord"), json!(name)]),
        "channel_id": if dice.once_in(5) { Value::Null } else { json!(ids.some_channel(dice).to_string()) },
    })
}

fn words(dice: &mut Dice, most: u64) -> Value {
    let count = if dice.once_in(250) { 1_100 } else { dice.below(4) };
    (0..count).map(|_| json!(dice.name(most))).collect()
}

fn rule(dice: &mut Dice, ids: &Ids, id: u64) -> Value {
    if dice.once_in(12) {
        return Value::Null;
    }
    let kind = dice.number(&[1, 3, 4, 5, 6]);
    let metadata = match kind.as_i64() {
        Some(1 | 6) => {
            json!({ "keyword_filter": words(dice, 60), "regex_patterns": words(dice, 260), "allow_list": words(dice, 60) })
        }
        Some(4) => {
            let presets: Value = (0..dice.below(4)).map(|_| dice.number(&[1, 2, 3])).collect();
            json!({ "presets": presets, "allow_list": words(dice, 60) })
        }
        Some(5) => {
            json!({ "mention_total_limit": dice.quantity(50), "mention_raid_protection_enabled": dice.once_in(2) })
        }
        _ => dice.one_of(&[Value::Null, json!({}), json!({ "new": [1] })]).clone(),
    };
    let actions: Value = (0..dice.below(7)).map(|_| action(dice, ids)).collect();
    json!({
        "id": id.to_string(), "name": dice.name(100), "enabled": dice.once_in(2), "trigger_type": kind,
        "trigger_metadata": metadata, "actions": actions, "exempt_roles": ids.roles(dice), "exempt_channels": ids.channels(dice),
    })
}

fn action(dice: &mut Dice, ids: &Ids) -> Value {
    let kind = dice.number(&[1, 1, 1, 2, 2, 3, 3, 4]);
    let metadata = match kind.as_i64() {
        Some(1) => dice
            .one_of(&[
                Value::Null,
                json!({}),
                json!({ "custom_message": "no" }),
                json!({ "custom_message": null }),
            ])
            .clone(),
        Some(2) => json!({ "channel_id": ids.some_channel(dice).to_string() }),
        Some(3) => json!({ "duration_seconds": dice.quantity(2_419_200) }),
        _ => Value::Null,
    };
    json!({ "type": kind, "metadata": metadata })
}

fn screen(dice: &mut Dice, ids: &Ids) -> Value {
    let channels: Value = (0..dice.below(7))
        .map(|_| {
            let (emoji_id, emoji_name) = if dice.once_in(2) {
                dice.emoji(&ids.emojis)
            } else {
                (Value::Null, Value::Null)
            };
            json!({ "channel_id": ids.some_channel(dice).to_string(), "description": dice.name(50),
                "emoji_id": emoji_id, "emoji_name": emoji_name })
        })
        .collect();
    let description = dice.name(140);
    json!({ "description": dice.one_of(&[Value::Null, json!(description)]), "welcome_channels": channels })
}

fn onboarding(dice: &mut Dice, ids: &Ids) -> Value {
    let count = if dice.once_in(40) { 17 } else { dice.below(3) };
    let prompts: Value = (0..count).map(|number| prompt(dice, ids, number)).collect();
    json!({ "guild_id": "1000", "enabled": dice.once_in(2), "mode": dice.number(&[0, 1]),
        "default_channel_ids": ids.channels(dice), "prompts": prompts })
}

fn prompt(dice: &mut Dice, ids: &Ids, number: u64) -> Value {
    let count = if dice.once_in(60) { 55 } else { dice.below(4) };
    let options: Value = (0..count)
        .map(|number| {
            let (id, name) = if dice.once_in(3) {
                dice.emoji(&ids.emojis)
            } else {
                (Value::Null, Value::Null)
            };
            let title = dice.name(50);
            let mut option = json!({ "id": (60_000 + number).to_string(), "title": title,
                "description": dice.one_of(&[Value::Null, json!(""), json!("what it is")]),
                "role_ids": ids.roles(dice), "channel_ids": ids.channels(dice) });
            dice.optional(
                &mut option,
                "emoji",
                json!({ "id": id, "name": name, "animated": false }),
            );
            option
        })
        .collect();
    let kind = if dice.once_in(4) {
        dice.number(&[0, 1])
    } else {
        json!(0)
    };
    json!({ "id": (70_000 + number).to_string(), "title": dice.name(100), "type": kind, "single_select": dice.once_in(2),
        "required": dice.once_in(2), "in_onboarding": dice.once_in(2), "options": options })
}

fn event(dice: &mut Dice, ids: &Ids, id: u64) -> Value {
    let kind = dice.number(&[1, 2, 3, 3]);
    let location = dice.name(100);
    let times = [
        "2026-12-24T18:00:00Z",
        "2026-12-24T18:00:00.123456+02:00",
        "+12026-01-01T00:00:00Z",
        "soon",
    ];
    let end = *dice.one_of(&times);
    let mut event = json!({
        "id": id.to_string(), "name": dice.name(100), "scheduled_start_time": dice.one_of(&times),
        "scheduled_end_time": dice.one_of(&[Value::Null, json!(end)]), "entity_type": kind,
        "channel_id": if dice.once_in(3) { Value::Null } else { json!(ids.some_channel(dice).to_string()) },
        "entity_metadata": if kind == 3 { json!({ "location": location }) } else { Value::Null },
    });
    let description = json!(dice.name(1_000));
    dice.optional(&mut event, "description", description);
    event
}
