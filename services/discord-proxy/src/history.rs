//! The attempts of one call at Discord, and what the table of `arrakis-discord-http` says about each failure.
//!
//! What is repeated in place, with growing, jittered pauses: what was not sent, any call; a 5xx or a lost answer, calls that may
//! be repeated. A 429 was not carried out, so any call waits for its next turn. A call of the class "once" that may have landed is
//! never sent again and answered 504 `outcome-unknown`, whether Discord answered 5xx or nothing.

use std::time::{Duration, Instant};

use arrakis_contracts::proxy::ProxyError;
use arrakis_discord_http::{Attempts, CallClass, Decision, Ending, Failure};
use arrakis_runtime::fail_point;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};

use crate::call::Call;
use crate::forward::Forwarded;
use crate::limits::{MARGIN, headers};
use crate::refusal::Refusal;
use crate::route::Lane;
use crate::upstream::{Answer, Sent};

/// Repeats of one call after a 429 before the 429 is passed on: each counts against the budget. A first response has as many as
/// after other failures, since its time is short.
const MOST_LIMITED: u32 = 3;

/// No further attempt begins with less time: cut off by the deadline, it would leave open what an earlier one had settled.
pub(crate) const SHORTEST_ATTEMPT: Duration = Duration::from_millis(100);

/// How failures of a class are repeated.
struct Pace {
    /// Attempts that may fail before the failure is passed on.
    most: u32,
    /// First pause after a failure; it doubles.
    first: Duration,
    /// Longest pause after a failure.
    longest: Duration,
}

const USUAL: Pace = Pace {
    most: 4,
    first: Duration::from_millis(200),
    longest: Duration::from_secs(4),
};
/// Three seconds are left at most: the deadline ends the attempts, not their number.
const RESPONSE: Pace = Pace {
    most: 12,
    first: Duration::from_millis(60),
    longest: Duration::from_millis(400),
};

/// What happened to a call so far.
#[derive(Debug)]
pub(crate) struct History {
    /// Attempts begun.
    pub(crate) attempts: u32,
    failures: u32,
    limited: u32,
    last: Option<Answer>,
    known: Attempts,
}

/// What to do after an attempt.
#[derive(Debug)]
pub(crate) enum Next {
    Tell(Answer),
    Refuse(Refusal),
    Again { why: &'static str, pause: Duration },
}

impl History {
    /// No attempt yet.
    pub(crate) fn new(call: &Call) -> Self {
        Self {
            attempts: 0,
            failures: 0,
            limited: 0,
            last: None,
            known: Attempts::new(call.class, &call.method),
        }
    }

    /// What to do after an attempt ended so.
    pub(crate) fn judge(&mut self, call: &Call, sent: Sent) -> Next {
        let Some(failure) = failure(call, &sent) else {
            return match sent {
                Sent::Answered(answer) => Next::Tell(answer),
                Sent::Not(why) | Sent::Lost(why) => Next::Refuse(lost(call, &why).after(self.attempts)),
            };
        };
        let passed_over = matches!(&sent, Sent::Answered(answer) if answer.status.is_client_error())
            && fail_point::skips("proxy.guard.terminal");
        match self.known.failed(failure) {
            _ if passed_over => {
                let again = self.again(call, failure);
                again.unwrap_or_else(|| self.ended(call, sent, Ending::Refused))
            }
            Decision::Success => match sent {
                // Another call was first: the caller decides what that means.
                Sent::Answered(answer) if self.attempts == 1 => Next::Tell(answer),
                Sent::Answered(answer) => Next::Tell(in_place(&answer)),
                Sent::Not(_) | Sent::Lost(_) => Next::Tell(in_place(&Answer::no_content())),
            },
            Decision::Repeat { exhausted } => {
                let again = match &sent {
                    Sent::Answered(answer) if failure == Failure::RateLimited => self.limited(call, answer),
                    _ => self.again(call, failure),
                };
                match again {
                    Some(again) => {
                        self.last = match sent {
                            Sent::Answered(answer) => Some(answer),
                            Sent::Not(_) | Sent::Lost(_) => None,
                        };
                        again
                    }
                    None => self.ended(call, sent, exhausted),
                }
            }
            Decision::End(Ending::RepeatLater) if failure == Failure::Refused => {
                let why = "an attempt failed, and then Discord refused the call; the next call finds out whether it is refused";
                Next::Refuse(lost(call, why).after(self.attempts))
            }
            Decision::End(ending) => self.ended(call, sent, ending),
        }
    }

    /// Another attempt, if there is one left and time for it.
    fn again(&mut self, call: &Call, failure: Failure) -> Option<Next> {
        let pace = if call.class == CallClass::TimeBound {
            RESPONSE
        } else {
            USUAL
        };
        self.failures += 1;
        let pause = pace.pause(self.failures);
        let may = self.failures < pace.most
            && Instant::now() + pause + SHORTEST_ATTEMPT < call.queue_deadline
            && !(call.class == CallClass::TimeBound && fail_point::skips("proxy.guard.response"));
        let why = match failure {
            Failure::NotSent => "unsent",
            Failure::ConnectionLost | Failure::NoAnswer => "lost",
            _ => "failed",
        };
        may.then_some(Next::Again { why, pause })
    }

