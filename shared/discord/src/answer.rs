//! From status, headers and body to a value or an [`Error`]: the one table of what Discord's answers mean to us.

use std::time::Duration;

use arrakis_contracts::proxy::{self, ProxyError};
use arrakis_contracts::redact;
use arrakis_discord_http::{CallClass, Failure, codes};
use arrakis_fail_point as fail_point;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, FieldError};

/// An answer that arrived whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Discord's error body: <https://discord.com/developers/docs/reference#error-messages>
#[derive(Debug, Default, Deserialize)]
struct ErrorBody {
    #[serde(default)]
    code: u64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Value,
    retry_after: Option<f64>,
}

/// Why an answer is no success.
#[derive(Debug)]
pub(crate) struct Failed {
    /// For the table.
    pub(crate) failure: Failure,
    /// For the caller.
    pub(crate) error: Error,
    /// The replica is shutting down.
    pub(crate) leaving: bool,
    /// The replica refused this service, and another one may not.
    pub(crate) refusal: Option<ReplicaRefusal>,
    /// It failed before or behind a proxy that did not, or could not, repeat the call by itself.
    unrepeated: bool,
}

/// How one replica of the proxy refuses this service. Replicas differ while a credential is exchanged or a version rolled out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplicaRefusal {
    /// It does not know the credential.
    Credential,
    /// Its allow-list lacks the call.
    Call,
}

impl Failed {
    /// Whether this process sends the call again, where the table says "repeat in place".
    pub(crate) fn is_repeated_here(&self, class: CallClass) -> bool {
        if class == CallClass::TimeBound && fail_point::skips("discord.guard.response") {
            return false;
        }
        self.unrepeated || (class == CallClass::TimeBound && self.failure.may_have_landed())
    }

    /// How long a limit asks to wait. A proxy waits no longer than one try of ours may take; the whole call may have more time.
    pub(crate) fn limited_for(&self) -> Option<Duration> {
        match self.error {
            Error::RateLimited { retry_after } if self.failure == Failure::RateLimited => Some(retry_after),
            _ => None,
        }
    }
}

/// Words of a stranger that travel in logs and headers: enough of them.
const MOST_WORDS: usize = 500;
/// Fields at fault that are told, and bytes of each step to them.
const MOST_FIELDS: usize = 20;
const MOST_STEP: usize = 100;
/// Bytes of a body that is no JSON that are looked at.
const PAGE_START: usize = 2_048;
/// Longest time to stay away that is believed.
const LONGEST_AWAY: Duration = Duration::from_secs(24 * 3_600);

/// The segments of a request's path.
fn segments(path: &str) -> Vec<&str> {
    path.split('?').next().unwrap_or_default().split('/').collect()
}

/// Words of a stranger without tokens (a page of an intermediary may repeat the path of the call), and not too many of them. Tokens
/// are taken out first: the beginning of one has no longer its form.
fn clipped(text: &str, bytes: usize) -> String {
    let mut text = redact::text(text);
    text.truncate(text.floor_char_boundary(bytes));
    text
}

impl Answer {
    /// What the proxy says about an answer that it made by itself.
    pub(crate) fn by_proxy(&self) -> Option<ProxyError> {
        let name = self.headers.get(proxy::PROXY_ERROR)?.to_str().ok()?;
        ProxyError::from_name(name)
    }

    /// How many times the proxy asked Discord.
    pub(crate) fn asked(&self) -> Option<u32> {
        self.headers.get(proxy::ATTEMPTS)?.to_str().ok()?.parse().ok()
    }

    /// When Discord made the answer; `None` for one of the proxy's own, or of a gateway between us and the proxy.
    pub(crate) fn discords_date(&self) -> Option<&str> {
        let of_discord = self.asked().is_some_and(|attempts| attempts > 0);
        if !of_discord || self.headers.contains_key(proxy::PROXY_ERROR) {
            return None;
        }
        self.headers.get(http::header::DATE)?.to_str().ok()
    }

    /// Why it is no success; `None` for a success. `method` and `path` (from the base of the API on) are the request's.
    pub(crate) fn failed(&self, method: &Method, path: &str) -> Option<Failed> {
        if self.status.is_success() {
            let failure = Failure::of_body(&self.body)?;
            let start = &self.body[..self.body.len().min(PAGE_START)];
            let start = clipped(&String::from_utf8_lossy(start), MOST_STEP);
            return Some(Failed {
                failure,
                error: Error::Unreadable(format!("status {} with a body that is no JSON: {start}", self.status)),
                leaving: false,
                refusal: None,
                unrepeated: true,
            });
        }
        let mut said: ErrorBody = serde_json::from_slice(&self.body).unwrap_or_default();
        said.message = clipped(&said.message, MOST_WORDS);
        match self.by_proxy() {
            Some(error) => Some(self.refused_by_proxy(error, &said)),
            None => self.refused_beyond(method, path, &said),
        }
    }

