//! Reads Discord's rate-limit headers
//! (<https://discord.com/developers/docs/topics/rate-limits#header-format-rate-limit-header-examples>).
//!
//! Refuses to guess: a header that is missing or malformed teaches nothing.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::{Bucket, Learned, MARGIN, Pause};

/// Longest figure that is read at all.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3_600);
/// Longest pause that one answer makes, by whose limit it is. After it calls go on, and where the limit still holds, their 429 makes
/// the next one: one figure, wrong or right, never stops calls for longer.
///
/// The global limit counts in seconds
/// (<https://discord.com/developers/docs/topics/rate-limits#global-rate-limit>).
const LONGEST_GLOBAL: Duration = Duration::from_secs(60);
/// The edge counts invalid requests over ten minutes
/// (<https://discord.com/developers/docs/topics/rate-limits#invalid-request-limit-aka-cloudflare-bans>).
const LONGEST_EDGE: Duration = Duration::from_secs(600);
/// The longest window of a route that is known: two changes of a channel's name or topic in ten minutes.
const LONGEST_ROUTE: Duration = Duration::from_secs(600);
/// Pause after a 429 that does not say how long.
const UNTOLD: Duration = Duration::from_secs(5);

/// Whose limit a 429 was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// This bot's bucket.
    User,
    /// This bot's global limit.
    Global,
    /// The resource's, shared with other bots: not held against us.
    Shared,
    /// The edge before Discord: this address.
    Edge,
}

impl Scope {
    /// Longest pause that one answer makes.
    const fn longest_pause(self) -> Duration {
        match self {
            Self::User | Self::Shared => LONGEST_ROUTE,
            Self::Global => LONGEST_GLOBAL,
            Self::Edge => LONGEST_EDGE,
        }
    }

    /// Name, for metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Global => "global",
            Self::Shared => "shared",
            Self::Edge => "edge",
        }
    }
}

