//! Each field of each body against Discord's OpenAPI document: what the document allows is accepted, unknown fields are
//! ignored, ids may be numbers, required fields are required, and numbers and flags are read as they were set.

use reqwest::Method;
use serde_json::{Value, json};

use crate::rest_support::{Bot, checker, sietch};

/// Where Discord's documentation (or the meaning of a field) is narrower than its OpenAPI document.
const NARROWER: [(&str, &str); 28] = [
    // Only text and announcement channels are converted into each other.
    ("/channels/{channel_id}", "type"),
    // 1,024 characters, but in forums.
    ("/channels/{channel_id}", "topic"),
    ("/guilds/{guild_id}/channels", "topic"),
    ("/guilds/{guild_id}/channels", "type"),
    // A thread's name is not empty.
    ("/channels/{channel_id}", "name"),
    // 2,000 characters for bots, and a message is not empty.
    ("/channels/{channel_id}/messages", "content"),
    ("/channels/{channel_id}/messages/{message_id}", "content"),
    ("/webhooks/{webhook_id}/{webhook_token}", "content"),
    // Formats that the document does not state.
    ("/webhooks/{webhook_id}/{webhook_token}", "avatar_url"),
    ("/webhooks/{webhook_id}/{webhook_token}", "thread_name"),
    ("/channels/{channel_id}/messages", "flags"),
    ("/channels/{channel_id}/messages/{message_id}", "flags"),
    ("/webhooks/{webhook_id}/{webhook_token}", "flags"),
    ("/applications/@me", "interactions_endpoint_url"),
    ("/applications/@me", "role_connections_verification_url"),
    ("/applications/@me", "event_webhooks_url"),
    ("/applications/@me", "custom_install_url"),
    // Names and triggers that fit each other.
    ("/guilds/{guild_id}/auto-moderation/rules", "name"),
    ("/guilds/{guild_id}/auto-moderation/rules/{rule_id}", "name"),
    ("/guilds/{guild_id}/auto-moderation/rules", "event_type"),
    ("/guilds/{guild_id}/auto-moderation/rules/{rule_id}", "event_type"),
    ("/guilds/{guild_id}/auto-moderation/rules", "actions"),
    ("/guilds/{guild_id}/auto-moderation/rules/{rule_id}", "actions"),
    ("/guilds/{guild_id}/scheduled-events", "name"),
    // An event in voice has a channel.
    ("/guilds/{guild_id}/scheduled-events", "channel_id"),
    // A slash command has a description, a command on users or messages none; entry points need an activity.
    ("/applications/{application_id}/commands", "description"),
    ("/applications/{application_id}/commands", "type"),
    ("/applications/{application_id}/commands/{command_id}", "description"),
];

/// Fields that are computed, or in no response.
const UNREAD: [&str; 7] = [
    "flags",
    "enabled",
    "enforce_nonce",
    "tts",
    "type",
    "handler",
    "explicit_content_filter",
];

/// One route and a body that it accepts.
struct Target {
    method: Method,
    template: &'static str,
    variant: Option<&'static str>,
    path: String,
    base: Value,
}

fn target(method: Method, template: &'static str, path: String, base: Value) -> Target {
    let variant = match (template, &method) {
        ("/channels/{channel_id}", _) => Some("UpdateGuildChannelRequestPartial"),
        ("/guilds/{guild_id}/auto-moderation/rules", _) => Some("KeywordUpsertRequest"),
        ("/guilds/{guild_id}/auto-moderation/rules/{rule_id}", _) => Some("KeywordUpsertRequestPartial"),
        ("/guilds/{guild_id}/scheduled-events", _) => Some("VoiceScheduledEventCreateRequest"),
        ("/webhooks/{webhook_id}/{webhook_token}", _) => Some("IncomingWebhookRequestPartial"),
        _ => None,
    };
    Target {
        method,
        template,
        variant,
        path,
        base,
    }
}

