//! The one place where calls wait. An actor holds the queue, asks the limits for a batch at a time, and gives out turns.
//!
//! One scheduler serves the calls that need the bot's global limit, another the webhook tokens, so that neither waits for the
//! other. A turn is a [`Ticket`]: whoever holds it says what became of the call, or dropping it says so.

mod queue;
mod ticket;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrakis_contracts::proxy::Urgency;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::limits::{Ask, Limits, Reason, Slot, Verdict};
use crate::metrics::QueueMetrics;
use crate::token::BotToken;

pub(crate) use self::queue::Lane;
use self::queue::{Block, Item, Queue, class};
pub(crate) use self::ticket::Ticket;

/// Calls asked for at once: a third of the window, so that a more urgent one that comes meanwhile waits for few.
const BATCH: usize = 16;
/// Longest time between two looks at the global limit: a place may be given back sooner than Redis could foretell.
const LOOK: Duration = Duration::from_millis(60);
/// A wait for the global limit that is longer than any window is a pause that Discord asked for.
const PAUSE: Duration = Duration::from_secs(5);
/// How often calls whose callers have left are cleared away.
const SWEEP: Duration = Duration::from_secs(1);

/// What a call needs to get a turn.
#[derive(Debug, Clone)]
pub(crate) struct Want {
    /// Where it goes.
    pub lane: Lane,
    /// For whom.
    pub tenant: Arc<str>,
    /// How urgent.
    pub urgency: Urgency,
    /// Whether it needs the bot's global limit and token.
    pub bot: bool,
    /// When it gives up.
    pub deadline: Instant,
    /// Whether it had a turn before.
    pub again: bool,
}

/// Why a call gets no turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoTurn {
    /// It would wait, or waited, longer than it may.
    TooLong {
        /// When to come back.
        retry_after: Duration,
        /// What it waited for, in words.
        why: &'static str,
    },
    /// Discord refused the token.
    TokenDead,
    /// This replica is leaving.
    ShuttingDown,
}

/// How many may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// In all.
    pub all: usize,
    /// Of one tenant.
    pub of_a_tenant: usize,
}

#[derive(Debug)]
struct Waiter {
    id: String,
    bot: bool,
    deadline: Instant,
    reply: oneshot::Sender<Result<Ticket, NoTurn>>,
    note: Arc<Note>,
}

/// What a waiting call last waited for, so that it can say when to come back.
#[derive(Debug, Default)]
struct Note(Mutex<Option<(Reason, Instant)>>);

enum Command {
    Ask { item: Item<Waiter>, again: bool },
    Answered(Lane),
}

/// Hands out turns.
#[derive(Debug, Clone)]
pub(crate) struct Scheduler {
    commands: mpsc::UnboundedSender<Command>,
    ids: Arc<AtomicU64>,
    replica: Arc<str>,
    limits: Arc<Limits>,
    /// How many calls without the bot's token wait, by major parameter: none of the same passes them by.
    waiting: Arc<Mutex<HashMap<Arc<str>, usize>>>,
    metrics: QueueMetrics,
}

/// A call that waits, for as long as this lives.
#[derive(Debug)]
struct Waits<'a> {
    waiting: &'a Mutex<HashMap<Arc<str>, usize>>,
    major: Arc<str>,
}

impl<'a> Waits<'a> {
    fn begin(waiting: &'a Mutex<HashMap<Arc<str>, usize>>, major: &Arc<str>) -> Self {
        *waiting.lock().entry(Arc::clone(major)).or_default() += 1;
        let major = Arc::clone(major);
        Self { waiting, major }
    }
}

