//! Auto moderation, welcome screen, onboarding and scheduled events, each exchange checked against Discord's document.

use discord_emulator::Options;
use reqwest::Method;
use serde_json::{Value, json};

use crate::rest_support::Bot;

async fn community() -> Bot {
    let options = Options {
        rate_limits: false,
        ..Options::default()
    };
    let channels: Vec<Value> = ["a", "b", "c", "d", "e", "f", "g"]
        .iter()
        .map(|name| json!({"name": name}))
        .collect();
    let mut spec = json!({"name": "Sietch", "community": true, "roles": [{"name": "Fremen"}], "channels": channels});
    spec["channels"].as_array_mut().unwrap().extend([
        json!({"name": "stage", "kind": "stage"}),
        json!({"name": "voice", "kind": "voice"}),
    ]);
    Bot::with(options, &spec).await
}

fn keyword(name: &str) -> Value {
    json!({"name": name, "event_type": 1, "trigger_type": 1, "actions": [{"type": 1, "metadata": {"custom_message": "no"}}],
        "trigger_metadata": {"keyword_filter": ["harkonnen*"]}, "enabled": true})
}

#[tokio::test]
async fn rules_are_made_changed_and_removed() {
    let bot = community().await;
    let path = format!("/guilds/{}/auto-moderation/rules", bot.guild());
    let made = bot.post(&path, keyword("words")).await.ok(200);
    assert_eq!(made["trigger_metadata"]["regex_patterns"], json!([]));
    let one = format!("{path}/{}", made["id"].as_str().unwrap());
    let alert = json!({"actions": [{"type": 2, "metadata": {"channel_id": bot.channel("a")}}, {"type": 3, "metadata": {"duration_seconds": 60}}],
        "exempt_roles": [bot.role("Fremen")]});
    let edited = bot.patch(&one, alert).await.ok(200);
    assert_eq!(
        (edited["name"].as_str(), edited["actions"].as_array().unwrap().len()),
        (Some("words"), 2)
    );
    for (trigger, data) in [
        (3, json!({})),
        (4, json!({"presets": [1, 3]})),
        (5, json!({"mention_total_limit": 5})),
    ] {
        let rule = json!({"name": "r", "event_type": 1, "trigger_type": trigger, "trigger_metadata": data, "actions": [{"type": 1}]});
        bot.post(&path, rule.clone()).await.ok(200);
        bot.post(&path, rule)
            .await
            .form_error("/trigger_type", "AUTO_MODERATION_MAX_RULES_OF_TYPE_EXCEEDED");
    }
    assert_eq!(bot.get(&path).await.ok(200).as_array().unwrap().len(), 4);
    bot.delete(&one).await.ok(204);
    bot.get(&one).await.refused(404, 0);
    let unknown = json!({"exempt_channels": ["5"]});
    let second = bot.post(&path, keyword("second")).await.ok(200);
    let second = format!("{path}/{}", second["id"].as_str().unwrap());
    bot.patch(&second, unknown)
        .await
        .form_error("/exempt_channels", "BASE_TYPE_CHOICES");
    assert_eq!(bot.audit(140).await.len(), 5);
}

#[tokio::test]
async fn a_welcome_screen_begins_absent_and_points_to_channels_that_are_there() {
    let bot = community().await;
    let path = format!("/guilds/{}/welcome-screen", bot.guild());
    bot.get(&path).await.refused(404, 10069);
    let wrong = json!({"welcome_channels": [{"channel_id": "5", "description": "x"}]});
    bot.patch(&path, wrong)
        .await
        .form_error("/welcome_channels/0/channel_id", "CHANNEL_INVALID");
    let screen = json!({"enabled": true, "description": "Walk without rhythm",
        "welcome_channels": [{"channel_id": bot.channel("a"), "description": "begin here", "emoji_name": "🔥"}]});
    bot.patch(&path, screen).await.ok(200);
    let guild = bot.get(&format!("/guilds/{}", bot.guild())).await.ok(200);
    assert!(
        guild["features"]
            .as_array()
            .unwrap()
            .contains(&json!("WELCOME_SCREEN_ENABLED"))
    );
    bot.delete(&format!("/channels/{}", bot.channel("a"))).await.ok(200);
    assert_eq!(bot.get(&path).await.ok(200)["welcome_channels"], json!([]));
}

