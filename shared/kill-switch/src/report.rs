//! The steps of a change of the kill switch, and how each ended.

use std::fmt;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
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

impl StepOutcome {
    /// Its name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Name of the step, such as `Redis` or `discord-proxy http://10.0.0.11:8090`.
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
    /// The version of the entry that the change made: milliseconds since 1970, or one more than the version before.
    pub version: u64,
    /// The steps.
    pub steps: Vec<Step>,
}

impl Report {
    /// A report of the change that made the entry of this version.
    pub(crate) fn new(version: u64, steps: impl IntoIterator<Item = Step>) -> Self {
        let mut report = Self {
            version,
            steps: Vec::new(),
        };
        report.add(steps);
        report
    }

    /// Adds steps, each at the place of its end.
    pub(crate) fn add(&mut self, steps: impl IntoIterator<Item = Step>) {
        self.steps.extend(steps);
        self.steps.sort_by_key(|step| step.ended_ms);
    }

    /// Whether no step failed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.steps.iter().all(|step| step.outcome != StepOutcome::Failed)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            StepOutcome::Failed => "FAILED",
            outcome => outcome.name(),
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

/// The beginning of a change, from which the times of all its steps are measured.
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
        self.step(name, within(limit, step).await)
    }

    /// As [`Clock::run`], for steps that run at the same time.
    pub(crate) fn boxed<'a>(
        self,
        name: &'a str,
        limit: Duration,
        step: impl Future<Output = Result<StepDone, String>> + Send + 'a,
    ) -> BoxFuture<'a, Vec<Step>> {
        async move { vec![self.run(name, limit, step).await] }.boxed()
    }
}

/// The result of a call, or that it took longer than `limit`.
pub(crate) async fn within<T, E: fmt::Display>(
    limit: Duration,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(limit, call).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no response within {} ms", limit.as_millis())),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn steps_are_in_the_order_of_their_ends() {
        let clock = Clock::start();
        let ended_at = |ended_ms| Step {
            ended_ms,
            ..clock.step("a step", StepDone::done("done"))
        };
        let mut report = Report::new(1, [ended_at(30), ended_at(10)]);
        report.add([ended_at(20)]);
        let order: Vec<u64> = report.steps.iter().map(|step| step.ended_ms).collect();
        assert_eq!(order, [10, 20, 30]);
    }

    #[test]
    fn outcome_has_one_name() {
        for outcome in [StepOutcome::Done, StepOutcome::Skipped, StepOutcome::Failed] {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.name());
        }
    }

    #[tokio::test]
    async fn step_without_a_response_fails_after_its_limit() {
        let (clock, limit) = (Clock::start(), Duration::from_millis(1));
        let step = clock.run("a step", limit, std::future::pending()).await;
        assert_eq!(step.outcome, StepOutcome::Failed);
        assert_eq!(step.detail, "no response within 1 ms");
    }
}
