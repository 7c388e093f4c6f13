//! A broker that is unavailable: the response is an error within the three seconds that Discord waits, and nothing is acknowledged that the
//! broker has not confirmed.

use std::time::{Duration, Instant};

use arrakis_runtime::HealthStatus;
use arrakis_test_support::{Direction, TrafficFaults, eventually};
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::{World, command, now};

#[tokio::test]
async fn interaction_is_refused_while_the_broker_is_away() {
    let world = World::new().await;
    world.network.refuse(true);
    world.network.close_connections();
    world.until_health(HealthStatus::Down).await;
    let (status, text) = world.deliver(command(1).to_string()).await;
    assert_eq!(
        (status, text.as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "temporarily unavailable")
    );
    assert_eq!(world.counted("unavailable"), 1);
    world.network.refuse(false);
    world.until_health(HealthStatus::Up).await;
    assert_eq!(world.deliver(command(2).to_string()).await.0, StatusCode::ACCEPTED);
    let got = world.take(1).await;
    assert_eq!(got[0].labels.event_id.as_str(), "2");
    world.finish().await;
}

/// The broker has the message, and its confirmation is lost: the outcome is unknown, so the response is an error.
#[tokio::test]
async fn interaction_without_a_confirmation_is_not_acknowledged() {
    let world = World::new().await;
    // Opens the channel: without a response to that, nothing would be published.
    assert_eq!(world.deliver(command(9).to_string()).await.0, StatusCode::ACCEPTED);
    world.take(1).await;
    let swallowed = TrafficFaults {
        swallowed: true,
        ..TrafficFaults::default()
    };
    world.network.set(Direction::ToClient, swallowed);
    let (status, _) = world.deliver(command(1).to_string()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.counted("published"), 1);
    world.network.set(Direction::ToClient, TrafficFaults::default());
    world.network.close_connections();
    // A worker finds that this interaction is over.
    assert_eq!(world.take(1).await[0].labels.event_id.as_str(), "1");
    let accepted = async || world.deliver(command(2).to_string()).await.0 == StatusCode::ACCEPTED;
    eventually(accepted, "interactions to be published again").await;
    let got = world.take(1).await;
    assert_eq!(got[0].labels.event_id.as_str(), "2");
    drain(&world).await;
    world.finish().await;
}

/// Attempts before the first success may have been stored as well.
async fn drain(world: &World) {
    while world.vhost.messages("arrakis.interactions").await > 0 {
        world.take(1).await;
    }
}

#[tokio::test]
async fn interaction_is_published_after_a_queue_was_deleted() {
    let world = World::new().await;
    world.delete_queue("arrakis.interactions").await;
    // The alternate exchange keeps it: no interaction is refused because of a missing queue.
    assert_eq!(world.deliver(command(1).to_string()).await.0, StatusCode::ACCEPTED);
    world.finish_with(&["arrakis.unrouted"]).await;
}

/// The time for the broker is what the body has left of Discord's three seconds.
#[tokio::test]
async fn slow_body_and_a_slow_broker_are_answered_within_three_seconds() {
    let world = World::new().await;
    let swallowed = TrafficFaults {
        swallowed: true,
        ..TrafficFaults::default()
    };
    world.network.set(Direction::ToClient, swallowed);
    let (timestamp, body) = (now().to_string(), command(1).to_string());
    let signature = world.discord.app().interactions.sign(&timestamp, body.as_bytes());
    let head = format!(
        "POST /interactions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\nx-signature-timestamp: {timestamp}\r\n\
         x-signature-ed25519: {signature}\r\n\r\n",
        body.len()
    );
    let address = world
        .url
        .strip_prefix("http://")
        .unwrap()
        .strip_suffix("/interactions")
        .unwrap();
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let took = began.elapsed();
    assert!(response.starts_with("HTTP/1.1 503"), "{response}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    world.network.set(Direction::ToClient, TrafficFaults::default());
    world.network.close_connections();
    world.until_health(HealthStatus::Up).await;
    world.finish_with(&["arrakis.interactions"]).await;
}
