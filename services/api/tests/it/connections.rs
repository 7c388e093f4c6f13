//! Raw connections: clients that send or read slowly, or too much, and the drain.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use arrakis_test_support::eventually;
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::TestApi;

const PATIENCE: Duration = Duration::from_secs(20);

async fn connect(address: SocketAddr, sends: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sends.as_bytes()).await.unwrap();
    stream
}

/// What the server sends until it closes the connection; panics when it does not close it.
async fn until_closed(mut stream: TcpStream, what: &str) -> String {
    let mut received = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut received)).await;
    assert!(read.is_ok(), "{what}: the connection is still open");
    String::from_utf8_lossy(&received).into_owned()
}

async fn with_short_limits(connections: usize) -> TestApi {
    TestApi::start_with(|config| {
        let limits = &mut config.tuning.http;
        limits.connections = connections;
        limits.header_time = Duration::from_millis(500);
        limits.body_time = Duration::from_millis(500);
        limits.idle_time = Duration::from_millis(500);
        limits.write_time = Duration::from_millis(500);
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_do_not_hold_connections() {
    let api = with_short_limits(8).await;
    api.token_profile("bgt").await;
    let suspend = "POST /admin/users/0190b5a2-0000-7000-8000-000000000001/suspend HTTP/1.1\r\nhost: x\r\n";
    for (what, sends) in [
        ("nothing", String::new()),
        (
            "half a head",
            "GET /eligibility HTTP/1.1\r\nhost: x\r\nx-more: ".to_owned(),
        ),
        (
            "a request, then nothing",
            "GET /eligibility HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        ),
        (
            "half a body",
            format!("{suspend}content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"),
        ),
    ] {
        // More than the listener has slots.
        let mut crowd = Vec::new();
        for _ in 0..20 {
            crowd.push(connect(api.address, &sends).await);
        }
        // A client that sends its request at once is served meanwhile.
        let is_served = async || {
            let response = api.request(Method::GET, "/eligibility").send().await;
            response.is_ok_and(|response| response.status() == 200)
        };
        // It is refused for as long as every slot handles a request.
        eventually(is_served, format!("an answer beside {what}")).await;
        for stream in crowd {
            until_closed(stream, what).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_come_one_by_one_do_not_extend_the_limits() {
    let api = with_short_limits(64).await;
    let mut stream = connect(api.address, "GET /eligibility HTTP/1.1\r\nhost: x\r\nx-more: ").await;
    let began = Instant::now();
    while stream.write_all(b"a").await.is_ok() {
        assert!(began.elapsed() < PATIENCE, "the connection is still open");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(api.metric("arrakis_http_connections_closed_total{listener=\"api\",why=\"header_time\"}") >= 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_heads_are_refused() {
    let api = TestApi::start().await;
    let many: String = (0..200).map(|number| format!("x-{number}: 1\r\n")).collect();
    for head in [format!("x-large: {}\r\n", "a".repeat(17 << 10)), many] {
        let stream = connect(
            api.address,
            &format!("GET /eligibility HTTP/1.1\r\nhost: x\r\n{head}\r\n"),
        )
        .await;
        let answer = until_closed(stream, "a large head").await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_in_progress_is_answered_during_the_drain() {
    let api = TestApi::start().await;
    api.token_profile("bgt").await;
    let idle = connect(api.address, "GET /eligibility HTTP/1.1\r\nhost: x\r\n").await;
    let mut busy = connect(api.address, "GET /eligibility HTTP/1.1\r\nhost: x\r\n").await;
    tokio::time::timeout(PATIENCE, api.get("/eligibility")).await.unwrap();
    busy.write_all(b"\r\n").await.unwrap();
    let mut first = [0; 15];
    busy.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    api.runtime.shutdown.soft.cancel();
    until_closed(busy, "a connection after its answer").await;
    until_closed(idle, "a connection without a request").await;
    assert!(TcpStream::connect(api.address).await.is_err());
}
