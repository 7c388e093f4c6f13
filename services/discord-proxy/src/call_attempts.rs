//! The attempts of one call: what follows each of them, by the table of `arrakis-discord-http`.
//!
//! Repeated in place, with growing, jittered pauses, are: any call that was not sent, and idempotent calls after a 5xx or a lost
//! response. A call that met a 429 had no effect, so it waits for its next permit. A call of the class "once" that may have taken
//! effect is never repeated; it is answered 504 `outcome-unknown`, whether Discord returned 5xx or nothing.

use std::time::{Duration, Instant};

use arrakis_contracts::proxy::ProxyError;
use arrakis_discord_http::client::SendError;
use arrakis_discord_http::{Attempts, CallClass, Decision, Ending, Failure, RESET_MARGIN, Response, segments};
use arrakis_runtime::fail_point;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};

use crate::call::Call;
use crate::limits::rate_limited;
use crate::refusal::Refusal;
use crate::route::Lane;
use crate::upstream::AttemptResult;

/// Retries of one call after a 429, each of which counts in the budget. A first response has [`RESPONSE`] instead.
const MAX_RATE_LIMITED: u32 = 3;

/// Time that must be left for another attempt: cut off by the deadline, it would have an unknown outcome.
pub(crate) const MIN_ATTEMPT_TIME: Duration = Duration::from_millis(100);

/// How the failures of a class are retried.
struct RetryPolicy {
    /// Failed attempts after which the failure is returned.
    max_failures: u32,
    /// Pause after the first failure; it doubles with each.
    first_pause: Duration,
    /// Longest pause.
    max_pause: Duration,
}

const DEFAULT: RetryPolicy = RetryPolicy {
    max_failures: 4,
    first_pause: Duration::from_millis(200),
    max_pause: Duration::from_secs(4),
};
/// Of first responses: at most three seconds are left, so that the deadline ends the attempts before their number does.
const RESPONSE: RetryPolicy = RetryPolicy {
    max_failures: 12,
    first_pause: Duration::from_millis(60),
    max_pause: Duration::from_millis(400),
};

/// The response to a forwarded call.
#[derive(Debug)]
pub(crate) struct Forwarded {
    /// Discord's response.
    pub response: Response,
    /// How many times the call was sent to Discord.
    pub attempts: u32,
}

/// The attempts of a call so far.
#[derive(Debug)]
pub(crate) struct CallAttempts {
    /// Attempts begun.
    pub(crate) count: u32,
    failures: u32,
    rate_limited: u32,
    last_response: Option<Response>,
    attempts: Attempts,
}

/// What follows an attempt.
#[derive(Debug)]
pub(crate) enum NextStep {
    Return(Response),
    Refuse(Refusal),
    Retry { reason: &'static str, pause: Duration },
}

impl CallAttempts {
    /// A call without attempts.
    pub(crate) fn new(call: &Call) -> Self {
        Self {
            count: 0,
            failures: 0,
            rate_limited: 0,
            last_response: None,
            attempts: Attempts::new(call.class, &call.method),
        }
    }

    /// Records the result of an attempt, and decides what follows.
    pub(crate) fn evaluate(&mut self, call: &Call, result: AttemptResult) -> NextStep {
        let Some(failure) = failure(call, &result) else {
            return match result {
                Ok(response) => NextStep::Return(response),
                Err(error) => NextStep::Refuse(self.lost(call, &error.to_string())),
            };
        };
        let ignores_refusal = matches!(&result, Ok(response) if response.status.is_client_error())
            && fail_point::skips("proxy.guard.terminal");
        match self.attempts.failed(failure) {
            _ if ignores_refusal => {
                let retry = self.retry(call, failure);
                retry.unwrap_or_else(|| self.ended(call, result, Ending::Refused))
            }
            Decision::Success => match result {
                // Another call was first; the caller decides whether that is a success.
                Ok(response) if self.count == 1 => NextStep::Return(response),
                Ok(response) => NextStep::Return(already_done(&response)),
                Err(_) => NextStep::Return(no_content()),
            },
            Decision::Repeat { exhausted } => {
                let retry = match &result {
                    Ok(response) if failure == Failure::RateLimited => self.retry_after_429(call, response),
                    _ => self.retry(call, failure),
                };
                match retry {
                    Some(retry) => {
                        self.last_response = result.ok();
                        retry
                    }
                    None => self.ended(call, result, exhausted),
                }
            }
            Decision::End(Ending::RepeatLater) if failure == Failure::Refused => {
                let reason =
                    "an attempt failed, and then Discord refused the call; another call shows whether it is refused";
                NextStep::Refuse(self.lost(call, reason))
            }
            Decision::End(ending) => self.ended(call, result, ending),
        }
    }

    /// Another attempt, if one is left and there is time for it.
    fn retry(&mut self, call: &Call, failure: Failure) -> Option<NextStep> {
        let policy = if call.class == CallClass::TimeBound {
            RESPONSE
        } else {
            DEFAULT
        };
        self.failures += 1;
        let pause = policy.pause(self.failures);
        let may_retry = self.failures < policy.max_failures
            && Instant::now() + pause + MIN_ATTEMPT_TIME < call.queue_deadline
            && !(call.class == CallClass::TimeBound && fail_point::skips("proxy.guard.response"));
        let reason = match failure {
            Failure::NotSent => "unsent",
            Failure::ConnectionLost | Failure::NoResponse => "lost",
            _ => "failed",
        };
        may_retry.then_some(NextStep::Retry { reason, pause })
    }

