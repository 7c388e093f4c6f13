//! Shutdown in two steps: soft (accept no more work, finish what has begun) and hard (stop now). A token for each reaches every
//! task.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Grace period unless the service sets another.
const DEFAULT_GRACE: Duration = Duration::from_secs(20);

/// The shutdown tokens of a service. Clones share them.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// Cancelled at the first SIGTERM or SIGINT: accept no more work, finish or return what has begun.
    pub soft: CancellationToken,
    /// Cancelled when the grace period has passed, or at a second signal: stop now.
    pub hard: CancellationToken,
    grace: Arc<Mutex<Duration>>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            soft: CancellationToken::new(),
            hard: CancellationToken::new(),
            grace: Arc::new(Mutex::new(DEFAULT_GRACE)),
        }
    }
}

impl Shutdown {
    /// Sets the grace period: the time between the soft and the hard token.
    pub fn set_grace(&self, grace: Duration) {
        *self.grace.lock() = grace;
    }

    /// Cancels the tokens at signals. Ends when the hard token is cancelled.
    pub(crate) async fn follow_signals(self) {
        let mut signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => {
                tracing::error!(%error, "signal handlers cannot be installed; SIGTERM ends the process at once");
                return;
            }
        };
        tokio::select! {
            name = signals.next() => tracing::info!(signal = name, "shutting down: no more work is accepted"),
            () = self.soft.cancelled() => {}
        }
        self.soft.cancel();
        let grace = *self.grace.lock();
        tokio::select! {
            name = signals.next() => tracing::warn!(signal = name, "second signal: stopping now"),
            () = tokio::time::sleep(grace) => {
                tracing::warn!(grace_seconds = grace.as_secs(), "the grace period has passed: stopping now");
            }
            () = self.hard.cancelled() => {}
        }
        self.hard.cancel();
    }
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
