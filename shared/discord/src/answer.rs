//! From status, headers and body to a value or an [`Error`]: the one table of what Discord's answers mean to us.

use std::time::Duration;

use arrakis_contracts::proxy::{self, ProxyError};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
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

/// Already acknowledged.
const ACKNOWLEDGED: u64 = 40060;
/// Invalid webhook token, which is what an interaction's token is.
const WEBHOOK_TOKEN: u64 = 50027;
/// Unknown account … unknown anything: 10001 to 10999.
const UNKNOWN: std::ops::Range<u64> = 10_001..11_000;

/// Words of a stranger that travel in logs and headers: enough of them.
const MOST_WORDS: usize = 500;
/// Fields at fault that are told, and bytes of each step to them.
const MOST_FIELDS: usize = 20;
const MOST_STEP: usize = 100;
/// Longest time to stay away that is believed.
const LONGEST_AWAY: Duration = Duration::from_secs(24 * 3_600);

fn clipped(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}

impl Answer {
    /// What the proxy says about an answer that it made by itself.
    pub(crate) fn by_proxy(&self) -> Option<ProxyError> {
        let name = self.headers.get(proxy::PROXY_ERROR)?.to_str().ok()?;
        ProxyError::named(name)
    }

    /// How many times the proxy asked Discord.
    pub(crate) fn asked(&self) -> Option<u32> {
        self.headers.get(proxy::ATTEMPTS)?.to_str().ok()?.parse().ok()
    }

    /// When Discord made the answer; `None` for one of the proxy's own.
    pub(crate) fn discords_date(&self) -> Option<&str> {
        if self.headers.contains_key(proxy::PROXY_ERROR) {
            return None;
        }
        self.headers.get(http::header::DATE)?.to_str().ok()
    }

    /// The body of a success, or what went wrong.
    pub(crate) fn into_result(self) -> Result<Bytes, Error> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        // A gateway between us and the proxy may answer in HTML: then the status alone speaks.
        let mut said: ErrorBody = serde_json::from_slice(&self.body).unwrap_or_default();
        said.message = clipped(&said.message, MOST_WORDS);
        Err(match self.by_proxy() {
            Some(error) => self.refused_by_proxy(error, &said),
            None => self.refused_by_discord(&said),
        })
    }

    fn refused_by_proxy(&self, error: ProxyError, said: &ErrorBody) -> Error {
        let words = format!("{error}: {}", said.message);
        match error {
            ProxyError::WaitedTooLong => Error::RateLimited {
                retry_after: self.retry_after(said),
            },
            ProxyError::UnknownCaller | ProxyError::NotAllowed | ProxyError::BadRequest | ProxyError::BodyTooLarge => {
                Error::Refused(words)
            }
            ProxyError::InvalidRequestBudget
            | ProxyError::TokenDead
            | ProxyError::ShuttingDown
            | ProxyError::Unreachable => Error::Unavailable(words),
            ProxyError::OutcomeUnknown => Error::OutcomeUnknown(words),
        }
    }

    fn refused_by_discord(&self, said: &ErrorBody) -> Error {
        let ErrorBody { code, message, .. } = said;
        let (code, message) = (*code, message.clone());
        match (self.status.as_u16(), code) {
            (_, ACKNOWLEDGED) => Error::AlreadyAcknowledged,
            (_, WEBHOOK_TOKEN) => Error::TokenExpired,
            (429, _) => Error::RateLimited {
                retry_after: self.retry_after(said),
            },
            (404, _) => Error::Gone { code, message },
            (_, code) if UNKNOWN.contains(&code) => Error::Gone { code, message },
            (401, _) => Error::Refused(format!("Discord answered 401: {message}")),
            (403, _) => Error::Forbidden { code, message },
            (status, _) if status >= 500 => Error::Unavailable(format!("Discord answered {status}: {message}")),
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

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Result<Bytes, Error> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: map,
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
        .into_result()
    }

    #[test]
    fn discords_codes_become_what_a_caller_branches_on() {
        let class = |status, body| answer(status, &[], body).unwrap_err().class();
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
        let class = |status, name| {
            answer(status, &[(proxy::PROXY_ERROR, name)], r#"{"code":0,"message":"m"}"#)
                .unwrap_err()
                .class()
        };
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
        assert_eq!(answer(429, &[("retry-after", "1")], body).unwrap_err(), wait(250));
        assert_eq!(answer(429, &[("retry-after", "2")], "").unwrap_err(), wait(2000));
        assert_eq!(answer(429, &[], r#"{"retry_after":-1}"#).unwrap_err(), wait(1000));
    }

    #[test]
    fn nested_field_errors_are_named_by_their_path() {
        let body = r#"{"code":50035,"message":"Invalid Form Body","errors":{"embeds":{"0":{"title":{"_errors":
            [{"code":"BASE_TYPE_MAX_LENGTH","message":"Must be 256 or fewer in length."}]}}}}}"#;
        let error = answer(400, &[], body).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid: Invalid Form Body (code 50035): embeds.0.title Must be 256 or fewer in length. (BASE_TYPE_MAX_LENGTH)"
        );
    }

    #[test]
    fn a_success_is_its_body() {
        assert_eq!(answer(204, &[], "").unwrap(), Bytes::new());
    }
}
