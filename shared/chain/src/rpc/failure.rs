//! [`Failure`]: why one request to one endpoint has no result, and what a JSON-RPC error or an HTTP status means.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};

use super::wire::RpcError;
use crate::error::FailureKind;

/// Longest description in characters.
const MAX_DETAIL: usize = 200;

/// Failure of one request to one endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// What the failure means for the endpoint and the request.
    pub(crate) kind: FailureKind,
    /// Description without secrets.
    pub(crate) detail: String,
    /// Pause that the endpoint requests by the header `Retry-After`.
    pub(crate) retry_after: Option<Duration>,
    /// The JSON-RPC error, for callers to whom it is a result.
    pub(crate) rpc: Option<RpcError>,
}

impl Failure {
    /// A failure of this kind, without a requested pause and without a JSON-RPC error.
    pub(crate) fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            retry_after: None,
            rpc: None,
        }
    }

    /// [`FailureKind::Inconsistent`]: the endpoint contradicts itself or the request.
    pub(crate) fn inconsistent(detail: impl Into<String>) -> Self {
        Self::new(FailureKind::Inconsistent, detail)
    }

    /// [`FailureKind::Lagging`]: the endpoint is behind a block that is needed.
    pub(crate) fn lagging(detail: impl Into<String>) -> Self {
        Self::new(FailureKind::Lagging, detail)
    }

    /// [`FailureKind::Transport`]: there was no complete JSON-RPC response.
    pub(super) fn transport(detail: impl Into<String>) -> Self {
        Self::new(FailureKind::Transport, detail)
    }

    /// The meaning of a JSON-RPC error. Providers' codes and wordings differ and change, so only the two kinds that must not shorten
    /// a range of logs are recognised; everything else is [`FailureKind::Rejected`].
    pub(super) fn of_rpc(error: RpcError, secrets: &Secrets) -> Self {
        let message = error.message.to_ascii_lowercase();
        let has = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
        let kind = if error.is_evm_failure() {
            // A contract chooses the text of its revert, which may be any of the following.
            FailureKind::Rejected
        } else if matches!(error.code, 429 | -32007) || has(&RATE_LIMITS) {
            FailureKind::RateLimited
        } else if matches!(error.code, 401 | 403) || has(&REFUSED_KEYS) {
            FailureKind::Unauthorized
        } else {
            FailureKind::Rejected
        };
        let detail = secrets.redact(&format!("JSON-RPC error {}: {}", error.code, error.message));
        Self {
            rpc: Some(error),
            ..Self::new(kind, detail)
        }
    }

    /// The meaning of an HTTP status whose body is no JSON-RPC response.
    pub(super) fn of_status(status: StatusCode, headers: &HeaderMap) -> Self {
        let kind = match status {
            StatusCode::TOO_MANY_REQUESTS => FailureKind::RateLimited,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PAYMENT_REQUIRED => {
                FailureKind::Unauthorized
            }
            StatusCode::PAYLOAD_TOO_LARGE => FailureKind::TooLarge,
            StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => FailureKind::TimedOut,
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => FailureKind::Rejected,
            _ => FailureKind::Transport,
        };
        Self {
            retry_after: retry_after(headers),
            ..Self::new(kind, format!("HTTP status {status} without a JSON-RPC response"))
        }
    }

    /// Adds the pause that the header `Retry-After` requests, if there is one.
    pub(super) fn with_retry_after(mut self, headers: &HeaderMap) -> Self {
        self.retry_after = retry_after(headers);
        self
    }

    /// Whether a request for fewer blocks may succeed.
    pub(crate) const fn may_depend_on_range(&self) -> bool {
        matches!(self.kind, FailureKind::Rejected | FailureKind::TooLarge)
    }
}

/// Parts of messages, in lower case, that mean a rate limit. "limit exceeded" alone is not one: it is the text of -32005, with which
/// providers also refuse a range.
const RATE_LIMITS: [&str; 10] = [
    "rate limit",
    "rate-limit",
    "ratelimit",
    "too many requests",
    "request limit reached",
    "requests per second",
    "request count exceeded",
    "compute units per second",
    "throughput",
    "quota",
];

/// Parts of messages, in lower case, that mean a refused API key.
const REFUSED_KEYS: [&str; 8] = [
    "unauthorized",
    "unauthorised",
    "authenticat",
    "authorization",
    "api key",
    "api-key",
    "apikey",
    "forbidden",
];

