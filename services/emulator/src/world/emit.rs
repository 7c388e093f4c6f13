//! From an operation to the gateway: a dispatch and who may have it.

use std::sync::Arc;

use serde::Serialize;

use super::State;
use crate::{gateway::Intents, model::Id};

/// An event on its way to the sessions.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// e.g. `GUILD_MEMBER_ADD`.
    pub name: &'static str,
    /// Server, which decides the shard; `None` goes to shard 0.
    pub guild_id: Option<Id>,
    /// A session needs one of these; empty reaches all.
    pub intents: Intents,
    /// The bytes of `d`, serialised once for all sessions.
    pub body: Arc<str>,
    /// `d` for sessions without the message content intent, where it differs.
    pub without_content: Option<Arc<str>>,
}

impl Dispatch {
    /// An event of a server that needs one of these intents.
    #[must_use]
    pub fn of_guild(name: &'static str, guild_id: Id, intents: Intents, d: &impl Serialize) -> Self {
        Self {
            name,
            guild_id: Some(guild_id),
            intents,
            body: to_body(d),
            without_content: None,
        }
    }

    /// An event that belongs to no server.
    #[must_use]
    pub fn of_user(name: &'static str, intents: Intents, d: &impl Serialize) -> Self {
        Self {
            name,
            guild_id: None,
            intents,
            body: to_body(d),
            without_content: None,
        }
    }
}

impl State {
    /// Sends an event to every session that is entitled to it.
    pub fn emit(&self, dispatch: Dispatch) {
        self.hub.publish(self, dispatch);
    }
}

/// Serialises once. Our own types cannot fail to serialise; were one to, the log says which event lost its body.
pub(crate) fn to_body(d: &impl Serialize) -> Arc<str> {
    match serde_json::to_string(d) {
        Ok(text) => text.into(),
        Err(error) => {
            tracing::error!(%error, "a dispatch could not be serialised");
            "null".into()
        }
    }
}
