//! What answers tell, for this replica: buckets, pauses, and places that are free again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{GUESS, Known, Local, left};
use crate::limits::{Bucket, Fate, Pause, Slot, WINDOW};

/// How long a route without a bucket is believed to have none.
const BUCKETLESS: Duration = Duration::from_secs(60);

impl Local {
    /// Gives a place back and learns, as `complete.lua` does. Places that Redis granted are not known here; what their answers
    /// tell is. Answers whether others must know of it even where Redis was not asked.
    pub(in crate::limits) fn complete(&mut self, now: Instant, slot: &Slot, fate: &Fate) -> bool {
        let mut news = false;
        let flew = self
            .buckets
            .get_mut(&slot.bucket)
            .is_some_and(|window| window.flying.remove(&slot.id).is_some());
        match fate {
            Fate::Unused => {
                self.held.remove(&slot.id);
                if let Some(window) = self.buckets.get_mut(&slot.bucket).filter(|_| flew) {
                    window.remaining += 1;
                }
            }
            Fate::Lost => {}
            Fate::Answered(learned) => {
                if let Some(until) = self.held.get_mut(&slot.id) {
                    *until = (*until).min(now + WINDOW);
                }
                if learned.bucketless && !matches!(self.routes.get(&slot.route), Some(Known::Hash { .. })) {
                    let until = now + BUCKETLESS;
                    self.routes.insert(Arc::clone(&slot.route), Known::None { until });
                }
                if let Some(bucket) = &learned.bucket {
                    news |= self.learn(now, slot, bucket);
                }
                if let Some(pause) = learned.pause {
                    news = true;
                    self.pause(now, slot, pause);
                }
            }
        }
        news
    }

    /// Answers whether the route's bucket is another than was known.
    fn learn(&mut self, now: Instant, slot: &Slot, bucket: &Bucket) -> bool {
        let known = Known::Hash {
            hash: bucket.hash.clone(),
            limit: bucket.limit,
            long: bucket.reset_after > GUESS,
        };
        let news = self.routes.get(&slot.route) != Some(&known);
        if news {
            self.routes.insert(Arc::clone(&slot.route), known);
        }
        let window = self
            .buckets
            .entry(format!("{}:{}", bucket.hash, slot.major))
            .or_default();
        let flying = u32::try_from(window.flying.len()).unwrap_or(u32::MAX);
        let reset = now + bucket.reset_after;
        let told = bucket.remaining.saturating_sub(flying);
        let running = left(window.reset, now).is_some();
        window.remaining = if running { window.remaining.min(told) } else { told };
        window.reset = Some(if running && !window.guess {
            window.reset.map_or(reset, |old| old.max(reset))
        } else {
            reset
        });
        window.guess = false;
        news
    }

    fn pause(&mut self, now: Instant, slot: &Slot, pause: Pause) {
        match pause {
            Pause::Global(time) => self.pause = self.pause.max(Some(now + time)),
            Pause::Edge(time) => self.edge = self.edge.max(Some(now + time)),
            Pause::Route(time) => {
                self.pauses
                    .insert((Arc::clone(&slot.route), Arc::clone(&slot.major)), now + time);
            }
        }
    }
}
