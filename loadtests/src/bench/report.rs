//! The output of a run: a table for people, JSON for later comparisons, and a last line with the result.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use super::baseline::Comparison;
use super::section::Section;
use super::{Bench, Ceiling, Figure, Machine, Options};

/// A whole run.
#[derive(Debug)]
pub struct Report {
    /// Arguments of the run.
    pub options: Options,
    /// The part that is written to the result file.
    pub written: ReportData,
}

/// A run as it is written to a file and read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportData {
    /// Name of the profile.
    pub profile: String,
    /// Seed of the random choices.
    pub seed: u64,
    /// The machine.
    pub machine: Machine,
    /// Length of the run, in seconds.
    pub seconds: f64,
    /// The bare publisher of the same run.
    pub ceiling: Ceiling,
    /// Expired interactions in all sections.
    pub expired: u64,
    /// All figures, with and without thresholds.
    pub figures: Vec<Figure>,
    /// Remarks for the reader.
    pub notes: Vec<String>,
    /// The measured sections.
    pub sections: Vec<Section>,
}

impl ReportData {
    /// Checks that the report is complete.
    ///
    /// # Errors
    /// When something is missing; the error names it.
    pub fn check(&self) -> anyhow::Result<()> {
        if let Some(problem) = self.ceiling.problem() {
            anyhow::bail!(problem);
        }
        ensure!(!self.sections.is_empty(), "nothing was measured");
        for section in &self.sections {
            for server in ["rabbitmq", "postgres", "redis", "emulator"] {
                let known = section.processes.get(server).is_some_and(|usage| usage.cpu_s >= 0.0);
                ensure!(known, "section \"{}\" has no CPU time of {server}", section.name);
            }
            let expired: u64 = section.load.iter().map(|load| load.counts.expired).sum();
            ensure!(
                section.load.is_empty() || expired == section.expired,
                "section \"{}\" counts {} expired interactions, its stages {expired}",
                section.name,
                section.expired
            );
        }
        let expired: u64 = self.sections.iter().map(|section| section.expired).sum();
        ensure!(
            expired == self.expired,
            "the report counts {} expired interactions, its sections {expired}",
            self.expired
        );
        ensure!(!self.figures.is_empty(), "no figure was measured");
        Ok(())
    }
}

impl Report {
    /// Assembles the report of a finished run.
    ///
    /// # Errors
    /// When the ceiling, a process of a section or every figure is missing: the report would be invalid.
    pub fn assemble(machine: Machine, bench: Bench, took: Duration) -> anyhow::Result<Self> {
        let written = ReportData {
            profile: bench.options.profile.name().to_owned(),
            seed: bench.options.seed,
            machine,
            seconds: took.as_secs_f64(),
            ceiling: bench.ceiling.context("a report without its ceiling is invalid")?,
            expired: bench.sections.iter().map(|section| section.expired).sum(),
            figures: bench.figures,
            notes: bench.notes,
            sections: bench.sections,
        };
        written.check()?;
        Ok(Self {
            options: bench.options,
            written,
        })
    }

