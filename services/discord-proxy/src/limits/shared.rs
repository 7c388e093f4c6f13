//! Who decides: Redis, or this replica by itself.
//!
//! One trouble that Redis names, or two exchanges in a row without an answer, and the replica decides by itself, after [`QUIET`].
//! A heartbeat finds Redis again; then the places that the replica has given go over to Redis before Redis gives new ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrakis_runtime::Component;
use parking_lot::Mutex;
use prometheus::IntGauge;
use tokio_util::sync::CancellationToken;

use super::local::Local;
use super::redis::{Redis, RedisTrouble};
use super::script::Script;
use super::{
    Ask, Fate, HEARTBEAT, LEASE, Learned, Pause, QUIET, Reason, SILENCE, Slot, TRANSIT, Verdict, WINDOW, Waiting,
};
use crate::token::BotToken;

/// How long other replicas, and this one after a restart, remember that a token is dead.
const DEAD_LIVES: Duration = Duration::from_secs(6 * 3_600);
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
}

#[derive(Debug)]
struct Mode {
    /// Redis decides.
    shared: bool,
    /// When Redis last heard of this replica, at the earliest.
    heard: Instant,
    /// Exchanges in a row without an answer.
    silent: u32,
    /// Redis's memory, as last seen.
    epoch: String,
}

/// Discord's limits.
#[derive(Debug)]
pub(crate) struct Limits {
    config: LimitsConfig,
    redis: Redis,
    acquire: Script,
    complete: Script,
    mode: Mutex<Mode>,
    local: Mutex<Local>,
    token: Arc<BotToken>,
    health: Component,
    apart: IntGauge,
    edge: AtomicBool,
}

impl Limits {
    /// Limits that start by themselves until the first heartbeat has found Redis.
    pub(crate) fn new(
        config: LimitsConfig,
        redis: Redis,
        token: Arc<BotToken>,
        health: Component,
        apart: IntGauge,
    ) -> Self {
        apart.set(1);
        Self {
            local: Mutex::new(Local::new(config.total, config.max_replicas)),
            config,
            redis,
            acquire: Script::new(include_str!("acquire.lua")),
            complete: Script::new(include_str!("complete.lua")),
            mode: Mutex::new(Mode {
                shared: false,
                heard: Instant::now(),
                silent: 0,
                epoch: String::new(),
            }),
            token,
            health,
            apart,
            edge: AtomicBool::new(false),
        }
    }

    /// Whether Redis decides.
    pub(crate) fn is_shared(&self) -> bool {
        self.mode.lock().shared
    }

