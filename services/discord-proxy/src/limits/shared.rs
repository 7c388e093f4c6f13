//! Who decides: Redis, or this replica by itself.
//!
//! One trouble that Redis names, or two exchanges in a row without an answer, and the replica decides by itself, after [`QUIET`].
//! A heartbeat finds Redis again; then the places that the replica has given go over to Redis before Redis gives new ones.
//!
//! What a replica may give by itself depends on its *seat*. Redis gives as many seats as there may be replicas; a replica without
//! one, because there are more, or because it has not met Redis yet, keeps to one call at a time. So however many replicas lose
//! Redis together, they stay below the limit.

mod pauses;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrakis_runtime::HealthComponent;
use parking_lot::Mutex;
use prometheus::IntGauge;
use tokio_util::sync::CancellationToken;

use self::pauses::Told;
use super::local::Local;
use super::redis::{Redis, RedisTrouble};
use super::script::Script;
use super::{
    Ask, Fate, HEARTBEAT, LEASE, Learned, Pause, QUIET, Reason, Round, SILENCE, Slot, TRANSIT, Turns, Verdict, WINDOW,
    share_of_a_seat,
};
use crate::token::BotToken;
use crate::token_marks;

/// How long to wait before asking again when Redis did not answer once.
const ONCE_MORE: Duration = Duration::from_millis(5);

/// What limits need to know.
#[derive(Debug, Clone)]
pub(crate) struct LimitsConfig {
    /// Names this replica among the others, and differs at each start.
    pub replica: String,
    /// Calls in a window, for the bot as a whole.
    pub total: u32,
    /// Largest number of replicas.
    pub max_replicas: u32,
    /// How long Redis must have reckoned with this replica's own places before it takes one.
    pub own_places_after: Duration,
    /// Whoever shows the same proof later has taken this replica's place, so that it must be dead; empty when nothing proves it.
    pub proof: String,
}

#[derive(Debug)]
struct Mode {
    /// Redis decides.
    shared: bool,
    /// When Redis last heard of this replica, at the earliest.
    heard: Instant,
    /// Exchanges in a row without an answer. Those that were under way together count as one.
    silent: u32,
    /// When the last of them was found to have none.
    silent_at: Option<Instant>,
    /// Redis's memory, as last seen.
    epoch: String,
    /// Redis gave this replica a seat.
    seated: bool,
    /// When every window has ended that began before Redis reckoned with this replica's own places.
    own_from: Instant,
    /// When pauses were last ended, as Redis has it; `None` before it was asked.
    cleared: Option<String>,
    /// The same for the pauses of all calls.
    resumed: Option<String>,
}

impl Mode {
    /// Counts an exchange without an answer; whether there were two in a row. One moment in which Redis does not answer meets all
    /// exchanges that are under way: those count once.
    fn is_silent_twice(&mut self, began: Instant) -> bool {
        if self.silent_at.is_none_or(|at| began >= at) {
            self.silent += 1;
            self.silent_at = Some(Instant::now());
        }
        self.silent >= 2
    }
}

/// Discord's limits.
#[derive(Debug)]
pub(crate) struct Limits {
    config: LimitsConfig,
    redis: Redis,
    acquire: Script,
    complete: Script,
    end_pauses: Script,
    mode: Mutex<Mode>,
    local: Mutex<Local>,
    token: Arc<BotToken>,
    health: HealthComponent,
    apart: IntGauge,
    in_force: IntGauge,
    edge: AtomicBool,
}

impl Limits {
    /// Limits that start by themselves until the first heartbeat has found Redis.
    pub(crate) fn new(
        config: LimitsConfig,
        redis: Redis,
        token: Arc<BotToken>,
        health: HealthComponent,
        (apart, in_force): (IntGauge, IntGauge),
    ) -> Self {
        apart.set(1);
        in_force.set(1);
        Self {
            local: Mutex::new(Local::new(config.total, config.max_replicas)),
            config,
            redis,
            acquire: Script::new(include_str!("acquire.lua")),
            complete: Script::new(include_str!("complete.lua")),
            end_pauses: Script::new(include_str!("end_pauses.lua")),
            mode: Mutex::new(Mode {
                shared: false,
                heard: Instant::now(),
                silent: 0,
                silent_at: None,
                epoch: String::new(),
                seated: false,
                own_from: Instant::now(),
                cleared: None,
                resumed: None,
            }),
            token,
            health,
            apart,
            in_force,
            edge: AtomicBool::new(false),
        }
    }

