use http::Method;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;

use crate::support::{Client, Emu, INTENTS, eventually};

#[tokio::test]
async fn op_7_holds_events_back_until_the_resume() {
    let emu = Emu::lively().await;
    let (mut client, ready) = emu.identified(INTENTS).await;
    let seq = client.seq;
    emu.fault(json!({"kind": "gateway_reconnect"})).await;
    assert_eq!(client.payload().await["op"], 7);
    emu.join("duncan").await;
    client.close(4900).await;
    let mut again = emu.connect_to_resume().await;
    again.send(emu.resume(&ready["session_id"], seq)).await;
    again.event("GUILD_MEMBER_ADD").await;
    again.event("RESUMED").await;
}

#[tokio::test]
async fn a_client_that_ignores_op_7_is_closed() {
    let emu = Emu::lively().await;
    let (client, _) = emu.identified(INTENTS).await;
    emu.fault(json!({"kind": "gateway_reconnect"})).await;
    assert_eq!(client.closed().await, 4000);
}

#[tokio::test]
async fn op_9_states_whether_the_session_can_be_resumed() {
    let emu = Emu::lively().await;
    for resumable in [true, false] {
        let (mut client, ready) = emu.identified(INTENTS).await;
        let seq = client.seq;
        emu.fault(json!({"kind": "gateway_invalid_session", "resumable": resumable}))
            .await;
        assert_eq!(client.op(9).await["d"], resumable);
        client.send(emu.resume(&ready["session_id"], seq)).await;
        let answer = client.payload().await;
        let resumed = answer["t"] == "RESUMED";
        assert_eq!(resumed, resumable, "{answer}");
        client.close(1000).await;
        emu.post("clock", json!({"advance_ms": 5_000})).await;
    }
}

#[tokio::test]
async fn half_open_connection_sends_nothing_and_its_session_can_be_resumed() {
    let emu = Emu::lively().await;
    let (mut client, ready) = emu.identified(INTENTS).await;
    let seq = client.seq;
    emu.fault(json!({"kind": "gateway_half_open"})).await;
    client.send(json!({"op": 1, "d": seq})).await;
    emu.join("duncan").await;
    let mut again = emu.connect_to_resume().await;
    again.send(emu.resume(&ready["session_id"], seq)).await;
    again.event("GUILD_MEMBER_ADD").await;
    again.event("RESUMED").await;
    // Nothing was sent on the first one, not even the acknowledgement, and it has ended.
    client.dropped_in_silence().await;
    assert_eq!(emu.get("stats").await["heartbeats"], 0);
}

#[tokio::test]
async fn a_dispatch_can_be_doubled() {
    let emu = Emu::lively().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    emu.fault(json!({"kind": "gateway_duplicate_dispatch", "event": "GUILD_MEMBER_ADD", "count": 1}))
        .await;
    emu.join("duncan").await;
    emu.join("gurney").await;
    let mut joins = Vec::new();
    for _ in 0..3 {
        let d = client.event("GUILD_MEMBER_ADD").await;
        joins.push((d["user"]["username"].as_str().unwrap().to_owned(), client.seq));
    }
    assert_eq!(joins[0], joins[1]);
    assert_eq!((joins[2].0.as_str(), joins[2].1), ("gurney", joins[0].1 + 1));
}

#[tokio::test]
async fn unreachable_resume_host_sends_nothing_and_the_gateway_still_resumes() {
    let emu = Emu::lively().await;
    let (client, ready) = emu.identified(INTENTS).await;
    let seq = client.seq;
    client.close(4900).await;
    let dead = emu
        .fault(json!({"kind": "gateway_dead_resume_host", "mode": "refuse"}))
        .await;
    assert!(
        connect_async(format!("{}/?v=10", emu.emulator.addresses().resume))
            .await
            .is_err()
    );
    let mut again = emu.connect().await;
    again.send(emu.resume(&ready["session_id"], seq)).await;
    again.event("RESUMED").await;
    emu.control(Method::DELETE, &format!("faults/{}", dead["id"]), None)
        .await;
    emu.connect_to_resume().await;
}

#[tokio::test]
async fn a_resume_can_be_refused() {
    let emu = Emu::lively().await;
    let (client, ready) = emu.identified(INTENTS).await;
    let seq = client.seq;
    client.close(4900).await;
    emu.fault(json!({"kind": "gateway_refuse_resume", "count": 1})).await;
    let mut again = emu.connect_to_resume().await;
    again.send(emu.resume(&ready["session_id"], seq)).await;
    assert_eq!(again.op(9).await["d"], false);
}

