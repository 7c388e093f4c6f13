//! The failure matrix: every call with every failure, through the real proxy to the emulated Discord. Which calls took effect is read
//! from the emulator's traffic. `docs/failures.md` is generated from the results.

mod calls;
mod failures;
mod page;
mod pairs;
mod paths;

use std::collections::BTreeMap;
use std::time::Duration;

use arrakis_discord::{ENDPOINTS, Endpoint, Error};
use arrakis_discord_http::CallClass;
use discord_emulator::Options;
use discord_emulator::traffic::Record;
use futures_util::{StreamExt as _, stream};

use self::calls::case;
use self::failures::{CallOutcome, FAILURES, FailureCase, FaultTarget};
use crate::platform::Platform;

/// Time limit of one attempt of the proxy.
const ATTEMPT_LIMIT: Duration = Duration::from_millis(1_000);
/// Attempts at a case if the fault was not injected in time on a slow machine.
const TRIES: u32 = 5;
/// Endpoints that are tested at once.
const AT_ONCE: usize = 12;

/// Outcomes of each failure, by index of the failure and class of the call.
type Measured = BTreeMap<(usize, &'static str), Vec<&'static str>>;

async fn platform() -> Platform {
    let options = Options {
        rate_limits: false,
        traffic_kept: 200_000,
        ..Options::default()
    };
    Platform::start_with(options, |tuning| {
        tuning.attempt_timeout = ATTEMPT_LIMIT;
        tuning.global_limit = 2_000;
        // Injected refusals must not slow later calls.
        (tuning.budget.slow, tuning.budget.stop) = (2_000, 2_000);
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_call_with_every_failure_has_the_expected_outcome() {
    let platform = platform().await;
    let registered = platform.discord(platform.proxy).bulk(None);
    registered.set_global_commands(&[calls::command()]).await.unwrap();
    // The proxy itself makes this call to check the token after a 401, so it is tested last.
    let (made_by_proxy, others): (Vec<&Endpoint>, Vec<&Endpoint>) = ENDPOINTS
        .iter()
        .partition(|endpoint| endpoint.route() == "GET /users/@me");
    let mut results = stream::iter(others)
        .map(|endpoint| test_endpoint(&platform, *endpoint))
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    for endpoint in made_by_proxy {
        results.push(test_endpoint(&platform, *endpoint).await);
    }
    let mut wrong = Vec::new();
    let mut measured = Measured::new();
    for (endpoint, results) in results {
        for (number, result) in results.into_iter().enumerate() {
            match result {
                Ok(outcome) => {
                    let seen = measured.entry((number, endpoint.class().name())).or_default();
                    seen.push(outcome.describe());
                }
                Err(why) => wrong.push(format!("{} | {} | {why}", endpoint.route(), FAILURES[number].name)),
            }
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    page::check(&page::render(&measured));
}

/// Makes one call with each failure, one after the other.
async fn test_endpoint(platform: &Platform, endpoint: Endpoint) -> (Endpoint, Vec<Result<CallOutcome, String>>) {
    let mut results = Vec::new();
    for failure in FAILURES {
        let mut result = None;
        for _ in 0..TRIES {
            result = test_case(platform, endpoint, failure).await;
            if result.is_some() {
                break;
            }
        }
        let not_injected = || Err("the fault was not injected in time: the machine is too slow".to_owned());
        results.push(result.unwrap_or_else(not_injected));
    }
    (endpoint, results)
}

/// `None` if the fault was not injected in time because the machine is slow; the case is then repeated.
async fn test_case(
    platform: &Platform,
    endpoint: Endpoint,
    failure: FailureCase,
) -> Option<Result<CallOutcome, String>> {
    let case = case(platform, endpoint).await;
    let (method, route) = endpoint.route().split_once(' ').unwrap();
    let fault = match failure.fault(method, route, &case.path) {
        Some(fault) => platform.control.fault(&fault).await.unwrap().id,
        None => None,
    };
    let own_proxy = match failure.target {
        FaultTarget::Emulator(_) => None,
        FaultTarget::OwnProxy(_) => Some(platform.other_proxy(&platform.emulator.addresses().rest, |_| {}).await),
        FaultTarget::Unreachable => Some(platform.other_proxy("http://127.0.0.1:1/api/v10", |_| {}).await),
    };
    let proxy = own_proxy.as_ref().map_or(platform.proxy, |proxy| proxy.address);
    let since = platform
        .emulator
        .app()
        .traffic
        .since(0)
        .last()
        .map_or(0, |entry| entry.n);
    let within = match (endpoint.class(), failure.target) {
        (CallClass::TimeBound, _) => Duration::from_millis(2_500),
        (_, FaultTarget::Unreachable) => Duration::from_millis(1_500),
        _ => Duration::from_secs(8),
    };
    let calls = platform.discord(proxy).interactive(None).within(within);
    let called = (case.make)(calls).await;
    if let Some(fault) = fault {
        platform.control.remove_fault(fault).await.unwrap();
    }
    let injected = was_injected(platform, since, &case.path);
    let too_late = matches!(&called, Err(Error::Gone { code: 10_062, .. }));
    if failure.target != FaultTarget::Unreachable && (!injected || too_late) {
        return None;
    }
    let call = CallPattern {
        method,
        route,
        path: &case.path,
    };
    let effects = call.effects(platform, since);
    // A GET has no effect.
    let effects = (method != "GET").then_some(effects);
    let result = check(failure, endpoint.class(), &called, effects);
    Some(result.map_err(|why| format!("{why}\n{}", platform.calls_since(since, &case.path))))
}

/// Whether the emulator injected a fault into a call with this text in its path.
fn was_injected(platform: &Platform, since: u64, path: &str) -> bool {
    let entries = platform.emulator.app().traffic.since(since);
    entries
        .iter()
        .any(|entry| matches!(&entry.record, Record::Rest(call) if call.fault && call.path.contains(path)))
}

fn outcome(called: &Result<(), Error>) -> CallOutcome {
    match called {
        Ok(()) => CallOutcome::Success,
        Err(Error::OutcomeUnknown(_)) => CallOutcome::Unknown,
        Err(error) if error.is_transient() => CallOutcome::RepeatLater,
        Err(_) => CallOutcome::Refused,
    }
}

fn check(
    failure: FailureCase,
    class: CallClass,
    called: &Result<(), Error>,
    effects: Option<usize>,
) -> Result<CallOutcome, String> {
    let outcome = outcome(called);
    let (expected, (min, max)) = (failure.expected(class), failure.effects(class));
    if outcome != expected {
        return Err(format!(
            "outcome {outcome:?} instead of {expected:?}: {called:?}; effects: {effects:?}"
        ));
    }
    if let Some(effects) = effects
        && !(min..=max).contains(&effects)
    {
        return Err(format!("{effects} effects instead of {min} to {max}: {called:?}"));
    }
    Ok(outcome)
}

impl Platform {
    /// The calls that the emulator received with this text in their path.
    fn calls_since(&self, since: u64, path: &str) -> String {
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

/// The calls of one endpoint for one test case.
#[derive(Debug, Clone, Copy)]
struct CallPattern<'a> {
    method: &'a str,
    route: &'a str,
    /// A part of the path.
    path: &'a str,
}

impl CallPattern<'_> {
    /// How often the emulator carried out a matching call since entry `since` of its traffic.
    fn effects(self, platform: &Platform, since: u64) -> usize {
        let entries = platform.emulator.app().traffic.since(since);
        let calls = entries.iter().filter_map(|entry| match &entry.record {
            Record::Rest(call) => Some(call),
            Record::Gateway(_) => None,
        });
        let matching = calls.filter(|call| {
            let route = call.route.as_deref().map(nameless);
            call.method == self.method && call.path.contains(self.path) && route == Some(nameless(self.route))
        });
        matching
            .filter(|call| matches!(call.effect_status, Some(200..=299)))
            .count()
    }
}

/// A route template without the names in its braces.
fn nameless(template: &str) -> String {
    let parts = template
        .split('/')
        .map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}
