//! A refused bot token: a 401 counts after a check, the token is checked again at intervals, and an operator may clear it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;

use crate::support::{Replica, Reply, Seen, World, eventually, send};

const UNAUTHORIZED: &str = r#"{"message":"401: Unauthorized","code":0}"#;
const CHECK: &str = "/api/v10/users/@me";

/// A Discord with a mode for calls with the bot token.
#[derive(Clone, Default)]
struct Discord(Arc<AtomicUsize>);

/// It accepts the token.
const ACCEPTS: usize = 0;
/// It refuses the token on every route.
const REFUSES: usize = 1;
/// It refuses the token on every route but the check's.
const REFUSES_ROUTES: usize = 2;
/// An intermediary answers 401.
const INTERMEDIARY: usize = 3;
/// It refuses routes, and answers the check 503.
const FAILS: usize = 4;
/// It refuses routes, and answers the check 403.
const FORBIDS: usize = 5;
/// It refuses routes, and closes the connection of the check.
const CUTS: usize = 6;
/// It refuses routes, and answers the check 429.
const LIMITS: usize = 7;
/// An intermediary answers 401 in JSON.
const JSON_INTERMEDIARY: usize = 8;

impl Discord {
    fn set(&self, mode: usize) {
        self.0.store(mode, Ordering::SeqCst);
    }