    /// Decides which of `asks` may leave now, in this order.
    pub(crate) async fn acquire(&self, asks: &[Ask], waiting: Waiting) -> Vec<Verdict> {
        if self.is_shared() {
            match self.ask_redis(asks, waiting, (0, Duration::ZERO)).await {
                Ok(verdicts) => return verdicts,
                Err(trouble) => self.note_trouble(&trouble),
            }
            if self.is_shared() {
                return asks.iter().map(|_| wait(Reason::Answer, ONCE_MORE)).collect();
            }
        }
        self.ask_local(asks)
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

    /// Gives a place back with what became of the call.
    pub(crate) async fn complete(&self, slot: &Slot, fate: &Fate) {
        self.local.lock().complete(Instant::now(), slot, fate);
        if let Fate::Answered(Learned {
            pause: Some(Pause::Edge(_)),
            ..
        }) = fate
        {
            self.edge.store(true, Ordering::Release);
        }
        if self.is_shared() {
            let told = self
                .redis
                .run::<i64>(&self.complete, &complete_arguments(slot, fate))
                .await;
            if let Err(trouble) = told {
                self.note_trouble(&trouble);
            }
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

    /// Discord refused the token: tells every replica.
    pub(crate) async fn token_died(&self) {
        self.token.mark_dead("here");
        self.tell_dead().await;
    }

    async fn tell_dead(&self) {
        match self.redis.mark("dead", &self.config.replica, DEAD_LIVES).await {
            Ok(()) => self.token.told(),
            Err(trouble) => tracing::warn!(%trouble, "the other replicas do not know yet that the token is dead"),
        }
    }

    /// Shows Redis that this replica is there, and finds it again after trouble. Ends with `stop`.
    pub(crate) async fn beat(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.beat_once().await;
            if self.token.must_tell() {
                self.tell_dead().await;
            }
            tokio::select! {
                () = tokio::time::sleep(HEARTBEAT) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn beat_once(&self) {
        self.local.lock().tidy(Instant::now());
        if self.is_shared() {
            if let Err(trouble) = self.ask_redis(&[], [0; 3], (0, Duration::ZERO)).await {
                self.note_trouble(&trouble);
            }
            return;
        }
        let held = self.local.lock().close(Instant::now());
        match self.ask_redis(&[], [0; 3], held).await {
            Ok(_) => {
                self.mode.lock().shared = true;
                self.apart.set(0);
                self.health.up();
            }
            Err(trouble) => {
                self.local.lock().open();
                self.say(&trouble);
            }
        }
    }

    /// No lock is held while health is told: whoever reads health asks back who decides.
    fn note_trouble(&self, trouble: &RedisTrouble) {
        {
            let mut mode = self.mode.lock();
            mode.silent += 1;
            if !mode.shared || (*trouble == RedisTrouble::Silent && mode.silent < 2) {
                return;
            }
            mode.shared = false;
        }
        self.local.lock().open();
        self.apart.set(1);
        self.say(trouble);
    }

    fn say(&self, trouble: &RedisTrouble) {
        let share = (self.config.total / self.config.max_replicas).max(1);
        self.health.degraded(format!(
            "{trouble}; this replica keeps to {share} of {} calls by itself",
            self.config.total
        ));
    }

    async fn ask_redis(
        &self,
        asks: &[Ask],
        waiting: Waiting,
        held: (usize, Duration),
    ) -> Result<Vec<Verdict>, RedisTrouble> {
        let sent = Instant::now();
        let epoch = self.mode.lock().epoch.clone();
        let arguments = self.acquire_arguments(asks, waiting, held, epoch);
        let answer: Vec<String> = self.redis.run(&self.acquire, &arguments).await?;
        let malformed =
            || RedisTrouble::Refuses("the limiter's script answered in a form that is not its own".to_owned());
        let (head, rest) = answer.split_at_checked(5).ok_or_else(malformed)?;
        let verdicts: Option<Vec<Verdict>> = rest.chunks(3).map(verdict).collect();
        let verdicts = verdicts
            .filter(|verdicts| verdicts.len() == asks.len())
            .ok_or_else(malformed)?;
        {
            let mut mode = self.mode.lock();
            mode.heard = sent;
            mode.silent = 0;
            mode.epoch.clone_from(&head[0]);
        }
        if head[1] != "0" {
            self.token.mark_dead("another replica, or an earlier run, said so");
            self.token.told();
        }
        if let Some(pause) = head[2].parse().ok().filter(|ms| *ms > 0).map(Duration::from_millis) {
            self.local.lock().learn_edge(Instant::now() + pause);
            self.edge.store(true, Ordering::Release);
        }
        Ok(verdicts)
    }

    fn acquire_arguments(
        &self,
        asks: &[Ask],
        waiting: Waiting,
        (held, held_for): (usize, Duration),
        epoch: String,
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
        ];
        arguments.extend(waiting.map(|count| count.to_string()));
        arguments.push(asks.len().to_string());
        for ask in asks {
            arguments.extend([
                ask.id.clone(),
                ask.route.to_string(),
                ask.major.to_string(),
                flag(ask.bot),
                ask.urgency.min(2).to_string(),
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

fn verdict(answer: &[String]) -> Option<Verdict> {
    let [word, ms, bucket] = answer else {
        return None;
    };
    let reason = match word.as_str() {
        "go" => return Some(Verdict::Granted { bucket: bucket.clone() }),
        "dead" => return Some(Verdict::TokenDead),
        "global" => Reason::Global,
        "route" => Reason::Route,
        "answer" => Reason::Answer,
        _ => return None,
    };
    Some(wait(reason, Duration::from_millis(ms.parse().ok()?)))
}

fn complete_arguments(slot: &Slot, fate: &Fate) -> Vec<String> {
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
    ]
}
