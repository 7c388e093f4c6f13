//! A server for the page: the real files, the real functions, and the other end of the test's wallet.

use std::sync::{Arc, Mutex};

use arrakis_domain::Address;
use arrakis_verification::page::{self, PageFile};
use arrakis_verification::{Refusal, Submission, VerificationError};
use axum::extract::{Path as Segment, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use k256::ecdsa::SigningKey;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::Duration;
use tokio::net::TcpListener;

use crate::support::{CHAIN, TestService, address_of, key, now, sign};

/// What the wallet does.
pub(crate) struct Wallet {
    /// The accounts that it shares, the first of which is selected.
    pub(crate) addresses: Vec<Address>,
    /// The key that signs.
    pub(crate) key: SigningKey,
    pub(crate) chain_id: u64,
    /// Errors of methods.
    pub(crate) errors: Vec<(&'static str, i64)>,
    /// Replaces the signature.
    pub(crate) signature: Option<String>,
    /// Code at the address.
    pub(crate) code: &'static str,
    /// `personal_sign` waits while this is set.
    pub(crate) holds: bool,
    /// Requests so far.
    pub(crate) requests: Vec<(String, Value)>,
}

impl Default for Wallet {
    fn default() -> Self {
        Self {
            addresses: vec![address_of(&key(1))],
            key: key(1),
            chain_id: CHAIN,
            errors: Vec::new(),
            signature: None,
            code: "0x",
            holds: false,
            requests: Vec::new(),
        }
    }
}

pub(crate) struct Server {
    pub(crate) service: TestService,
    pub(crate) wallet: Mutex<Wallet>,
    /// Added to the time of each request.
    pub(crate) later: Mutex<Duration>,
    pub(crate) base: String,
}

impl Server {
    pub(crate) async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = Arc::new(Self {
            service: TestService::start(&base).await,
            wallet: Mutex::default(),
            later: Mutex::default(),
            base,
        });
        let routes = Router::new()
            .route("/verify/{token}", get(index))
            .route(
                "/assets/verify/{file}",
                get(|Segment(name): Segment<String>| file(name)),
            )
            .route("/verify/{token}/session", get(session))
            .route("/verify/{token}/message", post(message))
            .route("/verify/{token}/signature", post(signature))
            .route("/verify/{token}/move", post(request_move))
            .route("/test/wallet", post(wallet))
            .with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        server
    }

    pub(crate) fn url(&self, token: &str) -> String {
        format!("{}/verify/{token}", self.base)
    }

    pub(crate) fn wallet(&self, change: impl FnOnce(&mut Wallet)) {
        change(&mut self.wallet.lock().unwrap());
    }

    fn now(&self) -> time::OffsetDateTime {
        now() + *self.later.lock().unwrap()
    }
}

type AppState = State<Arc<Server>>;

async fn index() -> Response {
    served(page::index())
}

async fn file(name: String) -> Response {
    page::file(&name).map_or_else(|| StatusCode::NOT_FOUND.into_response(), served)
}

fn served(file: PageFile) -> Response {
    let mut response = file.bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    let policy = HeaderValue::from_static(page::CONTENT_SECURITY_POLICY);
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn answer<T: Serialize>(result: Result<T, VerificationError>) -> Response {
    match result {
        Ok(body) => Json(body).into_response(),
        Err(error) => {
            let refusal: Refusal = error.shown();
            let status = StatusCode::from_u16(refusal.status()).unwrap();
            (status, Json(refusal.body())).into_response()
        }
    }
}

async fn session(State(server): AppState, Segment(token): Segment<String>) -> Response {
    answer(server.service.verification.session(&token, server.now()).await)
}

#[derive(Deserialize)]
struct MessageRequest {
    address: String,
    chain_id: u64,
}

async fn message(
    State(server): AppState,
    Segment(token): Segment<String>,
    Json(request): Json<MessageRequest>,
) -> Response {
    let verification = &server.service.verification;
    answer(
        verification
            .message(&token, &request.address, request.chain_id, server.now())
            .await,
    )
}

async fn signature(
    State(server): AppState,
    Segment(token): Segment<String>,
    Json(submission): Json<Submission>,
) -> Response {
    answer(
        server
            .service
            .verification
            .submit(&token, &submission, server.now())
            .await,
    )
}

async fn request_move(State(server): AppState, Segment(token): Segment<String>) -> Response {
    answer(server.service.verification.request_move(&token, server.now()).await)
}

#[derive(Deserialize)]
struct WalletRequest {
    method: String,
    params: Value,
}

/// Answers the wallet's script as a wallet would.
async fn wallet(State(server): AppState, Json(request): Json<WalletRequest>) -> Json<Value> {
    server.wallet(|wallet| wallet.requests.push((request.method.clone(), request.params.clone())));
    while request.method == "personal_sign" && server.wallet.lock().unwrap().holds {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let mut wallet = server.wallet.lock().unwrap();
    if let Some((_, code)) = wallet.errors.iter().find(|(method, _)| *method == request.method) {
        return Json(json!({"error": {"code": code, "message": "the test's error"}}));
    }
    Json(match request.method.as_str() {
        "eth_requestAccounts" | "eth_accounts" => json!({"result": wallet.addresses}),
        "eth_chainId" => json!({"result": format!("0x{:x}", wallet.chain_id)}),
        "wallet_switchEthereumChain" => {
            let wanted = request.params[0]["chainId"].as_str().unwrap().to_owned();
            wallet.chain_id = u64::from_str_radix(wanted.trim_start_matches("0x"), 16).unwrap();
            json!({"result": null, "emit": ["chainChanged", wanted]})
        }
        "eth_getCode" => json!({"result": wallet.code}),
        "personal_sign" => {
            let bytes = hex::decode(request.params[0].as_str().unwrap().trim_start_matches("0x")).unwrap();
            let text = String::from_utf8(bytes).unwrap();
            let signed = sign(&wallet.key, &text);
            json!({"result": wallet.signature.clone().unwrap_or(signed)})
        }
        _ => json!({"error": {"code": -32601, "message": "the method does not exist"}}),
    })
}
