//! Reserved grants: while Redis decides, a replica with a seat may take one call of each window of a webhook token's bucket without a
//! query (docs/decisions/0027).

use std::time::Instant;

use arrakis_discord_http::Route;

use super::{ASSUMED_WINDOW, IN_FLIGHT_TTL, KnownBucket, LocalLimits, left};

impl LocalLimits {
    /// Takes the reserved call of a webhook token's bucket, if this replica counts no call in its window: `acquire.lua` leaves one for
    /// every replica with a seat. Returns the bucket.
    pub(in crate::limits) fn take_reserved(&mut self, now: Instant, id: &str, route: &Route) -> Option<String> {
        let Some(KnownBucket::Named {
            hash,
            limit,
            long: false,
        }) = self.known_buckets.get(&route.template)
        else {
            return None;
        };
        let pause = self.route_pauses.get(route).copied();
        if *limit <= self.replicas || left(pause.max(self.edge_pause), now).is_some() {
            return None;
        }
        let name = format!("{hash}:{}", route.major);
        let window = self.buckets.entry(name.clone()).or_default();
        window.in_flight.retain(|_, until| *until > now);
        if !window.in_flight.is_empty() || left(window.reset, now).is_some() {
            return None;
        }
        window.in_flight.insert(id.to_owned(), now + IN_FLIGHT_TTL);
        window.remaining = 0;
        window.reset = Some(now + ASSUMED_WINDOW);
        window.assumed = true;
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use arrakis_discord_http::BucketState;

    use crate::limits::{CallOutcome, Grant, Pause, RateLimitUpdate};

    const WINDOW: Duration = Duration::from_secs(2);

    fn edit(major: &str) -> Route {
        Route {
            template: "edit".into(),
            major: major.into(),
        }
    }

    fn grant(major: &str, bucket: &str) -> Grant {
        Grant {
            id: "1".to_owned(),
            route: edit(major),
            bucket: bucket.to_owned(),
            bot: false,
            reserved: true,
        }
    }

    fn response(limit: u32, reset_after: Duration) -> RateLimitUpdate {
        let bucket = BucketState {
            hash: "h".to_owned(),
            limit,
            remaining: limit - 1,
            reset_after,
        };
        RateLimitUpdate {
            bucket: Some(bucket),
            ..RateLimitUpdate::default()
        }
    }

    /// One of at most four replicas, with the bucket of edits known from a response, while Redis decides.
    fn after_response(now: Instant, update: RateLimitUpdate) -> LocalLimits {
        let mut local = LocalLimits::new(50, 4);
        let is_new = local.complete(now, &grant("first", ""), &CallOutcome::Response(update));
        assert!(is_new);
        local.deactivate(now);
        local
    }

    fn take(local: &mut LocalLimits, now: Instant, major: &str) -> Option<String> {
        local.take_reserved(now, "1", &edit(major))
    }

    #[test]
    fn one_call_of_each_window_is_reserved() {
        let now = Instant::now();
        let mut local = after_response(now, response(5, WINDOW));
        assert_eq!(take(&mut local, now, "a").as_deref(), Some("h:a"));
        assert_eq!(take(&mut local, now, "a"), None, "in flight");
        let is_new = local.complete(now, &grant("a", "h:a"), &CallOutcome::Response(response(5, WINDOW)));
        assert!(!is_new, "the bucket was known");
        assert_eq!(take(&mut local, now + WINDOW / 2, "a"), None, "in the same window");
        assert!(take(&mut local, now + WINDOW, "a").is_some());
        assert!(take(&mut local, now, "b").is_some(), "another token");
    }

    #[test]
    fn lost_response_does_not_end_the_window() {
        let now = Instant::now();
        let mut local = after_response(now, response(5, WINDOW));
        assert!(take(&mut local, now, "a").is_some());
        local.complete(now, &grant("a", "h:a"), &CallOutcome::ResponseLost);
        assert_eq!(take(&mut local, now + WINDOW, "a"), None);
        assert!(take(&mut local, now + ASSUMED_WINDOW, "a").is_some());
    }

    #[test]
    fn none_is_reserved_in_an_unknown_small_or_long_bucket() {
        let now = Instant::now();
        assert_eq!(take(&mut LocalLimits::new(50, 4), now, "a"), None, "an unknown bucket");
        assert_eq!(
            take(&mut after_response(now, response(4, WINDOW)), now, "a"),
            None,
            "no more calls than replicas"
        );
        assert_eq!(
            take(&mut after_response(now, response(5, ASSUMED_WINDOW * 2)), now, "a"),
            None,
            "a long window"
        );
    }

    #[test]
    fn pause_is_kept_and_reported_as_new() {
        let now = Instant::now();
        let mut local = after_response(now, response(5, WINDOW));
        let bucket = take(&mut local, now, "a").unwrap();
        let pause = RateLimitUpdate {
            pause: Some(Pause::Route(ASSUMED_WINDOW * 3)),
            ..response(5, WINDOW)
        };
        assert!(local.complete(now, &grant("a", &bucket), &CallOutcome::Response(pause)));
        assert_eq!(take(&mut local, now + ASSUMED_WINDOW, "a"), None);
        assert!(take(&mut local, now + ASSUMED_WINDOW * 4, "a").is_some());
    }
}
