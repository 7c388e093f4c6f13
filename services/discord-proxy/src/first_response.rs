//! First responses to interactions: retried within the three seconds that Discord allows.
//!
//! An attempt without a response after [`HEDGE_DELAY`] continues, and another attempt is sent beside it. So a Discord that hangs once
//! leaves time for another attempt, and a slow response still counts. A second first response has no effect: Discord answers it with
//! 40060, which is a success where an earlier attempt may have been the first.

use std::sync::Arc;
use std::time::Duration;

use arrakis_contracts::proxy::ProxyError;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::call::Call;
use crate::call_attempts::{CallAttempts, Forwarded, MIN_ATTEMPT_TIME, NextStep};
use crate::forward::{Forwarder, aborted};
use crate::refusal::Refusal;
use crate::upstream::AttemptResult;

/// Time without a response after which another attempt is sent.
const HEDGE_DELAY: Duration = Duration::from_millis(700);
/// Attempts in flight at once.
const MAX_IN_FLIGHT: usize = 3;

/// A first response in progress.
struct FirstResponse {
    attempts: CallAttempts,
    in_flight: FuturesUnordered<JoinHandle<AttemptResult>>,
    /// When the next attempt is sent, and the reason of the retry.
    next: (Instant, &'static str),
    /// The result, while other attempts are still in flight.
    result: Option<Result<Forwarded, Refusal>>,
}

impl Forwarder {
    /// Sends a first response.
    ///
    /// # Errors
    /// The proxy responds itself.
    pub(crate) async fn send_first_response(self: &Arc<Self>, call: Arc<Call>) -> Result<Forwarded, Refusal> {
        let deadline: Instant = call.deadline.unwrap_or(call.queue_deadline).into();
        let mut response = FirstResponse {
            attempts: CallAttempts::new(&call),
            in_flight: FuturesUnordered::new(),
            next: (Instant::now(), "lost"),
            result: None,
        };
        loop {
            let may_send = response.result.is_none() && response.in_flight.len() < MAX_IN_FLIGHT;
            tokio::select! {
                biased;
                Some(ended) = response.in_flight.next() => {
                    let result = ended.unwrap_or_else(|error| aborted(&error));
                    if let Some(result) = response.attempt_ended(&call, result) {
                        return result;
                    }
                }
                () = sleep_until(deadline) => return response.deadline_passed(&call),
                () = sleep_until(response.next.0), if may_send => {
                    if let Err(refusal) = self.admission.admit(&call).await {
                        let retry = refusal.retry_after.map(|wait| Instant::now() + wait);
                        if let Some(retry) = retry.filter(|retry| *retry + MIN_ATTEMPT_TIME < deadline) {
                            response.next = (retry, "limited");
                            continue;
                        }
                        if response.in_flight.is_empty() {
                            return response.attempts.end_without_permit(&call, refusal);
                        }
                        response.result = Some(Err(refusal));
                        continue;
                    }
                    if response.attempts.count > 0 {
                        self.metrics.retried(response.next.1);
                    }
                    response.attempts.count += 1;
                    let attempt = self.begin_attempt(&call, None, response.attempts.count);
                    response.in_flight.push(attempt);
                    response.next = (Instant::now() + HEDGE_DELAY, "lost");
                }
            }
        }
    }
}

impl FirstResponse {
    /// Records the end of an attempt. Returns the call's result when the call has ended.
    fn attempt_ended(&mut self, call: &Call, result: AttemptResult) -> Option<Result<Forwarded, Refusal>> {
        match self.attempts.evaluate(call, result) {
            NextStep::Return(response) => {
                let is_success = response.status.is_success();
                let forwarded = Ok(Forwarded {
                    response,
                    attempts: self.attempts.count,
                });
                if is_success {
                    return Some(forwarded);
                }
                self.result.get_or_insert(forwarded);
            }
            NextStep::Refuse(refusal) => {
                self.result.get_or_insert(Err(refusal));
            }
            NextStep::Retry { reason, pause } => self.next = (Instant::now() + pause, reason),
        }
        if !self.in_flight.is_empty() {
            return None;
        }
        let result = self.result.take()?;
        Some(self.attempts.revised(call, result))
    }

    /// The call's result when the deadline passes.
    fn deadline_passed(mut self, call: &Call) -> Result<Forwarded, Refusal> {
        if !self.in_flight.is_empty() {
            return Err(self.attempts.deadline_passed(call));
        }
        let message = "Discord cannot be reached, and the time for a first response is over";
        self.attempts
            .end_without_permit(call, Refusal::new(ProxyError::Unreachable, message))
    }
}
