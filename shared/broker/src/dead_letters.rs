//! Operations on dead letters: list, show, replay, purge.
//!
//! Each operation reads the dead letters one at a time on a channel of its own, and they stay unacknowledged until it ends. Closing
//! the channel requeues those that were not removed, in their order; the broker does the same if the process ends. Concurrent
//! operations do not receive each other's unacknowledged dead letters.

use std::collections::HashSet;
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use arrakis_contracts::dead_letter::{DeadLetter, DeadLetterReason};
use arrakis_contracts::labels::HeaderValue;
use arrakis_contracts::{headers, names};
use lapin::options::{BasicGetOptions, QueueDeclareOptions};
use lapin::types::FieldTable;

use crate::channel::Channel;
use crate::connection::{AmqpConnection, ConnectionClosed};
use crate::delivery::{Delivery, SettleOutcome};
use crate::message::{Message, fits_short};
use crate::publisher::{PublishError, PublishOutcome, Publisher};
use crate::retry::now_ms;

/// Time limit of opening a channel, and of reading one letter. A reachable broker responds in milliseconds.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an operation waits for its letters to be requeued.
const REQUEUE_TIMEOUT: Duration = Duration::from_secs(2);

/// Selects dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetterSelection {
    /// The dead letter with this event or job id.
    Id(String),
    /// Dead letters of this kind: an event name such as `GUILD_MEMBER_ADD`, or `job`.
    Kind(String),
    /// All dead letters.
    All,
}

impl DeadLetterSelection {
    fn matches(&self, letter: &DeadLetter) -> bool {
        match self {
            Self::Id(id) => letter.id == *id,
            Self::Kind(kind) => letter.kind == *kind,
            Self::All => true,
        }
    }
}

/// Result of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplayReport {
    /// Number of dead letters that were published to their queues again.
    pub replayed: u32,
    /// Number of dead letters that were removed, because a letter with the same id, queue and body was replayed: an interaction that Discord, or
    /// somebody else, delivered several times.
    pub copies: u32,
    /// Ids of dead letters whose origin queue does not exist or is unknown. They stay dead letters.
    pub queue_missing: Vec<String>,
    /// Ids of events that are older than [`arrakis_contracts::dead_letter::MAX_REPLAY_AGE`]: their claims may be deleted before they
    /// are handled. They stay dead letters.
    pub too_old: Vec<String>,
    /// Ids of interactions whose token has expired, so that Discord accepts no reply. They stay dead letters.
    pub reply_expired: Vec<String>,
    /// Id and origin queue of dead letters whose origin queue is not one of events, jobs or interactions. They stay dead
    /// letters.
    pub not_replayable: Vec<(String, String)>,
}

