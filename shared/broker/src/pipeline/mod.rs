//! Ordered publishing of many messages, confirmed, with a bounded number in flight.
//!
//! A pipeline has one task and one channel. After a lost connection, a closed channel or an overdue confirmation it opens a new
//! channel and sends everything unconfirmed again, in order and under the same ids. A message that the broker refuses (a full
//! queue) is sent to its alternative route, if it has one, or waits; later messages do not wait for it. A message that makes
//! the broker close the channel is found by sending one message at a time, and is given up.
//!
//! Order: messages that the broker accepts at the first attempt keep the order of sending. Messages that it refused or returned
//! are stored later, in any order.
//!
//! `window` holds the unconfirmed messages, `task` publishes them on the channel of `open_channel`, `pending` tracks publishes in
//! flight, `unpublishable` finds a message that cannot be published, `stall_reporter` reports faults to the log and to health.

mod open_channel;
mod pending;
mod stall_reporter;
mod task;
mod unpublishable;
mod window;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::connection::BrokerConnection;
use crate::message::Message;
use crate::topology::Topology;

use stall_reporter::StallReason;
use task::PipelineTask;

/// Messages between the sender and the window: enough to keep the task busy, few enough not to matter for memory.
const HANDOVER: usize = 4;

/// Options of a [`Pipeline`].
#[derive(Debug, Clone)]
pub struct PipelineOptions {
    /// Largest number of unconfirmed messages.
    pub window: usize,
    /// Largest sum of the bodies of unconfirmed messages, in bytes. The first event of a server is thousands of times larger
    /// than a join. A single larger body is sent alone.
    pub window_bytes: usize,
    /// Longest wait for a confirmation, after which the channel is closed. Time in which the broker blocks publishers does not
    /// count.
    pub confirm_within: Duration,
    /// The lease that must be held for publishing; `None` for a publisher without a lease.
    pub fence: Option<Fence>,
    /// The topology, which is declared again when no queue takes a message, or an exchange does not exist.
    pub topology: Option<Arc<Topology>>,
    /// Called for each confirmed message that has a time of receipt.
    pub confirm_latency: ConfirmLatencyObserver,
}

/// Allows publishing only while a lease is held.
#[derive(Debug, Clone)]
pub struct Fence {
    /// Epoch of the lease's connection: the pipeline uses no other connection.
    pub epoch: watch::Receiver<u64>,
    /// Name of the lease's lock ([`arrakis_contracts::names::lease_lock`]). The pipeline sends a message only if the broker
    /// confirmed within the last [`crate::LOCK_VALID`] that this connection holds the lock.
    pub lock: String,
}

/// A function that receives, for each confirmed message, the time from [`Message::received`] to the confirmation. The default
/// does nothing.
#[derive(Clone, Default)]
pub struct ConfirmLatencyObserver(Option<Arc<dyn Fn(Duration) + Send + Sync>>);

impl ConfirmLatencyObserver {
    /// Calls `observe` with each latency.
    pub fn new(observe: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observe)))
    }
}

impl std::fmt::Debug for ConfirmLatencyObserver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfirmLatencyObserver").finish_non_exhaustive()
    }
}

/// Progress of a pipeline. Message numbers count from 1 in the order of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PipelineProgress {
    /// Number of the last message such that it and all earlier ones are confirmed or given up.
    pub confirmed: u64,
    /// Number of messages that are sent and neither confirmed nor given up.
    pub pending: usize,
    /// Count of sends that were repeated after a lost connection or confirmation.
    pub resent: u64,
    /// Count of refusals by the broker.
    pub refused: u64,
    /// Count of sends to a message's alternative route ([`Message::on_refusal`]).
    pub detoured: u64,
    /// Count of returned messages: no queue takes them, not even by way of the alternate exchange. They are sent again.
    pub unroutable: u64,
    /// Count of messages that the broker can never accept (larger than its `max_message_size`). They are lost.
    pub given_up: u64,
    /// Since when messages are unconfirmed without any confirmation.
    pub unconfirmed_since: Option<Instant>,
    /// Number of refused messages that wait to be sent again.
    pub refused_waiting: usize,
    /// Since when the first of them waits.
    pub refused_since: Option<Instant>,
}

/// Why a pipeline has unconfirmed messages, for health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineStall {
    /// Number of messages that are sent and neither confirmed nor given up.
    pub unconfirmed: usize,
    /// Time since the last confirmation.
    pub nothing_confirmed_for: Duration,
    /// Number of refused messages that wait to be sent again.
    pub refused: usize,
    /// Time for which the first of them waits.
    pub refused_for: Duration,
    /// The broker's last error, or what the pipeline waits for.
    pub reason: String,
}

/// Reads the state of a pipeline for health. Clones share it.
#[derive(Debug, Clone)]
pub struct PipelineHealth {
    progress: watch::Receiver<PipelineProgress>,
    reason: StallReason,
}

impl PipelineHealth {
    /// The unconfirmed messages; `None` when everything is confirmed.
    pub fn stall(&self) -> Option<PipelineStall> {
        let progress = *self.progress.borrow();
        let since = progress.unconfirmed_since?;
        let reason = self.reason.get();
        Some(PipelineStall {
            unconfirmed: progress.pending,
            nothing_confirmed_for: since.elapsed(),
            refused: progress.refused_waiting,
            refused_for: progress.refused_since.map_or(Duration::ZERO, |since| since.elapsed()),
            reason: reason.unwrap_or_else(|| "the broker sent no confirmation".to_owned()),
        })
    }
}

/// The sending half of a pipeline.
#[derive(Debug)]
pub struct PipelineSender {
    sender: mpsc::Sender<Message>,
    progress: watch::Receiver<PipelineProgress>,
    reason: StallReason,
    sent: u64,
}

impl PipelineSender {
    /// Waits until there is room for one more message. Returns `false` when the pipeline has ended. Cancel-safe.
    pub async fn room(&self) -> bool {
        self.sender.reserve().await.is_ok()
    }

    /// Whether there is room for one more message now.
    pub fn has_room(&self) -> bool {
        self.sender.capacity() > 0
    }

    /// Sends a message and returns its number. Messages are numbered from 1 in the order of sending.
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

    /// Number of the last message that [`PipelineSender::send`] accepted, which is also the count of accepted messages; 0
    /// before the first.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// The present progress.
    pub fn progress(&self) -> PipelineProgress {
        *self.progress.borrow()
    }

    /// A reader for health, which may outlive the sender.
    pub fn health(&self) -> PipelineHealth {
        PipelineHealth {
            progress: self.progress.clone(),
            reason: self.reason.clone(),
        }
    }

    /// The progress and its changes.
    pub fn watch(&self) -> watch::Receiver<PipelineProgress> {
        self.progress.clone()
    }
}

/// Ordered, confirmed publishing: see [`Pipeline::start`].
#[derive(Debug)]
pub struct Pipeline;

impl Pipeline {
    /// Starts a pipeline's task. The task ends when the sender is dropped and everything is confirmed, when `stop` is cancelled,
    /// or when the connection is closed by this process.
    pub fn start(
        connection: BrokerConnection,
        options: PipelineOptions,
        stop: CancellationToken,
    ) -> (PipelineSender, tokio::task::JoinHandle<()>) {
        let (sender, messages) = mpsc::channel(HANDOVER);
        let (progress_sender, progress) = watch::channel(PipelineProgress::default());
        let reason = StallReason::default();
        let task = PipelineTask::new(connection, options, messages, progress_sender, reason.clone());
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
