//! Logs, metrics and trace context, set up the same way in every service.
//!
//! Owns the log format, the export of traces, the metrics registry and the W3C trace context that travels in AMQP headers. It depends on no service.
//! A service registers its metrics with [`Metrics`] where it counts them.

pub mod export;
mod logs;
mod metrics;
pub mod trace;

pub use logs::{LogFormat, UnknownLogFormat, init_logs};
pub use metrics::{MetricDescription, MetricKind, Metrics};
