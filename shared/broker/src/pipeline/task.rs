//! The task of a pipeline: takes messages while there is room, publishes them on one channel, and works the answers in.

use std::sync::Arc;
use std::time::Duration;

use arrakis_fail_point as fail_point;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::confirm::{self, Answer, Interruption, Outgoing};
use crate::link::{Link, LinkClosed, Live};
use crate::lock::LockCheck;
use crate::message::Message;
use crate::unanswered::Answered;

use super::notice::{Notice, Reason};
use super::one_by_one::OneByOne;
use super::open::{Open, close, refreshed};
use super::window::Window;
use super::{PipelineOptions, Progress};

/// How often waiting and overdue messages are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Longest wait before a refused message is tried again.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// Wait before a message is tried again that no queue wanted.
const RETURNED_WAIT: Duration = Duration::from_secs(1);

/// The task's state.
pub(super) struct Task {
    link: Link,
    options: PipelineOptions,
    messages: mpsc::Receiver<Message>,
    /// Whether the sender still exists.
    open: bool,
    progress: watch::Sender<Progress>,
    notice: Notice,
    window: Window,
    round: u64,
    /// When the broker was last seen to block: confirmations are overdue only counted from then.
    blocked_at: Option<Instant>,
    /// While it is looked for the message at which the broker closes.
    one_by_one: Option<OneByOne>,
}

enum End {
    Done,
    /// A new channel, at once.
    Reopen,
    /// A new channel, after a wait.
    Again(Interruption),
}

