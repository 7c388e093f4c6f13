//! `loadtests chaos`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;

use super::faults;
use super::report::Report;
use super::run::{ReusableServers, RunOptions, run};
use super::scenario::Scenario;
use crate::print::line;

/// The scenario that accepts `--minutes`.
const SOAK: &str = "kill-anything";
/// Path of the report, relative to the working directory.
const REPORT: &str = "target/chaos/latest.json";

/// Arguments of `loadtests chaos`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Scenarios by name, or fault numbers; --list shows both.
    names: Vec<String>,
    /// Runs every scenario; a fault number without a scenario counts as failed.
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Lists the scenarios.
    #[arg(long)]
    list: bool,
    /// Seed of the load's schedule; the same seed gives the same schedule.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Disables the code that protects against each fault (the guard), and expects the scenario to fail.
    #[arg(long)]
    without_guard: bool,
    /// Minutes for which the scenario kill-anything runs, instead of nine seconds.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_080))]
    minutes: Option<u32>,
}

/// Runs the selected scenarios. Returns whether all of them had the expected result.
///
/// # Errors
/// When a name is unknown, or the report cannot be written.
pub async fn command(arguments: Arguments) -> anyhow::Result<bool> {
    if arguments.list {
        list();
        return Ok(true);
    }
    let scenarios = chosen(&arguments)?;
    let soak = arguments.minutes.map(|minutes| Duration::from_secs(60) * minutes);
    ensure!(
        soak.is_none() || scenarios.iter().all(|scenario| scenario.name == SOAK),
        "--minutes is for {SOAK} only; example: chaos {SOAK} --minutes 10"
    );
    let mut report = Report {
        seed: arguments.seed,
        guarded: !arguments.without_guard,
        scenarios: Vec::new(),
        missing: if arguments.all {
            Report::missing(&scenarios)
        } else {
            Vec::new()
        },
    };
    line(&format!("seed {}", arguments.seed));
    line(Report::HEADING);
    let mut reusable = ReusableServers::default();
    let logs = PathBuf::from("target/chaos/logs");
    let options = RunOptions {
        guarded: report.guarded,
        seed: arguments.seed,
        soak,
    };
    for scenario in &scenarios {
        let row = run(&mut reusable, scenario, &options, &logs).await;
        line(&row.line());
        report.scenarios.push(row);
    }
    drop(reusable);
    report.write(Path::new(REPORT))?;
    line(&report.text());
    Ok(report.failed().is_empty())
}

fn chosen(arguments: &Arguments) -> anyhow::Result<Vec<Scenario>> {
    let all = faults::all();
    if arguments.all {
        return Ok(all);
    }
    ensure!(
        !arguments.names.is_empty(),
        "no scenario is named; give names or --all, --list shows them"
    );
    let mut chosen = Vec::new();
    for name in &arguments.names {
        let before = chosen.len();
        chosen.extend(
            all.iter()
                .filter(|known| known.name == name || known.fault.to_string() == *name),
        );
        ensure!(chosen.len() > before, "there is no scenario {name}; --list shows them");
    }
    chosen.dedup_by_key(|scenario: &mut Scenario| scenario.name);
    Ok(chosen)
}

fn list() {
    for scenario in faults::all() {
        let proves: Vec<_> = scenario.proves.iter().map(ToString::to_string).collect();
        line(&format!(
            "{:>3} {:<32} {:<12} {}",
            scenario.fault,
            scenario.name,
            proves.join(" "),
            scenario.what
        ));
        line(&format!("{:49}guard: {}", "", scenario.guard));
    }
    let missing = Report::missing(&faults::all());
    if !missing.is_empty() {
        line(&format!("faults without a scenario: {missing:?}"));
    }
}

/// A scenario by name, for tests.
///
/// # Errors
/// When there is no such scenario.
pub fn by_name(name: &str) -> anyhow::Result<Scenario> {
    let mut all = faults::all().into_iter();
    all.find(|scenario| scenario.name == name)
        .with_context(|| format!("there is no scenario {name}"))
}
