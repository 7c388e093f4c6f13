//! A proxy in front of the api that answers 502 after the api has executed a request.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use parking_lot::Mutex;
use reqwest::Client;
use tokio::net::TcpListener;

#[derive(Debug, Default)]
struct Inner {
    /// Responses that are replaced by a 502, by a part of the path.
    faults: HashMap<&'static str, usize>,
    paths: Vec<String>,
}

/// The proxy.
#[derive(Debug, Clone)]
pub(crate) struct ApiProxy {
    pub(crate) url: String,
    api_url: String,
    inner: Arc<Mutex<Inner>>,
}

impl ApiProxy {
    pub(crate) async fn start(api_url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            api_url: api_url.to_owned(),
            inner: Arc::default(),
        };
        let router = Router::new().fallback(forward).with_state(proxy.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        proxy
    }

    /// The responses to the next requests whose path contains this are lost.
    pub(crate) fn fail(&self, path: &'static str, count: usize) {
        self.inner.lock().faults.insert(path, count);
    }

    /// How many requests had a path that contains this.
    pub(crate) fn count(&self, path: &str) -> usize {
        let inner = self.inner.lock();
        inner.paths.iter().filter(|called| called.contains(path)).count()
    }

    fn is_lost(&self, path: &str) -> bool {
        let mut inner = self.inner.lock();
        inner.paths.push(path.to_owned());
        let fault = inner
            .faults
            .iter_mut()
            .find(|(part, left)| path.contains(**part) && **left > 0);
        fault.map(|(_, left)| *left -= 1).is_some()
    }
}

async fn forward(
    State(proxy): State<ApiProxy>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Bytes) {
    let is_lost = proxy.is_lost(uri.path());
    let mut request = Client::new()
        .request(method, format!("{}{uri}", proxy.api_url))
        .body(body);
    for name in [header::AUTHORIZATION, header::CONTENT_TYPE] {
        if let Some(value) = headers.get(&name) {
            request = request.header(name, value);
        }
    }
    let response = request.send().await.unwrap();
    let (status, body) = (response.status(), response.bytes().await.unwrap());
    if is_lost {
        return (StatusCode::BAD_GATEWAY, Bytes::new());
    }
    (status, body)
}
