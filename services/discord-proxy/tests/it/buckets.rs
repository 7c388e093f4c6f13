//! Buckets: learned from headers and shared by replicas.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Method;
use parking_lot::Mutex;

use crate::support::{Reply, Seen, World, send};

/// A bucket of `limit` calls in a fixed window for each guild, as Discord keeps it.
struct Bucket {
    limit: u32,
    window: Duration,
    state: Mutex<std::collections::HashMap<String, (Instant, u32)>>,
}

impl Bucket {
    fn new(limit: u32, window: Duration) -> Self {
        Self {
            limit,
            window,
            state: Mutex::default(),
        }
    }

    fn answer(&self, seen: &Seen) -> Reply {
        let major = seen.path.split('/').nth(4).unwrap_or_default().to_owned();
        let mut state = self.state.lock();
        let (start, used) = state.entry(major).or_insert((seen.at, 0));
        if seen.at >= *start + self.window {
            (*start, *used) = (seen.at, 0);
        }
        let left = (*start + self.window - seen.at).as_secs_f64();
        if *used >= self.limit {
            return Reply::limited("user", left).bucket("roles", self.limit, 0, left);
        }
        *used += 1;
        Reply::status(204, "").bucket("roles", self.limit, self.limit - *used, left)
    }
}

fn refused(seen: &[Seen], limit: usize, window: Duration) -> usize {
    crate::support::most_in(&seen.iter().map(|call| call.at).collect::<Vec<_>>(), window).saturating_sub(limit)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bucket_is_learned_from_one_call_and_kept_by_both_replicas() {
    let window = Duration::from_millis(900);
    let bucket = Bucket::new(5, window);
    let world = World::new(move |seen| bucket.answer(seen)).await;
    let replicas = [world.replica().await, world.replica().await];
    let calls = (0..20)
        .map(|user| send(replicas[user % 2].call(Method::PUT, &format!("/guilds/7/members/{}/roles/9", 100 + user))));
    let answers = join_all(calls).await;
    assert!(answers.iter().all(|answer| answer.status == 204), "{answers:?}");
    let seen = world.upstream.seen();
    assert_eq!(seen.len(), 20, "no call met a 429");
    assert_eq!(refused(&seen, 5, window - Duration::from_millis(20)), 0);
    for replica in &replicas {
        assert_eq!(replica.metric(r#"arrakis_proxy_discord_429_total{scope="user"}"#), 0.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bucket_learned_by_one_replica_limits_another_and_not_other_guilds() {
    let window = Duration::from_secs(60);
    let bucket = Bucket::new(3, window);
    let world = World::new(move |seen| bucket.answer(seen)).await;
    let first = world.replica().await;
    for user in 0..3 {
        assert_eq!(
            send(first.call(Method::PUT, &format!("/guilds/7/members/{user}/roles/9")))
                .await
                .status,
            204
        );
    }
    let second = world.replica().await;
    let used_up = send(
        second
            .call(Method::PUT, "/guilds/7/members/50/roles/9")
            .header("x-arrakis-deadline-ms", "5000"),
    );
    let (used_up, others) = tokio::join!(
        used_up,
        join_all((0..3).map(|user| send(second.call(Method::PUT, &format!("/guilds/8/members/{user}/roles/9")))))
    );
    assert_eq!(used_up.proxy_error(), Some("waited-too-long"));
    // The window lasts a minute: the call is refused at once.
    let retry_after: u64 = used_up.header("retry-after").unwrap().parse().unwrap();
    assert!((50..=61).contains(&retry_after), "{retry_after}");
    assert!(others.iter().all(|answer| answer.status == 204));
    assert_eq!(world.upstream.count(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_that_met_a_429_is_retried_after_the_pause_of_its_route() {
    let world = World::new(|seen| {
        let first = seen.number == 0;
        if first {
            Reply::limited("user", 1.0).bucket("b", 5, 0, 1.0)
        } else {
            Reply::ok().bucket("b", 5, 4, 1.0)
        }
    })
    .await;
    let replicas = [world.replica().await, world.replica().await];
    let post = |replica: usize| {
        let call = replicas[replica].call(Method::POST, "/channels/5/messages");
        send(call.json(&serde_json::json!({"content": "a"})))
    };
    let limited = post(0);
    let other = async {
        crate::support::eventually("the 429 was returned", || world.upstream.count() == 1).await;
        post(1).await
    };
    let (limited, other) = tokio::join!(limited, other);
    assert_eq!((limited.status, limited.header("x-arrakis-attempts")), (200, Some("2")));
    assert_eq!(other.status, 200);
    let seen = world.upstream.seen();
    assert_eq!(seen.len(), 3);
    for again in &seen[1..] {
        assert!(
            again.at >= seen[0].at + Duration::from_secs(1),
            "each retry waits for Retry-After"
        );
    }
    assert_eq!(
        replicas[0].metric(r#"arrakis_proxy_discord_429_total{scope="user"}"#),
        1.0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn global_429_pauses_bot_calls_of_every_replica_and_no_interaction() {
    let world = World::new(|seen| {
        if seen.number == 0 {
            Reply::limited("global", 1.5)
        } else {
            Reply::ok()
        }
    })
    .await;
    let replicas = [world.replica().await, world.replica().await];
    let first = replicas[0].get("/guilds/1");
    let meanwhile = async {
        crate::support::eventually("the 429 was returned", || world.upstream.count() == 1).await;
        crate::support::eventually("the pause is in Redis", || {
            world
                .redis
                .command::<Vec<String>>(&["KEYS", "*state"])
                .iter()
                .any(|key| world.redis.command::<Option<String>>(&["HGET", key, "pause"]).is_some())
        })
        .await;
        tokio::join!(
            replicas[1].get("/guilds/2"),
            send(replicas[1].call(Method::POST, "/interactions/1/tok/callback")),
            send(replicas[1].call(Method::PATCH, "/webhooks/1/tok/messages/@original")),
        )
    };
    let (first, (second, callback, edit)) = tokio::join!(first, meanwhile);
    assert_eq!([first.status, second.status, callback.status, edit.status], [200; 4]);
    let seen = world.upstream.seen();
    for call in &seen[1..] {
        let bot = call.path.contains("/guilds/");
        assert_eq!(
            call.at >= seen[0].at + Duration::from_millis(1_500),
            bot,
            "{}",
            call.path
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_429_is_waited_for_and_not_counted_as_invalid() {
    let world = World::new(|seen| {
        if seen.number == 0 {
            Reply::limited("shared", 0.5)
        } else {
            Reply::ok()
        }
    })
    .await;
    let replica = world.replica().await;
    assert_eq!(replica.get("/channels/5").await.status, 200);
    assert_eq!(
        replica.metric(r#"arrakis_proxy_discord_429_total{scope="shared"}"#),
        1.0
    );
    assert_eq!(replica.metric("arrakis_proxy_invalid_requests"), 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rename_limit_does_not_delay_other_changes() {
    let world = World::new(|seen| {
        if seen.body.windows(6).any(|part| part == b"\"name\"") {
            Reply::limited("user", 400.0).bucket("b", 5, 4, 5.0)
        } else {
            Reply::ok().bucket("b", 5, 3, 5.0)
        }
    })
    .await;
    let replica = world.replica().await;
    let patch = |body: serde_json::Value| send(replica.call(Method::PATCH, "/channels/5").json(&body));
    let renamed = patch(serde_json::json!({"name": "new"})).await;
    assert_eq!(
        (renamed.status, renamed.proxy_error()),
        (429, None),
        "Discord's own response is returned"
    );
    assert_eq!(renamed.body["retry_after"], 400.0);
    assert_eq!(patch(serde_json::json!({"nsfw": true})).await.status, 200);
    let again = patch(serde_json::json!({"name": "newer"})).await;
    assert_eq!(again.proxy_error(), Some("waited-too-long"));
    assert_eq!(world.upstream.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pause_of_the_edge_stops_all_calls() {
    let world = World::new(|_| Reply::status(429, "<html>banned</html>").with("retry-after", 600)).await;
    let replicas = [world.replica().await, world.replica().await];
    assert_eq!(replicas[0].get("/guilds/1").await.status, 429);
    assert_eq!(
        replicas[0].get("/guilds/2").await.proxy_error(),
        Some("waited-too-long")
    );
    let callback = send(replicas[0].call(Method::POST, "/interactions/1/tok/callback")).await;
    assert_eq!(callback.proxy_error(), Some("waited-too-long"));
    // The other replica reads the pause with its next query to Redis.
    let other = replicas[1]
        .call(Method::GET, "/guilds/3")
        .header("x-arrakis-deadline-ms", "3000");
    assert_eq!(send(other).await.proxy_error(), Some("waited-too-long"));
    assert_eq!(world.upstream.count(), 1);
}
