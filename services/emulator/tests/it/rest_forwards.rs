//! Forwarded messages.

use discord_emulator::{Options, gateway::Intents};
use reqwest::Method;
use serde_json::{Value, json};

use crate::rest_support::{Bot, sietch};

fn forward(channel: &str, message: &Value) -> Value {
    json!({"message_reference": {"type": 1, "channel_id": channel, "message_id": message["id"]}})
}

async fn said(bot: &Bot, content: &str) -> Value {
    let place = format!("/guilds/{}/channels/general/messages", bot.guild());
    bot.control(Method::POST, &place, json!({"user_id": "chani", "content": content}))
        .await
}

#[tokio::test]
async fn a_forward_keeps_a_copy_of_the_message_as_it_was() {
    let bot = Bot::start().await;
    let (general, water) = (bot.channel("general").to_string(), bot.channel("water").to_string());
    let original = said(&bot, "the spice").await;
    let sent = bot
        .post(&format!("/channels/{water}/messages"), forward(&general, &original))
        .await
        .ok(200);
    assert_eq!(
        sent["message_reference"],
        json!({"type": 1, "channel_id": general, "message_id": original["id"], "guild_id": bot.guild().to_string()})
    );
    assert_eq!(
        (&sent["type"], &sent["content"], &sent["flags"]),
        (&json!(0), &json!(""), &json!(1 << 14))
    );
    assert_eq!(sent["message_snapshots"][0]["message"]["content"], "the spice");
    bot.delete(&format!(
        "/channels/{general}/messages/{}",
        original["id"].as_str().unwrap()
    ))
    .await
    .ok(204);
    let path = format!("/channels/{water}/messages/{}", sent["id"].as_str().unwrap());
    assert_eq!(
        bot.get(&path).await.ok(200)["message_snapshots"][0]["message"]["content"],
        "the spice"
    );
    // A forward of a forward has the first message.
    let again = bot
        .post(&format!("/channels/{general}/messages"), forward(&water, &sent))
        .await
        .ok(200);
    let snapshot = &again["message_snapshots"][0]["message"];
    assert_eq!(
        (&snapshot["content"], snapshot.get("message_snapshots")),
        (&json!("the spice"), None)
    );
}

#[tokio::test]
async fn message_that_the_bot_cannot_read_is_not_forwarded() {
    let bot = Bot::start().await;
    let general = bot.channel("general").to_string();
    let messages = format!("/channels/{general}/messages");
    let original = said(&bot, "x").await;
    let gone = json!({"id": "77"});
    bot.post(&messages, forward(&general, &gone))
        .await
        .form_error("/message_reference", "REPLIES_UNKNOWN_MESSAGE");
    let council = bot.channel("council").to_string();
    bot.post(&messages, forward(&council, &original))
        .await
        .refused(403, 160_014);
    let mut bare = forward(&general, &original);
    bare["message_reference"].as_object_mut().unwrap().remove("channel_id");
    bot.post(&messages, bare)
        .await
        .form_error("/message_reference/channel_id", "BASE_TYPE_REQUIRED");
    // The notice of a pin is Discord's own message.
    bot.put(&format!("{messages}/pins/{}", original["id"].as_str().unwrap()), None)
        .await
        .ok(204);
    let notice = bot.get(&format!("{messages}?limit=1")).await.ok(200)[0].clone();
    assert_eq!(notice["type"], 6);
    bot.post(&messages, forward(&general, &notice))
        .await
        .refused(403, 50021);
}

#[tokio::test]
async fn a_message_whose_content_is_hidden_cannot_be_forwarded() {
    let options = Options {
        rate_limits: false,
        privileged_intents: Intents::GUILD_MEMBERS,
        ..Options::default()
    };
    let bot = Bot::with(options, &sietch()).await;
    let general = bot.channel("general").to_string();
    let messages = format!("/channels/{general}/messages");
    let original = said(&bot, "x").await;
    bot.post(&messages, forward(&general, &original))
        .await
        .refused(403, 160_014);
    let own = bot.post(&messages, json!({"content": "mine"})).await.ok(200);
    bot.post(&messages, forward(&general, &own)).await.ok(200);
}
