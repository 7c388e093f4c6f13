//! A proxy in front of a service, which stops at one request, so that the process that sent it is killed there, or loses one response.

use std::cmp::Ordering;
use std::fmt;
use std::future::pending;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use arrakis_test_support::HttpForwarder;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::session::Session;

/// Where in a request the process is killed, or that its response is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    /// The service has not received the request.
    Before,
    /// The service has carried it out, and the process has not received the response.
    After,
    /// The service has carried it out, and the process receives 502 in place of the response. It is not killed.
    Lost,
}

/// A request of a run by its number, from 1, and what happens there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) at: usize,
    pub(crate) strike: Strike,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = match self.strike {
            Strike::Before => "before",
            Strike::After => "after",
            Strike::Lost => return write!(f, "lost the response to request {}", self.at),
        };
        write!(f, "killed {when} request {}", self.at)
    }
}

/// The places of a run that has these requests: before each of them, or after each that may have an effect. A kill after a request without
/// one is the kill before the next request. Further places follow, for a run with more requests: the caller ends when one is not reached.
pub(crate) fn places(strike: Strike, run: &[Seen]) -> impl Iterator<Item = Place> + use<> {
    let without_effect: Vec<usize> = run
        .iter()
        .enumerate()
        .filter(|(_, seen)| strike == Strike::After && !seen.may_have_effect())
        .map(|(index, _)| index + 1)
        .collect();
    let all = (1..).filter(move |at| !without_effect.contains(at));
    all.map(move |at| Place { at, strike })
}

/// The places of one of several tests, which share the time of a long run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    All,
    /// The first place, the third one, and so on.
    Odd,
    /// The second place, the fourth one, and so on.
    Even,
    /// Every fourth place, from this one of the first four, which have the numbers 0 to 3.
    Quarter(usize),
}

impl Part {
    pub(crate) fn of(self, places: impl Iterator<Item = Place>) -> impl Iterator<Item = Place> {
        let (first, step) = match self {
            Self::All => (0, 1),
            Self::Odd => (0, 2),
            Self::Even => (1, 2),
            Self::Quarter(first) => (first, 4),
        };
        places.skip(first).step_by(step)
    }
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    method: Method,
    path: String,
    /// The operation of DynamoDB; empty for all other services.
    operation: String,
}

impl Seen {
    fn of(parts: &Parts) -> Self {
        let target = parts.headers.get("x-amz-target");
        let target = target.and_then(|target| target.to_str().ok());
        let operation = target.and_then(|target| target.rsplit('.').next());
        Self {
            method: parts.method.clone(),
            path: parts.uri.to_string(),
            operation: operation.unwrap_or_default().to_owned(),
        }
    }

    pub(crate) fn may_have_effect(&self) -> bool {
        match self.operation.as_str() {
            "" => self.method != Method::GET && self.method != Method::HEAD,
            operation => !["Get", "Query", "Scan"].iter().any(|read| operation.starts_with(read)),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.method, self.path, self.operation)
    }
}

/// The requests since the last [`Gate::watch`], and where they stop.
#[derive(Debug, Default)]
struct Run {
    seen: Vec<Seen>,
    place: Option<Place>,
    is_struck: CancellationToken,
}

/// What happens to a request.
enum Fate {
    Forwarded,
    /// It is the one at which the run stops, of which the token informs.
    Struck(Strike, CancellationToken),
    /// It follows that one.
    Held,
}

impl Run {
    fn receive(&mut self, seen: Seen) -> Fate {
        self.seen.push(seen);
        let Some(place) = self.place else {
            return Fate::Forwarded;
        };
        match self.seen.len().cmp(&place.at) {
            Ordering::Less => Fate::Forwarded,
            Ordering::Equal => Fate::Struck(place.strike, self.is_struck.clone()),
            Ordering::Greater if place.strike == Strike::Lost => Fate::Forwarded,
            Ordering::Greater => Fate::Held,
        }
    }
}

#[derive(Debug)]
struct Shared {
    /// To the service.
    upstream: HttpForwarder,
    run: Mutex<Run>,
}