#[tokio::test]
async fn onboarding_keeps_the_ids_of_known_questions() {
    let bot = community().await;
    let path = format!("/guilds/{}/onboarding", bot.guild());
    assert_eq!(bot.get(&path).await.ok(200)["enabled"], false);
    let channels: Vec<Value> = ["a", "b", "c", "d", "e", "f", "g"]
        .iter()
        .map(|name| json!(bot.channel(name)))
        .collect();
    let prompt = |id: &Value| json!({"id": id, "title": "Who are you?", "options": [{"title": "Fremen", "role_ids": [bot.role("Fremen")]}]});
    let few = json!({"enabled": true, "default_channel_ids": channels[..3]});
    bot.put(&path, Some(few))
        .await
        .form_error("/default_channel_ids", "ONBOARDING_MISSING_DEFAULT_CHANNELS");
    let whole = json!({"enabled": true, "mode": 1, "default_channel_ids": channels, "prompts": [prompt(&json!("1"))]});
    let put = bot.put(&path, Some(whole)).await.ok(200);
    let id = put["prompts"][0]["id"].clone();
    let again = bot.put(&path, Some(json!({"prompts": [prompt(&id)]}))).await.ok(200);
    assert_eq!(
        (&again["prompts"][0]["id"], &again["mode"], &again["enabled"]),
        (&id, &json!(1), &json!(true))
    );
    let nothing = json!({"prompts": [{"id": "1", "title": "?", "options": [{"title": "nothing"}]}]});
    let code = "ONBOARDING_PROMPT_OPTION_REQUIRES_ROLE_OR_CHANNEL";
    bot.put(&path, Some(nothing))
        .await
        .form_error("/prompts/0/options/0", code);
}

#[tokio::test]
async fn events_need_what_their_place_needs() {
    let bot = community().await;
    let path = format!("/guilds/{}/scheduled-events", bot.guild());
    let event = |kind: u8| json!({"name": "Moot", "privacy_level": 2, "entity_type": kind, "scheduled_start_time": "2099-01-01T18:00:00Z"});
    let outside = bot.post(&path, event(3)).await.refused(400, 50035);
    assert!(outside["errors"]["scheduled_end_time"].is_object());
    bot.post(&path, event(2))
        .await
        .form_error("/channel_id", "BASE_TYPE_REQUIRED");
    let mut past = event(2);
    past["channel_id"] = json!(bot.channel("voice"));
    past["scheduled_start_time"] = json!("2001-01-01T00:00:00Z");
    bot.post(&path, past)
        .await
        .form_error("/scheduled_start_time", "GUILD_SCHEDULED_EVENT_SCHEDULE_PAST");
    let mut place = event(3);
    place["entity_metadata"] = json!({"location": "the great bled"});
    place["scheduled_end_time"] = json!("2099-01-01T20:00:00Z");
    let made = bot.post(&path, place).await.ok(200);
    assert_eq!(made["creator"]["id"], json!(bot.application()));
    let one = format!("{path}/{}", made["id"].as_str().unwrap());
    let stage =
        json!({"entity_type": 1, "channel_id": bot.channel("stage"), "entity_metadata": null, "name": "Council"});
    let moved = bot.call(Method::PATCH, &one, Some(stage)).await.ok(200);
    assert_eq!(
        (&moved["entity_metadata"], &moved["name"]),
        (&Value::Null, &json!("Council"))
    );
    bot.patch(&one, json!({"status": 4})).await.ok(200);
    assert_eq!(bot.get(&path).await.ok(200), json!([]));
    bot.delete(&one).await.ok(204);
    bot.get(&one).await.refused(404, 10070);
}
