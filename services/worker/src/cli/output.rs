//! The two streams: data for programs, words for people.

use std::fmt::Display;
use std::io::{self, Write as _};

use serde::Serialize;

/// Words, to standard error.
pub(super) fn say(words: impl Display) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(io::stderr(), "{words}");
}

/// Data, to standard output. A reader that has gone (`| head`) is not an error.
///
/// # Errors
/// When it cannot be written for another reason, such as a full disk.
pub(super) fn print(data: impl Display) -> io::Result<()> {
    match writeln!(io::stdout(), "{data}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// One value as one line of JSON, to standard output.
///
/// # Errors
/// As [`print`].
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(serde_json::to_string(value)?)?;
    Ok(())
}
