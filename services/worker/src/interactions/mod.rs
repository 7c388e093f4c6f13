//! The pipeline of an interaction, from its delivery to the reply in Discord.
//!
//! | stage | where |
//! |---|---|
//! | consume | [`Interactions`], which leaves out what [`LoadShedding`] sheds |
//! | decode | `received.rs`; if that fails, `undecodable.rs` |
//! | route | `route` in this file: find the command, check options and permissions |
//! | defer | `defer.rs` |
//! | run | `run.rs`, which checks feature gates (`gate.rs`) and codes of a second factor (`mfa.rs`) first; `autocomplete.rs` for suggestions |
//! | reply | `reply.rs`, with the calls in `deliver.rs`; `failures.rs` if the command failed |
//! | remind | `reminder.rs`: a question that the member could not be sent as a direct message |
//! | acknowledge | the [`Verdict`] that [`Interactions`] returns to the consumer |
//!
//! `deadline.rs` has Discord's time limits. No stage depends on a particular command. Which effect is guarded by what:
//! `docs/effects.md`.

mod autocomplete;
pub mod deadline;
mod defer;
mod deliver;
mod failures;
mod gate;
mod in_flight;
mod mfa;
mod received;
mod reminder;
mod reply;
mod run;
mod undecodable;

use std::sync::Arc;

use arrakis_broker::{Delivery, Handler, Verdict};
use arrakis_telemetry::export::set_parent;
use tracing::{Instrument, field, info_span};
use twilight_model::guild::Permissions;
use twilight_model::id::Id;

use self::defer::Deferral;
use self::in_flight::InFlight;
use self::received::{Handled, Received, decode};
use crate::commands::{CommandEntry, Commands, outdated_component};
use crate::failure::record_status;
use crate::interaction::invocation::{Invocation, InvocationData};
use crate::interaction::refusal::Refusal;
use crate::load_shedding::LoadShedding;
use crate::services::Services;

/// The handler of the queues of interactions.
#[derive(Debug, Clone)]
pub struct Interactions {
    services: Arc<Services>,
    commands: Arc<Commands>,
    load_shedding: Arc<LoadShedding>,
}

impl Handler for Interactions {
    async fn handle(&self, delivery: Delivery) -> Verdict {
        self.services.metrics.observe_wait(&delivery);
        let received = match decode(&self.services, delivery) {
            Ok(received) => received,
            Err(undecodable) => return undecodable::dead_letter(&self.services, *undecodable).await,
        };
        let in_flight = InFlight {
            services: &self.services,
            commands: &self.commands,
            load_shedding: &self.load_shedding,
            received: &received,
        };
        // Before anything slow: under overload most interactions are shed, and the sooner that is done, the more of the others
        // are replied to in time.
        let handled = if in_flight.is_shed() {
            in_flight.expired("the three seconds were over on arrival, or nearly over while the worker is overloaded")
        } else {
            handle_in_span(in_flight).await
        };
        self.count(&received, &handled);
        handled.verdict
    }
}

impl Interactions {
    /// A handler with these services and commands.
    pub fn new(services: Arc<Services>, commands: Arc<Commands>) -> Self {
        Self {
            services,
            commands,
            load_shedding: Arc::default(),
        }
    }

    /// Sets the load shedding, which the consumers of a process share.
    #[must_use]
    pub fn with_load_shedding(self, load_shedding: Arc<LoadShedding>) -> Self {
        Self { load_shedding, ..self }
    }

    fn count(&self, received: &Received, handled: &Handled) {
        let invocation = &received.invocation;
        // A name sent by a client is used as a label only if it is one of our commands.
        let known = self.commands.get(invocation.command());
        let command = known.map_or("unknown", |entry| entry.definition.name);
        let labels = [command, invocation.kind(), handled.outcome];
        self.services.metrics.interactions.with_label_values(&labels).inc();
    }
}

async fn handle_in_span(in_flight: InFlight<'_>) -> Handled {
    let received = in_flight.received;
    let span = info_span!(
        "interaction.command.handle",
        interaction.id = received.invocation.id.get(),
        guild.id = received.invocation.guild.map(Id::get),
        command = received.invocation.command(),
        kind = received.invocation.kind(),
        attempt = received.delivery.attempts() + 1,
        trace_id = received.labels.traceparent.split('-').nth(1),
        outcome = field::Empty,
        duration_ms = field::Empty,
        otel.status_code = field::Empty,
    );
    set_parent(&span, &received.labels.traceparent);
    let handled = route(in_flight).instrument(span.clone()).await;
    span.record("outcome", handled.outcome);
    let took = received.delivery.received().elapsed();
    span.record("duration_ms", u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    record_status(&span, &handled.verdict);
    handled
}

/// Finds the command of the interaction and handles it, unless an earlier delivery was handled or the command is refused.
async fn route(in_flight: InFlight<'_>) -> Handled {
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
    let checked = validate(entry, &received.invocation).and_then(|()| check_mfa(in_flight.services, entry));
    if let Err(refusal) = checked {
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

/// Defers, runs the command, and sends its reply. `check_done`: whether the done marker has not been read yet; it is then read
/// during the defer.
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
    let handled = reply::reply(in_flight, entry, result).await;
    if handled.verdict == Verdict::Done {
        reminder::remind(in_flight).await;
    }
    handled
}

/// Runs the command and sends its reply as the first response, all within three seconds.
async fn handle_immediate(in_flight: InFlight<'_>, entry: &CommandEntry) -> Handled {
    if let InvocationData::Autocomplete { .. } = in_flight.received.invocation.data {
        return autocomplete::autocomplete(in_flight, entry).await;
    }
    let result = run::run(in_flight, entry).await;
    reply::respond(in_flight, result).await
}

/// Checks the options and the permissions, both of which the interaction contains.
fn validate(entry: &CommandEntry, invocation: &Invocation) -> Result<(), Refusal> {
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

/// Refuses a command that needs a second factor where none can be checked. A development deployment may permit it.
fn check_mfa(services: &Services, entry: &CommandEntry) -> Result<(), Refusal> {
    let can_check = services.mfa.is_some() || services.admin_commands_without_mfa;
    if entry.definition.requires_mfa.is_none() || can_check {
        return Ok(());
    }
    Err(Refusal::new(
        format!(
            "`/{}` needs a second factor (MFA), which is not configured here.",
            entry.definition.name
        ),
        "Nothing was changed. Ask the operator of this bot to set `MFA_ENCRYPTION_KEY`.",
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
