//! Reports why a pipeline is stalled: to health, and to the log at once, repeated at intervals, and when the stall ends.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Interval at which the same reason is logged again.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// Why messages are not confirmed, if they are not. Shared with health.
#[derive(Debug, Clone, Default)]
pub(super) struct StallReason(Arc<Mutex<Option<String>>>);

impl StallReason {
    pub(super) fn get(&self) -> Option<String> {
        self.0.lock().clone()
    }
}

/// Used by the pipeline's task.
#[derive(Debug)]
pub(super) struct StallReporter {
    reason: StallReason,
    stalled: bool,
    /// The reason that was logged last, and when.
    logged: Option<(String, Instant)>,
}

impl StallReporter {
    pub(super) fn new(reason: StallReason) -> Self {
        Self {
            reason,
            stalled: false,
            logged: None,
        }
    }

    /// Reports a fault that keeps messages from being confirmed.
    pub(super) fn fault(&mut self, reason: &str, unconfirmed: usize) {
        self.waiting(reason);
        let now = Instant::now();
        let last = self.logged.as_ref();
        if last.is_some_and(|(logged, at)| logged == reason && now.duration_since(*at) < LOG_INTERVAL) {
            tracing::debug!(reason, unconfirmed, "publishing is interrupted");
            return;
        }
        tracing::warn!(reason, unconfirmed, "publishing is interrupted");
        self.logged = Some((reason.to_owned(), now));
    }

    /// Reports what the pipeline waits for, where that is not a fault. It is not logged.
    pub(super) fn waiting(&mut self, reason: &str) {
        self.stalled = true;
        *self.reason.0.lock() = Some(reason.to_owned());
    }

    /// Reports that messages are confirmed again and no refused message waits.
    pub(super) fn resumed(&mut self) {
        if self.logged.take().is_some() {
            tracing::info!("publishing has resumed");
        }
        self.stalled = false;
        *self.reason.0.lock() = None;
    }

    /// Whether a reason was reported since the last [`StallReporter::resumed`].
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled
    }
}
