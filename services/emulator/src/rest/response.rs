//! Conversion of a route's response or error into HTTP: status, headers, body.
//!
//! Owns the headers of rate limits and the `Date` header. `Date` has the emulator's time, since clients measure the offset of
//! their clock by it.

use std::time::Duration;

use axum::{body::Body, response::Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use time::{OffsetDateTime, macros::format_description};

use super::{
    call::RouteResponse,
    errors::ApiError,
    limits::{BucketState, Refusal, Scope},
};

/// A response under construction, with data for the ledger.
#[derive(Debug)]
pub struct RestResponse {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers, without `Date` and those of the bucket.
    pub headers: Vec<(&'static str, String)>,
    /// Media type; none without a body.
    pub content_type: Option<String>,
    /// The body.
    pub body: bytes::Bytes,
    /// Scope of a 429.
    pub scope: Option<Scope>,
    /// Whether a fault of the control API made it.
    pub fault: bool,
    /// How it is sent to the caller.
    pub delivery: Delivery,
    /// Whether the connection ends with a TCP reset when no response is sent.
    pub resets: bool,
    /// Whether the edge refused the request; then Discord's headers are absent.
    pub edge: bool,
}

/// How a response is sent to its caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Complete.
    #[default]
    Whole,
    /// Not at all: the connection is closed.
    Lost,
    /// Not at all: the connection stays open.
    Hangs,
    /// Status, headers and half of the body, then the connection is closed.
    Half,
    /// Headers at once, the body in pieces over this time.
    Slow(Duration),
}

const JSON: &str = "application/json";
/// Number of pieces of a slow body.
const PIECES: usize = 20;
/// Body of a fault that responds without JSON.
const GARBAGE: &str = "<html><body>502 Bad Gateway</body></html>";

impl RestResponse {
    fn new(status: StatusCode, body: String) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content_type: Some(JSON.to_owned()),
            body: body.into(),
            scope: None,
            fault: false,
            delivery: Delivery::Whole,
            resets: false,
            edge: false,
        }
    }

    /// The response of a handler.
    #[must_use]
    pub fn of_answer(answer: RouteResponse) -> Self {
        match answer {
            RouteResponse::Json(status, text) => Self::new(status, text),
            RouteResponse::NoContent => Self {
                content_type: None,
                ..Self::new(StatusCode::NO_CONTENT, String::new())
            },
            RouteResponse::File { content_type, bytes } => Self {
                content_type: Some(content_type),
                body: bytes,
                ..Self::new(StatusCode::OK, String::new())
            },
        }
    }

    /// An error. A 429 of a handler has its `retry_after` in the body alone, as at Discord.
    #[must_use]
    pub fn of_error(error: &ApiError) -> Self {
        Self::new(error.status, error.body().to_string())
    }

    /// 429 with all headers. <https://discord.com/developers/docs/topics/rate-limits#exceeding-a-rate-limit>
    #[must_use]
    pub fn rate_limited(scope: Scope, retry_after_ms: u64) -> Self {
        Self::rate_limited_as(scope, retry_after_ms, 0, "You are being rate limited.")
    }

    /// 429 with this code and text.
    #[must_use]
    pub fn rate_limited_as(scope: Scope, retry_after_ms: u64, code: u32, message: &str) -> Self {
        let body = json!({
            "message": message,
            "retry_after": seconds(retry_after_ms),
            "global": scope == Scope::Global,
            "code": code,
        });
        let mut reply = Self::new(StatusCode::TOO_MANY_REQUESTS, body.to_string());
        // The header has whole seconds, rounded up; the body is exact.
        reply
            .headers
            .push(("retry-after", retry_after_ms.div_ceil(1_000).to_string()));
        reply.headers.push(("x-ratelimit-scope", scope.name().to_owned()));
        if scope == Scope::Global {
            reply.headers.push(("x-ratelimit-global", "true".to_owned()));
        }
        reply.scope = Some(scope);
        reply
    }

    /// 429 of a rate limit.
    #[must_use]
    pub fn refused(refusal: &Refusal) -> Self {
        let mut reply = Self::rate_limited(refusal.scope, refusal.retry_after_ms);
        if let Some(bucket) = &refusal.bucket {
            reply.add_bucket(bucket);
        }
        reply
    }

    /// The edge's response to a banned address: no JSON, none of Discord's headers.
    #[must_use]
    pub fn banned(for_ms: u64) -> Self {
        let mut reply = Self::new(StatusCode::TOO_MANY_REQUESTS, "error code: 1015".to_owned());
        reply.content_type = Some("text/plain; charset=UTF-8".to_owned());
        reply.headers.push(("retry-after", for_ms.div_ceil(1_000).to_string()));
        reply.headers.push(("server", "cloudflare".to_owned()));
        reply.edge = true;
        reply
    }

    /// The response of a fault with this status.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let reason = status.canonical_reason().unwrap_or("Unknown");
        let body = json!({ "message": format!("{}: {reason}", status.as_u16()), "code": 0 });
        Self {
            fault: true,
            ..Self::new(status, body.to_string())
        }
    }

    /// 200 with a body that is not JSON, as a middlebox might send.
    #[must_use]
    pub fn garbage() -> Self {
        Self {
            fault: true,
            ..Self::new(StatusCode::OK, GARBAGE.to_owned())
        }
    }

    /// Adds the headers of a bucket.
    pub fn add_bucket(&mut self, bucket: &BucketState) {
        self.headers.extend([
            ("x-ratelimit-limit", bucket.limit.to_string()),
            ("x-ratelimit-remaining", bucket.remaining.to_string()),
            (
                "x-ratelimit-reset",
                format!("{}.{:03}", bucket.reset_ms / 1_000, bucket.reset_ms % 1_000),
            ),
            (
                "x-ratelimit-reset-after",
                format!("{}.{:03}", bucket.reset_after_ms / 1_000, bucket.reset_after_ms % 1_000),
            ),
            ("x-ratelimit-bucket", bucket.bucket.clone()),
        ]);
    }

    /// Whether the request counts as invalid: 401, 403 and 429, except scope `shared`.
    /// <https://discord.com/developers/docs/topics/rate-limits#invalid-request-limit-aka-cloudflare-bans>
    #[must_use]
    pub fn counts_as_invalid(&self) -> bool {
        match self.status.as_u16() {
            401 | 403 => true,
            429 => !self.edge && self.scope != Some(Scope::Shared),
            _ => false,
        }
    }

    /// The HTTP response.
    #[must_use]
    pub fn into_response(self, now_ms: u64) -> Response {
        let body = match self.delivery {
            Delivery::Whole => Body::from(self.body),
            Delivery::Lost | Delivery::Hangs => return cut(),
            Delivery::Half => half(&self.body),
            Delivery::Slow(time) => slowly(self.body, time),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let mut put = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        put("date", &http_date(now_ms));
        if let Some(content_type) = &self.content_type {
            put("content-type", content_type);
        }
        if !self.edge {
            put("via", "1.1 discord-emulator");
        }
        for (name, value) in &self.headers {
            put(name, value);
        }
        response
    }
}

