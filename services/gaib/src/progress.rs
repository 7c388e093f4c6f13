//! Progress of an apply, on stderr and, with `--json`, as messages on stdout.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use arrakis_iac::plan::{Plan, Step};
use arrakis_iac_apply::{Event, Progress, Wait};
use serde_json::json;

use crate::printer::Printer;

/// Prints the events of an apply and counts its completed steps.
#[derive(Debug)]
pub struct Reporter {
    printer: Printer,
    steps: AtomicUsize,
    completed: AtomicUsize,
    /// Indexes of the steps that refresh the state.
    refreshes: Mutex<BTreeSet<usize>>,
}

impl Reporter {
    /// A reporter that prints through `printer`.
    pub const fn new(printer: Printer) -> Self {
        Self {
            printer,
            steps: AtomicUsize::new(0),
            completed: AtomicUsize::new(0),
            refreshes: Mutex::new(BTreeSet::new()),
        }
    }

    /// Prepares for the steps of a plan. Refreshes that follow each other are reported in one line: they change nothing on the server, and
    /// there may be one of each resource.
    pub fn expect(&self, plan: &Plan) {
        let steps = plan.steps.iter().enumerate();
        let refreshes = steps.filter(|(_, step)| matches!(step, Step::Refresh { .. }));
        let refreshes = refreshes.map(|(index, _)| index).collect();
        *self.refreshes.lock().unwrap_or_else(PoisonError::into_inner) = refreshes;
        self.completed.store(0, Ordering::Relaxed);
    }

    /// What the line of a completed step describes: the step, or the refreshes that end with it. `None` where the next step is a refresh as
    /// well.
    fn described(&self, index: usize, step: String) -> Option<String> {
        let refreshes = self.refreshes.lock().unwrap_or_else(PoisonError::into_inner);
        if !refreshes.contains(&index) {
            return Some(step);
        }
        if refreshes.contains(&(index + 1)) {
            return None;
        }
        match (0..=index).rev().take_while(|at| refreshes.contains(at)).count() {
            1 => Some(step),
            count => Some(format!("refresh {count} resources in the state")),
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
                let Some(described) = self.described(index, step.clone()) else {
                    return;
                };
                let steps = self.steps.load(Ordering::Relaxed);
                let width = steps.to_string().len();
                let id = id.filter(|_| described == step);
                let id = id.map(|id| format!(" (id {id})")).unwrap_or_default();
                let took = match elapsed >= Duration::from_secs(1) {
                    true => format!(", {}", seconds(elapsed)),
                    false => String::new(),
                };
                self.printer
                    .note(&format!("[{:>width$}/{steps}] {described}: done{id}{took}", index + 1));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refreshes_that_follow_each_other_are_one_line() {
        let reporter = Reporter::new(Printer::new(false, true));
        *reporter.refreshes.lock().unwrap() = BTreeSet::from([0, 1, 2, 4]);
        let described = |index| reporter.described(index, "refresh role.naib in the state".to_owned());
        assert_eq!((described(0), described(1)), (None, None));
        assert_eq!(described(2).unwrap(), "refresh 3 resources in the state");
        let change = reporter.described(3, "change role.naib (color)".to_owned());
        assert_eq!(change.unwrap(), "change role.naib (color)");
        assert_eq!(described(4).unwrap(), "refresh role.naib in the state");
    }
}
