//! One shard: waits for its lease, keeps a gateway session, reconnects, and stops so that the next process can resume the session.
//!
//! `lease` holds the lease and stores the shard's state, `connection` is one gateway connection from open to close, `close_code` maps
//! close codes to actions, `reconnect` has the waits before reconnecting, `heartbeat` the polls under backpressure.

mod close_code;
mod connection;
mod heartbeat;
mod lease;
mod reconnect;

use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::{BrokerConnection, Fence, LOCK_VALID, Pipeline, PipelineOptions, PipelineSender, Topology};
use arrakis_contracts::names;
use arrakis_runtime::{Fatal, fail_point};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use twilight_gateway::ShardId;

use crate::clock::{ClockOffset, now_ms};
use crate::events::AllowList;
use crate::identify::IdentifyQueue;
use crate::metrics::Metrics;
use crate::resume::{ResumeFailures, SessionLimits};
use crate::session::{SequenceTracker, Session, StoredState};
use crate::status::{ShardPhase, ShardStatus};

use connection::{Connection, ConnectionEnd, ConnectionLoss};
use lease::{HeldLease, LeaseState, ShardLease};
use reconnect::ReconnectDelay;

/// Longest time of a confirmation before its channel is closed.
const CONFIRM_WITHIN: Duration = Duration::from_secs(10);
/// Largest sum of the unconfirmed payloads of a shard, in bytes.
const WINDOW_BYTES: usize = 512 << 10;
/// How long a shard without a gateway connection waits for a lease that another connection seems to hold. That may be this process's
/// former broker connection, which the broker has not closed yet.
const LEASE_WAIT: Duration = Duration::from_secs(3);
/// Interval at which sequence gaps are logged. Each is counted.
const GAP_LOG_INTERVAL: Duration = Duration::from_secs(10);
/// How long a stopping shard waits for confirmations.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// What all shards of the process share.
#[derive(Debug)]
pub(crate) struct ShardContext {
    pub(crate) connection: BrokerConnection,
    pub(crate) topology: Arc<Topology>,
    /// Total number of shards.
    pub(crate) shards: u32,
    /// Largest number of unconfirmed messages of a shard.
    pub(crate) window: usize,
    pub(crate) limits: SessionLimits,
    pub(crate) events: AllowList,
    pub(crate) identify: IdentifyQueue,
    pub(crate) clock: Arc<ClockOffset>,
    pub(crate) metrics: Metrics,
    /// Id of this process in the stored state.
    pub(crate) holder: String,
    /// Cloned for each gateway connection, which sets its URL. The clones share the TLS context.
    pub(crate) twilight: twilight_gateway::Config<IdentifyQueue>,
}

/// Runs a shard until `stop` is cancelled.
///
/// # Errors
/// When the shard cannot continue until an operator corrects something.
pub(crate) async fn run(
    shared: Arc<ShardContext>,
    status: Arc<ShardStatus>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let priorities = shared.topology.priorities();
    let mut lease = ShardLease::start(shared.connection.clone(), status.id, priorities);
    let result = run_lease_periods(&shared, &status, &mut lease, &stop).await;
    lease.release().await;
    result
}

/// Runs the shard each time that its lease is held.
async fn run_lease_periods(
    shared: &Arc<ShardContext>,
    status: &Arc<ShardStatus>,
    lease: &mut ShardLease,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let held = tokio::select! {
            held = wait_for_lease(lease, status) => held?,
            () = stop.cancelled() => return Ok(()),
        };
        let mut period = LeasePeriod::begin(shared.clone(), status.clone(), held);
        let outcome = period.run(lease, stop).await;
        match outcome {
            Ok(PeriodEnd::Stopped) => {
                period.drain(lease).await;
                return Ok(());
            }
            Ok(PeriodEnd::TakenOver) => {
                tracing::warn!(shard = status.id, "another process has taken over the shard");
            }
            Err(error) => {
                period.drain(lease).await;
                return Err(error);
            }
        }
    }
}

