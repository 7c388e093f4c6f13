//! Listeners with slow and idle peers: raw sockets that send nothing, an incomplete request or single bytes, or that do not read.
//! Proper requests are handled meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrakis_config::Service;
use arrakis_runtime::{HttpLimits, Runtime, health_router, raise_open_file_limit};
use axum::Router;
use axum::body::Bytes;
use axum::routing::{any, get};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// More connections than the slots of the listeners in these tests, and than the usual soft limit of open files.
const CROWD: usize = 1_100;
/// More connections than the slots of the listeners in these tests.
const SMALL_CROWD: usize = 300;
const PATIENCE: Duration = Duration::from_secs(60);

/// A service with a port for callers and a port for health, each with its own limits.
struct Listening {
    runtime: Runtime,
    callers: SocketAddr,
    health: SocketAddr,
    stop: CancellationToken,
    /// Requests for `/held` whose handler has started.
    held_requests: Arc<AtomicUsize>,
    /// Completes the requests for `/held`.
    release: CancellationToken,
}

/// Short time limits.
fn short(limits: HttpLimits) -> HttpLimits {
    HttpLimits {
        header_time: Duration::from_millis(1_500),
        body_time: Duration::from_millis(1_500),
        idle_time: Duration::from_millis(1_500),
        write_time: Duration::from_millis(1_500),
        ..limits
    }
}

async fn listen(callers: HttpLimits, health: HttpLimits) -> Listening {
    raise_open_file_limit();
    let runtime = Runtime::for_test(Service::DiscordProxy);
    let stop = CancellationToken::new();
    let (held_requests, release) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
    let (held, released) = (Arc::clone(&held_requests), release.clone());
    let app = Router::new()
        .route("/", any(|body: Bytes| async move { body.len().to_string() }))
        .route("/large", get(|| async { vec![b'a'; 32 << 20] }))
        .route(
            "/held",
            get(move || {
                held.fetch_add(1, Ordering::Relaxed);
                let released = released.clone();
                async move { released.cancelled().await }
            }),
        )
        .route(
            "/slow",
            get(|| async {
                tokio::time::sleep(Duration::from_secs(4)).await;
                "late"
            }),
        );
    let mut addresses = Vec::new();
    for (name, limits, router) in [
        ("callers", callers, app),
        ("health", health, health_router(runtime.clone())),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.push(listener.local_addr().unwrap());
        tokio::spawn(runtime.http_server(name, limits).serve(listener, router, stop.clone()));
    }
    Listening {
        runtime,
        callers: addresses[0],
        health: addresses[1],
        stop,
        held_requests,
        release,
    }
}

impl Listening {
    fn metric(&self, line: &str) -> f64 {
        let text = self.runtime.metrics.render();
        let found = text
            .lines()
            .find_map(|found| found.strip_prefix(line)?.strip_prefix(' ')?.parse().ok());
        found.unwrap_or_else(|| panic!("no metric {line} in\n{text}"))
    }

    fn closed(&self, listener: &str, why: &str) -> f64 {
        self.metric(&format!(
            "arrakis_http_connections_closed_total{{listener=\"{listener}\",why=\"{why}\"}}"
        ))
    }

