//! The proxy in front of the emulator, which has its own implementation of Discord's limits: no 429 under load.

use std::time::Duration;

use discord_emulator::seed::load;
use discord_emulator::{Emulator, Options};
use futures_util::future::join_all;
use http::Method;
use serde_json::json;

use crate::support::{RedisServer, Replica, eventually, send, start_replica};

const GUILDS: u64 = 20;
const MEMBERS: u64 = 8;

async fn emulator_and_replicas() -> (Emulator, RedisServer, [Replica; 2]) {
    arrakis_runtime::install_crypto_provider();
    let emulator = Emulator::start(Options::default()).await.unwrap();
    emulator.app().world.write(|state| load::load(state, GUILDS, MEMBERS));
    let redis = RedisServer::start().await;
    let (base, token) = (emulator.addresses().rest.clone(), emulator.token());
    let replicas = [
        start_replica(&base, &redis.url(), &token, |_| {}).await,
        start_replica(&base, &redis.url(), &token, |_| {}).await,
    ];
    for replica in &replicas {
        eventually("Redis decides", || replica.trouble("redis").is_none()).await;
    }
    (emulator, redis, replicas)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_servers_over_two_replicas_meet_no_429() {
    let (emulator, _redis, replicas) = emulator_and_replicas().await;
    let mut calls = Vec::new();
    for number in 0..GUILDS {
        let guild = load::guild_id(number);
        let (role, channel) = (load::role_id(guild), load::channel_id(guild));
        for member in 0..MEMBERS {
            let path = format!("/guilds/{guild}/members/{}/roles/{role}", load::person_id(member));
            let call = replicas[usize::from(member % 2 == 0)].call(Method::PUT, &path);
            calls.push(send(call.header("x-arrakis-urgency", "bulk").body("")));
        }
        for message in 0..4 {
            let call = replicas[message % 2].call(Method::POST, &format!("/channels/{channel}/messages"));
            calls.push(send(call.json(&json!({ "content": format!("message {message}") }))));
        }
    }
    let count = calls.len() as u64;
    let answers = join_all(calls).await;
    let failed: Vec<_> = answers
        .iter()
        .filter(|answer| ![200, 204].contains(&answer.status))
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {count}, such as {:?}",
        failed.len(),
        failed.first()
    );
    let stats = emulator.app().traffic.stats();
    assert!(stats.limited.is_empty(), "{:?}", stats.limited);
    assert_eq!((stats.rest_total, stats.invalid), (count, 0));
    assert!(
        stats.most_requests_in_1100_ms <= 50,
        "{}",
        stats.most_requests_in_1100_ms
    );
    assert!(
        stats.most_requests_in_1100_ms >= 45,
        "the rate is used: {}",
        stats.most_requests_in_1100_ms
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_of_the_emulator_are_handled_as_discords() {
    let (emulator, _redis, replicas) = emulator_and_replicas().await;
    let guild = load::guild_id(0);
    let unknown = replicas[0].get(&format!("/guilds/{guild}/members/1")).await;
    assert_eq!((unknown.status, unknown.body["code"].as_u64()), (404, Some(10_013)));
    // More calls of one bucket than its window allows: the others wait for the next window, and none meets a 429.
    let channel = load::channel_id(guild);
    let messages = join_all((0..7).map(|number| {
        send(
            replicas[number % 2]
                .call(Method::POST, &format!("/channels/{channel}/messages"))
                .json(&json!({"content": "a"})),
        )
    }))
    .await;
    assert!(messages.iter().all(|answer| answer.status == 200), "{messages:?}");
    assert!(emulator.app().traffic.stats().limited.is_empty());
    // After a token reset the proxy sends one call, its check, and nothing more.
    let reset = format!("{}/control/token/reset", emulator.addresses().control);
    assert_eq!(send(crate::support::client().post(reset)).await.status, 200);
    assert_eq!(replicas[0].get(&format!("/guilds/{guild}")).await.status, 401);
    for replica in &replicas {
        eventually("the token is refused", || replica.trouble("token").is_some()).await;
    }
    let after =
        join_all((0..6).map(|number| send(replicas[number % 2].call(Method::GET, &format!("/channels/{channel}")))))
            .await;
    assert!(
        after.iter().all(|answer| answer.proxy_error() == Some("token-dead")),
        "{after:?}"
    );
    assert_eq!(emulator.app().traffic.stats().invalid, 2);
    tokio::time::timeout(Duration::from_secs(5), emulator.shutdown())
        .await
        .unwrap();
}
