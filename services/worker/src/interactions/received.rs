//! A delivery, decoded into an interaction, and the outcome of handling it.

use std::time::Duration;

use arrakis_broker::{Delivery, MAX_ATTEMPTS, Verdict};
use arrakis_contracts::Labels;
use arrakis_contracts::dead_letter::DeadLetterReason;
use arrakis_contracts::names::RETRY_SECONDS;
use arrakis_discord::{Calls, Error};
use arrakis_runtime::fail_point;

use super::deadline::Deadline;
use crate::interaction::invocation::Invocation;
use crate::metrics::label_error;
use crate::services::Services;

/// Time limit of a first response that is sent after the three seconds, to find out whether an earlier one took effect.
const LATE_CALL_LIMIT: Duration = Duration::from_secs(3);

/// A decoded interaction.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) delivery: Delivery,
    pub(super) labels: Labels,
    pub(super) invocation: Invocation,
    pub(super) deadline: Deadline,
    /// Calls to Discord for this interaction.
    pub(super) calls: Calls,
}

/// A delivery that this build cannot decode.
#[derive(Debug)]
pub(super) struct Undecodable {
    pub(super) delivery: Delivery,
    pub(super) why: String,
}

/// Decodes labels and body of a delivery.
pub(super) fn decode(services: &Services, delivery: Delivery) -> Result<Received, Box<Undecodable>> {
    let decoded = delivery
        .labels()
        .map_err(|error| label_error(&error))
        .and_then(|labels| {
            let invocation = Invocation::read(delivery.body()).map_err(|error| error.to_string())?;
            Ok((labels, invocation))
        });
    let (labels, invocation) = match decoded {
        Ok(decoded) => decoded,
        Err(why) => return Err(Box::new(Undecodable { delivery, why })),
    };
    let discord = &services.discord;
    let mut offset_ms = discord.least_clock_offset_ms(labels.clock_offset_ms);
    if fail_point::skips("worker.guard.clock") {
        offset_ms = 0;
    }
    let calls = discord.interactive(invocation.guild).traced(&labels.traceparent);
    Ok(Received {
        deadline: Deadline::new(&invocation.id, offset_ms),
        calls,
        delivery,
        labels,
        invocation,
    })
}

impl Received {
    /// Whether a retry of the message would be delivered while the interaction's token is valid.
    pub(super) fn retry_is_in_time(&self) -> bool {
        let attempts = self.delivery.attempts();
        let wait = RETRY_SECONDS.get(attempts as usize).copied().unwrap_or(u32::MAX);
        let wait = Duration::from_secs(u64::from(wait));
        attempts + 1 < MAX_ATTEMPTS && self.deadline.token_is_valid_after(wait)
    }

    /// Whether an earlier delivery may have been handled in part: this one is a redelivery, a retry or a replay.
    pub(super) fn may_have_been_started(&self) -> bool {
        self.delivery.may_have_been_handled()
    }

    /// Time limit of the first response.
    pub(super) fn response_limit(&self) -> Duration {
        if self.may_have_been_started() && self.deadline.response_is_late() {
            LATE_CALL_LIMIT
        } else {
            self.deadline.response_left()
        }
    }

    /// Whether an operator replayed it from the dead letters: then it is never dropped without a reply.
    pub(super) fn is_replayed(&self) -> bool {
        self.delivery.replays() > 0
    }
}

/// The outcome of handling an interaction: the label of the metric, and what happens to the message.
#[derive(Debug)]
pub(super) struct Handled {
    pub(super) outcome: &'static str,
    pub(super) verdict: Verdict,
}

impl Handled {
    pub(super) fn done(outcome: &'static str) -> Self {
        Self {
            outcome,
            verdict: Verdict::Done,
        }
    }

    pub(super) fn dropped(outcome: &'static str, why: impl Into<String>) -> Self {
        Self {
            outcome,
            verdict: Verdict::Drop { why: why.into() },
        }
    }

    pub(super) fn retry(error: impl Into<String>) -> Self {
        Self {
            outcome: "retry",
            verdict: Verdict::Retry { error: error.into() },
        }
    }

    /// Discord or the proxy refused the first response permanently: a fault of the code or the configuration. The member cannot be
    /// notified.
    pub(super) fn refused_first_response(error: &Error) -> Self {
        Self {
            outcome: "failed",
            verdict: Verdict::DeadLetter {
                reason: DeadLetterReason::Permanent,
                error: format!("first response: {error}"),
            },
        }
    }

    pub(super) fn already_done() -> Self {
        Self::dropped("already_done", "an earlier delivery was handled")
    }
}
