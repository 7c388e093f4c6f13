//! References between objects: a deleted object is not referred to any more, and references to unknown objects are refused.

use reqwest::Method;
use serde_json::{Value, json};

use crate::rest_support::{Bot, sietch};

/// Fields of a server that refer to a channel.
const CHANNEL_FIELDS: [&str; 5] = [
    "afk_channel_id",
    "system_channel_id",
    "rules_channel_id",
    "public_updates_channel_id",
    "safety_alerts_channel_id",
];

/// A server that is not a community, since a community's rules channel cannot be deleted.
async fn start() -> Bot {
    let mut server = sietch();
    server["community"] = json!(false);
    server["channels"]
        .as_array_mut()
        .unwrap()
        .retain(|channel| channel["kind"] != "announcement");
    server["bot"]["permissions"] = json!(["ADMINISTRATOR"]);
    let options = discord_emulator::Options {
        rate_limits: false,
        ..Default::default()
    };
    Bot::with(options, &server).await
}

#[tokio::test]
async fn a_server_forgets_each_channel_that_is_deleted() {
    let bot = start().await;
    let guild = format!("/guilds/{}", bot.guild());
    for field in CHANNEL_FIELDS {
        let kind = if field == "afk_channel_id" { 2 } else { 0 };
        let path = format!("{guild}/channels");
        let channel = bot.post(&path, json!({"name": "gone", "type": kind})).await.ok(201);
        let set = bot.patch(&guild, json!({ field: channel["id"] })).await.ok(200);
        assert_eq!(set[field], channel["id"]);
        bot.delete(&format!("/channels/{}", channel["id"].as_str().unwrap()))
            .await
            .ok(200);
        assert_eq!(bot.get(&guild).await.ok(200)[field], Value::Null, "{field}");
    }
}

#[tokio::test]
async fn rules_and_events_forget_a_channel_and_a_role_that_are_deleted() {
    let bot = start().await;
    let guild = format!("/guilds/{}", bot.guild());
    let stage = bot
        .post(&format!("{guild}/channels"), json!({"name": "hall", "type": 2}))
        .await
        .ok(201);
    let rule = json!({"name": "r", "event_type": 1, "trigger_type": 1, "actions": [{"type": 1}],
        "trigger_metadata": {"keyword_filter": ["spice"]},
        "exempt_channels": [stage["id"]], "exempt_roles": [bot.role("Guest").to_string()]});
    let rule = bot.post(&format!("{guild}/auto-moderation/rules"), rule).await.ok(200);
    let event = json!({"name": "e", "privacy_level": 2, "entity_type": 2, "channel_id": stage["id"],
        "scheduled_start_time": "2090-01-01T00:00:00Z"});
    let event = bot.post(&format!("{guild}/scheduled-events"), event).await.ok(200);
    bot.delete(&format!("/channels/{}", stage["id"].as_str().unwrap()))
        .await
        .ok(200);
    bot.delete(&format!("{guild}/roles/{}", bot.role("Guest")))
        .await
        .ok(204);
    let rule = bot
        .get(&format!(
            "{guild}/auto-moderation/rules/{}",
            rule["id"].as_str().unwrap()
        ))
        .await
        .ok(200);
    assert_eq!(
        (&rule["exempt_channels"], &rule["exempt_roles"]),
        (&json!([]), &json!([]))
    );
    let event = bot
        .get(&format!("{guild}/scheduled-events/{}", event["id"].as_str().unwrap()))
        .await
        .ok(200);
    assert_eq!(event["channel_id"], Value::Null);
}

/// A forum with the tags `open`, `closed` and, for moderators, `final`.
async fn forum(bot: &Bot) -> Value {
    let tags = json!([{"name": "open"}, {"name": "closed"}, {"name": "final", "moderated": true}]);
    let path = format!("/guilds/{}/channels", bot.guild());
    bot.post(&path, json!({"name": "questions", "type": 15, "available_tags": tags}))
        .await
        .ok(201)
}

fn tag(forum: &Value, name: &str) -> Value {
    let tags = forum["available_tags"].as_array().unwrap();
    tags.iter().find(|tag| tag["name"] == name).unwrap()["id"].clone()
}