    /// A call that met a limit was not carried out. Its next turn comes when the limit lets it; a callback has no turns and
    /// waits by itself.
    fn limited(&mut self, call: &Call, answer: &Answer) -> Option<Next> {
        self.limited += 1;
        let wait = headers::retry_after(&answer.headers, &answer.body);
        let (pause, most) = if call.route.lane == Lane::Callback {
            (wait + MARGIN, RESPONSE.most)
        } else {
            (Duration::ZERO, MOST_LIMITED)
        };
        let may = self.limited <= most && Instant::now() + wait.max(pause) <= call.queue_deadline;
        may.then_some(Next::Again { why: "limited", pause })
    }

    fn ended(&self, call: &Call, sent: Sent, ending: Ending) -> Next {
        match (ending, sent) {
            (Ending::OutcomeUnknown, Sent::Answered(answer)) => {
                let body = if answer.status.is_success() {
                    " with a body that is not Discord's"
                } else {
                    ""
                };
                Next::Refuse(lost(call, &format!("Discord answered {}{body}", answer.status)).after(self.attempts))
            }
            (Ending::OutcomeUnknown, Sent::Not(why)) => {
                let why = format!("an attempt failed, and then Discord cannot be reached: {why}");
                Next::Refuse(lost(call, &why).after(self.attempts))
            }
            (_, Sent::Answered(answer)) => Next::Tell(answer),
            (_, Sent::Not(why)) if !self.is_open(call) => {
                let words = format!("Discord cannot be reached: {why}");
                Next::Refuse(Refusal::new(ProxyError::Unreachable, words).after(self.attempts))
            }
            (_, Sent::Not(why) | Sent::Lost(why)) => Next::Refuse(lost(call, &why).after(self.attempts)),
        }
    }

    /// Whether an attempt may have changed something at Discord.
    fn is_open(&self, call: &Call) -> bool {
        self.known.may_have_landed() && call.method != Method::GET
    }

    /// The caller's time is over while an attempt is under way.
    pub(crate) fn out_of_time(&mut self, call: &Call) -> Refusal {
        self.known.failed(Failure::NoAnswer);
        lost(call, "no answer came before the deadline").after(self.attempts)
    }

    /// What an attempt came to while others were under way, now that all have ended: a refusal says nothing about those that may
    /// have landed.
    pub(crate) fn revised(&self, call: &Call, ended: Result<Forwarded, Refusal>) -> Result<Forwarded, Refusal> {
        let unknown = |why: &str| Err(lost(call, why).after(self.attempts));
        let says_nothing = self.known.revised(Ending::Refused) == Ending::OutcomeUnknown;
        match ended {
            Ok(forwarded) if says_nothing => unknown(&format!(
                "an attempt failed, and another was answered {}",
                forwarded.answer.status
            )),
            Err(refusal) if says_nothing && refusal.error != ProxyError::OutcomeUnknown => {
                unknown(&format!("an attempt failed, and then: {}", refusal.message))
            }
            ended => ended,
        }
    }

    /// The call got no further turn. What Discord answered before is the better answer, and a lost answer the graver news.
    pub(crate) fn end(self, call: &Call, refusal: Refusal) -> Result<Forwarded, Refusal> {
        let unknown = || lost(call, &format!("an attempt failed, and then: {}", refusal.message)).after(self.attempts);
        if self.known.out_of_time(false) == Ending::OutcomeUnknown {
            return Err(unknown());
        }
        match self.last {
            Some(answer) => Ok(Forwarded {
                answer,
                attempts: self.attempts,
            }),
            None if self.known.may_have_landed() && call.method != Method::GET => Err(unknown()),
            None => Err(refusal.after(self.attempts)),
        }
    }
}

impl Pace {
    fn pause(&self, failures: u32) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(8));
        doubled.min(self.longest).mul_f64(rand::random_range(0.25..1.0))
    }
}

/// The failure of an attempt; `None` for a success. A reset and silence are decided alike.
fn failure(call: &Call, sent: &Sent) -> Option<Failure> {
    match sent {
        // What is read may be a picture.
        Sent::Answered(answer) if answer.status.is_success() && call.method == Method::GET => None,
        Sent::Answered(answer) if answer.status.is_success() => Failure::of_body(&answer.body),
        Sent::Answered(answer) => {
            let path = call.path_and_query.split('?').next().unwrap_or_default();
            let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
            Failure::of_response(&call.method, &segments, answer.status, &answer.body)
        }
        Sent::Not(_) => Some(Failure::NotSent),
        Sent::Lost(_) => Some(Failure::ConnectionLost),
    }
}

/// What is answered when a repeated call finds the effect of an earlier attempt in place; with Discord's time, by which callers
/// set their clocks.
fn in_place(found: &Answer) -> Answer {
    let mut answer = Answer::no_content();
    if let Some(date) = found.headers.get(header::DATE) {
        answer.headers.insert(header::DATE, date.clone());
    }
    answer
}

impl Answer {
    fn no_content() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }
}

fn lost(call: &Call, why: &str) -> Refusal {
    if call.method == Method::GET {
        return Refusal::new(ProxyError::Unreachable, format!("Discord did not answer: {why}"));
    }
    Refusal::new(
        ProxyError::OutcomeUnknown,
        format!("the call may have taken effect: {why}; look before you repeat it"),
    )
}

#[cfg(test)]
mod tests {
    use arrakis_discord_http::decide;

    use super::*;

    #[test]
    fn a_reset_and_silence_are_decided_alike() {
        for class in CallClass::ALL {
            assert_eq!(decide(class, Failure::ConnectionLost), decide(class, Failure::NoAnswer));
        }
    }
}