#[tokio::test]
async fn response_to_resume_can_be_replaced_and_the_session_is_kept() {
    let emu = Emu::lively().await;
    let (client, ready) = emu.identified(INTENTS).await;
    let seq = client.seq;
    client.close(4900).await;
    let resuming = async |fault: Value| {
        emu.fault(fault).await;
        let mut again = emu.connect_to_resume().await;
        again.send(emu.resume(&ready["session_id"], seq)).await;
        again
    };
    let fault = |mode: &str| json!({"kind": "gateway_resume_answer", "mode": mode, "count": 1});
    resuming(fault("reset")).await.dropped().await;
    let mut invalid = resuming(fault("invalid_session")).await;
    assert_eq!(invalid.op(9).await["d"], true);
    let closed = json!({"kind": "gateway_resume_answer", "mode": "close", "code": 4000, "count": 1});
    assert_eq!(resuming(closed).await.closed().await, 4000);
    let mut silent = resuming(fault("silence")).await;
    silent.send(json!({"op": 1, "d": seq})).await;
    assert_eq!(silent.payload().await["op"], 11, "heartbeats are acknowledged");
    let mut again = emu.connect_to_resume().await;
    again.send(emu.resume(&ready["session_id"], seq)).await;
    again.event("RESUMED").await;
}

#[tokio::test]
async fn response_to_identify_can_be_replaced() {
    let emu = Emu::lively().await;
    emu.fault(json!({"kind": "gateway_identify_answer", "mode": "reset", "count": 1}))
        .await;
    let mut client = emu.connect().await;
    client.send(emu.identify(INTENTS, json!([0, 1]))).await;
    client.dropped().await;
    emu.identified(INTENTS).await;
    let refused = json!({"kind": "gateway_resume_answer", "mode": "close"});
    let (status, why) = emu.refused("faults", refused).await;
    assert!(status == 400 && why.contains("needs a code"), "{status} {why}");
}

#[tokio::test]
async fn truncated_frame_can_be_sent() {
    let emu = Emu::lively().await;
    let (client, _) = emu.identified(INTENTS).await;
    emu.fault(json!({"kind": "gateway_send", "text": "{\"op\":0,\"t\":\"GUILD_"}))
        .await;
    assert_eq!(client.text().await, "{\"op\":0,\"t\":\"GUILD_");
}

#[tokio::test]
async fn fault_applies_to_the_named_shard_only() {
    let emu = Emu::start().await;
    let mut clients = Vec::new();
    for shard in [0, 1] {
        let mut client = emu.connect().await;
        client.send(emu.identify(0, json!([shard, 2]))).await;
        client.event("READY").await;
        clients.push(client);
    }
    let struck = emu
        .fault(json!({"kind": "gateway_close", "code": 4000, "shard": 1}))
        .await;
    assert_eq!(struck["struck"], 1);
    assert_eq!(clients.pop().unwrap().closed().await, 4000);
    eventually("one is left", async || emu.get("gateway").await["connections"] == 1).await;
}

#[tokio::test]
async fn outage_differs_from_a_removal() {
    let emu = Emu::lively().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    let guild = "1200000000500000000";
    emu.post("outage", json!({"guild_id": guild, "unavailable": true}))
        .await;
    assert_eq!(
        client.event("GUILD_DELETE").await,
        json!({"id": guild, "unavailable": true})
    );
    emu.post("outage", json!({"guild_id": guild, "unavailable": false}))
        .await;
    assert_eq!(client.event("GUILD_CREATE").await["id"], guild);
    emu.control(Method::DELETE, "guilds/Arrakeen%20Market", None).await;
    assert_eq!(client.event("GUILD_DELETE").await, json!({"id": guild}));
}

#[tokio::test]
async fn invalid_fault_is_refused_with_what_to_do() {
    let emu = Emu::start().await;
    for (fault, word) in [
        (json!({"kind": "gateway_explode"}), "not a kind"),
        (json!({"kind": "gateway_close"}), "needs a code"),
        (json!({"kind": "gateway_drop"}), "no connected session"),
        (json!({"kind": "rest_status"}), "needs a status"),
        (json!({"kind": "rest_lost_answer", "probability": 3.0}), "probability"),
        (json!({"kind": "rest_rate_limit", "scope": "galaxy"}), "not a scope"),
        (json!({"kind": "rest_lost_answer", "colour": "red"}), "colour"),
        (json!({"kind": "rest_slow_body"}), "needs ms"),
        (
            json!({"kind": "rest_latency", "ms": 1, "after_effect": true}),
            "after_effect",
        ),
        (Value::Null, "does not have the expected form"),
    ] {
        let (_, error) = emu.refused("faults", fault.clone()).await;
        assert!(error.contains(word), "{fault}: {error}");
    }
}

impl Client {
    /// Waits for the end of the connection; a frame before it fails the test.
    async fn dropped_in_silence(mut self) {
        if let Some(Ok(message)) = self.next_message().await {
            panic!("it spoke: {message:?}");
        }
    }

    async fn text(mut self) -> String {
        self.next_message()
            .await
            .unwrap()
            .unwrap()
            .into_text()
            .unwrap()
            .to_string()
    }
}
