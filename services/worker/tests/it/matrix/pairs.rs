//! Two failures in a row: an attempt that took effect without an answer, then a refusal. The refusal is about the second attempt
//! alone.

use arrakis_discord::{ENDPOINTS, Endpoint};
use arrakis_emulator_client::Fault;
use futures_util::{StreamExt as _, stream};

use super::calls::{self, case};
use super::rows::{Ends, ROWS, Row};
use super::{AT_ONCE, TRIES, effects, outcome};
use crate::platform::Platform;

/// Discord's refusals.
const REFUSALS: [u16; 4] = [400, 401, 403, 404];

/// Calls that stand for their class. A call of the class "once" has no second attempt.
const CALLS: [&str; 2] = [
    "POST /interactions/{interaction}/{token}/callback",
    "PUT /guilds/{guild}/members/{user}/roles/{role}",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn refusal_after_an_effect_without_an_answer_is_no_refusal() {
    let platform = super::platform().await;
    let registered = platform.discord(platform.proxy).bulk(None);
    registered.set_global_commands(&[calls::command()]).await.unwrap();
    // These calls are answered without a body, so none can be slow.
    let firsts = ROWS
        .iter()
        .filter(|row| row.may_have_landed() && !row.name.starts_with("body"));
    let cases: Vec<_> = firsts
        .flat_map(|row| REFUSALS.map(|refusal| (*row, refusal)))
        .flat_map(|(row, refusal)| CALLS.map(|call| (call, row, refusal)))
        .collect();
    let wrong: Vec<String> = stream::iter(cases)
        .map(|(call, row, refusal)| of_pair(&platform, call, row, refusal))
        .buffer_unordered(AT_ONCE)
        .filter_map(|wrong| async move { wrong })
        .collect()
        .await;
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

async fn of_pair(platform: &Platform, call: &str, row: Row, refusal: u16) -> Option<String> {
    let endpoint = *ENDPOINTS.iter().find(|endpoint| endpoint.route() == call).unwrap();
    let mut wrong = String::new();
    for _ in 0..TRIES {
        match try_pair(platform, endpoint, row, refusal).await {
            Ok(()) => return None,
            Err(why) => wrong = why,
        }
    }
    Some(format!("{call} | {} | {refusal} | {wrong}", row.name))
}

async fn try_pair(platform: &Platform, endpoint: Endpoint, row: Row, refusal: u16) -> Result<(), String> {
    let case = case(platform, endpoint).await;
    let (method, route) = endpoint.route().split_once(' ').unwrap();
    let first = row.fault(method, route, &case.path).unwrap();
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
        _ if time_bound => Ends::Unknown,
        // What the role was given for is gone.
        404 => Ends::Refused,
        _ => Ends::RepeatLater,
    };
    let (ends, count) = (outcome(&called), effects(platform, 0, (method, route, &case.path)));
    if ends != expected || count != 1 {
        return Err(format!(
            "{ends:?} with {count} effects instead of {expected:?} with one: {called:?}\n{}",
            platform.seen_since(0, &case.path)
        ));
    }
    Ok(())
}