async fn targets(bot: &Bot) -> Vec<Target> {
    let guild = format!("/guilds/{}", bot.guild());
    let channels = format!("{guild}/channels");
    let general = format!("/channels/{}", bot.channel("general"));
    let application = format!("/applications/{}", bot.application());
    let message = bot
        .post(&format!("{general}/messages"), json!({"content": "x"}))
        .await
        .ok(200);
    let hook = bot
        .post(&format!("{general}/webhooks"), json!({"name": "hook"}))
        .await
        .ok(200);
    let rule = json!({"name": "r", "event_type": 1, "trigger_type": 1, "actions": [{"type": 1}],
        "trigger_metadata": {"keyword_filter": ["spice"]}});
    let kept = bot
        .post(&format!("{guild}/auto-moderation/rules"), rule.clone())
        .await
        .ok(200);
    let command = bot
        .post(
            &format!("{application}/commands"),
            json!({"name": "kept", "description": "d"}),
        )
        .await;
    let event = json!({"name": "e", "privacy_level": 2, "scheduled_start_time": "2090-01-01T00:00:00Z", "entity_type": 2,
        "channel_id": bot.channel("voice").to_string()});
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut targets = vec![
        target(
            Method::POST,
            "/guilds/{guild_id}/roles",
            format!("{guild}/roles"),
            json!({"name": "r"}),
        ),
        target(
            Method::PATCH,
            "/guilds/{guild_id}/roles/{role_id}",
            format!("{guild}/roles/{}", bot.role("Guest")),
            json!({}),
        ),
        target(
            Method::PATCH,
            "/guilds/{guild_id}/members/@me",
            format!("{guild}/members/@me"),
            json!({}),
        ),
        target(
            Method::PATCH,
            "/applications/@me",
            "/applications/@me".to_owned(),
            json!({}),
        ),
        target(
            Method::POST,
            "/channels/{channel_id}/messages",
            format!("{general}/messages"),
            json!({"content": "x"}),
        ),
        target(
            Method::PATCH,
            "/channels/{channel_id}/messages/{message_id}",
            format!("{general}/messages/{}", text(&message["id"])),
            json!({"content": "y"}),
        ),
        target(
            Method::POST,
            "/webhooks/{webhook_id}/{webhook_token}",
            format!("/webhooks/{}/{}", text(&hook["id"]), text(&hook["token"])),
            json!({"content": "x"}),
        ),
        target(
            Method::PATCH,
            "/webhooks/{webhook_id}",
            format!("/webhooks/{}", text(&hook["id"])),
            json!({}),
        ),
        target(
            Method::POST,
            "/guilds/{guild_id}/auto-moderation/rules",
            format!("{guild}/auto-moderation/rules"),
            rule,
        ),
        target(
            Method::PATCH,
            "/guilds/{guild_id}/auto-moderation/rules/{rule_id}",
            format!("{guild}/auto-moderation/rules/{}", text(&kept["id"])),
            json!({}),
        ),
        target(
            Method::POST,
            "/guilds/{guild_id}/scheduled-events",
            format!("{guild}/scheduled-events"),
            event,
        ),
        target(
            Method::PATCH,
            "/guilds/{guild_id}/welcome-screen",
            format!("{guild}/welcome-screen"),
            json!({}),
        ),
        target(
            Method::POST,
            "/applications/{application_id}/commands",
            format!("{application}/commands"),
            json!({"name": "c", "description": "d"}),
        ),
        target(
            Method::PATCH,
            "/applications/{application_id}/commands/{command_id}",
            format!("{application}/commands/{}", text(&command.body["id"])),
            json!({}),
        ),
        target(
            Method::PUT,
            "/channels/{channel_id}/permissions/{overwrite_id}",
            format!("{general}/permissions/{}", bot.role("Guest")),
            json!({"type": 0}),
        ),
    ];
    for (name, kind) in [
        ("text", 0),
        ("voice", 2),
        ("category", 4),
        ("announcement", 5),
        ("stage", 13),
        ("forum", 15),
    ] {
        let made = bot.post(&channels, json!({"name": name, "type": kind})).await.ok(201);
        let path = format!("/channels/{}", text(&made["id"]));
        targets.push(target(Method::PATCH, "/channels/{channel_id}", path, json!({})));
        targets.push(target(
            Method::POST,
            "/guilds/{guild_id}/channels",
            channels.clone(),
            json!({"name": name, "type": kind}),
        ));
    }
    // Last, since an empty list of features removes COMMUNITY.
    targets.push(target(Method::PATCH, "/guilds/{guild_id}", guild, json!({})));
    targets
}

/// Whether a value is returned as it was set; bit sets are numbers in the document and strings in responses.
fn is_same(read: &Value, set: &Value) -> bool {
    let text = set.to_string();
    read == set || read.as_str() == Some(text.as_str())
}

/// Deletes objects that a sample created, since they count towards a limit or have a name.
async fn clean(bot: &Bot, target: &Target, reply: &Value) {
    let limited = [
        "/guilds/{guild_id}/auto-moderation/rules",
        "/guilds/{guild_id}/channels",
        "/guilds/{guild_id}/roles",
        "/guilds/{guild_id}/scheduled-events",
        "/applications/{application_id}/commands",
    ];
    if target.method == Method::POST && limited.contains(&target.template) {
        let id = reply["id"].as_str().unwrap();
        let path = if target.template.ends_with("channels") {
            format!("/channels/{id}")
        } else {
            format!("{}/{id}", target.path)
        };
        bot.delete(&path).await;
    }
}