/// What a 429's body says.
#[derive(Debug, Default, Deserialize)]
struct Body {
    #[serde(default)]
    retry_after: Option<f64>,
    #[serde(default)]
    global: bool,
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u32> {
    text(headers, name)?.trim().parse().ok()
}

fn seconds(value: f64) -> Option<Duration> {
    let duration = Duration::try_from_secs_f64(value).ok()?;
    Some(duration.min(LONGEST_PAUSE))
}

fn header_seconds(headers: &HeaderMap, name: &str) -> Option<Duration> {
    seconds(text(headers, name)?.trim().parse().ok()?)
}

/// The bucket that an answer names.
fn bucket(headers: &HeaderMap) -> Option<Bucket> {
    let hash = text(headers, "x-ratelimit-bucket")?.trim();
    let clean = !hash.is_empty() && hash.len() <= 128 && hash.bytes().all(|byte| byte.is_ascii_graphic());
    let limit = number(headers, "x-ratelimit-limit").filter(|limit| *limit > 0)?;
    clean.then_some(Bucket {
        hash: hash.to_owned(),
        limit,
        remaining: number(headers, "x-ratelimit-remaining")?,
        reset_after: header_seconds(headers, "x-ratelimit-reset-after")?.min(LONGEST_ROUTE) + MARGIN,
    })
}

/// Whose limit a 429 was. Without a word from Discord's limiter it was the edge.
pub(crate) fn scope(headers: &HeaderMap, body: &[u8]) -> Scope {
    let said: Option<Body> = serde_json::from_slice(body).ok();
    let global = headers.contains_key("x-ratelimit-global") || said.as_ref().is_some_and(|said| said.global);
    match text(headers, "x-ratelimit-scope") {
        Some("shared") => Scope::Shared,
        Some("global") => Scope::Global,
        _ if global => Scope::Global,
        Some(_) => Scope::User,
        None if said.is_some_and(|said| said.retry_after.is_some()) => Scope::User,
        None => Scope::Edge,
    }
}

/// How long a 429 asks to wait: the larger of header (whole seconds, rounded up) and body (exact) when they differ by more
/// than rounding, else the exact one. A figure beyond the longest pause of its kind loses to one within it.
pub(crate) fn retry_after(headers: &HeaderMap, body: &[u8]) -> Duration {
    let longest = scope(headers, body).longest_pause();
    let header = header_seconds(headers, "retry-after");
    let body = serde_json::from_slice::<Body>(body)
        .unwrap_or_default()
        .retry_after
        .and_then(seconds);
    let told = match (header, body) {
        (Some(header), Some(body)) if header > body + Duration::from_secs(1) && header <= longest => header,
        (_, Some(body)) => body,
        (Some(header), None) => header,
        (None, None) => header_seconds(headers, "x-ratelimit-reset-after").unwrap_or(UNTOLD),
    };
    told.min(longest)
}

/// Everything that an answer tells about limits.
pub(crate) fn learn(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Learned {
    let bucket = bucket(headers);
    let pause = (status == StatusCode::TOO_MANY_REQUESTS).then(|| {
        let wait = retry_after(headers, body) + MARGIN;
        match scope(headers, body) {
            Scope::Global => Pause::Global(wait),
            Scope::Edge => Pause::Edge(wait),
            Scope::User | Scope::Shared => Pause::Route(wait),
        }
    });
    Learned {
        bucketless: bucket.is_none() && status.is_success(),
        bucket,
        pause,
    }
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

    const GOOD: [(&str, &str); 4] = [
        ("x-ratelimit-bucket", "abcd1234"),
        ("x-ratelimit-limit", "5"),
        ("x-ratelimit-remaining", "3"),
        ("x-ratelimit-reset-after", "0.25"),
    ];

    #[test]
    fn a_bucket_is_read_with_a_margin() {
        let learned = learn(StatusCode::OK, &headers(&GOOD), b"");
        let bucket = learned.bucket.unwrap();
        assert_eq!(
            (bucket.hash.as_str(), bucket.limit, bucket.remaining),
            ("abcd1234", 5, 3)
        );
        assert_eq!(bucket.reset_after, Duration::from_millis(300));
        assert_eq!((learned.pause, learned.bucketless), (None, false));
    }

    #[test]
    fn a_malformed_header_teaches_nothing() {
        for (name, value) in [
            ("x-ratelimit-limit", "0"),
            ("x-ratelimit-limit", "many"),
            ("x-ratelimit-remaining", "-1"),
            ("x-ratelimit-reset-after", "NaN"),
            ("x-ratelimit-reset-after", "-3"),
            ("x-ratelimit-bucket", " "),
        ] {
            let mut headers = headers(&GOOD);
            headers.insert(name, value.parse().unwrap());
            assert_eq!(
                learn(StatusCode::NOT_FOUND, &headers, b"").bucket,
                None,
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn a_success_without_a_bucket_says_that_there_is_none() {
        assert!(learn(StatusCode::OK, &HeaderMap::new(), b"").bucketless);
        assert!(!learn(StatusCode::INTERNAL_SERVER_ERROR, &HeaderMap::new(), b"").bucketless);
    }

    #[test]
    fn scopes_are_told_apart() {
        let said = br#"{"message":"You are being rate limited.","retry_after":1.5,"global":false}"#;
        assert_eq!(scope(&headers(&[("x-ratelimit-scope", "user")]), said), Scope::User);
        assert_eq!(scope(&headers(&[("x-ratelimit-scope", "shared")]), said), Scope::Shared);
        assert_eq!(scope(&headers(&[("x-ratelimit-global", "true")]), said), Scope::Global);
        assert_eq!(
            scope(&HeaderMap::new(), br#"{"retry_after":1,"global":true}"#),
            Scope::Global
        );
        assert_eq!(scope(&HeaderMap::new(), b"<html>banned</html>"), Scope::Edge);
        assert_eq!(scope(&HeaderMap::new(), said), Scope::User);
    }

    #[test]
    fn absurd_figure_makes_no_pause_longer_than_its_kind_has() {
        let day = "86400";
        let edge = headers(&[("retry-after", day)]);
        assert_eq!(retry_after(&edge, b"<html>"), LONGEST_EDGE);
        let global = headers(&[("retry-after", day), ("x-ratelimit-global", "true")]);
        let body = br#"{"message":"x","retry_after":86400.0,"global":true}"#;
        assert_eq!(retry_after(&global, body), LONGEST_GLOBAL);
        let user = headers(&[("retry-after", day), ("x-ratelimit-scope", "user")]);
        assert_eq!(retry_after(&user, br#"{"retry_after":86400}"#), LONGEST_ROUTE);
        // One of two figures is believable.
        let absurd = headers(&[("retry-after", "1000000000"), ("x-ratelimit-scope", "user")]);
        assert_eq!(
            retry_after(&absurd, br#"{"retry_after":0.2}"#),
            Duration::from_millis(200)
        );
        let mut used_up = headers(&GOOD);
        used_up.insert("x-ratelimit-remaining", "0".parse().unwrap());
        used_up.insert("x-ratelimit-reset-after", "86400000".parse().unwrap());
        let bucket = learn(StatusCode::OK, &used_up, b"").bucket.unwrap();
        assert_eq!(bucket.reset_after, LONGEST_ROUTE + MARGIN);
    }

    #[test]
    fn the_exact_figure_wins_over_the_rounded_one() {
        let rounded = headers(&[("retry-after", "2")]);
        assert_eq!(
            retry_after(&rounded, br#"{"retry_after":1.337}"#),
            Duration::from_millis(1_337)
        );
        assert_eq!(retry_after(&rounded, b""), Duration::from_secs(2));
        assert_eq!(
            retry_after(&headers(&[("retry-after", "60")]), br#"{"retry_after":1}"#),
            Duration::from_secs(60)
        );
        assert_eq!(retry_after(&HeaderMap::new(), b""), UNTOLD);
        assert_eq!(retry_after(&headers(&[("retry-after", "1e30")]), b""), UNTOLD);
    }
}
