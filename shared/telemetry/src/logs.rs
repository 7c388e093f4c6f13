//! One line for each event, JSON for machines or text for people, to standard error.

use std::io::IsTerminal as _;
use std::str::FromStr;

use tracing::span::Record;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FormatFields, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For a person at a terminal.
    Text,
}

/// The value of `LOG_FORMAT` is neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownFormat;

impl std::fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it is json or text")
    }
}

impl FromStr for LogFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(UnknownFormat),
        }
    }
}

/// A span's fields as JSON, to which those told later are appended. The library's own form reads all of them anew and writes
/// them again for each, which cost a service more than what it had to tell.
#[derive(Debug, Default)]
struct Appended(JsonFields);

impl<'writer> FormatFields<'writer> for Appended {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> std::fmt::Result {
        self.0.format_fields(writer, fields)
    }

    fn add_fields(&self, current: &'writer mut FormattedFields<Self>, fields: &Record<'_>) -> std::fmt::Result {
        let mut told = String::new();
        self.0.format_fields(Writer::new(&mut told), fields)?;
        current.fields = joined(std::mem::take(&mut current.fields), told);
        Ok(())
    }
}

/// One object of two. A name that both have stands twice; whoever reads it takes the later one.
fn joined(mut first: String, second: String) -> String {
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

/// Installs the process's subscriber.
///
/// # Errors
/// When one is installed already.
pub fn init_logs(format: LogFormat, filter: EnvFilter) -> Result<(), TryInitError> {
    let registry = tracing_subscriber::registry().with(filter);
    // A failure to write would be reported by `eprintln!`, which panics where standard error itself is closed.
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    match format {
        LogFormat::Json => {
            let layer = layer.json().flatten_event(true).with_span_list(false);
            registry.with(layer.fmt_fields(Appended::default())).try_init()
        }
        LogFormat::Text => registry
            .with(layer.with_ansi(std::io::stderr().is_terminal()))
            .try_init(),
    }
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
    fn what_a_span_is_told_later_stands_beside_what_it_had() {
        let lines = Lines::default();
        let written = lines.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || written.clone());
        let layer = layer.json().flatten_event(true).with_span_list(false);
        let subscriber = tracing_subscriber::registry().with(layer.fmt_fields(Appended::default()));
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