    /// An answer that is not the proxy's own. The proxy counts its attempts on each answer that it passes on; without the count,
    /// or without Discord's error form, an intermediary refused, and that says nothing about the call.
    fn refused_beyond(&self, method: &Method, path: &str, said: &ErrorBody) -> Option<Failed> {
        let by_proxy = self.asked().is_some();
        let failure = match Failure::of_response(method, &segments(path), self.status, &self.body)? {
            failure @ (Failure::RateLimited | Failure::ServerError) => failure,
            failure if by_proxy => failure,
            _ => Failure::UnreadableAnswer,
        };
        let error = if failure == Failure::UnreadableAnswer {
            let between = if by_proxy {
                "the discord-proxy and Discord"
            } else {
                "this service and the discord-proxy"
            };
            let start = clipped(&String::from_utf8_lossy(&self.body), MOST_STEP);
            Error::Unavailable(format!(
                "status {} that is not Discord's: something between {between} answered: {start}",
                self.status
            ))
        } else {
            self.refused_by_discord(said)
        };
        Some(Failed {
            failure,
            error,
            leaving: false,
            refusal: None,
            unrepeated: !by_proxy,
        })
    }

    fn refused_by_proxy(&self, error: ProxyError, said: &ErrorBody) -> Failed {
        let words = format!("{error}: {}", said.message);
        let refusal = match error {
            ProxyError::UnknownCaller => Some(ReplicaRefusal::Credential),
            ProxyError::NotAllowed => Some(ReplicaRefusal::Call),
            _ => None,
        };
        let (failure, unrepeated, error) = match error {
            ProxyError::WaitedTooLong => {
                let retry_after = self.retry_after(said);
                (Failure::RateLimited, false, Error::RateLimited { retry_after })
            }
            // Not sent to Discord. Another replica may know the credential, or another version may allow the call.
            ProxyError::UnknownCaller => (Failure::NotSent, true, Error::Unavailable(words)),
            ProxyError::NotAllowed => (Failure::NotSent, true, Error::Refused(words)),
            ProxyError::BadRequest | ProxyError::BodyTooLarge => (Failure::Refused, false, Error::Refused(words)),
            ProxyError::InvalidRequestBudget | ProxyError::TokenDead => {
                (Failure::NotSent, false, Error::Unavailable(words))
            }
            ProxyError::ShuttingDown | ProxyError::Unreachable => (Failure::NotSent, true, Error::Unavailable(words)),
            ProxyError::OutcomeUnknown => (Failure::NoAnswer, true, Error::OutcomeUnknown(words)),
        };
        Failed {
            failure,
            error,
            leaving: self.by_proxy() == Some(ProxyError::ShuttingDown),
            refusal,
            unrepeated,
        }
    }

    fn refused_by_discord(&self, said: &ErrorBody) -> Error {
        let ErrorBody { code, message, .. } = said;
        let (code, message) = (*code, message.clone());
        match (self.status.as_u16(), code) {
            (status @ (500.. | 408), _) => Error::Unavailable(format!("Discord answered {status}: {message}")),
            (429, _) => Error::RateLimited {
                retry_after: self.retry_after(said),
            },
            (_, codes::ALREADY_ACKNOWLEDGED) => Error::AlreadyAcknowledged,
            (_, codes::INVALID_WEBHOOK_TOKEN) => Error::TokenExpired,
            (404, _) => Error::Gone { code, message },
            (_, code) if codes::UNKNOWN.contains(&code) => Error::Gone { code, message },
            (401, _) => Error::Refused(format!("Discord answered 401: {message}")),
            (403, _) => Error::Forbidden { code, message },
            (status, _) => Error::Invalid {
                code,
                message: if message.is_empty() {
                    format!("status {status}")
                } else {
                    message
                },
                fields: fields(&said.errors),
            },
        }
    }

    /// `retry_after` of the body is finer than the header's whole seconds.
    fn retry_after(&self, said: &ErrorBody) -> Duration {
        let header = || {
            self.headers
                .get(http::header::RETRY_AFTER)?
                .to_str()
                .ok()?
                .parse::<f64>()
                .ok()
        };
        let seconds = said.retry_after.or_else(header).unwrap_or(1.0);
        let wait = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(1));
        wait.min(LONGEST_AWAY)
    }
}

/// Flattens Discord's nested `errors` object: a leaf is `{"_errors": [{code, message}]}`. The first few fields suffice: each
/// holds its whole path, so a page of leaves below one long key would grow to gigabytes.
fn fields(errors: &Value) -> Vec<FieldError> {
    let mut found = Vec::new();
    collect(errors, &mut Vec::new(), &mut found);
    found
}

