//! Puts an answer where the member looks for it.
//!
//! After a defer that is an edit of the first response, which may be repeated. What only the member may see, while the
//! first response is public, takes its place: the public one is removed and a private follow-up sent. That it is about to be
//! removed is recorded before: an answer that finds it removed by us is sent as a follow-up as well, and one that finds it
//! removed by somebody else is not wanted any more.

use arrakis_broker::Verdict;
use arrakis_discord::{Error, Result as Sent};
use twilight_model::http::interaction::InteractionResponseData;

use super::refusal::Refusal;
use super::{Ended, Interactions, Received, first_answer};
use crate::commands::{Answer, Answers, CommandError, Entry, Reply, private};
use crate::once::{Once, Outcome};

/// Unknown message.
const UNKNOWN_MESSAGE: u64 = 10008;

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
    ) -> Sent<Outcome> {
        match (first_answer(entry, &received.invocation), alone) {
            (Answers::Deferred { private: false }, false) => self.edit_or_follow_up(received, message, what).await,
            (Answers::Deferred { private: true }, _) | (_, false) => self.edit(received, &message).await,
            (Answers::Deferred { private: false }, true) => {
                if let Err(error) = self.once(received, "original").note_removal().await {
                    return match what {
                        "answer" => Err(Error::Unavailable(format!("recording a removal: {error}"))),
                        // A word about the failure is for everybody's eyes, if need be.
                        _ => self.edit(received, &message).await,
                    };
                }
                match received.calls.delete_original(&received.invocation.token).await {
                    // Gone: a worker before us came as far as this.
                    Ok(()) | Err(Error::Gone { .. }) => {}
                    Err(error) => return Err(error),
                }
                self.follow_up(received, private(message), what).await
            }
            // The pressed message stays.
            (_, true) => self.follow_up(received, private(message), what).await,
        }
    }

    pub(super) async fn edit(&self, received: &Received, message: &InteractionResponseData) -> Sent<Outcome> {
        let token = &received.invocation.token;
        received.calls.edit_original(token, message).await?;
        Ok(Outcome::Sent)
    }

    /// A public answer: in place of "thinking…", or as a message of its own where we removed that.
    async fn edit_or_follow_up(
        &self,
        received: &Received,
        message: InteractionResponseData,
        what: &'static str,
    ) -> Sent<Outcome> {
        let edited = self.edit(received, &message).await;
        let Err(Error::Gone {
            code: UNKNOWN_MESSAGE, ..
        }) = edited
        else {
            return edited;
        };
        match self.once(received, "original").was_removed().await {
            Ok(true) => self.follow_up(received, message, what).await,
            Ok(false) => edited,
            Err(error) => Err(Error::Unavailable(format!(
                "who removed the original response: {error}"
            ))),
        }
    }

    async fn follow_up(
        &self,
        received: &Received,
        message: InteractionResponseData,
        what: &'static str,
    ) -> Sent<Outcome> {
        let token = &received.invocation.token;
        let send = |left| {
            let calls = received.calls.clone().within(left);
            Box::pin(async move { calls.send_followup(token, &message).await })
        };
        Box::pin(self.once(received, what).send(send)).await
    }

    pub(super) fn once<'a>(&'a self, received: &'a Received, what: &'static str) -> Once<'a> {
        Once {
            services: &self.services,
            guild: received.invocation.guild,
            event: received.labels.event_id.as_str(),
            what,
        }
    }

    async fn placed(&self, received: &Received, entry: &Entry, sent: Sent<Outcome>, outcome: &'static str) -> Ended {
        match sent {
            Ok(Outcome::Unknown) => Ended::done("unknown"),
            Ok(Outcome::UnderWay) => Ended {
                outcome: "retry",
                verdict: Verdict::Retry {
                    error: "another copy of this message may be sending the answer right now".to_owned(),
                },
            },
            Ok(Outcome::Sent) => {
                let age = received.deadline.age();
                let answer = self.services.metrics.answer.with_label_values(&[entry.definition.name]);
                answer.observe(age.as_secs_f64());
                Ended::done(outcome)
            }
            // Somebody removed the message, or the token died on the way.
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
            // This attempt had no effect, an earlier worker's may have had one.
            Err(error) if error.is_passing() && received.was_begun() => {
                Box::pin(self.once(received, "first_response").record(&error.to_string())).await;
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
