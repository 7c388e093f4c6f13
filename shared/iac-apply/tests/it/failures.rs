//! gaib's calls against every failure that Discord can answer with, before and after the effect. What took effect is read from the
//! emulator's record.

use arrakis_discord_http::CallClass;
use arrakis_iac_apply::http::{Body, CallError, Discord, Reason, Upload};
use discord_emulator::faults::{Condition, DeadHost, FaultKind};
use discord_emulator::traffic::Record;
use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::interruptions::small;
use crate::kinds::PNG;
use crate::support::{Server, empty};

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ends {
    Success,
    /// The same run may be repeated later.
    Later,
    Unknown,
    Refused,
}

/// A failure, whether the call takes effect, and whether every attempt fails.
struct Row {
    kind: FaultKind,
    effect: bool,
    lasting: bool,
}

fn rows() -> Vec<Row> {
    let row = |kind, effect, lasting| Row { kind, effect, lasting };
    let mut rows = vec![
        row(FaultKind::RestStatus { status: 403 }, false, true),
        row(FaultKind::RestStatus { status: 401 }, false, true),
        row(FaultKind::RestStatus { status: 502 }, false, false),
        row(FaultKind::RestStatus { status: 503 }, false, true),
        row(FaultKind::RestStatusAfterEffect { status: 502 }, true, false),
        row(FaultKind::RestStatusAfterEffect { status: 500 }, true, true),
        row(
            FaultKind::RestRateLimit {
                scope: "user".to_owned(),
                retry_after: 0.05,
            },
            false,
            false,
        ),
    ];
    for after_effect in [false, true] {
        rows.push(row(FaultKind::RestReset { after_effect }, after_effect, false));
        rows.push(row(FaultKind::RestHalfAnswer { after_effect }, after_effect, false));
        rows.push(row(FaultKind::RestGarbage { after_effect }, after_effect, false));
    }
    for mode in [DeadHost::Refuse, DeadHost::Hang] {
        rows.push(row(FaultKind::RestLostAnswer { mode }, true, false));
        rows.push(row(FaultKind::RestNoAnswer { mode }, false, false));
    }
    rows
}

impl Row {
    fn expected(&self, class: CallClass) -> Ends {
        match (&self.kind, class) {
            (FaultKind::RestStatus { status: 401 | 403 }, _) => Ends::Refused,
            (FaultKind::RestRateLimit { .. }, _) => Ends::Success,
            (_, CallClass::Once) => Ends::Unknown,
            (_, _) if self.lasting => Ends::Later,
            (_, _) => Ends::Success,
        }
    }
}

/// Every kind of call that gaib makes: a read, a change, a removal, a creation of each kind.
async fn calls(discord: &Discord, server: &Server, number: usize) -> Vec<(Method, String, Option<Body>)> {
    let guild = server.made.guild_id;
    let named = |name: &str| json!({ "name": format!("{name}-{number}") });
    let made = async |name: &str| {
        let path = format!("/guilds/{guild}/channels");
        let made = discord.write(Method::POST, &path, Some(&named(name)), &because()).await;
        made.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let (kept, removed) = (made("kept").await, made("removed").await);
    let overwrite = json!({"type": 0, "allow": "1024", "deny": "0"});
    let rule = json!({"name": format!("rule-{number}"), "event_type": 1, "trigger_type": 1,
        "trigger_metadata": {"keyword_filter": ["spice"]}, "actions": [{"type": 1}]});
    let pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
    let emoji = json!({"name": format!("emoji_{number}"), "image": pixel});
    let event = json!({"name": format!("event-{number}"), "privacy_level": 2, "entity_type": 3,
        "scheduled_start_time": "2999-01-01T00:00:00Z", "scheduled_end_time": "2999-01-02T00:00:00Z",
        "entity_metadata": {"location": "Arrakis"}});
    let mut calls = {
        let bodies = Bodies {
            overwrite: &overwrite,
            rule: &rule,
            emoji: &emoji,
            event: &event,
        };
        removals(discord, server, &kept, bodies, number).await
    };
    calls.extend([
        (Method::GET, format!("/guilds/{guild}/channels"), None),
        (Method::PATCH, format!("/channels/{kept}"), Some(json!({"nsfw": true}))),
        (
            Method::PUT,
            format!("/channels/{kept}/permissions/{guild}"),
            Some(overwrite),
        ),
        (Method::DELETE, format!("/channels/{removed}"), None),
        (Method::POST, format!("/guilds/{guild}/roles"), Some(named("role"))),
        (
            Method::POST,
            format!("/guilds/{guild}/channels"),
            Some(named("channel")),
        ),
        (Method::POST, format!("/channels/{kept}/webhooks"), Some(named("hook"))),
        (Method::POST, format!("/guilds/{guild}/emojis"), Some(emoji)),
        (
            Method::POST,
            format!("/guilds/{guild}/auto-moderation/rules"),
            Some(rule),
        ),
        (Method::POST, format!("/guilds/{guild}/scheduled-events"), Some(event)),
    ]);
    let mut calls: Vec<_> = calls
        .into_iter()
        .map(|(method, path, body)| (method, path, body.as_ref().map(Body::json)))
        .collect();
    calls.push((Method::POST, format!("/guilds/{guild}/stickers"), Some(sticker())));
    calls
}

fn sticker() -> Body {
    Body::Form(Upload {
        fields: vec![
            ("name", "worm".to_owned()),
            ("description", String::new()),
            ("tags", "fire".to_owned()),
        ],
        file_name: "worm.png".to_owned(),
        media_type: "image/png",
        file: PNG.into(),
    })
}

/// Bodies of the requests that create resources.
#[derive(Clone, Copy)]
struct Bodies<'a> {
    overwrite: &'a Value,
    rule: &'a Value,
    emoji: &'a Value,
    event: &'a Value,
}

