//! The global limit: at most 50 calls in any 1.1 s over all replicas, as the upstream counts.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;

use crate::support::{Reply, World, eventually, send};

const WINDOW: Duration = Duration::from_millis(1_100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_send_exactly_fifty_calls_in_a_window_under_a_burst() {
    // No call of a window is answered before fifty have arrived: a limiter that granted fewer at once would block.
    // Response times differ, so that calls complete out of order.
    let world = World::new(|seen| {
        let window = seen.number / 50 + 1;
        Reply::ok()
            .together(window * 50)
            .after(Duration::from_millis((seen.number as u64 * 37) % 90))
    })
    .await;
    let replicas = [world.replica().await, world.replica().await];
    let calls = (0..300).map(|number| {
        let call = replicas[number % 2].call(Method::GET, &format!("/guilds/{}", 1_000 + number));
        // Calls that are not interactive are spaced evenly.
        let call = call.header("x-arrakis-urgency", "interactive");
        send(call.header("x-arrakis-deadline-ms", "30000"))
    });
    let answers = join_all(calls).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(world.upstream.count(), 300);
    assert!(
        world.upstream.most_in(WINDOW) <= 50,
        "{} in a window",
        world.upstream.most_in(WINDOW)
    );
    assert_eq!(
        replicas[0].metric("arrakis_proxy_in_flight") + replicas[1].metric("arrakis_proxy_in_flight"),
        0.0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_responses_keep_their_permits_and_other_calls_continue() {
    // Every tenth response takes 600 ms: its permit must be held until a window after it.
    let world = World::new(|seen| {
        let slow = seen.number % 10 == 0;
        Reply::ok().after(Duration::from_millis(if slow { 600 } else { 5 }))
    })
    .await;
    let replica = world.replica().await;
    join_all((0..160).map(|number| send(replica.call(Method::GET, &format!("/guilds/{}", 1_000 + number))))).await;
    assert_eq!(world.upstream.count(), 160);
    assert!(world.upstream.most_in(WINDOW) <= 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_that_waits_too_long_is_refused_with_retry_after_and_not_sent() {
    let world = World::new(|_| Reply::ok()).await;
    let replica = world.replica().await;
    let calls = (0..120).map(|number| {
        let call = replica.call(Method::GET, &format!("/guilds/{}", 1_000 + number));
        let call = call.header("x-arrakis-urgency", "interactive");
        send(call.header("x-arrakis-deadline-ms", "700"))
    });
    let answers = join_all(calls).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert_eq!((world.upstream.count(), refused.len()), (50, 70));
    for answer in refused {
        assert_eq!(answer.proxy_error(), Some("waited-too-long"));
        assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
        assert!(answer.body["retry_after"].as_f64().unwrap() > 0.0, "{:?}", answer.body);
        assert_eq!(
            (&answer.body["global"], &answer.body["code"]),
            (&false.into(), &0.into())
        );
        assert!(
            answer.message().contains("global limit") || answer.message().contains("permit"),
            "{}",
            answer.message()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn urgent_calls_precede_and_tenants_share_over_replicas() {
    let world = World::new(|_| Reply::ok()).await;
    let replicas = [world.replica().await, world.replica().await];
    let call = |replica: usize, path: String, tenant: &str, urgency: &str| {
        let call = replicas[replica].call(Method::GET, &path);
        send(
            call.header("x-arrakis-tenant", tenant)
                .header("x-arrakis-urgency", urgency),
        )
    };
    // One tenant fills the window and much more with bulk work, on both replicas.
    let flood =
        join_all((0..150).map(|number| call(number % 2, format!("/guilds/{}", 1_000 + number), "loud", "bulk")));
    let meanwhile = async {
        eventually("the window is full", || world.upstream.count() >= 50).await;
        let quiet = join_all((0..3).map(|number| call(0, format!("/guilds/{}", 5_000 + number), "quiet", "bulk")));
        let urgent =
            join_all((0..3).map(|number| call(1, format!("/guilds/{}", 9_000 + number), "other", "interactive")));
        tokio::join!(quiet, urgent)
    };
    tokio::join!(flood, meanwhile);
    let seen = world.upstream.seen();
    let position = |guild: &str| {
        seen.iter()
            .position(|call| call.path == format!("/api/v10/guilds/{guild}"))
            .unwrap()
    };
    for urgent in ["9000", "9001", "9002"] {
        assert!(position(urgent) < 90, "{urgent} arrived as number {}", position(urgent));
    }
    for quiet in ["5000", "5001", "5002"] {
        assert!(
            position(quiet) < 100,
            "{quiet} arrived as number {} of {}",
            position(quiet),
            seen.len()
        );
    }
    assert!(world.upstream.most_in(WINDOW) <= 50);
}
