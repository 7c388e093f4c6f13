use std::collections::BTreeSet;

use discord_emulator::Options;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Emu, INTENTS};

#[tokio::test]
async fn ready_names_the_servers_and_guild_create_follows_for_each() {
    let emu = Emu::lively().await;
    let mut client = emu.connect().await;
    client.send(emu.identify(INTENTS, json!([0, 1]))).await;
    let payload = client.payload().await;
    assert_eq!((payload["t"].as_str(), payload["s"].as_u64()), (Some("READY"), Some(1)));
    let ready = &payload["d"];
    assert_eq!(ready["v"], 10);
    assert_eq!(ready["user"]["bot"], true);
    assert_eq!(ready["application"]["id"], ready["user"]["id"]);
    assert_eq!(ready["shard"], json!([0, 1]));
    assert_eq!(ready["resume_gateway_url"], emu.emulator.addresses().resume);
    let announced: BTreeSet<String> = ready["guilds"].as_array().unwrap().iter().map(id).collect();
    assert!(
        ready["guilds"]
            .as_array()
            .unwrap()
            .iter()
            .all(|guild| guild["unavailable"] == true)
    );
    let mut created = BTreeSet::new();
    for seq in [2, 3] {
        let payload = client.payload().await;
        assert_eq!(
            (payload["t"].as_str(), payload["s"].as_u64()),
            (Some("GUILD_CREATE"), Some(seq))
        );
        created.insert(id(&payload["d"]));
    }
    assert_eq!(announced, created);
}

fn id(guild: &Value) -> String {
    guild["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn guild_create_is_whole() {
    let emu = Emu::lively().await;
    let mut client = emu.connect().await;
    client.send(emu.identify(1 | 1 << 8, json!([0, 1]))).await;
    let tabr = loop {
        let guild = client.event("GUILD_CREATE").await;
        if guild["name"] == "Sietch Tabr" {
            break guild;
        }
    };
    assert_eq!(tabr["channels"].as_array().unwrap().len(), 32);
    assert_eq!(tabr["roles"].as_array().unwrap().len(), 16);
    assert_eq!(tabr["member_count"], 42);
    // With the presences intent all members of a small server are listed.
    assert_eq!(tabr["members"].as_array().unwrap().len(), 42);
    let naib = tabr["roles"]
        .as_array()
        .unwrap()
        .iter()
        .find(|role| role["name"] == "Naib")
        .unwrap();
    assert_eq!(
        (naib["id"].as_str(), naib["color"].as_u64()),
        (Some("1200000000000000101"), Some(0xFF_D700))
    );
}

#[tokio::test]
async fn without_presences_guild_create_lists_the_bot_alone() {
    let emu = Emu::lively().await;
    let mut client = emu.connect().await;
    client.send(emu.identify(INTENTS, json!([0, 1]))).await;
    let guild = client.event("GUILD_CREATE").await;
    let members = guild["members"].as_array().unwrap();
    assert_eq!(members.len(), 1);
    assert_eq!(members[0]["user"]["bot"], true);
}

#[tokio::test]
async fn token_is_accepted_with_and_without_its_prefix() {
    let emu = Emu::start().await;
    for prefix in ["", "Bot "] {
        let mut client = emu.connect().await;
        let mut identify = emu.identify(0, json!([0, 1]));
        identify["d"]["token"] = format!("{prefix}{}", emu.token()).into();
        client.send(identify).await;
        client.event("READY").await;
        emu.post("clock", json!({"advance_ms": 5_000})).await;
    }
}

#[tokio::test]
async fn a_bucket_takes_one_identify_in_five_seconds() {
    let emu = Emu::with(Options {
        max_concurrency: 2,
        ..Options::default()
    })
    .await;
    let identify = async |shard: u64| {
        let mut client = emu.connect().await;
        client.send(emu.identify(0, json!([shard, 4]))).await;
        client.payload().await
    };
    assert_eq!(identify(0).await["t"], "READY");
    assert_eq!(identify(1).await["t"], "READY");
    let refused = identify(2).await;
    assert_eq!((&refused["op"], &refused["d"]), (&json!(9), &json!(false)));
    emu.post("clock", json!({"advance_ms": 5_000})).await;
    assert_eq!(identify(2).await["t"], "READY");
}

#[tokio::test]
async fn after_op_9_the_same_connection_can_identify() {
    let emu = Emu::with(Options::default()).await;
    let (_first, _) = emu.identified(0).await;
    let mut client = emu.connect().await;
    client.send(emu.identify(0, json!([0, 1]))).await;
    assert_eq!(client.payload().await["op"], 9);
    emu.post("clock", json!({"advance_ms": 5_000})).await;
    client.send(emu.identify(0, json!([0, 1]))).await;
    client.event("READY").await;
}

#[tokio::test]
async fn identifies_are_counted_and_resumes_are_free() {
    let emu = Emu::start().await;
    let (client, ready) = emu.identified(0).await;
    let limit = async || emu.rest(Method::GET, "/gateway/bot", None).await.1["session_start_limit"].take();
    let after_one = limit().await;
    assert_eq!(
        (&after_one["total"], &after_one["remaining"]),
        (&json!(1_000), &json!(999))
    );
    assert!(after_one["reset_after"].as_u64().unwrap() > 86_000_000);
    assert_eq!(after_one["max_concurrency"], 64);
    let seq = client.seq;
    client.close(4000).await;
    let mut again = emu.connect_to_resume().await;
    again.send(emu.resume(&ready["session_id"], seq)).await;
    again.event("RESUMED").await;
    assert_eq!(limit().await["remaining"], 999);
    emu.post("clock", json!({"advance_ms": 86_400_000})).await;
    assert_eq!(limit().await["remaining"], 1_000);
}

#[tokio::test]
async fn spending_the_last_session_start_resets_the_token() {
    let emu = Emu::with(Options {
        session_start_limit: 1,
        max_concurrency: 64,
        ..Options::default()
    })
    .await;
    let old = emu.token();
    let (first, _) = emu.identified(0).await;
    emu.post("clock", json!({"advance_ms": 5_000})).await;
    let mut second = emu.connect().await;
    second.send(emu.identify(0, json!([0, 1]))).await;
    assert_eq!(second.closed().await, 4004);
    assert_eq!(first.closed().await, 4004);
    assert_ne!(emu.token(), old);
    assert_eq!(emu.get("addresses").await["token"], emu.token());
}
