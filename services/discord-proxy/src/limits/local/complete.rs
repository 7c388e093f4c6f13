//! Completion of a grant: buckets and pauses are updated, and calls are no longer in flight.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_discord_http::BucketState;

use super::{ASSUMED_WINDOW, KnownBucket, LocalLimits, left};
use crate::limits::{CallOutcome, Grant, Pause, WINDOW};

/// How long a route without a bucket is assumed to have none.
const NO_BUCKET_TTL: Duration = Duration::from_secs(60);

impl LocalLimits {
    /// Completes a grant, as `complete.lua` does. Of a grant by Redis only the response counts here. Returns whether the response
    /// states something new, which the other replicas need even if Redis did not grant the call.
    pub(in crate::limits) fn complete(&mut self, now: Instant, grant: &Grant, outcome: &CallOutcome) -> bool {
        let mut is_new = false;
        let was_in_flight = self
            .buckets
            .get_mut(&grant.bucket)
            .is_some_and(|window| window.in_flight.remove(&grant.id).is_some());
        match outcome {
            CallOutcome::NotSent => {
                self.granted.remove(&grant.id);
                if let Some(window) = self.buckets.get_mut(&grant.bucket).filter(|_| was_in_flight) {
                    window.remaining += 1;
                }
            }
            CallOutcome::ResponseLost => {}
            CallOutcome::Response(update) => {
                if let Some(until) = self.granted.get_mut(&grant.id) {
                    *until = (*until).min(now + WINDOW);
                }
                let known = self.known_buckets.get(&grant.route.template);
                if update.no_bucket && !matches!(known, Some(KnownBucket::Named { .. })) {
                    let until = now + NO_BUCKET_TTL;
                    self.known_buckets
                        .insert(Arc::clone(&grant.route.template), KnownBucket::None { until });
                }
                if let Some(bucket) = &update.bucket {
                    is_new |= self.update_bucket(now, grant, bucket);
                }
                if let Some(pause) = update.pause {
                    is_new = true;
                    self.pause(now, grant, pause);
                }
            }
        }
        is_new
    }

    /// Returns whether the route's bucket differs from what was known.
    fn update_bucket(&mut self, now: Instant, grant: &Grant, bucket: &BucketState) -> bool {
        let known = KnownBucket::Named {
            hash: bucket.hash.clone(),
            limit: bucket.limit,
            long: bucket.reset_after > ASSUMED_WINDOW,
        };
        let is_new = self.known_buckets.get(&grant.route.template) != Some(&known);
        if is_new {
            self.known_buckets.insert(Arc::clone(&grant.route.template), known);
        }
        let window = self
            .buckets
            .entry(format!("{}:{}", bucket.hash, grant.route.major))
            .or_default();
        let in_flight = u32::try_from(window.in_flight.len()).unwrap_or(u32::MAX);
        let reset = now + bucket.reset_after;
        let remaining = bucket.remaining.saturating_sub(in_flight);
        let is_running = left(window.reset, now).is_some();
        window.remaining = if is_running {
            window.remaining.min(remaining)
        } else {
            remaining
        };
        window.reset = Some(if is_running && !window.assumed {
            window.reset.map_or(reset, |old| old.max(reset))
        } else {
            reset
        });
        window.assumed = false;
        is_new
    }

    fn pause(&mut self, now: Instant, grant: &Grant, pause: Pause) {
        match pause {
            Pause::Global(time) => self.extend_global_pause(now + time),
            Pause::Edge(time) => self.extend_edge_pause(now + time),
            Pause::Route(time) => {
                self.route_pauses.insert(grant.route.clone(), now + time);
            }
        }
    }
}