    /// The report as JSON.
    ///
    /// # Errors
    /// When a value cannot be serialized.
    pub fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(&self.written)? + "\n")
    }

    /// The report as a baseline: without the second-by-second data, which no comparison uses.
    ///
    /// # Errors
    /// When a value cannot be serialized.
    pub fn baseline_json(&self) -> anyhow::Result<String> {
        let mut kept = self.written.clone();
        for section in &mut kept.sections {
            section.timeline.clear();
        }
        Ok(serde_json::to_string_pretty(&kept)? + "\n")
    }

    /// Figures that miss their threshold, and those that regressed against the baseline.
    pub fn missed(&self, comparison: &Comparison) -> Vec<String> {
        let figures = self.written.figures.iter().filter(|figure| !figure.holds());
        let figures = figures.map(|figure| {
            format!(
                "{} = {} {} (target {})",
                figure.name,
                short(figure.value),
                figure.unit,
                figure.target()
            )
        });
        figures.chain(comparison.regressions.iter().cloned()).collect()
    }

    /// Prints the table.
    pub fn print(&self, comparison: &Comparison, path: &Path) {
        print(&self.table(comparison));
        print(&format!("written to {}", path.display()));
    }

    fn table(&self, comparison: &Comparison) -> String {
        let (report, mut text) = (&self.written, String::new());
        let machine = &report.machine;
        let _ = writeln!(
            text,
            "\nprofile {}, seed {}, {} build, commit {}\n{} × {}, {} MiB, Linux {}, RabbitMQ {}; every process shares these cores\n",
            report.profile,
            report.seed,
            machine.build,
            machine.commit,
            machine.cores,
            machine.processor,
            machine.memory_mib,
            machine.kernel,
            machine.rabbitmq
        );
        let ceiling = &report.ceiling;
        let _ = writeln!(
            text,
            "ceiling: {:.0} messages/s of {} bytes, {} channels with a window of {}; publisher {:.1} µs, broker {:.1} µs each\n",
            ceiling.per_second,
            ceiling.message_bytes,
            ceiling.channels,
            ceiling.window,
            ceiling.publisher_us,
            ceiling.broker_us
        );
        for section in &report.sections {
            section_table(&mut text, section);
        }
        let _ = writeln!(text, "{:<64} {:>12} {:<8} {:<16}", "figure", "measured", "", "target");
        for figure in &report.figures {
            let mark = if figure.holds() { "" } else { "  MISSED" };
            let _ = writeln!(
                text,
                "{:<64} {:>12} {:<8} {:<16}{mark}",
                figure.name,
                short(figure.value),
                figure.unit,
                figure.target()
            );
        }
        let _ = writeln!(text, "\nexpired in all: {}", report.expired);
        for note in report.notes.iter().chain(&comparison.notes) {
            let _ = writeln!(text, "note: {note}");
        }
        text
    }
}

fn section_table(text: &mut String, section: &Section) {
    let _ = writeln!(
        text,
        "{} ({:.1} s, {} events, {} expired)",
        section.name, section.seconds, section.events, section.expired
    );
    for load in &section.load {
        let _ = writeln!(
            text,
            "  {:<22} made {:>7}  answered {:>7}  expired {:>6}  failed {:>6.3} %  first p50 {:>8} p95 {:>8} p99 {:>8} ms  answer p50 {:>8} p95 {:>8} p99 {:>8} ms  lateness p99 {:>6} ms",
            load.stage,
            load.counts.made,
            load.counts.answered,
            load.counts.expired,
            load.failed_percent,
            short(load.first.p50_ms),
            short(load.first.p95_ms),
            short(load.first.p99_ms),
            short(load.answer.p50_ms),
            short(load.answer.p95_ms),
            short(load.answer.p99_ms),
            short(load.lateness.p99_ms),
        );
    }
    for (name, usage) in &section.processes {
        #[expect(clippy::cast_precision_loss, reason = "megabytes")]
        let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
        let _ = writeln!(
            text,
            "  {name:<10} CPU {:>7.2} s ({:>5.1} % of a core, {:>8.1} µs/event)   resident {:>7.1} MiB, peak {:>7.1}",
            usage.cpu_s,
            usage.cpu_s * 100.0 / section.seconds,
            section.cpu_us_per_event(name),
            mib(usage.resident_bytes),
            mib(usage.resident_peak_bytes),
        );
    }
    text.push('\n');
}

fn short(value: f64) -> String {
    match value {
        value if !value.is_finite() => value.to_string(),
        value if value.abs() >= 1_000.0 => format!("{value:.0}"),
        value if value.abs() >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// Prints the last line.
pub(super) fn verdict(missed: &[String], took: Duration) {
    if missed.is_empty() {
        print(&format!("bench: every threshold was met ({:.0} s)", took.as_secs_f64()));
    } else {
        print(&format!("bench: missed: {}", missed.join("; ")));
    }
}

pub(super) fn print(text: &str) {
    crate::print::line(text);
}
