//! `cd:{tenant}:{command}:{user}`: a member may run a command again only after a while.

use std::fmt::Display;
use std::time::Duration;

use deadpool_redis::redis::Cmd;

use crate::keys::Key;
use crate::{Cache, Ttl};

/// Whether a member may run a command now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cooldown {
    /// The command may run, and its cooldown has begun.
    Allowed,
    /// The command may run after this time.
    Wait(Duration),
    /// The command may run because Redis is unavailable: a member is not refused for a fault of the platform.
    AllowedWithoutRedis,
}

impl Cooldown {
    /// Whether the command may run.
    #[must_use]
    pub const fn is_allowed(self) -> bool {
        !matches!(self, Self::Wait(_))
    }
}

impl Cache {
    /// Begins a cooldown of this length, or returns how long the current one lasts. Of two concurrent calls one is allowed.
    ///
    /// `event` is the id of the interaction. The same event is allowed again when its message is redelivered: it is not
    /// refused by the cooldown that it began itself.
    pub async fn cooldown(
        &self,
        tenant: impl Display,
        command: &str,
        user: impl Display,
        event: &str,
        length: Ttl,
    ) -> Cooldown {
        let key = Key::new("cd", &[&tenant, &command, &user]);
        let mut set = Cmd::new();
        set.arg("SET")
            .arg(key.as_str())
            .arg(event)
            .arg("NX")
            .arg("PX")
            .arg(length.milliseconds());
        match self.command::<Option<String>>("cooldown.begin", &set).await {
            Ok(Some(_)) => return Cooldown::Allowed,
            Ok(None) => {}
            Err(_) => return Cooldown::AllowedWithoutRedis,
        }
        let mut get = Cmd::new();
        get.arg("GET").arg(key.as_str());
        match self.command::<Option<String>>("cooldown.event", &get).await {
            Ok(Some(begun_by)) if begun_by == event => return Cooldown::Allowed,
            Ok(_) => {}
            Err(_) => return Cooldown::AllowedWithoutRedis,
        }
        let mut remaining = Cmd::new();
        remaining.arg("PTTL").arg(key.as_str());
        match self.command::<i64>("cooldown.remaining", &remaining).await {
            // The cooldown ended between two of these commands.
            Ok(remaining) if remaining <= 0 => Cooldown::Allowed,
            Ok(remaining) => Cooldown::Wait(Duration::from_millis(remaining.unsigned_abs())),
            Err(_) => Cooldown::AllowedWithoutRedis,
        }
    }

    /// Ends a cooldown early, when the command could not reply: the member may try again at once.
    pub async fn end_cooldown(&self, tenant: impl Display, command: &str, user: impl Display) {
        let mut delete = Cmd::new();
        delete
            .arg("DEL")
            .arg(Key::new("cd", &[&tenant, &command, &user]).as_str());
        // When this fails, the cooldown ends by its time to live.
        let _ = self.command::<()>("cooldown.end", &delete).await;
    }
}
