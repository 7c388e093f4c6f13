//! What becomes of a message that could not be handled: it waits and comes back, or it becomes a dead letter.
//!
//! The copy is published and confirmed before the original is acknowledged, so a crash in between makes two of it and
//! never none.

use std::time::{SystemTime, UNIX_EPOCH};

use arrakis_contracts::dead_letter::DeadReason;
use arrakis_contracts::labels::HeaderValue;
use arrakis_contracts::{headers, names, redact};
use arrakis_fail_point as fail_point;

use crate::delivery::{Delivery, Settled};
use crate::message::Message;
use crate::publisher::{Outcome, PublishError, Publisher};

/// How many times a message is tried: once, and once after each wait.
pub const MAX_ATTEMPTS: u32 = names::RETRY_SECONDS.len() as u32 + 1;

/// How often a message may come back to a queue that does not count: as quorum queues' delivery limit.
const MOST_RETURNS: u32 = 10;

/// Longest error text that travels in a header.
const ERROR_BYTES: usize = 1_000;

/// Sends failed messages where they belong. Cloning shares the publisher.
#[derive(Debug, Clone)]
pub struct Failures {
    publisher: Publisher,
}

impl Failures {
    /// Publishes by `publisher`, which should not share its connection with the consumers.
    pub fn new(publisher: Publisher) -> Self {
        Self { publisher }
    }

    /// Tries again after 5, 25 or 125 s by our own count of attempts; after the last, it becomes a dead letter.
    ///
    /// # Errors
    /// When the copy was not confirmed. The original is then not acknowledged.
    pub async fn retry(&self, delivery: &Delivery, error: &str) -> Result<Settled, PublishError> {
        let counted = if fail_point::skips("broker.guard.attempts") {
            0
        } else {
            delivery.attempts()
        };
        let attempts = counted + 1;
        let Some(seconds) = names::RETRY_SECONDS.get(attempts as usize - 1) else {
            return self.dead_letter(delivery, DeadReason::Exhausted, error).await;
        };
        let mut copy = delivery.to_message(names::retry(*seconds), delivery.queue());
        mark(&mut copy, delivery, attempts, error);
        self.move_to(delivery, &copy).await
    }

    /// Makes it a dead letter now.
    ///
    /// # Errors
    /// When the copy was not confirmed. The original is then not acknowledged.
    pub async fn dead_letter(
        &self,
        delivery: &Delivery,
        reason: DeadReason,
        error: &str,
    ) -> Result<Settled, PublishError> {
        let mut copy = delivery.to_message(names::DEAD_LETTERS, delivery.origin_key());
        mark(&mut copy, delivery, delivery.attempts() + 1, error);
        let mut text = |name: &str, value: HeaderValue| copy.headers.insert(name.to_owned(), value);
        text(headers::DEAD_REASON, HeaderValue::Text(reason.name().to_owned()));
        text(headers::DEAD_AT_MS, HeaderValue::Integer(now_ms().cast_signed()));
        self.move_to(delivery, &copy).await
    }

    /// Puts a message that came back to a queue which does not count into the same queue again, counted; one that came back
    /// too often becomes a dead letter. Without it a message that takes its consumer down would do so for ever.
    ///
    /// # Errors
    /// When the copy was not confirmed. The original is then not acknowledged.
    pub async fn count_return(&self, delivery: &Delivery) -> Result<Settled, PublishError> {
        let returns = delivery.returns() + 1;
        if returns > MOST_RETURNS {
            let error =
                format!("it came back {returns} times: it takes its worker down, or none has time to finish it");
            return self.dead_letter(delivery, DeadReason::Exhausted, &error).await;
        }
        let mut copy = delivery.to_message("", delivery.queue());
        let mut set = |name: &str, value: HeaderValue| copy.headers.insert(name.to_owned(), value);
        set(headers::RETURNS, HeaderValue::Integer(i64::from(returns)));
        set(headers::ORIGIN_KEY, HeaderValue::Text(delivery.origin_key().to_owned()));
        self.move_to(delivery, &copy).await
    }

    async fn move_to(&self, delivery: &Delivery, copy: &Message) -> Result<Settled, PublishError> {
        match self.publisher.publish(copy).await? {
            Outcome::Confirmed => {
                fail_point::hit_at("broker.settling", &[delivery.queue()]).await;
                Ok(delivery.ack().await)
            }
            // The exchange has no queue: not acknowledging is the only way to lose nothing.
            Outcome::Unroutable { reply } => Err(PublishError::GaveUp {
                tries: 1,
                seconds: 0,
                last: format!("{} leads nowhere: {reply}", copy.exchange),
            }),
        }
    }
}

pub(crate) fn mark(copy: &mut Message, delivery: &Delivery, attempts: u32, error: &str) {
    let mut set = |name: &str, value: HeaderValue| copy.headers.insert(name.to_owned(), value);
    set(headers::ATTEMPTS, HeaderValue::Integer(i64::from(attempts)));
    // An error may quote what it was about.
    let error = redact::text(error);
    set(headers::LAST_ERROR, HeaderValue::Text(shorten(&error).to_owned()));
    set(headers::ORIGIN_KEY, HeaderValue::Text(delivery.origin_key().to_owned()));
    set(headers::ORIGIN_QUEUE, HeaderValue::Text(delivery.queue().to_owned()));
}

fn shorten(text: &str) -> &str {
    &text[..text.floor_char_boundary(ERROR_BYTES)]
}

/// Now, in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_error_is_cut_at_a_character() {
        assert_eq!(shorten("short"), "short");
        let long = "é".repeat(900);
        assert!(shorten(&long).len() <= ERROR_BYTES && shorten(&long).len() > ERROR_BYTES - 2);
    }
}
