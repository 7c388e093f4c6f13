//! The benchmark: open-loop load, latency from the intended moment, and the ceiling of the same run for comparison.
//!
//! `platform` starts release binaries, `processes` measures CPU and memory of each process, `scrape` reads services' metrics,
//! `ceiling` is the bare publisher, `drain` consumes messages where no worker runs, `figures` holds thresholds, `rounds` takes the
//! median of several rounds, `report` writes the table and the JSON, `baseline` compares with an earlier release.
//! [`Report::assemble`] refuses a report without a ceiling, without the CPU of each process, or without the number of expired
//! interactions.
//!
//! To add a profile: a file in `profiles` with a function that adds sections and figures to a [`Bench`], and a variant of
//! [`Profile`].

mod baseline;
mod ceiling;
pub mod drain;
mod figures;
mod machine;
mod platform;
mod processes;
mod profiles;
mod report;
mod rounds;
mod scrape;
mod section;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

pub use baseline::Comparison;
pub use ceiling::Ceiling;
pub use figures::{Bound, Figure};
pub use machine::Machine;
pub use platform::{BenchPlatform, BenchPlatformOptions};
pub use processes::{ProcessMonitor, Usage};
pub use profiles::Profile;
pub use report::Report;
pub use scrape::Scrape;
pub use section::{LoadSummary, Section};

/// Arguments of a run.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is measured.
    pub profile: Profile,
    /// Seed of the random choices.
    pub seed: u64,
    /// Path of the result file.
    pub result: PathBuf,
    /// Folder of the baselines.
    pub baselines: PathBuf,
    /// Whether to keep this result as the baseline of its profile.
    pub keep: bool,
}

/// A run in progress: its options and the results so far.
#[derive(Debug)]
pub struct Bench {
    /// Arguments of the run.
    pub options: Options,
    /// Sections so far.
    pub sections: Vec<Section>,
    /// Figures so far.
    pub figures: Vec<Figure>,
    /// The ceiling, once it is measured.
    pub ceiling: Option<Ceiling>,
    /// Remarks for the report.
    pub notes: Vec<String>,
}

impl Bench {
    /// A run without results.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            sections: Vec::new(),
            figures: Vec::new(),
            ceiling: None,
            notes: Vec::new(),
        }
    }

    /// Adds a figure.
    pub fn figure(&mut self, name: &str, value: f64, unit: &str, bound: Bound) {
        self.figures.push(Figure::new(name, value, unit, bound));
    }

    /// Prints a line about progress.
    pub fn progress(&self, text: &str) {
        report::print(text);
    }
}

/// Measures, reports and compares. Returns whether every threshold was met and nothing regressed.
///
/// # Errors
/// When a process does not start, a measurement fails, or the report would be invalid.
pub async fn run(options: Options) -> anyhow::Result<bool> {
    let machine = Machine::describe().await;
    let began = std::time::Instant::now();
    let mut bench = Bench::new(options);
    for (name, value) in platform::experiments() {
        bench.notes.push(format!(
            "setting of this run: {name}={value} (production uses the default)"
        ));
    }
    for (name, share) in processes::busy_processes().await {
        bench.notes.push(format!(
            "before the run, process {name} used {share:.0} % of a core, which affects the figures"
        ));
    }
    Box::pin(bench.options.profile.measure(&mut bench)).await?;
    let report = Report::assemble(machine, bench, began.elapsed())?;
    let path = report.options.result.clone();
    write(&path, &report.json()?)?;
    let baseline = baseline::path(&report.options.baselines, report.options.profile);
    let comparison = baseline::compare(&report, &baseline)?;
    if report.options.keep {
        write(&baseline, &report.baseline_json()?)?;
    }
    report.print(&comparison, &path);
    let missed = report.missed(&comparison);
    report::verdict(&missed, began.elapsed());
    Ok(missed.is_empty())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// Time limit for the services to become idle after a load.
pub(crate) const SETTLE: Duration = Duration::from_secs(20);
