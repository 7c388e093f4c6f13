//! From status, headers and body of a proxy's response to a value or an [`Error`].

use std::time::Duration;

use arrakis_contracts::proxy::{self, ProxyError};
use arrakis_contracts::redact;
use arrakis_discord_http::{CallClass, ErrorBody, Failure, FieldError, RateLimited, Response, codes, segments};
use arrakis_fail_point as fail_point;
use http::Method;

use crate::error::Error;

/// A response of a discord-proxy, or of a gateway in front of it.
#[derive(Debug)]
pub(crate) struct ProxyResponse(pub(crate) Response);

/// Why a response is not a success.
#[derive(Debug)]
pub(crate) struct FailedResponse {
    /// For the table.
    pub(crate) failure: Failure,
    /// For the caller.
    pub(crate) error: Error,
    /// Whether the replica is shutting down.
    pub(crate) shutting_down: bool,
    /// How the replica refused this service; another replica may not.
    pub(crate) refusal: Option<ReplicaRefusal>,
    /// Whether no proxy has retried the call, because it failed before or behind a proxy that could not.
    not_retried: bool,
}

/// How one replica of the proxy refuses this service. Replicas differ while a credential is exchanged or a version rolled out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplicaRefusal {
    /// The credential is unknown to it.
    Credential,
    /// Its allow-list lacks the call.
    Call,
}

impl FailedResponse {
    /// Whether this process repeats the call, where the table allows a repetition in place.
    pub(crate) fn is_repeated_here(&self, class: CallClass) -> bool {
        if class == CallClass::TimeBound && fail_point::skips("discord.guard.response") {
            return false;
        }
        self.not_retried || (class == CallClass::TimeBound && self.failure.may_have_taken_effect())
    }

    /// How long to wait after a 429. The proxy waits no longer than one attempt may take; the call as a whole may have more time.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self.error {
            Error::RateLimited { retry_after } if self.failure == Failure::RateLimited => Some(retry_after),
            _ => None,
        }
    }
}

/// Bytes of a remote message that are kept for logs and headers.
const MAX_MESSAGE: usize = 500;
/// Bytes of each text of a field error, and of a body that is not JSON, that are kept.
const MAX_TEXT: usize = 100;
/// Bytes of a body that is not JSON that are examined.
const BODY_START: usize = 2_048;
/// Wait after a 429 that states no time.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// A remote text without tokens (the page of an intermediary may contain the path of the call), cut to `bytes`. Tokens are removed
/// first, since the beginning of a token is not recognised.
fn clipped(text: &str, bytes: usize) -> String {
    let mut text = redact::text(text);
    text.truncate(text.floor_char_boundary(bytes));
    text
}

impl ProxyResponse {
    /// The error of a response that the proxy made itself.
    pub(crate) fn proxy_error(&self) -> Option<ProxyError> {
        let name = self.0.headers.get(proxy::PROXY_ERROR)?.to_str().ok()?;
        ProxyError::from_name(name)
    }

    /// How many times the proxy sent the call to Discord.
    pub(crate) fn proxy_attempts(&self) -> Option<u32> {
        self.0.headers.get(proxy::ATTEMPTS)?.to_str().ok()?.parse().ok()
    }

    /// The `Date` of Discord's response; `None` for a response of the proxy itself, or of a gateway in front of it.
    pub(crate) fn discord_date(&self) -> Option<&str> {
        let by_discord = self.proxy_attempts().is_some_and(|attempts| attempts > 0);
        if !by_discord || self.0.headers.contains_key(proxy::PROXY_ERROR) {
            return None;
        }
        self.0.headers.get(http::header::DATE)?.to_str().ok()
    }

    /// Why the response is not a success; `None` for a success. `method` and `path` (below the API version) are the request's.
    pub(crate) fn failed(&self, method: &Method, path: &str) -> Option<FailedResponse> {
        let Response { status, body, .. } = &self.0;
        if status.is_success() {
            let failure = Failure::of_body(body)?;
            let start = &body[..body.len().min(BODY_START)];
            let start = clipped(&String::from_utf8_lossy(start), MAX_TEXT);
            return Some(FailedResponse {
                failure,
                error: Error::Unreadable(format!("status {status} with a body that is not JSON: {start}")),
                shutting_down: false,
                refusal: None,
                not_retried: true,
            });
        }
        match self.proxy_error() {
            Some(error) => Some(self.refused_by_proxy(error)),
            None => self.refused_beyond_proxy(method, path),
        }
    }

