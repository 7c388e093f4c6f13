//! Pauses over all replicas: the active ones, and their early end.
//!
//! Redis has two marks: `cleared` ends every pause and window that was set before it, `resumed` the pauses of all calls only
//! (`acquire.lua`). A replica that reads a new mark ends its own pauses.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Limits;
use crate::limits::ActivePause;

/// The fields about pauses in a reply of `acquire.lua`.
pub(super) struct SharedPauses<'a> {
    pub(super) edge_ms: &'a str,
    pub(super) global_ms: &'a str,
    pub(super) cleared: &'a str,
    pub(super) resumed: &'a str,
}

impl Limits {
    /// The active pauses of this replica, those of all calls first.
    pub(crate) fn active_pauses(&self) -> Vec<ActivePause> {
        self.local.lock().active_pauses(Instant::now())
    }

    /// Ends every pause and the windows of used-up buckets, here and through Redis at every replica. Returns whether Redis was
    /// updated.
    pub(crate) async fn end_all_pauses(&self) -> bool {
        self.local.lock().end_all_pauses();
        self.edge_paused.store(false, Ordering::Release);
        self.set_mark("cleared").await
    }

    /// Ends the pauses of all calls, since Discord responds again. Returns whether Redis was updated.
    pub(crate) async fn end_pauses_of_all_calls(&self) -> bool {
        self.local.lock().end_pauses_of_all_calls();
        self.edge_paused.store(false, Ordering::Release);
        self.set_mark("resumed").await
    }

    async fn set_mark(&self, name: &str) -> bool {
        if !self.is_shared() {
            return false;
        }
        let sent = Instant::now();
        match self.redis.run::<i64>(&self.end_pauses, &[name.to_owned()]).await {
            Ok(_) => true,
            Err(error) => {
                self.record_error(&error, sent);
                false
            }
        }
    }

    /// Applies the pauses and marks in Redis to this replica.
    pub(super) fn apply_pauses(&self, pauses: &SharedPauses<'_>) {
        let (cleared, resumed) = {
            let mut state = self.state.lock();
            let is_new = |known: &mut Option<String>, mark: &str| {
                let before = known.replace(mark.to_owned());
                before.is_some_and(|before| before != mark) && !mark.is_empty()
            };
            (
                is_new(&mut state.cleared, pauses.cleared),
                is_new(&mut state.resumed, pauses.resumed),
            )
        };
        let mut local = self.local.lock();
        if cleared {
            local.end_all_pauses();
        } else if resumed {
            local.end_pauses_of_all_calls();
        }
        if cleared || resumed {
            self.edge_paused.store(false, Ordering::Release);
            tracing::info!("pauses ended at every replica");
        }
        let until = |ms: &str| {
            let left = ms.parse().ok().filter(|ms| *ms > 0).map(Duration::from_millis);
            left.map(|left| Instant::now() + left)
        };
        if let Some(until) = until(pauses.global_ms) {
            local.extend_global_pause(until);
        }
        if let Some(until) = until(pauses.edge_ms) {
            local.extend_edge_pause(until);
            self.edge_paused.store(true, Ordering::Release);
        }
    }
}