async fn wait_for_lease(lease: &mut ShardLease, status: &ShardStatus) -> anyhow::Result<HeldLease> {
    loop {
        let state = lease.state.borrow_and_update().clone();
        match state {
            LeaseState::Held(held) => return Ok(held),
            LeaseState::Waiting { held_elsewhere: true } => status.set(ShardPhase::Standby),
            LeaseState::Waiting { held_elsewhere: false } => {}
            LeaseState::Refused(error) => return Err(Fatal::new(error.to_string()).into()),
        }
        lease.state.changed().await?;
    }
}

/// Why a lease period ended.
enum PeriodEnd {
    /// `stop` was cancelled.
    Stopped,
    /// Another process holds the lease, or held it meanwhile.
    TakenOver,
}

/// A time in which this process holds the lease on the shard: the gateway session, and the pipeline of its events. The lease may be
/// lost and acquired again within it, if no other process held it meanwhile.
#[derive(Debug)]
pub(super) struct LeasePeriod {
    shared: Arc<ShardContext>,
    status: Arc<ShardStatus>,
    session: Option<Session>,
    tracker: SequenceTracker,
    sender: PipelineSender,
    fence: watch::Sender<u64>,
    /// Term of the last lease.
    term: u64,
    /// When a new session may begin. A former holder of the lease publishes nothing after this time.
    may_identify_at: tokio::time::Instant,
    stop_pipeline: CancellationToken,
    /// The resume URL is not used until there is a new one: its host is unreachable.
    resume_host_failed: bool,
    /// Failed attempts to resume the session since it was last active.
    resume_failures: ResumeFailures,
    /// The gateway's URL must be read again: its host is unreachable.
    gateway_failed: bool,
    /// The last sequence number before an unreadable frame.
    unreadable_after: u64,
    /// How often that frame was received.
    unreadable_attempts: u32,
    /// Number of messages given up by the pipeline that are counted as gaps.
    given_up: u64,
    /// When a sequence gap was last logged.
    gap_logged_at: Option<tokio::time::Instant>,
}

impl LeasePeriod {
    fn begin(shared: Arc<ShardContext>, status: Arc<ShardStatus>, held: HeldLease) -> Self {
        let (fence, epoch) = watch::channel(held.epoch);
        let options = PipelineOptions {
            window: shared.window,
            window_bytes: WINDOW_BYTES,
            confirm_within: CONFIRM_WITHIN,
            fence: Some(Fence {
                epoch,
                lock: names::lease_lock(&names::shard(status.id)),
            }),
            topology: Some(shared.topology.clone()),
            confirm_latency: shared.metrics.confirm_latency(),
        };
        let stop_pipeline = CancellationToken::new();
        let (sender, _task) = Pipeline::start(shared.connection.clone(), options, stop_pipeline.clone());
        status.set_pipeline(Some(sender.health()));
        let mut tracker = SequenceTracker::default();
        let mut session = None;
        let mut resume_failures = ResumeFailures::default();
        let mut may_identify_at = held.since;
        if held.stored.is_none() {
            may_identify_at += LOCK_VALID;
        }
        if let Some(stored) = held.stored {
            if stored.shards == shared.shards {
                tracker.begin(stored.seq);
                session = stored.session;
                resume_failures = stored.resume_failures;
            } else if stored.session.is_some() {
                tracing::warn!(
                    shard = status.id,
                    before = stored.shards,
                    now = shared.shards,
                    "the number of shards changed: the stored session cannot be resumed"
                );
                shared.metrics.gap("shard_count");
            }
        }
        if let Some(session) = &session {
            tracing::info!(
                shard = status.id,
                seq = tracker.last(),
                session = session.id,
                "resuming a stored session"
            );
        }
        status.set(ShardPhase::Connecting("starting".to_owned()));
        Self {
            shared,
            status,
            session,
            tracker,
            sender,
            fence,
            term: held.term,
            may_identify_at,
            stop_pipeline,
            resume_host_failed: resume_failures.avoid_resume_url(),
            resume_failures,
            gateway_failed: false,
            unreadable_after: 0,
            unreadable_attempts: 0,
            given_up: 0,
            gap_logged_at: None,
        }
    }

