//! Events of members and servers, one file each. Nobody waits for them; each may come twice, late, and in any order.
//!
//! Postgres effects are guarded by the inbox, in the same transaction; Discord effects by idempotence, so they are made again
//! for an event whose claim is taken (`docs/effects.md`). To add one: a file with a type that implements [`EventHandler`],
//! and its line in `all`.
//!
//! Bodies are read into structs of the few fields that are needed, not into whole models: a field that Discord adds or
//! changes elsewhere in a server's megabyte of JSON must not stop a join.

mod guild_join;
mod guild_leave;
mod member;
mod member_join;
mod member_leave;
mod member_update;
mod message_create;
mod role_delete;

use std::sync::Arc;

use arrakis_broker::{Delivery, Handler, Verdict};
use arrakis_contracts::Labels;
use arrakis_contracts::dead_letter::{DeadLetterReason, MAX_REDELIVERY_AGE};
use arrakis_db::{GatewayPosition, with_connection_wait};
use arrakis_runtime::fail_point;
use async_trait::async_trait;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use tracing::{Instrument, field, info_span};

use crate::failure::Failure;
use crate::load_shedding::LoadShedding;
use crate::metrics::unreadable;
use crate::services::{POSTGRES_WAIT, Services};

/// Every event that has an effect.
fn all() -> Vec<Box<dyn EventHandler>> {
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

/// Events that the ingestor forwards and that change nothing here (yet). Any other without a handler is unknown, and parked.
const OF_NO_EFFECT: [&str; 8] = [
    "GUILD_UPDATE",
    "GUILD_ROLE_CREATE",
    "GUILD_ROLE_UPDATE",
    "CHANNEL_CREATE",
    "CHANNEL_UPDATE",
    "CHANNEL_DELETE",
    "CHANNEL_PINS_UPDATE",
    "CHANNEL_TOPIC_UPDATE",
];

/// One event.
#[derive(Debug)]
pub struct Event {
    /// What the ingestor wrote about it.
    pub labels: Labels,
    body: Bytes,
}

impl Event {
    /// The event's id, the same however often it comes.
    pub fn id(&self) -> &str {
        self.labels.event_id.as_str()
    }

    /// When it happened, on Discord's clock, as near as we know: when the ingestor had it.
    pub fn at(&self) -> OffsetDateTime {
        let us = i128::from(self.labels.received_us) + i128::from(self.labels.clock_offset_ms) * 1000;
        OffsetDateTime::from_unix_timestamp_nanos(us * 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// Its place in the gateway's order.
    pub fn told(&self) -> GatewayPosition<'_> {
        GatewayPosition {
            session: &self.labels.session,
            sequence: self.labels.seq,
        }
    }

    /// Reads the fields that are needed.
    ///
    /// # Errors
    /// When they are not there: the event is parked.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|why| Failure::permanent(format!("the body is no {}: {why}", self.labels.event)))
    }
}

/// Reads a body as the handler of its event does; answers what came of it in words.
#[cfg(test)]
pub(crate) fn read_body(name: &str, body: &[u8]) -> String {
    fn read<T: DeserializeOwned>(body: &[u8]) -> String {
        serde_json::from_slice::<T>(body).map_or_else(|why| why.to_string(), |_| "read".to_owned())
    }
    match name {
        "GUILD_MEMBER_ADD" | "GUILD_MEMBER_UPDATE" => read::<member::Member>(body),
        "GUILD_MEMBER_REMOVE" => read::<member_leave::Body>(body),
        "GUILD_CREATE" => read::<guild_join::Body>(body),
        "GUILD_DELETE" => read::<guild_leave::Body>(body),
        "GUILD_ROLE_DELETE" => read::<role_delete::Body>(body),
        "MESSAGE_CREATE" => read::<message_create::Body>(body),
        _ => "no handler".to_owned(),
    }
}

/// What an event came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It had an effect, now or before.
    Done,
    /// It needs none, for this reason.
    Nothing(&'static str),
}

/// Handles the events of one name.
#[async_trait]
pub trait EventHandler: Send + Sync {
    /// Name at the gateway.
    fn name(&self) -> &'static str;

    /// Has its effect. May be called with the same event more than once.
    async fn handle(&self, services: &Services, event: &Event) -> Result<Effect, Failure>;
}

/// Handles the queues of events.
#[derive(Clone)]
pub struct Events {
    services: Arc<Services>,
    handlers: Arc<Vec<Box<dyn EventHandler>>>,
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
        self.services.metrics.waited(&delivery);
        self.load_shedding.yield_to_interactions().await;
        let labels = match delivery.labels() {
            Ok(labels) => labels,
            Err(error) => return parked(unreadable(&error)),
        };
        let span = info_span!(
            "event.message.handle",
            event = labels.event,
            event.id = labels.event_id.as_str(),
            guild.id = labels.guild,
            attempt = delivery.attempts() + 1,
            trace_id = labels.traceparent.split('-').nth(1),
            duration_ms = field::Empty,
        );
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
        verdict
    }
}

impl Events {
    /// Handles events with these services.
    pub fn new(services: Arc<Services>) -> Self {
        Self {
            services,
            handlers: Arc::new(all()),
            load_shedding: Arc::default(),
        }
    }

    /// Shares the load shedding of other consumers of this process.
    #[must_use]
    pub fn with_load_shedding(self, load_shedding: Arc<LoadShedding>) -> Self {
        Self { load_shedding, ..self }
    }

    async fn handle_one(&self, event: &Event) -> Verdict {
        let name = event.labels.event.as_str();
        let Some(handler) = self.handlers.iter().find(|handler| handler.name() == name) else {
            return self.without_handler(name);
        };
        let counted = |outcome: &str| {
            self.services
                .metrics
                .events
                .with_label_values(&[handler.name(), outcome])
                .inc();
        };
        if self.services.was_done(&event.labels.event_id).await {
            counted("already_done");
            return Verdict::Drop {
                why: "done before".to_owned(),
            };
        }
        match handler.handle(&self.services, event).await {
            Ok(Effect::Done) => {
                self.services.mark_done(&event.labels.event_id).await;
                counted("done");
                Verdict::Done
            }
            Ok(Effect::Nothing(why)) => {
                tracing::debug!(why, "no effect");
                counted("nothing");
                Verdict::Done
            }
            Err(failure) => {
                counted(failure.class());
                failure.into()
            }
        }
    }

    fn without_handler(&self, name: &str) -> Verdict {
        if let Some(known) = OF_NO_EFFECT.into_iter().find(|known| *known == name) {
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
        parked(format!("no handler for {name} in this build; deploy the worker first"))
    }
}

/// Whether the claims of an event that may have been handled before could be forgotten.
fn is_expired(event: &Event, now: OffsetDateTime) -> bool {
    now - event.at() >= MAX_REDELIVERY_AGE
}

fn expired(event: &Event) -> Verdict {
    Verdict::DeadLetter {
        reason: DeadLetterReason::Expired,
        error: format!(
            "first received at {} and perhaps handled before; what it has done already is known for {} days, so it is not handled \
             again",
            event.at(),
            MAX_REDELIVERY_AGE.as_secs() / 86_400
        ),
    }
}

fn parked(error: String) -> Verdict {
    if fail_point::skips("worker.guard.unreadable") {
        return Verdict::Requeue;
    }
    Verdict::DeadLetter {
        reason: DeadLetterReason::Unreadable,
        error,
    }
}