    async fn until_closed(&self, listener: &str, why: &str, count: f64) {
        let began = Instant::now();
        while self.closed(listener, why) < count {
            assert!(
                began.elapsed() < PATIENCE,
                "{why}: {} of {count}",
                self.closed(listener, why)
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asserts that a request and a health request succeed, each on a new connection.
    async fn answers(&self) {
        assert_eq!(
            ask(
                self.health,
                "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
            )
            .await,
            "alive\n"
        );
        let call = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
        assert_eq!(ask(self.callers, call).await, "5");
    }
}

/// Sends a request and returns the body of the response, which must be 200.
async fn ask(address: SocketAddr, request: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned()
}

/// What each of many idle connections sends before it stops.
const KINDS: [(&str, &str); 6] = [
    ("nothing", ""),
    ("half a head", "GET / HTTP/1.1\r\nhost: x\r\nx-more: "),
    (
        "half a body",
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nhalf",
    ),
    (
        "half a chunk",
        "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n64\r\nhalf",
    ),
    ("a request, then nothing", "GET / HTTP/1.1\r\nhost: x\r\n\r\n"),
    (
        "two requests and half a third",
        "GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HT",
    ),
];

async fn crowd(address: SocketAddr, count: usize, sends: &str) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // A connection that was evicted may refuse the bytes.
        let _ = stream.write_all(sends.as_bytes()).await;
        crowd.push(stream);
    }
    crowd
}

/// Time limits that do not pass in a test, so that only the slots matter.
fn patient(limits: HttpLimits, connections: usize) -> HttpLimits {
    let long = Duration::from_secs(3_600);
    HttpLimits {
        connections,
        header_time: long,
        body_time: long,
        idle_time: long,
        write_time: long,
        ..limits
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_do_not_block_new_ones_on_either_port() {
    for (kind, sends) in KINDS {
        for on_health in [false, true] {
            let callers = patient(HttpLimits::for_callers(), 200);
            let health = patient(HttpLimits::for_health(), 50);
            let listening = listen(callers, health).await;
            let (address, name, places) = if on_health {
                (listening.health, "health", 50)
            } else {
                (listening.callers, "callers", 200)
            };
            // The limit of open files is reached whatever they send; it is enough to reach it once on each port.
            let count = if sends.is_empty() { CROWD } else { SMALL_CROWD };
            let crowd = crowd(address, count, sends).await;
            listening.answers().await;
            // Health answers a body that it does not read, and closes.
            let is_kept_open = !(on_health && sends.starts_with("POST"));
            if is_kept_open {
                listening.until_closed(name, "evicted", (count - places) as f64).await;
            }
            let open = listening.metric(&format!("arrakis_http_connections{{listener=\"{name}\"}}"));
            assert!(open <= places as f64, "{kind}: {open} connections");
            for _ in 0..20 {
                listening.answers().await;
            }
            drop(crowd);
            listening.stop.cancel();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_in_progress_is_not_evicted() {
    let listening = listen(patient(HttpLimits::for_callers(), 50), HttpLimits::for_health()).await;
    let slow = tokio::spawn(ask(
        listening.callers,
        "GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    ));
    tokio::time::timeout(PATIENCE, async {
        while listening.metric("arrakis_http_connections{listener=\"callers\"}") < 1.0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    let crowd = crowd(listening.callers, CROWD, "GET /").await;
    listening.until_closed("callers", "evicted", 1_000.0).await;
    assert_eq!(slow.await.unwrap(), "late");
    drop(crowd);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_connection_is_refused_while_all_slots_handle_requests() {
    let listening = listen(patient(HttpLimits::for_callers(), 20), HttpLimits::for_health()).await;
    let mut busy = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(listening.callers).await.unwrap();
        stream
            .write_all(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        busy.push(stream);
    }
    // A connection whose request is not handled yet would be evicted instead.
    let began = Instant::now();
    while listening.held_requests.load(Ordering::Relaxed) < busy.len() {
        assert!(began.elapsed() < PATIENCE, "not every slot handles a request");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut refused = 0.0;
    while refused < 1.0 {
        let mut stream = TcpStream::connect(listening.callers).await.unwrap();
        let _ = stream
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
        refused = listening.closed("callers", "refused");
        assert_eq!(
            ask(
                listening.health,
                "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
            )
            .await,
            "alive\n"
        );
    }
    listening.release.cancel();
    for stream in &mut busy {
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    }
}

/// Reads until the server closes; panics when it does not.
async fn is_closed(stream: &mut TcpStream, what: &str) {
    let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
    // A reset is a close, too.
    assert!(closed.is_ok(), "{what}: it is still open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_time_limit_closes_the_connection_and_is_counted() {
    let listening = listen(short(HttpLimits::for_callers()), short(HttpLimits::for_health())).await;
    for (sends, why) in [
        ("", "header_time"),
        ("GET / HTTP/1.1\r\nhost: x\r\nx-more: ", "header_time"),
        (
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nhalf",
            "body_time",
        ),
        (
            "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n64\r\nhalf",
            "body_time",
        ),
        ("GET / HTTP/1.1\r\nhost: x\r\n\r\n", "idle_time"),
        ("GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HT", "idle_time"),
    ] {
        let before = listening.closed("callers", why);
        let mut stream = TcpStream::connect(listening.callers).await.unwrap();
        stream.write_all(sends.as_bytes()).await.unwrap();
        is_closed(&mut stream, sends).await;
        assert_eq!(listening.closed("callers", why), before + 1.0, "{sends}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bytes_do_not_extend_time_limits() {
    let listening = listen(short(HttpLimits::for_callers()), short(HttpLimits::for_health())).await;
    for (begin, why) in [
        ("GET / HTTP/1.1\r\nhost: x\r\nx-more: ", "header_time"),
        (
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n",
            "body_time",
        ),
        // Behind a request that was answered, too.
        (
            "GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nx-more: ",
            "header_time",
        ),
    ] {
        let before = listening.closed("callers", why);
        let mut stream = TcpStream::connect(listening.callers).await.unwrap();
        stream.write_all(begin.as_bytes()).await.unwrap();
        let began = Instant::now();
        while stream.write_all(b"a").await.is_ok() {
            assert!(began.elapsed() < PATIENCE, "{begin}: still open");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(listening.closed("callers", why), before + 1.0, "{begin}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_that_does_not_read_the_response_is_closed() {
    let listening = listen(short(HttpLimits::for_callers()), short(HttpLimits::for_health())).await;
    let mut stream = TcpStream::connect(listening.callers).await.unwrap();
    stream
        .write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    listening.until_closed("callers", "write_time", 1.0).await;
    is_closed(&mut stream, "large").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_above_the_limit_gets_431() {
    let listening = listen(HttpLimits::for_callers(), HttpLimits::for_health()).await;
    let head = |size: usize| {
        let value = "a".repeat(size);
        format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-large: {value}\r\n\r\n")
    };
    assert_eq!(ask(listening.callers, &head(30 << 10)).await, "0");
    let mut stream = TcpStream::connect(listening.callers).await.unwrap();
    stream.write_all(head(33 << 10).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(
        answer.starts_with(b"HTTP/1.1 431"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    let many: String = (0..200).map(|number| format!("x-{number}: 1\r\n")).collect();
    let mut stream = TcpStream::connect(listening.callers).await.unwrap();
    stream
        .write_all(format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(
        answer.starts_with(b"HTTP/1.1 431"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_request_and_large_body_are_not_closed() {
    let mut limits = short(HttpLimits::for_callers());
    limits.body_time = Duration::from_secs(30);
    let listening = listen(limits, HttpLimits::for_health()).await;
    // Longer than every other limit.
    assert_eq!(
        ask(
            listening.callers,
            "GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        )
        .await,
        "late"
    );
    let mut stream = TcpStream::connect(listening.callers).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 40\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..40 {
        stream.write_all(b"a").await.unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("40"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_server_completes_requests_and_accepts_no_connection() {
    let listening = listen(HttpLimits::for_callers(), HttpLimits::for_health()).await;
    // Its request is sent before the server is stopped, and the server has accepted it before it answers the second connection.
    let mut slow = TcpStream::connect(listening.callers).await.unwrap();
    slow.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut idle = TcpStream::connect(listening.callers).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 15];
    idle.read_exact(&mut answer).await.unwrap();
    listening.stop.cancel();
    is_closed(&mut idle, "an idle connection").await;
    let mut late = String::new();
    let read = tokio::time::timeout(PATIENCE, slow.read_to_string(&mut late));
    read.await.expect("an answer").unwrap();
    assert!(
        late.starts_with("HTTP/1.1 200 OK\r\n") && late.ends_with("late"),
        "{late}"
    );
    assert!(TcpStream::connect(listening.callers).await.is_err());
}
