//! Discord's rate-limit headers
//! (<https://discord.com/developers/docs/topics/rate-limits#header-format-rate-limit-header-examples>) and the body of a 429.
//!
//! A header that is missing or malformed is ignored. Every time is bounded: one figure, right or wrong, never stops calls for
//! longer. Where a limit still holds after the bound, the next 429 states a new time.

use std::time::Duration;

use http::HeaderMap;

use crate::error_body::ErrorBody;

/// Added to each wait that Discord states, because its clock and that of this process are read at different moments.
pub const RESET_MARGIN: Duration = Duration::from_millis(50);

/// Longest time that is read at all.
const MAX_TIME: Duration = Duration::from_secs(24 * 3_600);
/// Bound of the global limit, which counts in seconds
/// (<https://discord.com/developers/docs/topics/rate-limits#global-rate-limit>).
const MAX_GLOBAL: Duration = Duration::from_secs(60);
/// Bound of the edge, which counts invalid requests over ten minutes
/// (<https://discord.com/developers/docs/topics/rate-limits#invalid-request-limit-aka-cloudflare-bans>).
const MAX_EDGE: Duration = Duration::from_secs(600);
/// Bound of a route: the longest known window is that of two changes of a channel's name or topic in ten minutes.
const MAX_ROUTE: Duration = Duration::from_secs(600);

/// Which limit a 429 is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimitScope {
    /// The bot's bucket of the route.
    User,
    /// The bot's global limit.
    Global,
    /// The resource's limit, shared with other bots. Such a 429 is not an invalid request.
    Shared,
    /// Cloudflare in front of Discord: all requests from this address.
    Edge,
}

impl RateLimitScope {
    /// The scope of a 429. Without a header or body of Discord's own limiter it is the edge.
    fn of(headers: &HeaderMap, body: &ErrorBody) -> Self {
        match text(headers, "x-ratelimit-scope") {
            Some("shared") => Self::Shared,
            Some("global") => Self::Global,
            _ if headers.contains_key("x-ratelimit-global") || body.is_global() => Self::Global,
            Some(_) => Self::User,
            None if body.retry_after.is_some() => Self::User,
            None => Self::Edge,
        }
    }

    const fn max_wait(self) -> Duration {
        match self {
            Self::User | Self::Shared => MAX_ROUTE,
            Self::Global => MAX_GLOBAL,
            Self::Edge => MAX_EDGE,
        }
    }

    /// Name in metrics and logs: `user`, `global`, `shared` or `edge`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Global => "global",
            Self::Shared => "shared",
            Self::Edge => "edge",
        }
    }
}

/// A bucket as the headers of a response state it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketState {
    /// `X-RateLimit-Bucket`: 1 to 128 visible ASCII characters.
    pub hash: String,
    /// `X-RateLimit-Limit`, at least 1.
    pub limit: u32,
    /// `X-RateLimit-Remaining`.
    pub remaining: u32,
    /// `X-RateLimit-Reset-After`, at most ten minutes, with [`RESET_MARGIN`].
    pub reset_after: Duration,
}

impl BucketState {
    /// Reads the headers; `None` when one of the four is missing or malformed.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let hash = text(headers, "x-ratelimit-bucket")?.trim();
        let clean = !hash.is_empty() && hash.len() <= 128 && hash.bytes().all(|byte| byte.is_ascii_graphic());
        let limit = number(headers, "x-ratelimit-limit").filter(|limit| *limit > 0)?;
        clean.then_some(Self {
            hash: hash.to_owned(),
            limit,
            remaining: number(headers, "x-ratelimit-remaining")?,
            reset_after: header_seconds(headers, "x-ratelimit-reset-after")?.min(MAX_ROUTE) + RESET_MARGIN,
        })
    }
}

/// What a 429 states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimited {
    /// Which limit.
    pub scope: RateLimitScope,
    /// How long to wait, without [`RESET_MARGIN`]; at most one minute for the global limit and ten minutes for all others. `None`
    /// where neither headers nor body state a time.
    pub retry_after: Option<Duration>,
}

