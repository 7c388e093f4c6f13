use http::Method;
use serde_json::json;

use crate::support::{Emu, INTENTS};

#[tokio::test]
async fn a_reset_token_ends_sessions_and_is_refused_everywhere() {
    let emu = Emu::lively().await;
    let old = emu.token();
    let (client, _) = emu.identified(INTENTS).await;
    let answer = emu.post("token/reset", json!({})).await;
    assert_eq!(answer["token"], emu.token());
    assert_ne!(emu.token(), old);
    assert_eq!(client.closed().await, 4004);
    let url = format!("{}/users/@me", emu.emulator.addresses().rest);
    let with_old = reqwest::Client::new()
        .get(url)
        .header("authorization", format!("Bot {old}"));
    assert_eq!(with_old.send().await.unwrap().status(), 401);
    assert_eq!(emu.rest(Method::GET, "/users/@me", None).await.0, 200);
}

#[tokio::test]
async fn limits_and_privileged_intents_change_while_it_runs() {
    let emu = Emu::lively().await;
    let change = json!({"privileged_intents": ["MESSAGE_CONTENT"], "session_start_limit": 10, "session_starts_remaining": 3, "max_concurrency": 16});
    let view = emu.control(Method::PATCH, "gateway", Some(change)).await;
    let limit = &view["session_start_limit"];
    assert_eq!(
        (&limit["total"], &limit["remaining"], &limit["max_concurrency"]),
        (&json!(10), &json!(3), &json!(16))
    );
    let mut client = emu.connect().await;
    client.send(emu.identify(INTENTS, json!([0, 1]))).await;
    assert_eq!(client.closed().await, 4014);
    let (_client, ready) = emu.identified(1 | 1 << 15).await;
    let view = emu.get("gateway").await;
    let session = &view["sessions"][0];
    assert_eq!(
        (&session["id"], &session["connected"]),
        (&ready["session_id"], &json!(true))
    );
    assert_eq!(view["session_start_limit"]["remaining"], 2);
    let (status, answer) = emu
        .try_control(
            Method::PATCH,
            "gateway",
            Some(json!({"privileged_intents": ["GUILDS"]})),
        )
        .await;
    assert_eq!((status, answer["what_to_do"].is_string()), (400, true));
}
