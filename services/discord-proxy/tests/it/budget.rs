//! The invalid-request budget: causes are slowed and then stopped at every replica, and other causes are not.

use http::Method;

use crate::support::{Reply, World, eventually, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cause_is_stopped_at_every_replica_and_others_are_not() {
    let world = World::new(|seen| {
        let refused = seen.path.contains("/guilds/13/");
        if refused {
            Reply::status(403, r#"{"message":"Missing Permissions","code":50013}"#)
        } else {
            Reply::ok()
        }
    })
    .await;
    let tune = |tuning: &mut arrakis_discord_proxy::Tuning| {
        tuning.budget.slow = 100;
        tuning.budget.stop = 10;
    };
    let first = world.tuned(crate::support::TOKEN, tune).await;
    let second = world.tuned(crate::support::TOKEN, tune).await;
    let assign = |replica: &crate::support::Replica, user: usize| {
        send(replica.call(Method::PUT, &format!("/guilds/13/members/{user}/roles/9")))
    };
    let mut stopped = None;
    for user in 0..30 {
        let answer = assign(&first, user).await;
        if answer.status != 403 {
            stopped = Some(answer);
            break;
        }
    }
    let stopped = stopped.expect("the cause was never stopped");
    assert_eq!(
        (stopped.status, stopped.proxy_error()),
        (503, Some("invalid-request-budget"))
    );
    assert!(stopped.header("retry-after").is_some());
    assert!(stopped.message().contains("10 calls"), "{}", stopped.message());
    assert_eq!(world.upstream.count(), 10);
    eventually("the other replica has the counts", || {
        second.metric("arrakis_proxy_invalid_requests") >= 10.0
    })
    .await;
    assert_eq!(assign(&second, 99).await.proxy_error(), Some("invalid-request-budget"));
    assert_eq!(world.upstream.count(), 10);
    // Another tenant on the same route, and the same tenant on another route, are not the cause.
    assert_eq!(
        send(first.call(Method::PUT, "/guilds/14/members/1/roles/9"))
            .await
            .status,
        200
    );
    assert_eq!(first.get("/guilds/13").await.status, 200);
    eventually("the metric counts the stopped cause", || {
        first.metric("arrakis_proxy_stopped_causes") >= 1.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slowed_cause_sends_one_call_a_second() {
    let world = World::new(|_| Reply::status(403, r#"{"message":"Missing Access","code":50001}"#)).await;
    let replica = world
        .tuned(crate::support::TOKEN, |tuning| tuning.budget.slow = 3)
        .await;
    for _ in 0..6 {
        assert_eq!(replica.get("/channels/5").await.status, 403);
    }
    let seen = world.upstream.seen();
    let slowed: Vec<_> = seen[3..].windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    // By the upstream's clock, slowed calls are about a second apart.
    assert!(slowed.iter().all(|gap| gap.as_millis() >= 900), "{slowed:?}");
    let hurried = replica
        .call(Method::GET, "/channels/5")
        .header("x-arrakis-deadline-ms", "100");
    assert_eq!(send(hurried).await.proxy_error(), Some("waited-too-long"));
    assert_eq!(world.upstream.count(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn response_404_is_not_an_invalid_request() {
    let world = World::new(|_| Reply::status(404, r#"{"message":"Unknown Channel","code":10003}"#)).await;
    let replica = world.replica().await;
    for _ in 0..5 {
        replica.get("/channels/5").await;
    }
    assert_eq!(replica.metric("arrakis_proxy_invalid_requests"), 0.0);
}
