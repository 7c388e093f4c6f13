//! A check in a child process, with limits that the operating system enforces.
//!
//! regorus looks at the clock between steps of a policy only, has no limit of memory, and a policy whose functions call each other
//! without end overflows the stack. So the command evaluates in a child. A child that ends by a signal, prints no report or does not
//! end within the time limit is a rejected plan.

use std::io::{self, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::resource::{Resource, setrlimit};

use crate::check::TIME_LIMIT;
use crate::report::Report;

/// Address space of the child.
const MEMORY_BYTES: u64 = 3 << 30;
/// Bytes of a report.
const MAX_REPORT_BYTES: u64 = 16 << 20;
/// The child has the same limit and stops by itself a moment earlier, with a better reason.
const GRACE: Duration = Duration::from_millis(500);
/// The time limit of the child itself.
pub const CHILD_TIME_LIMIT: Duration = TIME_LIMIT.saturating_sub(GRACE);

/// Limits this process: the child calls it first.
///
/// # Errors
/// The operating system refused a limit.
pub fn limit_memory() -> io::Result<()> {
    setrlimit(Resource::RLIMIT_AS, MEMORY_BYTES, MEMORY_BYTES)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(())
}

/// Runs the child, which prints a report as JSON. Kills it after 10 s. A child that prints no report is a report that rejects.
#[must_use]
pub fn run(command: &mut Command) -> Report {
    command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return failed(&format!("it could not be started: {error}")),
    };
    let result = wait(&mut child, TIME_LIMIT);
    if result.is_err() {
        // It may have ended already.
        let _ = child.kill();
        let _ = child.wait();
    }
    result.unwrap_or_else(|why| failed(&why))
}

fn wait(child: &mut Child, limit: Duration) -> Result<Report, String> {
    let mut stdout = child.stdout.take().ok_or("it has no output")?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut output = Vec::new();
        let read = stdout.by_ref().take(MAX_REPORT_BYTES).read_to_end(&mut output);
        let _ = sender.send(read.map(|_| output));
    });
    let output = receiver
        .recv_timeout(limit)
        .map_err(|_| format!("it took longer than {} s", limit.as_secs()))?;
    let output = output.map_err(|error| error.to_string())?;
    let status = child.wait().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(format!("it ended without a result ({status})"));
    }
    serde_json::from_slice(&output).map_err(|error| format!("its result cannot be read: {error}"))
}

fn failed(why: &str) -> Report {
    Report::unchecked("check_failed", format!("the check failed: {why}"))
}
