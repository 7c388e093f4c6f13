//! The task of a pipeline: receives messages while the window has room, publishes them on one channel, and processes the
//! confirmations.

use std::sync::Arc;
use std::time::Duration;

use arrakis_fail_point as fail_point;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::confirm::{self, ChannelError, PublishFrames, PublishResult};
use crate::connection::{AmqpConnection, BrokerConnection, ConnectionClosed};
use crate::lock::LockCheck;
use crate::message::Message;

use super::open_channel::{OpenChannel, close, lock_refreshed};
use super::pending::ResolvedPublish;
use super::stall_reporter::{StallReason, StallReporter};
use super::unpublishable::UnpublishableSearch;
use super::window::Window;
use super::{PipelineOptions, PipelineProgress};

/// Interval at which waiting and overdue messages are checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// Longest wait before a refused message is sent again.
const MAX_REFUSED_WAIT: Duration = Duration::from_secs(2);
/// Wait before a returned message is sent again.
const RETURNED_WAIT: Duration = Duration::from_secs(1);

/// The task's state.
pub(super) struct PipelineTask {
    connection: BrokerConnection,
    options: PipelineOptions,
    messages: mpsc::Receiver<Message>,
    /// Whether the sender still exists.
    has_sender: bool,
    progress: watch::Sender<PipelineProgress>,
    stall: StallReporter,
    window: Window,
    /// Number of the last send.
    last_send_id: u64,
    /// When the broker last blocked publishers: the time limit of a confirmation counts from then.
    blocked_at: Option<Instant>,
    /// While messages are sent one at a time.
    search: Option<UnpublishableSearch>,
}

/// Why a channel is no longer used.
enum ChannelEnd {
    /// Everything is confirmed and no message will follow.
    Finished,
    /// It refuses messages: open another one at once.
    Replace,
    /// It failed: open another one after a wait.
    Failed(ChannelError),
}

impl PipelineTask {
    pub(super) fn new(
        connection: BrokerConnection,
        options: PipelineOptions,
        messages: mpsc::Receiver<Message>,
        progress: watch::Sender<PipelineProgress>,
        reason: StallReason,
    ) -> Self {
        Self {
            connection,
            options,
            messages,
            has_sender: true,
            progress,
            stall: StallReporter::new(reason),
            window: Window::new(),
            last_send_id: 0,
            blocked_at: None,
            search: None,
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
                ChannelEnd::Finished => return,
                ChannelEnd::Replace => continue,
                ChannelEnd::Failed(error) => self.channel_failed(&error),
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next_wait()) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    fn channel_failed(&mut self, error: &ChannelError) {
        self.stall.fault(&error.reason, self.window.unconfirmed());
        match &mut self.search {
            Some(search) => {
                if let Some(number) = search.channel_failed(&mut self.window, error) {
                    self.give_up(number, error);
                }
            }
            None if error.concerns_a_message() => self.search = Some(UnpublishableSearch::begin(&self.window)),
            None => {}
        }
    }

    /// Drops a message that the broker can never accept.
    fn give_up(&mut self, number: u64, error: &ChannelError) {
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
            reason = error.reason,
            "message lost: the broker closes the channel each time it is published. A larger max_message_size of the broker may \
             accept it"
        );
        self.report(|progress| progress.given_up += 1);
    }

    async fn one_channel(&mut self, backoff: &mut Backoff) -> ChannelEnd {
        let Ok(amqp) = self.permitted_connection().await else {
            return ChannelEnd::Finished;
        };
        let channel = match confirm::confirming_channel(&amqp).await {
            Ok(channel) => channel,
            Err(error) => return ChannelEnd::Failed((&error).into()),
        };
        let lock = self.options.fence.as_ref().map(|fence| LockCheck::new(&fence.lock));
        let mut open = OpenChannel::new(amqp, channel, lock);
        match self.publish_on(&mut open, backoff).await {
            Ok(end) => end,
            Err(error) => ChannelEnd::Failed(self.declare_after(&open.amqp, error).await),
        }
    }

