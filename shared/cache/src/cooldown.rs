//! `cd:{tenant}:{command}:{user}`: a member uses a command again after a while.

use std::fmt::Display;
use std::time::Duration;

use deadpool_redis::redis::Cmd;

use crate::keys::Key;
use crate::{Cache, Ttl};

/// Whether a command may be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cooldown {
    /// It may, and the cooldown has begun.
    Open,
    /// Not before this has passed.
    Wait(Duration),
    /// It may, since Redis is away: a member is not refused for our trouble.
    OpenWithoutRedis,
}

impl Cooldown {
    /// Whether the command may be used.
    #[must_use]
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Wait(_))
    }
}

impl Cache {
    /// Begins a cooldown of this length, or says how long the one under way lasts. Of two that ask at once, one is let in;
    /// `event` is what asks, and comes in again when its message comes again: it is not refused by the cooldown that it began
    /// itself.
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
            Ok(Some(_)) => return Cooldown::Open,
            Ok(None) => {}
            Err(_) => return Cooldown::OpenWithoutRedis,
        }
        let mut who = Cmd::new();
        who.arg("GET").arg(key.as_str());
        match self.command::<Option<String>>("cooldown.who", &who).await {
            Ok(Some(who)) if who == event => return Cooldown::Open,
            Ok(_) => {}
            Err(_) => return Cooldown::OpenWithoutRedis,
        }
        let mut left = Cmd::new();
        left.arg("PTTL").arg(key.as_str());
        match self.command::<i64>("cooldown.left", &left).await {
            // It has ended between the two questions.
            Ok(left) if left <= 0 => Cooldown::Open,
            Ok(left) => Cooldown::Wait(Duration::from_millis(left.unsigned_abs())),
            Err(_) => Cooldown::OpenWithoutRedis,
        }
    }

    /// Ends a cooldown early: the command could not answer, and trying again is not abuse.
    pub async fn end_cooldown(&self, tenant: impl Display, command: &str, user: impl Display) {
        let mut delete = Cmd::new();
        delete
            .arg("DEL")
            .arg(Key::new("cd", &[&tenant, &command, &user]).as_str());
        // Where this fails, the cooldown ends by itself.
        let _ = self.command::<()>("cooldown.end", &delete).await;
    }
}
