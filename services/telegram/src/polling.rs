//! Long polling: requests updates, handles them, and confirms them by the next request. The updates that a killed process had not
//! confirmed are delivered again.
//!
//! Chats are handled independently of each other and of the polls: a chat that Telegram pauses delays no other chat. Telegram confirms
//! all updates before an id, so the offset of a poll is the oldest update that is not handled. Telegram delivers the later ones again,
//! and they are not handled again. When the oldest one stays in progress while a whole poll of later ones came, all are confirmed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use arrakis_runtime::HealthComponent;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::bot_api::{CallError, Update};
use crate::commands;
use crate::handler;
use crate::notices::pause;
use crate::services::{Handled, Shared};

/// Chats whose updates are handled at a time.
const CONCURRENT: usize = 256;
/// Updates that are received and not handled; above that, no more are requested.
const MAX_IN_PROGRESS: usize = 2000;
/// Updates of one chat that are received and not handled; further ones are skipped.
const MAX_OF_CHAT: usize = 50;
/// Most updates in the answer to a poll.
const MAX_POLLED: usize = 100;
/// How long the updates in progress are waited for before the next poll, which otherwise delivers them again at once.
const SETTLE: Duration = Duration::from_millis(500);
/// Pause after another process has taken the updates over: it would be interrupted at once.
const CONFLICT_PAUSE: Duration = Duration::from_secs(5);

/// Polls until `stop` is cancelled; then it completes and confirms the updates that it has.
pub(crate) async fn run(services: &Shared, health: &HealthComponent, stop: CancellationToken) {
    if let Err(error) = services.bot.delete_webhook().await {
        tracing::warn!(%error, "cannot delete the webhook of the bot; if one is set, polls fail with 409 until it is deleted");
    }
    let mut receiver = Receiver::new(services.clone());
    let mut limit = MAX_POLLED;
    while !stop.is_cancelled() {
        receiver.settle(&stop).await;
        let offset = receiver.queue.window.lock().offset();
        let polled = tokio::select! {
            polled = services.bot.updates(offset, limit, services.tuning.poll_wait) => polled,
            () = stop.cancelled() => break,
        };
        let requested = limit;
        limit = next_limit(requested, polled.as_ref().err());
        match polled {
            Ok(updates) => match receiver.receive(offset, requested, &updates) {
                Received::All => health.up(),
                Received::Known => {
                    health.up();
                    receiver.unblock(offset, &stop).await;
                }
                Received::Unidentified(count) => {
                    health.degraded(format!(
                        "Telegram delivers {count} updates without a valid update_id, which cannot be confirmed"
                    ));
                    pause(services.tuning.pause, &stop).await;
                }
            },
            Err(error) => failed(services, health, &error, &stop).await,
        }
    }
    while receiver.tasks.join_next().await.is_some() {}
    // Confirms what was handled; the answer's updates stay unconfirmed.
    let offset = receiver.queue.window.lock().offset();
    if offset.is_some()
        && let Err(error) = services.bot.updates(offset, 1, Duration::ZERO).await
    {
        tracing::info!(%error, "the last updates were not confirmed; they are delivered again and not answered again");
    }
}

/// How many updates the next poll requests: fewer after a response that is too long, so that those of ordinary length are received.
fn next_limit(limit: usize, error: Option<&CallError>) -> usize {
    match error {
        None => (limit * 2).min(MAX_POLLED),
        Some(CallError::Oversized(_)) => (limit / 2).max(1),
        Some(_) => limit,
    }
}

/// Whether the updates in the answer to a poll can be confirmed.
#[derive(Debug, PartialEq, Eq)]
enum Received {
    /// All of them.
    All,
    /// All were received before, and the poll returned as many as it can: later updates are returned only after the oldest is confirmed.
    Known,
    /// So many have no id, and Telegram delivers them again until a later update is confirmed.
    Unidentified(usize),
}

