//! Creations whose answers are lost, on a server that writes other names than it was sent, beside people who make things of
//! their own: every resource exists once, or the run ends and names what may have been created.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrakis_iac::model::{Configuration, Kind};
use arrakis_iac::plan::{Mode, preflight};
use arrakis_iac_apply::http::{Body, Https, Request, Response, RetryPolicy, SendError, Transport};
use arrakis_iac_apply::{ApplyError, all_kinds};
use async_trait::async_trait;
use bytes::Bytes;
use discord_emulator::faults::{Condition, FaultKind};
use http::{HeaderMap, Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, configuration};
use crate::kinds::PNG;
use crate::support::empty;

async fn bench() -> Bench {
    let mut bench = Bench::start(empty()).await;
    std::fs::write(bench.folder.path().join("spice.png"), PNG).unwrap();
    bench.kinds = all_kinds();
    bench
}

/// Something of every kind that can be made, with names that Discord does not keep as they are.
fn everything() -> Configuration {
    let name = |name: &str| format!("  {name}   Me! ");
    let channel = |kind: &str| json!({ "kind": kind, "name": name(kind) });
    let mut within = channel("text");
    within["category"] = json!("category.rock");
    configuration(&[
        (
            "role.naib",
            json!({ "name": name("Naib"), "permissions": [], "hoist": true }),
        ),
        (
            "category.rock",
            json!({ "kind": "category", "name": name("Rock"), "overwrites": {} }),
        ),
        ("channel.text", within),
        ("channel.news", channel("announcement")),
        ("channel.voice", channel("voice")),
        ("channel.stage", channel("stage")),
        (
            "channel.forum",
            json!({ "kind": "forum", "name": name("Forum"), "require_tag": true, "tags": [{ "name": "old" }] }),
        ),
        ("channel.media", channel("media")),
        (
            "emoji.spice",
            json!({ "name": "  spice  ", "image": { "path": "spice.png" } }),
        ),
        (
            "webhook.news",
            json!({ "name": name("News"), "channel": "channel.text" }),
        ),
        (
            "automod.spam",
            json!({ "name": name("Spam"), "trigger": { "type": "spam" }, "actions": [{ "type": "block_message", "message": "" }] }),
        ),
        (
            "event.festival",
            json!({ "name": name("Festival"), "start": "2999-01-01T00:00:00Z", "end": "2999-01-02T00:00:00Z",
            "place": { "external": "Arrakeen" } }),
        ),
    ])
}

/// Does something else with creations than a network does that works.
#[derive(Debug)]
struct Meddling {
    inner: Https,
    how: How,
    creations: AtomicUsize,
    /// Requests that were not delivered, with how many reads of the server they wait for.
    held: Mutex<Vec<(Request, usize)>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    /// Writes this before every name, and loses the response.
    Rename,
    /// Carries each creation out without its colour and under another name, and loses the response.
    Rewrite,
    /// The creation does not take effect; meanwhile another user creates a role.
    Stranger,
    /// Answers 504 and carries the first creation out after so many reads of the server.
    Late(usize),
    /// The creation takes effect, and the response has no id.
    NoId,
}

impl Meddling {
    fn over(bench: &Bench, how: How) -> Arc<Self> {
        Arc::new(Self {
            inner: bench.server.https(),
            how,
            creations: AtomicUsize::new(0),
            held: Mutex::default(),
        })
    }

    async fn deliver_due(&self) {
        let due: Vec<Request> = {
            let mut held = self.held.lock();
            held.iter_mut().for_each(|(_, reads)| *reads -= 1);
            let (due, later) = std::mem::take(&mut *held)
                .into_iter()
                .partition(|(_, reads)| *reads == 0);
            *held = later;
            let due: Vec<(Request, usize)> = due;
            due.into_iter().map(|(request, _)| request).collect()
        };
        for request in due {
            let answer = self.inner.send(&request).await.unwrap();
            assert!(answer.status.is_success(), "{answer:?}");
        }
    }
}

fn changed(request: &Request, change: impl Fn(&mut Value)) -> Request {
    let Some(Body::Json(body)) = &request.body else {
        panic!("a creation with JSON");
    };
    let mut body: Value = serde_json::from_slice(body).unwrap();
    change(&mut body);
    Request {
        body: Some(Body::json(&body)),
        ..request.clone()
    }
}

fn lost() -> SendError {
    SendError::Lost("connection reset".to_owned())
}

