//! Every change by REST is dispatched on the gateway, in order.

use discord_emulator::{gateway::Intents, model::InteractionKind};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{rest_support::Bot, support::Client};

const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// A session with every intent, past READY and the server.
async fn listen(bot: &Bot) -> Client {
    let gateway = &bot.emulator.addresses().gateway;
    let mut client = Client::open(&format!("{gateway}/?v=10&encoding=json"))
        .await
        .past_hello()
        .await;
    let identify = json!({"op": 2, "d": {"token": bot.emulator.token(), "intents": Intents::all().bits(),
        "properties": {"os": "linux", "browser": "test", "device": "test"}}});
    client.send(identify).await;
    client.event("READY").await;
    client.event("GUILD_CREATE").await;
    client
}

/// The next dispatch, without those of the audit log.
async fn next(client: &mut Client) -> (String, Value) {
    loop {
        let mut payload = client.payload().await;
        let name = payload["t"].as_str().unwrap_or_default().to_owned();
        if !name.is_empty() && name != "GUILD_AUDIT_LOG_ENTRY_CREATE" {
            return (name, payload["d"].take());
        }
    }
}

async fn expect(client: &mut Client, wanted: &str) -> Value {
    let (name, d) = next(client).await;
    assert_eq!(name, wanted, "{d}");
    d
}

#[tokio::test]
async fn changes_of_a_server_are_dispatched() {
    let bot = Bot::start().await;
    let mut client = listen(&bot).await;
    let guild = format!("/guilds/{}", bot.guild());
    let role = bot
        .post(&format!("{guild}/roles"), json!({"name": "x", "permissions": "0"}))
        .await
        .ok(200);
    let received = expect(&mut client, "GUILD_ROLE_CREATE").await;
    assert_eq!(
        (&received["role"]["id"], &received["guild_id"]),
        (&role["id"], &json!(bot.guild().to_string()))
    );
    let one = format!("{guild}/roles/{}", role["id"].as_str().unwrap());
    bot.patch(&one, json!({"hoist": true})).await.ok(200);
    assert_eq!(expect(&mut client, "GUILD_ROLE_UPDATE").await["role"]["hoist"], true);
    let chani = format!("{guild}/members/{}", bot.member("chani"));
    bot.put(&format!("{chani}/roles/{}", role["id"].as_str().unwrap()), None)
        .await
        .ok(204);
    let received = expect(&mut client, "GUILD_MEMBER_UPDATE").await;
    assert!(received["roles"].as_array().unwrap().contains(&role["id"]));
    bot.delete(&one).await.ok(204);
    assert_eq!(expect(&mut client, "GUILD_ROLE_DELETE").await["role_id"], role["id"]);
    let channel = bot
        .post(&format!("{guild}/channels"), json!({"name": "x"}))
        .await
        .ok(201);
    assert_eq!(expect(&mut client, "CHANNEL_CREATE").await["id"], channel["id"]);
    let one = format!("/channels/{}", channel["id"].as_str().unwrap());
    bot.patch(&one, json!({"topic": "t"})).await.ok(200);
    assert_eq!(expect(&mut client, "CHANNEL_UPDATE").await["topic"], "t");
    bot.delete(&one).await.ok(200);
    expect(&mut client, "CHANNEL_DELETE").await;
    bot.patch(&guild, json!({"name": "Sietch"})).await.ok(200);
    assert_eq!(expect(&mut client, "GUILD_UPDATE").await["name"], "Sietch");
    bot.post(&format!("{guild}/emojis"), json!({"name": "spice", "image": PIXEL}))
        .await
        .ok(201);
    assert_eq!(
        expect(&mut client, "GUILD_EMOJIS_UPDATE").await["emojis"][0]["name"],
        "spice"
    );
    crate::rest_stickers::create(&bot, "maker").await.ok(201);
    assert_eq!(
        expect(&mut client, "GUILD_STICKERS_UPDATE").await["stickers"][0]["name"],
        "maker"
    );
    bot.post(
        &format!("/channels/{}/webhooks", bot.channel("general")),
        json!({"name": "w"}),
    )
    .await
    .ok(200);
    expect(&mut client, "WEBHOOKS_UPDATE").await;
    bot.delete(&format!("{guild}/members/{}", bot.member("jamis")))
        .await
        .ok(204);
    assert_eq!(
        expect(&mut client, "GUILD_MEMBER_REMOVE").await["user"]["username"],
        "jamis"
    );
    bot.put(&format!("{guild}/bans/{}", bot.member("chani")), None)
        .await
        .ok(204);
    let mut received = [next(&mut client).await.0, next(&mut client).await.0];
    received.sort();
    assert_eq!(received, ["GUILD_BAN_ADD", "GUILD_MEMBER_REMOVE"]);
}

