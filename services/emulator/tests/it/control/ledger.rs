use futures_util::StreamExt as _;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Emu, INTENTS};

async fn lines(emu: &Emu, query: &str) -> Vec<Value> {
    let text = emu.get(&format!("ledger?{query}")).await;
    match text {
        // One line is JSON by itself.
        Value::Object(_) => vec![text],
        Value::String(text) => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        other => panic!("not lines: {other}"),
    }
}

#[tokio::test]
async fn the_ledger_holds_every_dispatch_and_every_call() {
    let emu = Emu::lively().await;
    let (mut client, ready) = emu.identified(INTENTS).await;
    let joined = emu.join("duncan").await;
    client.event("GUILD_MEMBER_ADD").await;
    let dispatches = lines(&emu, "kind=gateway&event=GUILD_MEMBER_ADD").await;
    assert_eq!(dispatches.len(), 1);
    let dispatch = &dispatches[0];
    assert_eq!(
        (&dispatch["session"], &dispatch["seq"]),
        (&ready["session_id"], &json!(client.seq))
    );
    assert_eq!(
        (&dispatch["id"], &dispatch["shard"]),
        (&joined["user_id"], &json!([0, 1]))
    );
    emu.rest(Method::GET, "/users/@me", None).await;
    emu.rest(Method::GET, "/guilds/1", None).await;
    let calls = lines(&emu, "kind=rest").await;
    let shape: Vec<_> = calls
        .iter()
        .map(|call| (call["path"].as_str().unwrap(), call["status"].as_u64().unwrap()))
        .collect();
    assert_eq!(shape, [("/users/@me", 200), ("/guilds/1", 404)]);
    assert!(
        !serde_json::to_string(&calls).unwrap().contains(&emu.token()),
        "no token in the ledger"
    );
    let last = calls[1]["n"].as_u64().unwrap();
    assert_eq!(lines(&emu, &format!("since={last}")).await, Vec::<Value>::new());
}

#[tokio::test]
async fn tokens_are_not_in_gateway_records() {
    let emu = Emu::lively().await;
    emu.identified(INTENTS).await;
    let all = serde_json::to_string(&lines(&emu, "kind=gateway").await).unwrap();
    assert!(all.contains("[redacted]") && !all.contains(&emu.token()));
}

#[tokio::test]
async fn recording_can_be_switched_off_and_counts_go_on() {
    let emu = Emu::lively().await;
    emu.post("ledger", json!({"recording": false})).await;
    emu.rest(Method::GET, "/users/@me", None).await;
    assert_eq!(lines(&emu, "kind=rest").await, Vec::<Value>::new());
    let stats = emu.get("stats").await;
    assert_eq!(stats["rest"]["GET /users/@me"], json!({"200": 1}));
    assert_eq!(stats["most_requests_in_1100_ms"], 1);
    let reset = emu.control(Method::DELETE, "stats", None).await;
    assert_eq!(reset["rest_total"], 0);
}

#[tokio::test]
async fn traffic_streams_as_it_happens() {
    let emu = Emu::lively().await;
    let url = format!("{}/control/traffic", emu.emulator.addresses().control);
    let mut stream = reqwest::get(url).await.unwrap().bytes_stream();
    emu.rest(Method::GET, "/users/@me", None).await;
    let mut seen = String::new();
    while !seen.contains("\n\n") {
        seen.push_str(&String::from_utf8_lossy(&stream.next().await.unwrap().unwrap()));
    }
    let entry: Value = serde_json::from_str(seen.lines().next().unwrap().strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(
        (&entry["kind"], &entry["method"], &entry["status"]),
        (&json!("rest"), &json!("GET"), &json!(200))
    );
}

#[tokio::test]
async fn unknown_path_and_method_are_errors() {
    let emu = Emu::start().await;
    let (status, answer) = emu.try_control(Method::GET, "spice", None).await;
    assert_eq!((status, answer["what_to_do"].is_string()), (404, true));
    let (status, answer) = emu.try_control(Method::PUT, "clock", None).await;
    assert_eq!((status, answer["what_to_do"].is_string()), (405, true));
    let (status, answer) = emu.try_control(Method::GET, "interactions/42", None).await;
    assert_eq!((status, answer["what_to_do"].is_string()), (404, true));
}

#[tokio::test]
async fn stopping_ends_open_connections() {
    let emu = Emu::lively().await;
    let (client, _) = emu.identified(INTENTS).await;
    let rest = emu.emulator.addresses().rest.clone();
    let http = reqwest::Client::new();
    assert_eq!(http.get(format!("{rest}/gateway")).send().await.unwrap().status(), 200);
    emu.emulator.shutdown().await;
    client.dropped().await;
    assert!(
        http.get(format!("{rest}/gateway")).send().await.is_err(),
        "a pooled connection still answers"
    );
}
