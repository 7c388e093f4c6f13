//! `loadtests chaos`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;

use super::faults;
use super::report::Report;
use super::run::{Lab, Terms, run};
use super::scenario::Scenario;
use crate::print::line;

/// The scenario that can go on for as long as one likes.
const SOAK: &str = "kill-anything";
/// Where the report goes, from the working directory.
const REPORT: &str = "target/chaos/latest.json";

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Scenarios by name, or rows of the catalogue by number; see --list.
    names: Vec<String>,
    /// Every scenario; a row of the catalogue without one counts as failed.
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Lists the scenarios.
    #[arg(long)]
    list: bool,
    /// Draws the schedule of the load; the same seed gives the same.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Takes each scenario's guard away and wants it red.
    #[arg(long)]
    without_guard: bool,
    /// How long kill-anything goes on, instead of nine seconds.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_080))]
    minutes: Option<u32>,
}

/// Runs what was asked for. Answers whether all of it came out as wanted.
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
        "--minutes is for {SOAK} alone; example: chaos {SOAK} --minutes 10"
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
    let mut lab = Lab::default();
    let logs = PathBuf::from("target/chaos/logs");
    let terms = Terms {
        guarded: report.guarded,
        seed: arguments.seed,
        soak,
    };
    for scenario in &scenarios {
        let row = run(&mut lab, scenario, &terms, &logs).await;
        line(&row.line());
        report.scenarios.push(row);
    }
    drop(lab);
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
        "name scenarios, or say --all; --list shows them"
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
        line(&format!("{:49}without: {}", "", scenario.guard));
    }
    let missing = Report::missing(&faults::all());
    if !missing.is_empty() {
        line(&format!("rows of the catalogue without a scenario: {missing:?}"));
    }
}

/// Scenarios by name, for tests.
///
/// # Errors
/// When one is unknown.
pub fn by_name(name: &str) -> anyhow::Result<Scenario> {
    let mut all = faults::all().into_iter();
    all.find(|scenario| scenario.name == name)
        .with_context(|| format!("there is no scenario {name}"))
}
