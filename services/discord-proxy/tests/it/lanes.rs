//! Interactions go before all else and need no token; webhook tokens have buckets of their own.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;

use crate::support::{Reply, World, eventually, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interactions_pass_a_full_global_limit() {
    let world = World::new(|_| Reply::ok()).await;
    let replica = world.replica().await;
    let flood =
        join_all((0..120).map(|number| send(replica.call(Method::GET, &format!("/guilds/{}", 1_000 + number)))));
    let meanwhile = async {
        eventually("the window is full", || world.upstream.count() >= 50).await;
        join_all((0..60).map(|number| {
            let path = match number % 3 {
                0 => format!("/interactions/{number}/token{number}/callback"),
                1 => format!("/webhooks/1/token{number}"),
                _ => format!("/webhooks/1/token{number}/messages/@original"),
            };
            let method = if number % 3 == 2 { Method::PATCH } else { Method::POST };
            send(replica.call(method, &path))
        }))
        .await
    };
    let (_, answers) = tokio::join!(flood, meanwhile);
    assert!(answers.iter().all(|answer| answer.status == 200));
    let seen = world.upstream.seen();
    // In the window after the first fifty there came fifty bot calls and, unbound by them, all sixty interactions.
    let bot = |call: &&crate::support::Seen| call.path.contains("/guilds/");
    let times: Vec<_> = seen.iter().filter(bot).map(|call| call.at).collect();
    assert!(crate::support::most_in(&times, Duration::from_millis(1_100)) <= 50);
    let last_interaction = seen.iter().rposition(|call| !bot(&call)).unwrap();
    let bots_before = seen[..last_interaction].iter().filter(bot).count();
    assert!(
        bots_before <= 110,
        "{bots_before} bot calls went before the last interaction"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_needs_the_token_gets_it() {
    let world = World::new(|_| Reply::ok()).await;
    let replica = world.replica().await;
    replica.get("/guilds/1").await;
    send(replica.call(Method::POST, "/interactions/1/tok/callback").body("{}")).await;
    send(replica.call(Method::POST, "/webhooks/1/tok").body("{}")).await;
    send(
        replica
            .call(Method::PATCH, "/webhooks/1/tok/messages/@original")
            .body("{}"),
    )
    .await;
    for call in world.upstream.seen() {
        let authorization = call
            .headers
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        let expected = call
            .path
            .contains("/guilds/")
            .then(|| format!("Bot {}", crate::support::TOKEN));
        assert_eq!(authorization, expected, "{}", call.path);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_token_has_a_bucket_that_replicas_share() {
    let world = World::new(|_| Reply::ok().bucket("hook", 5, 0, 60.0)).await;
    let replicas = [world.replica().await, world.replica().await];
    assert_eq!(
        send(replicas[0].call(Method::POST, "/webhooks/1/aaa")).await.status,
        200
    );
    let same = send(
        replicas[1]
            .call(Method::POST, "/webhooks/1/aaa")
            .header("x-arrakis-deadline-ms", "2000"),
    )
    .await;
    assert_eq!(same.proxy_error(), Some("waited-too-long"));
    assert_eq!(
        send(replicas[1].call(Method::POST, "/webhooks/1/bbb")).await.status,
        200
    );
    assert_eq!(world.upstream.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_that_met_a_limit_waits_and_goes_again() {
    let world = World::new(|seen| {
        if seen.number == 0 {
            Reply::limited("user", 0.3)
        } else {
            Reply::status(204, "")
        }
    })
    .await;
    let replica = world.replica().await;
    let answer = send(replica.call(Method::POST, "/interactions/1/tok/callback")).await;
    assert_eq!((answer.status, answer.header("x-arrakis-attempts")), (204, Some("2")));
    let seen = world.upstream.seen();
    assert!(seen[1].at >= seen[0].at + Duration::from_millis(300));
}
