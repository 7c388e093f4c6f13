//! Metrics of the listeners.

use arrakis_telemetry::Metrics as Registry;
use prometheus::{IntCounterVec, IntGaugeVec};

/// Why a listener closed or refused a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The head of a request exceeded its time limit.
    Header,
    /// The body of a request exceeded its time limit.
    Body,
    /// It was idle for too long.
    Idle,
    /// The peer read nothing of a response for too long.
    Write,
    /// A new connection needed its slot.
    Evicted,
    /// It was refused: all other connections were handling requests.
    Refused,
    /// The process has no file descriptor left.
    NoDescriptor,
}

impl CloseReason {
    const ALL: [Self; 7] = [
        Self::Header,
        Self::Body,
        Self::Idle,
        Self::Write,
        Self::Evicted,
        Self::Refused,
        Self::NoDescriptor,
    ];

    /// Value of the metrics label `why`.
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

/// Metrics of all listeners of a service.
#[derive(Debug, Clone)]
pub(crate) struct HttpMetrics {
    open: IntGaugeVec,
    closed: IntCounterVec,
}

/// Metrics of one listener.
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
                "Connections closed or refused because of a limit, by listener and reason.",
                &["listener", "why"],
            ),
        }
    }

    pub(crate) fn listener(&self, listener: &'static str) -> ListenerMetrics {
        self.open.with_label_values(&[listener]).set(0);
        for reason in CloseReason::ALL {
            self.closed.with_label_values(&[listener, reason.name()]);
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

    pub(crate) fn closed(&self, reason: CloseReason) {
        self.all.closed.with_label_values(&[self.listener, reason.name()]).inc();
    }
}
