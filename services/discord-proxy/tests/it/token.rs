//! A 401 to a bot-token call is the token's end; any other 401 is not.

use futures_util::future::join_all;
use http::Method;

use crate::support::{Reply, World, eventually, send};

const UNAUTHORIZED: &str = r#"{"message":"401: Unauthorized","code":0}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_one_401_nothing_that_needs_the_token_is_sent_by_anybody() {
    let world = World::new(|seen| {
        let bot = seen.headers.contains_key("authorization");
        if bot {
            Reply::status(401, UNAUTHORIZED)
        } else {
            Reply::ok()
        }
    })
    .await;
    let replicas = [world.replica().await, world.replica().await];
    assert_eq!(
        replicas[0].get("/guilds/1").await.status,
        401,
        "Discord's own answer is told"
    );
    let answers = join_all((0..20).map(|number| send(replicas[number % 2].call(Method::GET, "/guilds/2")))).await;
    for answer in &answers {
        assert_eq!((answer.status, answer.proxy_error()), (503, Some("token-dead")));
    }
    assert_eq!(world.upstream.count(), 1, "Discord was asked once");
    for replica in &replicas {
        eventually("health says so", || replica.trouble("token").is_some()).await;
        assert!(replica.trouble("token").unwrap().contains("DISCORD_TOKEN"));
        assert_eq!(replica.metric("arrakis_proxy_token_dead"), 1.0);
        // Members are still answered.
        let callback = send(replica.call(Method::POST, "/interactions/1/tok/callback")).await;
        assert_eq!(callback.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_does_not_ask_again_and_a_new_token_starts_clean() {
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
    drop(first);
    let restarted = world.tuned("old.token", |_| {}).await;
    assert_eq!(restarted.get("/guilds/1").await.proxy_error(), Some("token-dead"));
    let renewed = world.tuned("new.token", |_| {}).await;
    assert_eq!(renewed.get("/guilds/1").await.status, 200);
    assert_eq!(world.upstream.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_interaction_token_is_not_the_bots() {
    let world = World::new(|seen| {
        let webhook = seen.path.contains("/webhooks/");
        if webhook {
            Reply::status(401, r#"{"message":"Invalid Webhook Token","code":50027}"#)
        } else {
            Reply::ok()
        }
    })
    .await;
    let replica = world.replica().await;
    let edit = send(replica.call(Method::PATCH, "/webhooks/1/tok/messages/@original")).await;
    assert_eq!((edit.status, edit.body["code"].as_u64()), (401, Some(50_027)));
    assert_eq!(replica.get("/guilds/1").await.status, 200);
    assert_eq!(replica.metric("arrakis_proxy_token_dead"), 0.0);
    assert_eq!(replica.metric("arrakis_proxy_invalid_requests"), 1.0);
}
