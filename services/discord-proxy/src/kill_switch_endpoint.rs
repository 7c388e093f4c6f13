//! `/internal/kill-switch`: workers and the api read and write the kill switch of this replica, with `KILL_SWITCH_CREDENTIAL`.
//!
//! It needs neither Redis nor PostgreSQL. It is on the port of callers, and no credential of a caller permits it.

use std::sync::Arc;

use arrakis_config::Secret;
use arrakis_security::kill_switch::{CONFIRMS, KillSwitchState, PROXY_PATH};
use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::kill_switch::KillSwitches;

/// Longest body in bytes: the entries of more than 10,000 communities.
const MAX_BODY: usize = 4 << 20;

/// Handles the requests.
#[derive(Debug, Clone)]
pub(crate) struct KillSwitchEndpoint {
    switches: Arc<KillSwitches>,
    /// SHA-256 of the credential, and of the one before while it is changed; empty without a credential.
    credentials: Vec<[u8; 32]>,
    replica: String,
}

impl KillSwitchEndpoint {
    /// An endpoint that accepts this credential and, while it is changed, the previous one. The previous one alone opens nothing.
    pub(crate) fn new(
        switches: Arc<KillSwitches>,
        credential: Option<&Secret>,
        previous: Option<&Secret>,
        replica: String,
    ) -> Self {
        let accepted = credential.into_iter().chain(previous.filter(|_| credential.is_some()));
        Self {
            switches,
            credentials: accepted
                .map(|credential| Sha256::digest(credential.expose()).into())
                .collect(),
            replica,
        }
    }

    /// Whether the request is for this endpoint.
    pub(crate) fn is_for(&self, parts: &Parts) -> bool {
        parts.uri.path() == PROXY_PATH
    }

    /// The response to a request for this endpoint.
    pub(crate) async fn respond(&self, parts: &Parts, body: Body) -> Response {
        if !self.is_authorised(parts) {
            let message = "the credential is not this replica's KILL_SWITCH_CREDENTIAL, or the replica has none";
            return response(StatusCode::UNAUTHORIZED, &json!({ "message": message }));
        }
        match parts.method {
            Method::GET => self.state(true),
            Method::PUT => self.write(parts, body).await,
            _ => response(
                StatusCode::METHOD_NOT_ALLOWED,
                &json!({ "message": "the kill switch is read by GET and written by PUT" }),
            ),
        }
    }

    async fn write(&self, parts: &Parts, body: Body) -> Response {
        let read = to_bytes(body, MAX_BODY).await.map_err(|error| error.to_string());
        let entries =
            read.and_then(|body| serde_json::from_slice::<KillSwitchState>(&body).map_err(|error| error.to_string()));
        let checked = entries.map_err(|error| format!("the body is not a list of entries: {error}"));
        let checked = checked.and_then(|entries| match entries.check_versions() {
            Ok(()) => Ok(entries),
            Err(error) => Err(error.to_string()),
        });
        match checked {
            Ok(entries) => {
                let is_stored = self.switches.apply(entries).await;
                let token = parts.headers.get(CONFIRMS).and_then(|token| token.to_str().ok());
                if let Some(token) = token {
                    self.switches.confirm_by(token);
                }
                self.state(is_stored)
            }
            Err(message) => response(StatusCode::BAD_REQUEST, &json!({ "message": message })),
        }
    }

    fn state(&self, is_stored: bool) -> Response {
        response(
            StatusCode::OK,
            &json!({
                "replica": self.replica,
                "stored": is_stored,
                // Before the state: what is read after it is at least as new.
                "read": self.switches.read_token(),
                "switches": self.switches.state(),
            }),
        )
    }

    fn is_authorised(&self, parts: &Parts) -> bool {
        let value = parts.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let Some(credential) = value.and_then(|value| value.strip_prefix(b"Bearer ")) else {
            return false;
        };
        let hash: [u8; 32] = Sha256::digest(credential).into();
        let mut accepted = self.credentials.iter();
        accepted.any(|expected| bool::from(hash.as_slice().ct_eq(expected.as_slice())))
    }
}

fn response(status: StatusCode, body: &Value) -> Response {
    let mut response = (status, body.to_string()).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
