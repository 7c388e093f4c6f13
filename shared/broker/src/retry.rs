//! Moves failed messages to the retry queues or to the dead letters.
//!
//! A copy is published and confirmed before the original is acknowledged. A crash between the two leaves both and never
//! neither.

use std::time::{SystemTime, UNIX_EPOCH};

use arrakis_contracts::dead_letter::DeadLetterReason;
use arrakis_contracts::labels::HeaderValue;
use arrakis_contracts::{headers, names, redact};
use arrakis_fail_point as fail_point;

use crate::delivery::{Delivery, SettleOutcome};
use crate::message::Message;
use crate::publisher::{PublishError, PublishOutcome, Publisher};

/// Largest number of attempts to handle a message: the first, and one after each retry wait.
pub const MAX_ATTEMPTS: u32 = names::RETRY_SECONDS.len() as u32 + 1;

/// Largest number of redeliveries in a queue that does not count them: the same as quorum queues' delivery limit.
const MAX_REDELIVERIES: u32 = 10;

/// Longest error text in a header, in bytes.
const MAX_ERROR_BYTES: usize = 1_000;

/// Publishes copies of failed messages to the retry queues or the dead letters. Clones share the publisher.
#[derive(Debug, Clone)]
pub struct RetryPublisher {
    publisher: Publisher,
}

impl RetryPublisher {
    /// `publisher` should not use the consumers' connection: a broker that blocks publishers must still deliver to them.
    pub fn new(publisher: Publisher) -> Self {
        Self { publisher }
    }

    /// Moves a message to a retry queue: 5, 25 or 125 s, by its count of attempts. After the last attempt it becomes a dead letter.
    ///
    /// # Errors
    /// When the copy is not confirmed. The original is then not acknowledged.
    pub async fn retry(&self, delivery: &Delivery, error: &str) -> Result<SettleOutcome, PublishError> {
        let counted = if fail_point::skips("broker.guard.attempts") {
            0
        } else {
            delivery.attempts()
        };
        let attempts = counted + 1;
        let Some(seconds) = names::RETRY_SECONDS.get(attempts as usize - 1) else {
            return self.dead_letter(delivery, DeadLetterReason::Exhausted, error).await;
        };
        let mut copy = delivery.to_message(names::retry(*seconds), delivery.queue());
        mark(&mut copy, delivery, attempts, error);
        self.move_to(delivery, &copy).await
    }

    /// Moves a message to the dead letters.
    ///
    /// # Errors
    /// When the copy is not confirmed. The original is then not acknowledged.
    pub async fn dead_letter(
        &self,
        delivery: &Delivery,
        reason: DeadLetterReason,
        error: &str,
    ) -> Result<SettleOutcome, PublishError> {
        let mut copy = delivery.to_message(names::DEAD_LETTERS, delivery.origin_key());
        mark(&mut copy, delivery, delivery.attempts() + 1, error);
        let mut text = |name: &str, value: HeaderValue| copy.headers.insert(name.to_owned(), value);
        text(headers::DEAD_REASON, HeaderValue::Text(reason.name().to_owned()));
        text(headers::DEAD_AT_MS, HeaderValue::Integer(now_ms().cast_signed()));
        self.move_to(delivery, &copy).await
    }

    /// Publishes a redelivered message to its queue again, with its redeliveries counted in a header. After 10 redeliveries it
    /// becomes a dead letter. Classic queues do not count redeliveries; without the count, a poison message would kill workers for
    /// ever.
    ///
    /// # Errors
    /// When the copy is not confirmed. The original is then not acknowledged.
    pub async fn count_redelivery(&self, delivery: &Delivery) -> Result<SettleOutcome, PublishError> {
        let redeliveries = delivery.redeliveries() + 1;
        if redeliveries > MAX_REDELIVERIES {
            let error =
                format!("redelivered {redeliveries} times: it kills its worker, or no worker finishes it in time");
            return self.dead_letter(delivery, DeadLetterReason::Exhausted, &error).await;
        }
        let mut copy = delivery.to_message("", delivery.queue());
        let mut set = |name: &str, value: HeaderValue| copy.headers.insert(name.to_owned(), value);
        set(headers::RETURNS, HeaderValue::Integer(i64::from(redeliveries)));
        set(headers::ORIGIN_KEY, HeaderValue::Text(delivery.origin_key().to_owned()));
        self.move_to(delivery, &copy).await
    }

    async fn move_to(&self, delivery: &Delivery, copy: &Message) -> Result<SettleOutcome, PublishError> {
        match self.publisher.publish(copy).await? {
            PublishOutcome::Confirmed => {
                fail_point::hit_at("broker.settling", &[delivery.queue()]).await;
                Ok(delivery.ack().await)
            }
            // The copy is not stored, so the original must not be acknowledged.
            PublishOutcome::Unroutable { reply } => Err(PublishError::NotConfirmed {
                attempts: 1,
                seconds: 0,
                last_error: format!("no queue is bound to exchange \"{}\": {reply}", copy.exchange),
            }),
        }
    }
}

pub(crate) fn mark(copy: &mut Message, delivery: &Delivery, attempts: u32, error: &str) {
    let mut set = |name: &str, value: HeaderValue| copy.headers.insert(name.to_owned(), value);
    set(headers::ATTEMPTS, HeaderValue::Integer(i64::from(attempts)));
    // An error may quote the body, with its tokens.
    let error = redact::text(error);
    set(headers::LAST_ERROR, HeaderValue::Text(truncate(&error).to_owned()));
    set(headers::ORIGIN_KEY, HeaderValue::Text(delivery.origin_key().to_owned()));
    set(headers::ORIGIN_QUEUE, HeaderValue::Text(delivery.queue().to_owned()));
}

fn truncate(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_ERROR_BYTES)]
}

/// The present time in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_error_is_truncated_at_a_character() {
        assert_eq!(truncate("short"), "short");
        let long = "é".repeat(900);
        assert!(truncate(&long).len() <= MAX_ERROR_BYTES && truncate(&long).len() > MAX_ERROR_BYTES - 2);
    }
}
