//! Faults on demand, and the records of REST calls.

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
async fn lost_answer_takes_effect_and_sends_no_byte() {
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
    // A reset counts as an end.
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

/// Result for the caller of a call to which a fault applies.
#[derive(Debug, PartialEq)]
enum Seen {
    Status(u16),
    Closed,
    Reset,
    Silence,
    Half,
}

/// Sends one request over a connection of its own.
async fn raw(bot: &Bot, path: &str, content: &str) -> Seen {
    let address = bot.emulator.addresses().rest.trim_start_matches("http://").to_owned();
    let mut socket = TcpStream::connect(address.split('/').next().unwrap()).await.unwrap();
    let body = json!({ "content": content }).to_string();
    let request = format!(
        "POST /api/v10{path} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        bot.authorization(),
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(std::time::Duration::from_secs(2), socket.read_to_end(&mut answer)).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let whole = text.ends_with('}') || text.ends_with("0\r\n\r\n") || text.ends_with("</html>");
    match read {
        Err(_) => Seen::Silence,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionReset && text.is_empty() => Seen::Reset,
        Ok(_) if text.is_empty() => Seen::Closed,
        Ok(_) if whole => Seen::Status(text.split(' ').nth(1).unwrap().parse().unwrap()),
        Ok(_) => Seen::Half,
    }
}

#[tokio::test]
async fn every_failure_comes_before_and_after_the_effect() {
    let bot = Bot::start().await;
    let path = format!("/channels/{}/messages", bot.channel("general"));
    let modes = [(DeadHost::Refuse, Seen::Closed), (DeadHost::Hang, Seen::Silence)];
    let mut cases = vec![
        (FaultKind::RestStatus { status: 502 }, Seen::Status(502), false),
        (
            FaultKind::RestStatusAfterEffect { status: 502 },
            Seen::Status(502),
            true,
        ),
        (
            FaultKind::RestStatusAfterEffect { status: 404 },
            Seen::Status(404),
            true,
        ),
        (FaultKind::RestSlowBody { ms: 300 }, Seen::Status(200), true),
    ];
    for after_effect in [false, true] {
        cases.push((FaultKind::RestReset { after_effect }, Seen::Reset, after_effect));
        cases.push((FaultKind::RestHalfAnswer { after_effect }, Seen::Half, after_effect));
        cases.push((FaultKind::RestGarbage { after_effect }, Seen::Status(200), after_effect));
    }
    for (mode, seen) in modes {
        let again = if mode == DeadHost::Refuse {
            Seen::Closed
        } else {
            Seen::Silence
        };
        cases.push((FaultKind::RestLostAnswer { mode }, seen, true));
        cases.push((FaultKind::RestNoAnswer { mode }, again, false));
    }
    for (number, (kind, wanted, effect)) in cases.into_iter().enumerate() {
        let content = format!("case {number}");
        bot.arm(kind.clone(), "/channels/{channel_id}/messages");
        assert_eq!(raw(&bot, &path, &content).await, wanted, "{kind:?}");
        let entries = bot.emulator.app().traffic.since(0);
        let last = entries.iter().rev().find_map(|entry| match &entry.record {
            Record::Rest(call) => Some(call.clone()),
            Record::Gateway(_) => None,
        });
        let last = last.unwrap();
        assert_eq!(
            (last.fault, last.effect_status),
            (true, effect.then_some(200)),
            "{kind:?}"
        );
        let listed = bot.get(&path).await.ok(200);
        let stands = listed
            .as_array()
            .unwrap()
            .iter()
            .any(|message| message["content"] == content);
        assert_eq!(stands, effect, "{kind:?}");
    }
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
