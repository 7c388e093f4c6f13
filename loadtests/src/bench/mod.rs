//! Speed, measured honestly: open-loop load, latency from the intended moment, the ceiling of the same run beside it.
//!
//! Owns what is measured and how it is judged and reported. `site` is a platform of release binaries, `processes` what each
//! process used, `scrape` what a service says of itself where only it can know, `ceiling` the bare publisher, `taker` who takes
//! messages where no worker runs, `figures` the targets, `rounds` the middle of several stretches, `report` the table and the
//! JSON, `baseline` the comparison with an earlier release. Refuses a report without ceiling, without CPU of each process, or
//! without the count of what expired: [`Report::assemble`] takes no less.
//!
//! To add a profile: a file in `profiles` with a function from [`Bench`] to sections and figures, and its line in
//! [`Profile`].

mod baseline;
mod ceiling;
mod figures;
mod machine;
mod processes;
mod profiles;
mod report;
mod rounds;
mod scrape;
mod section;
mod site;
pub mod taker;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

pub use baseline::Comparison;
pub use ceiling::Ceiling;
pub use figures::{Bound, Figure};
pub use machine::Machine;
pub use processes::{Usage, Watch};
pub use profiles::Profile;
pub use report::Report;
pub use scrape::Scrape;
pub use section::{LoadSummary, Section};
pub use site::{Site, SiteOptions};

/// How a run is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is measured.
    pub profile: Profile,
    /// Decides what is random.
    pub seed: u64,
    /// Where the result is written.
    pub result: PathBuf,
    /// Results of releases; the one of this profile is compared with.
    pub baselines: PathBuf,
    /// Keeps this result as the baseline of its profile.
    pub keep: bool,
}

/// A run under way: what profiles measure with, and what they have found.
#[derive(Debug)]
pub struct Bench {
    /// How it was asked for.
    pub options: Options,
    /// Sections so far.
    pub sections: Vec<Section>,
    /// Figures so far.
    pub figures: Vec<Figure>,
    /// The ceiling, once it is known.
    pub ceiling: Option<Ceiling>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

impl Bench {
    /// A run that has found nothing yet.
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

    /// Says what goes on.
    pub fn say(&self, text: &str) {
        report::say(text);
    }
}

/// Measures, reports, compares; whether every threshold was met.
///
/// # Errors
/// When something does not start, a measurement fails, or the report would be invalid.
pub async fn run(options: Options) -> anyhow::Result<bool> {
    let machine = Machine::describe().await;
    let began = std::time::Instant::now();
    let mut bench = Bench::new(options);
    for (name, value) in site::experiments() {
        bench
            .notes
            .push(format!("tried with {name}={value}, which is not how production runs"));
    }
    for (name, share) in processes::strangers().await {
        bench.notes.push(format!(
            "before the run began, {name} used {share:.0} % of a core: what shares the machine is part of the figures"
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

/// How long services may take to become quiet after a load.
pub(crate) const SETTLE: Duration = Duration::from_secs(20);
