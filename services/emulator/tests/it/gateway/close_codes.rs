use discord_emulator::Options;
use serde_json::{Value, json};

use crate::support::{Client, Emu, INTENTS};

/// The close code for this text, sent in place of IDENTIFY.
async fn code_for(emu: &Emu, text: &str) -> u16 {
    let mut client = emu.connect().await;
    client.send_text(text).await;
    client.closed().await
}

/// The close code for an IDENTIFY with this field changed.
async fn code_for_identify(emu: &Emu, key: &str, value: Value) -> u16 {
    let mut identify = emu.identify(INTENTS, json!([0, 1]));
    identify["d"][key] = value;
    code_for(emu, &identify.to_string()).await
}

#[tokio::test]
async fn unreadable_payload_is_4002_and_unknown_opcode_4001() {
    let emu = Emu::start().await;
    assert_eq!(code_for(&emu, "{\"op\":2,\"d\":{").await, 4002);
    assert_eq!(code_for(&emu, "\u{fffd}").await, 4002);
    assert_eq!(
        code_for(&emu, &json!({"op": 1, "d": null, "pad": "x".repeat(4_096)}).to_string()).await,
        4002
    );
    assert_eq!(code_for(&emu, "{\"op\":42,\"d\":null}").await, 4001);
    assert_eq!(code_for(&emu, "{\"op\":0,\"d\":{}}").await, 4001);
    assert_eq!(code_for_identify(&emu, "properties", Value::Null).await, 4002);
    assert_eq!(code_for_identify(&emu, "properties", json!("linux")).await, 4002);
    assert_eq!(code_for_identify(&emu, "large_threshold", json!(10)).await, 4002);
    assert_eq!(
        code_for_identify(&emu, "presence", json!({"status": "here", "activities": []})).await,
        4002
    );
}

#[tokio::test]
async fn payloads_before_identifying_are_4003() {
    let emu = Emu::start().await;
    let presence = json!({"op": 3, "d": {"since": null, "activities": [], "status": "online", "afk": false}});
    assert_eq!(code_for(&emu, &presence.to_string()).await, 4003);
    let members = json!({"op": 8, "d": {"guild_id": "1", "query": "", "limit": 0}});
    assert_eq!(code_for(&emu, &members.to_string()).await, 4003);
}

#[tokio::test]
async fn a_wrong_token_is_4004_for_identify_and_resume() {
    let emu = Emu::start().await;
    assert_eq!(code_for_identify(&emu, "token", json!("Bot wrong")).await, 4004);
    let resume = json!({"op": 6, "d": {"token": "wrong", "session_id": "x", "seq": 1}});
    assert_eq!(code_for(&emu, &resume.to_string()).await, 4004);
}

#[tokio::test]
async fn identifying_or_resuming_twice_is_4005() {
    let emu = Emu::start().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    client.send(emu.identify(INTENTS, json!([0, 1]))).await;
    assert_eq!(client.closed().await, 4005);
    emu.post("clock", json!({"advance_ms": 5_000})).await;
    let (mut client, ready) = emu.identified(INTENTS).await;
    client.send(emu.resume(&ready["session_id"], 1)).await;
    assert_eq!(client.closed().await, 4005);
}

#[tokio::test]
async fn a_sequence_that_was_never_sent_is_4007() {
    let emu = Emu::start().await;
    let (client, ready) = emu.identified(INTENTS).await;
    client.close(4000).await;
    let mut again = emu.connect().await;
    again.send(emu.resume(&ready["session_id"], 1_000)).await;
    assert_eq!(again.closed().await, 4007);
}

#[tokio::test]
async fn the_121st_send_within_a_minute_is_4008() {
    let emu = Emu::start().await;
    let mut client = emu.connect().await;
    for _ in 0..120 {
        client.send(json!({"op": 1, "d": null})).await;
    }
    for _ in 0..120 {
        assert_eq!(client.payload().await["op"], 11);
    }
    client.send(json!({"op": 1, "d": null})).await;
    assert_eq!(client.closed().await, 4008);
}

#[tokio::test]
async fn invalid_shard_is_4010() {
    let emu = Emu::start().await;
    for shard in [json!([1, 1]), json!([0, 0]), json!([0]), json!("0/1"), json!([-1, 2])] {
        assert_eq!(code_for_identify(&emu, "shard", shard.clone()).await, 4010, "{shard}");
    }
}

#[tokio::test]
async fn more_than_2500_servers_on_a_shard_are_4011() {
    let emu = Emu::start().await;
    emu.post("seed", json!({"kind": "load", "guilds": 5_001, "members": 0}))
        .await;
    assert_eq!(code_for_identify(&emu, "shard", json!([0, 1])).await, 4011);
    assert_eq!(code_for_identify(&emu, "shard", json!([0, 2])).await, 4011);
    let mut client = emu.connect().await;
    client.send(emu.identify(0, json!([1, 2]))).await;
    assert_eq!(client.event("READY").await["guilds"].as_array().unwrap().len(), 2_500);
}

#[tokio::test]
async fn versions_6_to_10_and_none_are_served_others_are_4012_and_another_encoding_is_4002() {
    let emu = Emu::start().await;
    let gateway = &emu.emulator.addresses().gateway;
    for (query, code) in [
        ("v=5&encoding=json", 4012),
        ("v=11", 4012),
        ("v=0", 4012),
        ("v=ten", 4012),
        ("v=10&encoding=etf", 4002),
        ("v=10&encoding=json&compress=brotli", 4002),
    ] {
        let closed = Client::open(&format!("{gateway}/?{query}")).await.closed().await;
        assert_eq!(closed, code, "{query}");
    }
    for (query, version) in [
        ("v=10", 10),
        ("v=9&encoding=json", 9),
        ("v=8", 8),
        ("v=7", 7),
        ("v=6", 6),
        ("", 6),
        ("v=10&compress=&encoding=", 10),
        ("v=10&encoding=json&unknown=1", 10),
    ] {
        let mut client = Client::open(&format!("{gateway}/?{query}")).await.past_hello().await;
        client.send(emu.identify(INTENTS, json!([0, 1]))).await;
        assert_eq!(client.event("READY").await["v"], version, "{query}");
        client.close(1000).await;
        emu.post("clock", json!({"advance_ms": 5_000})).await;
    }
}

#[tokio::test]
async fn intents_that_are_none_are_4013_and_those_not_switched_on_4014() {
    let emu = Emu::with(Options {
        privileged_intents: discord_emulator::gateway::Intents::GUILD_MEMBERS,
        ..Options::default()
    })
    .await;
    assert_eq!(code_for_identify(&emu, "intents", json!(1_u64 << 30)).await, 4013);
    assert_eq!(code_for_identify(&emu, "intents", Value::Null).await, 4013);
    assert_eq!(code_for_identify(&emu, "intents", json!(1 << 15)).await, 4014);
    assert_eq!(code_for_identify(&emu, "intents", json!(1 << 8)).await, 4014);
    let (_client, _) = emu.identified(INTENTS).await;
}

#[tokio::test]
async fn fatal_refusals_count_no_session_start() {
    let emu = Emu::start().await;
    code_for_identify(&emu, "token", json!("wrong")).await;
    code_for_identify(&emu, "intents", json!(1_u64 << 30)).await;
    assert_eq!(emu.get("gateway").await["session_start_limit"]["remaining"], 1_000);
}
