//! Runs scenarios one after the other and determines the result of each.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::{Duration, Instant};

use arrakis_causes::causes;
use futures_util::FutureExt as _;

use super::report::ScenarioResult;
use super::scenario::{Invariant, Scenario};
use super::testbed::Testbed;
use crate::ledger::Tally;
use crate::platform::servers::RabbitServer;

/// Time limit of a scenario.
const LIMIT: Duration = Duration::from_secs(150);

/// Servers that one scenario leaves to the next, since their start takes seconds.
#[derive(Debug, Default)]
pub struct ReusableServers {
    /// A private broker that the last scenario left running and unchanged.
    pub broker: Option<RabbitServer>,
}

/// Options of a run.
#[derive(Debug, Clone, Copy)]
pub struct RunOptions {
    /// Whether guards are active. Without its guard, a scenario is expected to fail.
    pub guarded: bool,
    /// Seed of the load's schedule.
    pub seed: u64,
    /// Length of a scenario that accepts one.
    pub soak: Option<Duration>,
}

/// Runs one scenario.
pub async fn run(
    reusable: &mut ReusableServers,
    scenario: &Scenario,
    options: &RunOptions,
    logs: &Path,
) -> ScenarioResult {
    let begun = Instant::now();
    let mut testbed = Testbed::new(std::mem::take(reusable), scenario, options);
    let limit = LIMIT + options.soak.map_or(Duration::ZERO, |soak| soak * 2);
    let problem = run_scenario(&mut testbed, scenario, limit).await;
    let mut row = ScenarioResult::new(scenario, options.guarded);
    row.recovery_ms = testbed
        .recovery()
        .map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    row.tally = testbed.tally().cloned().unwrap_or_default();
    row.was_set_up = testbed.was_set_up();
    row.notes = testbed.notes().to_vec();
    row.evaluate(scenario, testbed.checks(), problem);
    if !row.passed() || row.ended_early {
        keep_logs(&mut testbed, &logs.join(scenario.name));
    }
    *reusable = testbed.close();
    // A scenario that ended early may have left the broker with changed settings.
    if let Some(broker) = &mut reusable.broker
        && !(row.failures.is_empty() && broker.is_healthy().await)
    {
        reusable.broker = None;
    }
    row.seconds = begun.elapsed().as_secs_f32();
    row
}

/// Runs the scenario and checks its actions with the ledger. Returns why it ended early, if it did.
async fn run_scenario(testbed: &mut Testbed, scenario: &Scenario, limit: Duration) -> Option<String> {
    let running = AssertUnwindSafe(async {
        (scenario.run)(testbed).await?;
        let more = testbed.add_missing_actions().await?;
        if more || testbed.tally().is_none() {
            testbed.check_ledger().await?;
        }
        testbed.check_alerts().await?;
        anyhow::Ok(())
    });
    match tokio::time::timeout(limit, running.catch_unwind()).await {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(error))) => Some(causes(error.as_ref())),
        Ok(Err(panic)) => {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            Some(
                message
                    .or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("the scenario panicked")
                    .to_owned(),
            )
        }
        Err(_) => Some(format!("the scenario did not end within {} s", limit.as_secs())),
    }
}

impl ScenarioResult {
    fn evaluate(&mut self, scenario: &Scenario, checks: &[super::testbed::Check], problem: Option<String>) {
        self.failures.extend(problem);
        let ended = self.failures.is_empty();
        self.ended_early = !ended;
        let Tally { lost, doubled, .. } = &self.tally;
        if !lost.is_empty() {
            self.failures.push(format!(
                "I1: lost {} of {}: {}",
                lost.len(),
                self.tally.sent,
                first_three(lost)
            ));
            self.broken.push(Invariant::I1);
        }
        if !doubled.is_empty() {
            self.failures
                .push(format!("I2: doubled {}: {}", doubled.len(), first_three(doubled)));
            self.broken.push(Invariant::I2);
        }
        for check in checks {
            if let Some(found) = &check.found {
                self.failures
                    .push(format!("{}: {}: found {found}", check.invariant, check.what));
                self.broken.push(check.invariant);
            }
        }
        let checked_by_ledger = |invariant: &Invariant| match invariant {
            Invariant::I1 => self.tally.sent > 0,
            // Without an action whose second effect would be visible, I2 is not checked.
            Invariant::I2 => self.tally.can_double > 0,
            _ => false,
        };
        let checked_by_scenario = |invariant: &Invariant| checks.iter().any(|check| check.invariant == *invariant);
        // Alerts are not evaluated without the guard, and an unchecked invariant must not be the failure that is expected there.
        let waived =
            |invariant: &Invariant| !self.guarded && !scenario.alerts.is_empty() && *invariant == Invariant::I6;
        let unchecked: Vec<_> = scenario
            .proves
            .iter()
            .filter(|invariant| !checked_by_ledger(invariant) && !checked_by_scenario(invariant) && !waived(invariant))
            .collect();
        // A scenario that ended early has a failure already.
        for invariant in unchecked.into_iter().filter(|_| ended) {
            self.failures
                .push(format!("{invariant}: the scenario did not check this invariant"));
            self.broken.push(*invariant);
        }
        self.broken.sort_unstable();
        self.broken.dedup();
    }
}

/// The first few, so that the text stays one line.
fn first_three(all: &[String]) -> String {
    let shown: Vec<_> = all.iter().take(3).map(String::as_str).collect();
    let more = if all.len() > shown.len() { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// Writes the output of the processes of a scenario that failed or ended early.
fn keep_logs(testbed: &mut Testbed, folder: &Path) {
    if std::fs::create_dir_all(folder).is_err() {
        return;
    }
    for (name, lines) in testbed.logs() {
        // An error here must not hide the failure that the log belongs to.
        let _ = std::fs::write(folder.join(format!("{name}.log")), lines.join("\n"));
    }
}
