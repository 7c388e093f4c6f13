//! Two failures in succession: an attempt that took effect without a response, then a refusal of the second attempt. The call is not
//! refused.

use arrakis_discord::{ENDPOINTS, Endpoint};
use arrakis_emulator_client::Fault;
use futures_util::{StreamExt as _, stream};

use super::calls::{self, case};
use super::failures::{CallOutcome, FAILURES, FailureCase};
use super::{AT_ONCE, CallPattern, TRIES, outcome};
use crate::platform::Platform;

/// Status codes of refusals.
const REFUSALS: [u16; 4] = [400, 401, 403, 404];

/// A call of each class. A call of the class "once" has no second attempt.
const CALLS: [&str; 2] = [
    "POST /interactions/{interaction}/{token}/callback",
    "PUT /guilds/{guild}/members/{user}/roles/{role}",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn call_that_took_effect_and_is_then_refused_is_not_refused() {
    let platform = super::platform().await;
    let registered = platform.discord(platform.proxy).bulk(None);
    registered.set_global_commands(&[calls::command()]).await.unwrap();
    // The responses to these calls have no body that could be slow.
    let firsts = FAILURES
        .iter()
        .filter(|failure| failure.has_unknown_effect() && !failure.name.starts_with("response body"));
    let cases: Vec<_> = firsts
        .flat_map(|failure| REFUSALS.map(|refusal| (*failure, refusal)))
        .flat_map(|(failure, refusal)| CALLS.map(|call| (call, failure, refusal)))
        .collect();
    let wrong: Vec<String> = stream::iter(cases)
        .map(|(call, failure, refusal)| test_pair(&platform, call, failure, refusal))
        .buffer_unordered(AT_ONCE)
        .filter_map(|wrong| async move { wrong })
        .collect()
        .await;
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

async fn test_pair(platform: &Platform, call: &str, failure: FailureCase, refusal: u16) -> Option<String> {
    let endpoint = *ENDPOINTS.iter().find(|endpoint| endpoint.route() == call).unwrap();
    let mut wrong = String::new();
    for _ in 0..TRIES {
        match try_pair(platform, endpoint, failure, refusal).await {
            Ok(()) => return None,
            Err(why) => wrong = why,
        }
    }
    Some(format!("{call} | {} | {refusal} | {wrong}", failure.name))
}

async fn try_pair(platform: &Platform, endpoint: Endpoint, failure: FailureCase, refusal: u16) -> Result<(), String> {
    let case = case(platform, endpoint).await;
    let (method, route) = endpoint.route().split_once(' ').unwrap();
    let first = failure.fault(method, route, &case.path).unwrap();
    let second = Fault::rest_status(refusal).method(method).route(route).path(&case.path);
    let mut faults = Vec::new();
    for fault in [first, second] {
        faults.extend(platform.control.fault(&fault).await.unwrap().id);
    }
    let within = std::time::Duration::from_millis(2_500);
    let calls = platform.discord(platform.proxy).interactive(None).within(within);
    let called = (case.make)(calls).await;
    for fault in faults {
        platform.control.remove_fault(fault).await.unwrap();
    }
    let time_bound = endpoint.class() == arrakis_discord_http::CallClass::TimeBound;
    let expected = match refusal {
        _ if time_bound => CallOutcome::Unknown,
        // The object of the call does not exist.
        404 => CallOutcome::Refused,
        _ => CallOutcome::RepeatLater,
    };
    let call = CallPattern {
        method,
        route,
        path: &case.path,
    };
    let (outcome, count) = (outcome(&called), call.effects(platform, 0));
    if outcome != expected || count != 1 {
        return Err(format!(
            "{outcome:?} with {count} effects instead of {expected:?} with one: {called:?}\n{}",
            platform.calls_since(0, &case.path)
        ));
    }
    Ok(())
}
