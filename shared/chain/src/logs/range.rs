//! [`AdaptiveRange`]: how many blocks a request for logs to one endpoint covers.
//!
//! Providers limit the range, the number of logs or the size of a response, each in other words and numbers. A refusal halves the range, a
//! success doubles it again. A range that was refused is not requested again until a number of requests have succeeded, so that a fixed
//! limit costs few refused requests.

/// Successes below a refused range after which that range is tried again.
const SUCCESSES_BEFORE_GROWTH: u32 = 16;

/// Blocks of the next request for logs.
#[derive(Debug, Clone)]
pub(crate) struct AdaptiveRange {
    blocks: u64,
    max: u64,
    refused: Option<u64>,
    successes: u32,
}

impl AdaptiveRange {
    /// A range of `first` blocks at the beginning and at most `max` blocks later; both are at least 1.
    pub(crate) fn new(first: u64, max: u64) -> Self {
        let max = max.max(1);
        Self {
            blocks: first.clamp(1, max),
            max,
            refused: None,
            successes: 0,
        }
    }

    /// Number of blocks of the next request for logs.
    pub(crate) const fn blocks(&self) -> u64 {
        self.blocks
    }

    /// A request for this many blocks succeeded with this number of logs. More than `target` logs shorten the range in proportion, since
    /// all logs of a response are in memory.
    pub(crate) fn succeeded(&mut self, blocks: u64, logs: usize, target: usize) {
        if logs >= target.max(1) {
            let fitting = u128::from(blocks) * target as u128 / logs as u128;
            self.blocks = self.blocks.min(u64::try_from(fitting).unwrap_or(u64::MAX).max(1));
            return;
        }
        // A request at the end of a range is shorter, and proves nothing about longer ones.
        if blocks < self.blocks {
            return;
        }
        self.successes += 1;
        if self.successes >= SUCCESSES_BEFORE_GROWTH {
            self.refused = None;
        }
        let doubled = self.blocks.saturating_mul(2).min(self.max);
        if self.refused.is_none_or(|refused| doubled < refused) {
            self.blocks = doubled;
        }
    }

    /// A request for this many blocks was refused.
    pub(crate) fn refused(&mut self, blocks: u64) {
        self.refused = Some(blocks);
        self.successes = 0;
        self.blocks = self.blocks.min((blocks / 2).max(1));
    }

    /// Restores the range `before` after refusals that did not depend on the number of blocks, because a range of one block was
    /// refused as well.
    pub(crate) fn restore(&mut self, before: Self) {
        *self = before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests `total` blocks from a provider with this limit. Returns the numbers of accepted and refused requests.
    fn read(range: &mut AdaptiveRange, total: u64, limit: u64) -> (u32, u32) {
        let (mut read, mut accepted, mut refused) = (0, 0, 0);
        while read < total {
            let blocks = range.blocks().min(total - read);
            if blocks <= limit {
                range.succeeded(blocks, 0, 100);
                (read, accepted) = (read + blocks, accepted + 1);
            } else {
                range.refused(blocks);
                refused += 1;
            }
        }
        (accepted, refused)
    }

    #[test]
    fn fixed_limit_costs_few_refusals() {
        for limit in [1, 5, 500, 1_000, 2_000, 10_000] {
            let mut range = AdaptiveRange::new(2_000, 100_000);
            let (accepted, refused) = read(&mut range, limit * 400, limit);
            assert!(
                accepted <= 1_000,
                "limit {limit}: {accepted} requests for {} blocks",
                limit * 400
            );
            assert!(
                refused <= 12 + accepted / 8,
                "limit {limit}: {refused} refused, {accepted} accepted"
            );
        }
    }

    #[test]
    fn range_grows_again_after_a_limit_is_lifted() {
        let mut range = AdaptiveRange::new(2_000, 100_000);
        read(&mut range, 1_000, 5);
        assert!(range.blocks() <= 5);
        read(&mut range, 10_000_000, u64::MAX);
        assert_eq!(range.blocks(), 100_000);
    }

    #[test]
    fn many_logs_shorten_the_range_and_short_requests_change_nothing() {
        let mut range = AdaptiveRange::new(1_000, 100_000);
        range.succeeded(10, 0, 100);
        assert_eq!(range.blocks(), 1_000);
        range.succeeded(1_000, 100, 100);
        assert_eq!(range.blocks(), 1_000);
        range.succeeded(1_000, 400, 100);
        assert_eq!(range.blocks(), 250);
        range.succeeded(1, 100_000, 100);
        assert_eq!(range.blocks(), 1);
    }
}
