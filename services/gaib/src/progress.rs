//! Progress of an apply, on stderr and, with `--json`, as messages on stdout.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrakis_iac_apply::{Event, Progress, Wait};
use serde_json::json;

use crate::printer::Printer;

/// Prints the events of an apply and counts its completed steps.
#[derive(Debug)]
pub struct Reporter {
    printer: Printer,
    steps: AtomicUsize,
    completed: AtomicUsize,
}

impl Reporter {
    /// A reporter that prints through `printer`.
    pub const fn new(printer: Printer) -> Self {
        Self {
            printer,
            steps: AtomicUsize::new(0),
            completed: AtomicUsize::new(0),
        }
    }

    /// Number of completed steps.
    pub fn completed(&self) -> usize {
        self.completed.load(Ordering::Relaxed)
    }
}

impl Progress for Reporter {
    fn event(&self, event: Event) {
        let mut message = json!(event);
        // A JSON number holds 53 bits in many readers, and an id has 64.
        if let Some(id) = message.get("id").and_then(serde_json::Value::as_u64) {
            message["id"] = id.to_string().into();
        }
        self.printer.message(&json!({"type": "apply", "event": message}));
        match event {
            Event::Started { steps } => self.steps.store(steps, Ordering::Relaxed),
            Event::StepDone {
                index,
                step,
                id,
                elapsed,
            } => {
                self.completed.store(index + 1, Ordering::Relaxed);
                let steps = self.steps.load(Ordering::Relaxed);
                let width = steps.to_string().len();
                let id = id.map(|id| format!(" (id {id})")).unwrap_or_default();
                let took = match elapsed >= Duration::from_secs(1) {
                    true => format!(", {}", seconds(elapsed)),
                    false => String::new(),
                };
                self.printer
                    .note(&format!("[{:>width$}/{steps}] {step}: done{id}{took}", index + 1));
            }
            Event::Waiting { why, call, duration } => {
                let reason = match why {
                    Wait::Bucket => "the rate limit of the bucket is used up",
                    Wait::Pace => "gaib uses at most half of Discord's global rate limit",
                    Wait::RateLimited => "Discord's rate limit was reached (429)",
                    Wait::Global => "Discord's global rate limit was reached (429)",
                    Wait::Rename => "Discord allows two renames of a channel in ten minutes",
                    Wait::Backoff => "the last attempt failed",
                };
                self.printer
                    .note(&format!("Waiting {} before {call}: {reason}.", seconds(duration)));
            }
            Event::Retrying { call, why, attempt } => {
                self.printer
                    .note(&format!("Retrying {call} (attempt {attempt}): {why}."));
            }
            Event::LookingFor { address } => {
                self.printer.note(&format!(
                    "An earlier request may have created {address}; searching the server for it."
                ));
            }
            Event::Found { address, id } => {
                self.printer
                    .note(&format!("Found {address} (id {id}); it is not created again."));
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