/// Starts the handling of updates, and holds its tasks.
struct Receiver {
    services: Shared,
    queue: Arc<Queue>,
    chats: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

/// The updates, which the tasks of chats take from it.
#[derive(Debug, Default)]
struct Queue {
    window: Mutex<Window>,
    /// Notified after each update.
    handled: Notify,
}

impl Queue {
    async fn until(&self, is_reached: impl Fn(&Window) -> bool) {
        loop {
            let handled = self.handled.notified();
            if is_reached(&self.window.lock()) {
                return;
            }
            handled.await;
        }
    }
}

impl Receiver {
    fn new(services: Shared) -> Self {
        Self {
            services,
            queue: Arc::default(),
            chats: Arc::new(Semaphore::new(CONCURRENT)),
            tasks: JoinSet::new(),
        }
    }

    /// Waits for a moment until the updates in progress are handled, and as long as there are too many.
    async fn settle(&mut self, stop: &CancellationToken) {
        while self.tasks.try_join_next().is_some() {}
        let settled = async {
            let all = self.queue.until(|window| window.in_progress == 0);
            let in_time = tokio::time::timeout(SETTLE, all).await;
            if in_time.is_err() {
                self.queue.until(|window| window.in_progress < MAX_IN_PROGRESS).await;
            }
        };
        tokio::select! {
            () = settled => {}
            () = stop.cancelled() => {}
        }
    }

    /// Starts the handling of the updates that are new in a poll of at most `limit` from `offset` on.
    fn receive(&mut self, offset: Option<i64>, limit: usize, updates: &[Box<RawValue>]) -> Received {
        let queue = self.queue.clone();
        let mut window = queue.window.lock();
        window.confirm(offset);
        let (mut unidentified, mut new) = (0, 0);
        for raw in updates {
            let Some(id) = handler::id(raw) else {
                unidentified += 1;
                self.services.metrics.update("malformed");
                continue;
            };
            if !window.add(id) {
                continue;
            }
            new += 1;
            let Some(update) = handler::decode(&self.services, raw) else {
                window.set_handled(id);
                continue;
            };
            let chat = handler::chat(&update);
            let pressed = update.callback_query.as_ref().map(|query| query.id.clone());
            match window.enqueue(chat, update) {
                Enqueued::First => self.start(chat),
                Enqueued::Behind => {}
                Enqueued::TooMany => {
                    self.services.metrics.update("skipped");
                    window.set_handled(id);
                    self.answer_skipped(pressed);
                }
            }
        }
        if unidentified > 0 {
            tracing::warn!(count = unidentified, "updates have no valid update_id, and are skipped");
            Received::Unidentified(unidentified)
        } else if updates.len() >= limit && new == 0 {
            Received::Known
        } else {
            Received::All
        }
    }

    /// Waits until the updates from `offset` on can be confirmed; after a while (`Tuning::stalled`), confirms them with the next poll
    /// although some are in progress.
    async fn unblock(&self, offset: Option<i64>, stop: &CancellationToken) {
        let stalled = self.services.tuning.stalled;
        let moved = self.queue.until(|window| window.offset() != offset);
        tokio::select! {
            () = moved => return,
            () = tokio::time::sleep(stalled) => {}
            () = stop.cancelled() => return,
        }
        let mut window = self.queue.window.lock();
        tracing::warn!(
            update.id = offset,
            in_progress = window.in_progress,
            "the oldest update is still in progress after {} s, and a poll returns no later ones; all are confirmed, and the end of this \
             process loses those in progress",
            stalled.as_secs()
        );
        window.confirm_all();
    }

    /// Ends the waiting state of the button of a skipped press.
    fn answer_skipped(&mut self, pressed: Option<String>) {
        if let Some(query) = pressed
            && self.tasks.len() < MAX_IN_PROGRESS
        {
            let services = self.services.clone();
            self.tasks
                .spawn(async move { commands::answer_press(&services, &query, "").await });
        }
    }