    /// Another attempt after a 429. The limits delay its permit; a first response needs no permit and waits here.
    fn retry_after_429(&mut self, call: &Call, response: &Response) -> Option<NextStep> {
        self.rate_limited += 1;
        let (_, wait) = rate_limited(response)?;
        let (pause, max) = if call.route.lane == Lane::Callback {
            (wait + RESET_MARGIN, RESPONSE.max_failures)
        } else {
            (Duration::ZERO, MAX_RATE_LIMITED)
        };
        let may_retry = self.rate_limited <= max && Instant::now() + wait.max(pause) <= call.queue_deadline;
        may_retry.then_some(NextStep::Retry {
            reason: "limited",
            pause,
        })
    }

    fn ended(&self, call: &Call, result: AttemptResult, ending: Ending) -> NextStep {
        match (ending, result) {
            (Ending::OutcomeUnknown, Ok(response)) => {
                let body = if response.status.is_success() {
                    " with a body that is not Discord's"
                } else {
                    ""
                };
                NextStep::Refuse(self.lost(call, &format!("Discord returned {}{body}", response.status)))
            }
            (Ending::OutcomeUnknown, Err(SendError::NotSent(reason))) => {
                let reason = format!("an attempt failed, and then Discord could not be reached: {reason}");
                NextStep::Refuse(self.lost(call, &reason))
            }
            (_, Ok(response)) => NextStep::Return(response),
            (_, Err(SendError::NotSent(reason))) if !self.may_have_changed(call) => {
                let message = format!("Discord cannot be reached: {reason}");
                NextStep::Refuse(Refusal::new(ProxyError::Unreachable, message).after(self.count))
            }
            (_, Err(error)) => NextStep::Refuse(self.lost(call, &error.to_string())),
        }
    }

    /// Whether an attempt may have changed something at Discord.
    fn may_have_changed(&self, call: &Call) -> bool {
        self.attempts.may_have_taken_effect() && call.method != Method::GET
    }

    /// The refusal when the deadline passes while an attempt is in flight.
    pub(crate) fn deadline_passed(&mut self, call: &Call) -> Refusal {
        self.attempts.failed(Failure::NoResponse);
        self.lost(call, "no response before the deadline")
    }

    /// The result of a call whose attempts were in flight together, when all have ended: a refusal does not describe another attempt
    /// that may have taken effect.
    pub(crate) fn revised(&self, call: &Call, result: Result<Forwarded, Refusal>) -> Result<Forwarded, Refusal> {
        let is_unknown = self.attempts.revised(Ending::Refused) == Ending::OutcomeUnknown;
        match result {
            Ok(forwarded) if is_unknown => Err(self.lost(
                call,
                &format!(
                    "an attempt failed, and another was answered {}",
                    forwarded.response.status
                ),
            )),
            Err(refusal) if is_unknown && refusal.error != ProxyError::OutcomeUnknown => {
                Err(self.lost(call, &format!("an attempt failed, and then: {}", refusal.message)))
            }
            result => result,
        }
    }

    /// The result of a call that gets no further permit. An unknown outcome precedes the last response, which precedes `refusal`.
    pub(crate) fn end_without_permit(self, call: &Call, refusal: Refusal) -> Result<Forwarded, Refusal> {
        let unknown = || self.lost(call, &format!("an attempt failed, and then: {}", refusal.message));
        if self.attempts.deadline_passed(false) == Ending::OutcomeUnknown {
            return Err(unknown());
        }
        match &self.last_response {
            Some(response) => Ok(Forwarded {
                response: response.clone(),
                attempts: self.count,
            }),
            None if self.may_have_changed(call) => Err(unknown()),
            None => Err(refusal.after(self.count)),
        }
    }

    /// The refusal of a call whose response was lost.
    fn lost(&self, call: &Call, reason: &str) -> Refusal {
        let refusal = if call.method == Method::GET {
            Refusal::new(ProxyError::Unreachable, format!("no response from Discord: {reason}"))
        } else {
            Refusal::new(
                ProxyError::OutcomeUnknown,
                format!("the call may have taken effect: {reason}; check before you repeat it"),
            )
        };
        refusal.after(self.count)
    }
}

impl RetryPolicy {
    fn pause(&self, failures: u32) -> Duration {
        let doubled = self.first_pause.saturating_mul(1 << failures.saturating_sub(1).min(8));
        doubled.min(self.max_pause).mul_f64(rand::random_range(0.25..1.0))
    }
}

/// The failure of an attempt; `None` for a success. The table treats a lost connection and no response alike.
fn failure(call: &Call, result: &AttemptResult) -> Option<Failure> {
    match result {
        // The response to a GET may be an image.
        Ok(response) if response.status.is_success() && call.method == Method::GET => None,
        Ok(response) if response.status.is_success() => Failure::of_body(&response.body),
        Ok(response) => Failure::of_response(
            &call.method,
            &segments(&call.path_and_query),
            response.status,
            &response.body,
        ),
        Err(SendError::NotSent(_)) => Some(Failure::NotSent),
        Err(SendError::ResponseLost(_)) => Some(Failure::ConnectionLost),
    }
}

/// The response to a repeated call whose effect an earlier attempt had, with Discord's `Date`, by which callers measure its clock.
fn already_done(found: &Response) -> Response {
    let mut response = no_content();
    if let Some(date) = found.headers.get(header::DATE) {
        response.headers.insert(header::DATE, date.clone());
    }
    response
}

fn no_content() -> Response {
    Response {
        status: StatusCode::NO_CONTENT,
        headers: HeaderMap::new(),
        body: Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use arrakis_discord_http::decide;

    use super::*;

    #[test]
    fn lost_connection_and_no_response_are_decided_alike() {
        for class in CallClass::ALL {
            assert_eq!(
                decide(class, Failure::ConnectionLost),
                decide(class, Failure::NoResponse)
            );
        }
    }
}