#[async_trait]
impl Transport for Meddling {
    async fn send(&self, request: &Request) -> Result<Response, SendError> {
        if request.method != Method::POST {
            if request.path == "/users/@me" {
                self.deliver_due().await;
            }
            return self.inner.send(request).await;
        }
        let number = self.creations.fetch_add(1, Ordering::SeqCst);
        match self.how {
            How::Rename => {
                let renamed = changed(request, |body| {
                    let name = body["name"].as_str().unwrap().trim();
                    body["name"] = json!(format!("x{}", name.chars().rev().collect::<String>()));
                });
                let answer = self.inner.send(&renamed).await?;
                assert!(answer.status.is_success(), "{answer:?}");
                Err(lost())
            }
            How::Rewrite => {
                let rewritten = changed(request, |body| {
                    body["name"] = json!("Somebody else's");
                    body["hoist"] = json!(false);
                });
                self.inner.send(&rewritten).await?;
                Err(lost())
            }
            How::Stranger => {
                if number == 0 {
                    let strangers = changed(request, |body| *body = json!({ "name": "Friends", "permissions": "0" }));
                    self.inner.send(&strangers).await?;
                }
                Err(lost())
            }
            How::Late(reads) if number == 0 => {
                self.held.lock().push((request.clone(), reads));
                Ok(Response {
                    status: StatusCode::GATEWAY_TIMEOUT,
                    headers: HeaderMap::new(),
                    body: Bytes::from_static(b"upstream request timeout"),
                })
            }
            How::Late(_) => self.inner.send(request).await,
            How::NoId => {
                let mut answer = self.inner.send(request).await?;
                answer.body = Bytes::from_static(b"{}");
                Ok(answer)
            }
        }
    }
}

/// Each POST takes effect and is answered with this failure, to the end of the run.
async fn every_creation_lost(fault: FaultKind, config: &Configuration) {
    let bench = bench().await;
    let before = bench.live().await;
    let posts = Condition {
        method: Some("POST".to_owned()),
        ..Condition::default()
    };
    bench.server.emulator.app().faults.arm(fault.clone(), posts);
    let (_, watched) = bench
        .apply(config)
        .await
        .unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    bench.server.emulator.app().faults.clear();
    assert_eq!(
        watched.count("POST"),
        config.resources.len(),
        "{fault:?}: {:#?}",
        watched.sent()
    );
    bench.assert_applied(config, &before).await;
}

#[tokio::test]
async fn every_kind_is_created_once_if_every_response_is_lost() {
    for fault in [
        FaultKind::RestStatusAfterEffect { status: 502 },
        FaultKind::RestStatusAfterEffect { status: 504 },
        FaultKind::RestReset { after_effect: true },
        FaultKind::RestGarbage { after_effect: true },
    ] {
        every_creation_lost(fault, &everything()).await;
    }
}

#[tokio::test]
async fn success_without_an_id_starts_a_search() {
    let bench = bench().await;
    let before = bench.live().await;
    let transport = Meddling::over(&bench, How::NoId);
    bench.apply_over(transport.clone(), &everything()).await.unwrap();
    assert_eq!(transport.creations.load(Ordering::SeqCst), everything().resources.len());
    bench.assert_applied(&everything(), &before).await;
}

/// The server rewrites names in an unexpected way, and all responses are lost: a new resource whose other attributes are as
/// requested is adopted, and its stored name is recorded.
#[tokio::test]
async fn unexpectedly_rewritten_name_is_recorded() {
    let bench = bench().await;
    let transport = Meddling::over(&bench, How::Rename);
    bench.apply_over(transport.clone(), &everything()).await.unwrap();
    assert_eq!(transport.creations.load(Ordering::SeqCst), everything().resources.len());
    let plan = bench.plan(&everything(), Mode::Apply).await;
    assert!(plan.is_empty(), "{:#?}", plan.changes);
    let noted = plan
        .notes
        .iter()
        .filter(|note| note.contains("`name` was sent as"))
        .count();
    assert_eq!(noted, everything().resources.len(), "{:#?}", plan.notes);
}

fn naib() -> Configuration {
    configuration(&[(
        "role.naib",
        json!({ "name": "Naib", "permissions": ["ADMINISTRATOR"], "hoist": true }),
    )])
}

/// What came has another name and other values: it may be the request's or a person's.
#[tokio::test]
async fn ambiguous_creation_ends_the_apply_and_is_not_repeated() {
    for how in [How::Rewrite, How::Stranger] {
        let bench = bench().await;
        let transport = Meddling::over(&bench, how);
        let error = bench.apply_over(transport.clone(), &naib()).await.unwrap_err();
        let ApplyError::Unclear { candidates, .. } = &error else {
            panic!("{how:?}: {error}");
        };
        let message = error.to_string();
        assert!(
            message.contains("outcome unknown") && message.contains(&candidates[0].to_string()),
            "{message}"
        );
        assert!(message.contains("gaib server import role.naib ID"), "{message}");
        // The next run ends before it sends anything, and so does a plan.
        let (discord, watched) = bench.server.client();
        let again = bench.run_by(&discord, &naib(), Mode::Apply).await.unwrap_err();
        assert!(matches!(again, ApplyError::Unclear { .. }), "{again}");
        assert_eq!(
            (transport.creations.load(Ordering::SeqCst), watched.count("POST")),
            (1, 0)
        );
        let plan = bench.plan(&naib(), Mode::Apply).await;
        let findings = preflight(&plan, &bench.live().await, &bench.state().await);
        assert!(
            findings
                .iter()
                .any(|finding| finding.blocking && finding.rule == "outcome-unknown")
        );
        // Once the other candidate is deleted, the role is created.
        let path = format!("/guilds/{}/roles/{}", bench.guild(), candidates[0]);
        let reason = arrakis_iac_apply::http::Reason::new("manually");
        discord.write(Method::DELETE, &path, None, &reason).await.unwrap();
        let (_, watched) = bench.apply(&naib()).await.unwrap();
        assert_eq!(watched.count("POST"), 1, "{how:?}");
        assert_eq!(
            bench
                .live()
                .await
                .of_kind(Kind::Role)
                .filter(|role| role.attributes.name() == Some("Naib"))
                .count(),
            1
        );
    }
}

