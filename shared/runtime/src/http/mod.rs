//! The HTTP server of every listener, with limits against slow and idle peers.
//!
//! A peer that sends nothing, sends a request slowly or incompletely, or does not read the response keeps its connection for a
//! bounded time. When all slots are taken, a new connection closes another one: first the oldest that has never sent a complete
//! head, then those with an incomplete body, then idle ones. A connection whose complete request is being handled is never
//! closed. Each listener has its own slots, so the health endpoints respond while the service's port is full. The
//! server takes an [`axum::Router`] and does not depend on what it serves. Each request has the peer's address as its
//! extension [`axum::extract::ConnectInfo`], and a [`ConnectionCloser`].

mod connection;
mod metrics;
mod registry;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection::{BodyKind, Watched, WatchedBody};
pub(crate) use self::metrics::HttpMetrics;
use self::metrics::ListenerMetrics;
use self::registry::{ConnectionSlot, Registry};
use crate::descriptors;

/// Pause after accepting a connection failed for lack of a descriptor, so that the loop does not spin.
const NO_DESCRIPTOR_PAUSE: Duration = Duration::from_millis(50);
/// Read buffer of a connection in bytes.
const BUFFER_BYTES: usize = 64 << 10;
/// Interval at which a failed accept is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Limits of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Largest number of open connections.
    pub connections: usize,
    /// Time limit for the head of a request (request line and headers): from the connection's start, or from the first byte of
    /// a later request, to the end of the head.
    pub header_time: Duration,
    /// Time limit for the body of a request: from the end of the head to the end of the body.
    pub body_time: Duration,
    /// Longest time without a request after a response. It should exceed the callers' own limit, so that they close the
    /// connection: a close by this side could cross a new request.
    pub idle_time: Duration,
    /// Longest time in which the peer reads nothing of a response; then the connection is closed.
    pub write_time: Duration,
    /// Largest size of the head of a request in bytes. A head has at most 100 headers.
    pub header_bytes: usize,
}

impl HttpLimits {
    /// Limits for the port of callers: as many connections as the limit of open files allows.
    #[must_use]
    pub fn for_callers() -> Self {
        Self {
            connections: descriptors::caller_connections(),
            header_time: Duration::from_secs(10),
            // Longer than the services' own limits, so that they can respond with an error.
            body_time: Duration::from_secs(45),
            idle_time: Duration::from_secs(75),
            write_time: Duration::from_secs(30),
            header_bytes: 32 << 10,
        }
    }

    /// Limits for health endpoints, which few monitors use.
    #[must_use]
    pub fn for_health() -> Self {
        Self {
            connections: 128,
            header_time: Duration::from_secs(5),
            body_time: Duration::from_secs(5),
            idle_time: Duration::from_secs(30),
            write_time: Duration::from_secs(10),
            header_bytes: 16 << 10,
        }
    }

    /// Interval at which the time limits are checked.
    fn sweep_every(&self) -> Duration {
        let shortest = [self.header_time, self.body_time, self.idle_time, self.write_time]
            .into_iter()
            .min()
            .unwrap_or(self.header_time);
        (shortest / 4).max(Duration::from_millis(10))
    }
}

/// The HTTP server of one listener, created by [`crate::Runtime::http_server`].
#[derive(Debug)]
pub struct HttpServer {
    name: &'static str,
    limits: HttpLimits,
    metrics: ListenerMetrics,
}

impl HttpServer {
    pub(crate) fn new(name: &'static str, limits: HttpLimits, metrics: &HttpMetrics) -> Self {
        Self {
            name,
            limits,
            metrics: metrics.listener(name),
        }
    }

    /// Serves until `stop` is cancelled. Then it accepts no new connection, completes the requests in progress, and returns.
    pub async fn serve(self, listener: TcpListener, router: Router, stop: CancellationToken) {
        let registry = Arc::new(Registry::new(self.limits, self.metrics.clone()));
        let tasks = TaskTracker::new();
        let every = self.limits.sweep_every();
        let mut sweep_at = Instant::now() + every;
        let mut logged_at: Option<Instant> = None;
        while !stop.is_cancelled() {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        if let Some(slot) = registry.admit() {
                            let accepted = Accepted { stream, peer, slot };
                            tasks.spawn(serve_connection(accepted, self.limits, router.clone(), stop.clone()));
                        }
                        // The new connection reads the bytes that have arrived before newer ones may evict it.
                        tokio::task::yield_now().await;
                    }
                    Err(error) if concerns_one_connection(&error) => {}
                    Err(error) => {
                        registry.make_room();
                        if logged_at.is_none_or(|at| at.elapsed() > LOG_INTERVAL) {
                            tracing::error!(%error, listener = self.name, "accepting a connection failed");
                            logged_at = Some(Instant::now());
                        }
                        tokio::time::sleep(NO_DESCRIPTOR_PAUSE).await;
                    }
                },
                () = tokio::time::sleep_until(sweep_at.into()), if !registry.is_empty() => {}
                () = stop.cancelled() => {}
            }
            if sweep_at <= Instant::now() {
                registry.sweep();
                sweep_at = Instant::now() + every;
            }
        }
        drop(listener);
        tasks.close();
        loop {
            tokio::select! {
                () = tasks.wait() => return,
                () = tokio::time::sleep(every) => registry.sweep(),
            }
        }
    }
}

/// Whether an error of `accept` concerns only the connection that it was for.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Closes the connection of a request, also in the middle of a response: an extension of each request.
#[derive(Debug, Clone)]
pub struct ConnectionCloser(CancellationToken);

impl ConnectionCloser {
    /// Closes the connection at once. What of a response the peer has not received may be lost.
    pub fn close(&self) {
        self.0.cancel();
    }
}

/// A connection that has a slot.
struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
    slot: ConnectionSlot,
}

async fn serve_connection(accepted: Accepted, limits: HttpLimits, router: Router, stop: CancellationToken) {
    let Accepted { stream, peer, slot } = accepted;
    // Without Nagle's algorithm responses are sent at once.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set on a connection");
    }
    let connection = Arc::clone(&slot.connection);
    let closed = connection.closed.clone();
    let watched = Watched {
        stream,
        connection: Arc::clone(&connection),
    };
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request
            .extensions_mut()
            .insert(ConnectionCloser(connection.closed.clone()));
        let (connection, service) = (Arc::clone(&connection), service.clone());
        async move {
            connection.head_received(!request.body().is_end_stream());
            let watch = |body| Body::new(WatchedBody::new(body, BodyKind::Request, Arc::clone(&connection)));
            let response: Response<Body> = service.call(request.map(watch)).await?;
            Ok::<_, Infallible>(response.map(|body| WatchedBody::new(body, BodyKind::Response, connection)))
        }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // `connection.rs` has the time limits: it distinguishes an incomplete head from an idle connection.
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .max_buf_size(BUFFER_BYTES);
    let mut served = pin!(builder.serve_connection(TokioIo::new(watched), service));
    let mut is_stopping = false;
    loop {
        tokio::select! {
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended with an error");
                }
                return;
            }
            () = closed.cancelled() => return,
            () = stop.cancelled(), if !is_stopping => {
                is_stopping = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}
