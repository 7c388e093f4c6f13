//! Lanes: interactions need no token and no global limit; each webhook token has its own bucket.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;

use crate::support::{Replica, Reply, TOKEN, World, eventually, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interactions_are_not_bound_to_the_global_limit() {
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
    // In the window after the first fifty calls, at most fifty bot calls arrived, and all sixty interactions.
    let bot = |call: &&crate::support::Seen| call.path.contains("/guilds/");
    let times: Vec<_> = seen.iter().filter(bot).map(|call| call.at).collect();
    assert!(crate::support::most_in(&times, Duration::from_millis(1_100)) <= 50);
    let last_interaction = seen.iter().rposition(|call| !bot(&call)).unwrap();
    let bots_before = seen[..last_interaction].iter().filter(bot).count();
    assert!(
        bots_before <= 110,
        "{bots_before} bot calls arrived before the last interaction"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_bot_calls_carry_the_token() {
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
async fn bucket_of_a_webhook_token_is_shared_by_replicas() {
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

/// Two replicas that have learned the bucket of an edit and may take reserved grants at once.
async fn replicas_with_reserved_grants(world: &World) -> [Replica; 2] {
    let tune = |tuning: &mut arrakis_discord_proxy::Tuning| tuning.reserved_after = Duration::ZERO;
    let replicas = [world.tuned(TOKEN, tune).await, world.tuned(TOKEN, tune).await];
    for (number, replica) in replicas.iter().enumerate() {
        let first = format!("/webhooks/1/first{number}/messages/@original");
        assert_eq!(send(replica.call(Method::PATCH, &first)).await.status, 200);
    }
    replicas
}

fn scripts_run(world: &World) -> u64 {
    let stats: String = world.redis.command(&["INFO", "commandstats"]);
    let calls = stats.lines().filter_map(|line| {
        line.strip_prefix("cmdstat_zrem:calls=")?
            .split(',')
            .next()?
            .parse::<u64>()
            .ok()
    });
    calls.sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_call_with_a_webhook_token_needs_no_query_to_redis() {
    let world = World::new(|_| Reply::ok().bucket("hook", 5, 4, 1.0)).await;
    let replicas = replicas_with_reserved_grants(&world).await;
    eventually("the first responses are in Redis", || scripts_run(&world) >= 2).await;
    let before = scripts_run(&world);
    for number in 0..20 {
        let path = format!("/webhooks/1/token{number}/messages/@original");
        assert_eq!(send(replicas[number % 2].call(Method::PATCH, &path)).await.status, 200);
    }
    // A second call with the same token needs a query, which shows that the count works.
    let again = send(replicas[0].call(Method::PATCH, "/webhooks/1/token0/messages/@original")).await;
    assert_eq!(again.status, 200);
    eventually("the second call is completed", || scripts_run(&world) > before).await;
    assert_eq!(scripts_run(&world), before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reserved_grants_and_those_of_redis_fit_one_window() {
    let world = World::new(|_| Reply::ok().bucket("hook", 5, 4, 8.0)).await;
    let replicas = replicas_with_reserved_grants(&world).await;
    let before = world.upstream.count();
    let path = "/webhooks/1/one/messages/@original";
    let calls = (0..16).map(|number| {
        let call = replicas[number % 2].call(Method::PATCH, path);
        send(call.header("x-arrakis-deadline-ms", "1500"))
    });
    let sent = join_all(calls)
        .await
        .iter()
        .filter(|answer| answer.status == 200)
        .count();
    // Redis reserves two of the five calls for the two replicas.
    assert!((3..=5).contains(&sent), "{sent} calls in a window of five");
    assert_eq!(world.upstream.count(), before + sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_response_that_met_a_limit_is_retried_after_its_wait() {
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