/// Looks as many as the usual ones, without their pauses.
fn patient() -> RetryPolicy {
    RetryPolicy {
        attempts: 3,
        pause: Duration::from_millis(1),
        searches: vec![Duration::from_millis(1); RetryPolicy::default().searches.len()],
    }
}

#[tokio::test]
async fn effect_after_failure_is_found_by_every_search() {
    for reads in 1..=patient().searches.len() {
        let bench = bench().await;
        let before = bench.live().await;
        // One read is the plan's own.
        let transport = Meddling::over(&bench, How::Late(reads));
        let (discord, watched) = bench.server.client_over(transport, CancellationToken::new());
        let discord = discord.with_retry_policy(patient());
        bench.run_by(&discord, &everything(), Mode::Apply).await.unwrap();
        assert_eq!(
            watched.count("POST"),
            everything().resources.len(),
            "after {reads} reads"
        );
        bench.assert_applied(&everything(), &before).await;
    }
}

/// The limit of the search: a creation that takes effect after all searches leaves a second resource, which the next plan
/// reports.
#[tokio::test]
async fn effect_after_the_last_search_is_reported() {
    let bench = bench().await;
    let looks = patient().searches.len();
    let transport = Meddling::over(&bench, How::Late(looks + 1));
    let (discord, watched) = bench.server.client_over(transport, CancellationToken::new());
    let discord = discord.with_retry_policy(patient());
    bench.run_by(&discord, &naib(), Mode::Apply).await.unwrap();
    assert_eq!(watched.count("POST"), 2);
    assert_eq!(doubled(&bench, Mode::Apply).await, None, "nothing is created so far");
    // The request takes effect by the time of the next read.
    bench.run_by(&discord, &naib(), Mode::Apply).await.unwrap();
    for mode in [Mode::Apply, Mode::RefreshOnly, Mode::Destroy] {
        let finding = doubled(&bench, mode).await.unwrap();
        let live = bench.live().await;
        let own = bench.state().await.id(&"role.naib".parse().unwrap());
        let mut twin = live
            .of_kind(Kind::Role)
            .filter(|role| role.attributes.name() == Some("Naib") && Some(role.id) != own);
        assert!(finding.contains(&twin.next().unwrap().id.to_string()), "{finding}");
    }
}

/// The finding of a plan about resources that exist twice.
async fn doubled(bench: &Bench, mode: Mode) -> Option<String> {
    let plan = bench.plan(&naib(), mode).await;
    assert!(mode != Mode::Apply || plan.is_empty(), "{:#?}", plan.changes);
    let findings = preflight(&plan, &bench.live().await, &bench.state().await);
    let mut doubled = findings
        .into_iter()
        .filter(|finding| finding.rule == "doubled" && !finding.blocking);
    doubled.next().map(|finding| finding.what)
}

/// Between two requests for the same resource there is a read of the server that does not contain it.
#[tokio::test]
async fn creation_is_not_repeated_before_the_server_is_read() {
    for fault in [
        FaultKind::RestStatus { status: 503 },
        FaultKind::RestStatus { status: 504 },
        FaultKind::RestReset { after_effect: false },
    ] {
        let bench = bench().await;
        let posts = Condition {
            method: Some("POST".to_owned()),
            ..Condition::default()
        };
        bench.server.emulator.app().faults.arm(fault.clone(), posts);
        let (discord, watched) = bench.server.client();
        bench.run_by(&discord, &naib(), Mode::Apply).await.unwrap_err();
        let sent = watched.sent();
        let creations: Vec<usize> = (0..sent.len())
            .filter(|index| sent[*index].starts_with("POST"))
            .collect();
        assert!(creations.len() > 1, "{sent:?}");
        for pair in creations.windows(2) {
            let between = &sent[pair[0]..pair[1]];
            assert!(
                between
                    .iter()
                    .any(|call| call == &format!("GET /guilds/{}", bench.guild())),
                "{between:?}"
            );
        }
        assert_eq!(
            bench.state().await.pending.len(),
            1,
            "{fault:?}: the next run looks again"
        );
    }
}
