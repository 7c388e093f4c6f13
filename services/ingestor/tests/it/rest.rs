//! What `GET /gateway/bot` may answer.

use std::time::Duration;

use arrakis_test_support::eventually;

use crate::fake::{Rest, answer, gateway_bot};
use crate::world::World;

const GLOBAL: &str =
    "content-type: application/json\r\nretry-after: 2\r\nx-ratelimit-global: true\r\nx-ratelimit-scope: global\r\n";
const USER: &str = "content-type: application/json\r\nretry-after: 2\r\nx-ratelimit-bucket: abc\r\nx-ratelimit-limit: 2\r\n\
                    x-ratelimit-remaining: 0\r\nx-ratelimit-reset-after: 0.1\r\nx-ratelimit-scope: user\r\n";
const BODY: &str = "{\"message\":\"You are being rate limited.\",\"retry_after\":2.0,\"global\":false}";

async fn rate_limit_is_waited_for(headers: &'static str, body: &'static str, least: Duration, words: &str) {
    let world = World::new().await;
    let gateway = world.discord.addresses().gateway.clone();
    let rest = Rest::start(move |number| match number {
        0 => answer("429 Too Many Requests", headers, body),
        _ => gateway_bot(&gateway, 1),
    })
    .await;
    let ingestor = world.ingestor_with(&[("DISCORD_API_BASE", rest.base())]);
    let detail = || ingestor.document()["components"]["gateway"]["detail"].to_string();
    eventually(
        async || detail().contains("429") && detail().contains(words),
        format!("the 429 in {}", detail()),
    )
    .await;
    ingestor.healthy_as("active").await;
    let asked = rest.asked();
    let waited = asked[1].duration_since(asked[0]);
    assert!(
        waited >= least && asked.len() == 2,
        "{waited:?}, {} requests: {headers}",
        asked.len()
    );
    ingestor.stop().await;
}

/// One request, and the next one when Discord or Cloudflare allows it. twilight-http sent 50 in a second.
#[tokio::test]
async fn rate_limits_of_get_gateway_bot_are_respected() {
    let wait = Duration::from_secs(2);
    let html = "content-type: text/html\r\nserver: cloudflare\r\nretry-after: 2\r\n";
    tokio::join!(
        rate_limit_is_waited_for(GLOBAL, BODY, wait, "scope global"),
        rate_limit_is_waited_for(USER, BODY, wait, "scope user"),
        rate_limit_is_waited_for("content-type: application/json\r\n", BODY, wait, "scope user"),
        rate_limit_is_waited_for(html, "<html>error 1015", wait, "Cloudflare"),
        rate_limit_is_waited_for("", "", Duration::from_millis(125), "429"),
    );
}

/// An absurd `Retry-After` is bounded to ten minutes, also beside a body that is too large to read, and SIGTERM ends the wait.
#[tokio::test]
async fn stop_during_a_rate_limit_is_immediate() {
    let world = World::new().await;
    let rest = Rest::start(|_| answer("429 Too Many Requests", "retry-after: 1e300\r\n", &"x".repeat(1 << 20))).await;
    let ingestor = world.ingestor_with(&[("DISCORD_API_BASE", rest.base())]);
    let detail = || ingestor.document()["components"]["gateway"]["detail"].to_string();
    eventually(
        async || detail().contains("next attempt in 600 s"),
        "the wait in /health",
    )
    .await;
    assert_eq!(rest.asked().len(), 1);
    ingestor.stop().await;
}

/// A second attempt would count as another invalid request.
#[tokio::test]
async fn refused_token_with_an_oversized_body_ends_the_ingestor_after_one_call() {
    let world = World::new().await;
    let rest = Rest::start(|_| answer("401 Unauthorized", "", &"x".repeat(1 << 20))).await;
    let fatal = world
        .ingestor_with(&[("DISCORD_API_BASE", rest.base())])
        .fatal_error()
        .await;
    assert!(fatal.message.contains("401"), "{fatal}");
    assert_eq!(rest.asked().len(), 1);
}

#[tokio::test]
async fn oversized_or_missing_response_is_named_and_the_call_repeated() {
    let world = World::new().await;
    let gateway = world.discord.addresses().gateway.clone();
    let rest = Rest::start(move |number| match number {
        0 => answer("200 OK", "", &"x".repeat(30 << 20)),
        1 => answer("200 OK", "", "{\"url\":1}"),
        2 => answer("302 Found", "location: http://127.0.0.1:9/\r\n", ""),
        _ => gateway_bot(&gateway, 1),
    })
    .await;
    let ingestor = world.ingestor_with(&[("DISCORD_API_BASE", rest.base())]);
    for words in ["larger than 65536 bytes", "cannot be read", "302"] {
        let said = async || {
            ingestor.document()["components"]["gateway"]["detail"]
                .to_string()
                .contains(words)
        };
        eventually(said, words).await;
    }
    ingestor.healthy_as("active").await;
    ingestor.stop().await;
}

#[tokio::test]
async fn impossible_shard_counts_are_refused_with_the_correction() {
    for (shards, words) in [
        (4_294_967_295, "4294967295 shards"),
        (1 << 40, "Set SHARD_COUNT"),
        (20_000, "Set SHARD_RANGE"),
    ] {
        let world = World::new().await;
        let rest = Rest::start(move |_| gateway_bot("ws://127.0.0.1:9", shards)).await;
        let fatal = world
            .ingestor_with(&[("DISCORD_API_BASE", rest.base())])
            .fatal_error()
            .await;
        assert!(fatal.message.contains(words) && fatal.exit_code == 78, "{fatal}");
    }
}

/// The gateway's URL at the start is unreachable; the present one is reachable.
#[tokio::test]
async fn unreachable_gateway_url_is_read_again() {
    let world = World::new().await;
    let gateway = world.discord.addresses().gateway.clone();
    let rest = Rest::start(move |number| gateway_bot(if number < 2 { "ws://127.0.0.1:9" } else { &gateway }, 1)).await;
    let ingestor = world.ingestor_with(&[("DISCORD_API_BASE", rest.base())]);
    ingestor.healthy_as("active").await;
    assert!((3..6).contains(&rest.asked().len()), "{:?}", rest.asked());
    world.joins(3);
    world.take_events(3).await;
    ingestor.stop().await;
    world.finish(&[]).await;
}