    /// Starts the task of a chat, which handles the updates of the chat in their order.
    fn start(&mut self, chat: Option<i64>) {
        let (services, queue, chats) = (self.services.clone(), self.queue.clone(), self.chats.clone());
        self.tasks.spawn(async move {
            // The semaphore is never closed.
            let _permit = chats.acquire_owned().await;
            while let Some(update) = queue.next(chat) {
                let id = update.update_id;
                let handling = AssertUnwindSafe(handler::handle(&services, &update)).catch_unwind();
                let handled = handling.await.unwrap_or_else(|_| {
                    tracing::error!(
                        update.id = id,
                        "the handling of an update panicked; the update is skipped"
                    );
                    Handled::Done
                });
                queue.finish(id, handled);
                if handled == Handled::Stopped {
                    return;
                }
            }
        });
    }
}

impl Queue {
    /// The next update of a chat. Without one, the task of the chat ends.
    fn next(&self, chat: Option<i64>) -> Option<Update> {
        let mut window = self.window.lock();
        let next = window.chats.get_mut(&chat).and_then(VecDeque::pop_front);
        if next.is_none() {
            window.chats.remove(&chat);
        }
        next
    }

    fn finish(&self, id: i64, handled: Handled) {
        let mut window = self.window.lock();
        window.in_progress = window.in_progress.saturating_sub(1);
        if handled == Handled::Done {
            window.set_handled(id);
        }
        drop(window);
        self.handled.notify_waiters();
    }
}

/// What becomes of an update.
#[derive(Debug, PartialEq, Eq)]
enum Enqueued {
    /// Its chat has no task yet.
    First,
    /// The task of its chat handles it after earlier ones.
    Behind,
    /// Too many updates of its chat wait.
    TooMany,
}

/// The updates that are received and not confirmed.
#[derive(Debug, Default)]
struct Window {
    /// Id from which the last poll requested updates.
    offset: Option<i64>,
    /// Whether the updates from it on are handled.
    received: BTreeMap<i64, bool>,
    /// The updates that wait, by chat. A chat with a task has an entry.
    chats: HashMap<Option<i64>, VecDeque<Update>>,
    /// Updates that wait or are being handled.
    in_progress: usize,
}

impl Window {
    /// The id from which updates are to be requested: everything before it is handled.
    fn offset(&self) -> Option<i64> {
        let open = self.received.iter().find(|(_, is_handled)| !**is_handled);
        let last = || self.received.last_key_value().and_then(|(id, _)| id.checked_add(1));
        open.map(|(id, _)| *id).or_else(last).or(self.offset)
    }

    /// Adds an update. False when it was received before.
    fn add(&mut self, id: i64) -> bool {
        let is_new = !self.received.contains_key(&id);
        if is_new {
            self.received.insert(id, false);
        }
        is_new
    }

    fn set_handled(&mut self, id: i64) {
        if let Some(is_handled) = self.received.get_mut(&id) {
            *is_handled = true;
        }
    }

    fn enqueue(&mut self, chat: Option<i64>, update: Update) -> Enqueued {
        let enqueued = match self.chats.get_mut(&chat) {
            Some(waiting) if waiting.len() >= MAX_OF_CHAT => return Enqueued::TooMany,
            Some(waiting) => {
                waiting.push_back(update);
                Enqueued::Behind
            }
            None => {
                self.chats.insert(chat, VecDeque::from([update]));
                Enqueued::First
            }
        };
        self.in_progress += 1;
        enqueued
    }

    /// After a poll from this id on: Telegram does not deliver the updates before it again.
    fn confirm(&mut self, offset: Option<i64>) {
        if let Some(offset) = offset {
            self.received = self.received.split_off(&offset);
            self.offset = Some(offset);
        }
    }

