//! What is refused, and never published.

use std::time::Duration;

use arrakis_test_support::eventually;
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::{World, command, now};

/// Largest body.
const MAX_BODY: usize = 1 << 20;

#[tokio::test]
async fn request_without_discords_signature_is_refused() {
    let world = World::new().await;
    let body = command(1).to_string();
    let timestamp = now().to_string();
    let later = (now() + 1).to_string();
    let sign = |timestamp: &str, body: &str| world.discord.app().interactions.sign(timestamp, body.as_bytes());
    let valid = sign(&timestamp, &body);
    let (cut, long, upper) = (&valid[..126], format!("{valid}00"), valid.to_uppercase());
    for (what, timestamp, signature) in [
        ("of another body", &timestamp, sign(&timestamp, "{}")),
        ("of another time", &later, valid.clone()),
        ("of zeros", &timestamp, "0".repeat(128)),
        ("cut off", &timestamp, cut.to_owned()),
        ("too long", &timestamp, long),
        ("empty", &timestamp, String::new()),
        ("not hexadecimal", &timestamp, "z".repeat(128)),
    ] {
        let response = world.request(timestamp, &signature, body.clone()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{what}");
        assert_eq!(response.text().await.unwrap(), "invalid request signature", "{what}");
    }
    for header in ["x-signature-ed25519", "x-signature-timestamp"] {
        let mut request = world.request(&timestamp, &valid, body.clone()).build().unwrap();
        request.headers_mut().remove(header);
        let response = world.http.execute(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "without {header}");
    }
    // Whoever sends no signature at all does not look like a wrong key.
    assert_eq!((world.counted("signature"), world.counted("unsigned")), (3, 6));
    assert_eq!(world.counted("published"), 0);
    // Hexadecimal digits of either case are the same signature.
    let response = world.request(&timestamp, &upper, body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    world.take(1).await;
    world.finish().await;
}

#[tokio::test]
async fn valid_signature_of_another_time_is_refused() {
    let world = World::new().await;
    for seconds in [now() - 310, now() + 310, 0] {
        let response = world.signed_at(seconds, command(1).to_string()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{seconds}");
    }
    assert_eq!(world.counted("timestamp"), 3);
    let within = world.signed_at(now() - 200, command(1).to_string());
    assert_eq!(within.send().await.unwrap().status(), StatusCode::ACCEPTED);
    world.take(1).await;
    for timestamp in ["soon", "-5", "1e9", "99999999999999999999999"] {
        let body = command(1).to_string();
        let signature = world.discord.app().interactions.sign(timestamp, body.as_bytes());
        let response = world.request(timestamp, &signature, body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{timestamp}");
    }
    world.finish().await;
}

#[tokio::test]
async fn body_that_is_too_large_is_refused() {
    let world = World::new().await;
    let mut largest = command(1);
    let padding = MAX_BODY - largest.to_string().len() - ",\"x\":\"\"".len();
    largest["x"] = "y".repeat(padding).into();
    let largest = largest.to_string();
    assert_eq!(largest.len(), MAX_BODY);
    assert_eq!(world.deliver(largest).await.0, StatusCode::ACCEPTED);
    assert_eq!(world.take(1).await[0].body.len(), MAX_BODY);
    // A response before the end of the body may reset the connection, which the client reports as an error.
    let giant = world.signed_at(now(), vec![b' '; 32 << 20]).send().await;
    if let Ok(response) = giant {
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
    eventually(
        || async { world.counted("too_large") == 1 },
        "the count of the giant body",
    )
    .await;
    world.finish().await;
}

/// The length is known from the head, so nothing is read.
#[tokio::test]
async fn length_that_is_too_large_is_refused_at_once() {
    let world = World::new().await;
    let address = world.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address.strip_suffix("/interactions").unwrap())
        .await
        .unwrap();
    let (timestamp, signature) = (now(), "0".repeat(128));
    let head = format!(
        "POST /interactions HTTP/1.1\r\nhost: x\r\ncontent-length: 10000000000\r\nx-signature-timestamp: {timestamp}\r\nx-signature-ed25519: {signature}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    tokio::time::timeout(Duration::from_secs(1), stream.read_exact(&mut status))
        .await
        .expect("a response before the body")
        .unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    assert_eq!(world.counted("too_large"), 1);
    world.finish().await;
}

#[tokio::test]
async fn signed_body_that_is_no_interaction_is_refused() {
    let world = World::new().await;
    for body in [
        "",
        "null",
        "[]",
        "{\"type\":2}",
        "{\"id\":\"x\",\"type\":2}",
        "not json",
    ] {
        let (status, text) = world.deliver(body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {text}");
    }
    assert_eq!(world.counted("malformed"), 6);
    world.finish().await;
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let world = World::new().await;
    let other = world.url.replace("/interactions", "/other");
    assert_eq!(
        world.http.post(other).send().await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
    let get = world.http.get(&world.url).send().await.unwrap();
    assert_eq!(get.status(), StatusCode::METHOD_NOT_ALLOWED);
    world.finish().await;
}

/// A peer that sends its request slowly is disconnected; others are served meanwhile.
#[tokio::test]
async fn slow_peers_are_disconnected() {
    let world = World::new().await;
    let address = world
        .url
        .strip_prefix("http://")
        .unwrap()
        .strip_suffix("/interactions")
        .unwrap();
    let timestamp = now().to_string();
    let body = command(9).to_string();
    let signature = world.discord.app().interactions.sign(&timestamp, body.as_bytes());
    let head = format!(
        "POST /interactions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nx-signature-timestamp: {timestamp}\r\nx-signature-ed25519: {signature}\r\n\r\n",
        body.len()
    );
    let mut slow = Vec::new();
    for part in [
        "POST /interactions HT",
        head.as_str(),
        &format!("{head}{}", &body[..body.len() - 1]),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(part.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    assert_eq!(world.deliver(command(8).to_string()).await.0, StatusCode::ACCEPTED);
    for stream in &mut slow {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = stream.read_to_end(&mut rest).await;
    }
    assert_eq!(world.take(1).await[0].labels.event_id.as_str(), "8");
    assert_eq!(world.counted("published"), 1);
    world.finish().await;
}
