//! The queue of calls that wait for a permit. An actor holds the queue, requests grants in batches, and hands out permits.
//!
//! One scheduler serves the calls that count in the bot's global limit, another those with a webhook's token, so that neither waits
//! for the other. The holder of a [`Permit`] completes it with the outcome of the call.

mod permit;
mod queue;
mod shares;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrakis_contracts::proxy::Urgency;
use arrakis_discord_http::Route;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::limits::{Grant, GrantRequest, LimitDecision, Limits, WaitReason};
use crate::metrics::QueueMetrics;
use crate::token::BotToken;

pub(crate) use self::permit::Permit;
use self::queue::{Block, Item, Queue, class};
use self::shares::TenantShares;

/// Calls in one batch: a third of the window, so that a more urgent call that arrives meanwhile waits for few.
const BATCH: usize = 16;
/// Longest time between two requests for the global limit: a grant may end sooner than Redis predicted.
const MAX_GLOBAL_WAIT: Duration = Duration::from_millis(60);
/// A wait for the global limit that is longer than any window is a pause.
const PAUSE: Duration = Duration::from_secs(5);
/// Time between two removals of calls whose callers have disconnected.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(1);

/// A call that needs a permit.
#[derive(Debug, Clone)]
pub(crate) struct PermitRequest {
    /// The call's route.
    pub route: Route,
    /// The tenant.
    pub tenant: Arc<str>,
    /// The urgency.
    pub urgency: Urgency,
    /// Whether the call needs the bot token and counts in the global limit.
    pub bot: bool,
    /// When the call stops waiting for a permit.
    pub deadline: Instant,
    /// Whether the call had a permit before; then it is first among the calls of its route.
    pub is_retry: bool,
}

/// Why a call gets no permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoPermit {
    /// The call waited until its deadline, or would have to.
    TooLong {
        /// When the caller may retry.
        retry_after: Duration,
        /// What the call waited for.
        waited_for: &'static str,
    },
    /// The queue has no room.
    QueueFull {
        /// When the caller may retry.
        retry_after: Duration,
    },
    /// Discord refuses the token.
    TokenRefused,
    /// This replica is shutting down.
    ShuttingDown,
}

/// How many calls may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueCapacity {
    /// Largest number of waiting calls of all tenants together.
    pub total: usize,
    /// Largest number of waiting calls of one tenant.
    pub per_tenant: usize,
}

#[derive(Debug)]
struct Waiter {
    id: String,
    bot: bool,
    deadline: Instant,
    reply: oneshot::Sender<Result<Permit, NoPermit>>,
    last_wait: Arc<LastWait>,
}

/// The reason and end of a call's last wait, for its error when the deadline passes.
#[derive(Debug, Default)]
struct LastWait(Mutex<Option<(WaitReason, Instant)>>);

enum Command {
    Enqueue { item: Item<Waiter>, is_retry: bool },
    Completed(Route),
}

/// Hands out permits.
#[derive(Debug, Clone)]
pub(crate) struct Scheduler {
    commands: mpsc::UnboundedSender<Command>,
    ids: Arc<AtomicU64>,
    replica: Arc<str>,
    limits: Arc<Limits>,
    /// By major parameter, how many calls without the bot token wait: no other call of the same may bypass them.
    waiting: Arc<Mutex<HashMap<Arc<str>, usize>>>,
    metrics: QueueMetrics,
}

/// Counts a call as waiting until it is dropped.
#[derive(Debug)]
struct WaitingGuard<'a> {
    waiting: &'a Mutex<HashMap<Arc<str>, usize>>,
    major: Arc<str>,
}

impl<'a> WaitingGuard<'a> {
    fn new(waiting: &'a Mutex<HashMap<Arc<str>, usize>>, major: &Arc<str>) -> Self {
        *waiting.lock().entry(Arc::clone(major)).or_default() += 1;
        let major = Arc::clone(major);
        Self { waiting, major }
    }
}

