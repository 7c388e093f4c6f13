//! A field that Discord requires and that an answer lacks is an error that names call and field: nothing is read as empty.
//!
//! With `DISCORD_OPENAPI` naming Discord's OpenAPI document, every field that it requires is tried; without it, those of the
//! committed list, which the document is compared with.

use arrakis_iac::live::{Collections, LiveServer, Unreadable};
use arrakis_iac::model::{Attributes, AutomodTrigger, Kind, Snowflake};
use serde_json::{Value, json};

/// Each call with a complete answer, every optional field in it.
fn answers() -> Vec<(String, Value)> {
    serde_json::from_str(include_str!("data/answers.json")).unwrap()
}

fn collections(answers: &[(String, Value)]) -> Collections {
    let [
        guild,
        channels,
        bot,
        webhooks,
        automod,
        welcome_screen,
        onboarding,
        events,
        me,
    ] = answers
    else {
        panic!("nine calls");
    };
    Collections {
        me: me.1.clone(),
        guild: guild.1.clone(),
        channels: channels.1.clone(),
        bot: bot.1.clone(),
        lists: [
            (Kind::Webhook, webhooks),
            (Kind::Automod, automod),
            (Kind::WelcomeScreen, welcome_screen),
            (Kind::Onboarding, onboarding),
            (Kind::Event, events),
        ]
        .map(|(kind, answer)| (kind, answer.1.clone()))
        .into(),
    }
}

/// What is read, with one field of one answer changed.
fn read_with(call: usize, object: &str, change: impl Fn(&mut Value)) -> Result<LiveServer, Unreadable> {
    let mut answers = answers();
    change(answers[call].1.pointer_mut(object).unwrap());
    LiveServer::read(&collections(&answers))
}

