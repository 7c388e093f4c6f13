//! Holds the lease on a shard and writes the shard's state into it.
//!
//! A task of its own, so that a write under way is never dropped half-way. The shard tells it what to write and is told
//! whether the shard is its own.

use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::topology::{Queue, shard_state};
use arrakis_broker::{Backoff, Lease, LeaseError, Link, Priorities, TopologyError};
use arrakis_runtime::fail_point;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::session::Saved;

/// How often a changed state is written: a crash replays at most this much, and replays are recognised by their ids.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// How often an unchanged state is written anew: the broker closes a channel that leaves a message unacknowledged for long
/// (`consumer_timeout`, half an hour unless configured).
const WRITE_ANYWAY: Duration = Duration::from_secs(300);
/// How long the last write may take.
const LAST_WRITE: Duration = Duration::from_secs(3);

/// Whether the shard is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hold {
    /// Not now; `others` says that another process holds it.
    Waiting { others: bool },
    /// Ours.
    Held(Held),
    /// Never: the queue is not as it should be.
    Impossible(TopologyError),
}

/// A lease that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// Counts the leases of this process on the shard from 1.
    pub(super) term: u64,
    /// Epoch of the lease's connection.
    pub(super) epoch: u64,
    /// Since when.
    pub(super) since: tokio::time::Instant,
    /// What was kept.
    pub(super) saved: Option<Saved>,
}

/// The shard's end.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) hold: watch::Receiver<Hold>,
    state: watch::Sender<Option<Saved>>,
    new_session: Arc<Notify>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Keeper {
    pub(super) fn start(link: Link, shard: u32, priorities: Priorities) -> Self {
        let (hold_sender, hold) = watch::channel(Hold::Waiting { others: false });
        let (state, wanted) = watch::channel(None);
        let stop = CancellationToken::new();
        let new_session = Arc::new(Notify::new());
        let task = Task {
            link,
            queue: shard_state(shard, priorities),
            hold: hold_sender,
            wanted,
            new_session: new_session.clone(),
            stop: stop.clone(),
        };
        Self {
            hold,
            state,
            new_session,
            stop,
            task: tokio::spawn(task.run()),
        }
    }

    /// Says what is to be kept from now on.
    pub(super) fn keep(&self, saved: Saved) {
        let mut urgent = false;
        self.state.send_if_modified(|state| {
            if state.as_ref() == Some(&saved) {
                return false;
            }
            urgent = state
                .as_ref()
                .is_none_or(|state| state.session != saved.session || state.resume_failures != saved.resume_failures);
            *state = Some(saved);
            true
        });
        // A session that is not kept yet would be lost with a crash, and a process that crashes at each RESUME would never
        // count one; a sequence number only costs a replay.
        if urgent {
            self.new_session.notify_one();
        }
    }

    /// Writes the last state and gives the lease back.
    pub(super) async fn release(self) {
        self.stop.cancel();
        let _ = tokio::time::timeout(LAST_WRITE * 2, self.task).await;
    }
}

struct Task {
    link: Link,
    queue: Queue,
    hold: watch::Sender<Hold>,
    wanted: watch::Receiver<Option<Saved>>,
    new_session: Arc<Notify>,
    stop: CancellationToken,
}

impl Task {
    async fn run(mut self) {
        let mut backoff = Backoff::broker();
        let mut term = 0;
        // A lease that was lost may be had again in a moment, and its queue may have been deleted with the state: a process that
        // is stopped meanwhile still writes what it wanted to keep.
        let (stop, wanted) = (self.stop.clone(), self.wanted.clone());
        let end = async move {
            stop.cancelled().await;
            if wanted.borrow().is_some() {
                tokio::time::sleep(LAST_WRITE).await;
            }
        };
        tokio::pin!(end);
        loop {
            let waiting = || drop(self.hold.send_replace(Hold::Waiting { others: true }));
            let acquired = tokio::select! {
                acquired = Lease::acquire(&self.link, &self.queue, waiting) => acquired,
                () = &mut end => return,
            };
            match acquired {
                Ok((lease, value)) => {
                    backoff.reset();
                    let saved = value.as_deref().and_then(Saved::decode);
                    self.write_again_unless_others_did(saved.as_ref());
                    term += 1;
                    self.hold.send_replace(Hold::Held(Held {
                        term,
                        epoch: lease.epoch(),
                        since: tokio::time::Instant::now(),
                        saved,
                    }));
                    match self.while_held(lease).await {
                        Some(why) => tracing::warn!(queue = self.queue.name, why, "the lease is lost"),
                        None => return,
                    }
                }
                Err(LeaseError::Closed(_)) => return,
                Err(LeaseError::Topology(error)) if !error.is_transient() => {
                    self.hold.send_replace(Hold::Impossible(error));
                    return;
                }
                Err(error) => tracing::debug!(queue = self.queue.name, %error, "the lease is not ours yet"),
            }
            self.hold.send_replace(Hold::Waiting { others: false });
            tokio::select! {
                () = tokio::time::sleep(backoff.next_wait()) => {}
                () = &mut end => return,
            }
        }
    }

    /// What was wanted before the lease was lost may be older than what another process wrote meanwhile. If nobody did, it is
    /// written again: the queue may have been deleted with its value.
    fn write_again_unless_others_did(&mut self, saved: Option<&Saved>) {
        let wanted = self.wanted.borrow().as_ref().map(|wanted| wanted.holder.clone());
        if wanted.is_some() && saved.is_none_or(|saved| Some(&saved.holder) == wanted.as_ref()) {
            self.wanted.mark_changed();
        } else {
            self.wanted.mark_unchanged();
        }
    }

    /// Writes until the lease is lost, with the reason, or until told to stop.
    async fn while_held(&mut self, mut lease: Lease) -> Option<String> {
        let mut tick = tokio::time::interval(WRITE_EVERY);
        let mut written_at = tokio::time::Instant::now();
        loop {
            tokio::select! {
                why = lease.lost() => return Some(why),
                () = self.stop.cancelled() => {
                    if let Ok(true) = self.wanted.has_changed() {
                        let last = self.write(&mut lease);
                        let _ = tokio::time::timeout(LAST_WRITE, last).await;
                    }
                    lease.release().await;
                    return None;
                }
                _ = tick.tick() => {}
                () = self.new_session.notified() => {}
            }
            let changed = self.wanted.has_changed().unwrap_or(false);
            if changed || written_at.elapsed() >= WRITE_ANYWAY {
                if let Err(error) = self.write(&mut lease).await {
                    return Some(error.to_string());
                }
                written_at = tokio::time::Instant::now();
            }
        }
    }

    async fn write(&mut self, lease: &mut Lease) -> Result<(), LeaseError> {
        let saved = self.wanted.borrow_and_update().clone();
        match saved {
            Some(saved) => {
                lease.write(saved.encode()).await?;
                fail_point::hit("ingestor.checkpointed").await;
                Ok(())
            }
            None => Ok(()),
        }
    }
}
