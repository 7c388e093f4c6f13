//! Faults on demand, and the record of what went over the wire.

use discord_emulator::{
    faults::{Condition, DeadHost, FaultKind},
    traffic::Record,
};
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::rest_support::Bot;

impl Bot {
    fn arm(&self, kind: FaultKind, route: &str) {
        let when = Condition {
            count: Some(1),
            route: Some(route.to_owned()),
            ..Condition::default()
        };
        self.emulator.app().faults.arm(kind, when);
    }
}

#[tokio::test]
async fn a_lost_answer_had_its_effect_and_sends_not_one_byte() {
    let bot = Bot::start().await;
    let path = format!("/channels/{}/messages", bot.channel("general"));
    bot.arm(
        FaultKind::RestLostAnswer { mode: DeadHost::Refuse },
        "/channels/{channel_id}/messages",
    );
    let address = bot
        .emulator
        .addresses()
        .rest
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap()
        .to_owned();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let body = r#"{"content":"sent and lost"}"#;
    let request = format!(
        "POST /api/v10{path} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        bot.authorization(),
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset is as good as an end.
    let _ = socket.read_to_end(&mut answer).await;
    assert_eq!(String::from_utf8_lossy(&answer), "");
    let listed = bot.get(&path).await.ok(200);
    assert_eq!(listed[0]["content"], "sent and lost");
    // The fault was for one call.
    bot.post(&path, json!({"content": "arrives"})).await.ok(200);
}

#[tokio::test]
async fn statuses_and_limits_come_without_effect() {
    let bot = Bot::start().await;
    let path = format!("/guilds/{}/roles", bot.guild());
    bot.arm(FaultKind::RestStatus { status: 503 }, "/guilds/{guild_id}/roles");
    let refused = bot.post(&path, json!({"name": "x", "permissions": "0"})).await;
    assert_eq!(
        (refused.status, refused.body["message"].as_str()),
        (503, Some("503: Service Unavailable"))
    );
    let limit = FaultKind::RestRateLimit {
        scope: "shared".to_owned(),
        retry_after: 1.5,
    };
    bot.arm(limit, "/guilds/{guild_id}/roles");
    let refused = bot.post(&path, json!({"name": "x", "permissions": "0"})).await;
    assert_eq!(
        (
            refused.status,
            refused.header("x-ratelimit-scope"),
            refused.header("retry-after")
        ),
        (429, Some("shared"), Some("2"))
    );
    assert_eq!(refused.body["retry_after"], 1.5);
    let names = bot.get(&path).await.ok(200);
    assert!(names.as_array().unwrap().iter().all(|role| role["name"] != "x"));
}

#[tokio::test]
async fn every_call_is_recorded_with_its_route() {
    let bot = Bot::start().await;
    let reason = Some("a%20reason");
    let path = format!("/guilds/{}/roles", bot.guild());
    bot.call_with(
        Method::POST,
        &path,
        Some(json!({"name": "x", "permissions": "0"})),
        reason,
    )
    .await
    .ok(200);
    bot.open_call(Method::GET, "/users/@me", None).await.refused(401, 0);
    bot.get("/nowhere").await.refused(404, 0);
    let calls: Vec<_> = bot
        .emulator
        .app()
        .traffic
        .since(0)
        .iter()
        .filter_map(|entry| match &entry.record {
            Record::Rest(call) => Some(call.clone()),
            Record::Gateway(_) => None,
        })
        .collect();
    assert_eq!(calls.len(), 3);
    assert_eq!(calls[0].route.as_deref(), Some("/guilds/{guild_id}/roles"));
    assert_eq!(
        (calls[0].reason.as_deref(), calls[0].counts_globally),
        (Some("a reason"), true)
    );
    assert!(calls[0].request.as_ref().unwrap().contains("\"name\":\"x\""));
    assert!(
        !bot.authorization()
            .ends_with(calls[0].caller.as_ref().unwrap().as_str())
    );
    assert_eq!(
        (calls[1].status, calls[1].invalid, calls[1].caller.as_deref()),
        (401, true, None)
    );
    assert_eq!(
        (calls[2].status, calls[2].route.as_deref(), calls[2].invalid),
        (404, None, false)
    );
}
