//! Dispatches of operations, and their receivers.

use std::sync::Arc;

use serde::Serialize;

use super::State;
use crate::model::{Id, Intents};

/// An event for sessions.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// e.g. `GUILD_MEMBER_ADD`.
    pub name: &'static str,
    /// Server, which decides the shard; `None` goes to shard 0.
    pub guild_id: Option<Id>,
    /// A session needs one of these; empty reaches all.
    pub intents: Intents,
    /// Id of its object, for the ledger: an interaction, a message, a user, a role, a channel.
    pub subject: Option<Id>,
    /// The bytes of `d`, serialised once for all sessions.
    pub body: Arc<str>,
    /// `d` for sessions with these intents, when they receive more fields.
    pub richer: Option<(Intents, Arc<str>)>,
}

/// The sessions that receive dispatches: the gateway.
pub trait Subscribers: std::fmt::Debug + Send + Sync {
    /// Sends a dispatch to every session that is entitled to it. Called under the world's lock, so that all sessions receive
    /// dispatches in the same order.
    fn publish(&self, state: &State, dispatch: &Dispatch);

    /// The union of the intents of all sessions; `None` without sessions.
    fn intents(&self) -> Option<Intents>;
}

impl Dispatch {
    /// An event of a server that needs one of these intents.
    #[must_use]
    pub fn of_guild(name: &'static str, guild_id: Id, intents: Intents, d: &impl Serialize) -> Self {
        Self {
            guild_id: Some(guild_id),
            ..Self::of_user(name, intents, d)
        }
    }

    /// An event that belongs to no server.
    #[must_use]
    pub fn of_user(name: &'static str, intents: Intents, d: &impl Serialize) -> Self {
        Self {
            name,
            guild_id: None,
            intents,
            subject: None,
            body: to_body(d),
            richer: None,
        }
    }

    /// The dispatch with the id of its object.
    #[must_use]
    pub fn about(self, subject: Id) -> Self {
        Self {
            subject: Some(subject),
            ..self
        }
    }

    /// `d` for a session with these intents.
    #[must_use]
    pub fn body_for(&self, intents: Intents) -> &Arc<str> {
        match &self.richer {
            Some((needed, body)) if intents.contains(*needed) => body,
            _ => &self.body,
        }
    }
}

impl State {
    /// Sends an event to every session that is entitled to it.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "an event is made to be emitted; callers build it in place"
    )]
    pub fn emit(&self, dispatch: Dispatch) {
        self.subscribers.publish(self, &dispatch);
    }
}

/// Serializes once for all sessions. These types always serialize; a failure is a defect and is logged.
pub(crate) fn to_body(d: &impl Serialize) -> Arc<str> {
    match serde_json::to_string(d) {
        Ok(text) => text.into(),
        Err(error) => {
            tracing::error!(%error, "a dispatch could not be serialized");
            "null".into()
        }
    }
}