    /// Whether Redis decides.
    pub(crate) fn is_shared(&self) -> bool {
        self.mode.lock().shared
    }

    /// Whether Redis gave this replica a seat.
    pub(crate) fn is_seated(&self) -> bool {
        self.mode.lock().seated
    }

    /// Decides which of `asks` may leave now.
    pub(crate) async fn acquire(&self, asks: &[Ask]) -> Round {
        if self.is_shared() {
            let began = Instant::now();
            match self.ask_redis(asks, (0, Duration::ZERO)).await {
                Ok(round) => return round,
                Err(trouble) => self.note_trouble(&trouble, began),
            }
            if self.is_shared() {
                let verdicts = asks.iter().map(|_| wait(Reason::Answer, ONCE_MORE)).collect();
                return Round { verdicts, turns: None };
            }
        }
        let verdicts = self.ask_local(asks);
        Round { verdicts, turns: None }
    }

    fn ask_local(&self, asks: &[Ask]) -> Vec<Verdict> {
        let quiet = self.mode.lock().heard + QUIET;
        let dead = self.token.is_dead();
        let mut verdicts = self.local.lock().acquire(Instant::now(), quiet, asks);
        for (ask, verdict) in asks.iter().zip(&mut verdicts).filter(|(ask, _)| ask.bot && dead) {
            tracing::debug!(route = &*ask.route, "the token is dead");
            *verdict = Verdict::TokenDead;
        }
        verdicts
    }

    /// A place for a call with a webhook's token that needs no question to Redis, if there is one. Most interactions are
    /// answered by one call, each with a token of its own: to ask for each would cost more than the call.
    pub(crate) fn own_place(&self, id: &str, route: &Arc<str>, major: &Arc<str>) -> Option<Slot> {
        {
            let mode = self.mode.lock();
            // Redis keeps a place free for those that have a seat. Without Redis the whole share is given here (`acquire`).
            if !mode.shared || !mode.seated || Instant::now() < mode.own_from {
                return None;
            }
        }
        let bucket = self.local.lock().own_place(Instant::now(), id, route, major)?;
        Some(Slot {
            id: id.to_owned(),
            route: Arc::clone(route),
            major: Arc::clone(major),
            bucket,
            bot: false,
            own: true,
        })
    }

    /// Gives a place back with what became of the call.
    pub(crate) async fn complete(&self, slot: &Slot, fate: &Fate) {
        if self.complete_here(slot, fate) {
            self.tell(slot, fate).await;
        }
    }

    /// Gives a place back as far as this replica goes; answers whether Redis must be told.
    pub(crate) fn complete_here(&self, slot: &Slot, fate: &Fate) -> bool {
        let news = self.local.lock().complete(Instant::now(), slot, fate);
        if let Fate::Answered(Learned {
            pause: Some(Pause::Edge(_)),
            ..
        }) = fate
        {
            self.edge.store(true, Ordering::Release);
        }
        (news || !slot.own) && self.is_shared()
    }

    /// Tells Redis what became of a call.
    pub(crate) async fn tell(&self, slot: &Slot, fate: &Fate) {
        let arguments = complete_arguments(slot, fate, self.config.max_replicas);
        let began = Instant::now();
        if let Err(trouble) = self.redis.run::<i64>(&self.complete, &arguments).await {
            self.note_trouble(&trouble, began);
        }
    }

    /// How long the edge before Discord wants nothing at all from this address. Cheap: nothing is asked while there is no such
    /// pause.
    pub(crate) fn edge_pause(&self) -> Option<Duration> {
        if !self.edge.load(Ordering::Acquire) {
            return None;
        }
        let left = self.local.lock().edge_pause(Instant::now());
        if left.is_none() {
            self.edge.store(false, Ordering::Release);
        }
        left
    }

