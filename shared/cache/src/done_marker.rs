//! `done:{event}`: a shortcut past an event whose effect is committed. The inbox in PostgreSQL decides; this only saves its
//! query.

use std::fmt::Display;

use deadpool_redis::redis::Cmd;

use crate::keys::Key;
use crate::{Cache, Ttl};

/// Whether an event has a done marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoneState {
    /// The event's effect is committed: acknowledge the message and do nothing.
    Done,
    /// There is no marker; the event may be done all the same.
    NotDone,
    /// Redis is unavailable. Handle the event: the inbox decides.
    Unknown,
}

impl Cache {
    /// Whether the effect of an event is known to be committed.
    pub async fn done_state(&self, event: impl Display) -> DoneState {
        let mut exists = Cmd::new();
        exists.arg("EXISTS").arg(Key::new("done", &[&event]).as_str());
        match self.command("done_marker.read", &exists).await {
            Ok(true) => DoneState::Done,
            Ok(false) => DoneState::NotDone,
            Err(_) => DoneState::Unknown,
        }
    }

    /// Marks an event as done. Call it after the commit of the event's effect, never before.
    pub async fn mark_done(&self, event: impl Display, ttl: Ttl) {
        let mut set = Cmd::new();
        set.arg("SET")
            .arg(Key::new("done", &[&event]).as_str())
            .arg(1)
            .arg("PX")
            .arg(ttl.milliseconds());
        // When this fails, the inbox decides the next time.
        let _ = self.command::<()>("done_marker.set", &set).await;
    }
}
