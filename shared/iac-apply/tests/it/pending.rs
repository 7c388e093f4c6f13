//! Creations whose response was lost stay recorded until they are resolved, at any failure before that, and whenever the lost
//! request takes effect: before the next run, or only after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrakis_iac::model::Configuration;
use arrakis_iac::plan::{Mode, Step};
use arrakis_iac_apply::http::{Https, Request, Response, SendError, Transport};
use arrakis_iac_apply::read;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use parking_lot::Mutex;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, configuration};
use crate::support::empty;

/// A role, two channels and a forum whose last attribute takes a request of its own.
fn wanted(role: &str) -> Configuration {
    configuration(&[
        ("role.naib", json!({"name": role, "permissions": [], "hoist": true})),
        (
            "category.rock",
            json!({"kind": "category", "name": "Rock", "overwrites": {}}),
        ),
        (
            "channel.council",
            json!({"kind": "text", "name": "council", "category": "category.rock", "overwrites": {"role.naib": {"allow": ["VIEW_CHANNEL"]}}}),
        ),
        (
            "channel.tales",
            json!({"kind": "forum", "name": "tales", "require_tag": true, "tags": [{"name": "old"}]}),
        ),
    ])
}

/// Holds the n-th creation back as a network does, and ends the process there.
#[derive(Debug)]
struct HeldBack {
    inner: Https,
    at: usize,
    creations: AtomicUsize,
    held: Mutex<Option<Request>>,
    stop: CancellationToken,
}

impl HeldBack {
    /// The request takes effect now.
    async fn deliver(&self) {
        let request = self.held.lock().take();
        if let Some(request) = request {
            let answer = self.inner.send(&request).await.unwrap();
            assert!(answer.status.is_success(), "{answer:?}");
        }
    }
}

#[async_trait]
impl Transport for HeldBack {
    async fn send(&self, request: &Request) -> Result<Response, SendError> {
        if request.method == Method::POST && self.creations.fetch_add(1, Ordering::SeqCst) == self.at {
            *self.held.lock() = Some(request.clone());
            self.stop.cancel();
            return std::future::pending().await;
        }
        self.inner.send(request).await
    }
}

/// A failure that has nothing to do with the lost creation.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Status(u16, u64),
    NotSent,
    Lost,
}

const FAILURES: [Failure; 8] = [
    Failure::Status(400, 50_035),
    Failure::Status(401, 0),
    Failure::Status(403, 50_013),
    Failure::Status(404, 10_003),
    Failure::Status(500, 0),
    Failure::Status(503, 0),
    Failure::NotSent,
    Failure::Lost,
];

/// Everything from the n-th request on fails, and nothing of it takes effect.
#[derive(Debug)]
struct FailsFrom {
    inner: Https,
    at: usize,
    /// Counts creations alone.
    creations: bool,
    failure: Failure,
    seen: AtomicUsize,
}

#[async_trait]
impl Transport for FailsFrom {
    async fn send(&self, request: &Request) -> Result<Response, SendError> {
        let is_counted = !self.creations || request.method == Method::POST;
        let passes = match is_counted {
            true => self.seen.fetch_add(1, Ordering::SeqCst) < self.at,
            false => self.seen.load(Ordering::SeqCst) <= self.at,
        };
        if passes {
            return self.inner.send(request).await;
        }
        match self.failure {
            Failure::NotSent => Err(SendError::NotSent("connection refused".to_owned())),
            Failure::Lost => Err(SendError::Lost("connection reset".to_owned())),
            Failure::Status(status, code) => Ok(Response {
                status: StatusCode::from_u16(status).unwrap(),
                headers: HeaderMap::new(),
                body: Bytes::from(json!({ "code": code, "message": "injected" }).to_string()),
            }),
        }
    }
}

/// Reads, plans and applies; a failure anywhere ends it.
async fn attempt(bench: &Bench, transport: Arc<dyn Transport>, config: &Configuration) -> Result<(), String> {
    let (discord, _) = bench.server.client_over(transport, CancellationToken::new());
    let live = read(&discord, bench.guild(), &bench.kinds).await;
    let live = live.map_err(|error| error.to_string())?;
    let options = arrakis_iac::plan::Options::default();
    let plan =
        arrakis_iac::plan::plan(config, &bench.state().await, &live, &options).map_err(|error| error.to_string())?;
    let done = bench.carry_out(&discord, &plan, &live).await;
    done.map_err(|error| error.to_string())
}

/// An apply of `config` that ends at the `lost`-th creation, which has not taken effect yet.
async fn lose(bench: &Bench, config: &Configuration, lost: usize) -> Arc<HeldBack> {
    let stop = CancellationToken::new();
    let held = Arc::new(HeldBack {
        inner: bench.server.https(),
        at: lost,
        creations: AtomicUsize::new(0),
        held: Mutex::default(),
        stop: stop.clone(),
    });
    tokio::select! {
        biased;
        ended = bench.apply_over(held.clone(), config) => panic!("creation {lost} was never made: {ended:?}"),
        () = stop.cancelled() => {}
    }
    assert_eq!(bench.state().await.pending.len(), 1);
    held
}