fn path(channel: &Value) -> String {
    format!("/channels/{}", channel["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_forum_keeps_the_ids_of_its_own_tags_and_ignores_others() {
    let bot = Bot::start().await;
    let forum = forum(&bot).await;
    let tags = json!([
        {"id": tag(&forum, "open"), "name": "asked"},
        {"id": "77", "name": "invented"},
        {"id": tag(&forum, "open"), "name": "the same id again"},
        {"name": "new", "emoji_name": "🌊"},
    ]);
    let changed = bot.patch(&path(&forum), json!({"available_tags": tags})).await.ok(200);
    assert_eq!(tag(&changed, "asked"), tag(&forum, "open"));
    let ids: std::collections::HashSet<String> = changed["available_tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["id"].to_string())
        .collect();
    assert_eq!(ids.len(), 4, "{changed}");
    assert_ne!(tag(&changed, "invented"), "77");
    let doubled = json!({"available_tags": [{"name": "x"}, {"name": "x"}]});
    bot.patch(&path(&forum), doubled).await.refused(400, 40061);
    // A name may be empty, but not absent.
    bot.patch(&path(&forum), json!({"available_tags": [{"name": ""}]}))
        .await
        .ok(200);
    bot.patch(&path(&forum), json!({"available_tags": [{"moderated": true}]}))
        .await
        .form_error("/available_tags/0/name", "BASE_TYPE_REQUIRED");
}

#[tokio::test]
async fn posts_carry_only_tags_of_their_forum() {
    let bot = start_with_forums().await;
    let forum = forum(&bot).await;
    let post = |tags: Value| json!({"name": "why", "message": {"content": "?"}, "applied_tags": tags});
    let threads = format!("{}/threads", path(&forum));
    let made = bot
        .post(&threads, post(json!([tag(&forum, "open"), "77"])))
        .await
        .ok(201);
    assert_eq!(made["applied_tags"], json!([tag(&forum, "open")]));
    let tags = json!({"applied_tags": ["77", tag(&forum, "closed")]});
    let edited = bot.patch(&path(&made), tags).await.ok(200);
    assert_eq!(edited["applied_tags"], json!([tag(&forum, "closed")]));
    // A deleted tag of the forum is removed from its posts.
    bot.patch(
        &path(&forum),
        json!({"available_tags": [{"id": tag(&forum, "open"), "name": "open"}]}),
    )
    .await
    .ok(200);
    assert_eq!(bot.get(&path(&made)).await.ok(200)["applied_tags"], json!([]));
    // A forum may require one.
    bot.patch(&path(&forum), json!({"flags": 1 << 4})).await.ok(200);
    bot.post(&threads, post(json!(["77"]))).await.refused(400, 40067);
    bot.post(&threads, post(json!([tag(&forum, "open")]))).await.ok(201);
    let elsewhere = format!("/channels/{}/threads", bot.channel("general"));
    let thread = bot
        .post(&elsewhere, json!({"name": "t", "type": 11, "applied_tags": ["77"]}))
        .await
        .ok(201);
    assert_eq!(thread["applied_tags"], json!([]));
}

/// The server of most tests, with an administrator.
async fn start_with_forums() -> Bot {
    let mut server = sietch();
    server["bot"]["permissions"] = json!(["ADMINISTRATOR"]);
    let options = discord_emulator::Options {
        rate_limits: false,
        ..Default::default()
    };
    Bot::with(options, &server).await
}

#[tokio::test]
async fn moderated_tags_are_for_moderators() {
    let bot = Bot::start().await;
    let forum = forum(&bot).await;
    let everyone = format!("{}/permissions/{}", path(&forum), bot.made.bot_role_id);
    bot.put(&everyone, Some(json!({"type": 0, "deny": (1_u64 << 34).to_string()})))
        .await
        .ok(204);
    let post = json!({"name": "why", "message": {"content": "?"}, "applied_tags": [tag(&forum, "final")]});
    bot.post(&format!("{}/threads", path(&forum)), post)
        .await
        .refused(403, 50013);
}

#[tokio::test]
async fn a_webhook_tags_the_post_that_it_starts() {
    let bot = start_with_forums().await;
    let forum = forum(&bot).await;
    let hook = bot
        .post(&format!("{}/webhooks", path(&forum)), json!({"name": "hook"}))
        .await
        .ok(200);
    let execute = format!(
        "/webhooks/{}/{}?wait=true",
        hook["id"].as_str().unwrap(),
        hook["token"].as_str().unwrap()
    );
    let body = json!({"content": "?", "thread_name": "why", "applied_tags": [tag(&forum, "closed"), "77"]});
    let message = bot.open_call(Method::POST, &execute, Some(body)).await.ok(200);
    let thread = bot
        .get(&format!("/channels/{}", message["channel_id"].as_str().unwrap()))
        .await
        .ok(200);
    assert_eq!(thread["applied_tags"], json!([tag(&forum, "closed")]));
}
