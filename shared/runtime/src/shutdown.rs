//! Two tokens that reach every task: soft (stop taking work, finish what you hold) and hard (leave now).

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// How long a service may drain unless it says otherwise.
const GRACE: Duration = Duration::from_secs(20);

/// The tokens. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// Cancelled at the first SIGTERM or SIGINT: stop taking work, finish or give back what is held.
    pub soft: CancellationToken,
    /// Cancelled when the grace period is over or a second signal came: leave now.
    pub hard: CancellationToken,
    grace: Arc<Mutex<Duration>>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            soft: CancellationToken::new(),
            hard: CancellationToken::new(),
            grace: Arc::new(Mutex::new(GRACE)),
        }
    }
}

impl Shutdown {
    /// How long the service may take between soft and hard.
    pub fn set_grace(&self, grace: Duration) {
        *self.grace.lock() = grace;
    }

    /// Waits for signals and cancels the tokens. Ends when the hard token is cancelled.
    pub(crate) async fn follow_signals(self) {
        let mut signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => {
                tracing::error!(%error, "signals cannot be listened to; SIGTERM ends the process at once");
                return;
            }
        };
        tokio::select! {
            name = signals.next() => tracing::info!(signal = name, "draining"),
            () = self.soft.cancelled() => {}
        }
        self.soft.cancel();
        let grace = *self.grace.lock();
        tokio::select! {
            name = signals.next() => tracing::warn!(signal = name, "second signal: leaving now"),
            () = tokio::time::sleep(grace) => {
                tracing::warn!(grace_seconds = grace.as_secs(), "the grace period is over: leaving now");
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
