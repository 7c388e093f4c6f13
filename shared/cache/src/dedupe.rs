//! `done:{event}`: a shortcut past work whose effect is committed. The judge is the inbox in Postgres.

use std::fmt::Display;

use deadpool_redis::redis::Cmd;

use crate::keys::Key;
use crate::{Cache, Ttl};

/// What is known of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Its effect is done: ack and forget.
    Done,
    /// Not known to be done.
    New,
    /// Redis is away. Go on: the inbox decides.
    Unknown,
}

impl Cache {
    /// Whether the effect of an event is known to be done.
    pub async fn seen(&self, event: impl Display) -> Seen {
        let mut exists = Cmd::new();
        exists.arg("EXISTS").arg(Key::new("done", &[&event]).as_str());
        match self.command("dedupe.seen", &exists).await {
            Ok(true) => Seen::Done,
            Ok(false) => Seen::New,
            Err(_) => Seen::Unknown,
        }
    }

    /// Remembers that the effect of an event is done. To be called after the commit, never before.
    pub async fn mark_done(&self, event: impl Display, ttl: Ttl) {
        let mut set = Cmd::new();
        set.arg("SET")
            .arg(Key::new("done", &[&event]).as_str())
            .arg(1)
            .arg("PX")
            .arg(ttl.milliseconds());
        // Where this fails, the inbox answers the next time.
        let _ = self.command::<()>("dedupe.mark", &set).await;
    }
}
