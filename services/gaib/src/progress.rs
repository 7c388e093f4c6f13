//! What happens while a plan is carried out, told on stderr (and, with `--json`, as messages).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrakis_iac_apply::{Event, Progress, Wait};
use serde_json::json;

use crate::printer::Printer;

/// Tells of an apply.
#[derive(Debug)]
pub struct Reporter {
    printer: Printer,
    steps: AtomicUsize,
    done: AtomicUsize,
}

impl Reporter {
    /// Tells by `printer`.
    pub const fn new(printer: Printer) -> Self {
        Self {
            printer,
            steps: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
        }
    }

    /// Steps that are done.
    pub fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }
}

impl Progress for Reporter {
    fn event(&self, event: Event) {
        let mut told = json!(event);
        // An id is larger than what every reader's numbers hold.
        if let Some(id) = told.get("id").and_then(serde_json::Value::as_u64) {
            told["id"] = id.to_string().into();
        }
        self.printer.message(&json!({"type": "apply", "event": told}));
        match event {
            Event::Started { steps } => self.steps.store(steps, Ordering::Relaxed),
            Event::StepDone {
                index,
                step,
                id,
                elapsed,
            } => {
                self.done.store(index + 1, Ordering::Relaxed);
                let steps = self.steps.load(Ordering::Relaxed);
                let width = steps.to_string().len();
                let id = id.map(|id| format!(" (id {id})")).unwrap_or_default();
                let took = if elapsed >= Duration::from_secs(1) {
                    format!(", {}", seconds(elapsed))
                } else {
                    String::new()
                };
                self.printer
                    .note(&format!("[{:>width$}/{steps}] {step}: done{id}{took}", index + 1));
            }
            Event::Waiting { why, call, duration } => {
                let why = match why {
                    Wait::Bucket => "Discord allows no more of these for now",
                    Wait::Pace => "gaib sends no more than half of Discord's global limit",
                    Wait::RateLimited => "Discord's rate limit was reached (429)",
                    Wait::Global => "Discord's global rate limit was reached (429)",
                    Wait::Rename => "Discord allows two renames of a channel in ten minutes",
                    Wait::Backoff => "the last attempt failed",
                };
                self.printer
                    .note(&format!("Waiting {} before {call}: {why}.", seconds(duration)));
            }
            Event::Retrying { call, why, attempt } => {
                self.printer
                    .note(&format!("Trying {call} again (attempt {attempt}): {why}."));
            }
            Event::LookingFor { address } => {
                self.printer
                    .note(&format!("An earlier request may have made {address}: looking for it."));
            }
            Event::Found { address, id } => {
                self.printer
                    .note(&format!("Found {address} (id {id}): it is not made again."));
            }
            Event::Note { message } => self.printer.note(&message),
            _ => {}
        }
    }
}

fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        long => format!("{} min {} s", long / 60, long % 60),
    }
}
