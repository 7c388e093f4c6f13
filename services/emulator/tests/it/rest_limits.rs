//! Rate limits as a client observes them.

use std::sync::Arc;

use discord_emulator::Options;
use reqwest::Method;
use serde_json::json;

use crate::rest_support::{Bot, sietch};

async fn limited() -> Bot {
    Bot::with(Options::default(), &sietch()).await
}

#[tokio::test]
async fn every_answer_of_a_bucket_counts_down() {
    let bot = limited().await;
    let path = format!("/channels/{}/messages", bot.channel("general"));
    let mut buckets = std::collections::HashSet::new();
    for left in (0..5).rev() {
        let reply = bot.post(&path, json!({"content": "x"})).await;
        assert_eq!(
            (reply.header("x-ratelimit-limit"), reply.header("x-ratelimit-remaining")),
            (Some("5"), Some(left.to_string().as_str()))
        );
        assert!(reply.header("x-ratelimit-reset").unwrap().parse::<f64>().unwrap() > 1.7e9);
        buckets.insert(reply.header("x-ratelimit-bucket").unwrap().to_owned());
        reply.ok(200);
    }
    assert_eq!(buckets.len(), 1);
    let refused = bot.post(&path, json!({"content": "x"})).await;
    assert_eq!(
        (
            refused.header("x-ratelimit-scope"),
            refused.header("x-ratelimit-remaining")
        ),
        (Some("user"), Some("0"))
    );
    assert!(refused.header("x-ratelimit-global").is_none());
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert_eq!((refused.status, refused.body["global"].as_bool()), (429, Some(false)));
    assert!(refused.body["retry_after"].as_f64().unwrap() <= 5.0);
    // Another channel has a window of its own, and a new window begins in time.
    bot.post(
        &format!("/channels/{}/messages", bot.channel("water")),
        json!({"content": "x"}),
    )
    .await
    .ok(200);
    bot.advance(wait * 1_000);
    bot.post(&path, json!({"content": "x"})).await.ok(200);
}

#[tokio::test]
async fn at_most_fifty_calls_a_second_are_accepted() {
    let bot = Arc::new(limited().await);
    // Each call has a bucket of its own, so that only the global limit applies.
    let began = bot.emulator.app().clock.now_ms();
    let calls = (0..300_u64).map(|index| {
        let bot = Arc::clone(&bot);
        tokio::spawn(async move { bot.get(&format!("/channels/{}", 1_000 + index)).await })
    });
    let mut refused = 0_u64;
    let mut last = None;
    for call in calls.collect::<Vec<_>>() {
        let reply = call.await.unwrap();
        if reply.status == 429 {
            refused += 1;
            last = Some(reply);
        } else {
            assert_eq!(reply.status, 404);
        }
    }
    // Fifty calls are allowed for each second begun.
    let seconds = (bot.emulator.app().clock.now_ms() - began) / 1_000 + 1;
    assert!(
        300 - refused <= 50 * seconds,
        "{refused} of 300 were refused in {seconds} s"
    );
    let last = last.unwrap();
    assert_eq!(
        (last.header("x-ratelimit-scope"), last.header("x-ratelimit-global")),
        (Some("global"), Some("true"))
    );
    assert_eq!(last.body["global"], true);
    assert!(last.header("x-ratelimit-bucket").is_none());
    bot.advance(1_000);
    bot.get("/users/@me").await.ok(200);
}

#[tokio::test]
async fn a_bucket_lets_exactly_its_limit_through_at_once() {
    let bot = Arc::new(limited().await);
    let path = format!("/channels/{}/messages", bot.channel("general"));
    let calls = (0..30).map(|_| {
        let (bot, path) = (Arc::clone(&bot), path.clone());
        tokio::spawn(async move { bot.post(&path, json!({"content": "x"})).await.status })
    });
    let mut sent = 0;
    for call in calls.collect::<Vec<_>>() {
        sent += u32::from(call.await.unwrap() == 200);
    }
    assert_eq!(sent, 5);
}

