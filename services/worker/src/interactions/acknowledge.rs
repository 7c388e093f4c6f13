//! The first response of a deferred command: within three seconds, before anything that takes time.
//!
//! It is sent for every delivery of the message, the ones after a crash and the retries too: Discord answers 40060 where an
//! earlier one had landed, which says "carry on", and 10062 where none had and the time is over. So nothing of ours has to
//! remember how far the worker before us came.

use arrakis_broker::Verdict;
use arrakis_discord::Error;

use super::{Ended, Interactions, Received};
use crate::commands::Answers;

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
        let calls = received.calls.clone().within(received.deadline.response_left());
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
            // The call may have landed. The retry finds out: 40060 or 10062.
            Err(error) if error.is_passing() && !received.was_begun() => Acknowledged::Failed(Ended {
                outcome: "retry",
                verdict: Verdict::Retry {
                    error: format!("acknowledging: {error}"),
                },
            }),
            Err(error) if error.is_passing() => Acknowledged::Expired(format!("acknowledging: {error}")),
            Err(error) => Acknowledged::Failed(self.failed_unseen(received, &error)),
        }
    }
}