/// A response whose body fails before anything is sent: the connection ends without a response.
fn cut() -> Response {
    let failing = futures_util::stream::iter([Err::<bytes::Bytes, _>(std::io::Error::other("answer lost on demand"))]);
    let mut response = Response::new(Body::from_stream(failing));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from_static("1"));
    response
}

/// Half of a body, then the end of the connection.
fn half(body: &bytes::Bytes) -> Body {
    let sent = body.slice(..body.len() / 2);
    let ends = Err(std::io::Error::other("answer cut off on demand"));
    // The head must be sent before the failure; otherwise the connection would end without a byte.
    let chunks = futures_util::stream::unfold(Some((sent, ends)), |state| async {
        let (sent, ends) = state?;
        if sent.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            return Some((ends, None));
        }
        Some((Ok(sent), Some((bytes::Bytes::new(), ends))))
    });
    Body::from_stream(chunks)
}

/// A body in twenty pieces at equal distances of time.
fn slowly(body: bytes::Bytes, time: Duration) -> Body {
    let piece = body.len().div_ceil(PIECES).max(1);
    let pause = time / u32::try_from(PIECES).unwrap_or(1);
    let chunks = futures_util::stream::unfold(body, move |mut left| async move {
        if left.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let sent = left.split_to(piece.min(left.len()));
        Some((Ok::<_, std::io::Error>(sent), left))
    });
    Body::from_stream(chunks)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of a waiting time are far below 2^52"
)]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
fn http_date(unix_ms: u64) -> String {
    let format =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    i64::try_from(unix_ms / 1_000)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|time| time.format(format).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(http_date(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn shared_limits_and_the_edge_do_not_count_as_invalid() {
        assert!(RestResponse::rate_limited(Scope::User, 1).counts_as_invalid());
        assert!(RestResponse::rate_limited(Scope::Global, 1).counts_as_invalid());
        assert!(!RestResponse::rate_limited(Scope::Shared, 1).counts_as_invalid());
        assert!(!RestResponse::banned(1).counts_as_invalid());
        assert!(RestResponse::of_status(403).counts_as_invalid());
        assert!(!RestResponse::of_status(404).counts_as_invalid());
    }

    #[test]
    fn waiting_times_are_rounded_up_in_the_header() {
        let reply = RestResponse::rate_limited(Scope::User, 1_001);
        assert!(reply.headers.contains(&("retry-after", "2".to_owned())));
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["retry_after"], 1.001);
    }
}