    /// Declares the topology again if the channel failed because an exchange was deleted. Returns why the channel failed, or why
    /// the topology cannot be declared.
    async fn declare_after(&self, amqp: &AmqpConnection, error: ChannelError) -> ChannelError {
        let redeclare = error.is_not_found() && !fail_point::skips("broker.guard.redeclare");
        let Some(topology) = self.options.topology.as_ref().filter(|_| redeclare) else {
            return error;
        };
        tracing::error!(
            reason = error.reason,
            "an exchange or queue is missing; declaring the topology again"
        );
        match topology.declare(amqp).await {
            Ok(()) => error,
            Err(error) => error.to_string().into(),
        }
    }

    /// Publishes on a channel until everything is confirmed and no message will follow, or the channel should be replaced.
    ///
    /// # Errors
    /// Why the channel can no longer be used.
    async fn publish_on(&mut self, open: &mut OpenChannel, backoff: &mut Backoff) -> Result<ChannelEnd, ChannelError> {
        self.reset_sends();
        self.send_due(open).await?;
        let mut check = tokio::time::interval(CHECK_INTERVAL);
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let amqp = open.amqp.clone();
        let mut connection_lost = std::pin::pin!(amqp.closed());
        loop {
            if open.in_flight.is_empty() {
                if !self.has_sender && self.window.unconfirmed() == 0 {
                    return Ok(ChannelEnd::Finished);
                }
                if open.is_refusing_too_long() {
                    close(&open.channel, "messages are refused").await;
                    return Ok(ChannelEnd::Replace);
                }
                self.send_next_of_search(open).await?;
            }
            let room = self.has_room() && !open.is_refusing_too_long();
            tokio::select! {
                biased;
                resolved = open.in_flight.resolved(), if !open.in_flight.is_empty() => {
                    if self.publishes_resolved(open, resolved).await? {
                        backoff.reset();
                    }
                }
                () = &mut connection_lost => return Err("the connection was lost".into()),
                refreshed = lock_refreshed(&mut open.lock) => refreshed?,
                _ = check.tick(), if self.window.unconfirmed() > 0 => self.check(open).await?,
                message = self.messages.recv(), if room => match message {
                    Some(message) => self.accept(message, open).await?,
                    None => self.has_sender = false,
                },
            }
        }
    }

    fn has_room(&self) -> bool {
        let (messages, bytes) = (self.options.window, self.options.window_bytes);
        self.has_sender && self.search.is_none() && self.window.has_room(messages, bytes)
    }

    /// Checks at each interval while anything is unconfirmed: the lock, overdue confirmations, messages to send again.
    async fn check(&mut self, open: &mut OpenChannel) -> Result<(), ChannelError> {
        open.in_flight.wake_on_all();
        if let Some(lock) = &mut open.lock {
            lock.refresh(&open.channel);
        }
        if let Some(reason) = self.overdue() {
            close(&open.channel, "overdue").await;
            return Err(reason.into());
        }
        if let Some(first) = self.window.refused().front() {
            let key = &first.message.routing_key;
            let reason =
                format!("the broker refuses messages with the routing key {key}: a queue is full or unavailable");
            self.stall.fault(&reason, self.window.unconfirmed());
        }
        if !open.is_refusing_too_long() {
            self.send_due(open).await?;
        }
        Ok(())
    }

    /// Waits for a connection that may be used: any, or the one that holds the lease.
    async fn permitted_connection(&mut self) -> Result<Arc<AmqpConnection>, ConnectionClosed> {
        loop {
            let amqp = self.connection.current().await?;
            let Some(fence) = &mut self.options.fence else {
                return Ok(amqp);
            };
            if *fence.epoch.borrow() != amqp.epoch && self.window.unconfirmed() > 0 {
                self.stall
                    .waiting("this connection does not hold the lease on the shard");
            }
            tokio::select! {
                permitted = fence.epoch.wait_for(|epoch| *epoch == amqp.epoch) => match permitted {
                    Ok(_) => return Ok(amqp),
                    Err(_) => return Err(ConnectionClosed),
                },
                () = amqp.closed() => {}
            }
        }
    }