    fn reply(&self, seen: &Seen) -> Reply {
        if !seen.headers.contains_key("authorization") {
            return Reply::ok();
        }
        let check = seen.path == CHECK;
        let unauthorized = Reply::status(401, UNAUTHORIZED);
        match self.0.load(Ordering::SeqCst) {
            ACCEPTS => Reply::ok(),
            REFUSES_ROUTES if check => Reply::ok(),
            INTERMEDIARY => Reply::status(401, "<html>authenticate</html>").with("www-authenticate", "Basic realm=net"),
            JSON_INTERMEDIARY => Reply::status(401, r#"{"error":"unauthorized"}"#),
            FAILS if check => Reply::status(503, "upstream connect error"),
            FORBIDS if check => Reply::status(403, r#"{"message":"Forbidden","code":50001}"#),
            CUTS if check => Reply::Cut,
            LIMITS if check => Reply::limited("user", 0.2),
            _ => unauthorized,
        }
    }

    async fn world(&self, mode: usize) -> World {
        self.set(mode);
        let discord = self.clone();
        World::new(move |seen| discord.reply(seen)).await
    }
}

/// A replica that checks a refused token every few hundred milliseconds.
async fn quick(world: &World) -> Replica {
    let tuned = world.tuned(crate::support::TOKEN, |tuning| {
        tuning.token.first_check = Duration::from_millis(300);
        tuning.token.longest_interval = Duration::from_millis(600);
    });
    tuned.await
}

fn checks(world: &World) -> usize {
    world.upstream.seen().iter().filter(|seen| seen.path == CHECK).count()
}

async fn until_refused(replica: &Replica) {
    eventually("the token is refused", || {
        replica.metric("arrakis_proxy_token_dead") > 0.0
    })
    .await;
}

async fn until_accepted(replica: &Replica) {
    eventually("the token is used again", || {
        replica.metric("arrakis_proxy_token_dead") < 1.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn confirmed_401_stops_bot_calls_at_every_replica() {
    let discord = Discord::default();
    let world = discord.world(REFUSES).await;
    let replicas = [world.replica().await, world.replica().await];
    assert_eq!(
        replicas[0].get("/guilds/1").await.status,
        401,
        "Discord's own response is returned"
    );
    for replica in &replicas {
        until_refused(replica).await;
    }
    let asked = world.upstream.count();
    assert_eq!((asked, checks(&world)), (2, 1), "the call and the check");
    let answers = join_all((0..20).map(|number| send(replicas[number % 2].call(Method::GET, "/guilds/2")))).await;
    for answer in &answers {
        assert_eq!((answer.status, answer.proxy_error()), (503, Some("token-dead")));
    }
    assert_eq!(world.upstream.count(), asked, "nothing more was sent");
    for replica in &replicas {
        eventually("health has the advice", || {
            let words = replica.trouble("token").unwrap_or_default();
            [
                "since 2",
                "found by replica",
                "next check at 2",
                "DISCORD_TOKEN",
                "token clear",
            ]
            .iter()
            .all(|word| words.contains(word))
        })
        .await;
        // Interactions are still answered.
        let callback = send(replica.call(Method::POST, "/interactions/1/tok/callback")).await;
        assert_eq!(callback.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unconfirmed_401_is_returned_and_the_token_stays_in_use() {
    for mode in [
        REFUSES_ROUTES,
        INTERMEDIARY,
        JSON_INTERMEDIARY,
        FAILS,
        FORBIDS,
        CUTS,
        LIMITS,
    ] {
        let discord = Discord::default();
        let world = discord.world(mode).await;
        let replica = world.replica().await;
        for _ in 0..3 {
            assert_eq!(replica.get("/guilds/1").await.status, 401, "mode {mode}");
        }
        if ![INTERMEDIARY, JSON_INTERMEDIARY].contains(&mode) {
            let asked = || {
                let counted = |outcome: &str| {
                    replica.metric(&format!("arrakis_proxy_token_checks_total{{outcome=\"{outcome}\"}}"))
                };
                counted("accepted") + counted("unknown") >= 1.0
            };
            eventually("a check was made", asked).await;
        }
        discord.set(ACCEPTS);
        assert_eq!(replica.get("/guilds/1").await.status, 200, "mode {mode}");
        assert_eq!(replica.metric("arrakis_proxy_token_dead"), 0.0, "mode {mode}");
        assert_eq!(replica.trouble("token"), None, "mode {mode}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_accepted_again_is_used_again_at_every_replica() {
    let discord = Discord::default();
    let world = discord.world(REFUSES).await;
    let replicas = [quick(&world).await, quick(&world).await];
    replicas[0].get("/guilds/1").await;
    for replica in &replicas {
        until_refused(replica).await;
    }
    discord.set(ACCEPTS);
    for replica in &replicas {
        until_accepted(replica).await;
        assert_eq!(replica.get("/guilds/1").await.status, 200);
        assert_eq!(replica.trouble("token"), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_token_is_checked_by_one_replica_with_growing_intervals() {
    let discord = Discord::default();
    let world = discord.world(REFUSES).await;
    let replicas = [quick(&world).await, quick(&world).await, quick(&world).await];
    replicas[0].get("/guilds/1").await;
    let began = std::time::Instant::now();
    eventually("four checks", || checks(&world) >= 5).await;
    // 300, 600, 600, … ms, less a fifth of jitter and what the claim in Redis leaves: three replicas are no faster than one.
    assert!(began.elapsed() > Duration::from_millis(700), "{:?}", began.elapsed());
    for replica in &replicas {
        assert_eq!(replica.get("/guilds/2").await.proxy_error(), Some("token-dead"));
    }
    assert!(world.upstream.seen().iter().filter(|seen| seen.path != CHECK).count() == 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_without_a_result_leaves_the_token_refused() {
    for mode in [FAILS, FORBIDS, CUTS, LIMITS, INTERMEDIARY] {
        let discord = Discord::default();
        let world = discord.world(REFUSES).await;
        let replica = quick(&world).await;
        replica.get("/guilds/1").await;
        until_refused(&replica).await;
        discord.set(mode);
        let before = checks(&world);
        eventually("two more checks", || checks(&world) >= before + 2).await;
        assert_eq!(
            replica.get("/guilds/2").await.proxy_error(),
            Some("token-dead"),
            "mode {mode}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_checks_a_refused_token_once_before_it_serves() {
    let discord = Discord::default();
    let world = discord.world(REFUSES).await;
    let first = world.replica().await;
    first.get("/guilds/1").await;
    until_refused(&first).await;
    drop(first);
    // Still refused: the start costs one call.
    let before = world.upstream.count();
    let second = world.replica().await;
    assert_eq!(second.get("/guilds/1").await.proxy_error(), Some("token-dead"));
    assert_eq!(world.upstream.count(), before + 1);
    drop(second);
    // A crash loop costs no more: replicas that start share one check in 30 s.
    let third = world.replica().await;
    assert_eq!(third.get("/guilds/1").await.proxy_error(), Some("token-dead"));
    assert_eq!(world.upstream.count(), before + 1);
    drop(third);
    discord.set(ACCEPTS);
    assert_eq!(world.redis.command::<i64>(&["EVAL", FORGET_STARTS, "0"]), 1);
    let fourth = world.replica().await;
    assert_eq!(
        fourth.get("/guilds/1").await.status,
        200,
        "the token is valid again and used from the start"
    );
}

/// Removes the claim of the check at start, as its time to live does after 30 s.
const FORGET_STARTS: &str =
    "for _, key in ipairs(redis.call('KEYS', '*check:start')) do redis.call('DEL', key) end return 1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_token_starts_without_the_old_refusal() {
    let world = World::new(|seen| {
        let old = seen
            .headers
            .get("authorization")
            .is_some_and(|value| value == "Bot old.token");
        if old {
            Reply::status(401, UNAUTHORIZED)
        } else {
            Reply::ok()
        }
    })
    .await;
    let first = world.tuned("old.token", |_| {}).await;
    assert_eq!(first.get("/guilds/1").await.status, 401);
    until_refused(&first).await;
    let renewed = world.tuned("new.token", |_| {}).await;
    assert_eq!(renewed.get("/guilds/1").await.status, 200);
    assert_eq!(first.get("/guilds/1").await.proxy_error(), Some("token-dead"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_a_replica_finds_refusal_and_acceptance_itself() {
    let discord = Discord::default();
    let mut world = discord.world(REFUSES).await;
    let replica = quick(&world).await;
    world.redis.kill();
    eventually("Redis is unavailable", || replica.trouble("redis").is_some()).await;
    assert_eq!(replica.get("/guilds/1").await.status, 401);
    until_refused(&replica).await;
    // Redis comes back without the mark, which does not change the status.
    world.redis.restart().await;
    eventually("Redis decides", || replica.trouble("redis").is_none()).await;
    assert_eq!(replica.get("/guilds/1").await.proxy_error(), Some("token-dead"));
    let other = quick(&world).await;
    until_refused(&other).await;
    discord.set(ACCEPTS);
    for replica in [&replica, &other] {
        until_accepted(replica).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_interaction_token_does_not_suspect_the_bot_token() {
    let world = World::new(|seen| {
        let bare = !seen.headers.contains_key("authorization");
        if bare {
            Reply::status(401, r#"{"message":"Invalid Webhook Token","code":50027}"#)
        } else {
            Reply::ok()
        }
    })
    .await;
    let replica = world.replica().await;
    for (method, path) in [
        (Method::PATCH, "/webhooks/1/tok/messages/@original"),
        (Method::POST, "/webhooks/1/tok"),
        (Method::POST, "/interactions/1/tok/callback"),
    ] {
        let answer = send(replica.call(method, path)).await;
        assert_eq!(
            (answer.status, answer.body["code"].as_u64()),
            (401, Some(50_027)),
            "{path}"
        );
    }
    assert_eq!(replica.get("/guilds/1").await.status, 200);
    assert_eq!(replica.metric("arrakis_proxy_token_dead"), 0.0);
    assert_eq!(checks(&world), 0);
    assert_eq!(replica.metric("arrakis_proxy_invalid_requests"), 3.0);
}