/// Objects by JSON pointer, the whole included.
fn objects(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.push(at.to_owned());
            map.iter()
                .for_each(|(key, value)| objects(value, &format!("{at}/{key}"), found));
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(index, value)| objects(value, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

/// The pointer as serde names it: `[0].actions[1].metadata`.
fn path(pointer: &str) -> String {
    let mut path = String::new();
    for step in pointer.split('/').skip(1) {
        match step.parse::<usize>() {
            Ok(index) => path.push_str(&format!("[{index}]")),
            Err(_) if path.is_empty() => path.push_str(step),
            Err(_) => path.push_str(&format!(".{step}")),
        }
    }
    if path.is_empty() { ".".to_owned() } else { path }
}

/// Fields that Discord requires and that we read, by call; those after `?` may be `null`. The last objects of a list are
/// meant by `*`.
const REQUIRED: &[(&str, &[&str])] = &[
    (
        "/guilds/{id}",
        &[
            "id",
            "owner_id",
            "name",
            "description?",
            "verification_level",
            "default_message_notifications",
            "explicit_content_filter",
            "preferred_locale",
            "afk_channel_id?",
            "afk_timeout",
            "system_channel_id?",
            "system_channel_flags",
            "rules_channel_id?",
            "public_updates_channel_id?",
            "safety_alerts_channel_id?",
            "premium_progress_bar_enabled",
            "premium_tier",
            "features",
            "roles",
            "emojis",
            "roles/*/id",
            "roles/*/name",
            "roles/*/colors",
            "roles/*/colors/primary_color",
            "roles/*/colors/secondary_color?",
            "roles/*/colors/tertiary_color?",
            "roles/*/hoist",
            "roles/*/mentionable",
            "roles/*/managed",
            "roles/*/position",
            "roles/*/permissions",
            "emojis/*/id",
            "emojis/*/name",
            "stickers/*/id",
            "stickers/*/name",
            "stickers/*/description?",
            "stickers/*/tags",
        ],
    ),
    (
        "/guilds/{id}/channels",
        &[
            "*/id",
            "*/type",
            "*/name",
            "*/permission_overwrites/*/id",
            "*/permission_overwrites/*/type",
            "*/permission_overwrites/*/allow",
            "*/permission_overwrites/*/deny",
            "3/available_tags/*/name",
            "3/available_tags/*/moderated",
            "3/available_tags/*/emoji_id?",
            "3/available_tags/*/emoji_name?",
            "3/default_reaction_emoji/emoji_id?",
            "3/default_reaction_emoji/emoji_name?",
        ],
    ),
    ("/guilds/{id}/members/{bot}", &["roles"]),
    ("/guilds/{id}/webhooks", &["*/id", "*/type", "*/channel_id?", "*/name?"]),
    (
        "/guilds/{id}/auto-moderation/rules",
        &[
            "*/id",
            "*/name",
            "*/enabled",
            "*/trigger_type",
            "*/actions",
            "*/exempt_roles",
            "*/exempt_channels",
            "*/actions/*/type",
            "*/actions/1/metadata",
            "*/actions/1/metadata/channel_id",
            "*/actions/2/metadata",
            "*/actions/2/metadata/duration_seconds",
            "0/trigger_metadata",
            "0/trigger_metadata/keyword_filter",
            "0/trigger_metadata/regex_patterns",
            "0/trigger_metadata/allow_list",
            "2/trigger_metadata",
            "2/trigger_metadata/presets",
            "2/trigger_metadata/allow_list",
            "3/trigger_metadata",
            "3/trigger_metadata/mention_total_limit",
            "3/trigger_metadata/mention_raid_protection_enabled",
            "4/trigger_metadata",
            "4/trigger_metadata/keyword_filter",
            "4/trigger_metadata/regex_patterns",
            "4/trigger_metadata/allow_list",
        ],
    ),
    (
        "/guilds/{id}/welcome-screen",
        &[
            "description?",
            "welcome_channels",
            "welcome_channels/*/channel_id",
            "welcome_channels/*/description",
            "welcome_channels/*/emoji_id?",
            "welcome_channels/*/emoji_name?",
        ],
    ),
    (
        "/guilds/{id}/onboarding",
        &[
            "enabled",
            "mode",
            "default_channel_ids",
            "prompts",
            "prompts/*/title",
            "prompts/*/type",
            "prompts/*/single_select",
            "prompts/*/required",
            "prompts/*/in_onboarding",
            "prompts/*/options",
            "prompts/*/options/*/title",
            "prompts/*/options/*/description?",
            "prompts/*/options/*/role_ids",
            "prompts/*/options/*/channel_ids",
            "prompts/*/options/*/emoji/id?",
            "prompts/*/options/*/emoji/name?",
        ],
    ),
    (
        "/guilds/{id}/scheduled-events",
        &[
            "*/id",
            "*/name",
            "*/scheduled_start_time",
            "*/scheduled_end_time?",
            "*/entity_type",
            "*/channel_id?",
            "0/entity_metadata",
            "0/entity_metadata/location",
        ],
    ),
    ("/users/@me", &["id"]),
];

/// Whether a pointer without its first slash is meant by a pattern of the list.
fn fits(pattern: &str, pointer: &str) -> bool {
    let (pattern, pointer): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), pointer.split('/').collect());
    pattern.len() == pointer.len()
        && pattern
            .iter()
            .zip(pointer)
            .all(|(one, other)| *one == other || (*one == "*" && other.parse::<usize>().is_ok()))
}

/// Every field of a complete answer: its call, its object and its name.
fn fields() -> Vec<(usize, String, String)> {
    let mut all = Vec::new();
    for (call, (_, answer)) in answers().iter().enumerate() {
        let mut found = Vec::new();
        objects(answer, "", &mut found);
        for object in found {
            let keys = answer.pointer(&object).and_then(Value::as_object).unwrap().keys();
            all.extend(keys.map(|key| (call, object.clone(), key.clone())));
        }
    }
    all
}

fn rule_of(call: usize, object: &str, field: &str) -> Option<bool> {
    let pointer = format!("{object}/{field}");
    let pointer = pointer.trim_start_matches('/');
    let patterns = REQUIRED[call].1.iter();
    let mut found = patterns.filter(|pattern| fits(pattern.trim_end_matches('?'), pointer));
    found.next().map(|pattern| pattern.ends_with('?'))
}

