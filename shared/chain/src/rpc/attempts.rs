//! [`Attempts`]: which endpoint gets a request next, and when it is sent again.
//!
//! A round visits every endpoint that is not paused: first the preferred one, then those near the highest head, then the others, each
//! group in the configured order. Rounds are separated by growing pauses with jitter, until the caller's patience ends.

use std::sync::Arc;
use std::time::Duration;

use arrakis_fail_point as fail_point;
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use super::endpoint::Endpoint;
use super::failure::Failure;
use crate::error::{ChainError, EndpointFailure, FailureKind};
use crate::types::ChainId;

/// Blocks behind the highest head from which an endpoint is used last.
const MAX_LAG: u64 = 8;
/// Rounds in which every endpoint rejects the request, after which it counts as refused.
const MAX_REJECTED_ROUNDS: u32 = 2;
/// First and longest pause between rounds.
const MIN_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(5);

/// The attempts of one request.
pub(crate) struct Attempts<'a> {
    endpoints: &'a [Arc<Endpoint>],
    preferred: Option<usize>,
    /// Endpoints of this round that were not visited, in reverse order.
    round: Vec<usize>,
    rounds: u32,
    rejected_rounds: u32,
    round_failures: Vec<FailureKind>,
    /// Last failure of each endpoint.
    failures: Vec<Option<EndpointFailure>>,
    deadline: Instant,
    delays: ExponentialBackoff,
}

impl<'a> Attempts<'a> {
    /// Attempts at these endpoints, none of which begins after `patience`.
    pub(crate) fn new(endpoints: &'a [Arc<Endpoint>], patience: Duration) -> Self {
        let delays = ExponentialBuilder::default()
            .with_min_delay(MIN_DELAY)
            .with_max_delay(MAX_DELAY)
            .without_max_times()
            .with_jitter();
        Self {
            endpoints,
            preferred: None,
            round: Vec::new(),
            rounds: 0,
            rejected_rounds: 0,
            round_failures: Vec::new(),
            failures: vec![None; endpoints.len()],
            deadline: Instant::now() + patience,
            delays: delays.build(),
        }
    }

    /// Visits the endpoint with this index first in each round; `None` for the usual order.
    pub(crate) const fn prefer(mut self, index: Option<usize>) -> Self {
        self.preferred = index;
        self
    }

    /// The next endpoint; `None` when the attempts are exhausted. Waits between rounds.
    pub(crate) async fn next(&mut self) -> Option<Arc<Endpoint>> {
        loop {
            while let Some(index) = self.round.pop() {
                let endpoint = self.endpoints.get(index)?;
                if endpoint.paused_until().is_none() {
                    return Some(Arc::clone(endpoint));
                }
                self.set_paused(endpoint);
            }
            let repeats = !fail_point::skips("chain.guard.repeat");
            if self.rounds > 0 && !(repeats && self.wait_for_round().await) {
                return None;
            }
            self.rounds += 1;
            self.round = self.order();
            if self.round.is_empty() {
                return None;
            }
        }
    }

    /// Whether every endpoint that is not paused was visited at least once.
    pub(crate) const fn is_first_round_over(&self) -> bool {
        self.rounds > 1 || self.round.is_empty()
    }

    /// Records the failure of an endpoint, here and in its health.
    pub(crate) fn failed(&mut self, endpoint: &Endpoint, failure: &Failure) {
        endpoint.record(failure);
        self.round_failures.push(failure.kind);
        if let Some(slot) = self.failures.get_mut(endpoint.index) {
            *slot = Some(endpoint.failure(failure));
        }
    }

    /// The last failure of each endpoint that has one.
    pub(crate) fn into_failures(self) -> Vec<EndpointFailure> {
        self.failures.into_iter().flatten().collect()
    }

    /// The error when no endpoint gave a usable response.
    pub(crate) fn unavailable(self, chain: ChainId, method: &'static str) -> ChainError {
        ChainError::Unavailable {
            chain,
            method,
            failures: self.into_failures(),
        }
    }

    fn set_paused(&mut self, endpoint: &Endpoint) {
        let paused = endpoint.paused();
        if let Some(slot @ None) = self.failures.get_mut(endpoint.index) {
            *slot = Some(paused);
        }
    }

    /// Waits until the next round. False when no round can begin before the deadline.
    async fn wait_for_round(&mut self) -> bool {
        let rejected =
            !self.round_failures.is_empty() && self.round_failures.iter().all(|kind| *kind == FailureKind::Rejected);
        self.round_failures.clear();
        if rejected {
            self.rejected_rounds += 1;
            if self.rejected_rounds >= MAX_REJECTED_ROUNDS {
                return false;
            }
        }
        let delay = self.delays.next().unwrap_or(MAX_DELAY);
        let mut begin = Instant::now() + delay;
        // Where every endpoint is paused, the first pause that ends decides.
        let pauses: Option<Vec<Instant>> = self.endpoints.iter().map(|endpoint| endpoint.pause_end()).collect();
        if let Some(first) = pauses.and_then(|pauses| pauses.into_iter().min()) {
            begin = begin.max(first);
        }
        if begin > self.deadline {
            return false;
        }
        tokio::time::sleep_until(begin).await;
        true
    }

    /// Indices of all endpoints in reverse order of visits.
    fn order(&self) -> Vec<usize> {
        let heads: Vec<Option<u64>> = self.endpoints.iter().map(|endpoint| endpoint.last_head()).collect();
        let highest = heads.iter().flatten().max().copied().unwrap_or(0);
        let group = |index: usize| {
            let lags = heads
                .get(index)
                .copied()
                .flatten()
                .is_some_and(|head| head + MAX_LAG < highest);
            u8::from(lags) + 1
        };
        let mut order: Vec<usize> = (0..self.endpoints.len()).collect();
        order.sort_by_key(|index| {
            if self.preferred == Some(*index) {
                0
            } else {
                group(*index)
            }
        });
        order.reverse();
        order
    }
}
