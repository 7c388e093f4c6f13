//! `/internal/kill-switch`: workers and the api read and write the kill switch of this replica, with `KILL_SWITCH_CREDENTIAL`.
//!
//! It needs neither Redis nor PostgreSQL. It is on the port of callers, and no credential of a caller permits it.
//!
//! A write that does not have its effect, since the replica has a newer entry, is answered with 409. An entry that is on may leave out its version: it
//! is the newest one then. So an operator without `arrakis-worker` turns the kill switch on whatever version the replica has.

use std::sync::Arc;

use arrakis_config::Secret;
use arrakis_security::kill_switch::{CONFIRMS, KillSwitch, KillSwitchScope, KillSwitchState, PROXY_PATH};
use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
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

/// An entry of a write.
#[derive(Debug, Deserialize)]
struct WrittenEntry {
    scope: KillSwitchScope,
    is_on: bool,
    version: Option<u64>,
    #[serde(default)]
    by: String,
    #[serde(default)]
    reason: String,
}

impl WrittenEntry {
    /// The entry, with a version above that of `present` where it has none.
    fn above(self, present: &KillSwitchState) -> Result<KillSwitch, String> {
        let Self {
            scope,
            is_on,
            version,
            by,
            reason,
        } = self;
        match version {
            Some(version) => Ok(KillSwitch {
                scope,
                is_on,
                version,
                by,
                reason,
            }),
            None if is_on => Ok(KillSwitch::changed(scope, true, present.version(scope), &by, &reason)),
            None => Err("an entry that is off needs a version: that of the entry that it ends, plus one".to_owned()),
        }
    }
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
                .map(|credential| -> [u8; 32] { Sha256::digest(credential.expose()).into() })
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
            Method::GET => self.state(true, None),
            Method::PUT => self.write(parts, body).await,
            _ => response(
                StatusCode::METHOD_NOT_ALLOWED,
                &json!({ "message": "the kill switch is read by GET and written by PUT" }),
            ),
        }
    }

    async fn write(&self, parts: &Parts, body: Body) -> Response {
        let read = to_bytes(body, MAX_BODY).await.map_err(|error| error.to_string());
        let written =
            read.and_then(|body| serde_json::from_slice::<Vec<WrittenEntry>>(&body).map_err(|error| error.to_string()));
        let checked = written
            .map_err(|error| format!("the body is not a list of entries: {error}"))
            .and_then(|written| self.checked(written));
        match checked {
            Ok(entries) => {
                let is_stored = self.switches.apply(entries.clone()).await;
                let token = parts.headers.get(CONFIRMS).and_then(|token| token.to_str().ok());
                if let Some(token) = token {
                    self.switches.confirm_by(token);
                }
                self.state(is_stored, Some(&entries))
            }
            Err(message) => response(StatusCode::BAD_REQUEST, &json!({ "message": message })),
        }
    }

    /// The entries of a write, with plausible versions.
    fn checked(&self, written: Vec<WrittenEntry>) -> Result<KillSwitchState, String> {
        let present = self.switches.state();
        let entries = written.into_iter().map(|entry| entry.above(&present));
        let entries = KillSwitchState::from(entries.collect::<Result<Vec<_>, String>>()?);
        entries.check_versions().map_err(|error| error.to_string())?;
        Ok(entries)
    }

    /// The state; after a write of these entries with status 409 where one of them has no effect.
    fn state(&self, is_stored: bool, written: Option<&KillSwitchState>) -> Response {
        // Before the state: what is read after it is at least as new.
        let read = self.switches.read_token();
        let state = self.switches.state();
        let without_effect = written.and_then(|written| without_effect(&state, written));
        let mut body = json!({
            "replica": self.replica,
            "stored": is_stored && without_effect.is_none(),
            "read": read,
            "switches": state,
        });
        match without_effect {
            None => response(StatusCode::OK, &body),
            Some(message) => {
                if let Some(fields) = body.as_object_mut() {
                    fields.insert("message".to_owned(), json!(message));
                }
                response(StatusCode::CONFLICT, &body)
            }
        }
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

/// Why an entry that was written has no effect: the replica has a newer one, which says the opposite.
fn without_effect(state: &KillSwitchState, written: &KillSwitchState) -> Option<String> {
    let newer = written.switches().find_map(|entry| {
        let present = state.get(entry.scope)?;
        (present.is_on != entry.is_on).then_some(present)
    })?;
    Some(format!(
        "not stored: the replica has a newer entry of {}, of version {}, which is {}; to turn it on, leave out `version`",
        newer.scope,
        newer.version,
        if newer.is_on { "on" } else { "off" }
    ))
}

fn response(status: StatusCode, body: &Value) -> Response {
    let mut response = (status, body.to_string()).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
