//! One shard: waits for its lease, keeps a session, connects again and again, and leaves so that the next can resume.
//!
//! `keeper` holds the lease, `connection` is one gateway connection from open to close and works its frames in, `close` says
//! what a close code means, `pace` how soon to connect again, `beat` when to poll under backpressure.

mod beat;
mod close;
mod connection;
mod keeper;
mod pace;

use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::{Fence, LOCK_VALID, Link, Pipeline, PipelineOptions, PipelineSender, Topology};
use arrakis_contracts::names;
use arrakis_runtime::{Fatal, fail_point};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use twilight_gateway::{ConfigBuilder, ShardId};

use crate::clock::{ClockOffset, now_ms};
use crate::config::Config;
use crate::identify::IdentifyQueue;
use crate::metrics::Metrics;
use crate::resume::{ResumeFailures, SessionLimits};
use crate::session::{Saved, Session, Tracker};
use crate::status::{ShardStatus, State};

use connection::{Connection, Ended, Why};
use keeper::{Held, Hold, Keeper};
use pace::Pace;

/// How long a confirmation may take before its channel is given up.
const CONFIRM_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of payloads of one shard that may be unconfirmed at once.
const WINDOW_BYTES: usize = 512 << 10;
/// How long a shard without a gateway connection waits for a lease that another consumer of the broker seems to hold. It may
/// be our own former connection, which the broker has not buried yet.
const GIVE_UP: Duration = Duration::from_secs(3);
/// How often a gap in the sequence numbers is logged; each is counted.
const LOG_JUMPS_EVERY: Duration = Duration::from_secs(10);
/// How long leaving waits for confirmations.
const DRAIN: Duration = Duration::from_secs(5);

/// What all shards share.
#[derive(Debug)]
pub(crate) struct Shared {
    link: Link,
    topology: Arc<Topology>,
    shards: u32,
    window: usize,
    limits: SessionLimits,
    events: crate::events::AllowList,
    identify: IdentifyQueue,
    clock: Arc<ClockOffset>,
    metrics: Metrics,
    /// Names this process among those that may hold a shard.
    holder: String,
    twilight: twilight_gateway::Config<IdentifyQueue>,
}

impl Shared {
    #[expect(clippy::too_many_arguments, reason = "called once, from where all of them are made")]
    pub(crate) fn new(
        config: Config,
        link: Link,
        topology: Arc<Topology>,
        shards: u32,
        identify: IdentifyQueue,
        clock: Arc<ClockOffset>,
        metrics: Metrics,
        holder: String,
    ) -> Self {
        // Cloned for each connection: the clones share the TLS context. The address is added to each.
        let twilight = ConfigBuilder::new(config.token.expose().to_owned(), config.intents)
            .queue(identify.clone())
            .build();
        Self {
            link,
            topology,
            shards,
            window: config.window,
            limits: config.limits,
            events: config.events,
            identify,
            clock,
            metrics,
            holder,
            twilight,
        }
    }
}

/// Runs one shard until told to stop.
///
/// # Errors
/// When only a person can mend it.
pub(crate) async fn run(shared: Arc<Shared>, status: Arc<ShardStatus>, stop: CancellationToken) -> anyhow::Result<()> {
    let priorities = shared.topology.priorities();
    let mut keeper = Keeper::start(shared.link.clone(), status.id, priorities);
    let result = periods(&shared, &status, &mut keeper, &stop).await;
    keeper.release().await;
    result
}

/// Periods of holding the shard, one after the other.
async fn periods(
    shared: &Arc<Shared>,
    status: &Arc<ShardStatus>,
    keeper: &mut Keeper,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let held = tokio::select! {
            held = wait_until_held(keeper, status) => held?,
            () = stop.cancelled() => return Ok(()),
        };
        let mut holding = Holding::begin(shared.clone(), status.clone(), held);
        let outcome = holding.run(keeper, stop).await;
        match outcome {
            Ok(Period::Stopped) => {
                holding.drain(keeper).await;
                return Ok(());
            }
            Ok(Period::TakenOver) => {
                tracing::warn!(shard = status.id, "another process took the shard over");
            }
            Err(error) => {
                holding.drain(keeper).await;
                return Err(error);
            }
        }
    }
}

async fn wait_until_held(keeper: &mut Keeper, status: &ShardStatus) -> anyhow::Result<Held> {
    loop {
        let hold = keeper.hold.borrow_and_update().clone();
        match hold {
            Hold::Held(held) => return Ok(held),
            Hold::Waiting { others: true } => status.set(State::Standby),
            Hold::Waiting { others: false } => {}
            Hold::Impossible(error) => return Err(Fatal::new(error.to_string()).into()),
        }
        keeper.hold.changed().await?;
    }
}

/// How a period of holding the shard ended.
enum Period {
    Stopped,
    TakenOver,
}

