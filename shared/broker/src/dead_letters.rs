//! The tool for dead letters: list, show, replay, purge.
//!
//! Letters are read one by one on a channel of their own and stay unacknowledged until the walk is over; closing the
//! channel gives back what was not removed, in its order. If the tool dies in the middle, the broker does the same. While
//! a walk is under way another one does not see the letters that it holds.

use std::sync::Arc;
use std::time::Duration;

use arrakis_contracts::dead_letter::{DeadLetter, DeadReason};
use arrakis_contracts::labels::HeaderValue;
use arrakis_contracts::{headers, names};
use lapin::options::{BasicGetOptions, QueueDeclareOptions};
use lapin::types::FieldTable;

use crate::channel::Channel;
use crate::delivery::{Delivery, Settled};
use crate::failures::now_ms;
use crate::link::{LinkClosed, Live};
use crate::message::{Message, fits_short};
use crate::publisher::{Outcome, PublishError, Publisher};

/// How long a walk waits for its letters to be in the queue again.
const GIVE_BACK_WITHIN: Duration = Duration::from_secs(2);

/// Which letters are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// The one with this event or job id.
    One(String),
    /// Those of this event name, or `job`.
    Kind(String),
    /// All.
    All,
}

impl Selection {
    fn has(&self, letter: &DeadLetter) -> bool {
        match self {
            Self::One(id) => letter.id == *id,
            Self::Kind(kind) => letter.kind == *kind,
            Self::All => true,
        }
    }
}

/// What a replay did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replayed {
    /// Letters that are in their queues again.
    pub replayed: u32,
    /// Ids of letters whose origin queue does not exist, or is not known. They stay dead letters.
    pub homeless: Vec<String>,
    /// Ids of events first received so long ago that what they did may be forgotten before they are handled. They stay dead
    /// letters.
    pub too_old: Vec<String>,
    /// Ids of interactions to which Discord accepts no reply any more. They stay dead letters.
    pub unanswerable: Vec<String>,
    /// Ids of letters that name a queue which is not one of events, jobs or interactions, with that name. They stay dead letters.
    pub misplaced: Vec<(String, String)>,
}

/// Why the tool stopped.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The broker.
    #[error("the broker refused: {0}")]
    Broker(#[from] lapin::Error),
    /// A letter's copy was not confirmed; the letter is still there.
    #[error("the letter could not be published again, and stays: {0}")]
    Publish(#[from] PublishError),
    /// The link was closed.
    #[error(transparent)]
    Closed(#[from] LinkClosed),
}

/// The dead letters of one broker.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    publisher: Publisher,
}

impl DeadLetters {
    /// Works on the publisher's link.
    pub fn new(publisher: Publisher) -> Self {
        Self { publisher }
    }

    /// The oldest `most` letters.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn list(&self, most: usize) -> Result<Vec<DeadLetter>, ToolError> {
        let mut letters = Vec::new();
        let mut walk = self.walk().await?;
        while letters.len() < most {
            let Some(delivery) = walk.next().await? else { break };
            letters.push(describe(&delivery));
        }
        walk.end(&self.publisher).await;
        Ok(letters)
    }

    /// One letter with its headers and body.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn show(&self, id: &str) -> Result<Option<(DeadLetter, Delivery)>, ToolError> {
        let mut walk = self.walk().await?;
        let mut found = None;
        while let Some(delivery) = walk.next().await? {
            let letter = describe(&delivery);
            if letter.id == id {
                found = Some((letter, delivery));
                break;
            }
        }
        walk.end(&self.publisher).await;
        Ok(found)
    }

    /// Puts letters back into the queues they came from, under their ids, as if never tried. An event is put back for
    /// [`arrakis_contracts::dead_letter::REPLAYABLE`] after its first receipt: each replay that fails is a new letter, and without that bound one could outlive
    /// the claims that keep its effects from being doubled.
    ///
    /// # Errors
    /// When the broker does not answer or confirm. What was replayed by then is replayed; nothing is lost.
    pub async fn replay(&self, selection: &Selection) -> Result<Replayed, ToolError> {
        let mut done = Replayed::default();
        let mut walk = self.walk().await?;
        while let Some(delivery) = walk.next().await? {
            let letter = describe(&delivery);
            if !selection.has(&letter) {
                continue;
            }
            if letter.is_too_old_to_replay(now_ms()) {
                done.too_old.push(letter.id);
                continue;
            }
            if letter.is_unanswerable(now_ms()) {
                done.unanswerable.push(letter.id);
                continue;
            }
            if !letter.origin_queue.is_empty() && !names::takes_replays(&letter.origin_queue) {
                done.misplaced.push((letter.id, letter.origin_queue));
                continue;
            }
            if self.put_back(&delivery, &letter).await? {
                // A stale acknowledgement leaves a second copy behind; the event id makes it harmless.
                walk.remove(&delivery).await;
                done.replayed += 1;
            } else {
                done.homeless.push(letter.id);
            }
        }
        walk.end(&self.publisher).await;
        Ok(done)
    }

    /// Removes letters for good and answers how many.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn purge(&self, selection: &Selection) -> Result<u32, ToolError> {
        let mut purged = 0;
        let mut walk = self.walk().await?;
        while let Some(delivery) = walk.next().await? {
            if selection.has(&describe(&delivery)) && walk.remove(&delivery).await == Settled::Yes {
                purged += 1;
            }
        }
        walk.end(&self.publisher).await;
        Ok(purged)
    }

    async fn put_back(&self, delivery: &Delivery, letter: &DeadLetter) -> Result<bool, ToolError> {
        match replayed(delivery, letter) {
            Some(message) => Ok(self.publisher.publish(&message).await? == Outcome::Confirmed),
            None => Ok(false),
        }
    }

    async fn walk(&self) -> Result<Walk, ToolError> {
        let live = self.publisher.link().live().await?;
        let channel = live.channel().await?;
        // Letters that die while we walk are for the next walk; without a bound a busy system would never let us end.
        let left = live.guard(count(&channel)).await?;
        Ok(Walk {
            live,
            channel,
            left,
            held: 0,
        })
    }
}