    async fn accept(&mut self, message: Message, open: &mut OpenChannel) -> Result<(), ChannelError> {
        let number = self.window.push(message, Instant::now());
        let sent = self.send(number, open).await;
        let pending = self.window.unconfirmed();
        let at = self.window.get(number).map(|entry| entry.at);
        self.progress.send_modify(|progress| {
            progress.pending = pending;
            progress.unconfirmed_since = progress.unconfirmed_since.or(at);
        });
        sent
    }

    /// Queues the frames of one message, which fixes its position in the order.
    ///
    /// # Errors
    /// When the lease is not held.
    async fn send(&mut self, number: u64, open: &mut OpenChannel) -> Result<(), ChannelError> {
        let mut now = Instant::now();
        if let Some(lock) = open.lock.as_mut().filter(|lock| !lock.is_valid(now)) {
            let within = self.options.confirm_within;
            lock.confirm(&self.connection, &open.amqp, &open.channel, within)
                .await?;
            now = Instant::now();
        }
        self.last_send_id += 1;
        let send_id = self.last_send_id;
        let Some(entry) = self.window.get(number) else {
            return Ok(());
        };
        // A refused message is sent to its alternative route and to its own by turns: the first queue with room takes it.
        let detoured = (entry.refusals % 2 == 1).then(|| entry.message.detoured()).flatten();
        if detoured.is_some() {
            self.progress.send_modify(|progress| progress.detoured += 1);
        }
        let frames = PublishFrames::of(detoured.as_ref().unwrap_or(&entry.message));
        entry.send_id = send_id;
        entry.at = now;
        let (publishing, waiting) = (open.channel.clone(), open.channel.clone());
        open.in_flight.push(
            async move {
                let result = confirm::publish_frames(publishing, frames).await;
                ResolvedPublish {
                    number,
                    send_id,
                    result,
                }
            },
            async move { drop(waiting.wait_for_confirms().await) },
        );
        fail_point::hit_at("broker.published", &[entry.message.routing_key.as_str()]).await;
        Ok(())
    }

    /// Marks everything that was in flight on the former channel to be sent again.
    fn reset_sends(&mut self) {
        let again = self.window.unconfirmed() - self.window.refused().len();
        self.window.reset_sends(Instant::now());
        if again > 0 {
            self.progress.send_modify(|progress| progress.resent += again as u64);
        }
    }

    async fn send_due(&mut self, open: &mut OpenChannel) -> Result<(), ChannelError> {
        if self.search.is_some() {
            return Ok(());
        }
        for number in self.window.due(Instant::now()) {
            self.send(number, open).await?;
        }
        Ok(())
    }

    /// Sends the next message alone, if messages are sent one at a time.
    async fn send_next_of_search(&mut self, open: &mut OpenChannel) -> Result<(), ChannelError> {
        let Some(search) = &mut self.search else {
            return Ok(());
        };
        match search.next_message(&self.window) {
            Some(number) => self.send(number, open).await,
            None => {
                self.search = None;
                self.end_stall();
                Ok(())
            }
        }
    }

