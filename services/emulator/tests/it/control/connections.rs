//! Listeners with clients that open connections and send no complete request.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::support::Emu;

/// More connections than the control API's listener serves at once.
const MANY: usize = 640;
const SOON: Duration = Duration::from_secs(10);

fn address(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find('/').map_or(url.len(), |at| start + at);
    &url[start..end]
}

async fn half_requests(url: &str) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for _ in 0..MANY {
        let mut stream = TcpStream::connect(address(url)).await.unwrap();
        stream.write_all(b"GET / HT").await.unwrap();
        open.push(stream);
    }
    open
}

#[tokio::test]
async fn half_requests_do_not_stop_a_listener() {
    let emu = Emu::lively().await;
    let urls = emu.emulator.addresses().clone();
    let control = half_requests(&urls.control).await;
    assert_eq!(timeout(SOON, emu.get("health")).await.unwrap()["status"], "ok");
    drop(control);
    let rest = half_requests(&urls.rest).await;
    let (status, _) = timeout(SOON, emu.rest(reqwest::Method::GET, "/users/@me", None))
        .await
        .unwrap();
    assert_eq!(status, 200);
    drop(rest);
    let _gateway = half_requests(&urls.gateway).await;
    timeout(SOON, emu.identified(1)).await.unwrap();
}

#[tokio::test]
async fn sessions_outlive_a_flood_of_half_requests() {
    let emu = Emu::lively().await;
    let (mut client, _) = emu.identified(crate::support::INTENTS).await;
    let _flood = half_requests(&emu.emulator.addresses().gateway.clone()).await;
    emu.join("duncan").await;
    client.event("GUILD_MEMBER_ADD").await;
}

/// The gateway's response to these bytes.
async fn answer(emu: &Emu, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address(&emu.emulator.addresses().gateway))
        .await
        .unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    answer
}

#[tokio::test]
async fn gateway_responds_to_clients_without_websocket() {
    let emu = Emu::start().await;
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(200_000));
    let version =
        "GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 12\r\n\r\n";
    for (bytes, status) in [
        (
            b"GET /?v=10 HTTP/1.1\r\nhost: x\r\n\r\n".as_slice(),
            "426 Upgrade Required",
        ),
        (
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}",
            "405 Method Not Allowed",
        ),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400 Bad Request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400 Bad Request"),
        (version.as_bytes(), "426 Upgrade Required"),
        (long.as_bytes(), "431 Request Header Fields Too Large"),
    ] {
        let answer = answer(&emu, bytes).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{status}: {answer:?}"
        );
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("Content-Length: {}\r\n", body.len()))
                || head.ends_with(&format!("Content-Length: {}", body.len())),
            "{answer}"
        );
    }
    let url = emu.emulator.addresses().gateway.replace("ws://", "http://");
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["upgrade"].as_bytes()),
        (426, b"websocket".as_slice())
    );
    assert!(answer.text().await.unwrap().contains("ws://"));
}
