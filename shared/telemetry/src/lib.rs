//! Logs, metrics and trace context, set up the same way in every service.
//!
//! Owns the format of a log line, the metrics registry and the W3C trace context that travels in AMQP headers. Refuses to
//! know any service. A new metric is registered where it is counted, by way of [`Metrics`].

mod logs;
mod metrics;
pub mod trace;

pub use logs::{LogFormat, UnknownFormat, init_logs};
pub use metrics::Metrics;