impl Task {
    pub(super) fn new(
        link: Link,
        options: PipelineOptions,
        messages: mpsc::Receiver<Message>,
        progress: watch::Sender<Progress>,
        reason: Reason,
    ) -> Self {
        Self {
            link,
            options,
            messages,
            open: true,
            progress,
            notice: Notice::new(reason),
            window: Window::new(),
            round: 0,
            blocked_at: None,
            one_by_one: None,
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::broker();
        loop {
            let end = tokio::select! {
                end = self.one_channel(&mut backoff) => end,
                () = stop.cancelled() => return,
            };
            match end {
                End::Done => return,
                End::Reopen => continue,
                End::Again(interruption) => self.interrupted(&interruption),
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next_wait()) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// The channel or connection ended by no wish of ours.
    fn interrupted(&mut self, interruption: &Interruption) {
        self.notice.trouble(&interruption.why, self.window.unconfirmed());
        match &mut self.one_by_one {
            Some(turns) => {
                if let Some(number) = turns.interrupted(&mut self.window, interruption) {
                    self.give_up(number, interruption);
                }
            }
            None if interruption.concerns_a_message() => self.one_by_one = Some(OneByOne::begin(&self.window)),
            None => {}
        }
    }

    /// The broker cannot take this message, ever.
    fn give_up(&mut self, number: u64, interruption: &Interruption) {
        let Some(entry) = self.window.settle(number) else {
            return;
        };
        let message = &entry.message;
        tracing::error!(
            id = message.id,
            kind = message.kind,
            routing_key = message.routing_key,
            bytes = message.body.len(),
            headers = ?message.headers,
            why = interruption.why,
            "the broker closes the channel at this message each time: the message is given up and lost. A larger max_message_size \
             of the broker would take it"
        );
        self.report(|progress| progress.given_up += 1);
    }

    async fn one_channel(&mut self, backoff: &mut Backoff) -> End {
        let Ok(live) = self.permitted().await else {
            return End::Done;
        };
        let channel = match confirm::confirming_channel(&live).await {
            Ok(channel) => channel,
            Err(error) => return End::Again((&error).into()),
        };
        let lock = self.options.fence.as_ref().map(|fence| LockCheck::new(&fence.lock));
        let mut open = Open::new(live, channel, lock);
        match self.publish_on(&mut open, backoff).await {
            Ok(end) => end,
            Err(interruption) => End::Again(self.mend(&open.live, interruption).await),
        }
    }

    /// Declares the topology again when an exchange is missing: somebody deleted it.
    async fn mend(&self, live: &Live, interruption: Interruption) -> Interruption {
        let again = interruption.misses_an_exchange() && !fail_point::skips("broker.guard.redeclare");
        let Some(topology) = self.options.topology.as_ref().filter(|_| again) else {
            return interruption;
        };
        tracing::error!(
            why = interruption.why,
            "an exchange is missing; declaring the topology again"
        );
        match topology.declare(live).await {
            Ok(()) => interruption,
            Err(error) => error.to_string().into(),
        }
    }

    /// Publishes until everything is confirmed and nothing more comes, or the channel is to be replaced. An error says why it is
    /// of no more use.
    async fn publish_on(&mut self, open: &mut Open, backoff: &mut Backoff) -> Result<End, Interruption> {
        self.restart();
        self.send_due(open).await?;
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let live = open.live.clone();
        let mut gone = std::pin::pin!(live.gone());
        loop {
            if open.in_flight.is_empty() {
                if !self.open && self.window.unconfirmed() == 0 {
                    return Ok(End::Done);
                }
                if open.is_worn() {
                    close(&open.channel, "messages are refused").await;
                    return Ok(End::Reopen);
                }
                self.next_turn(open).await?;
            }
            let room = self.has_room() && !open.is_worn();
            tokio::select! {
                biased;
                answers = open.in_flight.ready(), if !open.in_flight.is_empty() => {
                    if self.answered(open, answers).await? {
                        backoff.reset();
                    }
                }
                () = &mut gone => return Err("the connection was lost".into()),
                refreshed = refreshed(&mut open.lock) => refreshed?,
                _ = look.tick(), if self.window.unconfirmed() > 0 => self.look(open).await?,
                message = self.messages.recv(), if room => match message {
                    Some(message) => self.take(message, open).await?,
                    None => self.open = false,
                },
            }
        }
    }

    fn has_room(&self) -> bool {
        let (messages, bytes) = (self.options.window, self.options.window_bytes);
        self.open && self.one_by_one.is_none() && self.window.has_room(messages, bytes)
    }

    /// What is looked after now and then while anything is unconfirmed.
    async fn look(&mut self, open: &mut Open) -> Result<(), Interruption> {
        open.in_flight.follow_all();
        if let Some(lock) = &mut open.lock {
            lock.refresh(&open.channel);
        }
        if let Some(why) = self.overdue() {
            close(&open.channel, "overdue").await;
            return Err(why.into());
        }
        if let Some(first) = self.window.refused().front() {
            let key = &first.message.routing_key;
            let why = format!("the broker refuses messages with the routing key {key}: a queue is full or in trouble");
            self.notice.trouble(&why, self.window.unconfirmed());
        }
        if !open.is_worn() {
            self.send_due(open).await?;
        }
        Ok(())
    }

    /// The connection that may be used: any, or the one that the fence names.
    async fn permitted(&mut self) -> Result<Arc<Live>, LinkClosed> {
        loop {
            let live = self.link.live().await?;
            let Some(fence) = &mut self.options.fence else {
                return Ok(live);
            };
            if *fence.epoch.borrow() != live.epoch && self.window.unconfirmed() > 0 {
                self.notice
                    .waits_for("this connection does not hold the lease on the shard");
            }
            tokio::select! {
                permitted = fence.epoch.wait_for(|epoch| *epoch == live.epoch) => match permitted {
                    Ok(_) => return Ok(live),
                    Err(_) => return Err(LinkClosed),
                },
                () = live.gone() => {}
            }
        }
    }

    async fn take(&mut self, message: Message, open: &mut Open) -> Result<(), Interruption> {
        let number = self.window.take(message, Instant::now());
        let sent = self.send(number, open).await;
        let pending = self.window.unconfirmed();
        let at = self.window.get(number).map(|entry| entry.at);
        self.progress.send_modify(|progress| {
            progress.pending = pending;
            progress.unconfirmed_since = progress.unconfirmed_since.or(at);
        });
        sent
    }

    /// Queues the frames of one message, which fixes its place in the order. An error says that the lease is not held.
    async fn send(&mut self, number: u64, open: &mut Open) -> Result<(), Interruption> {
        let mut now = Instant::now();
        if let Some(lock) = open.lock.as_mut().filter(|lock| !lock.is_valid(now)) {
            let within = self.options.confirm_within;
            lock.confirm(&self.link, &open.live, &open.channel, within).await?;
            now = Instant::now();
        }
        self.round += 1;
        let round = self.round;
        let Some(entry) = self.window.get(number) else {
            return Ok(());
        };
        // Every other try of a refused message takes the detour: whichever queue has room first gets it.
        let detour = (entry.refusals % 2 == 1).then(|| entry.message.detoured()).flatten();
        if detour.is_some() {
            self.progress.send_modify(|progress| progress.detoured += 1);
        }
        let outgoing = Outgoing::of(detour.as_ref().unwrap_or(&entry.message));
        entry.round = round;
        entry.at = now;
        let (publishing, waiting) = (open.channel.clone(), open.channel.clone());
        open.in_flight.push(
            async move { (number, round, confirm::send(publishing, outgoing).await) },
            async move { drop(waiting.wait_for_confirms().await) },
        );
        fail_point::hit_at("broker.published", &[entry.message.routing_key.as_str()]).await;
        Ok(())
    }

    /// A new channel: whatever was on its way is sent again.
    fn restart(&mut self) {
        let again = self.window.unconfirmed() - self.window.refused().len();
        self.window.restart(Instant::now());
        if again > 0 {
            self.progress.send_modify(|progress| progress.resent += again as u64);
        }
    }

    async fn send_due(&mut self, open: &mut Open) -> Result<(), Interruption> {
        if self.one_by_one.is_some() {
            return Ok(());
        }
        for number in self.window.due(Instant::now()) {
            self.send(number, open).await?;
        }
        Ok(())
    }

    /// Sends the message whose turn it is, while they go one at a time.
    async fn next_turn(&mut self, open: &mut Open) -> Result<(), Interruption> {
        let Some(turns) = &mut self.one_by_one else {
            return Ok(());
        };
        match turns.turn(&self.window) {
            Some(number) => self.send(number, open).await,
            None => {
                self.one_by_one = None;
                self.end_notice();
                Ok(())
            }
        }
    }

    /// Works answers in, and returns whether a message was confirmed. An error says that the channel is of no more use.
    async fn answered(&mut self, open: &mut Open, answers: Vec<Answered>) -> Result<bool, Interruption> {
        let (mut returned, mut unknown, mut confirmed) = (None, None, false);
        for (number, round, answer) in &answers {
            if let Answer::Returned { id, reply } = answer {
                self.returned(*number, *round, id);
                returned = Some(reply.clone());
            }
        }
        for (number, round, answer) in answers {
            if let Some(turns) = self
                .one_by_one
                .as_mut()
                .filter(|_| !matches!(answer, Answer::Unknown(_)))
            {
                turns.answered(number);
            }
            match answer {
                Answer::Confirmed => {
                    fail_point::hit("broker.confirmed").await;
                    confirmed |= self.confirmed(number, round, open);
                }
                Answer::Refused => self.refused(number, round, open).await?,
                Answer::Returned { .. } => {}
                Answer::Unknown(interruption) => {
                    // Several may say that the channel is closed; the one that has the broker's words says why.
                    unknown = unknown
                        .filter(|known: &Interruption| known.reply_code.is_some())
                        .or(Some(interruption));
                }
            }
        }
        if let Some(interruption) = unknown {
            return Err(interruption);
        }
        if let Some(reply) = returned {
            self.declare_for_returned(&open.live, &reply).await?;
        }
        Ok(confirmed)
    }

    /// Nothing wanted a message, not even the alternate exchange: somebody deleted queues.
    async fn declare_for_returned(&mut self, live: &Live, reply: &str) -> Result<(), Interruption> {
        self.report(|_| {});
        let why = format!("no queue wants a message ({reply}); declaring the topology again");
        self.notice.trouble(&why, self.window.unconfirmed());
        let topology = self.options.topology.clone();
        let Some(topology) = topology.filter(|_| !fail_point::skips("broker.guard.redeclare")) else {
            return Ok(());
        };
        let declared = topology.declare(live).await;
        declared.map_err(|error| error.to_string().into())
    }

    async fn refused(&mut self, number: u64, round: u64, open: &mut Open) -> Result<(), Interruption> {
        let Some(entry) = self.window.sent(number, round) else {
            return Ok(());
        };
        let now = Instant::now();
        open.refused_since.get_or_insert(now);
        entry.refusals += 1;
        if entry.refusals % 2 == 1 && entry.message.on_refusal.is_some() {
            self.progress.send_modify(|progress| progress.refused += 1);
            return self.send(number, open).await;
        }
        let wait = Duration::from_millis(100) * 2u32.saturating_pow(entry.refusals.min(8));
        self.window.refuse(number, now, wait.min(LONGEST_WAIT));
        self.report(|progress| progress.refused += 1);
        Ok(())
    }

    /// The broker names the returned message by its id, and it need not be the one that the answer was for; of that one nothing
    /// is known then, as its own return may have been told with another answer. Both are sent again.
    fn returned(&mut self, number: u64, round: u64, id: &str) {
        self.progress.send_modify(|progress| progress.unroutable += 1);
        let now = Instant::now();
        let answered = self.window.sent(number, round).map(|entry| entry.number);
        for number in [self.window.find(id), answered].into_iter().flatten() {
            if self.window.get(number).is_some_and(|entry| entry.is_sent()) {
                self.window.refuse(number, now, RETURNED_WAIT);
            }
        }
    }

    fn confirmed(&mut self, number: u64, round: u64, open: &mut Open) -> bool {
        if self.window.sent(number, round).is_none() {
            return false;
        }
        let Some(entry) = self.window.settle(number) else {
            return false;
        };
        let now = std::time::Instant::now();
        if let (Some(told), Some(received)) = (&self.options.lag.0, entry.message.received) {
            told(now.saturating_duration_since(received));
        }
        let now = Instant::from_std(now);
        let (confirmed, pending) = (self.window.confirmed(), self.window.unconfirmed());
        self.progress.send_modify(|progress| {
            progress.confirmed = confirmed;
            progress.pending = pending;
            progress.unconfirmed_since = (pending > 0).then_some(now);
        });
        if entry.refused_since.is_some() {
            self.report(|_| {});
        }
        if self.window.refused().is_empty() {
            open.refused_since = None;
            self.end_notice();
        }
        true
    }

    /// Whatever was wrong is over, unless something still waits for itself.
    fn end_notice(&mut self) {
        if self.notice.is_raised() && self.one_by_one.is_none() && self.window.refused().is_empty() {
            self.notice.over();
        }
    }

    /// Reports what changes only when something is out of order.
    fn report(&self, change: impl FnOnce(&mut Progress)) {
        let window = &self.window;
        let refused = window.refused();
        let since = refused.iter().filter_map(|entry| entry.refused_since).min();
        self.progress.send_modify(|progress| {
            change(progress);
            progress.confirmed = window.confirmed();
            progress.pending = window.unconfirmed();
            progress.refused_waiting = refused.len();
            progress.refused_since = since;
            if window.unconfirmed() == 0 {
                progress.unconfirmed_since = None;
            }
        });
    }

    /// Why the channel must be given up, if a confirmation is overdue.
    fn overdue(&mut self) -> Option<String> {
        let now = Instant::now();
        if self.link.is_blocked() {
            self.blocked_at = Some(now);
            return None;
        }
        let blocked_at = self.blocked_at;
        let since = |at: Instant| now.duration_since(blocked_at.map_or(at, |blocked| at.max(blocked)));
        let within = self.options.confirm_within;
        let overdue = self.window.is_overdue(since, within);
        overdue.then(|| format!("no confirmation within {} s", within.as_secs()))
    }
}
