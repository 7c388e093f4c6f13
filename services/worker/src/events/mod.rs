//! Events of members and servers, one file each. They have no deadline. Each may be delivered twice, late, and in any order.
//!
//! Effects in Postgres are guarded by the inbox, in the same transaction. Effects at Discord are idempotent and are repeated for an
//! event that is already claimed (`docs/effects.md`). To add an event: a file with a type that implements [`EventHandler`], and its
//! line in `all`.
//!
//! Bodies are decoded into structs with only the required fields, not into twilight's models: a change in another part of the JSON,
//! which has up to a megabyte for a server, does not affect the event.

mod arrivals;
mod guild_join;
mod guild_leave;
mod member;
mod member_join;
mod member_leave;
mod member_update;
mod message_create;
mod role_delete;
mod welcome;

use std::sync::Arc;

use arrakis_broker::{Delivery, Handler, Verdict};
use arrakis_contracts::Labels;
use arrakis_contracts::dead_letter::{DeadLetterReason, MAX_REDELIVERY_AGE};
use arrakis_db::{GatewayPosition, with_connection_wait};
use arrakis_runtime::fail_point;
use arrakis_telemetry::export::set_parent;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use tracing::{Instrument, field, info_span};

use crate::failure::{Failure, record_status};
use crate::load_shedding::LoadShedding;
use crate::metrics::label_error;
use crate::services::{POSTGRES_WAIT, Services};

/// The handlers of all events that have an effect.
fn all() -> Vec<Box<dyn DynEventHandler>> {
    vec![
        Box::new(member_join::MemberJoin),
        Box::new(member_leave::MemberLeave),
        Box::new(member_update::MemberUpdate),
        Box::new(guild_join::GuildJoin),
        Box::new(guild_leave::GuildLeave),
        Box::new(role_delete::RoleDelete),
        Box::new(message_create::MessageCreate),
    ]
}

/// Events that the ingestor forwards and that have no effect. Any other event without a handler becomes a dead letter.
const WITHOUT_EFFECT: [&str; 8] = [
    "GUILD_UPDATE",
    "GUILD_ROLE_CREATE",
    "GUILD_ROLE_UPDATE",
    "CHANNEL_CREATE",
    "CHANNEL_UPDATE",
    "CHANNEL_DELETE",
    "CHANNEL_PINS_UPDATE",
    "CHANNEL_TOPIC_UPDATE",
];

/// An event.
#[derive(Debug)]
pub struct Event {
    /// The labels that the ingestor added.
    pub labels: Labels,
    body: Bytes,
}

impl Event {
    /// The event's id, the same in each delivery.
    pub fn id(&self) -> &str {
        self.labels.event_id.as_str()
    }

    /// When the ingestor received the event, on Discord's clock. Events contain no time of their own.
    pub fn at(&self) -> OffsetDateTime {
        let us = i128::from(self.labels.received_us) + i128::from(self.labels.clock_offset_ms) * 1000;
        OffsetDateTime::from_unix_timestamp_nanos(us * 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// Gateway session and sequence number, which order the events of a session.
    pub fn gateway_position(&self) -> GatewayPosition<'_> {
        GatewayPosition {
            session: &self.labels.session,
            sequence: self.labels.seq,
        }
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// If a field is missing or malformed: the event becomes a dead letter.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::permanent(format!("cannot decode the body as {}: {error}", self.labels.event)))
    }
}

/// Decodes a body as the handler of its event does. Returns the error's text, or that it was decoded.
#[cfg(test)]
pub(crate) fn decode_body(name: &str, body: &[u8]) -> String {
    fn decode<T: DeserializeOwned>(body: &[u8]) -> String {
        serde_json::from_slice::<T>(body).map_or_else(|error| error.to_string(), |_| "decoded".to_owned())
    }
    match name {
        "GUILD_MEMBER_ADD" | "GUILD_MEMBER_UPDATE" => decode::<member::Member>(body),
        "GUILD_MEMBER_REMOVE" => decode::<member_leave::Body>(body),
        "GUILD_CREATE" => decode::<guild_join::Body>(body),
        "GUILD_DELETE" => decode::<guild_leave::Body>(body),
        "GUILD_ROLE_DELETE" => decode::<role_delete::Body>(body),
        "MESSAGE_CREATE" => decode::<message_create::Body>(body),
        _ => "no handler".to_owned(),
    }
}

/// The outcome of an event that was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventOutcome {
    /// Its effect took place, in this delivery or an earlier one.
    Done,
    /// It has no effect, for this reason.
    Ignored(&'static str),
}

/// Handles the events of one name.
pub trait EventHandler: Send + Sync {
    /// The event's name at the gateway.
    fn name(&self) -> &'static str;

    /// Handles the event. It may be called more than once for the same event.
    fn handle(&self, services: &Services, event: &Event) -> impl Future<Output = Result<EventOutcome, Failure>> + Send;
}

/// An [`EventHandler`] as a trait object, with its futures on the heap.
trait DynEventHandler: Send + Sync {
    /// As [`EventHandler::name`].
    fn name(&self) -> &'static str;

