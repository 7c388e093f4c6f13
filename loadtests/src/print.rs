//! Output of the command line.
//!
//! A closed pipe (`| head -3`) is not an error: the command completes, and its exit code is that of its work. Any other failed
//! write, such as to a full disk behind `> file`, makes the exit code 1.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

static FAILED: AtomicBool = AtomicBool::new(false);

/// Writes a line of results to standard output.
pub fn line(text: &str) {
    let mut stdout = io::stdout().lock();
    report_failure(writeln!(stdout, "{text}").and_then(|()| stdout.flush()));
}

/// Writes a line for a person to standard error.
pub fn note(text: &str) {
    // A failure here cannot be reported anywhere.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether a write of results has failed.
pub fn failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

fn report_failure(written: io::Result<()>) {
    let Err(error) = written else { return };
    if error.kind() != ErrorKind::BrokenPipe && !FAILED.swap(true, Ordering::Relaxed) {
        note(&format!("loadtests: cannot write to standard output: {error}"));
    }
}
