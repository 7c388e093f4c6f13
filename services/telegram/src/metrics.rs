//! Metrics of the service. Labels are closed sets.

use arrakis_telemetry::Metrics as Registry;
use prometheus::{IntCounter, IntCounterVec};

/// Methods of the Bot API.
const METHODS: [&str; 8] = [
    "getMe",
    "getUpdates",
    "setWebhook",
    "deleteWebhook",
    "setMyCommands",
    "sendMessage",
    "editMessageText",
    "answerCallbackQuery",
];

/// Outcomes of calls.
const OUTCOMES: [&str; 8] = [
    "ok",
    "not_sent",
    "unknown",
    "limited",
    "conflict",
    "token",
    "forbidden",
    "refused",
];

/// Kinds of updates.
const UPDATES: [&str; 5] = ["message", "callback_query", "other", "malformed", "skipped"];

/// Results of notices.
const NOTICES: [&str; 5] = ["shown", "closed", "unknown", "kept", "unsupported"];

/// All metrics of the service.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    calls: IntCounterVec,
    updates: IntCounterVec,
    notices: IntCounterVec,
    /// Updates that were delivered again after they were answered.
    pub(crate) repeated: IntCounter,
    /// Updates that exceed the rate limit of their user.
    pub(crate) limited: IntCounter,
    /// Deliveries to the webhook without its secret.
    pub(crate) refused_deliveries: IntCounter,
}

impl Metrics {
    /// Registers the metrics.
    pub(crate) fn new(registry: &Registry) -> Self {
        let metrics = Self {
            calls: registry.counter_vec(
                "arrakis_telegram_calls_total",
                "Calls of the Bot API by method and outcome. Outcome unknown: no response or a 5xx, and the call may have taken effect.",
                &["method", "outcome"],
            ),
            updates: registry.counter_vec(
                "arrakis_telegram_updates_total",
                "Updates that were received, by kind: message, callback_query, other, malformed, skipped (too many of one chat wait).",
                &["kind"],
            ),
            notices: registry.counter_vec(
                "arrakis_telegram_notices_total",
                "Notices by result: shown, closed (the chat is closed or the message is refused), unknown (the message may not have been \
                 sent), kept (it is not shown yet, and taken again), unsupported (a kind of a newer build).",
                &["result"],
            ),
            repeated: registry.counter(
                "arrakis_telegram_repeated_updates_total",
                "Updates that were delivered again after they were answered, and not answered again.",
            ),
            limited: registry.counter(
                "arrakis_telegram_limited_updates_total",
                "Updates that exceed the rate limit of their user, and are not answered.",
            ),
            refused_deliveries: registry.counter(
                "arrakis_telegram_refused_deliveries_total",
                "Requests to the webhook without its secret, which were refused.",
            ),
        };
        for method in METHODS {
            for outcome in OUTCOMES {
                metrics.calls.with_label_values(&[method, outcome]);
            }
        }
        for kind in UPDATES {
            metrics.updates.with_label_values(&[kind]);
        }
        for result in NOTICES {
            metrics.notices.with_label_values(&[result]);
        }
        metrics
    }

    /// Counts a call of the Bot API.
    pub(crate) fn called(&self, method: &'static str, outcome: &'static str) {
        self.calls.with_label_values(&[method, outcome]).inc();
    }

    /// Counts an update.
    pub(crate) fn update(&self, kind: &'static str) {
        self.updates.with_label_values(&[kind]).inc();
    }

    /// Counts a notice.
    pub(crate) fn notice(&self, result: &'static str) {
        self.notices.with_label_values(&[result]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_page_and_promtool_accept_the_metrics() {
        let registry = Registry::new();
        let _metrics = Metrics::new(&registry);
        arrakis_test_support::assert_metrics("arrakis-telegram", &registry);
    }
}
