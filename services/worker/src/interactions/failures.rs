//! What becomes of an interaction whose command failed, and what the member is told.
//!
//! A deferred one is tried again after 5, 25 and 125 s while its token lives: all three fit into the fifteen minutes, and
//! "thinking…" stands there meanwhile. One that must be answered at once is not: after 5 s nobody takes the answer. Who is
//! given up is told so, shortly and honestly, and the message lies with the dead letters. See
//! `docs/decisions/` on interactions that fail.

use std::time::Duration;

use arrakis_broker::{MAX_ATTEMPTS, Verdict};
use arrakis_contracts::dead_letter::DeadReason;
use arrakis_contracts::names::RETRY_SECONDS;
use arrakis_discord::Error;

use super::refusal::Refusal;
use super::{Ended, Interactions, Received, already_done, first_answer};
use crate::commands::{Answers, Entry};
use crate::failure::Failure;

impl Interactions {
    /// For a deferred interaction.
    pub(super) async fn failed(&self, received: &Received, entry: &Entry, failure: Failure) -> Ended {
        // Another copy of the message may have been answered while this one failed; its answer is not to be written over.
        if self.services.was_done(&received.labels.event_id).await {
            return already_done();
        }
        match failure {
            Failure::Drop(why) => Ended::dropped("dropped", why),
            Failure::Permanent(_) => self.give_up(received, entry, DeadReason::Permanent, &failure).await,
            Failure::Retry(_) if comes_in_time(received) => {
                // A pressed message shows no "thinking…" and stays as it is.
                let waiting = matches!(first_answer(entry, &received.invocation), Answers::Deferred { .. });
                if waiting && received.delivery.attempts() == 0 {
                    self.announce_retry(received).await;
                }
                Ended {
                    outcome: "retry",
                    verdict: Verdict::Retry {
                        error: failure.to_string(),
                    },
                }
            }
            Failure::Retry(_) => self.give_up(received, entry, DeadReason::Exhausted, &failure).await,
        }
    }

    async fn give_up(&self, received: &Received, entry: &Entry, reason: DeadReason, failure: &Failure) -> Ended {
        self.tell(received, entry, &sorry(received)).await;
        Ended {
            outcome: "failed",
            verdict: Verdict::DeadLetter {
                reason,
                error: failure.to_string(),
            },
        }
    }

    /// For an interaction that nobody has acknowledged.
    pub(super) async fn failed_at_once(&self, received: &Received, _entry: &Entry, failure: Failure) -> Ended {
        let told = self.refuse_at_once(received, &sorry(received), "failed").await;
        if told.outcome != "failed" {
            return told;
        }
        let reason = match failure {
            Failure::Drop(why) => return Ended::dropped("dropped", why),
            Failure::Permanent(_) => DeadReason::Permanent,
            Failure::Retry(_) => DeadReason::Exhausted,
        };
        Ended {
            outcome: "failed",
            verdict: Verdict::DeadLetter {
                reason,
                error: failure.to_string(),
            },
        }
    }

    /// Discord or the proxy refused our first response for good: a mistake in the code or the configuration. There is no
    /// way left to tell the member.
    pub(super) fn failed_unseen(&self, _received: &Received, error: &Error) -> Ended {
        Ended {
            outcome: "failed",
            verdict: Verdict::DeadLetter {
                reason: DeadReason::Permanent,
                error: format!("first response: {error}"),
            },
        }
    }

    /// Replaces "thinking…" by a notice. Where the original response is gone there is nothing to replace, and a follow-up would
    /// stand beside the answer.
    async fn announce_retry(&self, received: &Received) {
        if received.deadline.token_lives()
            && let Err(error) = self.edit(received, &again().message()).await
        {
            tracing::warn!(%error, "the notice of a retry could not be placed");
        }
    }

    /// As well as can be: what failed may be the very way to the member.
    async fn tell(&self, received: &Received, entry: &Entry, words: &Refusal) {
        if !received.deadline.token_lives() {
            return;
        }
        if let Err(error) = self.place(received, entry, words.message(), true, "sorry").await {
            tracing::warn!(%error, "the member could not be told");
        }
    }
}

/// Whether a retry would come while the answer can still be put in place.
pub(super) fn comes_in_time(received: &Received) -> bool {
    let attempts = received.delivery.attempts();
    let wait = RETRY_SECONDS.get(attempts as usize).copied().unwrap_or(u32::MAX);
    attempts + 1 < MAX_ATTEMPTS
        && received
            .deadline
            .token_lives_after(Duration::from_secs(u64::from(wait)))
}

fn again() -> Refusal {
    Refusal::new(
        "This is taking longer than it should.",
        "I am trying again; the answer will appear here.",
    )
}

fn sorry(received: &Received) -> Refusal {
    Refusal::new(
        "Something went wrong on my side, and I could not do this.",
        format!(
            "It has been recorded as `{}`. Please try again in a few minutes, or show that number to an admin.",
            received.labels.event_id
        ),
    )
}
