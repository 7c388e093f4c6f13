//! The one HTTP server of every listener, with limits that no peer can take away.
//!
//! A peer that opens connections and sends nothing, half a head, half a body or a byte now and then, or that does not read its
//! answers, holds each of them for a bounded time. When all places are taken, a new connection closes the one that is least
//! worth keeping: first the oldest that has not sent a whole head, then those whose body is missing, then idle ones. Whoever is
//! being answered is never cut off. Each listener has places of its own, so that health answers while the service's port is full.
//! Refuses to know what is served: it takes an [`axum::Router`].

mod connection;
mod metrics;
mod registry;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection::{Side, Watched, WatchedBody};
pub(crate) use self::metrics::HttpMetrics;
use self::metrics::ListenerMetrics;
use self::registry::{Place, Registry};
use crate::descriptors;

/// Pause after the system refused a descriptor: long enough not to spin, short enough that nobody waits.
const NO_DESCRIPTOR_PAUSE: Duration = Duration::from_millis(50);
/// Bytes of one connection that are read and not handled yet.
const BUFFER: usize = 64 << 10;
/// The log names a lack of descriptors once in this time.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// Limits of one listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Open connections.
    pub connections: usize,
    /// Time from a connection's beginning, or from the first byte of a later request, to the end of the head.
    pub header_time: Duration,
    /// Time from the end of the head to the end of the body.
    pub body_time: Duration,
    /// Time without a request on a connection that was answered. Longer than any caller keeps an idle connection, so that the
    /// caller closes it, which cannot meet a request on its way.
    pub idle_time: Duration,
    /// Time in which the peer reads nothing of an answer.
    pub write_time: Duration,
    /// Size of a head in bytes; it has at most 100 headers.
    pub header_bytes: usize,
}

impl HttpLimits {
    /// For a port that callers use: as many connections as the limit of open files leaves room for.
    #[must_use]
    pub fn for_callers() -> Self {
        Self {
            connections: descriptors::caller_connections(),
            header_time: Duration::from_secs(10),
            // Longer than the services themselves wait for a body: they answer with what is wrong.
            body_time: Duration::from_secs(45),
            idle_time: Duration::from_secs(75),
            write_time: Duration::from_secs(30),
            header_bytes: 32 << 10,
        }
    }

    /// For health endpoints: a few monitors that ask at once and are answered at once.
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

    /// How often connections are looked at: often enough that none is far over its time.
    fn sweep_every(&self) -> Duration {
        let shortest = [self.header_time, self.body_time, self.idle_time, self.write_time]
            .into_iter()
            .min()
            .unwrap_or(self.header_time);
        (shortest / 4).max(Duration::from_millis(10))
    }
}

/// The server of one listener. Made by [`crate::Runtime::http_server`].
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

    /// Serves until `stop`; then takes no new connection, lets every request that is being answered end, and returns.
    pub async fn serve(self, listener: TcpListener, router: Router, stop: CancellationToken) {
        let registry = Arc::new(Registry::new(self.limits, self.metrics.clone()));
        let tasks = TaskTracker::new();
        let every = self.limits.sweep_every();
        let mut sweep_at = Instant::now() + every;
        let mut complained: Option<Instant> = None;
        while !stop.is_cancelled() {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        if let Some(place) = registry.enter() {
                            tasks.spawn(serve_one(stream, place, self.limits, router.clone(), stop.clone()));
                        }
                        // The new connection reads what is there before it is judged against newer ones.
                        tokio::task::yield_now().await;
                    }
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        registry.make_room();
                        if complained.is_none_or(|at| at.elapsed() > COMPLAIN_EVERY) {
                            tracing::error!(%error, listener = self.name, "a connection cannot be accepted");
                            complained = Some(Instant::now());
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

/// An error that says nothing of the connections that follow.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

async fn serve_one(stream: TcpStream, place: Place, limits: HttpLimits, router: Router, stop: CancellationToken) {
    // Answers leave at once.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set on a connection");
    }
    let connection = Arc::clone(&place.connection);
    let closed = connection.closed.clone();
    let watched = Watched {
        stream,
        connection: Arc::clone(&connection),
    };
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let (connection, service) = (Arc::clone(&connection), service.clone());
        async move {
            connection.asked(!request.body().is_end_stream());
            let watch = |body| Body::new(WatchedBody::new(body, Side::Request, Arc::clone(&connection)));
            let response: Response<Body> = service.call(request.map(watch)).await?;
            Ok::<_, Infallible>(response.map(|body| WatchedBody::new(body, Side::Response, connection)))
        }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // Times are kept in `connection.rs`, which tells a head that arrives from a connection that waits.
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .max_buf_size(BUFFER);
    let mut served = pin!(builder.serve_connection(TokioIo::new(watched), service));
    let mut leaving = false;
    loop {
        tokio::select! {
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended with an error");
                }
                return;
            }
            () = closed.cancelled() => return,
            () = stop.cancelled(), if !leaving => {
                leaving = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}