impl Drop for WaitingGuard<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiting.lock();
        if let Some(count) = waiting.get_mut(&self.major) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.major);
            }
        }
    }
}

impl Scheduler {
    /// Starts the actor. It ends with `stop`, and then refuses the calls that wait.
    pub(crate) fn start(
        limits: Arc<Limits>,
        token: Arc<BotToken>,
        replica: &str,
        capacity: QueueCapacity,
        metrics: QueueMetrics,
        stop: CancellationToken,
    ) -> Self {
        let (commands, inbox) = mpsc::unbounded_channel();
        let actor = Actor {
            limits: Arc::clone(&limits),
            token,
            capacity,
            inbox,
            commands: commands.downgrade(),
            queue: Queue::default(),
            global_until: None,
            waiting_class: 0,
            last_cleanup: Instant::now(),
            shares: TenantShares::new(Instant::now()),
            metrics: metrics.clone(),
        };
        tokio::spawn(actor.run(stop));
        Self {
            commands,
            ids: Arc::new(AtomicU64::new(0)),
            replica: replica.into(),
            limits,
            waiting: Arc::default(),
            metrics,
        }
    }

    fn next_id(&self) -> String {
        format!("{}:{}", self.replica, self.ids.fetch_add(1, Ordering::Relaxed))
    }

    /// A permit from the reserved part of a bucket, without a query to Redis, where no call of the same bucket waits.
    fn reserved_permit(&self, request: &PermitRequest) -> Option<Permit> {
        let must_wait = request.bot || request.is_retry || self.commands.is_closed();
        if must_wait || self.waiting.lock().contains_key(&request.route.major) {
            return None;
        }
        let grant = self.limits.take_reserved(&self.next_id(), &request.route)?;
        self.metrics.waited(request.urgency, Duration::ZERO);
        Some(Permit::new(grant, Arc::clone(&self.limits), None))
    }

    /// Waits for a permit, at most until `request.deadline`.
    ///
    /// # Errors
    /// Why the call gets none.
    pub(crate) async fn acquire(&self, request: PermitRequest) -> Result<Permit, NoPermit> {
        if let Some(permit) = self.reserved_permit(&request) {
            return Ok(permit);
        }
        let began = Instant::now();
        let _waiting = (!request.bot).then(|| WaitingGuard::new(&self.waiting, &request.route.major));
        let (reply, permit) = oneshot::channel();
        let last_wait = Arc::new(LastWait::default());
        let item = Item {
            route: request.route,
            tenant: request.tenant,
            urgency: request.urgency,
            payload: Waiter {
                id: self.next_id(),
                bot: request.bot,
                deadline: request.deadline,
                reply,
                last_wait: Arc::clone(&last_wait),
            },
        };
        let is_retry = request.is_retry;
        self.commands
            .send(Command::Enqueue { item, is_retry })
            .map_err(|_| NoPermit::ShuttingDown)?;
        let result = match timeout_at(request.deadline.into(), permit).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(NoPermit::ShuttingDown),
            Err(_) => Err(last_wait.too_long()),
        };
        self.metrics.waited(request.urgency, began.elapsed());
        result
    }
}

impl LastWait {
    fn set(&self, reason: WaitReason, until: Instant) {
        *self.0.lock() = Some((reason, until));
    }

    fn too_long(&self) -> NoPermit {
        let (waited_for, until) = match *self.0.lock() {
            Some((WaitReason::Route, until)) => ("the route's bucket", Some(until)),
            Some((WaitReason::Global, until)) => ("the global limit", Some(until)),
            Some((WaitReason::Response, _)) => ("the response to another call of the same bucket", None),
            None => ("a permit", None),
        };
        let left = until
            .map(|until| until.saturating_duration_since(Instant::now()))
            .unwrap_or_default();
        NoPermit::TooLong {
            retry_after: left.max(Duration::from_secs(1)),
            waited_for,
        }
    }
}