/// Creates a resource for each DELETE that gaib makes. Returns the DELETE calls.
async fn removals(
    discord: &Discord,
    server: &Server,
    channel: &str,
    bodies: Bodies<'_>,
    number: usize,
) -> Vec<(Method, String, Option<Value>)> {
    let (guild, bot) = (server.made.guild_id, server.emulator.app().options.application_id);
    let made = async |path: String, mut body: Value| {
        if let Some(name) = body["name"].as_str() {
            body["name"] = json!(name.replace(&number.to_string(), &format!("{number}x")));
        }
        let made = discord.write(Method::POST, &path, Some(&body), &because()).await;
        made.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let role = made(format!("/guilds/{guild}/roles"), json!({ "name": "removed" })).await;
    let given = made(format!("/guilds/{guild}/roles"), json!({ "name": "given" })).await;
    let of_bot = format!("/guilds/{guild}/members/{bot}/roles/{given}");
    let of_role = format!("/channels/{channel}/permissions/{given}");
    discord.write(Method::PUT, &of_bot, None, &because()).await.unwrap();
    discord
        .write(Method::PUT, &of_role, Some(bodies.overwrite), &because())
        .await
        .unwrap();
    let webhook = made(format!("/channels/{channel}/webhooks"), json!({ "name": "removed" })).await;
    let emoji = made(format!("/guilds/{guild}/emojis"), bodies.emoji.clone()).await;
    let rule = made(format!("/guilds/{guild}/auto-moderation/rules"), bodies.rule.clone()).await;
    let event = made(format!("/guilds/{guild}/scheduled-events"), bodies.event.clone()).await;
    let path = format!("/guilds/{guild}/stickers");
    let sticker = discord.send(Method::POST, &path, Some(sticker()), &because()).await;
    let sticker = sticker.unwrap()["id"].as_str().unwrap().to_owned();
    let paths = [
        format!("/guilds/{guild}/roles/{role}"),
        of_bot,
        of_role,
        format!("/webhooks/{webhook}"),
        format!("/guilds/{guild}/emojis/{emoji}"),
        format!("/guilds/{guild}/stickers/{sticker}"),
        format!("/guilds/{guild}/auto-moderation/rules/{rule}"),
        format!("/guilds/{guild}/scheduled-events/{event}"),
    ];
    paths.map(|path| (Method::DELETE, path, None)).to_vec()
}

fn because() -> Reason {
    Reason::new("gaib: failures")
}

fn ends(called: Result<Value, CallError>) -> Ends {
    match called {
        Ok(_) => Ends::Success,
        Err(CallError::Unavailable { .. }) => Ends::Later,
        Err(CallError::OutcomeUnknown { .. }) => Ends::Unknown,
        Err(CallError::Refused { .. } | CallError::TokenRefused) => Ends::Refused,
        Err(other) => panic!("{other}"),
    }
}

impl Row {
    /// Whether a call waits for the end of its time limit.
    fn waits(&self) -> bool {
        matches!(
            self.kind,
            FaultKind::RestLostAnswer { mode: DeadHost::Hang } | FaultKind::RestNoAnswer { mode: DeadHost::Hang }
        )
    }
}

/// Calls to a server of their own.
struct Calls {
    server: Server,
    discord: Discord,
    calls: Vec<(Method, String, Option<Body>)>,
}

impl Calls {
    /// Every `parts`th of the calls, from the one with the number `part` on.
    async fn new(number: usize, part: usize, parts: usize) -> Self {
        let server = Server::start(empty()).await;
        let (discord, _) = server.client();
        let all = calls(&discord, &server, number).await;
        Self {
            server,
            discord,
            calls: all.into_iter().skip(part).step_by(parts).collect(),
        }
    }

    async fn handle(self, row: &Row) {
        for call in self.calls {
            call_handles_failure(&self.discord, &self.server, row, call).await;
        }
    }
}

/// Parts of the calls that are made at the same time if each of them waits.
const PARTS: usize = 4;

#[tokio::test]
async fn every_call_handles_every_failure() {
    let (waiting, others): (Vec<_>, Vec<_>) = rows().into_iter().enumerate().partition(|(_, row)| row.waits());
    assert_eq!(waiting.len(), 2);
    for (number, row) in &others {
        Calls::new(*number, 0, 1).await.handle(row).await;
    }
    let mut parts = Vec::new();
    for (number, row) in &waiting {
        for part in 0..PARTS {
            parts.push((row, Calls::new(*number, part, PARTS).await));
        }
    }
    join_all(parts.into_iter().map(|(row, calls)| calls.handle(row))).await;
}

async fn call_handles_failure(
    discord: &Discord,
    server: &Server,
    row: &Row,
    (method, path, body): (Method, String, Option<Body>),
) {
    let class = if method == Method::POST {
        CallClass::Once
    } else {
        CallClass::Idempotent
    };
    let app = server.emulator.app();
    let when = Condition {
        count: (!row.lasting).then_some(1),
        method: Some(method.to_string()),
        path: Some(path.clone()),
        ..Condition::default()
    };
    let since = app.traffic.since(0).last().map_or(0, |entry| entry.n);
    app.faults.arm(row.kind.clone(), when);
    let called = match method {
        Method::GET => discord.get(&path).await,
        _ => discord.send(method.clone(), &path, body, &because()).await,
    };
    app.faults.clear();
    let calls = app.traffic.since(since);
    let effects = calls
        .iter()
        .filter(|entry| {
            matches!(&entry.record, Record::Rest(call) if call.method == method.as_str()
                && call.path == path && matches!(call.effect_status, Some(200..=299)))
        })
        .count();
    let case = format!("{method} {path}, {:?}", row.kind);
    let (ended, expected) = (ends(called), row.expected(class));
    assert_eq!(ended, expected, "{case}: {effects} effects");
    match (expected, class) {
        (Ends::Success, CallClass::Once) => assert_eq!(effects, 1, "{case}"),
        (Ends::Success, _) => assert!(effects >= 1, "{case}: {effects}"),
        (Ends::Later, _) => assert_eq!(effects > 0, row.effect, "{case}: {effects}"),
        (Ends::Unknown, _) => assert_eq!(effects, usize::from(row.effect), "{case}"),
        (Ends::Refused, _) => assert_eq!(effects, 0, "{case}"),
    }
}

/// At any result of the first creation, or of the first request of any kind, the server ends as it was configured, with nothing
/// twice.
#[tokio::test]
async fn apply_converges_after_any_failure() {
    for method in ["POST", "PATCH", "PUT"] {
        for row in rows().into_iter().filter(|row| !row.lasting) {
            let bench = Bench::start(empty()).await;
            let at_first = bench.live().await;
            let when = Condition {
                count: Some(1),
                method: Some(method.to_owned()),
                ..Condition::default()
            };
            bench.server.emulator.app().faults.arm(row.kind.clone(), when);
            let applied = bench.apply(&small()).await;
            assert!(applied.is_ok(), "{method}, {:?}: {:?}", row.kind, applied.err());
            bench.assert_applied(&small(), &at_first).await;
        }
    }
}
