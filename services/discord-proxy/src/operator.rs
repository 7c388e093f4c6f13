//! The operator's endpoints of a running replica, `/operator/token` and `/operator/limits`, for `arrakis-discord-proxy token|limits
//! status|clear`.
//!
//! Their credential is derived from the bot token (`token.rs`), so that every holder of the token has it and no caller does.

use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::limits::Limits;
use crate::pause_check::pauses_json;
use crate::token::rfc3339;
use crate::token_check::{CheckResult, TokenCheck};

/// Prefix of every operator path.
const PREFIX: &str = "/operator/";
/// Status of the token (GET).
pub(crate) const TOKEN_STATUS: &str = "/operator/token";
/// Clears the refusal of the token, and checks it (POST).
pub(crate) const CLEAR_TOKEN: &str = "/operator/token/clear";

/// Active pauses (GET).
pub(crate) const PAUSES: &str = "/operator/limits";
/// Ends every pause at every replica (POST).
pub(crate) const CLEAR_PAUSES: &str = "/operator/limits/clear";

/// Handles the operator's requests.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    pub(crate) check: Arc<TokenCheck>,
    pub(crate) limits: Arc<Limits>,
}

impl Operator {
    /// The response to an operator's request; `None` for other paths.
    pub(crate) async fn respond(&self, parts: &Parts) -> Option<Response> {
        let path = parts.uri.path();
        if !path.starts_with(PREFIX) {
            return None;
        }
        if !self.is_operator(parts) {
            let token = self.check.token.fingerprint();
            return Some(response(
                StatusCode::UNAUTHORIZED,
                &json!({ "message": format!(
                    "the credential does not match this replica's bot token (fingerprint {token}): run the command with the \
                     DISCORD_TOKEN with which this replica was started; for a new token, restart the replica"
                ) }),
            ));
        }
        Some(match (&parts.method, path) {
            (&Method::GET, TOKEN_STATUS) => response(StatusCode::OK, &self.status()),
            (&Method::POST, CLEAR_TOKEN) => {
                let result = self.check.clear().await;
                let mut status = self.status();
                status["discord"] = json!(describe(&result));
                response(StatusCode::OK, &status)
            }
            (&Method::GET, PAUSES) => response(StatusCode::OK, &self.pauses(self.limits.is_shared())),
            (&Method::POST, CLEAR_PAUSES) => {
                let shared = self.limits.end_all_pauses().await;
                response(StatusCode::OK, &self.pauses(shared))
            }
            _ => response(
                StatusCode::NOT_FOUND,
                &json!({ "message": format!(
                    "unknown operator path; known are GET {TOKEN_STATUS}, POST {CLEAR_TOKEN}, GET {PAUSES} and POST {CLEAR_PAUSES}"
                ) }),
            ),
        })
    }

    /// The active pauses. `shared`: whether the other replicas have the same ones.
    fn pauses(&self, shared: bool) -> Value {
        json!({
            "replica": self.check.replica,
            "shared": shared,
            "pauses": pauses_json(&self.limits.active_pauses()),
        })
    }

    fn is_operator(&self, parts: &Parts) -> bool {
        let value = parts.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let Some(credential) = value.and_then(|value| value.strip_prefix(b"Bearer ")) else {
            return false;
        };
        let hash: [u8; 32] = Sha256::digest(credential).into();
        bool::from(hash.as_slice().ct_eq(self.check.token.operator_hash().as_slice()))
    }

    /// The status of the token, also in `/health`.
    pub(crate) fn status(&self) -> Value {
        let token = &self.check.token;
        let mut status = json!({
            "fingerprint": token.fingerprint(),
            "replica": self.check.replica,
            "state": if token.is_refused() { "dead" } else { "not refused" },
            "shared": self.check.is_shared(),
        });
        if let Some(refusal) = token.refusal() {
            status["since"] = json!(rfc3339(refusal.since_ms));
            status["confirmed"] = json!(rfc3339(refusal.confirmed_ms));
            status["found_by"] = json!(refusal.found_by);
            status["next_check"] = json!(refusal.next_check_ms.map(rfc3339));
        }
        status
    }
}

fn describe(result: &CheckResult) -> String {
    match result {
        CheckResult::Accepted => "accepted".to_owned(),
        CheckResult::Refused => "refused".to_owned(),
        CheckResult::Unknown(reason) => format!("unknown: {reason}"),
    }
}

fn response(status: StatusCode, body: &Value) -> Response {
    let mut response = (status, body.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
