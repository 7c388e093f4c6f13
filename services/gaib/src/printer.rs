//! The one way out: data to stdout, everything else to stderr.
//!
//! Owns both streams, colours and the messages of `--json`. A write error never ends a command, since an apply must not stop
//! halfway for want of a screen. A closed pipe (`gaib … | head -1`) is no error at all; any other write error on stdout (a full
//! disk) is kept, and [`stdout_error`] returns it when the command has ended.

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::sync::OnceLock;

use serde_json::{Value, json};

/// Version of the messages of `--json`: the first number grows when a reader must change, the second when there is more.
pub const MESSAGE_FORMAT: &str = "1.0";

/// Prints.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    json: bool,
    color_stdout: bool,
    color_stderr: bool,
}

/// How much something that is said matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It failed.
    Error,
    /// Worth knowing before going on.
    Warning,
}

impl Printer {
    /// For the terminal of this process. Colours need a terminal, no `NO_COLOR` (<https://no-color.org>), no `--no-color`.
    pub fn new(json: bool, no_color: bool) -> Self {
        let wanted = !no_color && !json;
        let printer = Self {
            json,
            color_stdout: wanted && std::io::stdout().is_terminal(),
            color_stderr: wanted && std::io::stderr().is_terminal(),
        };
        printer.message(&json!({"type": "version", "format": MESSAGE_FORMAT, "gaib": env!("CARGO_PKG_VERSION")}));
        printer
    }

    /// Whether messages are written instead of text.
    pub const fn is_json(self) -> bool {
        self.json
    }

    /// Whether text on stdout may be coloured.
    pub const fn color(self) -> bool {
        self.color_stdout
    }

    /// Data for people, to stdout, as it is. Nothing with `--json`: there the same is said by [`Self::message`].
    pub fn text(self, text: &str) {
        if !self.json {
            write_stdout(text);
        }
    }

    /// Data, to stdout, whatever `--json` says: what is a document itself, such as a configuration.
    pub fn document(self, text: &str) {
        write_stdout(text);
    }

    /// A line for programs, to stdout; nothing without `--json`.
    pub fn message(self, message: &Value) {
        if self.json {
            write_stdout(&format!("{message}\n"));
        }
    }

    /// A line about what happens, to stderr.
    pub fn note(self, text: &str) {
        write_stderr(&format!("{text}\n"));
    }

    /// A failure or a warning: to stderr for people and, with `--json`, to stdout as a message.
    pub fn diagnostic(self, severity: Severity, summary: &str, what_to_do: Option<&str>) {
        let (word, style) = match severity {
            Severity::Error => ("error", "\u{1b}[1;31m"),
            Severity::Warning => ("warning", "\u{1b}[1;33m"),
        };
        self.message(&json!({"type": "diagnostic", "severity": word, "summary": summary, "what_to_do": what_to_do}));
        let mut text = match self.color_stderr {
            true => format!("{style}{word}:\u{1b}[0m {summary}\n"),
            false => format!("{word}: {summary}\n"),
        };
        if let Some(what_to_do) = what_to_do {
            let label = match self.color_stderr {
                true => "\u{1b}[1;36mwhat to do:\u{1b}[0m",
                false => "what to do:",
            };
            text.push_str(&format!("{label} {what_to_do}\n"));
        }
        write_stderr(&text);
    }

    /// Asks on stderr; the answer is read elsewhere.
    pub fn prompt(self, text: &str) {
        write_stderr(text);
    }
}

/// The first write error on stdout other than a closed pipe. One for each process, as stdout is.
static STDOUT_ERROR: OnceLock<String> = OnceLock::new();

/// Why output on stdout is incomplete; `None` when all was written, or the reader closed the pipe.
pub fn stdout_error() -> Option<&'static str> {
    STDOUT_ERROR.get().map(String::as_str)
}

fn write_stdout(text: &str) {
    let mut stream = std::io::stdout().lock();
    let written = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = STDOUT_ERROR.set(error.to_string());
    }
}

fn write_stderr(text: &str) {
    let mut stream = std::io::stderr().lock();
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}
