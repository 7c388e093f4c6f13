//! The results of scenarios, as a table and as JSON.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::FAULTS;
use super::scenario::{Invariant, Scenario};
use crate::ledger::Tally;

/// Result of one scenario.
#[derive(Debug, Clone, Serialize)]
pub struct ScenarioResult {
    /// Fault number in the catalogue.
    pub fault: u8,
    /// Name of the scenario.
    pub name: &'static str,
    /// The fault, as in the scenario.
    pub what: &'static str,
    /// Whether the guard was active.
    pub guarded: bool,
    /// The guard, as text.
    pub guard: String,
    /// The ledger's counts.
    pub tally: Tally,
    /// Longest recovery, in milliseconds.
    pub recovery_ms: Option<u64>,
    /// Invariants that the scenario checks.
    pub proves: Vec<Invariant>,
    /// Invariants that did not hold.
    pub broken: Vec<Invariant>,
    /// Every check that failed, with what was found.
    pub failures: Vec<String>,
    /// Measured values without a threshold.
    pub notes: Vec<String>,
    /// Whether everything that the scenario starts had started. A failure before that is no result about the fault.
    pub was_set_up: bool,
    /// Whether the scenario ended early, so that invariants may be unchecked.
    pub ended_early: bool,
    /// How long the scenario took, in seconds.
    pub seconds: f32,
}

impl ScenarioResult {
    pub(super) fn new(scenario: &Scenario, guarded: bool) -> Self {
        Self {
            fault: scenario.fault,
            name: scenario.name,
            what: scenario.what,
            guarded,
            guard: scenario.guard.to_string(),
            tally: Tally::default(),
            recovery_ms: None,
            proves: scenario.proves.to_vec(),
            broken: Vec::new(),
            failures: Vec::new(),
            notes: Vec::new(),
            was_set_up: false,
            ended_early: false,
            seconds: 0.0,
        }
    }

    /// Whether the result is as expected: all checks hold with the guard, and one fails without it. A scenario that could not be
    /// set up shows nothing about its guard.
    pub fn passed(&self) -> bool {
        if self.guarded {
            self.failures.is_empty()
        } else {
            self.was_set_up && !self.failures.is_empty()
        }
    }

    fn verdict(&self) -> String {
        let marks = self.proves.iter().map(|invariant| {
            let mark = match (self.broken.contains(invariant), self.ended_early) {
                (true, _) => "✗",
                (false, true) => "?",
                (false, false) => "✓",
            };
            format!("{invariant}{mark}")
        });
        marks.collect::<Vec<_>>().join(" ")
    }

    /// One line of the table.
    pub fn line(&self) -> String {
        let state = match (self.passed(), self.guarded) {
            (true, true) => "ok  ",
            (true, false) => "red ",
            (false, true) => "FAIL",
            (false, false) if self.was_set_up => "PASSED WITHOUT GUARD",
            (false, false) => "NOT SET UP",
        };
        let recovery = self
            .recovery_ms
            .map_or_else(|| "–".to_owned(), |ms| format!("{:.1} s", ms as f64 / 1000.0));
        let Tally {
            sent,
            lost,
            doubled,
            expired,
            queued,
            dead,
            unknown,
            ..
        } = &self.tally;
        format!(
            "{state} {:>3} {:<32} {sent:>6} {:>5} {:>7} {expired:>7} {unknown:>7} {queued:>6} {dead:>5} {recovery:>8}  {:<18} {:>5.1} s",
            self.fault,
            self.name,
            lost.len(),
            doubled.len(),
            self.verdict(),
            self.seconds
        )
    }
}

/// The results of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Seed of the load's schedule.
    pub seed: u64,
    /// Whether the guards were active.
    pub guarded: bool,
    /// One result for each selected scenario.
    pub scenarios: Vec<ScenarioResult>,
    /// Fault numbers without a scenario, in a run of all.
    pub missing: Vec<u8>,
}

impl Report {
    /// The heading of the table.
    pub const HEADING: &str = "      no fault                              sent  lost doubled expired unknown queued  dead recovery  invariants           time";

    /// Fault numbers that none of these scenarios has.
    pub fn missing(scenarios: &[Scenario]) -> Vec<u8> {
        FAULTS
            .filter(|fault| !scenarios.iter().any(|scenario| scenario.fault == *fault))
            .collect()
    }

    /// Names of the failed scenarios.
    pub fn failed(&self) -> Vec<String> {
        let failed = self.scenarios.iter().filter(|row| !row.passed());
        let failed = failed.map(|row| row.name.to_owned());
        failed
            .chain(self.missing.iter().map(|fault| format!("fault {fault} (no scenario)")))
            .collect()
    }

    /// The table, every failed check, and the summary in the last line.
    pub fn text(&self) -> String {
        let mut text = format!("\n{}\n", Self::HEADING);
        for row in &self.scenarios {
            let _ = writeln!(text, "{}", row.line());
        }
        for row in self.scenarios.iter().filter(|row| !row.failures.is_empty()) {
            let _ = writeln!(text, "\n{} ({})", row.name, row.what);
            for failure in &row.failures {
                let _ = writeln!(text, "  {failure}");
            }
            if !row.guarded {
                let _ = writeln!(text, "  disabled guard: {}", row.guard);
            }
        }
        for row in self.scenarios.iter().filter(|row| !row.notes.is_empty()) {
            let _ = writeln!(text, "\n{}", row.name);
            for note in &row.notes {
                let _ = writeln!(text, "  note: {note}");
            }
        }
        let failed = self.failed();
        let ran = self.scenarios.len();
        let _ = match (failed.is_empty(), self.guarded) {
            (true, true) => write!(text, "\n{ran} scenarios passed (seed {})", self.seed),
            (true, false) => write!(
                text,
                "\n{ran} scenarios failed without their guards, as expected (seed {})",
                self.seed
            ),
            (false, _) => write!(
                text,
                "\n{} of {ran} scenarios did not have the expected result (seed {}): {}",
                failed.len(),
                self.seed,
                failed.join(", ")
            ),
        };
        text
    }

    /// Writes the report as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(path, serde_json::to_string_pretty(self)?)?)
    }
}