    /// As [`EventHandler::handle`].
    fn handle<'a>(&'a self, services: &'a Services, event: &'a Event) -> BoxFuture<'a, Result<EventOutcome, Failure>>;
}

impl<H: EventHandler> DynEventHandler for H {
    fn name(&self) -> &'static str {
        EventHandler::name(self)
    }

    fn handle<'a>(&'a self, services: &'a Services, event: &'a Event) -> BoxFuture<'a, Result<EventOutcome, Failure>> {
        Box::pin(EventHandler::handle(self, services, event))
    }
}

/// The handler of the queues of events.
#[derive(Clone)]
pub struct Events {
    services: Arc<Services>,
    handlers: Arc<Vec<Box<dyn DynEventHandler>>>,
    load_shedding: Arc<LoadShedding>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.handlers.iter().map(|handler| handler.name()))
            .finish()
    }
}

impl Handler for Events {
    async fn handle(&self, delivery: Delivery) -> Verdict {
        self.services.metrics.observe_wait(&delivery);
        self.load_shedding.yield_to_interactions().await;
        let labels = match delivery.labels() {
            Ok(labels) => labels,
            Err(error) => return unreadable(label_error(&error)),
        };
        let span = info_span!(
            "event.message.handle",
            event = labels.event,
            event.id = labels.event_id.as_str(),
            guild.id = labels.guild,
            attempt = delivery.attempts() + 1,
            trace_id = labels.traceparent.split('-').nth(1),
            duration_ms = field::Empty,
            otel.status_code = field::Empty,
        );
        set_parent(&span, &labels.traceparent);
        let event = Event {
            labels,
            body: delivery.body().clone(),
        };
        if delivery.may_have_been_handled() && is_expired(&event, self.services.now()) {
            return expired(&event);
        }
        let handled = self.handle_one(&event).instrument(span.clone());
        let verdict = with_connection_wait(POSTGRES_WAIT, handled).await;
        let took = delivery.received().elapsed();
        span.record("duration_ms", u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        record_status(&span, &verdict);
        verdict
    }
}

impl Events {
    /// A handler with these services.
    pub fn new(services: Arc<Services>) -> Self {
        Self {
            services,
            handlers: Arc::new(all()),
            load_shedding: Arc::default(),
        }
    }

    /// Sets the load shedding, which the consumers of a process share.
    #[must_use]
    pub fn with_load_shedding(self, load_shedding: Arc<LoadShedding>) -> Self {
        Self { load_shedding, ..self }
    }

    async fn handle_one(&self, event: &Event) -> Verdict {
        let name = event.labels.event.as_str();
        let Some(handler) = self.handlers.iter().find(|handler| handler.name() == name) else {
            return self.without_handler(name);
        };
        let count = |outcome: &str| {
            self.services
                .metrics
                .events
                .with_label_values(&[handler.name(), outcome])
                .inc();
        };
        if self.services.was_done(&event.labels.event_id).await {
            count("already_done");
            return Verdict::Drop {
                why: "an earlier delivery was handled".to_owned(),
            };
        }
        match handler.handle(&self.services, event).await {
            Ok(EventOutcome::Done) => {
                self.services.mark_done(&event.labels.event_id).await;
                count("done");
                Verdict::Done
            }
            Ok(EventOutcome::Ignored(why)) => {
                tracing::debug!(why, "event ignored");
                count("nothing");
                Verdict::Done
            }
            Err(failure) => {
                count(failure.class());
                failure.into()
            }
        }
    }

    fn without_handler(&self, name: &str) -> Verdict {
        if let Some(known) = WITHOUT_EFFECT.into_iter().find(|known| *known == name) {
            self.services
                .metrics
                .events
                .with_label_values(&[known, "nothing"])
                .inc();
            return Verdict::Done;
        }
        self.services
            .metrics
            .events
            .with_label_values(&["unknown", "permanent"])
            .inc();
        unreadable(format!(
            "no handler for {name} in this build; deploy the workers before the ingestors"
        ))
    }
}

/// Whether the claims of an event may have been deleted: it is older than the time for which an event may be handled again.
fn is_expired(event: &Event, now: OffsetDateTime) -> bool {
    now - event.at() >= MAX_REDELIVERY_AGE
}

fn expired(event: &Event) -> Verdict {
    Verdict::DeadLetter {
        reason: DeadLetterReason::Expired,
        error: format!(
            "first received at {}, may have been handled before, and is older than {} days, after which the records of its effects \
             may be deleted",
            event.at(),
            MAX_REDELIVERY_AGE.as_secs() / 86_400
        ),
    }
}

fn unreadable(error: String) -> Verdict {
    if fail_point::skips("worker.guard.unreadable") {
        return Verdict::Requeue;
    }
    Verdict::DeadLetter {
        reason: DeadLetterReason::Unreadable,
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_handled_body_is_decoded_by_the_fuzz_test() {
        for handler in all() {
            assert_ne!(decode_body(handler.name(), b"{}"), "no handler", "{}", handler.name());
        }
    }
}