#[test]
fn complete_response_is_read() {
    let live = LiveServer::read(&collections(&answers())).unwrap();
    assert_eq!(live.unknown, []);
    for (kind, count) in [
        (Kind::Role, 2),
        (Kind::Channel, 3),
        (Kind::Automod, 5),
        (Kind::Event, 3),
        (Kind::Webhook, 1),
    ] {
        assert_eq!(live.of_kind(kind).count(), count, "{kind}");
    }
}

#[test]
fn missing_required_field_is_an_error_with_its_name() {
    let mut tried = 0;
    for (call, object, field) in fields() {
        let Some(nullable) = rule_of(call, &object, &field) else {
            continue;
        };
        tried += 1;
        let removed = read_with(call, &object, |object| {
            object.as_object_mut().unwrap().remove(&field);
        });
        let message = removed
            .expect_err(&format!("{object}/{field} of call {call} is not needed"))
            .to_string();
        let name = REQUIRED[call].0;
        assert!(message.contains(&format!("GET {name}")), "{message}");
        assert!(
            message.contains(&field) && message.contains(&path(&object)),
            "{object}/{field}: {message}"
        );
        let null = read_with(call, &object, |object| object[field.as_str()] = Value::Null);
        if nullable {
            assert!(null.is_ok(), "{object}/{field}: {null:?}");
        } else {
            let message = null
                .expect_err(&format!("null {object}/{field} of call {call} is taken"))
                .to_string();
            assert!(
                message.contains(&field) && message.contains(&format!("GET {name}")),
                "{message}"
            );
        }
    }
    assert!(tried > 180, "{tried}");
}

/// Whatever else is missing or null is tolerated, or is not read at all; no list or set becomes empty by it.
#[test]
fn missing_optional_field_is_accepted() {
    for (call, object, field) in fields() {
        if rule_of(call, &object, &field).is_some() {
            continue;
        }
        let removed = read_with(call, &object, |object| {
            object.as_object_mut().unwrap().remove(&field);
        });
        let null = read_with(call, &object, |object| object[field.as_str()] = Value::Null);
        for read in [removed, null] {
            let live = read.unwrap_or_else(|error| panic!("{object}/{field}: {error}"));
            if ["permission_overwrites", "available_tags"].contains(&field.as_str()) {
                let id: Snowflake = answers()[call].1.pointer(&object).unwrap()["id"]
                    .as_str()
                    .unwrap()
                    .parse()
                    .unwrap();
                let channel = live.channel(id).unwrap();
                assert!(
                    channel.overwrites.is_none() || channel.tags.is_none(),
                    "{object}/{field} is read as empty"
                );
            }
        }
    }
}

#[test]
fn response_that_is_not_a_list_is_an_error() {
    for call in 0..9 {
        for wrong in [Value::Null, json!({ "message": "?" }), json!("x"), json!([1])] {
            // The caller gives `null` for a server without a welcome screen.
            if call == 5 && wrong.is_null() {
                continue;
            }
            let mut answers = answers();
            answers[call].1 = wrong.clone();
            let message = LiveServer::read(&collections(&answers))
                .expect_err(&format!("{wrong} of call {call}"))
                .to_string();
            assert!(message.contains(REQUIRED[call].0), "{message}");
        }
    }
}

#[test]
fn unknown_values_are_unmanaged_and_reported() {
    let live = read_with(4, "/0", |rule| rule["trigger_type"] = json!(42)).unwrap();
    let message: Vec<String> = live.unknown.iter().map(ToString::to_string).collect();
    assert_eq!(message.len(), 1);
    assert!(
        message[0].contains("automod rule `r` (40)") && message[0].contains("`trigger`, `42`"),
        "{message:?}"
    );
    let keyword = |live: &LiveServer| {
        live.of_kind(Kind::Automod)
            .filter(|rule| matches!(&rule.attributes, Attributes::Automod(rule) if matches!(rule.trigger, Some(AutomodTrigger::Keyword { .. }))))
            .count()
    };
    assert_eq!(keyword(&live), 0);
    let live = read_with(1, "/1", |channel| channel["type"] = json!(99)).unwrap();
    assert_eq!((live.foreign_channels, live.of_kind(Kind::Channel).count()), (1, 2));
}

