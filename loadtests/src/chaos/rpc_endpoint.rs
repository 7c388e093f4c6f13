//! [`RpcEndpoint`]: a JSON-RPC endpoint in front of an anvil that returns logs of few blocks at a time, and slowly, as many providers do. A
//! sync then has many batches on a short chain.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Most blocks of a range.
const BLOCKS: u64 = 8;
/// Time limit of a request to anvil.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// An endpoint. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct RpcEndpoint {
    url: String,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct Upstream {
    url: String,
    client: reqwest::Client,
    delay: Duration,
}

impl RpcEndpoint {
    /// Starts an endpoint in front of the anvil with this URL, which takes `delay` for each response with logs.
    ///
    /// # Errors
    /// When no port is free.
    pub(super) async fn start(anvil: &str, delay: Duration) -> anyhow::Result<Self> {
        let upstream = Upstream {
            url: anvil.to_owned(),
            client: reqwest::Client::builder().no_proxy().timeout(TIME_LIMIT).build()?,
            delay,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(respond).with_state(upstream);
        let task = tokio::spawn(async move {
            // Ends with the task.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, task })
    }

    /// Its URL.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for RpcEndpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn respond(State(upstream): State<Upstream>, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    if request["method"] == "eth_getLogs" {
        tokio::time::sleep(upstream.delay).await;
        if is_too_long(&request["params"][0]) {
            let message = format!("query exceeds max block range {BLOCKS}");
            let error = json!({"code": -32_602, "message": message});
            return axum::Json(json!({"jsonrpc": "2.0", "id": request["id"], "error": error})).into_response();
        }
    }
    let sent = upstream
        .client
        .post(&upstream.url)
        .header("content-type", "application/json");
    match sent.body(body).send().await {
        Ok(response) => {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
            (headers, response.bytes().await.unwrap_or_default()).into_response()
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

fn is_too_long(filter: &Value) -> bool {
    let block = |name: &str| u64::from_str_radix(filter[name].as_str()?.trim_start_matches("0x"), 16).ok();
    match (block("fromBlock"), block("toBlock")) {
        (Some(from), Some(to)) => to.saturating_sub(from) >= BLOCKS,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_of_more_than_eight_blocks_is_too_long() {
        let filter = |from: &str, to: &str| json!({"fromBlock": from, "toBlock": to});
        assert!(!is_too_long(&filter("0x10", "0x17")));
        assert!(is_too_long(&filter("0x10", "0x18")));
        assert!(!is_too_long(&json!({"blockHash": "0x1"})));
    }
}
