//! The two streams: data for programs, words for people.

use std::fmt::Display;
use std::io::{self, Write as _};

use serde::Serialize;

/// Words, to standard error.
pub(super) fn say(words: impl Display) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(io::stderr(), "{words}");
}

/// Data, to standard output.
///
/// # Errors
/// When the reader is gone.
pub(super) fn print(data: impl Display) -> io::Result<()> {
    writeln!(io::stdout(), "{data}")
}

/// One value as one line of JSON, to standard output.
///
/// # Errors
/// When the reader is gone.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(serde_json::to_string(value)?)?;
    Ok(())
}
