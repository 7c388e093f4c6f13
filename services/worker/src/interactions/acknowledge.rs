//! The first response of a deferred command: within three seconds, before anything that takes time.
//!
//! It is sent for every delivery of the message, the ones after a crash and the retries too: Discord answers 40060 where an
//! earlier one had landed, which says "carry on", and 10062 where none had and the time is over. So nothing of ours has to
//! remember how far the worker before us came. Within the three seconds a failure is repeated in place, by the client and the
//! discord-proxy; beyond them a later delivery only finds out whether the first response had landed.

use std::time::Duration;

use arrakis_broker::Verdict;
use arrakis_discord::Error;

use super::{Ended, Interactions, Received};
use crate::commands::Answers;

/// How long a delivery after the three seconds may take to find out whether an earlier first response landed.
const FIND_OUT_WITHIN: Duration = Duration::from_secs(3);

/// What became of the acknowledgement.
pub(super) enum Acknowledged {
    /// Discord has it, from us or from a worker before us.
    Yes,
    /// The three seconds are over and nobody had acknowledged.
    Expired(String),
    /// It could not be sent.
    Failed(Ended),
}

impl Interactions {
    pub(super) async fn acknowledge(&self, received: &Received, answers: Answers) -> Acknowledged {
        let invocation = &received.invocation;
        let late = received.was_begun() && received.deadline.response_is_late();
        let within = if late {
            FIND_OUT_WITHIN
        } else {
            received.deadline.response_left()
        };
        let calls = received.calls.clone().within(within);
        self.services
            .metrics
            .defer_sent
            .observe(received.delivery.received().elapsed().as_secs_f64());
        let sent = match answers {
            Answers::Update => calls.defer_update(invocation.id, &invocation.token).await,
            Answers::Deferred { private } => calls.defer_reply(invocation.id, &invocation.token, private).await,
            Answers::Immediate | Answers::Modal => return Acknowledged::Yes,
        };
        match sent {
            Ok(()) => {
                let took = received.delivery.received().elapsed();
                self.services.metrics.defer.observe(took.as_secs_f64());
                Acknowledged::Yes
            }
            Err(Error::AlreadyAcknowledged) => {
                tracing::info!("acknowledged before; carrying on where the earlier attempt stopped");
                Acknowledged::Yes
            }
            Err(error @ (Error::Gone { .. } | Error::TokenExpired)) => Acknowledged::Expired(error.to_string()),
            Err(error @ Error::OutcomeUnknown(_)) => self.find_out_later(received, &error).await,
            // Nothing has landed, from whichever worker, and nothing will.
            Err(error) if error.is_passing() && !received.was_begun() && received.deadline.response_is_late() => {
                Acknowledged::Expired(format!("acknowledging: {error}"))
            }
            Err(error) if error.is_passing() => self.find_out_later(received, &error).await,
            Err(error) => Acknowledged::Failed(self.failed_unseen(received, &error)),
        }
    }

    /// The first response, or an earlier worker's, may have landed: the next delivery is answered 40060 or 10062. After the last
    /// one it stays unknown, which is recorded beside the dead letter.
    async fn find_out_later(&self, received: &Received, error: &Error) -> Acknowledged {
        if !super::failures::comes_in_time(received) {
            Box::pin(self.once(received, "first_response").record(&error.to_string())).await;
        }
        Acknowledged::Failed(Ended {
            outcome: "retry",
            verdict: Verdict::Retry {
                error: format!("acknowledging: {error}"),
            },
        })
    }
}
