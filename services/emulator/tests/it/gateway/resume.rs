use serde_json::{Value, json};

use crate::support::{Client, Emu, INTENTS, eventually};

/// Resumes on the resume host. Returns the user names of the joins that are replayed before RESUMED.
async fn replay(emu: &Emu, session: &Value, seq: u64) -> (Client, Vec<String>) {
    let mut client = emu.connect_to_resume().await;
    client.send(emu.resume(session, seq)).await;
    let mut names = Vec::new();
    loop {
        let payload = client.payload().await;
        match payload["t"].as_str() {
            Some("GUILD_MEMBER_ADD") => names.push(payload["d"]["user"]["username"].as_str().unwrap().to_owned()),
            Some("RESUMED") => return (client, names),
            _ if payload["op"] == 9 => panic!("the session is gone: {payload}"),
            _ => {}
        }
    }
}

async fn is_gone(emu: &Emu, session: &Value, seq: u64) -> bool {
    let mut client = emu.connect().await;
    client.send(emu.resume(session, seq)).await;
    let payload = client.payload().await;
    payload["op"] == 9 && payload["d"] == false
}

#[tokio::test]
async fn missed_events_come_in_order_and_then_resumed() {
    let emu = Emu::lively().await;
    let (mut client, ready) = emu.identified(INTENTS).await;
    emu.join("seen").await;
    client.event("GUILD_MEMBER_ADD").await;
    let seq = client.seq;
    emu.fault(json!({"kind": "gateway_drop"})).await;
    client.dropped().await;
    for name in ["first", "second", "third"] {
        emu.join(name).await;
    }
    let (mut client, names) = replay(&emu, &ready["session_id"], seq).await;
    assert_eq!(names, ["first", "second", "third"]);
    // The session continues with its sequence numbers.
    let resumed_at = client.seq;
    assert_eq!(resumed_at, seq + 4);
    emu.join("fourth").await;
    client.event("GUILD_MEMBER_ADD").await;
    assert_eq!(client.seq, resumed_at + 1);
}

#[tokio::test]
async fn older_number_replays_received_dispatches() {
    let emu = Emu::lively().await;
    let (mut client, ready) = emu.identified(INTENTS).await;
    let before = client.seq;
    emu.join("confirmed_late").await;
    client.event("GUILD_MEMBER_ADD").await;
    client.close(4900).await;
    let (_, names) = replay(&emu, &ready["session_id"], before).await;
    assert_eq!(names, ["confirmed_late"]);
}

#[tokio::test]
async fn close_code_of_the_client_decides_whether_the_session_can_be_resumed() {
    let emu = Emu::lively().await;
    for (code, lives) in [
        (1000, false),
        (1001, false),
        (1006 - 4, true),
        (4000, true),
        (4900, true),
    ] {
        let (client, ready) = emu.identified(INTENTS).await;
        let seq = client.seq;
        client.close(code).await;
        // The emulator may handle the close frame after the next RESUME: wait until it has.
        eventually("the connection is gone", async || {
            emu.get("gateway").await["connections"] == 0
        })
        .await;
        assert_eq!(is_gone(&emu, &ready["session_id"], seq).await, !lives, "code {code}");
        emu.post("clock", json!({"advance_ms": 400_000})).await;
    }
}

#[tokio::test]
async fn close_code_of_the_emulator_decides_whether_the_session_can_be_resumed() {
    let emu = Emu::lively().await;
    for code in (4000..=4014).filter(|code| *code != 4006) {
        let (client, ready) = emu.identified(INTENTS).await;
        let seq = client.seq;
        emu.fault(json!({"kind": "gateway_close", "code": code})).await;
        assert_eq!(client.closed().await, code);
        eventually("the connection is gone", async || {
            emu.get("gateway").await["connections"] == 0
        })
        .await;
        let ends = matches!(code, 4003 | 4004 | 4007 | 4009 | 4010..=4014);
        assert_eq!(is_gone(&emu, &ready["session_id"], seq).await, ends, "code {code}");
        emu.post("clock", json!({"advance_ms": 400_000})).await;
    }
}

#[tokio::test]
async fn session_cannot_be_resumed_after_some_minutes() {
    let emu = Emu::lively().await;
    let (client, ready) = emu.identified(INTENTS).await;
    let seq = client.seq;
    client.close(4000).await;
    eventually("the connection is gone", async || {
        emu.get("gateway").await["connections"] == 0
    })
    .await;
    emu.post("clock", json!({"advance_ms": 120_000})).await;
    let (client, _) = replay(&emu, &ready["session_id"], seq).await;
    let seq = client.seq;
    client.close(4000).await;
    eventually("the connection is gone", async || {
        emu.get("gateway").await["connections"] == 0
    })
    .await;
    emu.post("clock", json!({"advance_ms": 300_000})).await;
    assert!(is_gone(&emu, &ready["session_id"], seq).await);
}

#[tokio::test]
async fn an_unknown_session_gets_op_9_and_may_identify_on_the_same_connection() {
    let emu = Emu::lively().await;
    let mut client = emu.connect_to_resume().await;
    client.send(emu.resume(&json!("never"), 1)).await;
    assert_eq!(client.payload().await["d"], false);
    client.send(emu.identify(INTENTS, json!([0, 1]))).await;
    client.event("READY").await;
}

#[tokio::test]
async fn a_second_connection_takes_the_session_over() {
    let emu = Emu::lively().await;
    let (client, ready) = emu.identified(INTENTS).await;
    let (mut second, _) = replay(&emu, &ready["session_id"], client.seq).await;
    client.dropped().await;
    emu.join("duncan").await;
    second.event("GUILD_MEMBER_ADD").await;
    assert_eq!(emu.get("gateway").await["sessions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn servers_not_yet_announced_are_announced_after_the_resume() {
    let emu = Emu::start().await;
    emu.post("seed", json!({"kind": "load", "guilds": 2_000, "members": 0}))
        .await;
    let mut client = emu.connect().await;
    client.send(emu.identify(INTENTS, json!([0, 1]))).await;
    let ready = client.event("READY").await;
    client.event("GUILD_CREATE").await;
    let seq = client.seq;
    drop(client);
    let mut again = emu.connect_to_resume().await;
    again.send(emu.resume(&ready["session_id"], seq)).await;
    let mut seen = 1;
    while seen < 2_000 {
        seen += u32::from(again.payload().await["t"] == "GUILD_CREATE");
    }
}