/// A period of holding the shard: a session, and the pipeline that its events go through.
#[derive(Debug)]
pub(super) struct Holding {
    shared: Arc<Shared>,
    status: Arc<ShardStatus>,
    session: Option<Session>,
    tracker: Tracker,
    sender: PipelineSender,
    fence: watch::Sender<u64>,
    /// Term of the lease that was followed last.
    term: u64,
    /// When a new session may begin: a former holder has published its last event by then.
    may_identify_at: tokio::time::Instant,
    stop_pipeline: CancellationToken,
    /// The resume host did not answer; the first address serves until there is a new one.
    resume_host_is_dead: bool,
    /// Attempts to resume the session that failed since it was last connected.
    resume_failures: ResumeFailures,
    /// The gateway did not answer at its address; Discord is asked for it again.
    gateway_is_dead: bool,
    /// A frame that could not be read: after which sequence number, and how often.
    unreadable: (u64, u32),
    /// Messages of the pipeline that were given up, as far as they are counted.
    given_up: u64,
    /// When a jump of the sequence numbers was logged last.
    jump_logged: Option<tokio::time::Instant>,
}

impl Holding {
    fn begin(shared: Arc<Shared>, status: Arc<ShardStatus>, held: Held) -> Self {
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
            lag: shared.metrics.lag_told(),
        };
        let stop_pipeline = CancellationToken::new();
        let (sender, _task) = Pipeline::start(shared.link.clone(), options, stop_pipeline.clone());
        status.publishes_by(Some(sender.health()));
        let mut tracker = Tracker::default();
        let mut session = None;
        let mut resume_failures = ResumeFailures::default();
        let mut may_identify_at = held.since;
        if held.saved.is_none() {
            may_identify_at += LOCK_VALID;
        }
        if let Some(saved) = held.saved {
            if saved.shards == shared.shards {
                tracker.begin(saved.seq);
                session = saved.session;
                resume_failures = saved.resume_failures;
            } else if saved.session.is_some() {
                tracing::warn!(
                    shard = status.id,
                    before = saved.shards,
                    now = shared.shards,
                    "the number of shards changed: new session"
                );
                shared.metrics.gap("shard_count");
            }
        }
        if let Some(session) = &session {
            tracing::info!(
                shard = status.id,
                seq = tracker.last(),
                session = session.id,
                "took over a session"
            );
        }
        status.set(State::Connecting("begins".to_owned()));
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
            resume_host_is_dead: resume_failures.avoid_resume_address(),
            resume_failures,
            gateway_is_dead: false,
            unreadable: (0, 0),
            given_up: 0,
            jump_logged: None,
        }
    }

    async fn run(&mut self, keeper: &mut Keeper, stop: &CancellationToken) -> anyhow::Result<Period> {
        let mut pace = Pace::default();
        loop {
            // Only who holds the lease may connect: two that resume one session would cut each other off for ever.
            let ready = tokio::select! {
                ready = self.ready_to_connect(keeper) => ready?,
                () = stop.cancelled() => return Ok(Period::Stopped),
            };
            if !ready {
                return Ok(Period::TakenOver);
            }
            let opened = tokio::time::Instant::now();
            let ended = Connection::open(self).run(keeper, stop).await?;
            let why = match ended {
                Ended::Stopped => return Ok(Period::Stopped),
                Ended::TakenOver => return Ok(Period::TakenOver),
                Ended::Fatal(fatal) => return Err(fatal.into()),
                Ended::Lost(why) => why,
            };
            self.lost(&why);
            self.save(keeper);
            let wait = pace.after(opened.elapsed());
            tracing::warn!(
                shard = self.status.id,
                cause = why.cause,
                detail = why.detail,
                wait_ms = wait.as_millis(),
                resumes = self.session.is_some(),
                "the gateway connection ended"
            );
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => return Ok(Period::Stopped),
            }
        }
    }

    /// Works in what the end of a connection means for the session.
    fn lost(&mut self, why: &Why) {
        self.shared.metrics.closed(why.cause);
        self.status.closed(&format!("{}: {}", why.cause, why.detail));
        self.status.set(State::Connecting(why.detail.clone()));
        self.resume_host_is_dead |= why.resume_host_is_dead;
        self.gateway_is_dead |= why.gateway_is_dead;
        if why.resume_failed {
            self.resume_failed(&why.detail);
        }
        if let Some(reason) = why.session_is_gone
            && let Some(session) = self.session.take()
        {
            self.count_gap(reason, &session.id);
            self.forget_resume_failures();
        }
    }

    /// Counts a RESUME that failed without Discord saying that the session is gone, and gives the session up after too many.
    fn resume_failed(&mut self, detail: &str) {
        let now = now_ms();
        self.resume_failures.record(now, self.tracker.last());
        self.resume_host_is_dead |= self.resume_failures.avoid_resume_address();
        let attempts = self.resume_failures.total();
        self.status.update(|numbers| numbers.resume_failures = attempts);
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
                "the session cannot be resumed: identifying anew"
            );
            self.count_gap("resume_failed", &session.id);
            self.forget_resume_failures();
        }
    }

    /// The session is connected, or there is none any more.
    fn forget_resume_failures(&mut self) {
        self.resume_failures = ResumeFailures::default();
        self.status.update(|numbers| numbers.resume_failures = 0);
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
            "the session is gone: events until the next one begins are missed; reconciliation repairs what they changed"
        );
        self.shared.metrics.gap(reason);
        self.status.update(|numbers| numbers.gaps += 1);
    }

    /// A dispatch came whose sequence number is too high by so many: events that Discord counted did not come.
    fn jumped(&mut self, seq: u64, missing: u64) {
        self.sequence_gap(
            seq,
            &format!("{missing} sequence numbers are missing: their events did not come"),
        );
    }

    /// Counts a gap in the session's sequence numbers, and logs it unless one was logged a moment ago.
    fn sequence_gap(&mut self, seq: u64, what: &str) {
        let now = tokio::time::Instant::now();
        if self
            .jump_logged
            .is_none_or(|at| now.duration_since(at) >= LOG_JUMPS_EVERY)
        {
            self.jump_logged = Some(now);
            let last_seq = self.tracker.last();
            tracing::error!(
                shard = self.status.id,
                last_seq,
                seq,
                what,
                "a gap in the gateway's sequence numbers"
            );
        }
        self.shared.metrics.gap("sequence");
        self.status.update(|numbers| numbers.gaps += 1);
    }

    /// Waits for the lease, for room, and for the budget if a new session is needed. `false` when another process had the
    /// shard meanwhile.
    async fn ready_to_connect(&mut self, keeper: &mut Keeper) -> anyhow::Result<bool> {
        let give_up = tokio::time::Instant::now() + GIVE_UP;
        loop {
            if !self.follow_lease(keeper)? {
                return Ok(false);
            }
            let hold = keeper.hold.borrow().clone();
            let others = matches!(hold, Hold::Waiting { others: true });
            let held = matches!(hold, Hold::Held(_));
            if held && self.sender.has_room() {
                break;
            }
            tokio::select! {
                changed = keeper.hold.changed() => changed?,
                _ = self.sender.room(), if held => {}
                () = tokio::time::sleep_until(give_up), if others => return Ok(false),
            }
        }
        if fail_point::skips("ingestor.guard.resume") {
            self.session = None;
        }
        if std::mem::take(&mut self.gateway_is_dead) {
            self.shared.identify.address_failed().await?;
        }
        if self.session.is_none() {
            self.status
                .set(State::Connecting("waits for its turn to identify".to_owned()));
            tokio::time::sleep_until(self.may_identify_at).await;
            self.shared.identify.budget().await?;
        }
        Ok(true)
    }

    /// Works in what became of the lease. `false` when another process had the shard meanwhile.
    fn follow_lease(&mut self, keeper: &mut Keeper) -> Result<bool, Fatal> {
        let hold = keeper.hold.borrow_and_update().clone();
        match hold {
            Hold::Waiting { .. } => Ok(true),
            Hold::Impossible(error) => Err(Fatal::new(error.to_string())),
            Hold::Held(held) if held.term == self.term => Ok(true),
            Hold::Held(held) => {
                if held.saved.is_some_and(|saved| saved.holder != self.shared.holder) {
                    return Ok(false);
                }
                self.term = held.term;
                self.fence
                    .send_if_modified(|epoch| std::mem::replace(epoch, held.epoch) != held.epoch);
                self.save(keeper);
                Ok(true)
            }
        }
    }

    /// Tells the keeper what is to be kept now, and the status what is known now.
    fn save(&mut self, keeper: &Keeper) {
        let progress = self.sender.progress();
        let confirmed = self.tracker.confirmed(progress.confirmed);
        let saved = Saved::new(&self.shared.holder, self.shared.shards, self.session.clone(), confirmed);
        keeper.keep(saved.with_failures(self.resume_failures));
        let received = self.tracker.last();
        self.status.update(|numbers| {
            numbers.received = received;
            numbers.confirmed = confirmed;
            numbers.pending = progress.pending;
        });
        self.shared.metrics.publishing(self.status.id, progress);
        for _ in self.given_up..progress.given_up {
            self.shared.metrics.gap("unpublishable");
            self.status.update(|numbers| numbers.gaps += 1);
        }
        self.given_up = progress.given_up;
    }

    /// Lets what is under way be confirmed before the session is kept for the last time.
    async fn drain(&mut self, keeper: &Keeper) {
        let mut progress = self.sender.watch();
        let all = self.sender.sent();
        let drained = progress.wait_for(|progress| progress.confirmed >= all);
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!(
                shard = self.status.id,
                "left with unconfirmed events; the next process resumes before them"
            );
        }
        self.save(keeper);
    }

    fn shard_id(&self) -> ShardId {
        ShardId::new(self.status.id, self.shared.shards)
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        // A pipeline of a period that is over must publish nothing more.
        self.stop_pipeline.cancel();
        self.status.publishes_by(None);
    }
}