fn collect(value: &Value, path: &mut Vec<String>, found: &mut Vec<FieldError>) {
    let Value::Object(map) = value else { return };
    for (key, inner) in map {
        if found.len() >= MOST_FIELDS {
            return;
        }
        if key == "_errors" {
            let text = |item: &Value, name: &str| clipped(item[name].as_str().unwrap_or_default(), MOST_STEP);
            let items = inner.as_array().into_iter().flatten();
            found.extend(items.take(MOST_FIELDS - found.len()).map(|item| FieldError {
                path: clipped(&path.join("."), MOST_STEP),
                code: text(item, "code"),
                message: text(item, "message"),
            }));
        } else {
            path.push(clipped(key, MOST_STEP));
            collect(inner, path, found);
            path.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Result<(), Failed> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: map,
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        answer
            .failed(&Method::PATCH, "webhooks/1/t/messages/@original")
            .map_or(Ok(()), Err)
    }

    fn error(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Error {
        answer(status, headers, body).unwrap_err().error
    }

    #[test]
    fn discords_codes_become_what_a_caller_branches_on() {
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
    fn the_proxys_own_answers_are_told_apart_from_discords() {
        let class = |status, name| error(status, &[(proxy::PROXY_ERROR, name)], r#"{"code":0,"message":"m"}"#).class();
        assert_eq!(class(502, "unreachable"), "unavailable");
        assert_eq!(class(504, "outcome-unknown"), "outcome_unknown");
        assert_eq!(class(403, "not-allowed"), "refused");
        assert_eq!(class(503, "token-dead"), "unavailable");
        assert_eq!(class(429, "waited-too-long"), "rate_limited");
    }

    #[test]
    fn a_rate_limit_says_how_long() {
        let body = r#"{"message":"You are being rate limited.","retry_after":0.25,"global":false}"#;
        let wait = |millis| Error::RateLimited {
            retry_after: Duration::from_millis(millis),
        };
        assert_eq!(error(429, &[("retry-after", "1")], body), wait(250));
        assert_eq!(error(429, &[("retry-after", "2")], ""), wait(2000));
        assert_eq!(error(429, &[], r#"{"retry_after":-1}"#), wait(1000));
    }

    #[test]
    fn nested_field_errors_are_named_by_their_path() {
        let body = r#"{"code":50035,"message":"Invalid Form Body","errors":{"embeds":{"0":{"title":{"_errors":
            [{"code":"BASE_TYPE_MAX_LENGTH","message":"Must be 256 or fewer in length."}]}}}}}"#;
        let error = error(400, &[(proxy::ATTEMPTS, "1")], body);
        assert_eq!(
            error.to_string(),
            "invalid: Invalid Form Body (code 50035): embeds.0.title Must be 256 or fewer in length. (BASE_TYPE_MAX_LENGTH)"
        );
    }

    #[test]
    fn a_success_has_not_failed() {
        assert!(answer(204, &[], "").is_ok());
    }

    #[test]
    fn refusal_of_an_intermediary_is_no_refusal_of_discords() {
        let discords = r#"{"code":10011,"message":"Unknown Role"}"#;
        let asked = [(proxy::ATTEMPTS, "1")];
        for status in [302, 400, 401, 403, 404] {
            for (headers, body) in [
                (&asked[..], "<html>"),
                (&asked[..], ""),
                (&[], "<html>"),
                (&[], discords),
            ] {
                let failed = answer(status, headers, body).unwrap_err();
                assert_eq!(failed.failure, Failure::UnreadableAnswer, "{status} {headers:?} {body}");
                assert!(
                    failed.error.is_passing(),
                    "{status} {headers:?} {body}: {}",
                    failed.error
                );
                assert_eq!(failed.is_repeated_here(CallClass::Idempotent), headers.is_empty());
            }
        }
        assert_eq!(error(404, &asked, discords).class(), "gone");
        assert_eq!(error(429, &[], "<html>").class(), "rate_limited");
    }

    #[test]
    fn date_counts_only_where_the_proxy_passed_discords_answer_on() {
        let date = |headers: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().unwrap());
            }
            map.insert("date", "Sat, 21 Nov 2026 00:00:00 GMT".parse().unwrap());
            let answer = Answer {
                status: StatusCode::OK,
                headers: map,
                body: Bytes::new(),
            };
            answer.discords_date().is_some()
        };
        assert!(date(&[(proxy::ATTEMPTS, "1")]));
        assert!(!date(&[(proxy::ATTEMPTS, "0")]), "Discord was not asked");
        assert!(!date(&[]), "a gateway's own");
        assert!(!date(&[
            (proxy::ATTEMPTS, "1"),
            (proxy::PROXY_ERROR, "outcome-unknown")
        ]));
    }

    #[test]
    fn only_what_no_proxy_repeated_is_repeated_here() {
        let here = |status, headers: &[(&'static str, &'static str)], class| {
            answer(status, headers, "").unwrap_err().is_repeated_here(class)
        };
        let asked = [(proxy::ATTEMPTS, "4")];
        assert!(!here(502, &asked, CallClass::Idempotent), "the proxy repeated it");
        assert!(here(502, &asked, CallClass::TimeBound));
        assert!(
            here(502, &[], CallClass::Idempotent),
            "a gateway between us and the proxy"
        );
        assert!(here(502, &[(proxy::PROXY_ERROR, "unreachable")], CallClass::Once));
        assert!(!here(503, &[(proxy::PROXY_ERROR, "token-dead")], CallClass::Idempotent));
    }
}
