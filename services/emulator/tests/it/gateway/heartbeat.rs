use discord_emulator::Options;
use serde_json::{Value, json};

use crate::support::{Client, Emu, INTENTS, eventually};

#[tokio::test]
async fn hello_has_the_interval_and_heartbeats_are_acknowledged() {
    let emu = Emu::start().await;
    let mut client = Client::open(&format!("{}/?v=10&encoding=json", emu.emulator.addresses().gateway)).await;
    let hello = client.payload().await;
    assert_eq!(hello["d"]["heartbeat_interval"], 41_250);
    client.send(json!({"op": 1, "d": null})).await;
    assert_eq!(client.payload().await["op"], 11);
}

#[tokio::test]
async fn server_can_request_a_heartbeat() {
    let emu = Emu::lively().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    emu.fault(json!({"kind": "gateway_heartbeat_request"})).await;
    assert_eq!(client.op(1).await["d"], Value::Null);
    client.send(json!({"op": 1, "d": client.seq})).await;
    client.op(11).await;
}

#[tokio::test]
async fn client_without_heartbeats_is_closed_and_its_session_ends() {
    let options = Options {
        heartbeat_interval_ms: 40,
        max_concurrency: 64,
        ..Options::default()
    };
    let emu = Emu::with(options).await;
    let (client, ready) = emu.identified(INTENTS).await;
    let seq = client.seq;
    assert_eq!(client.closed().await, 4009);
    let mut again = emu.connect().await;
    again.send(emu.resume(&ready["session_id"], seq)).await;
    assert_eq!(again.op(9).await["d"], false);
}

#[tokio::test]
async fn moved_clock_does_not_close_a_connection() {
    let emu = Emu::lively().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    emu.post("clock", json!({"advance_ms": 24 * 60 * 60 * 1_000})).await;
    emu.join("duncan").await;
    client.event("GUILD_MEMBER_ADD").await;
}

#[tokio::test]
async fn heartbeat_acknowledgements_can_be_suppressed() {
    let emu = Emu::lively().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    emu.fault(json!({"kind": "gateway_no_heartbeat_ack", "count": 1})).await;
    client.send(json!({"op": 1, "d": 1})).await;
    client.send(json!({"op": 1, "d": 1})).await;
    eventually("both beats arrived", async || emu.get("stats").await["heartbeats"] == 2).await;
    emu.join("duncan").await;
    let mut acknowledged = 0;
    loop {
        let payload = client.payload().await;
        acknowledged += u32::from(payload["op"] == 11);
        if payload["t"] == "GUILD_MEMBER_ADD" {
            break;
        }
    }
    assert_eq!(acknowledged, 1);
}
