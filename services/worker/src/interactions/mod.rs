//! The pipeline of an interaction, from its message to the reply in Discord.
//!
//! Consume → decode (`received.rs`) → defer (`defer.rs`) → route and run the command (`run.rs`) → reply (`reply.rs`) →
//! acknowledge the message. [`Interactions`] owns this order; each stage is a function in its own file. What a failure leads to
//! is in `failures.rs`, the time limits of Discord in `deadline.rs`. No command is known here by name. Which effect is guarded
//! by what: `docs/effects.md`.

mod autocomplete;
pub mod deadline;
mod defer;
mod deliver;
mod failures;
mod in_flight;
mod received;
mod reply;
mod run;
mod undecodable;

use std::sync::Arc;

use arrakis_broker::{Delivery, Handler, Verdict};
use arrakis_contracts::dead_letter::DeadLetterReason;
use arrakis_runtime::fail_point;
use tracing::{Instrument, field, info_span};
use twilight_model::guild::Permissions;

use self::defer::Deferral;
use self::in_flight::InFlight;
use self::received::{Handled, Received, decode};
use crate::commands::{CommandEntry, Commands, outdated_component};
use crate::interaction::invocation::{Invocation, InvocationData};
use crate::interaction::refusal::Refusal;
use crate::load_shedding::LoadShedding;
use crate::services::Services;

/// Handles the queues of interactions.
#[derive(Debug, Clone)]
pub struct Interactions {
    services: Arc<Services>,
    commands: Arc<Commands>,
    load_shedding: Arc<LoadShedding>,
}

impl Handler for Interactions {
    async fn handle(&self, delivery: Delivery) -> Verdict {
        self.services.metrics.waited(&delivery);
        let received = match decode(&self.services, delivery) {
            Ok(received) => received,
            Err(undecodable) => {
                if fail_point::skips("worker.guard.unreadable") {
                    return Verdict::Requeue;
                }
                undecodable::notify_member(&self.services, &undecodable).await;
                return Verdict::DeadLetter {
                    reason: DeadLetterReason::Unreadable,
                    error: undecodable.why,
                };
            }
        };
        let in_flight = InFlight {
            services: &self.services,
            commands: &self.commands,
            load_shedding: &self.load_shedding,
            received: &received,
        };
        // Before anything slow: under overload most interactions are shed, and the sooner that is done, the more of the others
        // are replied to in time.
        if in_flight.is_shed() {
            let why = "the three seconds were over on arrival, or nearly over while the worker is overloaded";
            return self.count(&received, in_flight.expired(why));
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
        let handled = handle_received(in_flight).instrument(span.clone()).await;
        span.record("outcome", handled.outcome);
        let took = received.delivery.received().elapsed();
        span.record("duration_ms", u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        self.count(&received, handled)
    }
}

impl Interactions {
    /// Handles interactions with these services and commands.
    pub fn new(services: Arc<Services>, commands: Arc<Commands>) -> Self {
        Self {
            services,
            commands,
            load_shedding: Arc::default(),
        }
    }

    /// Shares the load shedding of other consumers of this process.
    #[must_use]
    pub fn with_load_shedding(self, load_shedding: Arc<LoadShedding>) -> Self {
        Self { load_shedding, ..self }
    }

    fn count(&self, received: &Received, handled: Handled) -> Verdict {
        let invocation = &received.invocation;
        // A name sent by a client is used as a label only if it is one of our commands.
        let known = self.commands.get(invocation.command());
        let command = known.map_or("unknown", |entry| entry.definition.name);
        let labels = [command, invocation.kind(), handled.outcome];
        self.services.metrics.interactions.with_label_values(&labels).inc();
        handled.verdict
    }
}

async fn handle_received(in_flight: InFlight<'_>) -> Handled {
    let received = in_flight.received;
    let event = &received.labels.event_id;
    let entry = in_flight.commands.get(received.invocation.command());
    let deferred = entry.is_some_and(|entry| in_flight.response_mode(entry).is_deferred());
    // The defer does not wait for Redis: the first delivery is nearly always the only one, and Discord refuses a second first
    // response.
    let defer_first = deferred && !received.may_have_been_started();
    // A retry runs even if another copy is done: an earlier attempt may have replaced that copy's reply by a notice.
    let is_retry = received.delivery.attempts() > 0;
    if !defer_first && !is_retry && in_flight.services.was_done(event).await {
        return Handled::already_done();
    }
    let Some(entry) = entry else {
        let refusal = unknown_command(&received.invocation);
        return deliver::respond_with_refusal(in_flight, &refusal, "unknown_command").await;
    };
    if let Err(refusal) = check(entry, &received.invocation) {
        return deliver::respond_with_refusal(in_flight, &refusal, "refused").await;
    }
    let handled = if deferred {
        handle_deferred(in_flight, entry, defer_first).await
    } else {
        handle_immediate(in_flight, entry).await
    };
    if handled.verdict == Verdict::Done {
        in_flight.services.mark_done(event).await;
    }
    handled
}

/// Defers before anything slow. `check_done`: whether the done marker has not been read yet.
async fn handle_deferred(in_flight: InFlight<'_>, entry: &CommandEntry, check_done: bool) -> Handled {
    let received = in_flight.received;
    let deferral = defer::defer(in_flight, in_flight.response_mode(entry));
    let was_done = async { check_done && in_flight.services.was_done(&received.labels.event_id).await };
    let (deferral, was_done) = tokio::join!(deferral, was_done);
    if was_done {
        return Handled::already_done();
    }
    match deferral {
        Deferral::Accepted => {}
        Deferral::Expired(why) => {
            in_flight.load_shedding.note_late();
            return in_flight.expired(why);
        }
        Deferral::Failed(handled) => return handled,
    }
    let result = run::run(in_flight, entry).await;
    reply::reply(in_flight, entry, result).await
}

/// Runs the command and responds with its reply, all within three seconds.
async fn handle_immediate(in_flight: InFlight<'_>, entry: &CommandEntry) -> Handled {
    if let InvocationData::Autocomplete { .. } = in_flight.received.invocation.data {
        return autocomplete::autocomplete(in_flight, entry).await;
    }
    let result = run::run(in_flight, entry).await;
    reply::respond(in_flight, result).await
}

/// Checks options and permissions, which the interaction alone contains.
fn check(entry: &CommandEntry, invocation: &Invocation) -> Result<(), Refusal> {
    if let InvocationData::Command { options, .. } = &invocation.data {
        options.check(&entry.definition.options)?;
    }
    let Some(needed) = entry.definition.permissions else {
        return Ok(());
    };
    // Discord shows the command only to members with the permissions, but an admin can have changed that.
    let has = invocation.author.permissions;
    if has.contains(needed) || has.contains(Permissions::ADMINISTRATOR) {
        return Ok(());
    }
    Err(Refusal::new(
        "This command is for the server's admins.",
        "Ask one of them, or see /help for what you can do here.",
    ))
}

fn unknown_command(invocation: &Invocation) -> Refusal {
    match &invocation.data {
        InvocationData::Command { name, .. } | InvocationData::Autocomplete { name, .. } => Refusal::new(
            format!("I do not know the command `/{}`.", name.replace('`', "'")),
            "It may have been withdrawn; see /help for what I can do here.",
        ),
        InvocationData::Component { .. } | InvocationData::ModalSubmit { .. } => outdated_component(),
    }
}
