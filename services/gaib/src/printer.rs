//! Output: data to stdout, everything else to stderr.
//!
//! Owns both streams, their colours and the messages of `--json`. A write error does not end a command, because an apply must
//! not stop between two steps when its terminal is closed. A closed pipe (`gaib … | head -1`) is not an error. Any other write
//! error on stdout (a full disk) is recorded, and [`stdout_error`] returns it at the end of the command.

use std::borrow::Cow;
use std::io::{ErrorKind, Write};
use std::sync::OnceLock;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use arrakis_iac::grammar::is_reordering;
use serde_json::{Value, json};

/// Version of the messages of `--json`. The major number changes when a reader must change, the minor number when there are
/// new fields or messages.
pub const MESSAGE_FORMAT: &str = "1.0";

/// Writes to stdout and stderr.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    json: bool,
    stdout: ColorChoice,
    stderr: ColorChoice,
}

/// Severity of a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The command fails, or an apply of the plan would be refused.
    Error,
    /// The command continues.
    Warning,
}

impl Severity {
    const fn label(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }

    const fn style(self) -> Style {
        let color = match self {
            Self::Error => AnsiColor::Red,
            Self::Warning => AnsiColor::Yellow,
        };
        color.on_default().bold()
    }
}

impl Printer {
    /// A printer for the streams of this process. With `json` it writes the version message at once. Colours are written to a
    /// terminal, unless `no_color` or a variable such as `NO_COLOR` (<https://no-color.org>) disables them.
    pub fn new(json: bool, no_color: bool) -> Self {
        let (stdout, stderr) = match no_color || json {
            true => (ColorChoice::Never, ColorChoice::Never),
            false => (
                AutoStream::choice(&std::io::stdout()),
                AutoStream::choice(&std::io::stderr()),
            ),
        };
        let printer = Self { json, stdout, stderr };
        printer.message(&json!({"type": "version", "format": MESSAGE_FORMAT, "gaib": env!("CARGO_PKG_VERSION")}));
        printer
    }

    /// Whether JSON messages are written instead of text.
    pub const fn is_json(self) -> bool {
        self.json
    }

    /// Whether text on stdout is coloured.
    pub fn color(self) -> bool {
        self.stdout != ColorChoice::Never
    }

    /// Writes text to stdout. Writes nothing with `--json`, where [`Self::message`] writes the same data.
    pub fn text(self, text: &str) {
        if !self.json {
            write_stdout(&in_order(text));
        }
    }

    /// Writes a document, such as a configuration, to stdout, with and without `--json`.
    pub fn document(self, text: &str) {
        write_stdout(text);
    }

    /// Writes one JSON message to stdout with `--json`, else nothing.
    pub fn message(self, message: &Value) {
        if self.json {
            write_stdout(&format!("{message}\n"));
        }
    }

    /// Writes one line about progress or about the result to stderr.
    pub fn note(self, text: &str) {
        self.write_stderr(&format!("{text}\n"));
    }

    /// Writes an error or a warning to stderr and, with `--json`, as a message to stdout.
    pub fn diagnostic(self, severity: Severity, summary: &str, what_to_do: Option<&str>) {
        let (label, style) = (severity.label(), severity.style());
        self.message(&json!({"type": "diagnostic", "severity": label, "summary": summary, "what_to_do": what_to_do}));
        let mut text = format!("{style}{label}:{style:#} {summary}\n");
        if let Some(what_to_do) = what_to_do {
            let style = AnsiColor::Cyan.on_default().bold();
            text.push_str(&format!("{style}what to do:{style:#} {what_to_do}\n"));
        }
        self.write_stderr(&text);
    }

    /// Writes a question to stderr. The caller reads the answer.
    pub fn prompt(self, text: &str) {
        self.write_stderr(text);
    }

    fn write_stderr(self, text: &str) {
        let mut stream = AutoStream::new(std::io::stderr().lock(), self.stderr);
        let _ = write(&mut stream, &in_order(text));
    }
}

/// The text with the characters that reorder it as escapes: names of a server and messages may have them, and no text of gaib does.
fn in_order(text: &str) -> Cow<'_, str> {
    if !text.contains(is_reordering) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for sign in text.chars() {
        match is_reordering(sign) {
            true => shown.extend(sign.escape_unicode()),
            false => shown.push(sign),
        }
    }
    Cow::Owned(shown)
}

/// The first write error on stdout other than a closed pipe.
static STDOUT_ERROR: OnceLock<String> = OnceLock::new();

/// The reason why output on stdout is incomplete; `None` when all was written, or when the reader closed the pipe.
pub fn stdout_error() -> Option<&'static str> {
    STDOUT_ERROR.get().map(String::as_str)
}

fn write_stdout(text: &str) {
    if let Err(error) = write(&mut std::io::stdout().lock(), text)
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = STDOUT_ERROR.set(error.to_string());
    }
}

fn write(stream: &mut impl Write, text: &str) -> std::io::Result<()> {
    stream.write_all(text.as_bytes()).and_then(|()| stream.flush())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_reorder_text_are_escaped_and_colours_stay() {
        assert_eq!(in_order("\u{1b}[1ma\u{1b}[0m\n"), "\u{1b}[1ma\u{1b}[0m\n");
        assert_eq!(in_order("role \u{202e}nimda"), "role \\u{202e}nimda");
    }
}
