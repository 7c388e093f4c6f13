//! Holds the lease on a shard and stores the shard's state in it.
//!
//! This is a task of its own, so that a pending write is never cancelled. The shard's task sends it the state to store, and watches
//! whether the lease is held.

use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::topology::{Queue, shard_state_queue};
use arrakis_broker::{Backoff, BrokerConnection, Lease, LeaseError, Priorities, TopologyError};
use arrakis_runtime::fail_point;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::session::StoredState;

/// Interval at which a changed state is written. A crash replays the events of at most this time, under the same ids.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);
/// Interval at which an unchanged state is written again. The broker closes a channel that leaves a message unacknowledged for too
/// long (`consumer_timeout`, half an hour by default).
const REFRESH_INTERVAL: Duration = Duration::from_secs(300);
/// Time limit of the last write.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(3);

/// Whether this process holds the lease on the shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LeaseState {
    /// Not held. `held_elsewhere`: another process holds it.
    Waiting { held_elsewhere: bool },
    /// Held.
    Held(HeldLease),
    /// Cannot be held: the lease's queue exists with other properties.
    Refused(TopologyError),
}

/// A lease that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeldLease {
    /// Number of this lease among those of this process on the shard, counted from 1.
    pub(super) term: u64,
    /// Epoch of the lease's connection.
    pub(super) epoch: u64,
    /// Since when it is held.
    pub(super) since: tokio::time::Instant,
    /// The state that was stored in it.
    pub(super) stored: Option<StoredState>,
}

/// The handle of the shard's task.
#[derive(Debug)]
pub(super) struct ShardLease {
    pub(super) state: watch::Receiver<LeaseState>,
    to_store: watch::Sender<Option<StoredState>>,
    store_now: Arc<Notify>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl ShardLease {
    pub(super) fn start(connection: BrokerConnection, shard: u32, priorities: Priorities) -> Self {
        let (state_sender, state) = watch::channel(LeaseState::Waiting { held_elsewhere: false });
        let (to_store_sender, to_store) = watch::channel(None);
        let stop = CancellationToken::new();
        let store_now = Arc::new(Notify::new());
        let task = LeaseTask {
            connection,
            queue: shard_state_queue(shard, priorities),
            state: state_sender,
            to_store,
            store_now: store_now.clone(),
            stop: stop.clone(),
        };
        Self {
            state,
            to_store: to_store_sender,
            store_now,
            stop,
            task: tokio::spawn(task.run()),
        }
    }

    /// Stores this state: at once if the session or its resume failures changed, else within [`WRITE_INTERVAL`].
    pub(super) fn store(&self, new: StoredState) {
        let mut urgent = false;
        self.to_store.send_if_modified(|state| {
            if state.as_ref() == Some(&new) {
                return false;
            }
            urgent = state
                .as_ref()
                .is_none_or(|state| state.session != new.session || state.resume_failures != new.resume_failures);
            *state = Some(new);
            true
        });
        // A crash would lose a session that is not stored, and a process that crashes at each RESUME would never count a failure. A
        // lost sequence number only causes a replay.
        if urgent {
            self.store_now.notify_one();
        }
    }

    /// Writes the last state and releases the lease.
    pub(super) async fn release(self) {
        self.stop.cancel();
        let _ = tokio::time::timeout(LAST_WRITE_TIMEOUT * 2, self.task).await;
    }
}

struct LeaseTask {
    connection: BrokerConnection,
    queue: Queue,
    state: watch::Sender<LeaseState>,
    to_store: watch::Receiver<Option<StoredState>>,
    store_now: Arc<Notify>,
    stop: CancellationToken,
}

impl LeaseTask {
    async fn run(mut self) {
        let mut backoff = Backoff::broker();
        let mut term = 0;
        // A lost lease may soon be held again, and its queue may have been deleted with the state. A process that is stopped
        // meanwhile still tries to write its state.
        let (stop, to_store) = (self.stop.clone(), self.to_store.clone());
        let end = async move {
            stop.cancelled().await;
            if to_store.borrow().is_some() {
                tokio::time::sleep(LAST_WRITE_TIMEOUT).await;
            }
        };
        tokio::pin!(end);
        loop {
            let waiting = || drop(self.state.send_replace(LeaseState::Waiting { held_elsewhere: true }));
            let acquired = tokio::select! {
                acquired = Lease::acquire(&self.connection, &self.queue, waiting) => acquired,
                () = &mut end => return,
            };
            match acquired {
                Ok((lease, value)) => {
                    backoff.reset();
                    let stored = value.as_deref().and_then(StoredState::decode);
                    self.rewrite_unless_written_elsewhere(stored.as_ref());
                    term += 1;
                    self.state.send_replace(LeaseState::Held(HeldLease {
                        term,
                        epoch: lease.epoch(),
                        since: tokio::time::Instant::now(),
                        stored,
                    }));
                    match self.while_held(lease).await {
                        Some(reason) => tracing::warn!(queue = self.queue.name, reason, "the lease is lost"),
                        None => return,
                    }
                }
                Err(LeaseError::Closed(_)) => return,
                Err(LeaseError::Topology(error)) if !error.is_transient() => {
                    self.state.send_replace(LeaseState::Refused(error));
                    return;
                }
                Err(error) => tracing::debug!(queue = self.queue.name, %error, "the lease is not acquired yet"),
            }
            self.state.send_replace(LeaseState::Waiting { held_elsewhere: false });
            tokio::select! {
                () = tokio::time::sleep(backoff.next_wait()) => {}
                () = &mut end => return,
            }
        }
    }

    /// Decides whether to write the state again that this process had before it lost the lease. If another process wrote one meanwhile,
    /// that of this process is outdated. Otherwise the queue may have been deleted with its value, so it is written again.
    fn rewrite_unless_written_elsewhere(&mut self, stored: Option<&StoredState>) {
        let holder = self.to_store.borrow().as_ref().map(|state| state.holder.clone());
        if holder.is_some() && stored.is_none_or(|stored| Some(&stored.holder) == holder.as_ref()) {
            self.to_store.mark_changed();
        } else {
            self.to_store.mark_unchanged();
        }
    }

    /// Writes states until the lease is lost, and returns the reason; returns `None` when it is released.
    async fn while_held(&mut self, mut lease: Lease) -> Option<String> {
        let mut tick = tokio::time::interval(WRITE_INTERVAL);
        let mut written_at = tokio::time::Instant::now();
        loop {
            tokio::select! {
                reason = lease.lost() => return Some(reason),
                () = self.stop.cancelled() => {
                    if let Ok(true) = self.to_store.has_changed() {
                        let last = self.write(&mut lease);
                        let _ = tokio::time::timeout(LAST_WRITE_TIMEOUT, last).await;
                    }
                    lease.release().await;
                    return None;
                }
                _ = tick.tick() => {}
                () = self.store_now.notified() => {}
            }
            let changed = self.to_store.has_changed().unwrap_or(false);
            if changed || written_at.elapsed() >= REFRESH_INTERVAL {
                if let Err(error) = self.write(&mut lease).await {
                    return Some(error.to_string());
                }
                written_at = tokio::time::Instant::now();
            }
        }
    }

    async fn write(&mut self, lease: &mut Lease) -> Result<(), LeaseError> {
        let state = self.to_store.borrow_and_update().clone();
        match state {
            Some(state) => {
                lease.write(state.encode()).await?;
                fail_point::hit("ingestor.checkpointed").await;
                Ok(())
            }
            None => Ok(()),
        }
    }
}
