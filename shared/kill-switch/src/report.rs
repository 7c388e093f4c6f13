//! The steps of a change of the kill switch, and how each ended.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepOutcome {
    /// It is done.
    Done,
    /// There is nothing to do in this deployment.
    Skipped,
    /// It failed; the detail has the reason.
    Failed,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What the step does.
    pub name: String,
    /// How it ended.
    pub outcome: StepOutcome,
    /// What was done, or why it failed.
    pub detail: String,
    /// When it ended, in milliseconds from the beginning of the change.
    pub ended_ms: u64,
}

/// The steps of a change, in the order of their ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The version of the entry.
    pub version: u64,
    /// The steps.
    pub steps: Vec<Step>,
}

impl Report {
    /// Whether no step failed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.steps.iter().all(|step| step.outcome != StepOutcome::Failed)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            StepOutcome::Done => "done",
            StepOutcome::Skipped => "skipped",
            StepOutcome::Failed => "FAILED",
        };
        write!(
            f,
            "{:>7} {:>6} ms  {}: {}",
            outcome, self.ended_ms, self.name, self.detail
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{step}")?;
        }
        Ok(())
    }
}

/// The beginning of a change, from which the times of its steps are measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// A step that ends now.
    pub(crate) fn step(self, name: impl Into<String>, result: Result<StepDone, String>) -> Step {
        let (outcome, detail) = match result {
            Ok(StepDone::Done(detail)) => (StepOutcome::Done, detail),
            Ok(StepDone::Skipped(detail)) => (StepOutcome::Skipped, detail),
            Err(detail) => (StepOutcome::Failed, detail),
        };
        Step {
            name: name.into(),
            outcome,
            detail,
            ended_ms: u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Runs a step within `limit`.
    pub(crate) async fn run(
        self,
        name: &str,
        limit: Duration,
        step: impl Future<Output = Result<StepDone, String>>,
    ) -> Step {
        let result = match tokio::time::timeout(limit, step).await {
            Ok(result) => result,
            Err(_) => Err(format!("no response within {} ms", limit.as_millis())),
        };
        self.step(name, result)
    }
}

/// A step that did not fail.
#[derive(Debug)]
pub(crate) enum StepDone {
    Done(String),
    Skipped(String),
}

impl StepDone {
    pub(crate) fn done(detail: impl Into<String>) -> Result<Self, String> {
        Ok(Self::Done(detail.into()))
    }

    pub(crate) fn skipped(detail: impl Into<String>) -> Result<Self, String> {
        Ok(Self::Skipped(detail.into()))
    }
}