    /// The failure of a response that the proxy did not make. The proxy adds its attempts to each response of Discord; without them,
    /// or without Discord's error form, an intermediary refused, which does not describe the call.
    fn refused_beyond_proxy(&self, method: &Method, path: &str) -> Option<FailedResponse> {
        let Response { status, body, .. } = &self.0;
        let by_proxy = self.proxy_attempts().is_some();
        let failure = match Failure::of_response(method, &segments(path), *status, body)? {
            failure @ (Failure::RateLimited | Failure::ServerError) => failure,
            failure if by_proxy => failure,
            _ => Failure::UnreadableResponse,
        };
        let error = if failure == Failure::UnreadableResponse {
            let between = if by_proxy {
                "the discord-proxy and Discord"
            } else {
                "this service and the discord-proxy"
            };
            let start = clipped(&String::from_utf8_lossy(body), MAX_TEXT);
            Error::Unavailable(format!("status {status} of an intermediary between {between}: {start}"))
        } else {
            self.refused_by_discord()
        };
        Some(FailedResponse {
            failure,
            error,
            shutting_down: false,
            refusal: None,
            not_retried: !by_proxy,
        })
    }

    fn refused_by_proxy(&self, error: ProxyError) -> FailedResponse {
        let message = message(&ErrorBody::read(&self.0.body));
        let reason = format!("{error}: {message}");
        let refusal = match error {
            ProxyError::UnknownCaller => Some(ReplicaRefusal::Credential),
            ProxyError::NotAllowed => Some(ReplicaRefusal::Call),
            _ => None,
        };
        let (failure, not_retried, error) = match error {
            ProxyError::WaitedTooLong => (Failure::RateLimited, false, self.rate_limited()),
            // Not sent to Discord. Another replica may have the credential, or another version may allow the call.
            ProxyError::UnknownCaller => (Failure::NotSent, true, Error::Unavailable(reason)),
            ProxyError::NotAllowed => (Failure::NotSent, true, Error::Refused(reason)),
            ProxyError::BadRequest | ProxyError::BodyTooLarge => (Failure::Refused, false, Error::Refused(reason)),
            // Every replica refuses the call alike until an operator or an admin ends it.
            ProxyError::InvalidRequestBudget | ProxyError::TokenDead | ProxyError::KillSwitch | ProxyError::Frozen => {
                (Failure::NotSent, false, Error::Unavailable(reason))
            }
            ProxyError::ShuttingDown | ProxyError::Unreachable => (Failure::NotSent, true, Error::Unavailable(reason)),
            ProxyError::OutcomeUnknown => (Failure::NoResponse, true, Error::OutcomeUnknown(reason)),
        };
        FailedResponse {
            failure,
            error,
            shutting_down: self.proxy_error() == Some(ProxyError::ShuttingDown),
            refusal,
            not_retried,
        }
    }

    fn refused_by_discord(&self) -> Error {
        let body = ErrorBody::read(&self.0.body);
        let (code, message) = (body.code.unwrap_or(0), message(&body));
        match (self.0.status.as_u16(), code) {
            (status @ (500.. | 408), _) => Error::Unavailable(format!("Discord returned {status}: {message}")),
            (429, _) => self.rate_limited(),
            (_, codes::ALREADY_ACKNOWLEDGED) => Error::AlreadyAcknowledged,
            (_, codes::INVALID_WEBHOOK_TOKEN) => Error::TokenExpired,
            (404, _) => Error::Gone { code, message },
            (_, code) if codes::UNKNOWN.contains(&code) => Error::Gone { code, message },
            (401, _) => Error::Refused(format!("Discord returned 401: {message}")),
            (403, _) => Error::Forbidden { code, message },
            (status, _) => Error::Invalid {
                code,
                message: if message.is_empty() {
                    format!("status {status}")
                } else {
                    message
                },
                fields: body.field_errors().iter().map(clipped_field).collect(),
            },
        }
    }

    fn rate_limited(&self) -> Error {
        let limited = RateLimited::read(&self.0.headers, &self.0.body);
        Error::RateLimited {
            retry_after: limited.retry_after.unwrap_or(DEFAULT_RETRY_AFTER),
        }
    }
}

fn message(body: &ErrorBody) -> String {
    clipped(body.message.as_deref().unwrap_or_default(), MAX_MESSAGE)
}