struct Walk {
    live: Arc<Live>,
    channel: Channel,
    left: u32,
    held: u32,
}

impl Walk {
    async fn next(&mut self) -> Result<Option<Delivery>, ToolError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let get = self
            .channel
            .basic_get(names::DEAD_LETTERS.into(), BasicGetOptions::default());
        let got = self.live.guard(get).await?;
        self.held += u32::from(got.is_some());
        Ok(got.map(|got| Delivery::read(names::DEAD_LETTERS, got.delivery)))
    }

    async fn remove(&mut self, delivery: &Delivery) -> Settled {
        let settled = delivery.ack().await;
        self.held -= u32::from(settled == Settled::Yes);
        settled
    }

    /// Gives back what was not removed, and waits until it is there again: a quorum queue takes a moment, and whoever looks
    /// in between would believe that the letters are gone.
    async fn end(self, publisher: &Publisher) {
        let _ = self.live.guard(self.channel.close(200, "done".into())).await;
        if self.held == 0 {
            return;
        }
        let there_again = async {
            loop {
                let live = publisher.link().live().await.ok()?;
                let channel = live.channel().await.ok()?;
                let count = count(&channel).await.ok()?;
                let _ = channel.close(200, "done".into()).await;
                if count >= self.held {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Some(())
        };
        let _ = tokio::time::timeout(GIVE_BACK_WITHIN, there_again).await;
    }
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

/// A letter as it goes back to its queue, as if never tried; `None` where it does not say to which, or to one that takes none.
pub(crate) fn replayed(delivery: &Delivery, letter: &DeadLetter) -> Option<Message> {
    if !names::takes_replays(&letter.origin_queue) || !fits_short(&letter.origin_queue) {
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
    // Whoever handles it knows that it may have been handled before.
    set(
        headers::REPLAYS,
        HeaderValue::Integer(i64::from(delivery.replays()) + 1),
    );
    Some(message)
}

/// Reads what a letter says of itself: our headers, or the broker's own where it gave the message up.
pub(crate) fn describe(delivery: &Delivery) -> DeadLetter {
    let ours = delivery.text(headers::DEAD_REASON).and_then(DeadReason::named);
    let broker = delivery.text("x-first-death-reason");
    let reason = ours.unwrap_or(match broker {
        Some("delivery_limit") => DeadReason::DeliveryLimit,
        _ => DeadReason::Permanent,
    });
    let queue = delivery
        .text(headers::ORIGIN_QUEUE)
        .or_else(|| delivery.text("x-first-death-queue"));
    let error = delivery.text(headers::LAST_ERROR).map(str::to_owned);
    let error = error.or_else(|| broker.map(|why| format!("given up by the broker: {why}")));
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
