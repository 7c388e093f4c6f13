//! The failure matrix: every call against every failure, on the real proxy and the emulated Discord. What took effect is read from
//! the emulator's record, not from what the caller was told. `docs/failures.md` is written from what was measured.

mod calls;
mod page;
mod pairs;
mod paths;
mod rows;

use std::collections::BTreeMap;
use std::time::Duration;

use arrakis_discord::{ENDPOINTS, Endpoint, Error};
use arrakis_discord_http::CallClass;
use discord_emulator::Options;
use discord_emulator::traffic::Record;
use futures_util::{StreamExt as _, stream};

use self::calls::case;
use self::rows::{Ends, Place, ROWS, Row};
use crate::platform::Platform;

/// Bound of one attempt of the proxy: what hangs is given up after it.
const ATTEMPT: Duration = Duration::from_millis(1_000);
/// Tries of a case on a machine so busy that the failure does not strike in time.
const TRIES: u32 = 5;
/// Endpoints under test at once.
const AT_ONCE: usize = 12;

/// What each failure came to, by class.
type Measured = BTreeMap<(usize, &'static str), Vec<&'static str>>;

async fn platform() -> Platform {
    let options = Options {
        rate_limits: false,
        traffic_kept: 200_000,
        ..Options::default()
    };
    Platform::tuned(options, |tuning| {
        tuning.attempt_timeout = ATTEMPT;
        tuning.global_limit = 2_000;
        // Refusals are what is injected here: none of them is to slow a later case.
        (tuning.budget.slow, tuning.budget.stop) = (2_000, 2_000);
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_call_against_every_failure() {
    let platform = platform().await;
    let registered = platform.discord(platform.proxy).bulk(None);
    registered.set_global_commands(&[calls::command()]).await.unwrap();
    // By this one the proxy asks about the token itself, while others are answered 401: it comes last.
    let (asked_by_proxy, others): (Vec<&Endpoint>, Vec<&Endpoint>) = ENDPOINTS
        .iter()
        .partition(|endpoint| endpoint.route() == "GET /users/@me");
    let mut of_endpoints = stream::iter(others)
        .map(|endpoint| of_endpoint(&platform, *endpoint))
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    for endpoint in asked_by_proxy {
        of_endpoints.push(of_endpoint(&platform, *endpoint).await);
    }
    let mut wrong = Vec::new();
    let mut measured = Measured::new();
    for (endpoint, results) in of_endpoints {
        for (number, result) in results.into_iter().enumerate() {
            match result {
                Ok(ends) => {
                    let seen = measured.entry((number, endpoint.class().name())).or_default();
                    seen.push(ends.describe());
                }
                Err(why) => wrong.push(format!("{} | {} | {why}", endpoint.route(), ROWS[number].name)),
            }
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    page::check(&page::render(&measured));
}

/// One call against each failure, one after the other.
async fn of_endpoint(platform: &Platform, endpoint: Endpoint) -> (Endpoint, Vec<Result<Ends, String>>) {
    let mut results = Vec::new();
    for row in ROWS {
        let mut result = None;
        for _ in 0..TRIES {
            result = of_case(platform, endpoint, row).await;
            if result.is_some() {
                break;
            }
        }
        let never = || Err("the failure never struck: the machine is too busy".to_owned());
        results.push(result.unwrap_or_else(never));
    }
    (endpoint, results)
}

/// `None` when the machine was too busy for the failure to strike in time, which says nothing about the failure.
async fn of_case(platform: &Platform, endpoint: Endpoint, row: Row) -> Option<Result<Ends, String>> {
    let case = case(platform, endpoint).await;
    let (method, route) = endpoint.route().split_once(' ').unwrap();
    let fault = match row.fault(method, route, &case.path) {
        Some(fault) => platform.control.fault(&fault).await.unwrap().id,
        None => None,
    };
    let own = match row.place {
        Place::Emulator(_) => None,
        Place::OwnProxy(_) => Some(platform.other_proxy(&platform.emulator.addresses().rest, |_| {}).await),
        Place::Nowhere => Some(platform.other_proxy("http://127.0.0.1:1/api/v10", |_| {}).await),
    };
    let proxy = own.as_ref().map_or(platform.proxy, |own| own.address);
    let since = platform
        .emulator
        .app()
        .traffic
        .since(0)
        .last()
        .map_or(0, |entry| entry.n);
    let within = match (endpoint.class(), row.place) {
        (CallClass::TimeBound, _) => Duration::from_millis(2_500),
        (_, Place::Nowhere) => Duration::from_millis(1_500),
        _ => Duration::from_secs(8),
    };
    let calls = platform.discord(proxy).interactive(None).within(within);
    let called = (case.make)(calls).await;
    if let Some(fault) = fault {
        platform.control.remove_fault(fault).await.unwrap();
    }
    let struck = struck(platform, since, &case.path);
    let too_late = matches!(&called, Err(Error::Gone { code: 10_062, .. }));
    if row.place != Place::Nowhere && (!struck || too_late) {
        return None;
    }
    let effects = effects(platform, since, (method, route, &case.path));
    // What is read has no effect that could be there twice.
    let effects = (method != "GET").then_some(effects);
    let judged = judge(row, endpoint.class(), &called, effects);
    Some(judged.map_err(|why| format!("{why}\n{}", platform.seen_since(since, &case.path))))
}

/// Whether the emulator struck a call with this in its path.
fn struck(platform: &Platform, since: u64, path: &str) -> bool {
    let entries = platform.emulator.app().traffic.since(since);
    entries
        .iter()
        .any(|entry| matches!(&entry.record, Record::Rest(call) if call.fault && call.path.contains(path)))
}

fn outcome(called: &Result<(), Error>) -> Ends {
    match called {
        Ok(()) => Ends::Success,
        Err(Error::OutcomeUnknown(_)) => Ends::Unknown,
        Err(error) if error.is_passing() => Ends::RepeatLater,
        Err(_) => Ends::Refused,
    }
}

fn judge(row: Row, class: CallClass, called: &Result<(), Error>, effects: Option<usize>) -> Result<Ends, String> {
    let ends = outcome(called);
    let (expected, (least, most)) = (row.expected(class), row.effects(class));
    if ends != expected {
        return Err(format!(
            "ended as {ends:?} instead of {expected:?}: {called:?}; effects: {effects:?}"
        ));
    }
    if let Some(effects) = effects
        && !(least..=most).contains(&effects)
    {
        return Err(format!(
            "had its effect {effects} times, not {least} to {most}: {called:?}"
        ));
    }
    Ok(ends)
}

impl Platform {
    /// The calls with this in their path, as the emulator saw them.
    fn seen_since(&self, since: u64, path: &str) -> String {
        let entries = self.emulator.app().traffic.since(since);
        let calls = entries.iter().filter_map(|entry| match &entry.record {
            Record::Rest(call) if call.path.contains(path) => Some(format!(
                "    {} {} {} -> {} (effect {:?}, fault {})",
                call.at_ms, call.method, call.path, call.status, call.effect_status, call.fault
            )),
            _ => None,
        });
        calls.collect::<Vec<_>>().join("\n")
    }
}

/// How often the emulator carried out this call since.
fn effects(platform: &Platform, since: u64, (method, route, path): (&str, &str, &str)) -> usize {
    let entries = platform.emulator.app().traffic.since(since);
    let calls = entries.iter().filter_map(|entry| match &entry.record {
        Record::Rest(call) => Some(call),
        Record::Gateway(_) => None,
    });
    let meant = calls.filter(|call| {
        call.method == method
            && call.path.contains(path)
            && call
                .route
                .as_deref()
                .is_some_and(|other| nameless(other) == nameless(route))
    });
    meant
        .filter(|call| matches!(call.effect_status, Some(200..=299)))
        .count()
}

/// A template without the names in its braces.
fn nameless(template: &str) -> String {
    let parts = template
        .split('/')
        .map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}