fn clipped_field(field: &FieldError) -> FieldError {
    FieldError {
        path: clipped(&field.path, MAX_TEXT),
        code: clipped(&field.code, MAX_TEXT),
        message: clipped(&field.message, MAX_TEXT),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn response(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> ProxyResponse {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        ProxyResponse(Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: map,
            body: Bytes::copy_from_slice(body.as_bytes()),
        })
    }

    fn failed(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Result<(), FailedResponse> {
        response(status, headers, body)
            .failed(&Method::PATCH, "webhooks/1/t/messages/@original")
            .map_or(Ok(()), Err)
    }

    fn error(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Error {
        failed(status, headers, body).unwrap_err().error
    }

    #[test]
    fn error_variant_is_derived_from_discords_code() {
        let class = |status, body| error(status, &[(proxy::ATTEMPTS, "1")], body).class();
        assert_eq!(class(404, r#"{"code":10062,"message":"Unknown interaction"}"#), "gone");
        assert_eq!(class(400, r#"{"code":10011,"message":"Unknown Role"}"#), "gone");
        assert_eq!(class(400, r#"{"code":40060,"message":"x"}"#), "already_acknowledged");
        assert_eq!(
            class(401, r#"{"code":50027,"message":"Invalid Webhook Token"}"#),
            "token_expired"
        );
        assert_eq!(class(401, r#"{"code":0,"message":"401: Unauthorized"}"#), "refused");
        assert_eq!(
            class(403, r#"{"code":50013,"message":"Missing Permissions"}"#),
            "forbidden"
        );
        assert_eq!(class(400, r#"{"code":50028,"message":"Invalid role"}"#), "invalid");
        assert_eq!(class(503, "<html>"), "unavailable");
    }

    #[test]
    fn response_of_the_proxy_itself_has_its_own_error() {
        let class = |status, name| error(status, &[(proxy::PROXY_ERROR, name)], r#"{"code":0,"message":"m"}"#).class();
        assert_eq!(class(502, "unreachable"), "unavailable");
        assert_eq!(class(504, "outcome-unknown"), "outcome_unknown");
        assert_eq!(class(403, "not-allowed"), "refused");
        assert_eq!(class(503, "token-dead"), "unavailable");
        assert_eq!(class(429, "waited-too-long"), "rate_limited");
    }

    #[test]
    fn rate_limit_states_the_wait() {
        let body = r#"{"message":"You are being rate limited.","retry_after":0.25,"global":false}"#;
        let wait = |millis| Error::RateLimited {
            retry_after: Duration::from_millis(millis),
        };
        assert_eq!(error(429, &[("retry-after", "1")], body), wait(250));
        assert_eq!(error(429, &[("retry-after", "2")], ""), wait(2000));
        assert_eq!(error(429, &[], r#"{"retry_after":-1}"#), wait(1000));
    }

    #[test]
    fn nested_field_errors_have_their_paths() {
        let body = r#"{"code":50035,"message":"Invalid Form Body","errors":{"embeds":{"0":{"title":{"_errors":
            [{"code":"BASE_TYPE_MAX_LENGTH","message":"Must be 256 or fewer in length."}]}}}}}"#;
        let error = error(400, &[(proxy::ATTEMPTS, "1")], body);
        assert_eq!(
            error.to_string(),
            "invalid: Invalid Form Body (code 50035): embeds.0.title Must be 256 or fewer in length. (BASE_TYPE_MAX_LENGTH)"
        );
    }

    #[test]
    fn success_is_not_a_failure() {
        assert!(failed(204, &[], "").is_ok());
    }

    #[test]
    fn refusal_of_an_intermediary_is_transient() {
        let discords = r#"{"code":10011,"message":"Unknown Role"}"#;
        let attempted = [(proxy::ATTEMPTS, "1")];
        for status in [302, 400, 401, 403, 404] {
            for (headers, body) in [
                (&attempted[..], "<html>"),
                (&attempted[..], ""),
                (&[], "<html>"),
                (&[], discords),
            ] {
                let failed = failed(status, headers, body).unwrap_err();
                assert_eq!(
                    failed.failure,
                    Failure::UnreadableResponse,
                    "{status} {headers:?} {body}"
                );
                assert!(
                    failed.error.is_transient(),
                    "{status} {headers:?} {body}: {}",
                    failed.error
                );
                assert_eq!(failed.is_repeated_here(CallClass::Idempotent), headers.is_empty());
            }
        }
        assert_eq!(error(404, &attempted, discords).class(), "gone");
        assert_eq!(error(429, &[], "<html>").class(), "rate_limited");
    }

    #[test]
    fn date_is_read_only_from_discords_responses() {
        let date = |headers: &[(&'static str, &'static str)]| {
            let date = [("date", "Sat, 21 Nov 2026 00:00:00 GMT")];
            let response = response(200, &[headers, &date[..]].concat(), "");
            response.discord_date().is_some()
        };
        assert!(date(&[(proxy::ATTEMPTS, "1")]));
        assert!(!date(&[(proxy::ATTEMPTS, "0")]), "the call was not sent to Discord");
        assert!(!date(&[]), "a response of a gateway");
        assert!(!date(&[
            (proxy::ATTEMPTS, "1"),
            (proxy::PROXY_ERROR, "outcome-unknown")
        ]));
    }

    #[test]
    fn call_that_a_proxy_retried_is_not_repeated() {
        let here = |status, headers: &[(&'static str, &'static str)], class| {
            failed(status, headers, "").unwrap_err().is_repeated_here(class)
        };
        let attempted = [(proxy::ATTEMPTS, "4")];
        assert!(!here(502, &attempted, CallClass::Idempotent), "the proxy retried it");
        assert!(here(502, &attempted, CallClass::TimeBound));
        assert!(
            here(502, &[], CallClass::Idempotent),
            "a gateway between us and the proxy"
        );
        assert!(here(502, &[(proxy::PROXY_ERROR, "unreachable")], CallClass::Once));
        assert!(!here(503, &[(proxy::PROXY_ERROR, "token-dead")], CallClass::Idempotent));
    }
}
