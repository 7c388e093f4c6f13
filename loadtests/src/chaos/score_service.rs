//! [`ScoreService`]: a score service that answers as `docs/score-service.md` defines, or is slow, fails or flaps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpListener;

/// The key that the service accepts.
pub(super) const KEY: &str = "the-scenario's-score-key";
/// The rank that it gives every wallet.
const RANK: u32 = 42;
/// Time of a slow response: longer than a caller waits (5 s).
const SLOW: Duration = Duration::from_secs(10);

/// How the service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// With a rating, at once.
    Healthy,
    /// With a rating, after [`SLOW`].
    Slow,
    /// With status 500.
    Failing,
    /// Two of three requests with status 500, the third with a rating.
    Flapping,
}

/// A score service. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct ScoreService {
    url: String,
    inner: Arc<Inner>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    behaviour: Mutex<Behaviour>,
    requests: AtomicU64,
}

impl ScoreService {
    /// Starts a healthy service.
    ///
    /// # Errors
    /// When no port is free.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let inner = Arc::new(Inner {
            behaviour: Mutex::new(Behaviour::Healthy),
            requests: AtomicU64::new(0),
        });
        let route = "/api/v1/chains/{chain_id}/tokens/{contract}/wallets/{wallet}";
        let router = Router::new().route(route, get(rate)).with_state(Arc::clone(&inner));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/api", listener.local_addr()?);
        let task = tokio::spawn(async move {
            // Ends with the task.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, inner, task })
    }

    /// Value of `SCORE_API_URL`.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Changes how it answers from the next request on.
    pub(super) fn behave(&self, behaviour: Behaviour) {
        *self.inner.behaviour.lock() = behaviour;
    }

    /// Requests received so far.
    pub(super) fn requests(&self) -> u64 {
        self.inner.requests.load(Ordering::SeqCst)
    }
}

impl Drop for ScoreService {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn rate(
    State(inner): State<Arc<Inner>>,
    Path((chain_id, contract, wallet)): Path<(u64, String, String)>,
    headers: HeaderMap,
) -> Response {
    let number = inner.requests.fetch_add(1, Ordering::SeqCst);
    let behaviour = *inner.behaviour.lock();
    let key = headers.get(AUTHORIZATION);
    if key.is_none_or(|value| value != &format!("Bearer {KEY}")) {
        return (StatusCode::UNAUTHORIZED, "{}").into_response();
    }
    let fails = match behaviour {
        Behaviour::Healthy | Behaviour::Slow => false,
        Behaviour::Failing => true,
        Behaviour::Flapping => number % 3 != 2,
    };
    if fails {
        return (StatusCode::INTERNAL_SERVER_ERROR, "{}").into_response();
    }
    if behaviour == Behaviour::Slow {
        tokio::time::sleep(SLOW).await;
    }
    axum::Json(json!({
        "chain_id": chain_id, "contract": contract, "wallet": wallet, "rank": RANK, "held": "5000", "activity": 87,
        "as_of": "2026-08-01T12:00:00Z",
    }))
    .into_response()
}