impl RateLimited {
    /// Reads a 429. The body's time is exact and that of `Retry-After` is rounded up to whole seconds, so the body counts; the header
    /// counts where it is longer by more than rounding and within the bound of the scope.
    #[must_use]
    pub fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let body = ErrorBody::read(body);
        let scope = RateLimitScope::of(headers, &body);
        let max = scope.max_wait();
        let header = header_seconds(headers, "retry-after");
        let wait = match (header, body.retry_after.and_then(seconds)) {
            (Some(header), Some(body)) if header > body + Duration::from_secs(1) && header <= max => Some(header),
            (_, Some(body)) => Some(body),
            (Some(header), None) => Some(header),
            (None, None) => header_seconds(headers, "x-ratelimit-reset-after"),
        };
        Self {
            scope,
            retry_after: wait.map(|wait| wait.min(max)),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u32> {
    text(headers, name)?.trim().parse().ok()
}

fn seconds(value: f64) -> Option<Duration> {
    match Duration::try_from_secs_f64(value) {
        Ok(duration) => Some(duration.min(MAX_TIME)),
        // Beyond what a duration holds; neither negative nor NaN.
        Err(_) if value > 0.0 => Some(MAX_TIME),
        Err(_) => None,
    }
}

fn header_seconds(headers: &HeaderMap, name: &str) -> Option<Duration> {
    seconds(text(headers, name)?.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn retry_after(headers: &HeaderMap, body: &[u8]) -> Option<Duration> {
        RateLimited::read(headers, body).retry_after
    }

    const BUCKET: [(&str, &str); 4] = [
        ("x-ratelimit-bucket", "abcd1234"),
        ("x-ratelimit-limit", "5"),
        ("x-ratelimit-remaining", "3"),
        ("x-ratelimit-reset-after", "0.25"),
    ];

    #[test]
    fn bucket_is_read_with_a_margin() {
        let bucket = BucketState::read(&headers(&BUCKET)).unwrap();
        assert_eq!(
            (bucket.hash.as_str(), bucket.limit, bucket.remaining),
            ("abcd1234", 5, 3)
        );
        assert_eq!(bucket.reset_after, Duration::from_millis(300));
    }

    #[test]
    fn malformed_bucket_header_is_ignored() {
        for (name, value) in [
            ("x-ratelimit-limit", "0"),
            ("x-ratelimit-limit", "many"),
            ("x-ratelimit-remaining", "-1"),
            ("x-ratelimit-reset-after", "NaN"),
            ("x-ratelimit-reset-after", "-3"),
            ("x-ratelimit-bucket", " "),
        ] {
            let mut headers = headers(&BUCKET);
            headers.insert(name, value.parse().unwrap());
            assert_eq!(BucketState::read(&headers), None, "{name}: {value}");
        }
    }

    #[test]
    fn scope_is_read_from_headers_and_body() {
        let body = br#"{"message":"You are being rate limited.","retry_after":1.5,"global":false}"#;
        let scope = |pairs: &[(&'static str, &str)], body: &[u8]| RateLimited::read(&headers(pairs), body).scope;
        assert_eq!(scope(&[("x-ratelimit-scope", "user")], body), RateLimitScope::User);
        assert_eq!(scope(&[("x-ratelimit-scope", "shared")], body), RateLimitScope::Shared);
        assert_eq!(scope(&[("x-ratelimit-global", "true")], body), RateLimitScope::Global);
        assert_eq!(
            scope(&[], br#"{"retry_after":1,"global":true}"#),
            RateLimitScope::Global
        );
        assert_eq!(scope(&[], b"<html>banned</html>"), RateLimitScope::Edge);
        assert_eq!(scope(&[], body), RateLimitScope::User);
    }

    #[test]
    fn absurd_time_is_bounded_by_its_scope() {
        let day = "86400";
        let edge = headers(&[("retry-after", day)]);
        assert_eq!(retry_after(&edge, b"<html>"), Some(MAX_EDGE));
        let global = headers(&[("retry-after", day), ("x-ratelimit-global", "true")]);
        let body = br#"{"message":"x","retry_after":86400.0,"global":true}"#;
        assert_eq!(retry_after(&global, body), Some(MAX_GLOBAL));
        let user = headers(&[("retry-after", day), ("x-ratelimit-scope", "user")]);
        assert_eq!(retry_after(&user, br#"{"retry_after":86400}"#), Some(MAX_ROUTE));
        // Only one of the two times is within the bound.
        let absurd = headers(&[("retry-after", "1000000000"), ("x-ratelimit-scope", "user")]);
        assert_eq!(
            retry_after(&absurd, br#"{"retry_after":0.2}"#),
            Some(Duration::from_millis(200))
        );
        let mut used_up = headers(&BUCKET);
        used_up.insert("x-ratelimit-reset-after", "86400000".parse().unwrap());
        let bucket = BucketState::read(&used_up).unwrap();
        assert_eq!(bucket.reset_after, MAX_ROUTE + RESET_MARGIN);
    }

    #[test]
    fn exact_time_counts_before_the_rounded_one() {
        let rounded = headers(&[("retry-after", "2")]);
        assert_eq!(
            retry_after(&rounded, br#"{"retry_after":1.337}"#),
            Some(Duration::from_millis(1_337))
        );
        assert_eq!(retry_after(&rounded, b""), Some(Duration::from_secs(2)));
        assert_eq!(
            retry_after(&headers(&[("retry-after", "60")]), br#"{"retry_after":1}"#),
            Some(Duration::from_secs(60))
        );
    }

    #[test]
    fn time_that_is_missing_or_malformed_is_none() {
        assert_eq!(retry_after(&HeaderMap::new(), b"<html>"), None);
        for value in ["-1", "NaN", "soon"] {
            assert_eq!(retry_after(&headers(&[("retry-after", value)]), b""), None, "{value}");
        }
        // Beyond what a duration holds: the bound of the edge.
        let absurd = headers(&[("retry-after", "1e30")]);
        assert_eq!(retry_after(&absurd, b""), Some(Duration::from_secs(600)));
        let reset = headers(&[("x-ratelimit-reset-after", "3")]);
        assert_eq!(retry_after(&reset, b""), Some(Duration::from_secs(3)));
    }
}
