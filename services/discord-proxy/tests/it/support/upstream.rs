//! An upstream in place of Discord: it responds by a script, and records each call with the time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};

/// A call that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub at: Instant,
    /// Which call this is, from 0.
    pub number: usize,
    pub method: Method,
    /// Path and query, with `/api/v10`.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// How the upstream responds.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
        after: Duration,
        /// Responds when so many calls have arrived.
        together: usize,
        /// Responds when this is set.
        gate: Option<Arc<AtomicBool>>,
    },
    /// The connection is closed: the call arrived, and its response is lost.
    Cut,
}

impl Reply {
    /// 200 with a body, and no bucket.
    pub(crate) fn ok() -> Self {
        Self::status(200, r#"{"ok":true}"#)
    }

    pub(crate) fn status(status: u16, body: &str) -> Self {
        Self::Answer {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
            after: Duration::ZERO,
            together: 0,
            gate: None,
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name, value.to_string()));
        }
        self
    }

    /// With the headers of a bucket.
    pub(crate) fn bucket(self, hash: &str, limit: u32, remaining: u32, reset_after: f64) -> Self {
        self.with("x-ratelimit-bucket", hash)
            .with("x-ratelimit-limit", limit)
            .with("x-ratelimit-remaining", remaining)
            .with("x-ratelimit-reset-after", reset_after)
    }

    /// Responds after `time`.
    pub(crate) fn after(mut self, time: Duration) -> Self {
        if let Self::Answer { after, .. } = &mut self {
            *after = time;
        }
        self
    }

    /// Responds when so many calls have arrived: they are in flight together, however slow the machine is.
    pub(crate) fn together(mut self, calls: usize) -> Self {
        if let Self::Answer { together, .. } = &mut self {
            *together = calls;
        }
        self
    }

    /// Responds when the gate is open.
    pub(crate) fn behind(mut self, open: &Arc<AtomicBool>) -> Self {
        if let Self::Answer { gate, .. } = &mut self {
            *gate = Some(Arc::clone(open));
        }
        self
    }

    /// A 429 of Discord.
    pub(crate) fn limited(scope: &str, retry_after: f64) -> Self {
        let global = scope == "global";
        let body =
            format!(r#"{{"message":"You are being rate limited.","retry_after":{retry_after},"global":{global}}}"#);
        let reply = Self::status(429, &body)
            .with("retry-after", retry_after.ceil())
            .with("x-ratelimit-scope", scope);
        if global {
            reply.with("x-ratelimit-global", "true")
        } else {
            reply
        }
    }
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

struct Shared {
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
    count: AtomicUsize,
}

/// The upstream. It ends with the test's runtime.
pub(crate) struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Upstream {
    pub(crate) async fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            seen: Mutex::default(),
            count: AtomicUsize::new(0),
        });
        let for_all = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, Arc::clone(&for_all)));
            }
        });
        Self {
            address,
            shared,
            accepting,
        }
    }

    /// Stops listening.
    pub(crate) async fn stop(&mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
    }

    /// Value of `DISCORD_API_BASE`.
    pub(crate) fn base(&self) -> String {
        format!("http://{}/api/v10", self.address)
    }

    /// The calls that arrived, in order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().clone()
    }

    /// How many calls arrived.
    pub(crate) fn count(&self) -> usize {
        self.shared.seen.lock().len()
    }

    /// The most calls in any window of this length.
    pub(crate) fn most_in(&self, window: Duration) -> usize {
        most_in(&self.seen().iter().map(|seen| seen.at).collect::<Vec<_>>(), window)
    }
}

/// The most of these moments in any window of this length.
pub(crate) fn most_in(times: &[Instant], window: Duration) -> usize {
    let mut times = times.to_vec();
    times.sort();
    let in_window = |first: &Instant| {
        times
            .iter()
            .filter(|at: &&Instant| **at >= *first && **at <= *first + window)
            .count()
    };
    times.iter().map(in_window).max().unwrap_or(0)
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

async fn answer(request: Request<Incoming>, shared: &Shared) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let at = Instant::now();
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| cut())?.to_bytes();
    let seen = Seen {
        at,
        number: shared.count.fetch_add(1, Ordering::SeqCst),
        method: parts.method,
        path: parts.uri.to_string(),
        headers: parts.headers,
        body,
    };
    let reply = (shared.script)(&seen);
    shared.seen.lock().push(seen);
    match reply {
        Reply::Cut => Err(cut()),
        Reply::Answer {
            status,
            headers,
            body,
            after,
            together,
            gate,
        } => {
            let closed = || gate.as_ref().is_some_and(|gate| !gate.load(Ordering::SeqCst));
            while shared.count.load(Ordering::SeqCst) < together || closed() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::time::sleep(after).await;
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Full::new(Bytes::from(body))).unwrap())
        }
    }
}

fn cut() -> std::io::Error {
    std::io::Error::other("the script cuts the connection")
}