fn snowflake(id: u64) -> Snowflake {
    Snowflake::new(id).unwrap()
}

/// Of what has an unknown kind nothing but id and kind is needed.
#[test]
fn resources_of_unknown_kinds_are_unreadable() {
    let live = read_with(1, "/1", |channel| {
        *channel = json!({ "id": "7", "type": 99, "name": null, "available_tags": 1 });
    });
    let live = live.unwrap();
    for kind in [Kind::Channel, Kind::Category] {
        assert_eq!(live.unreadable(kind, snowflake(7)).unwrap().value, "99", "{kind}");
    }
    assert!(live.unreadable(Kind::Role, snowflake(7)).is_none());
    let live = read_with(3, "/0", |webhook| *webhook = json!({ "id": "20", "type": 77 })).unwrap();
    assert!(live.unreadable(Kind::Webhook, snowflake(20)).is_some());
    assert_eq!(live.unknown, [], "followed channels and applications have webhooks too");
    let live = read_with(4, "/1", |rule| rule["trigger_type"] = json!(42)).unwrap();
    assert!(live.unreadable(Kind::Automod, snowflake(41)).is_some());
    let live = read_with(7, "/1", |event| event["entity_type"] = json!(42)).unwrap();
    assert!(live.unreadable(Kind::Event, snowflake(61)).is_some());
    let mut answers = answers();
    answers[4].1[2] = Value::Null;
    let live = LiveServer::read(&collections(&answers)).unwrap();
    assert_eq!(live.incomplete, [Kind::Automod].into());
}

/// What the reference permits to be absent has its default there, unless a resource would be removed from the state or moved by it.
#[test]
fn fields_that_may_be_absent_have_their_documented_defaults() {
    let mut answers = answers();
    remove(&mut answers, "/0/stickers");
    for field in ["roles", "managed", "animated"] {
        remove(&mut answers, &format!("/0/emojis/0/{field}"));
    }
    remove(&mut answers, "/0/roles/1/unicode_emoji");
    for channel in 0..4 {
        remove(&mut answers, &format!("/1/{channel}/position"));
        remove(&mut answers, &format!("/1/{channel}/flags"));
    }
    remove(&mut answers, "/2/user");
    let live = LiveServer::read(&collections(&answers)).unwrap();
    assert!(live.unread.contains(&Kind::Sticker) && live.channels_unordered);
    let emoji = live.get(Kind::Emoji, snowflake(30)).unwrap();
    assert!(!emoji.managed && live.animated_emoji.is_empty());
    assert!(matches!(&emoji.attributes, Attributes::Emoji(emoji) if emoji.roles == Some(Vec::new())));
    assert_eq!(live.role(snowflake(5)).unwrap().unicode_emoji.as_deref(), Some(""));
    assert_eq!(live.channel(snowflake(9)).unwrap().require_tag, Some(false));
    assert_eq!(live.bot.user_id, snowflake(2));
}

/// Removes a field of an answer: the number of the call, then the pointer within it.
fn remove(answers: &mut [(String, Value)], pointer: &str) {
    let (call, pointer) = pointer.trim_start_matches('/').split_once('/').unwrap();
    let (object, field) = pointer
        .rsplit_once('/')
        .map_or(("", pointer), |(object, field)| (object, field));
    let object = if object.is_empty() {
        String::new()
    } else {
        format!("/{object}")
    };
    let answer = &mut answers[call.parse::<usize>().unwrap()].1;
    let removed = answer
        .pointer_mut(&object)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove(field);
    assert!(removed.is_some(), "{pointer}");
}

/// Where Discord's practice differs from its document, by the name of the field.
const UNLIKE_THE_DOCUMENT: &[&str] = &[
    // The reference permits answers of onboarding without emoji and description.
    "prompts/*/options/*/emoji",
    "prompts/*/options/*/description",
    // The reference permits an event without a description.
    "*/description",
    // Nothing is in them.
    "*/actions/0/metadata",
    "*/actions/3/metadata",
    "1/trigger_metadata",
    "1/entity_metadata",
    "2/entity_metadata",
    // The reference calls the name of a webhook nullable.
    "*/name",
    // A tag without a readable id is identified by its name.
    "*/available_tags/*/id",
    // The format determines only where the image is.
    "stickers/*/format_type",
    // The reference permits these to be absent.
    "stickers",
    "roles/*/unicode_emoji",
    "emojis/*/roles",
    "emojis/*/managed",
    "emojis/*/animated",
    "*/position",
    "*/flags",
];

