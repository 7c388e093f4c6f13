//! Runs scenarios one after the other and says of each whether it held.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::{Duration, Instant};

use arrakis_causes::causes;
use futures_util::FutureExt as _;

use super::report::Row;
use super::scenario::{Invariant, Scenario};
use super::stage::Stage;
use crate::ledger::Tally;
use crate::platform::servers::Rabbit;

/// Longer than any scenario may take.
const LIMIT: Duration = Duration::from_secs(150);

/// What scenarios hand on to each other, to save its start.
#[derive(Debug, Default)]
pub struct Lab {
    /// A private broker that the last scenario left sound.
    pub broker: Option<Rabbit>,
}

/// How scenarios run.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Whether what protects against the fault is in place. Without it, a scenario is wanted red.
    pub guarded: bool,
    /// Draws the schedule of the load.
    pub seed: u64,
    /// How long a scenario goes on that can go on for as long as one likes.
    pub soak: Option<Duration>,
}

/// Runs one scenario.
pub async fn run(lab: &mut Lab, scenario: &Scenario, terms: &Terms, logs: &Path) -> Row {
    let begun = Instant::now();
    let mut stage = Stage::new(std::mem::take(lab), scenario.guard, terms);
    let limit = LIMIT + terms.soak.map_or(Duration::ZERO, |soak| soak * 2);
    let problem = play(&mut stage, scenario, limit).await;
    let mut row = Row::new(scenario, terms.guarded);
    row.recovery_ms = stage
        .recovery()
        .map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    row.tally = stage.tally().cloned().unwrap_or_default();
    row.was_set_up = stage.stands();
    row.notes = stage.notes().to_vec();
    row.judge(scenario, stage.checks(), problem);
    if !row.passed() || row.broke_off {
        keep_logs(&mut stage, &logs.join(scenario.name));
    }
    *lab = stage.close();
    // A scenario that broke off may have left it with a limit of its own.
    if let Some(broker) = &mut lab.broker
        && !(row.failures.is_empty() && broker.is_sound().await)
    {
        lab.broker = None;
    }
    row.seconds = begun.elapsed().as_secs_f32();
    row
}

/// Plays it and has the ledger judge. Answers what kept it from its end.
async fn play(stage: &mut Stage, scenario: &Scenario, limit: Duration) -> Option<String> {
    let playing = AssertUnwindSafe(async {
        (scenario.run)(stage).await?;
        let more = stage.fill_up().await?;
        if more || stage.tally().is_none() {
            stage.judge().await?;
        }
        anyhow::Ok(())
    });
    match tokio::time::timeout(limit, playing.catch_unwind()).await {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(error))) => Some(causes(error.as_ref())),
        Ok(Err(panic)) => {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            Some(
                words
                    .or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("it panicked")
                    .to_owned(),
            )
        }
        Err(_) => Some(format!("it did not end within {} s", limit.as_secs())),
    }
}

impl Row {
    fn judge(&mut self, scenario: &Scenario, checks: &[super::stage::Check], problem: Option<String>) {
        self.failures.extend(problem);
        let ended = self.failures.is_empty();
        self.broke_off = !ended;
        let Tally { lost, doubled, .. } = &self.tally;
        if !lost.is_empty() {
            self.failures.push(format!(
                "I1: lost {} of {}: {}",
                lost.len(),
                self.tally.sent,
                some(lost)
            ));
            self.broken.push(Invariant::I1);
        }
        if !doubled.is_empty() {
            self.failures
                .push(format!("I2: doubled {}: {}", doubled.len(), some(doubled)));
            self.broken.push(Invariant::I2);
        }
        for check in checks {
            if let Some(found) = &check.found {
                self.failures
                    .push(format!("{}: {}: found {found}", check.invariant, check.what));
                self.broken.push(check.invariant);
            }
        }
        let judged_by_ledger = |invariant: &Invariant| match invariant {
            Invariant::I1 => self.tally.sent > 0,
            // Where nothing could have been doubled, nothing was shown.
            Invariant::I2 => self.tally.can_double > 0,
            _ => false,
        };
        let looked_at = |invariant: &Invariant| checks.iter().any(|check| check.invariant == *invariant);
        let passed_over: Vec<_> = scenario
            .proves
            .iter()
            .filter(|invariant| !judged_by_ledger(invariant) && !looked_at(invariant))
            .collect();
        // A scenario that broke off has said so already.
        for invariant in passed_over.into_iter().filter(|_| ended) {
            self.failures.push(format!("{invariant}: the scenario did not look"));
            self.broken.push(*invariant);
        }
        self.broken.sort_unstable();
        self.broken.dedup();
    }
}

/// The first few, so that a line stays a line.
fn some(all: &[String]) -> String {
    let shown: Vec<_> = all.iter().take(3).map(String::as_str).collect();
    let more = if all.len() > shown.len() { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// What the processes of a scenario that failed or broke off printed, for whoever looks into it.
fn keep_logs(stage: &mut Stage, folder: &Path) {
    if std::fs::create_dir_all(folder).is_err() {
        return;
    }
    for (name, lines) in stage.logs() {
        // A log that cannot be written must not hide the failure that it is about.
        let _ = std::fs::write(folder.join(format!("{name}.log")), lines.join("\n"));
    }
}