#[tokio::test]
async fn interactions_are_not_bound_by_the_global_limit() {
    let bot = limited().await;
    let mut commands = Vec::new();
    for _ in 0..80 {
        let (id, token) = bot.command();
        let path = format!("/interactions/{id}/{token}/callback");
        bot.open_call(Method::POST, &path, Some(json!({"type": 5})))
            .await
            .ok(204);
        commands.push((id, token));
    }
    // Follow-ups share a bucket for each token.
    let (_, token) = &commands[0];
    let path = format!("/webhooks/{}/{token}", bot.application());
    for _ in 0..5 {
        bot.open_call(Method::POST, &path, Some(json!({"content": "x"})))
            .await
            .ok(200);
    }
    let refused = bot.open_call(Method::POST, &path, Some(json!({"content": "x"}))).await;
    assert_eq!(
        (refused.status, refused.header("x-ratelimit-scope")),
        (429, Some("user"))
    );
    let (_, other) = &commands[1];
    let path = format!("/webhooks/{}/{other}", bot.application());
    bot.open_call(Method::POST, &path, Some(json!({"content": "x"})))
        .await
        .ok(200);
}

#[tokio::test]
async fn third_rename_of_a_channel_is_limited_without_headers() {
    let bot = limited().await;
    let path = format!("/channels/{}", bot.channel("general"));
    bot.patch(&path, json!({"name": "one"})).await.ok(200);
    bot.patch(&path, json!({"topic": "two"})).await.ok(200);
    // Calls without a change, or with another change, are not counted.
    bot.patch(&path, json!({"name": "one", "nsfw": true})).await.ok(200);
    let refused = bot.patch(&path, json!({"name": "three"})).await;
    assert_eq!(
        (refused.status, refused.header("x-ratelimit-remaining")),
        (429, Some("1"))
    );
    assert!(refused.body["retry_after"].as_f64().unwrap() > 500.0);
    bot.advance(10 * 60 * 1_000);
    bot.patch(&path, json!({"name": "three"})).await.ok(200);
}

#[tokio::test]
async fn ten_thousand_invalid_requests_ban_the_address() {
    let bot = limited().await;
    let limits = discord_emulator::rest::limits::INVALID_LIMIT;
    // The global limit does not apply to unauthorized calls, so they are counted without delay.
    let (workers, each) = (20, limits / 20);
    let url = bot.url("/users/@me");
    let tasks: Vec<_> = (0..workers)
        .map(|_| {
            let (client, url) = (bot.client.clone(), url.clone());
            tokio::spawn(async move {
                for _ in 0..each {
                    let status = client.get(&url).send().await.unwrap().status().as_u16();
                    assert!(status == 401 || status == 429, "{status}");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let banned = bot
        .client
        .get(&url)
        .header("authorization", bot.authorization())
        .send()
        .await
        .unwrap();
    assert_eq!(banned.status(), 429);
    let headers = banned.headers().clone();
    assert!(headers.get("x-ratelimit-scope").is_none() && headers.contains_key("retry-after"));
    assert!(!banned.text().await.unwrap().starts_with('{'));
    bot.advance(10 * 60 * 1_000);
    bot.get("/users/@me").await.ok(200);
}

#[tokio::test]
async fn two_hundred_new_commands_a_day() {
    let bot = limited().await;
    let path = format!("/applications/{}/commands", bot.application());
    let many = |from: usize| -> Vec<_> {
        (from..from + 100)
            .map(|index| json!({"name": format!("c{index}"), "description": "d"}))
            .collect()
    };
    bot.put(&path, Some(json!(many(0)))).await.ok(200);
    bot.put(&path, Some(json!(many(100)))).await.ok(200);
    // Existing commands do not count.
    bot.put(&path, Some(json!(many(100)))).await.ok(200);
    let refused = bot.put(&path, Some(json!(many(200)))).await;
    assert_eq!((refused.status, refused.body["code"].as_u64()), (429, Some(30034)));
    assert!(refused.body["retry_after"].as_f64().unwrap() > 80_000.0);
}

#[tokio::test]
async fn switched_off_nothing_is_limited() {
    let bot = Bot::start().await;
    for _ in 0..60 {
        let reply = bot.get("/users/@me").await;
        assert!(reply.header("x-ratelimit-limit").is_none());
        reply.ok(200);
    }
}
