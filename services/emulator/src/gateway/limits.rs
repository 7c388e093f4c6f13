//! Limits on identifying: the budget of 24 hours and one identify for each bucket in five seconds.
//! <https://discord.com/developers/docs/events/gateway#session-start-limit-object>

use std::collections::HashMap;

use arrakis_emulator_client::SessionStartLimit;

/// Milliseconds between two identifies of a bucket. Discord documents five seconds; the emulator accepts 4.75, since a client
/// measures from its own sending and not from the arrival.
const BUCKET_MS: u64 = 4_750;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Result of an identify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdentifyResult {
    /// Allowed.
    Granted,
    /// The bucket had an identify less than five seconds ago: op 9.
    TooSoon,
    /// No identifies are left in these 24 hours: all sessions end and the token is reset.
    Exhausted,
}

/// Counts identifies.
#[derive(Debug)]
pub(super) struct StartLimits {
    total: u32,
    used: u32,
    max_concurrency: u32,
    window_started_ms: Option<u64>,
    last_in_bucket: HashMap<u64, u64>,
}

impl StartLimits {
    /// No identifies counted yet.
    pub(super) fn new(total: u32, max_concurrency: u32) -> Self {
        Self {
            total,
            used: 0,
            max_concurrency: max_concurrency.max(1),
            window_started_ms: None,
            last_in_bucket: HashMap::new(),
        }
    }

    /// Counts an identify of this shard.
    pub(super) fn identify(&mut self, shard: u64, now_ms: u64) -> IdentifyResult {
        self.roll(now_ms);
        let bucket = shard % u64::from(self.max_concurrency);
        if self
            .last_in_bucket
            .get(&bucket)
            .is_some_and(|last| now_ms < last + BUCKET_MS)
        {
            return IdentifyResult::TooSoon;
        }
        if self.used >= self.total {
            return IdentifyResult::Exhausted;
        }
        self.used += 1;
        self.window_started_ms.get_or_insert(now_ms);
        self.last_in_bucket.insert(bucket, now_ms);
        IdentifyResult::Granted
    }

    /// `session_start_limit` of `GET /gateway/bot`.
    pub(super) fn report(&mut self, now_ms: u64) -> SessionStartLimit {
        self.roll(now_ms);
        SessionStartLimit {
            total: self.total,
            remaining: self.total.saturating_sub(self.used),
            reset_after: self
                .window_started_ms
                .map_or(0, |start| (start + DAY_MS).saturating_sub(now_ms)),
            max_concurrency: self.max_concurrency,
        }
    }

    /// Changes the limits; `None` leaves one as it is. With a new total all identifies are available again.
    pub(super) fn set(&mut self, total: Option<u32>, remaining: Option<u32>, max_concurrency: Option<u32>) {
        if let Some(total) = total {
            self.total = total;
            self.used = 0;
            self.window_started_ms = None;
        }
        if let Some(remaining) = remaining {
            self.used = self.total.saturating_sub(remaining);
        }
        if let Some(buckets) = max_concurrency {
            self.max_concurrency = buckets.max(1);
            self.last_in_bucket.clear();
        }
    }

    fn roll(&mut self, now_ms: u64) {
        if self.window_started_ms.is_some_and(|start| now_ms >= start + DAY_MS) {
            self.window_started_ms = None;
            self.used = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_takes_one_identify_in_five_seconds() {
        let mut limits = StartLimits::new(1_000, 2);
        assert_eq!(limits.identify(0, 0), IdentifyResult::Granted);
        assert_eq!(limits.identify(1, 0), IdentifyResult::Granted);
        assert_eq!(limits.identify(2, 4_000), IdentifyResult::TooSoon);
        assert_eq!(limits.identify(2, 5_000), IdentifyResult::Granted);
        assert_eq!(limits.report(5_000).remaining, 997);
    }

    #[test]
    fn session_starts_run_out_and_are_available_after_a_day() {
        let mut limits = StartLimits::new(1, 1);
        assert_eq!(limits.identify(0, 10), IdentifyResult::Granted);
        assert_eq!(limits.identify(0, 10_000), IdentifyResult::Exhausted);
        assert_eq!(limits.report(10_000).reset_after, DAY_MS - 9_990);
        assert_eq!(limits.identify(0, DAY_MS + 10), IdentifyResult::Granted);
    }
}
