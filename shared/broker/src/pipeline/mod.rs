//! Many messages in order, confirmed, with a bounded number in flight.
//!
//! One task and one channel for each pipeline, and none for a message. A lost connection, a closed channel and a
//! confirmation that does not come all end alike: a new channel, and everything unconfirmed is sent again in its order
//! under the same ids. A message that the broker refuses (a full queue) takes its detour, if it has one, and waits by itself
//! otherwise; what is behind it goes on. A message at which the broker closes the channel each time is found by sending one
//! at a time, and given up.
//!
//! Order: what the broker accepts at the first try keeps the order of sending. What it refused, or returned because no queue
//! wanted it, comes later, in no particular order.
//!
//! `window` holds what is not confirmed, `task` publishes it on the channel of `open`, `one_by_one` finds what cannot be published, `notice` says what
//! is wrong in the log and to health.

mod notice;
mod one_by_one;
mod open;
mod task;
mod window;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::link::Link;
use crate::message::Message;
use crate::topology::Topology;

use notice::Reason;
use task::Task;

/// Messages that wait between the sender and the window: enough to keep the task busy, few enough to count for nothing.
const HANDOVER: usize = 4;

/// How a pipeline works.
#[derive(Debug, Clone)]
pub struct PipelineOptions {
    /// Messages that may be unconfirmed at once.
    pub window: usize,
    /// Bytes of bodies that may be unconfirmed at once: a server's first event is thousands of times larger than a join.
    /// A single larger body still goes, alone.
    pub window_bytes: usize,
    /// How long a confirmation may take before the channel is given up. Time spent blocked by the broker does not count.
    pub confirm_within: Duration,
    /// What must be true of the connection that is used; `None` for a publisher that needs no lease.
    pub fence: Option<Fence>,
    /// Declared again when a message finds no queue at all, or no exchange.
    pub topology: Option<Arc<Topology>>,
    /// Is told, for each confirmed message with a moment of receipt, how long that is ago.
    pub lag: Lag,
}

/// Publishing is allowed only while a lease is held.
#[derive(Debug, Clone)]
pub struct Fence {
    /// Epoch of the lease's connection: no other connection is used.
    pub epoch: watch::Receiver<u64>,
    /// Lock of the lease ([`arrakis_contracts::names::lease_lock`]). Each message is published only if the broker confirmed,
    /// within the last [`crate::LOCK_VALID`], that this connection holds it.
    pub lock: String,
}

/// Who is told how long confirmations took.
#[derive(Clone, Default)]
pub struct Lag(Option<Arc<dyn Fn(Duration) + Send + Sync>>);

impl Lag {
    /// Tells `told`.
    pub fn told(told: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }
}

impl std::fmt::Debug for Lag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lag({})", if self.0.is_some() { "told" } else { "nobody" })
    }
}

/// How far a pipeline is. Numbers count from 1 in the order of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// The last message such that it and all before it are confirmed or given up.
    pub confirmed: u64,
    /// Messages taken and not yet confirmed.
    pub pending: usize,
    /// Messages sent again after a lost connection or confirmation.
    pub resent: u64,
    /// Refusals by the broker.
    pub refused: u64,
    /// Messages that took their detour.
    pub detoured: u64,
    /// Messages that no queue and no alternate exchange wanted; they are sent again.
    pub unroutable: u64,
    /// Messages that the broker cannot take (larger than its `max_message_size`), given up.
    pub given_up: u64,
    /// Since when messages are unconfirmed and none was confirmed.
    pub unconfirmed_since: Option<Instant>,
    /// Refused messages that wait to be sent again.
    pub refused_waiting: usize,
    /// Since when the first of them waits.
    pub refused_since: Option<Instant>,
}

/// Why a pipeline makes no, or not enough, progress. For health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stall {
    /// Messages taken and not yet confirmed.
    pub unconfirmed: usize,
    /// How long none was confirmed.
    pub nothing_confirmed_for: Duration,
    /// Refused messages that wait.
    pub refused: usize,
    /// How long the first of them waits.
    pub refused_for: Duration,
    /// What the broker said last, or what is waited for.
    pub why: String,
}

/// What health asks of a pipeline. Cloning shares it.
#[derive(Debug, Clone)]
pub struct PipelineHealth {
    progress: watch::Receiver<Progress>,
    reason: Reason,
}

impl PipelineHealth {
    /// What waits, if anything does.
    pub fn stall(&self) -> Option<Stall> {
        let progress = *self.progress.borrow();
        let since = progress.unconfirmed_since?;
        let why = self.reason.get();
        Some(Stall {
            unconfirmed: progress.pending,
            nothing_confirmed_for: since.elapsed(),
            refused: progress.refused_waiting,
            refused_for: progress.refused_since.map_or(Duration::ZERO, |since| since.elapsed()),
            why: why.unwrap_or_else(|| "the broker sent no confirmation".to_owned()),
        })
    }
}

/// The sending end.
#[derive(Debug)]
pub struct PipelineSender {
    sender: mpsc::Sender<Message>,
    progress: watch::Receiver<Progress>,
    reason: Reason,
    sent: u64,
}

impl PipelineSender {
    /// Resolves when there is room for one more message; `false` when the pipeline has ended. Cancel-safe.
    pub async fn room(&self) -> bool {
        self.sender.reserve().await.is_ok()
    }

    /// Whether there is room now.
    pub fn has_room(&self) -> bool {
        self.sender.capacity() > 0
    }

    /// Sends, and answers the message's number; gives the message back when there is no room.
    ///
    /// # Errors
    /// The message, when there is no room or the pipeline has ended.
    pub fn send(&mut self, message: Message) -> Result<u64, Box<Message>> {
        match self.sender.try_send(message) {
            Ok(()) => {
                self.sent += 1;
                Ok(self.sent)
            }
            Err(mpsc::error::TrySendError::Full(message) | mpsc::error::TrySendError::Closed(message)) => {
                Err(Box::new(message))
            }
        }
    }

    /// Number of the last message sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// How far the pipeline is.
    pub fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// For health, also after the sender is gone.
    pub fn health(&self) -> PipelineHealth {
        PipelineHealth {
            progress: self.progress.clone(),
            reason: self.reason.clone(),
        }
    }

    /// Progress and its changes.
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }
}

/// Starts pipelines.
#[derive(Debug)]
pub struct Pipeline;

impl Pipeline {
    /// Starts the task. It ends when the sender is dropped and all is confirmed, when `stop` is cancelled, or when the link
    /// is closed.
    pub fn start(
        link: Link,
        options: PipelineOptions,
        stop: CancellationToken,
    ) -> (PipelineSender, tokio::task::JoinHandle<()>) {
        let (sender, messages) = mpsc::channel(HANDOVER);
        let (progress_sender, progress) = watch::channel(Progress::default());
        let reason = Reason::default();
        let task = Task::new(link, options, messages, progress_sender, reason.clone());
        let handle = tokio::spawn(task.run(stop));
        (
            PipelineSender {
                sender,
                progress,
                reason,
                sent: 0,
            },
            handle,
        )
    }
}