/// Every field that Discord's document requires is required here, or not read at all.
#[test]
fn required_fields_of_the_openapi_document_are_required() {
    let Some(file) = std::env::var_os("DISCORD_OPENAPI") else {
        eprintln!("skipped: DISCORD_OPENAPI names no document");
        return;
    };
    let document: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let complete = LiveServer::read(&collections(&answers())).unwrap();
    let mut tried = 0;
    for (call, (name, answer)) in answers().into_iter().enumerate() {
        let path = name.replacen("{id}", "{guild_id}", 1).replace("{bot}", "{user_id}");
        let schema = &document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        let mut required = Vec::new();
        walk(&document, schema, &answer, "", &mut required);
        for (object, field, nullable) in required {
            tried += 1;
            let pointer = format!("{object}/{field}");
            let forgiven = UNLIKE_THE_DOCUMENT
                .iter()
                .any(|pattern| fits(pattern, pointer.trim_start_matches('/')));
            let removed = read_with(call, &object, |object| {
                object.as_object_mut().unwrap().remove(&field);
            });
            let null = read_with(call, &object, |object| object[field.as_str()] = Value::Null);
            let unread = |read: &Result<LiveServer, Unreadable>| {
                read.is_err() || read.as_ref().is_ok_and(|live| *live == complete)
            };
            assert!(
                forgiven || unread(&removed),
                "{name} {pointer} is required by the document and read as if it were not"
            );
            assert!(
                forgiven || nullable || unread(&null),
                "{name} {pointer} may not be null"
            );
        }
    }
    assert!(tried > 300, "{tried}");
}

/// Required fields by the schema, of the objects that are present: object, field, whether it may be `null`.
fn walk(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<(String, String, bool)>) {
    let schema = resolve(document, schema, value);
    match value {
        Value::Object(map) => {
            for field in schema["required"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
            {
                if map.contains_key(field) {
                    let of = &schema["properties"][field];
                    found.push((at.to_owned(), field.to_owned(), may_be_null(document, of)));
                }
            }
            for (key, value) in map {
                walk(
                    document,
                    &schema["properties"][key],
                    value,
                    &format!("{at}/{key}"),
                    found,
                );
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(document, &schema["items"], item, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// Behind references, and of several schemas the one that the value's `type`, `trigger_type` or `entity_type` fits.
fn resolve<'a>(document: &'a Value, schema: &'a Value, value: &Value) -> &'a Value {
    if let Some(name) = schema["$ref"].as_str() {
        let found = document.pointer(name.trim_start_matches('#')).unwrap();
        return resolve(document, found, value);
    }
    let choices = schema["oneOf"].as_array().or_else(|| schema["allOf"].as_array());
    let Some(choices) = choices else { return schema };
    let fits = |choice: &&Value| {
        let choice = resolve(document, choice, value);
        ["type", "trigger_type", "entity_type"].iter().all(|key| {
            let known = choice["properties"][key]["enum"].as_array();
            known.is_none_or(|known| known.contains(&value[key]))
        }) && choice["type"] != "null"
    };
    choices
        .iter()
        .find(fits)
        .map_or(schema, |choice| resolve(document, choice, value))
}

fn may_be_null(document: &Value, schema: &Value) -> bool {
    if let Some(name) = schema["$ref"].as_str() {
        return may_be_null(document, document.pointer(name.trim_start_matches('#')).unwrap());
    }
    let of_type = &schema["type"];
    of_type == "null"
        || of_type.as_array().is_some_and(|types| types.contains(&json!("null")))
        || schema["oneOf"]
            .as_array()
            .is_some_and(|choices| choices.iter().any(|choice| may_be_null(document, choice)))
}
