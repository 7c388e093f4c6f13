//! Many messages in order, confirmed, with a bounded number in flight.
//!
//! One task and one channel for each pipeline, and none for a message. A lost connection, a closed channel and a
//! confirmation that does not come all end alike: a new channel, and everything unconfirmed is sent again in its order
//! under the same ids. A message that the broker refuses (a full queue) takes its detour, if it has one, and waits
//! otherwise; what is behind it goes on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arrakis_fail_point as fail_point;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::channel::Channel;
use crate::confirm::{self, Answer, Outgoing};
use crate::link::{Link, Live};
use crate::lock::LockCheck;
use crate::message::Message;
use crate::topology::Topology;
use crate::unanswered::{Answered, Unanswered};

/// Messages that wait between the sender and the window: enough to keep the task busy, few enough to count for nothing.
const HANDOVER: usize = 4;
/// How often waiting and overdue messages are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Longest wait before a refused message is tried again.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

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
    /// Declared again when a message finds no queue at all.
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
    /// The last message such that it and all before it are confirmed.
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
}

/// The sending end.
#[derive(Debug)]
pub struct PipelineSender {
    sender: mpsc::Sender<Message>,
    progress: watch::Receiver<Progress>,
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

    /// Progress and its changes.
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }
}

enum State {
    Sent { round: u64, at: Instant },
    Waiting { until: Instant },
    Confirmed,
}

struct Entry {
    number: u64,
    message: Message,
    state: State,
    refusals: u32,
}

/// The task's state. Made by [`Pipeline::start`].
#[derive(Debug)]
pub struct Pipeline;

struct Task {
    link: Link,
    options: PipelineOptions,
    messages: mpsc::Receiver<Message>,
    open: bool,
    progress: watch::Sender<Progress>,
    entries: VecDeque<Entry>,
    bytes: usize,
    taken: u64,
    round: u64,
    /// When the broker was last seen to block: confirmations are overdue only counted from then.
    blocked_at: Option<Instant>,
}

enum End {
    Done,
    Again(String),
}

/// A channel in use, and what is unanswered on it.
struct Open {
    live: Arc<Live>,
    channel: Channel,
    in_flight: Unanswered,
    lock: Option<LockCheck>,
}

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
        let task = Task {
            link,
            options,
            messages,
            open: true,
            progress: progress_sender,
            entries: VecDeque::new(),
            bytes: 0,
            taken: 0,
            round: 0,
            blocked_at: None,
        };
        let handle = tokio::spawn(task.run(stop));
        (
            PipelineSender {
                sender,
                progress,
                sent: 0,
            },
            handle,
        )
    }
}

