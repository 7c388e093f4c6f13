//! A proxy in front of moto, which forwards, fails, slows, and loses responses by a script. It forwards one request at a time: moto's
//! conditional writes are not atomic.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrakis_test_support::HttpForwarder;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};

/// A request that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
}

impl Seen {
    /// Whether it writes an object.
    pub(crate) fn is_put(&self) -> bool {
        self.method == Method::PUT && !self.path.contains("tagging")
    }

    /// The operation of DynamoDB; empty for S3.
    pub(crate) fn operation(&self) -> &str {
        let target = self.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        target.and_then(|target| target.rsplit('.').next()).unwrap_or_default()
    }
}

/// What the proxy does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Forward,
    /// Responds in place of moto.
    Respond(u16, &'static str),
    /// Closes the connection before moto has the request.
    Cut,
    /// Closes the connection after moto has executed the request.
    LoseResponse,
    /// Forwards after this time.
    Delay(Duration),
    /// Forwards without the conditions, as a store that ignores them.
    WithoutConditions,
    /// Forwards, and ends the content of the response early.
    Truncate,
}

type Script = Arc<dyn Fn(&Seen) -> Action + Send + Sync>;
type Answer = Response<BoxBody<Bytes, std::io::Error>>;

pub(crate) struct Middleman {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: tokio::task::JoinHandle<()>,
}

struct Shared {
    upstream: HttpForwarder,
    script: Mutex<Script>,
    seen: AtomicUsize,
    one_at_a_time: tokio::sync::Mutex<()>,
}

impl Middleman {
    /// A proxy that forwards everything.
    pub(crate) async fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream: HttpForwarder::new(upstream),
            script: Mutex::new(script(|_| Action::Forward)),
            seen: AtomicUsize::new(0),
            one_at_a_time: tokio::sync::Mutex::new(()),
        });
        let of_connections = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, Arc::clone(&of_connections)));
            }
        });
        Self {
            address,
            shared,
            accepting,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What happens to each request from now on.
    pub(crate) fn set(&self, actions: impl Fn(&Seen) -> Action + Send + Sync + 'static) {
        *self.shared.script.lock() = script(actions);
    }

    /// The first `count` requests that match are handled by `action`, all others are forwarded.
    pub(crate) fn first(&self, count: usize, action: Action, matches: impl Fn(&Seen) -> bool + Send + Sync + 'static) {
        let matched = AtomicUsize::new(0);
        self.set(move |seen| {
            if matches(seen) && matched.fetch_add(1, Ordering::SeqCst) < count {
                action
            } else {
                Action::Forward
            }
        });
    }

    /// Number of requests so far.
    pub(crate) fn count(&self) -> usize {
        self.shared.seen.load(Ordering::SeqCst)
    }
}

fn script(actions: impl Fn(&Seen) -> Action + Send + Sync + 'static) -> Script {
    Arc::new(actions)
}

impl Drop for Middleman {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move { answer(request, &shared).await }
    });
    // A connection that the script closes ends with an error.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(request: Request<Incoming>, shared: &Shared) -> Result<Answer, std::io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| cut())?.to_bytes();
    let mut seen = Seen {
        method: parts.method,
        path: parts.uri.to_string(),
        headers: parts.headers,
    };
    shared.seen.fetch_add(1, Ordering::SeqCst);
    let script = shared.script.lock().clone();
    match script(&seen) {
        Action::Forward => forward(&seen, body, shared).await,
        Action::Respond(status, text) => {
            let response = Response::builder().status(status);
            Ok(response.body(whole(Bytes::from_static(text.as_bytes()))).unwrap())
        }
        Action::Cut => Err(cut()),
        Action::LoseResponse => {
            forward(&seen, body, shared).await?;
            Err(cut())
        }
        Action::Delay(time) => {
            tokio::time::sleep(time).await;
            forward(&seen, body, shared).await
        }
        Action::WithoutConditions => {
            for name in ["if-match", "if-none-match"] {
                seen.headers.remove(name);
            }
            forward(&seen, body, shared).await
        }
        Action::Truncate => {
            let response = forward(&seen, body, shared).await?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            let half = Frame::data(body.slice(..body.len() / 2));
            let frames = futures_util::stream::iter([Ok(half), Err(cut())]);
            Ok(Response::from_parts(parts, BoxBody::new(StreamBody::new(frames))))
        }
    }
}

async fn forward(seen: &Seen, body: Bytes, shared: &Shared) -> Result<Answer, std::io::Error> {
    let _one = shared.one_at_a_time.lock().await;
    let sent = shared.upstream.send(&seen.method, &seen.path, &seen.headers, body);
    let received = sent.await.map_err(std::io::Error::other)?;
    let mut response = Response::new(whole(received.body.into()));
    *response.status_mut() = received.status;
    *response.headers_mut() = received.headers;
    Ok(response)
}

fn whole(body: Bytes) -> BoxBody<Bytes, std::io::Error> {
    BoxBody::new(Full::new(body).map_err(|never| match never {}))
}

fn cut() -> std::io::Error {
    std::io::Error::other("the script cuts the connection")
}
