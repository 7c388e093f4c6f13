//! A score service of a test: it answers as `docs/score-service.md` defines, or fails as the test demands.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arrakis_config::{ScoreApi, Secret};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::stream;
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::sleep;

/// The key that the double accepts.
pub(crate) const KEY: &str = "score-key-of-the-test";

/// How the double answers.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// With this rank, after this time.
    Rank(u32, Duration),
    /// With this status and body.
    Status(u16, &'static str),
    /// With headers and the beginning of a body, then nothing.
    HangInBody,
    /// With nothing.
    Hang,
    /// With a body of 100 MB without a length.
    Huge,
    /// With a body that breaks off.
    CutOff,
    /// With a redirect to this URL.
    Redirect(String),
    /// With the rating of another wallet.
    OtherWallet,
    /// Alternately with a rank and with status 500.
    Flapping,
}

/// A score service of a test.
pub(crate) struct ScoreDouble {
    url: String,
    inner: Arc<Inner>,
}

struct Inner {
    behaviour: Mutex<Behaviour>,
    requests: AtomicU32,
    /// Path and query of the last request.
    last: Mutex<String>,
}

impl ScoreDouble {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let inner = Arc::new(Inner {
            behaviour: Mutex::new(behaviour),
            requests: AtomicU32::new(0),
            last: Mutex::new(String::new()),
        });
        let route = "/api/v1/chains/{chain_id}/tokens/{contract}/wallets/{wallet}";
        let router = Router::new().route(route, get(answer)).with_state(Arc::clone(&inner));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, inner }
    }

    /// Rank 42 at once.
    pub(crate) async fn healthy() -> Self {
        Self::start(Behaviour::Rank(42, Duration::ZERO)).await
    }

    pub(crate) fn api(&self) -> ScoreApi {
        ScoreApi {
            base: arrakis_config::parse_score_api_url(&self.url).unwrap(),
            key: Secret::new(KEY),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.inner.behaviour.lock() = behaviour;
    }

    /// Requests received so far.
    pub(crate) fn requests(&self) -> u32 {
        self.inner.requests.load(Ordering::SeqCst)
    }

    /// Path and query of the last request.
    pub(crate) fn last(&self) -> String {
        self.inner.last.lock().clone()
    }
}

async fn answer(
    State(inner): State<Arc<Inner>>,
    Path((chain_id, contract, wallet)): Path<(u64, String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let number = inner.requests.fetch_add(1, Ordering::SeqCst);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    *inner.last.lock() = format!("{chain_id}/{contract}/{wallet}{query}");
    if headers
        .get(AUTHORIZATION)
        .is_none_or(|value| value != &format!("Bearer {KEY}"))
    {
        return (StatusCode::UNAUTHORIZED, "{}").into_response();
    }
    let body = |rank: u32, wallet: &str| {
        json!({"chain_id": chain_id, "contract": contract, "wallet": wallet, "rank": rank, "held": "5000", "activity": 87,
               "as_of": "2026-08-01T12:00:00Z"})
        .to_string()
    };
    let behaviour = inner.behaviour.lock().clone();
    match behaviour {
        Behaviour::Rank(rank, after) => {
            sleep(after).await;
            body(rank, &wallet).into_response()
        }
        Behaviour::Status(status, body) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
        Behaviour::HangInBody => {
            let first = stream::iter([Ok::<_, Infallible>("{\"rank\":")]);
            Body::from_stream(futures_util::StreamExt::chain(first, stream::pending())).into_response()
        }
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Huge => {
            let chunks = (0..1_600).map(|_| Ok::<_, Infallible>(vec![b' '; 64 * 1024]));
            Body::from_stream(stream::iter(chunks)).into_response()
        }
        Behaviour::CutOff => {
            let parts = [Ok("{\"rank\":"), Err(std::io::Error::other("cut off by the test"))];
            Body::from_stream(stream::iter(parts)).into_response()
        }
        Behaviour::Redirect(to) => (StatusCode::FOUND, [("location", to)]).into_response(),
        Behaviour::OtherWallet => body(1, "0x00000000000000000000000000000000000000ff").into_response(),
        Behaviour::Flapping if number % 2 == 0 => body(42, &wallet).into_response(),
        Behaviour::Flapping => (StatusCode::INTERNAL_SERVER_ERROR, "{}").into_response(),
    }
}
