//! Metrics of the queues: messages, consumers, and the age of the first message.
//!
//! RabbitMQ reports no age for quorum queues. The age is followed here: the first message of a queue was delivered with an age that its labels
//! state, and from then on the age of the next one grows with the clock, until a delivery or an empty queue. Each worker follows the queue by
//! its own deliveries, so the smallest value of all workers is the best one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_telemetry::Metrics;
use parking_lot::Mutex;
use prometheus::IntGaugeVec;

/// Metrics of the queues. Cloning shares them.
#[derive(Debug, Clone)]
pub struct QueueMetrics {
    depth: IntGaugeVec,
    consumers: IntGaugeVec,
    oldest: IntGaugeVec,
    heads: Arc<Mutex<HashMap<String, Head>>>,
}

/// The age of the first message of a queue at one moment.
#[derive(Debug, Clone, Copy)]
struct Head {
    age: Duration,
    at: Instant,
}

impl QueueMetrics {
    /// Registers the metrics.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            depth: metrics.gauge_vec(
                "arrakis_worker_queue_depth",
                "Messages in a queue that are ready for delivery.",
                &["queue"],
            ),
            consumers: metrics.gauge_vec("arrakis_worker_queue_consumers", "Consumers of a queue.", &["queue"]),
            oldest: metrics.gauge_vec(
                "arrakis_worker_queue_oldest_age_seconds",
                "Age of the first message of a queue, followed from the last delivery to this worker; 0 for an empty queue. Of several workers, the \
                 smallest value is the best one.",
                &["queue"],
            ),
            heads: Arc::default(),
        }
    }

    /// A first delivery from a queue, of a message of this age.
    pub(crate) fn delivered(&self, queue: &str, age: Duration) {
        let at = Instant::now();
        let mut heads = self.heads.lock();
        match heads.get_mut(queue) {
            Some(head) => *head = Head { age, at },
            None => {
                heads.insert(queue.to_owned(), Head { age, at });
            }
        }
    }

    /// The numbers of ready messages and of consumers of a queue now.
    pub(crate) fn counted(&self, queue: &str, messages: u32, consumers: u32) {
        let labels = [queue];
        self.depth.with_label_values(&labels).set(i64::from(messages));
        self.consumers.with_label_values(&labels).set(i64::from(consumers));
        let age = self.oldest_age(queue, messages);
        let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        self.oldest.with_label_values(&labels).set(seconds);
    }

    fn oldest_age(&self, queue: &str, messages: u32) -> Duration {
        let now = Instant::now();
        let mut heads = self.heads.lock();
        if messages == 0 {
            heads.remove(queue);
            return Duration::ZERO;
        }
        let first_seen = Head {
            age: Duration::ZERO,
            at: now,
        };
        let head = heads.entry(queue.to_owned()).or_insert(first_seen);
        head.age + now.saturating_duration_since(head.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue_metrics() -> QueueMetrics {
        QueueMetrics::new(&Metrics::new())
    }

    #[test]
    fn age_of_the_first_message_follows_from_the_last_delivery() {
        let metrics = queue_metrics();
        metrics.delivered("a", Duration::from_secs(90));
        metrics.counted("a", 3, 1);
        let age = |queue: &str| metrics.oldest.with_label_values(&[queue]).get();
        assert!((90..100).contains(&age("a")), "{}", age("a"));
        metrics.counted("b", 3, 0);
        assert_eq!(age("b"), 0);
    }

    #[test]
    fn empty_queue_has_age_0_and_begins_anew() {
        let metrics = queue_metrics();
        metrics.delivered("a", Duration::from_secs(90));
        metrics.counted("a", 0, 1);
        let age = || metrics.oldest.with_label_values(&["a"]).get();
        assert_eq!(age(), 0);
        metrics.counted("a", 1, 1);
        assert!(age() < 10, "{}", age());
    }
}
