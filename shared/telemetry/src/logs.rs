//! Logs to standard error, one line for each event, as JSON or text.

use std::io::IsTerminal as _;
use std::str::FromStr;

use tracing::span::Record;
use tracing::{Level, Metadata};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FormatFields, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Layer as _, Registry};

use crate::export::TraceExport;

/// Format of the log (`LOG_FORMAT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object for each event.
    Json,
    /// Text for a terminal.
    Text,
}

/// The log format is neither `json` nor `text`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected json or text")]
pub struct UnknownLogFormat;

impl FromStr for LogFormat {
    type Err = UnknownLogFormat;

    fn from_str(text: &str) -> Result<Self, UnknownLogFormat> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(UnknownLogFormat),
        }
    }
}

/// Formats a span's fields as JSON, and appends fields that are recorded later. `JsonFields` parses and rewrites all fields for each
/// recorded one, which costs more than the rest of logging.
#[derive(Debug, Default)]
struct AppendedFields(JsonFields);

impl<'writer> FormatFields<'writer> for AppendedFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> std::fmt::Result {
        self.0.format_fields(writer, fields)
    }

    fn add_fields(&self, current: &'writer mut FormattedFields<Self>, fields: &Record<'_>) -> std::fmt::Result {
        let mut recorded = String::new();
        self.0.format_fields(Writer::new(&mut recorded), fields)?;
        current.fields = join_objects(std::mem::take(&mut current.fields), recorded);
        Ok(())
    }
}

/// Joins two JSON objects. A name in both appears twice; JSON readers take the last one.
fn join_objects(mut first: String, second: String) -> String {
    match (first.as_str(), second.as_str()) {
        (_, "{}" | "") => first,
        ("{}" | "", _) => second,
        _ => {
            first.pop();
            first.push(',');
            first.push_str(&second[1..]);
            first
        }
    }
}

/// Installs the `tracing` subscriber of the process: logs, and the export of traces where there is one.
///
/// # Errors
/// When a subscriber is installed already.
pub fn init_logs(format: LogFormat, filter: EnvFilter, export: Option<&TraceExport>) -> Result<(), TryInitError> {
    if let Some(export) = export {
        return init_logs_and_traces(format, filter, export);
    }
    let registry = tracing_subscriber::registry().with(filter);
    // tracing-subscriber would report a failed write with `eprintln!`, which panics when standard error is closed.
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    match format {
        LogFormat::Json => {
            let layer = layer.json().flatten_event(true).with_span_list(false);
            registry.with(layer.fmt_fields(AppendedFields::default())).try_init()
        }
        LogFormat::Text => registry
            .with(layer.with_ansi(std::io::stderr().is_terminal()))
            .try_init(),
    }
}

/// As [`init_logs`]. The filter of the log applies to the log alone, so that the export does not depend on it.
fn init_logs_and_traces(format: LogFormat, filter: EnvFilter, export: &TraceExport) -> Result<(), TryInitError> {
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    let logs: Box<dyn tracing_subscriber::Layer<Registry> + Send + Sync> = match format {
        LogFormat::Json => {
            let layer = layer.json().flatten_event(true).with_span_list(false);
            layer.fmt_fields(AppendedFields::default()).boxed()
        }
        LogFormat::Text => layer.with_ansi(std::io::stderr().is_terminal()).boxed(),
    };
    let spans = tracing_opentelemetry::layer()
        .with_tracer(export.tracer())
        .with_location(false)
        .with_threads(false)
        .with_target(false);
    tracing_subscriber::registry()
        .with(logs.with_filter(filter))
        .with(spans.with_filter(filter_fn(is_exported)))
        .try_init()
}

/// Spans of our crates are exported. Messages are not: they may have texts of members.
fn is_exported(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= Level::INFO && metadata.target().starts_with("arrakis")
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn fields_recorded_later_are_appended_to_those_of_the_span() {
        let lines = Lines::default();
        let written = lines.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || written.clone());
        let layer = layer.json().flatten_event(true).with_span_list(false);
        let subscriber = tracing_subscriber::registry().with(layer.fmt_fields(AppendedFields::default()));
        tracing::subscriber::with_default(subscriber, || {
            let empty = tracing::field::Empty;
            let span = tracing::info_span!("call", route = "a \"quoted\" one", status = empty, took = empty);
            span.record("status", 204);
            span.record("took", 3);
            span.record("status", 500);
            span.in_scope(|| tracing::info!("done"));
            let bare = tracing::info_span!("bare", status = empty);
            bare.record("status", 1);
            bare.in_scope(|| tracing::info!("done"));
        });
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        let spans: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["span"].clone())
            .collect();
        assert_eq!(
            spans,
            [
                serde_json::json!({"name": "call", "route": "a \"quoted\" one", "status": 500, "took": 3}),
                serde_json::json!({"name": "bare", "status": 1}),
            ]
        );
    }
}