impl Task {
    async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::broker();
        loop {
            let end = tokio::select! {
                end = self.one_channel(&mut backoff) => end,
                () = stop.cancelled() => return,
            };
            match end {
                End::Done => return,
                End::Again(why) => tracing::warn!(why, unconfirmed = self.entries.len(), "publishing is interrupted"),
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next_wait()) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn one_channel(&mut self, backoff: &mut Backoff) -> End {
        let Ok(live) = self.permitted().await else {
            return End::Done;
        };
        let channel = match confirm::confirming_channel(&live).await {
            Ok(channel) => channel,
            Err(error) => return End::Again(error.to_string()),
        };
        let lock = self.options.fence.as_ref().map(|fence| LockCheck::new(&fence.lock));
        let mut open = Open {
            live: live.clone(),
            channel,
            in_flight: Unanswered::default(),
            lock,
        };
        match self.publish_on(&mut open, backoff).await {
            Ok(()) => End::Done,
            Err(why) => End::Again(why),
        }
    }

    /// Publishes until everything is confirmed and nothing more comes. An error says why the channel is of no more use.
    async fn publish_on(&mut self, open: &mut Open, backoff: &mut Backoff) -> Result<(), String> {
        self.resend(open).await?;
        let mut look = tokio::time::interval(LOOK_EVERY);
        let live = open.live.clone();
        let mut gone = std::pin::pin!(live.gone());
        loop {
            if !self.open && self.entries.is_empty() {
                return Ok(());
            }
            let room = self.open && self.entries.len() < self.options.window && self.bytes < self.options.window_bytes;
            tokio::select! {
                biased;
                answers = open.in_flight.ready(), if !open.in_flight.is_empty() => {
                    self.answered(open, answers).await?;
                    backoff.reset();
                }
                () = &mut gone => return Err("the connection was lost".to_owned()),
                refreshed = refreshed(&mut open.lock) => refreshed?,
                _ = look.tick(), if !self.entries.is_empty() => {
                    open.in_flight.follow_all();
                    if let Some(lock) = &mut open.lock {
                        lock.refresh(&open.channel);
                    }
                    if let Some(why) = self.overdue() {
                        let close = open.channel.close(200, "overdue".into());
                        let _ = tokio::time::timeout(Duration::from_secs(1), close).await;
                        return Err(why);
                    }
                    self.send_waiting(open).await?;
                }
                message = self.messages.recv(), if room => match message {
                    Some(message) => self.take(message, open).await?,
                    None => self.open = false,
                },
            }
        }
    }

    /// The connection that may be used: any, or the one that the fence names.
    async fn permitted(&mut self) -> Result<Arc<Live>, crate::link::LinkClosed> {
        loop {
            let live = self.link.live().await?;
            let Some(fence) = &mut self.options.fence else {
                return Ok(live);
            };
            tokio::select! {
                permitted = fence.epoch.wait_for(|epoch| *epoch == live.epoch) => match permitted {
                    Ok(_) => return Ok(live),
                    Err(_) => return Err(crate::link::LinkClosed),
                },
                () = live.gone() => {}
            }
        }
    }

    async fn take(&mut self, message: Message, open: &mut Open) -> Result<(), String> {
        self.taken += 1;
        self.bytes += message.body.len();
        let state = State::Waiting { until: Instant::now() };
        self.entries.push_back(Entry {
            number: self.taken,
            message,
            state,
            refusals: 0,
        });
        let last = self.entries.len() - 1;
        let sent = self.send(last, open).await;
        let pending = self.entries.len();
        self.progress.send_modify(|progress| progress.pending = pending);
        sent
    }

    /// Queues the frames of one entry, which fixes its place in the order. An error says that the lease is not held.
    async fn send(&mut self, index: usize, open: &mut Open) -> Result<(), String> {
        let mut now = Instant::now();
        if let Some(lock) = open.lock.as_mut().filter(|lock| !lock.is_valid(now)) {
            let within = self.options.confirm_within;
            lock.confirm(&self.link, &open.live, &open.channel, within).await?;
            now = Instant::now();
        }
        self.round += 1;
        let round = self.round;
        let entry = &mut self.entries[index];
        let number = entry.number;
        // Every other try of a refused message takes the detour: whichever queue has room first gets it.
        let detour = (entry.refusals % 2 == 1).then(|| entry.message.detoured()).flatten();
        if detour.is_some() {
            self.progress.send_modify(|progress| progress.detoured += 1);
        }
        let outgoing = Outgoing::of(detour.as_ref().unwrap_or(&entry.message));
        entry.state = State::Sent { round, at: now };
        let (publishing, waiting) = (open.channel.clone(), open.channel.clone());
        open.in_flight.push(
            async move { (number, round, confirm::send(publishing, outgoing).await) },
            async move { drop(waiting.wait_for_confirms().await) },
        );
        fail_point::hit_at(
            "ingestor.published",
            &[self.entries[index].message.routing_key.as_str()],
        )
        .await;
        Ok(())
    }

    async fn resend(&mut self, open: &mut Open) -> Result<(), String> {
        for index in 0..self.entries.len() {
            if !matches!(self.entries[index].state, State::Confirmed) {
                self.progress.send_modify(|progress| progress.resent += 1);
                self.send(index, open).await?;
            }
        }
        Ok(())
    }

    async fn send_waiting(&mut self, open: &mut Open) -> Result<(), String> {
        let now = Instant::now();
        for index in 0..self.entries.len() {
            if matches!(self.entries[index].state, State::Waiting { until } if until <= now) {
                self.send(index, open).await?;
            }
        }
        Ok(())
    }

    /// Works answers in. An error says that the channel is of no more use.
    async fn answered(&mut self, open: &mut Open, answers: Vec<Answered>) -> Result<(), String> {
        let (mut returned, mut unknown) = (false, None);
        for (number, round, answer) in &answers {
            if let Answer::Returned { id, reply } = answer {
                returned = true;
                self.returned(*number, *round, id, reply);
            }
        }
        for (number, round, answer) in answers {
            let Some(index) = self.sent(number, round) else {
                continue;
            };
            match answer {
                Answer::Confirmed => {
                    fail_point::hit("ingestor.confirmed").await;
                    self.confirmed(index);
                }
                Answer::Refused => self.refused(index, open).await?,
                Answer::Returned { .. } => {}
                Answer::Unknown(why) => unknown = Some(why),
            }
        }
        if let Some(why) = unknown {
            return Err(why);
        }
        let topology = self.options.topology.clone();
        let Some(topology) = topology.filter(|_| returned && !fail_point::skips("broker.guard.redeclare")) else {
            return Ok(());
        };
        topology.declare(&open.live).await.map_err(|error| error.to_string())
    }

    /// Place of the entry that this answer is for, unless it was sent again or settled since.
    fn sent(&self, number: u64, round: u64) -> Option<usize> {
        let index = self.index(number)?;
        matches!(self.entries[index].state, State::Sent { round: current, .. } if current == round).then_some(index)
    }

    async fn refused(&mut self, index: usize, open: &mut Open) -> Result<(), String> {
        self.progress.send_modify(|progress| progress.refused += 1);
        let entry = &mut self.entries[index];
        entry.refusals += 1;
        if entry.refusals % 2 == 1 && entry.message.on_refusal.is_some() {
            return self.send(index, open).await;
        }
        let wait = Duration::from_millis(100) * 2u32.saturating_pow(entry.refusals.min(8));
        entry.state = State::Waiting {
            until: Instant::now() + wait.min(LONGEST_WAIT),
        };
        Ok(())
    }

    /// Nothing wanted a message, not even the alternate exchange: somebody deleted queues. The broker names the message by
    /// its id, and it need not be the one that the answer was for; of that one nothing is known then, as its own return may
    /// have been told with another answer. Both are sent again.
    fn returned(&mut self, number: u64, round: u64, id: &str, reply: &str) {
        self.progress.send_modify(|progress| progress.unroutable += 1);
        tracing::error!(id, reply, "no queue wants this message; declaring the topology again");
        let named = self.entries.iter().position(|entry| entry.message.id == id);
        let until = Instant::now() + Duration::from_secs(1);
        for index in [named, self.sent(number, round)].into_iter().flatten() {
            match &mut self.entries[index].state {
                state @ State::Sent { .. } => *state = State::Waiting { until },
                State::Waiting { .. } => {}
                State::Confirmed => tracing::error!(id, "a message was returned after it was confirmed"),
            }
        }
    }

    fn confirmed(&mut self, index: usize) {
        self.entries[index].state = State::Confirmed;
        // The body is not needed any more, even if an earlier message still waits.
        let body = std::mem::take(&mut self.entries[index].message.body);
        self.bytes -= body.len();
        if let (Some(told), Some(received)) = (&self.options.lag.0, self.entries[index].message.received) {
            told(received.elapsed());
        }
        let mut last = None;
        while self
            .entries
            .front()
            .is_some_and(|entry| matches!(entry.state, State::Confirmed))
        {
            last = self.entries.pop_front().map(|entry| entry.number);
        }
        let pending = self.entries.len();
        self.progress.send_modify(|progress| {
            progress.pending = pending;
            progress.confirmed = last.unwrap_or(progress.confirmed);
        });
    }

    /// Numbers are consecutive, so the place follows from the front's.
    fn index(&self, number: u64) -> Option<usize> {
        let front = self.entries.front()?.number;
        usize::try_from(number.checked_sub(front)?)
            .ok()
            .filter(|index| *index < self.entries.len())
    }

    /// Why the channel must be given up, if a confirmation is overdue.
    fn overdue(&mut self) -> Option<String> {
        let now = Instant::now();
        if self.link.is_blocked() {
            self.blocked_at = Some(now);
            return None;
        }
        let since = |at: Instant| self.blocked_at.map_or(at, |blocked| at.max(blocked));
        let overdue = self.entries.iter().any(|entry| match entry.state {
            State::Sent { at, .. } => now.duration_since(since(at)) > self.options.confirm_within,
            State::Waiting { .. } | State::Confirmed => false,
        });
        overdue.then(|| format!("no confirmation within {} s", self.options.confirm_within.as_secs()))
    }
}

/// Waits for the confirmation of the lock that is under way, for ever when there is none.
async fn refreshed(lock: &mut Option<LockCheck>) -> Result<(), String> {
    match lock {
        Some(lock) => lock.refreshed().await,
        None => std::future::pending().await,
    }
}
