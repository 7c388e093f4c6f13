//! Pauses over all replicas: what is in force, and their end before their time.
//!
//! Redis keeps two marks: `cleared` ends every pause and window that was set before it, `resumed` the pauses of all calls alone
//! (`acquire.lua`). A replica that finds a new mark forgets what it knows by itself.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Limits;
use crate::limits::InForce;

/// What of an answer of `acquire.lua` is about pauses.
pub(super) struct Told<'a> {
    pub(super) edge_ms: &'a str,
    pub(super) global_ms: &'a str,
    pub(super) cleared: &'a str,
    pub(super) resumed: &'a str,
}

impl Limits {
    /// Pauses that this replica knows, those of all calls first.
    pub(crate) fn pauses(&self) -> Vec<InForce> {
        self.local.lock().in_force(Instant::now())
    }

    /// Ends every pause and the windows of used-up buckets, here and, by way of Redis, at every replica. Answers whether Redis
    /// was told.
    pub(crate) async fn clear_pauses(&self) -> bool {
        self.local.lock().clear_pauses();
        self.edge.store(false, Ordering::Release);
        self.mark("cleared").await
    }

    /// Ends the pauses of all calls: Discord answers again.
    pub(crate) async fn resume(&self) -> bool {
        self.local.lock().resume();
        self.edge.store(false, Ordering::Release);
        self.mark("resumed").await
    }

    async fn mark(&self, name: &str) -> bool {
        if !self.is_shared() {
            return false;
        }
        let began = Instant::now();
        match self.redis.run::<i64>(&self.end_pauses, &[name.to_owned()]).await {
            Ok(_) => true,
            Err(trouble) => {
                self.note_trouble(&trouble, began);
                false
            }
        }
    }

    /// Takes in what Redis has of pauses.
    pub(super) fn hear(&self, told: &Told<'_>) {
        let (cleared, resumed) = {
            let mut mode = self.mode.lock();
            let is_new = |known: &mut Option<String>, told: &str| {
                let before = known.replace(told.to_owned());
                before.is_some_and(|before| before != told) && !told.is_empty()
            };
            (
                is_new(&mut mode.cleared, told.cleared),
                is_new(&mut mode.resumed, told.resumed),
            )
        };
        let mut local = self.local.lock();
        if cleared {
            local.clear_pauses();
        } else if resumed {
            local.resume();
        }
        if cleared || resumed {
            self.edge.store(false, Ordering::Release);
            tracing::info!("the pauses that Discord asked for are ended, at every replica");
        }
        let until = |ms: &str| {
            let left = ms.parse().ok().filter(|ms| *ms > 0).map(Duration::from_millis);
            left.map(|left| Instant::now() + left)
        };
        if let Some(until) = until(told.global_ms) {
            local.learn_global(until);
        }
        if let Some(until) = until(told.edge_ms) {
            local.learn_edge(until);
            self.edge.store(true, Ordering::Release);
        }
    }
}
