use http::Method;
use serde_json::{Value, json};

use crate::support::{Client, Emu};

const GUILDS: u64 = 1;
const MEMBERS: u64 = 1 << 1;
const MODERATION: u64 = 1 << 2;
const MESSAGES: u64 = 1 << 9;
const DIRECT_MESSAGES: u64 = 1 << 12;
const CONTENT: u64 = 1 << 15;

async fn client(emu: &Emu, intents: u64) -> Client {
    let (client, _) = emu.identified(intents).await;
    emu.post("clock", json!({"advance_ms": 5_000})).await;
    client
}

async fn say(emu: &Emu, content: &str) {
    let path = "guilds/Sietch%20Tabr/channels/support/messages";
    emu.post(path, json!({"user_id": "stilgar", "content": content})).await;
}

#[tokio::test]
async fn each_event_needs_its_intent() {
    let emu = Emu::lively().await;
    let mut nothing = client(&emu, 0).await;
    let mut guilds = client(&emu, GUILDS).await;
    let mut members = client(&emu, MEMBERS).await;
    let mut moderation = client(&emu, MODERATION).await;
    let mut messages = client(&emu, MESSAGES).await;
    emu.join("duncan").await;
    emu.post("guilds/Sietch%20Tabr/roles", json!({"name": "Sword"})).await;
    say(&emu, "hello").await;
    let ban = "guilds/Sietch%20Tabr/bans/duncan";
    emu.post(ban, json!({"reason": "spies"})).await;
    assert_eq!(nothing.events_until_now().await, Vec::<String>::new());
    assert_eq!(guilds.events_until_now().await, ["GUILD_ROLE_CREATE"]);
    assert_eq!(
        members.events_until_now().await,
        ["GUILD_MEMBER_ADD", "GUILD_MEMBER_REMOVE"]
    );
    let of_moderation = [
        "GUILD_AUDIT_LOG_ENTRY_CREATE",
        "GUILD_AUDIT_LOG_ENTRY_CREATE",
        "GUILD_BAN_ADD",
    ];
    assert_eq!(moderation.events_until_now().await, of_moderation);
    assert_eq!(messages.events_until_now().await, ["MESSAGE_CREATE"]);
}

#[tokio::test]
async fn interactions_come_whatever_the_intents() {
    let emu = Emu::lively().await;
    let application = emu.get("addresses").await["application_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let command = json!([{"name": "stats", "description": "Numbers"}]);
    let (status, _) = emu
        .rest(
            Method::PUT,
            &format!("/applications/{application}/commands"),
            Some(command),
        )
        .await;
    assert_eq!(status, 200);
    let mut client = client(&emu, 0).await;
    let made = emu
        .post(
            "interactions",
            json!({"kind": "command", "guild_id": "Sietch Tabr", "channel_id": "support", "user_id": "stilgar", "name": "stats"}),
        )
        .await;
    let interaction = client.event("INTERACTION_CREATE").await;
    assert_eq!(interaction["id"], made["id"]);
    assert_eq!(interaction["token"], made["token"]);
    assert_eq!(interaction["member"]["user"]["username"], "stilgar");
    assert_eq!(interaction["data"]["name"], "stats");
}

#[tokio::test]
async fn content_is_blank_without_its_intent_except_for_mentions_own_and_direct_messages() {
    let emu = Emu::lively().await;
    let mut without = client(&emu, MESSAGES | DIRECT_MESSAGES).await;
    let mut with = client(&emu, MESSAGES | DIRECT_MESSAGES | CONTENT).await;
    let bot = emu.get("addresses").await["application_id"]
        .as_str()
        .unwrap()
        .to_owned();
    say(&emu, "secret").await;
    assert_eq!(without.event("MESSAGE_CREATE").await["content"], "");
    assert_eq!(with.event("MESSAGE_CREATE").await["content"], "secret");
    say(&emu, &format!("<@{bot}> hear me")).await;
    let mention = without.event("MESSAGE_CREATE").await;
    assert_eq!(mention["content"], format!("<@{bot}> hear me"));
    assert_eq!(mention["mentions"][0]["id"], bot);
    emu.post("dms", json!({"user_id": "chani", "content": "in private"}))
        .await;
    let direct = without.event("MESSAGE_CREATE").await;
    assert_eq!(
        (&direct["content"], &direct["guild_id"]),
        (&json!("in private"), &Value::Null)
    );
    let channel = mention["channel_id"].as_str().unwrap();
    let (status, _) = emu
        .rest(
            Method::POST,
            &format!("/channels/{channel}/messages"),
            Some(json!({"content": "I"})),
        )
        .await;
    assert_eq!(status, 200);
    assert_eq!(without.event("MESSAGE_CREATE").await["content"], "I");
}

#[tokio::test]
async fn own_member_update_needs_no_members_intent() {
    let emu = Emu::lively().await;
    let bot = emu.get("addresses").await["application_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut client = client(&emu, GUILDS).await;
    let edit = |user: &str| format!("guilds/Sietch%20Tabr/members/{user}");
    emu.control(Method::PATCH, &edit("stilgar"), Some(json!({"nick": "Stil"})))
        .await;
    emu.control(Method::PATCH, &edit(&bot), Some(json!({"nick": "Shai-Hulud"})))
        .await;
    assert_eq!(client.event("GUILD_MEMBER_UPDATE").await["user"]["id"], bot);
}

#[tokio::test]
async fn messages_of_hidden_channels_are_not_dispatched() {
    let emu = Emu::lively().await;
    let mut client = client(&emu, MESSAGES).await;
    let guild = "guilds/Sietch%20Tabr";
    emu.post(
        &format!("{guild}/channels"),
        json!({"name": "hidden", "permission_overwrites": [{"role": "@everyone", "deny": ["VIEW_CHANNEL"]},
            {"role": "Naib", "allow": ["VIEW_CHANNEL"]}]}),
    )
    .await;
    let path = format!("{guild}/channels/hidden/messages");
    emu.post(&path, json!({"user_id": "stilgar", "content": "the bot must not hear"}))
        .await;
    say(&emu, "the bot may hear").await;
    assert_eq!(client.events_until_now().await, ["MESSAGE_CREATE"]);
}