    /// Confirms also the updates in progress with the next poll.
    fn confirm_all(&mut self) {
        let next = self.received.last_key_value().and_then(|(id, _)| id.checked_add(1));
        self.offset = next.or(self.offset);
        self.received.clear();
    }
}

async fn failed(services: &Shared, health: &HealthComponent, error: &CallError, stop: &CancellationToken) {
    let (time, reason) = match error {
        CallError::Conflict(text) if text.contains("webhook") => {
            if let Err(error) = services.bot.delete_webhook().await {
                tracing::warn!(%error, "cannot delete the webhook of the bot");
            }
            (services.tuning.pause, format!("a webhook is set for this bot: {text}"))
        }
        CallError::Conflict(text) => (
            CONFLICT_PAUSE,
            format!(
                "another process requests the updates of this bot; stop one of them, or set TELEGRAM_WEBHOOK_URL: {text}"
            ),
        ),
        CallError::Limited(_) => {
            let time = error.pause(&services.tuning);
            (time, format!("{error}; the next poll follows in {} s", time.as_secs()))
        }
        CallError::Oversized(_) => (
            services.tuning.pause,
            format!("{error}; the next poll requests fewer updates, at least one"),
        ),
        CallError::Token(_) => (CONFLICT_PAUSE, format!("{error}; check TELEGRAM_BOT_TOKEN")),
        _ => (services.tuning.pause, error.to_string()),
    };
    match error {
        CallError::Token(_) => health.down(reason.clone()),
        _ => health.degraded(reason.clone()),
    }
    tracing::warn!(reason, "cannot receive updates; retrying");
    pause(time, stop).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(id: i64) -> Update {
        serde_json::from_str(&format!("{{\"update_id\":{id}}}")).unwrap()
    }

    #[test]
    fn offset_is_the_oldest_update_that_is_not_handled() {
        let mut window = Window::default();
        assert_eq!(window.offset(), None);
        for id in [7, 8, 9] {
            assert!(window.add(id));
        }
        assert!(!window.add(8), "it was received before");
        window.set_handled(8);
        assert_eq!(window.offset(), Some(7));
        window.set_handled(7);
        assert_eq!(window.offset(), Some(9));
        window.confirm(Some(9));
        window.set_handled(9);
        assert_eq!(window.offset(), Some(10));
        window.confirm(Some(10));
        assert_eq!(window.offset(), Some(10), "nothing is received, and the offset stays");
        assert!(window.received.is_empty());
    }

    #[test]
    fn polls_request_fewer_updates_while_responses_are_too_long() {
        let too_long = CallError::Oversized("getUpdates");
        let limits = |start, error| {
            let next = move |limit: &usize| Some(next_limit(*limit, error));
            std::iter::successors(Some(start), next).take(9).collect::<Vec<_>>()
        };
        assert_eq!(limits(100, Some(&too_long)), [100, 50, 25, 12, 6, 3, 1, 1, 1]);
        assert_eq!(limits(1, None), [1, 2, 4, 8, 16, 32, 64, 100, 100]);
        let unavailable = CallError::Unknown("502".to_owned());
        assert_eq!(next_limit(25, Some(&unavailable)), 25);
    }

    #[test]
    fn all_updates_are_confirmed_together() {
        let mut window = Window::default();
        for id in [7, 8] {
            window.add(id);
        }
        window.set_handled(8);
        window.confirm_all();
        assert_eq!(window.offset(), Some(9));
        window.set_handled(7);
        assert_eq!(window.offset(), Some(9), "an update in progress does not move it back");
    }

    #[test]
    fn updates_of_one_chat_are_bounded_and_those_of_others_are_not_skipped() {
        let mut window = Window::default();
        assert_eq!(window.enqueue(Some(1), update(1)), Enqueued::First);
        for id in 2..=50 {
            assert_eq!(window.enqueue(Some(1), update(id)), Enqueued::Behind);
        }
        assert_eq!(window.enqueue(Some(1), update(51)), Enqueued::TooMany);
        assert_eq!(window.enqueue(Some(2), update(52)), Enqueued::First);
        assert_eq!(window.in_progress, 51);
    }
}
