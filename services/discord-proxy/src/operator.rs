//! What an operator may ask of a running replica: `/operator/token` and `/operator/limits`, for `arrakis-discord-proxy token|limits
//! status|clear`.
//!
//! Its credential is made from the bot token (`token.rs`): whoever may hold the token may ask, and no caller can.

use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::limits::Limits;
use crate::pause_check::shown;
use crate::token::rfc3339;
use crate::token_check::{Outcome, TokenCheck};

/// Where every path of an operator begins.
const PREFIX: &str = "/operator/";
/// State of the token (GET).
pub(crate) const STATUS: &str = "/operator/token";
/// Forgets that the token is dead, and asks Discord (POST).
pub(crate) const CLEAR: &str = "/operator/token/clear";

/// Pauses in force (GET).
pub(crate) const PAUSES: &str = "/operator/limits";
/// Ends every pause, at every replica (POST).
pub(crate) const CLEAR_PAUSES: &str = "/operator/limits/clear";

/// The operator's door.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    pub(crate) check: Arc<TokenCheck>,
    pub(crate) limits: Arc<Limits>,
}

impl Operator {
    /// Answers a request that is an operator's; `None` for all others.
    pub(crate) async fn answer(&self, parts: &Parts) -> Option<Response> {
        let path = parts.uri.path();
        if !path.starts_with(PREFIX) {
            return None;
        }
        if !self.is_operator(parts) {
            let token = self.check.token.fingerprint();
            return Some(answer(
                StatusCode::UNAUTHORIZED,
                &json!({ "message": format!(
                    "the credential does not belong to this replica's bot token (fingerprint {token}): run the command with the \
                     DISCORD_TOKEN that this replica was started with; for a new token, restart the replica"
                ) }),
            ));
        }
        Some(match (&parts.method, path) {
            (&Method::GET, STATUS) => answer(StatusCode::OK, &self.status()),
            (&Method::POST, CLEAR) => {
                let outcome = self.check.clear().await;
                let mut status = self.status();
                status["discord"] = json!(said(&outcome));
                answer(StatusCode::OK, &status)
            }
            (&Method::GET, PAUSES) => answer(StatusCode::OK, &self.pauses(self.limits.is_shared())),
            (&Method::POST, CLEAR_PAUSES) => {
                let shared = self.limits.clear_pauses().await;
                answer(StatusCode::OK, &self.pauses(shared))
            }
            _ => answer(
                StatusCode::NOT_FOUND,
                &json!({ "message": format!("there are GET {STATUS}, POST {CLEAR}, GET {PAUSES} and POST {CLEAR_PAUSES}") }),
            ),
        })
    }

    /// Pauses in force. `shared`: whether the other replicas have the same.
    fn pauses(&self, shared: bool) -> Value {
        json!({
            "replica": self.check.replica,
            "shared": shared,
            "pauses": shown(&self.limits.pauses()),
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

    /// What is known of the token; shown in `/health`, too.
    pub(crate) fn status(&self) -> Value {
        let token = &self.check.token;
        let mut status = json!({
            "fingerprint": token.fingerprint(),
            "replica": self.check.replica,
            "state": if token.is_dead() { "dead" } else { "not refused" },
            "shared": self.check.is_shared(),
        });
        if let Some(death) = token.death() {
            status["since"] = json!(rfc3339(death.since_ms));
            status["confirmed"] = json!(rfc3339(death.confirmed_ms));
            status["found_by"] = json!(death.by);
            status["next_check"] = json!(death.next_check_ms.map(rfc3339));
        }
        status
    }
}

fn said(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Accepted => "accepted".to_owned(),
        Outcome::Refused => "refused".to_owned(),
        Outcome::Unknown(why) => format!("unknown: {why}"),
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let mut response = (status, body.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
