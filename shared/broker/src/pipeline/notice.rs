//! What is wrong with a pipeline, for health and for the log: said at once, again at intervals, and once more when it is over.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How often the same trouble is logged.
const AGAIN: Duration = Duration::from_secs(30);

/// Why messages wait, shared with health.
#[derive(Debug, Clone, Default)]
pub(super) struct Reason(Arc<Mutex<Option<String>>>);

impl Reason {
    pub(super) fn get(&self) -> Option<String> {
        self.0.lock().clone()
    }
}

/// The task's end of it.
#[derive(Debug)]
pub(super) struct Notice {
    reason: Reason,
    raised: bool,
    /// The trouble logged last and when.
    logged: Option<(String, Instant)>,
}

impl Notice {
    pub(super) fn new(reason: Reason) -> Self {
        Self {
            reason,
            raised: false,
            logged: None,
        }
    }

    /// Something keeps messages from being confirmed.
    pub(super) fn trouble(&mut self, why: &str, unconfirmed: usize) {
        self.waits_for(why);
        let now = Instant::now();
        let known = self.logged.as_ref();
        if known.is_some_and(|(logged, at)| logged == why && now.duration_since(*at) < AGAIN) {
            tracing::debug!(why, unconfirmed, "publishing is interrupted");
            return;
        }
        tracing::warn!(why, unconfirmed, "publishing is interrupted");
        self.logged = Some((why.to_owned(), now));
    }

    /// What is waited for, where that is no fault.
    pub(super) fn waits_for(&mut self, what: &str) {
        self.raised = true;
        *self.reason.0.lock() = Some(what.to_owned());
    }

    /// Messages are confirmed again and none waits.
    pub(super) fn over(&mut self) {
        if self.logged.take().is_some() {
            tracing::info!("publishing goes on");
        }
        self.raised = false;
        *self.reason.0.lock() = None;
    }

    /// Whether there is something to be over.
    pub(super) fn is_raised(&self) -> bool {
        self.raised
    }
}