    /// A call with the bot token was answered 401: a second opinion is wanted.
    pub(crate) fn suspect_token(&self, route: &str) {
        self.token.suspect(route);
    }

    /// Shows Redis that this replica is there, and finds it again after trouble. Ends with `stop`.
    pub(crate) async fn beat(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.beat_once().await;
            tokio::select! {
                () = tokio::time::sleep(HEARTBEAT) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// One exchange with Redis that asks for nothing.
    pub(crate) async fn beat_once(&self) {
        self.local.lock().tidy(Instant::now());
        if self.is_shared() {
            let began = Instant::now();
            if let Err(trouble) = self.ask_redis(&[], (0, Duration::ZERO)).await {
                self.note_trouble(&trouble, began);
            }
            return;
        }
        let held = self.local.lock().close(Instant::now());
        match self.ask_redis(&[], held).await {
            Ok(_) => {
                {
                    let mut mode = self.mode.lock();
                    mode.shared = true;
                    mode.own_from = Instant::now() + self.config.own_places_after;
                }
                self.apart.set(0);
                self.health.up();
                tracing::info!(seat = self.is_seated(), "Redis decides");
            }
            Err(trouble) => {
                self.local.lock().open();
                self.say(&trouble);
            }
        }
    }

    /// Tells Redis that this replica is gone, so that its share is free at once. Called last, when nothing is on its way.
    pub(crate) async fn leave(&self) {
        let seat = ["members", "who", "want"];
        if let Err(trouble) = self.redis.forget(&self.config.replica, seat).await {
            tracing::warn!(%trouble, "the other replicas will do without this one's share for a minute");
        }
    }

    /// An exchange that began then had no answer, or was refused. No lock is held while health is told: whoever reads health asks
    /// back who decides.
    fn note_trouble(&self, trouble: &RedisTrouble, began: Instant) {
        {
            let mut mode = self.mode.lock();
            if !mode.shared || (*trouble == RedisTrouble::Silent && !mode.is_silent_twice(began)) {
                return;
            }
            mode.shared = false;
        }
        self.local.lock().open();
        self.apart.set(1);
        self.say(trouble);
    }

    fn say(&self, trouble: &RedisTrouble) {
        let total = self.config.total;
        let share = if self.is_seated() {
            share_of_a_seat(total, self.config.max_replicas)
        } else {
            1
        };
        self.in_force.set(share.into());
        let keeps = if self.is_seated() {
            format!("{share} of {total} calls")
        } else {
            format!("1 of {total} calls, since Redis has not given it one of the seats,")
        };
        self.health
            .degraded(format!("{trouble}; this replica keeps to {keeps} by itself"));
    }

    async fn ask_redis(&self, asks: &[Ask], held: (usize, Duration)) -> Result<Round, RedisTrouble> {
        let sent = Instant::now();
        let (epoch, seated) = {
            let mode = self.mode.lock();
            (mode.epoch.clone(), mode.seated)
        };
        let arguments = self.acquire_arguments(asks, held, epoch, seated);
        let answer: Vec<String> = self.redis.run(&self.acquire, &arguments).await?;
        let malformed =
            || RedisTrouble::Refuses("the limiter's script answered in a form that is not its own".to_owned());
        let (head, rest) = answer.split_at_checked(12).ok_or_else(malformed)?;
        let verdicts: Option<Vec<(Verdict, u64)>> = rest.chunks(4).map(verdict).collect();
        let verdicts = verdicts
            .filter(|verdicts| verdicts.len() == asks.len())
            .ok_or_else(malformed)?;
        let level = |at: usize| head[at].parse::<u64>().unwrap_or(0);
        let levels = [level(6), level(7), level(8)];
        let seated = head[5] == "1";
        {
            let mut mode = self.mode.lock();
            mode.heard = sent;
            mode.silent = 0;
            mode.silent_at = None;
            mode.epoch.clone_from(&head[0]);
            if mode.seated != seated {
                mode.seated = seated;
                mode.own_from = Instant::now() + self.config.own_places_after;
                self.local.lock().seat(seated);
            }
        }
        self.in_force.set(head[3].parse().unwrap_or(0));
        self.token.heard(token_marks::read(&head[1]), sent);
        self.hear(&Told {
            edge_ms: &head[2],
            global_ms: &head[9],
            cleared: &head[10],
            resumed: &head[11],
        });
        let (verdicts, had) = verdicts.into_iter().unzip();
        Ok(Round {
            verdicts,
            turns: Some(Turns { levels, had }),
        })
    }

    fn acquire_arguments(
        &self,
        asks: &[Ask],
        (held, held_for): (usize, Duration),
        epoch: String,
        seated: bool,
    ) -> Vec<String> {
        let ms = |duration: Duration| duration.as_millis().to_string();
        let mut arguments = vec![
            self.config.replica.clone(),
            epoch,
            format!("{:016x}", rand::random::<u64>()),
            self.config.total.to_string(),
            ms(WINDOW),
            ms(TRANSIT),
            ms(SILENCE),
            self.config.max_replicas.to_string(),
            ms(LEASE),
            held.to_string(),
            ms(held_for),
            share_of_a_seat(self.config.total, self.config.max_replicas).to_string(),
            flag(seated),
            self.config.proof.clone(),
            asks.len().to_string(),
        ];
        for ask in asks {
            arguments.extend([
                ask.id.clone(),
                ask.route.to_string(),
                ask.major.to_string(),
                flag(ask.bot),
                ask.urgency.min(2).to_string(),
                ask.tenant.to_string(),
            ]);
        }
        arguments
    }
}

fn wait(reason: Reason, wait: Duration) -> Verdict {
    Verdict::Wait { reason, wait }
}

fn flag(value: bool) -> String {
    if value { "1" } else { "0" }.to_owned()
}

/// One verdict, and how many turns the call's tenant has had.
fn verdict(answer: &[String]) -> Option<(Verdict, u64)> {
    let [word, ms, bucket, had] = answer else {
        return None;
    };
    let time = Duration::from_millis(ms.parse().ok()?);
    let verdict = match word.as_str() {
        "go" => Verdict::Granted { bucket: bucket.clone() },
        "dead" => Verdict::TokenDead,
        "global" => wait(Reason::Global, time),
        "route" => wait(Reason::Route, time),
        "answer" => wait(Reason::Answer, time),
        _ => return None,
    };
    Some((verdict, had.parse().ok()?))
}

fn complete_arguments(slot: &Slot, fate: &Fate, seats: u32) -> Vec<String> {
    let none = Learned::default();
    let (word, learned) = match fate {
        Fate::Unused => ("unused", &none),
        Fate::Lost => ("lost", &none),
        Fate::Answered(learned) => ("answered", learned),
    };
    let [hash, limit, remaining, reset] = match &learned.bucket {
        Some(bucket) => [
            bucket.hash.clone(),
            bucket.limit.to_string(),
            bucket.remaining.to_string(),
            bucket.reset_after.as_millis().to_string(),
        ],
        None if learned.bucketless => ["-", "0", "0", "0"].map(str::to_owned),
        None => ["", "0", "0", "0"].map(str::to_owned),
    };
    let (pause, time) = match learned.pause {
        None => ("", Duration::ZERO),
        Some(Pause::Global(time)) => ("global", time),
        Some(Pause::Route(time)) => ("route", time),
        Some(Pause::Edge(time)) => ("edge", time),
    };
    vec![
        slot.id.clone(),
        word.to_owned(),
        flag(slot.bot),
        slot.bucket.clone(),
        slot.route.to_string(),
        slot.major.to_string(),
        WINDOW.as_millis().to_string(),
        hash,
        limit,
        remaining,
        reset,
        pause.to_owned(),
        time.as_millis().to_string(),
        seats.to_string(),
    ]
}