    async fn run(&mut self, lease: &mut ShardLease, stop: &CancellationToken) -> anyhow::Result<PeriodEnd> {
        let mut delay = ReconnectDelay::default();
        loop {
            // Only the holder of the lease connects: two processes that resume one session would disconnect each other for ever.
            let ready = tokio::select! {
                ready = self.ready_to_connect(lease) => ready?,
                () = stop.cancelled() => return Ok(PeriodEnd::Stopped),
            };
            if !ready {
                return Ok(PeriodEnd::TakenOver);
            }
            let opened = tokio::time::Instant::now();
            let ended = Connection::open(self).run(lease, stop).await?;
            let loss = match ended {
                ConnectionEnd::Stopped => return Ok(PeriodEnd::Stopped),
                ConnectionEnd::TakenOver => return Ok(PeriodEnd::TakenOver),
                ConnectionEnd::Fatal(fatal) => return Err(fatal.into()),
                ConnectionEnd::Lost(loss) => loss,
            };
            self.connection_lost(&loss);
            self.save(lease);
            let wait = delay.next_wait(opened.elapsed());
            tracing::warn!(
                shard = self.status.id,
                cause = loss.cause,
                detail = loss.detail,
                wait_ms = wait.as_millis(),
                resumes = self.session.is_some(),
                "the gateway connection ended"
            );
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => return Ok(PeriodEnd::Stopped),
            }
        }
    }

    /// Updates the session after a lost connection.
    fn connection_lost(&mut self, loss: &ConnectionLoss) {
        self.shared.metrics.closed(loss.cause);
        self.status.set_last_close(&format!("{}: {}", loss.cause, loss.detail));
        self.status.set(ShardPhase::Connecting(loss.detail.clone()));
        self.resume_host_failed |= loss.resume_host_failed;
        self.gateway_failed |= loss.gateway_failed;
        if loss.resume_failed {
            self.resume_failed(&loss.detail);
        }
        if let Some(reason) = loss.session_lost
            && let Some(session) = self.session.take()
        {
            self.count_gap(reason, &session.id);
            self.reset_resume_failures();
        }
    }

    /// Counts a RESUME that failed although Discord did not report the session as invalid. Gives the session up after too many.
    fn resume_failed(&mut self, detail: &str) {
        let now = now_ms();
        self.resume_failures.record(now, self.tracker.last());
        self.resume_host_failed |= self.resume_failures.avoid_resume_url();
        let attempts = self.resume_failures.total();
        self.status.update(|counters| counters.resume_failures = attempts);
        if !self.resume_failures.are_too_many(now, self.shared.limits)
            || fail_point::skips("ingestor.guard.resume_limit")
        {
            return;
        }
        if let Some(session) = self.session.take() {
            tracing::error!(
                shard = self.status.id,
                attempts,
                detail,
                "the session cannot be resumed: beginning a new one"
            );
            self.count_gap("resume_failed", &session.id);
            self.reset_resume_failures();
        }
    }

    /// Resets the count: the session is active, or it is given up.
    fn reset_resume_failures(&mut self) {
        self.resume_failures = ResumeFailures::default();
        self.status.update(|counters| counters.resume_failures = 0);
    }

    fn count_gap(&self, reason: &str, session: &str) {
        if fail_point::skips("ingestor.guard.gap") {
            return;
        }
        tracing::error!(
            shard = self.status.id,
            reason,
            session,
            last_seq = self.tracker.last(),
            "session lost: events are missed until the next session begins; reconciliation repairs their changes"
        );
        self.shared.metrics.gap(reason);
        self.status.update(|counters| counters.gaps += 1);
    }

    /// Counts missing sequence numbers before `seq`: dispatches that Discord sent were not received.
    fn sequence_numbers_missing(&mut self, seq: u64, missing: u64) {
        self.sequence_gap(
            seq,
            &format!("{missing} sequence numbers are missing: their dispatches were not received"),
        );
    }

    /// Counts a gap in the session's sequence numbers, and logs it at most once in [`GAP_LOG_INTERVAL`].
    fn sequence_gap(&mut self, seq: u64, detail: &str) {
        let now = tokio::time::Instant::now();
        if self
            .gap_logged_at
            .is_none_or(|at| now.duration_since(at) >= GAP_LOG_INTERVAL)
        {
            self.gap_logged_at = Some(now);
            let last_seq = self.tracker.last();
            tracing::error!(
                shard = self.status.id,
                last_seq,
                seq,
                detail,
                "gap in the gateway's sequence numbers"
            );
        }
        self.shared.metrics.gap("sequence");
        self.status.update(|counters| counters.gaps += 1);
    }

    /// Waits for the lease, for room in the pipeline, and for the session start limit if a new session is needed. Returns `false` when
    /// another process held the lease meanwhile.
    async fn ready_to_connect(&mut self, lease: &mut ShardLease) -> anyhow::Result<bool> {
        let lease_deadline = tokio::time::Instant::now() + LEASE_WAIT;
        loop {
            if !self.follow_lease(lease)? {
                return Ok(false);
            }
            let state = lease.state.borrow().clone();
            let held_elsewhere = matches!(state, LeaseState::Waiting { held_elsewhere: true });
            let held = matches!(state, LeaseState::Held(_));
            if held && self.sender.has_room() {
                break;
            }
            tokio::select! {
                changed = lease.state.changed() => changed?,
                _ = self.sender.room(), if held => {}
                () = tokio::time::sleep_until(lease_deadline), if held_elsewhere => return Ok(false),
            }
        }
        if fail_point::skips("ingestor.guard.resume") {
            self.session = None;
        }
        if std::mem::take(&mut self.gateway_failed) {
            self.shared.identify.gateway_is_unreachable().await?;
        }
        if self.session.is_none() {
            self.status
                .set(ShardPhase::Connecting("waiting for an identify slot".to_owned()));
            tokio::time::sleep_until(self.may_identify_at).await;
            self.shared.identify.wait_for_session_start().await?;
        }
        Ok(true)
    }

    /// Follows the state of the lease. Returns `false` when another process held it meanwhile.
    fn follow_lease(&mut self, lease: &mut ShardLease) -> Result<bool, Fatal> {
        let state = lease.state.borrow_and_update().clone();
        match state {
            LeaseState::Waiting { .. } => Ok(true),
            LeaseState::Refused(error) => Err(Fatal::new(error.to_string())),
            LeaseState::Held(held) if held.term == self.term => Ok(true),
            LeaseState::Held(held) => {
                if held.stored.is_some_and(|stored| stored.holder != self.shared.holder) {
                    return Ok(false);
                }
                self.term = held.term;
                self.fence
                    .send_if_modified(|epoch| std::mem::replace(epoch, held.epoch) != held.epoch);
                self.save(lease);
                Ok(true)
            }
        }
    }

    /// Stores the present state in the lease, and updates the status and the metrics.
    fn save(&mut self, lease: &ShardLease) {
        let progress = self.sender.progress();
        let confirmed = self.tracker.confirmed(progress.confirmed);
        let state = StoredState::new(&self.shared.holder, self.shared.shards, self.session.clone(), confirmed);
        lease.store(state.with_failures(self.resume_failures));
        let received = self.tracker.last();
        self.status.update(|counters| {
            counters.received = received;
            counters.confirmed = confirmed;
            counters.pending = progress.pending;
        });
        self.shared.metrics.publishing(self.status.id, progress);
        for _ in self.given_up..progress.given_up {
            self.shared.metrics.gap("unpublishable");
            self.status.update(|counters| counters.gaps += 1);
        }
        self.given_up = progress.given_up;
    }

    /// Waits for pending confirmations, and then stores the state for the last time.
    async fn drain(&mut self, lease: &ShardLease) {
        let mut progress = self.sender.watch();
        let all = self.sender.sent();
        let drained = progress.wait_for(|progress| progress.confirmed >= all);
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            tracing::warn!(
                shard = self.status.id,
                "stopped with unconfirmed events; the next process receives them again with RESUME"
            );
        }
        self.save(lease);
    }

    fn shard_id(&self) -> ShardId {
        ShardId::new(self.status.id, self.shared.shards)
    }
}

impl Drop for LeasePeriod {
    fn drop(&mut self) {
        // The pipeline of an ended period must publish nothing more.
        self.stop_pipeline.cancel();
        self.status.set_pipeline(None);
    }
}