struct Actor {
    limits: Arc<Limits>,
    token: Arc<BotToken>,
    capacity: QueueCapacity,
    inbox: mpsc::UnboundedReceiver<Command>,
    /// Given to permits, which report their completion; weak, so that the actor ends with the last scheduler.
    commands: mpsc::WeakUnboundedSender<Command>,
    queue: Queue<Waiter>,
    /// Until when no grant of the global limit is requested.
    global_until: Option<Instant>,
    /// The most urgent class that waits until then, which Redis has as waiting.
    waiting_class: usize,
    last_cleanup: Instant,
    shares: TenantShares,
    metrics: QueueMetrics,
}

impl Actor {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            while let Ok(command) = self.inbox.try_recv() {
                self.handle(command);
            }
            self.clean_up();
            self.metrics
                .waiting(self.queue.waiting_by_class(), self.queue.tenants());
            if let Some(shares) = self.shares.end_window(Instant::now()) {
                self.metrics.shares(shares.tenants, shares.largest);
            }
            if stop.is_cancelled() {
                return self.shut_down();
            }
            let now = Instant::now();
            let is_limited = self.global_until.is_some_and(|until| until > now);
            let picked = if is_limited {
                Vec::new()
            } else {
                self.queue.pick(BATCH, now)
            };
            if !picked.is_empty() {
                self.request_grants(picked).await;
                continue;
            }
            let wake_up = self.next_wake_up(now, is_limited);
            let token = Arc::clone(&self.token);
            let is_accepted = !token.is_refused();
            tokio::select! {
                command = self.inbox.recv() => match command {
                    Some(command) => self.handle(command),
                    None => return,
                },
                () = sleep_until(wake_up.into()) => {}
                () = token.wait_until_refused(), if is_accepted => {
                    self.refuse_if(|waiter| waiter.bot, &NoPermit::TokenRefused);
                }
                () = stop.cancelled() => {}
            }
        }
    }

    fn shut_down(&mut self) {
        self.inbox.close();
        while let Ok(command) = self.inbox.try_recv() {
            self.handle(command);
        }
        self.refuse_if(|_| true, &NoPermit::ShuttingDown);
    }

    fn next_wake_up(&self, now: Instant, is_limited: bool) -> Instant {
        let cleanup = now + CLEANUP_INTERVAL;
        let global = self.global_until.filter(|_| is_limited && self.queue.waiting() > 0);
        let route = self.queue.next_unblocked().filter(|_| self.queue.waiting() > 0);
        [global, route]
            .into_iter()
            .flatten()
            .fold(cleanup, Instant::min)
            .max(now)
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Completed(route) => self.queue.completed(&route),
            Command::Enqueue { item, is_retry } => {
                if let Some(refused) = self.refusal(&item) {
                    let _ = item.payload.reply.send(Err(refused));
                } else {
                    // Redis has no waiting call of this urgency: it may grant what it keeps from less urgent ones.
                    if class(item.urgency) < self.waiting_class {
                        self.global_until = None;
                    }
                    self.queue.push(item, is_retry);
                }
            }
        }
    }

    /// Why a call is refused without a wait.
    fn refusal(&self, item: &Item<Waiter>) -> Option<NoPermit> {
        if item.payload.bot && self.token.is_refused() {
            return Some(NoPermit::TokenRefused);
        }
        let is_full = self.queue.waiting() >= self.capacity.total
            || self.queue.waiting_of(&item.tenant) >= self.capacity.per_tenant;
        if is_full {
            return Some(NoPermit::QueueFull {
                retry_after: Duration::from_secs(5),
            });
        }
        let block = self.queue.blocked(&item.route)?;
        item.payload.last_wait.set(WaitReason::Route, block.until);
        (block.certain && block.until > item.payload.deadline).then(|| item.payload.last_wait.too_long())
    }

    async fn request_grants(&mut self, picked: Vec<Item<Waiter>>) {
        let requests: Vec<GrantRequest> = picked.iter().map(grant_request).collect();
        let acquired = self.limits.acquire(&requests).await;
        let now = Instant::now();
        let (mut returned, mut granted) = (Vec::new(), Vec::new());
        self.global_until = None;
        self.waiting_class = 0;
        for (item, decision) in picked.into_iter().zip(acquired.decisions) {
            match decision {
                LimitDecision::Granted { bucket } => {
                    granted.push((class(item.urgency), Arc::clone(&item.tenant)));
                    self.grant(item, bucket);
                }
                LimitDecision::TokenRefused => {
                    let _ = item.payload.reply.send(Err(NoPermit::TokenRefused));
                }
                LimitDecision::Wait { reason, wait } => returned.extend(self.wait(item, reason, now, wait)),
            }
        }
        self.queue.put_back(returned);
        for (at, tenant) in granted {
            self.shares.granted(&tenant);
            self.queue.granted(at, &tenant);
        }
        if let Some(served) = acquired.served.filter(|_| requests.iter().all(|request| request.bot)) {
            for (at, level) in served.levels.into_iter().enumerate() {
                self.queue.set_level(at, level);
            }
            for (request, served) in requests.iter().zip(served.tenants) {
                self.queue
                    .set_served(usize::from(request.urgency), &request.tenant, served);
            }
        }
        self.queue.remove_idle();
    }

    /// A call that may not be sent yet: it is returned to the queue, unless its wait exceeds its deadline.
    fn wait(&mut self, item: Item<Waiter>, reason: WaitReason, now: Instant, wait: Duration) -> Option<Item<Waiter>> {
        let until = now + wait;
        item.payload.last_wait.set(reason, until);
        let certain = match reason {
            WaitReason::Global => {
                let retry = now + wait.clamp(Duration::from_millis(1), MAX_GLOBAL_WAIT);
                self.waiting_class = if self.global_until.is_none() {
                    class(item.urgency)
                } else {
                    self.waiting_class.min(class(item.urgency))
                };
                self.global_until = Some(self.global_until.map_or(retry, |until| until.min(retry)));
                wait > PAUSE
            }
            WaitReason::Route => true,
            WaitReason::Response => false,
        };
        if reason != WaitReason::Global {
            self.queue.block(item.route.clone(), Block { until, certain });
        }
        if certain && until > item.payload.deadline {
            let refused = item.payload.last_wait.too_long();
            let _ = item.payload.reply.send(Err(refused));
            return None;
        }
        Some(item)
    }

    fn grant(&self, item: Item<Waiter>, bucket: String) {
        let grant = Grant {
            id: item.payload.id,
            route: item.route,
            bucket,
            bot: item.payload.bot,
            reserved: false,
        };
        let permit = Permit::new(grant, Arc::clone(&self.limits), self.commands.upgrade());
        // When the caller has disconnected, the permit is dropped, which returns its grant.
        let _ = item.payload.reply.send(Ok(permit));
    }

    /// Removes calls whose callers have disconnected.
    fn clean_up(&mut self) {
        if self.last_cleanup.elapsed() >= CLEANUP_INTERVAL {
            self.last_cleanup = Instant::now();
            self.queue.remove_if(|item| item.payload.reply.is_closed());
        }
    }

    fn refuse_if(&mut self, is_refused: impl Fn(&Waiter) -> bool, error: &NoPermit) {
        for item in self.queue.remove_if(|item| is_refused(&item.payload)) {
            let _ = item.payload.reply.send(Err(error.clone()));
        }
    }
}

fn grant_request(item: &Item<Waiter>) -> GrantRequest {
    GrantRequest {
        id: item.payload.id.clone(),
        route: item.route.clone(),
        bot: item.payload.bot,
        urgency: u8::try_from(class(item.urgency)).unwrap_or(2),
        tenant: Arc::clone(&item.tenant),
    }
}