    /// Processes resolved publishes. Returns whether a message was confirmed.
    ///
    /// # Errors
    /// Why the channel can no longer be used.
    async fn publishes_resolved(
        &mut self,
        open: &mut OpenChannel,
        resolved: Vec<ResolvedPublish>,
    ) -> Result<bool, ChannelError> {
        let (mut returned, mut unknown, mut confirmed) = (None, None, false);
        for publish in &resolved {
            if let PublishResult::Returned { id, reply } = &publish.result {
                self.returned(publish.number, publish.send_id, id);
                returned = Some(reply.clone());
            }
        }
        for ResolvedPublish {
            number,
            send_id,
            result,
        } in resolved
        {
            if let Some(search) = self
                .search
                .as_mut()
                .filter(|_| !matches!(result, PublishResult::Unknown(_)))
            {
                search.resolved(number);
            }
            match result {
                PublishResult::Confirmed => {
                    fail_point::hit("broker.confirmed").await;
                    confirmed |= self.confirmed(number, send_id, open);
                }
                PublishResult::Refused => self.refused(number, send_id, open).await?,
                PublishResult::Returned { .. } => {}
                PublishResult::Unknown(error) => {
                    // Each publish in flight fails when the channel closes. The error with a reply code has the broker's reason.
                    unknown = unknown
                        .filter(|first: &ChannelError| first.reply_code.is_some())
                        .or(Some(error));
                }
            }
        }
        if let Some(error) = unknown {
            return Err(error);
        }
        if let Some(reply) = returned {
            self.declare_for_returned(&open.amqp, &reply).await?;
        }
        Ok(confirmed)
    }

    /// Declares the topology again: no queue takes a message, not even that of the alternate exchange, so queues or bindings were
    /// deleted.
    async fn declare_for_returned(&mut self, amqp: &AmqpConnection, reply: &str) -> Result<(), ChannelError> {
        self.report(|_| {});
        let reason = format!("no queue takes a message ({reply}); declaring the topology again");
        self.stall.fault(&reason, self.window.unconfirmed());
        let topology = self.options.topology.clone();
        let Some(topology) = topology.filter(|_| !fail_point::skips("broker.guard.redeclare")) else {
            return Ok(());
        };
        let declared = topology.declare(amqp).await;
        declared.map_err(|error| error.to_string().into())
    }

    async fn refused(&mut self, number: u64, send_id: u64, open: &mut OpenChannel) -> Result<(), ChannelError> {
        let Some(entry) = self.window.in_flight(number, send_id) else {
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
        self.window.refuse(number, now, wait.min(MAX_REFUSED_WAIT));
        self.report(|progress| progress.refused += 1);
        Ok(())
    }

    /// Sends a returned message again. The broker identifies it by its id, and it need not be the message of the publish that
    /// resolved. That one's own return may be attached to another publish, so its outcome is unknown and it is sent again, too.
    fn returned(&mut self, number: u64, send_id: u64, id: &str) {
        self.progress.send_modify(|progress| progress.unroutable += 1);
        let now = Instant::now();
        let resolved = self.window.in_flight(number, send_id).map(|entry| entry.number);
        for number in [self.window.find(id), resolved].into_iter().flatten() {
            if self.window.get(number).is_some_and(|entry| entry.is_in_flight()) {
                self.window.refuse(number, now, RETURNED_WAIT);
            }
        }
    }

    fn confirmed(&mut self, number: u64, send_id: u64, open: &mut OpenChannel) -> bool {
        if self.window.in_flight(number, send_id).is_none() {
            return false;
        }
        let Some(entry) = self.window.settle(number) else {
            return false;
        };
        let now = std::time::Instant::now();
        if let (Some(observe), Some(received)) = (&self.options.confirm_latency.0, entry.message.received) {
            observe(now.saturating_duration_since(received));
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
            self.end_stall();
        }
        true
    }

    /// Reports the end of a stall, unless refused messages or a search remain.
    fn end_stall(&mut self) {
        if self.stall.is_stalled() && self.search.is_none() && self.window.refused().is_empty() {
            self.stall.resumed();
        }
    }

    /// Updates the progress, with the fields that change only while messages are refused or given up.
    fn report(&self, change: impl FnOnce(&mut PipelineProgress)) {
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

    /// Why the channel must be closed, if a confirmation is overdue.
    fn overdue(&mut self) -> Option<String> {
        let now = Instant::now();
        if self.connection.is_blocked() {
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