/// Why an operation on dead letters failed.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// An AMQP call failed.
    #[error("AMQP call failed: {0}")]
    Broker(#[from] lapin::Error),
    /// A replayed dead letter was not confirmed. It is still a dead letter.
    #[error("the dead letter was not published to its queue and stays a dead letter: {0}")]
    Publish(#[from] PublishError),
    /// The broker does not respond.
    #[error("the broker has not responded for {} s", RESPONSE_TIMEOUT.as_secs())]
    NoResponse,
    /// The broker connection was closed by this process.
    #[error(transparent)]
    Closed(#[from] ConnectionClosed),
}

/// The dead letters of a broker.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    publisher: Publisher,
}

impl DeadLetters {
    /// The dead letters of the broker to which `publisher` is connected. Replays are published with it.
    pub fn new(publisher: Publisher) -> Self {
        Self { publisher }
    }

    /// The oldest dead letters, at most `limit`.
    ///
    /// # Errors
    /// When an AMQP call fails.
    pub async fn list(&self, limit: usize) -> Result<Vec<DeadLetter>, DeadLetterError> {
        let mut letters = Vec::new();
        let mut reader = self.reader().await?;
        while letters.len() < limit {
            let Some(delivery) = reader.next().await? else { break };
            letters.push(describe(&delivery));
        }
        reader.end(&self.publisher).await;
        Ok(letters)
    }

    /// The dead letter with this event or job id, and its message; `None` when there is none.
    ///
    /// # Errors
    /// When an AMQP call fails.
    pub async fn show(&self, id: &str) -> Result<Option<(DeadLetter, Delivery)>, DeadLetterError> {
        let mut reader = self.reader().await?;
        let mut found = None;
        while let Some(delivery) = reader.next().await? {
            let letter = describe(&delivery);
            if letter.id == id {
                found = Some((letter, delivery));
                break;
            }
        }
        reader.end(&self.publisher).await;
        Ok(found)
    }

    /// Publishes dead letters to their origin queues, under the same ids and with a count of attempts of 0. An event can be replayed
    /// until [`arrakis_contracts::dead_letter::MAX_REPLAY_AGE`] after its first receipt. A failed replay creates a new dead letter, so
    /// without that limit a dead letter could outlive the claims that prevent doubled effects. Of several letters with the same id, queue and body
    /// one is published, and the others are removed.
    ///
    /// # Errors
    /// When an AMQP call fails or a dead letter is not confirmed. Those before it are replayed; nothing is lost.
    pub async fn replay(&self, selection: &DeadLetterSelection) -> Result<ReplayReport, DeadLetterError> {
        let mut report = ReplayReport::default();
        let (hasher, mut replayed) = (RandomState::new(), HashSet::new());
        let mut reader = self.reader().await?;
        while let Some(delivery) = reader.next().await? {
            let letter = describe(&delivery);
            if !selection.matches(&letter) {
                continue;
            }
            if letter.is_too_old_to_replay(now_ms()) {
                report.too_old.push(letter.id);
                continue;
            }
            if letter.is_reply_expired(now_ms()) {
                report.reply_expired.push(letter.id);
                continue;
            }
            if !letter.origin_queue.is_empty() && !names::accepts_replays(&letter.origin_queue) {
                report.not_replayable.push((letter.id, letter.origin_queue));
                continue;
            }
            let content = (
                letter.id.clone(),
                letter.origin_queue.clone(),
                hasher.hash_one(delivery.body()),
            );
            // Without an id nothing protects from a second effect, and nothing tells two messages apart.
            if !letter.id.is_empty() && replayed.contains(&content) {
                report.copies += u32::from(reader.remove(&delivery).await == SettleOutcome::Sent);
                continue;
            }
            if self.publish_replay(&delivery, &letter).await? {
                replayed.insert(content);
                // A stale acknowledgement leaves a second copy, which the claim of the event id makes harmless.
                reader.remove(&delivery).await;
                report.replayed += 1;
            } else {
                report.queue_missing.push(letter.id);
            }
        }
        reader.end(&self.publisher).await;
        Ok(report)
    }

    /// Deletes dead letters and returns how many.
    ///
    /// # Errors
    /// When an AMQP call fails.
    pub async fn purge(&self, selection: &DeadLetterSelection) -> Result<u32, DeadLetterError> {
        let mut purged = 0;
        let mut reader = self.reader().await?;
        while let Some(delivery) = reader.next().await? {
            if selection.matches(&describe(&delivery)) && reader.remove(&delivery).await == SettleOutcome::Sent {
                purged += 1;
            }
        }
        reader.end(&self.publisher).await;
        Ok(purged)
    }

    async fn publish_replay(&self, delivery: &Delivery, letter: &DeadLetter) -> Result<bool, DeadLetterError> {
        match replayed(delivery, letter) {
            Some(message) => Ok(self.publisher.publish(&message).await? == PublishOutcome::Confirmed),
            None => Ok(false),
        }
    }

    async fn reader(&self) -> Result<LetterReader, DeadLetterError> {
        limited(self.open_reader()).await
    }

    async fn open_reader(&self) -> Result<LetterReader, DeadLetterError> {
        let amqp = self.publisher.connection().current().await?;
        let channel = amqp.channel().await?;
        // New letters are not read: without a bound the reader might never end.
        let left = amqp.until_closed(count(&channel)).await?;
        Ok(LetterReader {
            amqp,
            channel,
            left,
            unacknowledged: 0,
        })
    }
}

/// Reads dead letters one at a time.
struct LetterReader {
    amqp: Arc<AmqpConnection>,
    channel: Channel,
    /// Number of letters that are still to be read.
    left: u32,
    unacknowledged: u32,
}

impl LetterReader {
    async fn next(&mut self) -> Result<Option<Delivery>, DeadLetterError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let got = limited(self.get()).await?;
        self.unacknowledged += u32::from(got.is_some());
        Ok(got)
    }

    async fn get(&self) -> Result<Option<Delivery>, DeadLetterError> {
        let get = self
            .channel
            .basic_get(names::DEAD_LETTERS.into(), BasicGetOptions::default());
        let got = self.amqp.until_closed(get).await?;
        Ok(got.map(|got| Delivery::read(names::DEAD_LETTERS, got.delivery)))
    }

    async fn remove(&mut self, delivery: &Delivery) -> SettleOutcome {
        let settled = delivery.ack().await;
        self.unacknowledged -= u32::from(settled == SettleOutcome::Sent);
        settled
    }

    /// Requeues the dead letters that were not removed, and waits until they are in the queue again: a quorum queue takes some time, and a
    /// reader that starts before would miss them.
    async fn end(self, publisher: &Publisher) {
        let closed = self.amqp.until_closed(self.channel.close(200, "done".into()));
        let _ = tokio::time::timeout(REQUEUE_TIMEOUT, closed).await;
        if self.unacknowledged == 0 {
            return;
        }
        let requeued = async {
            loop {
                let amqp = publisher.connection().current().await.ok()?;
                let channel = amqp.channel().await.ok()?;
                let count = count(&channel).await.ok()?;
                let _ = channel.close(200, "done".into()).await;
                if count >= self.unacknowledged {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Some(())
        };
        let _ = tokio::time::timeout(REQUEUE_TIMEOUT, requeued).await;
    }
}

/// Awaits a part of an operation for a limited time: a broker that has stopped responding does not close its connections.
async fn limited<T>(part: impl Future<Output = Result<T, DeadLetterError>>) -> Result<T, DeadLetterError> {
    let ended = tokio::time::timeout(RESPONSE_TIMEOUT, part).await;
    ended.unwrap_or(Err(DeadLetterError::NoResponse))
}

async fn count(channel: &Channel) -> lapin::Result<u32> {
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::durable()
    };
    let queue = channel
        .queue_declare(names::DEAD_LETTERS.into(), options, FieldTable::default())
        .await?;
    Ok(queue.message_count())
}

/// The message of a replay, without attempts; `None` when the origin queue is unknown or accepts no replays.
pub(crate) fn replayed(delivery: &Delivery, letter: &DeadLetter) -> Option<Message> {
    if !names::accepts_replays(&letter.origin_queue) || !fits_short(&letter.origin_queue) {
        return None;
    }
    let mut message = delivery.to_message("", letter.origin_queue.as_str());
    for name in [
        headers::ATTEMPTS,
        headers::LAST_ERROR,
        headers::DEAD_REASON,
        headers::DEAD_AT_MS,
        headers::ORIGIN_QUEUE,
    ] {
        message.headers.remove(name);
    }
    let mut set = |name: &str, value: HeaderValue| message.headers.insert(name.to_owned(), value);
    set(headers::ORIGIN_KEY, HeaderValue::Text(letter.origin_key.clone()));
    // The count marks the message as one that may have been handled before.
    set(
        headers::REPLAYS,
        HeaderValue::Integer(i64::from(delivery.replays()) + 1),
    );
    Some(message)
}

/// Reads a dead letter's headers: those of Arrakis, or the broker's own if the broker dead-lettered the message.
pub(crate) fn describe(delivery: &Delivery) -> DeadLetter {
    let ours = delivery
        .header_text(headers::DEAD_REASON)
        .and_then(DeadLetterReason::from_name);
    let broker = delivery.header_text("x-first-death-reason");
    let reason = ours.unwrap_or(match broker {
        Some("delivery_limit") => DeadLetterReason::DeliveryLimit,
        _ => DeadLetterReason::Permanent,
    });
    let queue = delivery
        .header_text(headers::ORIGIN_QUEUE)
        .or_else(|| delivery.header_text("x-first-death-queue"));
    let error = delivery.header_text(headers::LAST_ERROR).map(str::to_owned);
    let error = error.or_else(|| broker.map(|why| format!("dead-lettered by the broker: {why}")));
    let integer = |name: &str| match delivery.headers().get(name) {
        Some(HeaderValue::Integer(number)) => u64::try_from(*number).ok(),
        _ => None,
    };
    let dead_at = integer(headers::DEAD_AT_MS).unwrap_or(0);
    DeadLetter {
        id: delivery.message_id().unwrap_or_default().to_owned(),
        kind: delivery.kind().unwrap_or_default().to_owned(),
        origin_queue: queue.unwrap_or_default().to_owned(),
        origin_key: delivery.origin_key().to_owned(),
        reason,
        error: error.unwrap_or_default(),
        attempts: delivery.attempts(),
        dead_at_ms: dead_at,
        received_ms: integer(headers::RECEIVED_US).map(|us| us / 1_000),
        body_bytes: delivery.body().len(),
    }
}