async fn start() -> Bot {
    let mut server = sietch();
    server["bot"]["permissions"] = json!(["ADMINISTRATOR"]);
    server["features"] = json!(["ROLE_ICONS"]);
    let options = discord_emulator::Options {
        rate_limits: false,
        ..Default::default()
    };
    Bot::with(options, &server).await
}

fn with(base: &Value, field: &str, value: &Value) -> Value {
    let mut body = base.clone();
    body[field] = value.clone();
    body
}

#[tokio::test]
async fn value_of_the_document_is_accepted_and_read_as_it_was_set() {
    let Some(checker) = checker() else { return };
    let bot = start().await;
    let (mut tried, mut wrong) = (0, Vec::new());
    for target in targets(&bot).await {
        let body = checker
            .body(target.method.as_str(), target.template, target.variant)
            .unwrap();
        for sample in &body.samples {
            let sent = with(&target.base, &sample.field, &sample.value);
            let reply = bot.call(target.method.clone(), &target.path, Some(sent.clone())).await;
            tried += 1;
            if reply.status >= 400 {
                if !NARROWER.contains(&(target.template, &sample.field)) {
                    wrong.push(format!(
                        "{} {} {sent}: {} {}",
                        target.method, target.template, reply.status, reply.body
                    ));
                }
                continue;
            }
            let read = &reply.body[&sample.field];
            let scalar = sample.value.is_number() || sample.value.is_boolean();
            if scalar && !read.is_null() && !is_same(read, &sample.value) && !UNREAD.contains(&sample.field.as_str()) {
                wrong.push(format!("{} {} {sent}: read as {read}", target.method, target.template));
            }
            clean(&bot, &target, &reply.body).await;
        }
    }
    assert!(tried > 300, "only {tried} values");
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn unknown_fields_are_ignored_and_required_ones_are_required() {
    let Some(checker) = checker() else { return };
    let bot = start().await;
    let mut wrong = Vec::new();
    for target in targets(&bot).await {
        // The body is not checked against the document, which allows no unknown fields in some places.
        let unknown = with(&target.base, "unknown_field", &json!({"a": [null]}));
        let request = bot.client.request(target.method.clone(), bot.url(&target.path));
        let reply = request
            .header("authorization", bot.authorization())
            .json(&unknown)
            .send()
            .await
            .unwrap();
        if reply.status().as_u16() >= 400 {
            wrong.push(format!(
                "{} {} refuses an unknown field",
                target.method, target.template
            ));
        } else if reply.status() != 204 {
            clean(&bot, &target, &reply.json().await.unwrap()).await;
        }
        let body = checker
            .body(target.method.as_str(), target.template, target.variant)
            .unwrap();
        for field in &body.required {
            let mut without = target.base.clone();
            without.as_object_mut().unwrap().remove(field);
            for body in [without, with(&target.base, field, &Value::Null)] {
                let reply = bot.call(target.method.clone(), &target.path, Some(body.clone())).await;
                if reply.status < 400 {
                    wrong.push(format!("{} {} accepts {body}", target.method, target.template));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The status of a PATCH that is not compared with the document, which has ids as texts.
async fn unchecked(bot: &Bot, path: &str, body: &Value) -> u16 {
    let request = bot
        .client
        .patch(bot.url(path))
        .header("authorization", bot.authorization());
    request.json(body).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn ids_may_be_numbers_and_numbers_texts() {
    let bot = start().await;
    let guild = format!("/guilds/{}", bot.guild());
    let id = |id: discord_emulator::model::Id| json!(id.0);
    for (path, body) in [
        (
            guild.clone(),
            json!({"system_channel_id": id(bot.channel("general")), "afk_timeout": "60", "verification_level": "1"}),
        ),
        (
            format!("/channels/{}", bot.channel("general")),
            json!({"parent_id": id(bot.channel("Halls")), "rate_limit_per_user": "5", "position": "0"}),
        ),
        (
            format!("/channels/{}", bot.channel("water")),
            json!({"permission_overwrites": [{"id": id(bot.role("Guest")), "type": "0", "allow": 1024, "deny": "0"}]}),
        ),
        (
            format!("{guild}/members/{}", bot.member("jamis")),
            json!({"roles": [id(bot.role("Guest"))]}),
        ),
        (
            format!("{guild}/roles/{}", bot.role("Guest")),
            json!({"permissions": 1024, "color": "255"}),
        ),
    ] {
        let status = unchecked(&bot, &path, &body).await;
        assert_eq!(status, 200, "{path} {body}");
    }
    let positions = json!([{"id": id(bot.channel("general")), "position": "1"}]);
    assert_eq!(unchecked(&bot, &format!("{guild}/channels"), &positions).await, 204);
}