impl Drop for Waits<'_> {
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
    /// Starts the actor; it ends with `stop`, and refuses what still waits then.
    pub(crate) fn start(
        limits: Arc<Limits>,
        token: Arc<BotToken>,
        replica: &str,
        room: Room,
        metrics: QueueMetrics,
        stop: CancellationToken,
    ) -> Self {
        let (commands, inbox) = mpsc::unbounded_channel();
        let actor = Actor {
            limits: Arc::clone(&limits),
            token,
            room,
            inbox,
            commands: commands.downgrade(),
            queue: Queue::default(),
            global_until: None,
            held_class: 0,
            swept: Instant::now(),
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

    /// A turn that needs no asking and no waiting, where the limits have one and nobody waits for the same.
    fn turn_at_once(&self, want: &Want) -> Option<Ticket> {
        let asks = want.bot || want.again || self.commands.is_closed();
        if asks || self.waiting.lock().contains_key(&want.lane.major) {
            return None;
        }
        let slot = self
            .limits
            .own_place(&self.next_id(), &want.lane.route, &want.lane.major)?;
        self.metrics.waited(want.urgency, Duration::ZERO);
        Some(Ticket::new(slot, Arc::clone(&self.limits), None))
    }

    /// Waits for a turn, until `want.deadline` at most.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn turn(&self, want: Want) -> Result<Ticket, NoTurn> {
        if let Some(ticket) = self.turn_at_once(&want) {
            return Ok(ticket);
        }
        let asked = Instant::now();
        let _waits = (!want.bot).then(|| Waits::begin(&self.waiting, &want.lane.major));
        let (reply, turn) = oneshot::channel();
        let note = Arc::new(Note::default());
        let waiter = Waiter {
            id: self.next_id(),
            bot: want.bot,
            deadline: want.deadline,
            reply,
            note: Arc::clone(&note),
        };
        let item = Item {
            lane: want.lane,
            tenant: want.tenant,
            urgency: want.urgency,
            what: waiter,
        };
        let ask = Command::Ask {
            item,
            again: want.again,
        };
        self.commands.send(ask).map_err(|_| NoTurn::ShuttingDown)?;
        let answer = match timeout_at(want.deadline.into(), turn).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(NoTurn::ShuttingDown),
            Err(_) => Err(note.too_long()),
        };
        self.metrics.waited(want.urgency, asked.elapsed());
        answer
    }
}

impl Note {
    fn set(&self, reason: Reason, until: Instant) {
        *self.0.lock() = Some((reason, until));
    }

    fn too_long(&self) -> NoTurn {
        let (why, until) = match *self.0.lock() {
            Some((Reason::Route, until)) => ("the route's bucket", Some(until)),
            Some((Reason::Global, until)) => ("the global limit", Some(until)),
            Some((Reason::Answer, _)) => ("an answer of the same bucket", None),
            None => ("its turn", None),
        };
        let left = until
            .map(|until| until.saturating_duration_since(Instant::now()))
            .unwrap_or_default();
        NoTurn::TooLong {
            retry_after: left.max(Duration::from_secs(1)),
            why,
        }
    }
}

struct Actor {
    limits: Arc<Limits>,
    token: Arc<BotToken>,
    room: Room,
    inbox: mpsc::UnboundedReceiver<Command>,
    /// Given to tickets, which report answers; weak, so that the actor ends with the last scheduler.
    commands: mpsc::WeakUnboundedSender<Command>,
    queue: Queue<Waiter>,
    global_until: Option<Instant>,
    /// The most urgent class that waits until then, as Redis knows of it.
    held_class: usize,
    swept: Instant,
    metrics: QueueMetrics,
}

