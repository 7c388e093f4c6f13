//! Long pauses after one response of Discord or its edge: bounded, reported, checked, and ended by an operator.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrakis_discord_proxy::{PauseTuning, Tuning};
use http::Method;
use serde_json::json;

use crate::support::{Replica, Reply, TOKEN, World, eventually, send};

const DAY: &str = "86400";

fn edge() -> Reply {
    Reply::status(429, "<html>").with("retry-after", DAY)
}

fn global() -> Reply {
    Reply::limited("global", 86_400.0)
}

fn checks_soon(tuning: &mut Tuning) {
    tuning.pauses = PauseTuning {
        first_check: Duration::from_millis(300),
        longest_interval: Duration::from_millis(600),
    };
}

async fn shortly(replica: &Replica, path: &str) -> u16 {
    let call = replica.call(Method::GET, path).header("x-arrakis-deadline-ms", 200);
    send(call).await.status
}

/// The seconds left of a pause in `/health`, by its scope.
fn left(replica: &Replica, of: &str) -> Option<u64> {
    let health = replica.runtime.health.document("test", "test");
    let pauses = health["limits"]["pauses"].as_array().unwrap().clone();
    let pause = pauses.iter().find(|pause| pause["of"] == of)?;
    pause["seconds_left"].as_u64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absurd_pause_is_bounded_and_reported_in_health() {
    for (of, limited, most) in [("edge", edge as fn() -> Reply, 600), ("global", global, 60)] {
        let world = World::new(move |seen| if seen.number == 0 { limited() } else { Reply::ok() }).await;
        let replica = world.replica().await;
        let other = world.replica().await;
        assert_eq!(shortly(&replica, "/guilds/1").await, 429, "{of}");
        for replica in [&replica, &other] {
            eventually("health shows the pause", || replica.trouble("limits").is_some()).await;
            let trouble = replica.trouble("limits").unwrap();
            assert!(
                trouble.contains("until 2") && trouble.contains("limits clear"),
                "{trouble}"
            );
            let left = left(replica, of).unwrap();
            assert!((1..=most).contains(&left), "{of}: {left} s");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn used_up_bucket_with_an_absurd_window_is_bounded() {
    let world = World::new(|_| Reply::ok().bucket("b", 5, 0, 86_400_000.0)).await;
    let replica = world.replica().await;
    assert_eq!(shortly(&replica, "/guilds/1").await, 200);
    let left = left(&replica, "bucket").unwrap();
    assert!(left <= 600, "{left} s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pause_ends_at_every_replica_when_a_check_succeeds() {
    for limited in [edge as fn() -> Reply, global] {
        let lasts = Arc::new(AtomicBool::new(true));
        let discord = Arc::clone(&lasts);
        let world = World::new(move |_| {
            if discord.load(Ordering::SeqCst) {
                limited()
            } else {
                Reply::ok()
            }
        })
        .await;
        let replicas = [
            world.tuned(TOKEN, checks_soon).await,
            world.tuned(TOKEN, checks_soon).await,
        ];
        assert_eq!(shortly(&replicas[0], "/guilds/1").await, 429);
        for replica in &replicas {
            eventually("the pause", || replica.trouble("limits").is_some()).await;
        }
        let before = world.upstream.count();
        eventually("a check", || world.upstream.count() > before).await;
        assert!(replicas[0].trouble("limits").is_some(), "a 429 prolongs it");
        assert!(
            world
                .upstream
                .seen()
                .iter()
                .skip(1)
                .all(|seen| seen.path.ends_with("/users/@me"))
        );
        lasts.store(false, Ordering::SeqCst);
        for replica in &replicas {
            eventually("the end", || replica.trouble("limits").is_none()).await;
            assert_eq!(replica.get("/guilds/1").await.status, 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pause_is_checked_without_redis() {
    let world = World::new(|seen| if seen.number == 0 { edge() } else { Reply::ok() }).await;
    world.redis.hang();
    let replica = world.unready(TOKEN, checks_soon).await;
    let call = replica.call(Method::POST, "/interactions/1/tok/callback");
    let call = call.header("x-arrakis-deadline-ms", 200).json(&json!({"type": 5}));
    assert_eq!(send(call).await.status, 429);
    eventually("the pause", || replica.trouble("limits").is_some()).await;
    eventually("the end", || replica.trouble("limits").is_none()).await;
}
