//! What listeners count.

use arrakis_telemetry::Metrics as Registry;
use prometheus::{IntCounterVec, IntGaugeVec};

/// Why a listener closed a connection, or did not take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The head of a request took too long.
    Header,
    /// The body of a request took too long.
    Body,
    /// No request came for too long.
    Idle,
    /// The peer read no part of an answer for too long.
    Write,
    /// It made room for a new connection.
    Evicted,
    /// It was new, and every other connection was being served.
    Refused,
    /// The system gave no descriptor for it.
    NoDescriptor,
}

impl Why {
    const ALL: [Self; 7] = [
        Self::Header,
        Self::Body,
        Self::Idle,
        Self::Write,
        Self::Evicted,
        Self::Refused,
        Self::NoDescriptor,
    ];

    /// Name, as it stands in the label.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Header => "header_time",
            Self::Body => "body_time",
            Self::Idle => "idle_time",
            Self::Write => "write_time",
            Self::Evicted => "evicted",
            Self::Refused => "refused",
            Self::NoDescriptor => "no_descriptor",
        }
    }
}

/// Counts of all listeners of a service.
#[derive(Debug, Clone)]
pub(crate) struct HttpMetrics {
    open: IntGaugeVec,
    closed: IntCounterVec,
}

/// Counts of one listener.
#[derive(Debug, Clone)]
pub(crate) struct ListenerMetrics {
    listener: &'static str,
    all: HttpMetrics,
}

impl HttpMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            open: registry.gauge_vec(
                "arrakis_http_connections",
                "Open connections, by listener.",
                &["listener"],
            ),
            closed: registry.counter_vec(
                "arrakis_http_connections_closed_total",
                "Connections that a limit of the listener closed, or kept out.",
                &["listener", "why"],
            ),
        }
    }

    pub(crate) fn listener(&self, listener: &'static str) -> ListenerMetrics {
        self.open.with_label_values(&[listener]).set(0);
        for why in Why::ALL {
            self.closed.with_label_values(&[listener, why.name()]);
        }
        ListenerMetrics {
            listener,
            all: self.clone(),
        }
    }
}

impl ListenerMetrics {
    pub(crate) fn open(&self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.all.open.with_label_values(&[self.listener]).set(count);
    }

    pub(crate) fn closed(&self, why: Why) {
        self.all.closed.with_label_values(&[self.listener, why.name()]).inc();
    }
}
