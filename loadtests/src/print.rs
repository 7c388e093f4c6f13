//! What the command line prints.
//!
//! A reader that has gone (`| head -3`) is not an error: the command does its work, and its exit code says how that went. Any
//! other failure to write, such as a full disk behind `> file`, is remembered and makes the exit code 1.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

static FAILED: AtomicBool = AtomicBool::new(false);

/// One line of results, to standard output.
pub fn line(text: &str) {
    let mut stdout = io::stdout().lock();
    judge(writeln!(stdout, "{text}").and_then(|()| stdout.flush()));
}

/// One line for a person, to standard error.
pub fn note(text: &str) {
    // There is nowhere left to report a failure.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether results could not be written.
pub fn failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

fn judge(written: io::Result<()>) {
    let Err(error) = written else { return };
    if error.kind() != ErrorKind::BrokenPipe && !FAILED.swap(true, Ordering::Relaxed) {
        note(&format!("loadtests: cannot write to standard output: {error}"));
    }
}
