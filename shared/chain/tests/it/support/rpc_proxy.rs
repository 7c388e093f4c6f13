//! [`RpcProxy`]: a JSON-RPC endpoint in front of anvil that refuses, lies and fails as real providers do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::AbortHandle;

/// How the proxy answers.
#[derive(Debug, Clone, Default)]
pub(crate) enum Answer {
    /// As anvil does, with the other faults.
    #[default]
    Forward,
    /// A web page with status 200.
    Html,
    /// An HTTP status with this text.
    Status(u16, &'static str),
    /// 429 with `Retry-After` in seconds.
    RateLimited(u64),
    /// A JSON-RPC error.
    Error(i64, &'static str),
    /// Nothing.
    Hang,
    /// Half of the response, then the connection is closed.
    Half,
    /// An endless response.
    Endless,
}

/// A change of the logs in a response.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tamper {
    /// Another contract.
    Address,
    /// Another event.
    Topic,
    /// A block outside of the range.
    Block,
    /// Another hash of the last log's block.
    BlockHash,
    /// The last log twice.
    Twice,
    /// The first log is marked as removed.
    Removed,
    /// The last log is missing.
    Missing,
    /// All logs are missing.
    Empty,
    /// The result is null.
    Null,
    /// The last log has no data.
    NoData,
    /// The last log has a part of its data.
    ShortData,
    /// The last log has one more topic.
    MoreTopics,
}

/// Faults of a proxy.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// How it answers.
    pub(crate) answer: Answer,
    /// Only requests of this method are answered so; others are forwarded.
    pub(crate) only: Option<&'static str>,
    /// Most blocks of a range of logs, and the error for more.
    pub(crate) max_range: Option<(u64, i64, &'static str)>,
    /// Most logs of a response, and the error for more.
    pub(crate) max_logs: Option<(usize, i64, &'static str)>,
    /// Logs after which a response is cut without an error.
    pub(crate) cut_logs: Option<usize>,
    /// Added to the numbers of the latest and of the finalised block.
    pub(crate) head_error: u64,
    /// Blocks by which it is behind: it does not have the latest ones.
    pub(crate) behind: u64,
    /// Reported chain id.
    pub(crate) chain_id: Option<u64>,
    /// The tag `finalized` is refused.
    pub(crate) no_finalized: bool,
    /// `eth_getBlockReceipts` is refused.
    pub(crate) no_receipts: bool,
    /// Change of logs.
    pub(crate) tamper: Option<Tamper>,
    /// After this number of requests for logs, every connection is closed without a response.
    pub(crate) dies_after: Option<usize>,
}

struct Shared {
    upstream: String,
    client: reqwest::Client,
    faults: Mutex<Faults>,
    requests: Mutex<Vec<(String, Value)>>,
}

/// The proxy. It is stopped when dropped.
pub(crate) struct RpcProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: AbortHandle,
}

impl RpcProxy {
    pub(crate) async fn start(upstream: &str, faults: Faults) -> Self {
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            faults: Mutex::new(faults),
            requests: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(handle).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self {
            address,
            shared,
            server,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set(&self, faults: Faults) {
        *self.shared.faults.lock() = faults;
    }

    /// Number of requests of a method so far.
    pub(crate) fn count(&self, method: &str) -> usize {
        self.shared
            .requests
            .lock()
            .iter()
            .filter(|(requested, _)| requested == method)
            .count()
    }

    /// Number of all requests so far.
    pub(crate) fn total(&self) -> usize {
        self.shared.requests.lock().len()
    }

    /// First and last block of each request for logs.
    pub(crate) fn ranges(&self) -> Vec<(u64, u64)> {
        let requests = self.shared.requests.lock();
        let logs = requests.iter().filter(|(method, _)| method == "eth_getLogs");
        logs.map(|(_, params)| (number(&params[0]["fromBlock"]), number(&params[0]["toBlock"])))
            .collect()
    }
}

impl Drop for RpcProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn handle(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap();
    let method = request["method"].as_str().unwrap().to_owned();
    shared.requests.lock().push((method.clone(), request["params"].clone()));
    let faults = shared.faults.lock().clone();
    if faults.dies_after.is_some_and(|requests| count_logs(&shared) > requests) {
        return half(&json!(null));
    }
    let answer = if faults.only.is_none_or(|only| only == method) {
        faults.answer.clone()
    } else {
        Answer::Forward
    };
    match answer {
        Answer::Forward => {}
        Answer::Html => return (StatusCode::OK, "<html><body>Bad gateway</body></html>").into_response(),
        Answer::Status(status, text) => return (StatusCode::from_u16(status).unwrap(), text).into_response(),
        Answer::RateLimited(seconds) => {
            return (
                StatusCode::TOO_MANY_REQUESTS,
                [("retry-after", seconds.to_string())],
                "slow down",
            )
                .into_response();
        }
        Answer::Error(code, message) => return error(&request, code, message),
        Answer::Hang => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            return StatusCode::OK.into_response();
        }
        Answer::Half => return half(&forward(&shared, &request).await),
        Answer::Endless => return endless(),
    }
    if let Some(refused) = refusal(&faults, &method, &request) {
        return refused;
    }
    let mut response = if faults.behind > 0 {
        forward_behind(&shared, &method, request.clone(), faults.behind).await
    } else {
        forward(&shared, &request).await
    };
    if let Some(refused) = falsify(&faults, &method, &request, &mut response) {
        return refused;
    }
    axum::Json(response).into_response()
}

fn count_logs(shared: &Shared) -> usize {
    shared
        .requests
        .lock()
        .iter()
        .filter(|(method, _)| method == "eth_getLogs")
        .count()
}

fn refusal(faults: &Faults, method: &str, request: &Value) -> Option<Response> {
    let params = &request["params"];
    match method {
        "eth_getLogs" => {
            let blocks = number(&params[0]["toBlock"]) - number(&params[0]["fromBlock"]) + 1;
            let (max, code, message) = faults.max_range?;
            (blocks > max).then(|| error(request, code, message))
        }
        "eth_getBlockByNumber" if faults.no_finalized && params[0] == "finalized" => {
            Some(error(request, -32602, "invalid block tag"))
        }
        "eth_getBlockReceipts" if faults.no_receipts => Some(error(request, -32601, "the method does not exist")),
        _ => None,
    }
}

fn falsify(faults: &Faults, method: &str, request: &Value, response: &mut Value) -> Option<Response> {
    match method {
        "eth_chainId" => {
            if let Some(chain_id) = faults.chain_id {
                response["result"] = hex(chain_id);
            }
        }
        "eth_blockNumber" => shift(&mut response["result"], faults.head_error),
        "eth_getBlockByNumber" if matches!(request["params"][0].as_str(), Some("finalized" | "latest")) => {
            shift(&mut response["result"]["number"], faults.head_error);
        }
        "eth_getLogs" => {
            let logs = response["result"].as_array_mut().unwrap();
            if let Some((_, code, message)) = faults.max_logs.filter(|(max, ..)| logs.len() > *max) {
                return Some(error(request, code, message));
            }
            if let Some(cut) = faults.cut_logs {
                logs.truncate(cut);
            }
            if let Some(tamper) = faults.tamper {
                tamper_with(tamper, logs);
            }
            if matches!(faults.tamper, Some(Tamper::Null)) {
                response["result"] = Value::Null;
            }
        }
        _ => {}
    }
    None
}

fn tamper_with(tamper: Tamper, logs: &mut Vec<Value>) {
    let Some(last) = logs.last_mut() else { return };
    let word = json!(format!("0x{}", "ab".repeat(32)));
    match tamper {
        Tamper::Address => last["address"] = json!(format!("0x{}", "ab".repeat(20))),
        Tamper::Topic => last["topics"][0] = word,
        Tamper::Block => last["blockNumber"] = hex(0),
        Tamper::BlockHash => {
            let block = last["blockNumber"].clone();
            for log in logs.iter_mut().filter(|log| log["blockNumber"] == block) {
                log["blockHash"] = word.clone();
            }
        }
        Tamper::Twice => {
            let again = last.clone();
            logs.push(again);
        }
        Tamper::Removed => logs[0]["removed"] = json!(true),
        Tamper::Missing => {
            logs.pop();
        }
        Tamper::Empty => logs.clear(),
        // The whole result is replaced.
        Tamper::Null => {}
        Tamper::NoData => last["data"] = json!("0x"),
        Tamper::ShortData => last["data"] = json!("0x01"),
        Tamper::MoreTopics => last["topics"].as_array_mut().unwrap().push(word),
    }
}

async fn forward(shared: &Shared, request: &Value) -> Value {
    let response = shared.client.post(&shared.upstream).json(request).send().await.unwrap();
    response.json().await.unwrap()
}

/// The response of a node that does not have the latest blocks. As many nodes do, it returns the logs that it has.
async fn forward_behind(shared: &Shared, method: &str, mut request: Value, behind: u64) -> Value {
    let head = number_of_tag(shared, "latest").await - behind;
    match method {
        "eth_blockNumber" => json!({"jsonrpc": "2.0", "id": request["id"], "result": hex(head)}),
        "eth_getBlockByNumber" => {
            let wanted = match request["params"][0].as_str().unwrap() {
                tag @ ("latest" | "finalized") => number_of_tag(shared, tag).await - behind,
                _ => number(&request["params"][0]),
            };
            if wanted > head {
                return json!({"jsonrpc": "2.0", "id": request["id"], "result": null});
            }
            request["params"][0] = hex(wanted);
            forward(shared, &request).await
        }
        "eth_getLogs" => {
            let to = number(&request["params"][0]["toBlock"]).min(head);
            request["params"][0]["toBlock"] = hex(to);
            forward(shared, &request).await
        }
        _ => forward(shared, &request).await,
    }
}

async fn number_of_tag(shared: &Shared, tag: &str) -> u64 {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": [tag, false]});
    number(&forward(shared, &request).await["result"]["number"])
}

fn error(request: &Value, code: i64, message: &str) -> Response {
    axum::Json(json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": message}}))
        .into_response()
}

/// The first half of a body, then an error, on which the connection is closed.
fn half(response: &Value) -> Response {
    let text = response.to_string();
    let sent = Bytes::from(text[..text.len() / 2].to_owned());
    let parts: [Result<Bytes, std::io::Error>; 2] = [Ok(sent), Err(std::io::Error::other("closed"))];
    Body::from_stream(futures_util::stream::iter(parts)).into_response()
}

fn endless() -> Response {
    let part = Bytes::from(vec![b' '; 64 * 1024]);
    let parts = std::iter::repeat_with(move || Ok::<_, std::io::Error>(part.clone()));
    Body::from_stream(futures_util::stream::iter(parts)).into_response()
}

fn number(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

fn hex(number: u64) -> Value {
    json!(format!("0x{number:x}"))
}

fn shift(value: &mut Value, error: u64) {
    if value.is_string() {
        *value = hex(number(value) + error);
    }
}