/// A proxy in front of a service. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Gate {
    url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Gate {
    /// A proxy in front of the service at this URL.
    pub(crate) async fn in_front_of(service: &str) -> Self {
        let service = Url::parse(service).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut own = service.clone();
        own.set_ip_host("127.0.0.1".parse().unwrap()).unwrap();
        own.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let shared = Arc::new(Shared {
            upstream: HttpForwarder::new(service.origin().ascii_serialization()),
            run: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        Self {
            url: own.as_str().trim_end_matches('/').to_owned(),
            shared,
            serving: tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }),
        }
    }

    /// The same for the Discord of a session, whose commands then use the proxy.
    pub(crate) async fn before_discord(session: &mut Session) -> Self {
        let gate = Self::in_front_of(&session.emulator.addresses().rest).await;
        session.environment("DISCORD_API_BASE", Some(gate.url()));
        gate
    }

    /// The URL of the service to which the proxy forwards.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Counts requests from now on, and stops at this place. Returns what is cancelled there.
    pub(crate) fn watch(&self, place: Option<Place>) -> CancellationToken {
        let run = Run {
            place,
            ..Run::default()
        };
        let is_struck = run.is_struck.clone();
        *self.shared.run.lock().unwrap() = run;
        is_struck
    }

    /// The requests since the last [`Gate::watch`].
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.run.lock().unwrap().seen.clone()
    }

    /// Runs a command with these answers and kills it (SIGKILL) at a place. Returns the request there; `None` where the command has fewer
    /// requests: then it succeeded.
    pub(crate) async fn kill(&self, session: &Session, line: &str, answers: &str, place: Place) -> Option<Seen> {
        let is_struck = self.watch(Some(place));
        let mut command = session.command(line);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(answers.as_bytes()).await.unwrap();
        drop(stdin);
        let (stdout, stderr) = (printed(child.stdout.take()), printed(child.stderr.take()));
        let ended = tokio::select! {
            () = is_struck.cancelled() => None,
            status = child.wait() => Some(status.unwrap()),
        };
        let Some(status) = ended else {
            // It is waited for, too: the locks of a process end with it.
            child.kill().await.unwrap();
            let struck = self.seen().get(place.at - 1).cloned();
            self.watch(None);
            return struck;
        };
        self.watch(None);
        let (stdout, stderr) = (stdout.await.unwrap(), stderr.await.unwrap());
        assert!(status.success(), "{line}: {status}: {stdout}{stderr}");
        None
    }
}

/// What a process prints. It is read all the time: a full pipe would suspend the process.
fn printed(pipe: Option<impl AsyncRead + Unpin + Send + 'static>) -> JoinHandle<String> {
    tokio::spawn(async move {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).await.unwrap();
        }
        // A killed process may have printed a part of a character.
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        // The process was killed while it sent the request.
        return status(StatusCode::BAD_REQUEST, String::new());
    };
    let fate = shared.run.lock().unwrap().receive(Seen::of(&parts));
    match fate {
        Fate::Forwarded => return shared.forward(&parts, body).await,
        Fate::Struck(strike, is_struck) => {
            if strike != Strike::Before {
                shared.forward(&parts, body).await;
            }
            is_struck.cancel();
            if strike == Strike::Lost {
                return status(StatusCode::BAD_GATEWAY, String::new());
            }
        }
        Fate::Held => {}
    }
    pending().await
}

impl Shared {
    async fn forward(&self, parts: &Parts, body: Bytes) -> Response {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let received = match self.upstream.send(&parts.method, path, &parts.headers, body).await {
            Ok(received) => received,
            Err(error) => return status(StatusCode::BAD_GATEWAY, error.to_string()),
        };
        let mut response = Response::new(Body::from(received.body));
        *response.status_mut() = received.status;
        *response.headers_mut() = received.headers;
        response
    }
}

fn status(status: StatusCode, text: String) -> Response {
    Response::builder().status(status).body(Body::from(text)).unwrap()
}
