//! Interactions: from a message of the queue to an answer that stands in Discord.
//!
//! Decode → drop what is done → acknowledge to Discord → run the command → put the answer in place → acknowledge to the
//! broker. Owns the order and the two limits of time; refuses to know any command. What is guarded by what:
//! `docs/effects.md`. How an answer is put in place is `answer.rs`', what a command does `commands/`'.

mod acknowledge;
mod answer;
pub mod deadline;
mod failures;
pub mod invocation;
pub mod options;
pub mod refusal;
mod run;
mod unread;

use std::sync::Arc;

use arrakis_broker::{Delivery, Handler, Verdict};
use arrakis_contracts::Labels;
use arrakis_contracts::dead_letter::DeadReason;
use arrakis_discord::Calls;
use arrakis_runtime::fail_point;
use tracing::{Instrument, field, info_span};

use self::acknowledge::Acknowledged;
use self::deadline::Deadline;
use self::invocation::{Ask, Invocation};
use self::refusal::Refusal;
use self::unread::Unread;
use crate::commands::{Answers, Entry};
use crate::metrics::unreadable;
use crate::pressure::Pressure;
use crate::services::Services;

/// Handles the queue of interactions.
#[derive(Debug, Clone)]
pub struct Interactions {
    services: Arc<Services>,
    pressure: Arc<Pressure>,
}

/// One interaction on its way.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) delivery: Delivery,
    pub(crate) labels: Labels,
    pub(crate) invocation: Invocation,
    pub(crate) deadline: Deadline,
    pub(crate) calls: Calls,
}

impl Received {
    /// Whether somebody may have begun with it before.
    pub(crate) fn was_begun(&self) -> bool {
        self.delivery.redelivered() || self.delivery.returns() > 0 || self.delivery.attempts() > 0
    }
}

/// How an interaction ended, for the metric.
pub(crate) struct Ended {
    pub(crate) outcome: &'static str,
    pub(crate) verdict: Verdict,
}

impl Ended {
    pub(crate) fn done(outcome: &'static str) -> Self {
        Self {
            outcome,
            verdict: Verdict::Done,
        }
    }

    pub(crate) fn dropped(outcome: &'static str, why: impl Into<String>) -> Self {
        Self {
            outcome,
            verdict: Verdict::Drop { why: why.into() },
        }
    }
}

impl Handler for Interactions {
    async fn handle(&self, delivery: Delivery) -> Verdict {
        self.services.metrics.waited(&delivery);
        let received = match self.read(delivery) {
            Ok(received) => received,
            Err(unread) => {
                if fail_point::skips("worker.guard.unreadable") {
                    return Verdict::GiveBack;
                }
                self.tell_unread(&unread).await;
                return Verdict::DeadLetter {
                    reason: DeadReason::Unreadable,
                    error: unread.why,
                };
            }
        };
        // Before anything that costs: under overload most of what comes is passed over, and the faster, the sooner somebody is
        // met who can still be answered.
        if self.passes_over(&received) {
            let why = "its three seconds were over on arrival, or too nearly for a worker that is behind";
            return self.count(&received, self.expired(&received, why));
        }
        let span = info_span!(
            "interaction.command.handle",
            interaction.id = received.invocation.id.get(),
            guild.id = received.invocation.guild.map(twilight_model::id::Id::get),
            command = received.invocation.command(),
            kind = received.invocation.kind(),
            attempt = received.delivery.attempts() + 1,
            trace_id = received.labels.traceparent.split('-').nth(1),
            outcome = field::Empty,
            duration_ms = field::Empty,
        );
        self.handle_one(&received).instrument(span).await
    }
}

impl Interactions {
    /// Handles interactions with these services.
    pub fn new(services: Arc<Services>) -> Self {
        Self {
            services,
            pressure: Arc::default(),
        }
    }

    /// The same, sharing with others whether this worker is behind.
    #[must_use]
    pub fn under(self, pressure: Arc<Pressure>) -> Self {
        Self { pressure, ..self }
    }