#[tokio::test]
async fn call_without_a_change_is_not_dispatched() {
    let bot = Bot::start().await;
    let mut client = listen(&bot).await;
    let guild = format!("/guilds/{}", bot.guild());
    let held = format!("{guild}/members/{}/roles/{}", bot.member("chani"), bot.role("Fremen"));
    bot.put(&held, None).await.ok(204);
    bot.patch(
        &format!("{guild}/roles/{}", bot.role("Guest")),
        json!({"name": "Guest"}),
    )
    .await
    .ok(200);
    bot.patch(
        &format!("/channels/{}", bot.channel("general")),
        json!({"name": "general"}),
    )
    .await
    .ok(200);
    bot.post_empty(&format!("/channels/{}/typing", bot.channel("general")))
        .await
        .ok(204);
    expect(&mut client, "TYPING_START").await;
}

#[tokio::test]
async fn messages_and_reactions_are_dispatched() {
    let bot = Bot::start().await;
    let mut client = listen(&bot).await;
    let path = format!("/channels/{}/messages", bot.channel("general"));
    let sent = bot.post(&path, json!({"content": "x", "nonce": 7})).await.ok(200);
    let received = expect(&mut client, "MESSAGE_CREATE").await;
    assert_eq!(
        (&received["id"], &received["nonce"], &received["guild_id"]),
        (&sent["id"], &json!(7), &json!(bot.guild().to_string()))
    );
    let one = format!("{path}/{}", sent["id"].as_str().unwrap());
    bot.patch(&one, json!({"content": "y"})).await.ok(200);
    assert_eq!(expect(&mut client, "MESSAGE_UPDATE").await["content"], "y");
    bot.put(&format!("{one}/reactions/%F0%9F%92%A7/@me"), None)
        .await
        .ok(204);
    assert_eq!(expect(&mut client, "MESSAGE_REACTION_ADD").await["emoji"]["name"], "💧");
    bot.delete(&format!("{one}/reactions")).await.ok(204);
    expect(&mut client, "MESSAGE_REACTION_REMOVE_ALL").await;
    bot.put(&format!("{path}/pins/{}", sent["id"].as_str().unwrap()), None)
        .await
        .ok(204);
    for wanted in ["MESSAGE_UPDATE", "CHANNEL_PINS_UPDATE", "MESSAGE_CREATE"] {
        expect(&mut client, wanted).await;
    }
    bot.delete(&one).await.ok(204);
    assert_eq!(expect(&mut client, "MESSAGE_DELETE").await["id"], sent["id"]);
}

#[tokio::test]
async fn answer_is_dispatched_and_an_ephemeral_one_is_not() {
    let bot = Bot::start().await;
    let mut client = listen(&bot).await;
    let answer = |flags: u64| {
        let (id, token) = bot.interact(InteractionKind::Command, json!({"name": "stats", "type": 1}), None);
        let path = format!("/interactions/{id}/{token}/callback");
        let body = json!({"type": 4, "data": {"content": "x", "flags": flags}});
        let bot = &bot;
        async move { bot.open_call(Method::POST, &path, Some(body)).await.ok(204) }
    };
    answer(64).await;
    answer(0).await;
    expect(&mut client, "INTERACTION_CREATE").await;
    expect(&mut client, "INTERACTION_CREATE").await;
    let received = expect(&mut client, "MESSAGE_CREATE").await;
    assert_eq!(
        (received["flags"].as_u64(), received["type"].as_u64()),
        (Some(0), Some(20))
    );
}