/// One cell: a lost creation, a run that fails from request `at` on, a whole run. Returns whether the failure struck.
async fn cell(lost: usize, at: usize, failure: Failure, late: bool) -> bool {
    let case = format!("creation {lost} lost, {failure:?} from request {at} on, taking effect late: {late}");
    let bench = Bench::start(empty()).await;
    let (before, config) = (bench.live().await, wanted("Naib"));
    let held = lose(&bench, &config, lost).await;
    let address = bench.state().await.pending.keys().next().unwrap().clone();
    if !late {
        held.deliver().await;
    }
    let fails = Arc::new(FailsFrom {
        inner: bench.server.https(),
        at,
        creations: false,
        failure,
        seen: AtomicUsize::new(0),
    });
    let ended = attempt(&bench, fails.clone(), &config).await;
    let struck = fails.seen.load(Ordering::SeqCst) > at;
    assert_eq!(ended.is_err(), struck, "{case}: {ended:?}");
    // A resource that was created again, since none was found, cannot be distinguished from a later effect of the lost request.
    if bench.state().await.id(&address).is_none() {
        assert!(
            bench.state().await.pending.contains_key(&address),
            "{case}: the record was given up"
        );
        held.deliver().await;
    }
    if let Err(error) = bench.apply(&config).await {
        panic!("{case}: the last apply failed: {error}");
    }
    bench.assert_applied(&config, &before).await;
    struck
}

/// One failure at each request by turns; every failure at each with `INTERRUPT_EVERY=1`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_creation_stays_recorded_after_later_failures() {
    let all = std::env::var("INTERRUPT_EVERY").is_ok_and(|every| every == "1");
    let mut cells = 0;
    for lost in 0..4 {
        for late in [false, true] {
            for at in 0.. {
                let turn = [FAILURES[(at + 3 * lost) % FAILURES.len()]];
                let failures = if all { &FAILURES[..] } else { &turn[..] };
                let mut struck = false;
                for failure in failures {
                    struck |= cell(lost, at, *failure, late).await;
                    cells += 1;
                }
                if !struck {
                    break;
                }
            }
        }
    }
    assert!(cells > 40, "{cells}");
}

#[tokio::test]
async fn lost_creation_is_found_under_its_requested_name() {
    let bench = Bench::start(empty()).await;
    let before = bench.live().await;
    let held = lose(&bench, &wanted("Naib"), 0).await;
    // The configuration changes, and the next try is refused.
    let refused = Arc::new(FailsFrom {
        inner: bench.server.https(),
        at: 0,
        creations: true,
        failure: Failure::Status(403, 50_013),
        seen: AtomicUsize::new(0),
    });
    let renamed = wanted("Naib of Tabr");
    assert!(attempt(&bench, refused, &renamed).await.is_err());
    // So is the one after it, with its outcome unknown: now both names may exist.
    let unknown = Arc::new(FailsFrom {
        inner: bench.server.https(),
        at: 0,
        creations: true,
        failure: Failure::Lost,
        seen: AtomicUsize::new(0),
    });
    assert!(attempt(&bench, unknown, &renamed).await.is_err());
    let state = bench.state().await;
    let names: Vec<_> = state
        .pending
        .values()
        .next()
        .unwrap()
        .requested()
        .filter_map(|asked| asked.name())
        .collect();
    assert_eq!(names, ["Naib of Tabr", "Naib"]);
    held.deliver().await;
    bench.apply(&renamed).await.unwrap();
    bench.apply(&renamed).await.unwrap();
    bench.assert_applied(&renamed, &before).await;
}

#[tokio::test]
async fn unwanted_lost_creation_is_searched_before_its_record_is_removed() {
    let bench = Bench::start(empty()).await;
    let before = bench.live().await;
    let held = lose(&bench, &wanted("Naib"), 0).await;
    let nothing = Configuration::default();
    let plan = bench.plan(&nothing, Mode::Apply).await;
    assert!(
        matches!(plan.steps.as_slice(), [Step::Forget { .. }]),
        "{:?}",
        plan.steps
    );
    let (discord, _) = bench.server.client();
    let live = bench.live().await;
    // It takes effect between the plan and its end.
    held.deliver().await;
    bench.carry_out(&discord, &plan, &live).await.unwrap();
    assert_eq!(bench.state().await.resources.len(), 1);
    bench.apply(&nothing).await.unwrap();
    bench.assert_applied(&nothing, &before).await;
}

#[tokio::test]
async fn address_with_pending_creation_is_not_a_rename_target() {
    let bench = Bench::start(empty()).await;
    let held = lose(&bench, &wanted("Naib"), 2).await;
    let mut state = bench.state().await;
    let pending = state.pending.keys().next().unwrap().clone();
    let managed = "channel.other".parse().unwrap();
    let entry = state.resources[&"category.rock".parse().unwrap()].clone();
    state.record(managed, entry);
    let refused = state.rename(&"channel.other".parse().unwrap(), &pending).unwrap_err();
    assert!(refused.to_string().contains("in the state already"), "{refused}");
    held.deliver().await;
}