/// `Retry-After`, in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    date.duration_since(SystemTime::now()).ok()
}

/// The parts of an endpoint's URL that may be secret: providers repeat them in messages.
#[derive(Clone)]
pub(crate) struct Secrets(Vec<String>);

/// Shorter parts of a URL, such as `v2`, are no secrets.
const MIN_SECRET: usize = 6;

impl Secrets {
    /// Path segments, query, user name and password of a URL, each of at least [`MIN_SECRET`] bytes.
    pub(crate) fn of(url: &url::Url) -> Self {
        let path = url.path_segments().into_iter().flatten().map(str::to_owned);
        let query = url
            .query_pairs()
            .flat_map(|(key, value)| [key.into_owned(), value.into_owned()]);
        let login = [url.username().to_owned(), url.password().unwrap_or_default().to_owned()];
        let mut parts: Vec<String> = path
            .chain(query)
            .chain(login)
            .filter(|part| part.len() >= MIN_SECRET)
            .collect();
        // A longer part may contain a shorter one.
        parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
        Self(parts)
    }

    /// The text in one line of at most [`MAX_DETAIL`] characters, without the secrets.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            text = text.replace(secret.as_str(), "[redacted]");
        }
        let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        printable.take(MAX_DETAIL).collect()
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: i64, message: &str) -> FailureKind {
        let secrets = Secrets::of(&url::Url::parse("https://a.example").unwrap());
        let error = RpcError {
            code,
            message: message.to_owned(),
            data: None,
        };
        Failure::of_rpc(error, &secrets).kind
    }

    #[test]
    fn refused_ranges_of_providers_are_rejections() {
        for (code, message) in [
            (
                -32602,
                "query returned more than 10000 results. Try with this block range [0x1, 0x2].",
            ),
            (-32005, "query returned more than 10000 results"),
            (-32005, "limit exceeded"),
            (
                -32600,
                "You can make eth_getLogs requests with up to a 500 block range.",
            ),
            (-32614, "eth_getLogs is limited to a 10,000 range"),
            (-32000, "block range is too wide"),
            (-32701, "exceed maximum block range: 5000"),
            (-32602, "Log response size exceeded."),
            (35, "ranges over 10000 blocks are not supported on freetier"),
        ] {
            assert_eq!(kind(code, message), FailureKind::Rejected, "{message}");
        }
    }

    #[test]
    fn rate_limits_and_refused_keys_are_recognised() {
        for (code, message) in [
            (429, "Your app has exceeded its compute units per second capacity"),
            (-32005, "daily request count exceeded, request rate limited"),
            (-32007, "50/second request limit reached"),
            (0, "Too Many Requests"),
        ] {
            assert_eq!(kind(code, message), FailureKind::RateLimited, "{message}");
        }
        for (code, message) in [
            (-32600, "Must be authenticated!"),
            (-32000, "invalid API key"),
            (401, "no"),
            (-32001, "Unauthorized"),
        ] {
            assert_eq!(kind(code, message), FailureKind::Unauthorized, "{message}");
        }
    }

    #[test]
    fn contract_cannot_pause_an_endpoint_by_the_text_of_its_revert() {
        for (code, message) in [
            (3, "execution reverted: rate limit"),
            (-32000, "execution reverted: Unauthorized"),
            (-32015, "VM execution error: invalid API key"),
        ] {
            assert_eq!(kind(code, message), FailureKind::Rejected, "{message}");
        }
    }

    #[test]
    fn secrets_of_the_url_are_removed_from_messages() {
        let url = url::Url::parse("https://u:passw0rd@a.example/v2/SEKRET42?apikey=HUNTER22").unwrap();
        let secrets = Secrets::of(&url);
        let text = secrets.redact("key SEKRET42 of a.example?apikey=HUNTER22 for passw0rd\nin v2");
        assert_eq!(
            text,
            "key [redacted] of a.example?[redacted]=[redacted] for [redacted] in v2"
        );
        assert_eq!(secrets.redact(&"x".repeat(10_000)).len(), MAX_DETAIL);
        assert_eq!(format!("{secrets:?}"), "[redacted]");
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let headers = |value: &str| HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
        assert_eq!(retry_after(&headers("7")), Some(Duration::from_secs(7)));
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
        assert!(retry_after(&headers(&date)).is_some_and(|pause| pause > Duration::from_secs(50)));
        assert_eq!(retry_after(&headers("soon")), None);
    }
}
