//! Discord's rate limits, learnt from its headers and from nothing else.
//!
//! Owns what is known of each bucket and of the limit on everything. A bucket is known by the name that Discord gave it for
//! a route, so that what is learnt from one role holds for the next. (twilight's limiter learns by path: it would send the
//! eleventh deletion of a role, which has a path of its own, into a 429; see decision 0024.)

use std::collections::HashMap;
use std::time::Duration;

use http::HeaderMap;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::route::Route;

/// Discord's clock and ours do not tick together: a window is taken to end this much later.
const MARGIN: Duration = Duration::from_millis(50);

/// What is left of a window.
#[derive(Clone, Copy, Debug)]
struct Window {
    remaining: u32,
    resets_at: Instant,
}

#[derive(Debug, Default)]
struct Known {
    /// Name of the bucket of a route.
    buckets: HashMap<String, String>,
    /// By bucket and major parameter.
    windows: HashMap<(String, String), Window>,
    global_until: Option<Instant>,
}

/// All that is known of limits.
#[derive(Debug, Default)]
pub(super) struct RateLimits {
    known: Mutex<Known>,
}

/// What a 429 says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Refusal {
    /// How long to stay away; `None` where the answer does not say (an edge in front of Discord).
    pub(super) retry_after: Option<Duration>,
    /// It is about everything, not about this route.
    pub(super) global: bool,
}

impl RateLimits {
    /// How long to wait before this call, and takes its place in the window when that is nothing.
    pub(super) fn take(&self, route: &Route, now: Instant) -> Option<Duration> {
        let mut known = self.known.lock();
        if let Some(until) = known.global_until {
            if until > now {
                return Some(until - now);
            }
            known.global_until = None;
        }
        let bucket = known.buckets.get(&route.template)?.clone();
        let window = known.windows.get_mut(&(bucket, route.major.clone()))?;
        if window.resets_at <= now {
            return None;
        }
        if window.remaining == 0 {
            return Some(window.resets_at - now);
        }
        window.remaining -= 1;
        None
    }

    /// Gives a place back that [`RateLimits::take`] took for a request that is not sent yet.
    pub(super) fn give_back(&self, route: &Route) {
        let mut known = self.known.lock();
        let Some(bucket) = known.buckets.get(&route.template).cloned() else {
            return;
        };
        if let Some(window) = known.windows.get_mut(&(bucket, route.major.clone())) {
            window.remaining += 1;
        }
    }

    /// Reads the headers of an answer.
    pub(super) fn learn(&self, route: &Route, headers: &HeaderMap, now: Instant) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(bucket), Some(remaining), Some(after)) = (
            text("x-ratelimit-bucket"),
            text("x-ratelimit-remaining").and_then(|text| text.parse().ok()),
            text("x-ratelimit-reset-after").and_then(seconds),
        ) else {
            return;
        };
        let mut known = self.known.lock();
        known.buckets.insert(route.template.clone(), bucket.to_owned());
        let window = Window {
            remaining,
            resets_at: now + after + MARGIN,
        };
        known.windows.insert((bucket.to_owned(), route.major.clone()), window);
    }

    /// Reads a 429: its headers, and the body where they are silent.
    pub(super) fn refused(&self, headers: &HeaderMap, body: &[u8], now: Instant) -> Refusal {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let told = body["retry_after"].as_f64().and_then(of_seconds);
        // The body knows fractions, the header is rounded up.
        let retry_after = told
            .or_else(|| text("retry-after").and_then(seconds))
            .map(|wait| wait + MARGIN);
        let global = body["global"] == true
            || text("x-ratelimit-global").is_some()
            || text("x-ratelimit-scope") == Some("global");
        if global {
            self.known.lock().global_until = retry_after.map(|wait| now + wait);
        }
        Refusal { retry_after, global }
    }
}

fn seconds(text: &str) -> Option<Duration> {
    text.parse().ok().and_then(of_seconds)
}

/// Nonsense is no time at all; a day is longer than any limit of Discord's that we meet.
fn of_seconds(seconds: f64) -> Option<Duration> {
    (0.0..=172_800.0)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, Method};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn role(id: u64) -> Route {
        Route::of(&Method::DELETE, &format!("/guilds/1/roles/{id}"))
    }

    #[test]
    fn what_one_role_taught_holds_for_the_next() {
        let (limits, now) = (RateLimits::default(), Instant::now());
        assert_eq!(limits.take(&role(1), now), None);
        let told = headers(&[
            ("x-ratelimit-bucket", "b"),
            ("x-ratelimit-remaining", "1"),
            ("x-ratelimit-reset-after", "2.5"),
        ]);
        limits.learn(&role(1), &told, now);
        assert_eq!(limits.take(&role(2), now), None);
        let wait = Duration::from_millis(2_500) + MARGIN;
        assert_eq!(limits.take(&role(3), now), Some(wait));
        assert_eq!(limits.take(&Route::of(&Method::DELETE, "/guilds/2/roles/3"), now), None);
        assert_eq!(limits.take(&role(3), now + wait), None);
    }

    #[test]
    fn a_429_on_everything_stops_everything() {
        let (limits, now) = (RateLimits::default(), Instant::now());
        let told = headers(&[("retry-after", "1"), ("x-ratelimit-scope", "global")]);
        let refusal = limits.refused(&told, br#"{"retry_after": 0.25, "global": true}"#, now);
        let wait = Duration::from_millis(250) + MARGIN;
        assert_eq!(
            refusal,
            Refusal {
                retry_after: Some(wait),
                global: true
            }
        );
        assert_eq!(limits.take(&role(1), now), Some(wait));
        assert_eq!(limits.take(&role(1), now + wait), None);
    }

    #[test]
    fn an_edge_that_says_nothing_is_told_apart_and_nonsense_is_not_believed() {
        let (limits, now) = (RateLimits::default(), Instant::now());
        let silent = Refusal {
            retry_after: None,
            global: false,
        };
        assert_eq!(limits.refused(&headers(&[]), b"<html>", now), silent);
        assert_eq!(limits.refused(&headers(&[("retry-after", "1e30")]), b"", now), silent);
        assert_eq!(limits.refused(&headers(&[("retry-after", "-1")]), b"", now), silent);
    }
}
