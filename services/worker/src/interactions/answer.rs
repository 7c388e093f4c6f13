//! Puts an answer where the member looks for it.
//!
//! After a defer that is an edit of the first response, which may be repeated. What only the member may see, while the
//! first response is public, takes its place: the public one is taken away and a private follow-up sent.

use arrakis_broker::Verdict;
use arrakis_discord::{Error, Result as Sent};
use twilight_model::http::interaction::InteractionResponseData;

use super::refusal::Refusal;
use super::{Ended, Interactions, Received, first_answer};
use crate::commands::{Answer, Answers, CommandError, Entry, Reply, private};
use crate::once::{Once, Said};

impl Interactions {
    /// For a deferred interaction.
    pub(super) async fn put_in_place(&self, received: &Received, entry: &Entry, answer: Answer) -> Ended {
        let (message, outcome, alone) = match answer {
            Ok(Reply::Message(message)) => (message, "answered", false),
            Ok(Reply::Private(message)) => (message, "answered", true),
            Err(CommandError::Refused(refusal)) => (refusal.message(), "refused", true),
            Ok(Reply::Form(_)) => {
                let why = crate::failure::Failure::permanent("a deferred command answered with a form");
                return self.failed(received, entry, why).await;
            }
            Err(CommandError::Failed(failure)) => return self.failed(received, entry, failure).await,
        };
        if !received.deadline.token_lives() {
            return self.too_late();
        }
        let sent = self.place(received, entry, message, alone, "answer").await;
        self.placed(received, entry, sent, outcome).await
    }

    /// The edit, or what stands in for it.
    pub(super) async fn place(
        &self,
        received: &Received,
        entry: &Entry,
        message: InteractionResponseData,
        alone: bool,
        what: &'static str,
    ) -> Sent<Said> {
        let token = &received.invocation.token;
        match (first_answer(entry, &received.invocation), alone) {
            (Answers::Deferred { private: true }, _) | (_, false) => {
                received.calls.edit_original(token, &message).await?;
                Ok(Said::Yes)
            }
            (Answers::Deferred { private: false }, true) => {
                match received.calls.delete_original(token).await {
                    // Gone: a worker before us came as far as this.
                    Ok(()) | Err(Error::Gone { .. }) => {}
                    Err(error) => return Err(error),
                }
                self.follow_up(received, message, what).await
            }
            // The pressed message stays.
            (_, true) => self.follow_up(received, message, what).await,
        }
    }

    async fn follow_up(&self, received: &Received, message: InteractionResponseData, what: &'static str) -> Sent<Said> {
        let message = private(message);
        let calls = &received.calls;
        let send = Box::pin(async {
            calls
                .send_followup(&received.invocation.token, &message)
                .await
                .map(drop)
        });
        Box::pin(self.once(received, what).say(send)).await
    }

    fn once<'a>(&'a self, received: &'a Received, what: &'static str) -> Once<'a> {
        Once {
            services: &self.services,
            guild: received.invocation.guild,
            event: received.labels.event_id.as_str(),
            what,
        }
    }

    async fn placed(&self, received: &Received, entry: &Entry, sent: Sent<Said>, outcome: &'static str) -> Ended {
        match sent {
            Ok(Said::Unknown) => Ended::done("unknown"),
            Ok(Said::Yes) => {
                let age = received.deadline.age();
                let answer = self.services.metrics.answer.with_label_values(&[entry.definition.name]);
                answer.observe(age.as_secs_f64());
                Ended::done(outcome)
            }
            // The member dismissed the message, or the token died on the way.
            Err(Error::Gone { .. }) => Ended::done("gone"),
            Err(Error::TokenExpired) => self.too_late(),
            Err(error) => self.failed(received, entry, error.into()).await,
        }
    }

    /// For an interaction that nobody has acknowledged: the answer is the first response.
    pub(super) async fn answer_at_once(&self, received: &Received, entry: &Entry, answer: Answer) -> Ended {
        let invocation = &received.invocation;
        let (id, token) = (invocation.id, &invocation.token);
        let calls = received.calls.clone().within(received.deadline.response_left());
        let sent = match answer {
            Ok(Reply::Form(form)) => calls.modal(id, token, form).await,
            Ok(Reply::Message(message)) if invocation.kind() == "component" => calls.update(id, token, message).await,
            Ok(Reply::Message(message)) => calls.reply(id, token, message).await,
            Ok(Reply::Private(message)) => calls.reply(id, token, private(message)).await,
            Err(CommandError::Refused(refusal)) => return self.refuse_at_once(received, &refusal, "refused").await,
            Err(CommandError::Failed(failure)) => return self.failed_at_once(received, entry, failure).await,
        };
        self.first_response(received, sent).await
    }

    /// A private word as the first response.
    pub(super) async fn refuse_at_once(&self, received: &Received, refusal: &Refusal, outcome: &'static str) -> Ended {
        let invocation = &received.invocation;
        let calls = received.calls.clone().within(received.deadline.response_left());
        // Someone who is typing is shown suggestions or nothing.
        let sent = if invocation.kind() == "autocomplete" {
            calls.suggest(invocation.id, &invocation.token, Vec::new()).await
        } else {
            calls.reply(invocation.id, &invocation.token, refusal.message()).await
        };
        let ended = self.first_response(received, sent).await;
        if ended.outcome == "answered" {
            Ended::done(outcome)
        } else {
            ended
        }
    }

    /// What became of a first response that was the whole answer.
    pub(super) async fn first_response(&self, received: &Received, sent: Sent<()>) -> Ended {
        match sent {
            Ok(()) => {
                let took = received.delivery.received().elapsed();
                self.services.metrics.defer.observe(took.as_secs_f64());
                Ended::done("answered")
            }
            // The same answer, from an earlier attempt.
            Err(Error::AlreadyAcknowledged) => Ended::done("answered"),
            Err(error @ (Error::Gone { .. } | Error::TokenExpired)) => self.expired(received, error.to_string()),
            // It may stand there, and by the time of a retry the three seconds are over: there is no way left to find out.
            Err(Error::OutcomeUnknown(why)) => {
                Box::pin(self.once(received, "first_response").record(&why)).await;
                Ended::done("unknown")
            }
            // By the time of a retry the three seconds are over.
            Err(error) if error.is_passing() => self.expired(received, format!("answering at once: {error}")),
            Err(error) => self.failed_unseen(received, &error),
        }
    }

    pub(super) fn too_late(&self) -> Ended {
        self.services.metrics.too_late.inc();
        tracing::warn!("the answer is ready after the fifteen minutes and is not sent");
        Ended {
            outcome: "too_late",
            verdict: Verdict::Drop {
                why: "the interaction's token has expired".to_owned(),
            },
        }
    }
}
