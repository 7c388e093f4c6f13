//! The kept result of a release (the baseline of a profile), and the comparison of a run with it.
//!
//! Machines differ from day to day, so rates are compared as shares of the run's own ceiling, and CPU as multiples of the bare
//! publisher's CPU in the same run. Latencies have thresholds and are not compared.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::report::{Report, ReportData};
use super::{Figure, Profile};

/// Relative change of a ratio above which it is a regression. Runs of the same build on the same machine differ by up to a tenth.
const TOLERANCE: f64 = 0.25;

/// The comparison of a run with its baseline.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    /// Figures that are worse than the baseline by more than the tolerance.
    pub regressions: Vec<String>,
    /// Further remarks on the comparison.
    pub notes: Vec<String>,
}

/// Path of a profile's baseline file.
pub(super) fn path(folder: &Path, profile: Profile) -> PathBuf {
    folder.join(format!("{}.json", profile.name()))
}

/// Compares the report with the baseline file, if the file exists.
pub(super) fn compare(report: &Report, baseline: &Path) -> anyhow::Result<Comparison> {
    if !baseline.exists() {
        return Ok(Comparison {
            notes: vec![format!(
                "there is no baseline of this profile; --keep makes this run one"
            )],
            ..Comparison::default()
        });
    }
    let text = std::fs::read_to_string(baseline).with_context(|| format!("reading {}", baseline.display()))?;
    let earlier: ReportData = serde_json::from_str(&text)
        .with_context(|| format!("{} has another report format; --keep replaces it", baseline.display()))?;
    Ok(between(&earlier, &report.written))
}

fn between(earlier: &ReportData, now: &ReportData) -> Comparison {
    let mut comparison = Comparison {
        notes: vec![format!(
            "compared with commit {} by ratios to the ceiling",
            earlier.machine.commit
        )],
        ..Comparison::default()
    };
    if earlier.machine.build != now.machine.build {
        comparison.notes.push(format!(
            "the baseline is a {} build and this run is a {} build: not compared",
            earlier.machine.build, now.machine.build
        ));
        return comparison;
    }
    for figure in &now.figures {
        let Some(before) = earlier.figures.iter().find(|known| known.name == figure.name) else {
            continue;
        };
        let (Some(before), Some(after)) = (ratio(before, earlier), ratio(figure, now)) else {
            continue;
        };
        // More CPU or memory is worse, more throughput is better.
        let worse = if figure.unit == "/s" {
            before / after
        } else {
            after / before
        } - 1.0;
        if worse > TOLERANCE {
            comparison.regressions.push(format!(
                "{} is {:.0} % worse than the baseline (ratio {after:.3}, was {before:.3})",
                figure.name,
                worse * 100.0
            ));
        }
    }
    comparison
}

/// A figure relative to its run's ceiling; `None` for a unit that is not compared.
fn ratio(figure: &Figure, run: &ReportData) -> Option<f64> {
    let ratio = match figure.unit.as_str() {
        "/s" => figure.value / run.ceiling.per_second,
        "µs/event" => figure.value / run.ceiling.publisher_us,
        // Memory does not depend on the machine's speed.
        "MB" => figure.value,
        _ => return None,
    };
    (ratio.is_finite() && ratio > 0.0).then_some(ratio)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{Bound, Ceiling, Machine};

    fn run(publisher_us: f64, figures: &[(&str, f64, &str)]) -> ReportData {
        ReportData {
            profile: "ingest".to_owned(),
            seed: 1,
            machine: Machine {
                processor: "p".to_owned(),
                cores: 2,
                memory_mib: 1,
                kernel: "k".to_owned(),
                rabbitmq: "r".to_owned(),
                build: "release".to_owned(),
                commit: "c".to_owned(),
            },
            seconds: 1.0,
            ceiling: Ceiling {
                per_second: 10_000.0,
                publisher_us,
                broker_us: 80.0,
                message_bytes: 1_000,
                window: 1,
                channels: 1,
                seconds: 1.0,
            },
            expired: 0,
            figures: figures
                .iter()
                .map(|(name, value, unit)| Figure::new(name, *value, unit, Bound::Reported))
                .collect(),
            notes: Vec::new(),
            sections: Vec::new(),
        }
    }

    #[test]
    fn slower_machine_is_no_regression_and_more_cpu_is() {
        let before = run(
            30.0,
            &[("cpu", 60.0, "µs/event"), ("rate", 9_000.0, "/s"), ("p99", 3.0, "ms")],
        );
        let slower_machine = run(
            60.0,
            &[("cpu", 120.0, "µs/event"), ("rate", 9_000.0, "/s"), ("p99", 9.0, "ms")],
        );
        assert_eq!(between(&before, &slower_machine).regressions, Vec::<String>::new());
        let worse = run(
            30.0,
            &[("cpu", 90.0, "µs/event"), ("rate", 5_000.0, "/s"), ("p99", 3.0, "ms")],
        );
        let regressions = between(&before, &worse).regressions;
        assert_eq!(regressions.len(), 2, "{regressions:?}");
        assert!(regressions[0].starts_with("cpu is 50 % worse"), "{regressions:?}");
    }

    #[test]
    fn builds_of_different_kinds_are_not_compared() {
        let before = run(30.0, &[("cpu", 60.0, "µs/event")]);
        let mut debug = run(30.0, &[("cpu", 900.0, "µs/event")]);
        "debug".clone_into(&mut debug.machine.build);
        assert_eq!(between(&before, &debug).regressions.len(), 0);
    }
}
