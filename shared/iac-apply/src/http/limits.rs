//! The state of Discord's rate limits, as the headers of responses state it.
//!
//! A bucket has the name that Discord gave it for a route, so that the state from one role's responses is used for the next. (twilight's
//! limiter keeps its state by path: it would send the eleventh deletion of a role, which has a path of its own, into a 429; see decision
//! 0024.)

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrakis_discord_http::{BucketState, RESET_MARGIN, RateLimitScope, RateLimited, Response, Route};
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::time::Instant;

/// The rest of a bucket's window.
#[derive(Clone, Copy, Debug)]
struct Window {
    remaining: u32,
    resets_at: Instant,
}

#[derive(Debug, Default)]
struct State {
    /// Name of the bucket of a route's template.
    buckets: HashMap<Arc<str>, String>,
    /// By bucket and major parameter.
    windows: HashMap<(String, Arc<str>), Window>,
    global_until: Option<Instant>,
}

/// The rate limits of one client.
#[derive(Debug, Default)]
pub(super) struct RateLimits {
    state: Mutex<State>,
}

impl RateLimits {
    /// How long to wait before a request; `None` means that it may be sent now, and counts it in its window.
    pub(super) fn take(&self, route: &Route, now: Instant) -> Option<Duration> {
        let mut state = self.state.lock();
        if let Some(until) = state.global_until {
            if until > now {
                return Some(until - now);
            }
            state.global_until = None;
        }
        let window = state.window(route)?;
        if window.resets_at <= now {
            return None;
        }
        if window.remaining == 0 {
            return Some(window.resets_at - now);
        }
        window.remaining -= 1;
        None
    }

    /// Reverts [`RateLimits::take`] for a request that is not sent yet.
    pub(super) fn give_back(&self, route: &Route) {
        if let Some(window) = self.state.lock().window(route) {
            window.remaining += 1;
        }
    }

    /// Updates the bucket of a route by the headers of a response.
    pub(super) fn update(&self, route: &Route, headers: &HeaderMap, now: Instant) {
        let Some(bucket) = BucketState::read(headers) else {
            return;
        };
        let window = Window {
            remaining: bucket.remaining,
            resets_at: now + bucket.reset_after,
        };
        let mut state = self.state.lock();
        state.buckets.insert(Arc::clone(&route.template), bucket.hash.clone());
        state.windows.insert((bucket.hash, Arc::clone(&route.major)), window);
    }

    /// Reads a 429, and applies a global limit to all later calls. The returned time includes [`RESET_MARGIN`].
    pub(super) fn limited(&self, response: &Response, now: Instant) -> RateLimited {
        let mut limited = RateLimited::read(&response.headers, &response.body);
        limited.retry_after = limited.retry_after.map(|wait| wait + RESET_MARGIN);
        if limited.scope == RateLimitScope::Global {
            self.state.lock().global_until = limited.retry_after.map(|wait| now + wait);
        }
        limited
    }
}

impl State {
    fn window(&mut self, route: &Route) -> Option<&mut Window> {
        let bucket = self.buckets.get(&route.template)?.clone();
        self.windows.get_mut(&(bucket, Arc::clone(&route.major)))
    }
}

#[cfg(test)]
mod tests {
    use arrakis_discord_http::segments;
    use bytes::Bytes;
    use http::{HeaderName, HeaderValue, Method, StatusCode};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn delete(path: &str) -> Route {
        Route::of(&Method::DELETE, &segments(path))
    }

    fn role(id: u64) -> Route {
        delete(&format!("/guilds/1/roles/{id}"))
    }

    #[test]
    fn bucket_learned_from_one_role_holds_for_the_next() {
        let (limits, now) = (RateLimits::default(), Instant::now());
        assert_eq!(limits.take(&role(1), now), None);
        let bucket = headers(&[
            ("x-ratelimit-bucket", "b"),
            ("x-ratelimit-limit", "2"),
            ("x-ratelimit-remaining", "1"),
            ("x-ratelimit-reset-after", "2.5"),
        ]);
        limits.update(&role(1), &bucket, now);
        assert_eq!(limits.take(&role(2), now), None);
        let wait = Duration::from_millis(2_500) + RESET_MARGIN;
        assert_eq!(limits.take(&role(3), now), Some(wait));
        assert_eq!(limits.take(&delete("/guilds/2/roles/3"), now), None);
        assert_eq!(limits.take(&role(3), now + wait), None);
    }

    #[test]
    fn global_429_delays_every_call() {
        let (limits, now) = (RateLimits::default(), Instant::now());
        let response = Response {
            status: StatusCode::TOO_MANY_REQUESTS,
            headers: headers(&[("retry-after", "1"), ("x-ratelimit-scope", "global")]),
            body: Bytes::from_static(br#"{"retry_after": 0.25, "global": true}"#),
        };
        let limited = limits.limited(&response, now);
        let wait = Duration::from_millis(250) + RESET_MARGIN;
        assert_eq!(
            (limited.scope, limited.retry_after),
            (RateLimitScope::Global, Some(wait))
        );
        assert_eq!(limits.take(&role(1), now), Some(wait));
        assert_eq!(limits.take(&role(1), now + wait), None);
    }
}