    fn read(&self, delivery: Delivery) -> Result<Received, Box<Unread>> {
        let read = delivery
            .labels()
            .map_err(|error| unreadable(&error))
            .and_then(|labels| {
                let invocation = Invocation::read(delivery.body()).map_err(|error| error.to_string())?;
                Ok((labels, invocation))
            });
        let (labels, invocation) = match read {
            Ok(read) => read,
            Err(why) => return Err(Box::new(Unread { delivery, why })),
        };
        let discord = &self.services.discord;
        let mut offset_ms = discord.clock_offset_ms().unwrap_or(labels.clock_offset_ms);
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

    async fn handle_one(&self, received: &Received) -> Verdict {
        let ended = self.answer(received).await;
        let span = tracing::Span::current();
        span.record("outcome", ended.outcome);
        let took = received.delivery.received().elapsed();
        span.record("duration_ms", u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        self.count(received, ended)
    }

    fn count(&self, received: &Received, ended: Ended) -> Verdict {
        let invocation = &received.invocation;
        // A stranger may send any name; only ours become labels.
        let known = self.services.commands.get(invocation.command());
        let command = known.map_or("unknown", |entry| entry.definition.name);
        let labels = [command, invocation.kind(), ended.outcome];
        self.services.metrics.interactions.with_label_values(&labels).inc();
        ended.verdict
    }

    /// Whether nobody has begun with it and nobody is to.
    fn passes_over(&self, received: &Received) -> bool {
        if received.was_begun() || fail_point::skips("worker.guard.expiry") {
            return false;
        }
        let (age, late) = (received.deadline.age(), received.deadline.response_is_late());
        self.pressure.leaves_out(age, late)
    }

    async fn answer(&self, received: &Received) -> Ended {
        let services = &self.services;
        let event = &received.labels.event_id;
        let entry = services.commands.get(received.invocation.command());
        let deferred = entry.is_some_and(|entry| is_deferred(first_answer(entry, &received.invocation)));
        // Who can be deferred at once is not kept waiting by a question to Redis: the first delivery is nearly always the only
        // one, and Discord refuses the second first response.
        let at_once = deferred && !received.was_begun();
        // What is tried again is done again, whoever was done with it meanwhile: an earlier try may have put "I am trying again"
        // in the place of another copy's answer.
        let again = received.delivery.attempts() > 0;
        if !at_once && !again && services.was_done(event).await {
            return already_done();
        }
        let Some(entry) = entry else {
            return self
                .refuse_at_once(received, &unknown(&received.invocation), "unknown_command")
                .await;
        };
        if let Err(refusal) = check(entry, &received.invocation) {
            return self.refuse_at_once(received, &refusal, "refused").await;
        }
        let ended = if deferred {
            self.deferred(received, entry, at_once).await
        } else {
            self.immediate(received, entry).await
        };
        if ended.verdict == Verdict::Done {
            services.mark_done(event).await;
        }
        ended
    }

    /// Acknowledges first, and only then looks at anything that takes time. `unasked` when nobody has looked whether it is done.
    async fn deferred(&self, received: &Received, entry: &Entry, unasked: bool) -> Ended {
        let acknowledge = self.acknowledge(received, first_answer(entry, &received.invocation));
        let was_done = async { unasked && self.services.was_done(&received.labels.event_id).await };
        let (acknowledged, was_done) = tokio::join!(acknowledge, was_done);
        if was_done {
            return already_done();
        }
        match acknowledged {
            Acknowledged::Yes => {}
            Acknowledged::Expired(why) => {
                self.pressure.behind();
                return self.expired(received, why);
            }
            Acknowledged::Failed(ended) => return ended,
        }
        let answer = self.run(received, entry).await;
        self.put_in_place(received, entry, answer).await
    }

    /// Runs the command and answers with what it says, all within three seconds.
    async fn immediate(&self, received: &Received, entry: &Entry) -> Ended {
        if let Ask::Suggest { .. } = received.invocation.ask {
            return self.suggest(received, entry).await;
        }
        let answer = self.run(received, entry).await;
        self.answer_at_once(received, entry, answer).await
    }

    pub(crate) fn expired(&self, received: &Received, why: impl Into<String>) -> Ended {
        self.services.metrics.expired.inc();
        if let Some(expired) = self.pressure.expired() {
            let age_ms = u64::try_from(received.deadline.age().as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(expired, age_ms, "interactions came too late and are not answered");
        }
        Ended::dropped("expired", why)
    }
}

fn is_deferred(answers: Answers) -> bool {
    match answers {
        Answers::Deferred { .. } | Answers::Update => true,
        Answers::Immediate | Answers::Modal => false,
    }
}

fn already_done() -> Ended {
    Ended::dropped("already_done", "done before")
}

/// How this interaction is answered first.
pub(crate) fn first_answer(entry: &Entry, invocation: &Invocation) -> Answers {
    match invocation.ask {
        Ask::Command { .. } => entry.definition.answers,
        Ask::Press { .. } | Ask::Submit { .. } => entry.definition.presses,
        // Suggestions cannot be deferred.
        Ask::Suggest { .. } => Answers::Immediate,
    }
}

/// What can be refused by looking at the interaction alone.
fn check(entry: &Entry, invocation: &Invocation) -> Result<(), Refusal> {
    if let Ask::Command { options, .. } = &invocation.ask {
        options.check(&entry.definition.options)?;
    }
    let Some(needed) = entry.definition.permissions else {
        return Ok(());
    };
    // Discord shows the command only to those who may, but an admin of the server can have changed that.
    let has = invocation.author.permissions;
    if has.contains(needed) || has.contains(twilight_model::guild::Permissions::ADMINISTRATOR) {
        return Ok(());
    }
    Err(Refusal::new(
        "This command is for the server's admins.",
        "Ask one of them, or see /help for what you can do here.",
    ))
}

fn unknown(invocation: &Invocation) -> Refusal {
    match &invocation.ask {
        Ask::Command { name, .. } | Ask::Suggest { name, .. } => Refusal::new(
            format!("I do not know the command `/{}`.", name.replace('`', "'")),
            "It may have been withdrawn; see /help for what I can do here.",
        ),
        Ask::Press { .. } | Ask::Submit { .. } => crate::commands::outdated(),
    }
}