impl Actor {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            while let Ok(command) = self.inbox.try_recv() {
                self.take(command);
            }
            self.sweep();
            self.metrics
                .waiting(self.queue.waiting_by_class(), self.queue.tenants());
            if stop.is_cancelled() {
                return self.leave();
            }
            let now = Instant::now();
            let held = self.global_until.is_some_and(|until| until > now);
            let picked = if held { Vec::new() } else { self.queue.pick(BATCH, now) };
            if !picked.is_empty() {
                self.ask(picked).await;
                continue;
            }
            let wake = self.wake(now, held);
            let token = Arc::clone(&self.token);
            let alive = !token.is_dead();
            tokio::select! {
                command = self.inbox.recv() => match command {
                    Some(command) => self.take(command),
                    None => return,
                },
                () = sleep_until(wake.into()) => {}
                () = token.died(), if alive => self.refuse_if(|waiter| waiter.bot, &NoTurn::TokenDead),
                () = stop.cancelled() => {}
            }
        }
    }

    fn leave(&mut self) {
        self.inbox.close();
        while let Ok(command) = self.inbox.try_recv() {
            self.take(command);
        }
        self.refuse_if(|_| true, &NoTurn::ShuttingDown);
    }

    fn wake(&self, now: Instant, held: bool) -> Instant {
        let sweep = now + SWEEP;
        let global = self.global_until.filter(|_| held && self.queue.waiting() > 0);
        let lane = self.queue.next_try().filter(|_| self.queue.waiting() > 0);
        [global, lane].into_iter().flatten().fold(sweep, Instant::min).max(now)
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Answered(lane) => self.queue.answered(&lane),
            Command::Ask { item, again } => {
                if let Some(refused) = self.refusal(&item) {
                    let _ = item.what.reply.send(Err(refused));
                } else {
                    // The limits have not heard of anything so urgent: it may have a place that is kept from the others.
                    if class(item.urgency) < self.held_class {
                        self.global_until = None;
                    }
                    self.queue.push(item, again);
                }
            }
        }
    }

    /// What can be said at once.
    fn refusal(&self, item: &Item<Waiter>) -> Option<NoTurn> {
        if item.what.bot && self.token.is_dead() {
            return Some(NoTurn::TokenDead);
        }
        let full =
            self.queue.waiting() >= self.room.all || self.queue.waiting_of(&item.tenant) >= self.room.of_a_tenant;
        if full {
            return Some(NoTurn::TooLong {
                retry_after: Duration::from_secs(5),
                why: "a place in the queue: too many wait already",
            });
        }
        let block = self.queue.blocked(&item.lane)?;
        item.what.note.set(Reason::Route, block.until);
        (block.certain && block.until > item.what.deadline).then(|| item.what.note.too_long())
    }

    async fn ask(&mut self, picked: Vec<Item<Waiter>>) {
        let asks: Vec<Ask> = picked.iter().map(ask_for).collect();
        let round = self.limits.acquire(&asks).await;
        let now = Instant::now();
        let (mut back, mut gone) = (Vec::new(), Vec::new());
        self.global_until = None;
        self.held_class = 0;
        for (item, verdict) in picked.into_iter().zip(round.verdicts) {
            match verdict {
                Verdict::Granted { bucket } => {
                    gone.push((class(item.urgency), Arc::clone(&item.tenant)));
                    self.grant(item, bucket);
                }
                Verdict::TokenDead => {
                    let _ = item.what.reply.send(Err(NoTurn::TokenDead));
                }
                Verdict::Wait { reason, wait } => back.extend(self.wait(item, reason, now, wait)),
            }
        }
        self.queue.put_back(back);
        for (at, tenant) in gone {
            self.queue.goes(at, &tenant);
        }
        if let Some(turns) = round.turns.filter(|_| asks.iter().all(|ask| ask.bot)) {
            for (at, level) in turns.levels.into_iter().enumerate() {
                self.queue.told_level(at, level);
            }
            for (ask, had) in asks.iter().zip(turns.had) {
                self.queue.told_turns(usize::from(ask.urgency), &ask.tenant, had);
            }
        }
        self.queue.tidy();
    }

    /// A call that may not go yet: back it goes, unless it cannot have its turn in time.
    fn wait(&mut self, item: Item<Waiter>, reason: Reason, now: Instant, wait: Duration) -> Option<Item<Waiter>> {
        let until = now + wait;
        item.what.note.set(reason, until);
        let certain = match reason {
            Reason::Global => {
                let look = now + wait.clamp(Duration::from_millis(1), LOOK);
                let first = self.global_until.is_none_or(|held| look < held);
                self.held_class = if self.global_until.is_none() {
                    class(item.urgency)
                } else {
                    self.held_class.min(class(item.urgency))
                };
                if first {
                    self.global_until = Some(look);
                }
                wait > PAUSE
            }
            Reason::Route => true,
            Reason::Answer => false,
        };
        if reason != Reason::Global {
            self.queue.block(item.lane.clone(), Block { until, certain });
        }
        if certain && until > item.what.deadline {
            let refused = item.what.note.too_long();
            let _ = item.what.reply.send(Err(refused));
            return None;
        }
        Some(item)
    }

    fn grant(&self, item: Item<Waiter>, bucket: String) {
        let slot = Slot {
            id: item.what.id,
            route: Arc::clone(&item.lane.route),
            major: Arc::clone(&item.lane.major),
            bucket,
            bot: item.what.bot,
            own: false,
        };
        let ticket = Ticket::new(slot, Arc::clone(&self.limits), self.commands.upgrade());
        // Who no longer waits gives the ticket back unused, by dropping it.
        let _ = item.what.reply.send(Ok(ticket));
    }

    /// Clears away calls whose callers have left.
    fn sweep(&mut self) {
        if self.swept.elapsed() >= SWEEP {
            self.swept = Instant::now();
            self.queue.take_if(|item| item.what.reply.is_closed());
        }
    }

    fn refuse_if(&mut self, refused: impl Fn(&Waiter) -> bool, why: &NoTurn) {
        for item in self.queue.take_if(|item| refused(&item.what)) {
            let _ = item.what.reply.send(Err(why.clone()));
        }
    }
}

fn ask_for(item: &Item<Waiter>) -> Ask {
    Ask {
        id: item.what.id.clone(),
        route: Arc::clone(&item.lane.route),
        major: Arc::clone(&item.lane.major),
        bot: item.what.bot,
        urgency: u8::try_from(class(item.urgency)).unwrap_or(2),
        tenant: Arc::clone(&item.tenant),
    }
}
