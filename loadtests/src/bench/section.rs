//! One measured section of a run.

use std::collections::BTreeMap;

use arrakis_emulator_client::load::{Counts, KindResult, Latency, Results, Second, StageResult};
use serde::{Deserialize, Serialize};

use super::processes::Usage;

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Number of values.
    pub count: u64,
    /// 50th percentile.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 95th percentile; 0 in a baseline of an earlier build.
    #[serde(default)]
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p999_ms: f64,
    /// The largest value.
    pub max_ms: f64,
}

impl Percentiles {
    /// Percentiles of a histogram of microseconds.
    pub fn of(histogram: &hdrhistogram::Histogram<u64>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of minutes")]
        let ms = |us: u64| us as f64 / 1_000.0;
        let at = |quantile| ms(histogram.value_at_quantile(quantile));
        Self {
            count: histogram.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: ms(histogram.max()),
        }
    }
}

/// Results of a load, or of one stage of it. Latencies count from the intended moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadSummary {
    /// Name of the stage.
    pub stage: String,
    /// Events per second at its beginning and end.
    pub rates: [f64; 2],
    /// All kinds of events together.
    pub counts: Counts,
    /// Interactions that were not answered in time, in percent.
    pub failed_percent: f64,
    /// Lateness of the load generator itself.
    pub lateness: Percentiles,
    /// Intended moment → first response.
    pub first: Percentiles,
    /// Intended moment → full answer, all commands.
    pub answer: Percentiles,
    /// Frame written → first response.
    pub sent_to_first: Percentiles,
    /// Intended moment → full answer, of `/position`.
    pub position: Percentiles,
}

impl LoadSummary {
    /// Results of one stage.
    ///
    /// # Errors
    /// When a histogram cannot be decoded.
    pub fn of(stage: &StageResult) -> anyhow::Result<Self> {
        let counts = stage.counts();
        let all =
            |which: fn(&KindResult) -> &Latency| stage.merged(|_| true, which).map(|merged| Percentiles::of(&merged));
        let position = stage.merged(|kind| kind == "command position", |kind| &kind.intended_to_answer)?;
        Ok(Self {
            stage: stage.stage.name.clone(),
            rates: [stage.stage.first_rate(), stage.stage.rate],
            counts,
            failed_percent: percent(counts.failed(), counts.interactions()),
            lateness: all(|kind| &kind.lateness)?,
            first: all(|kind| &kind.intended_to_first)?,
            answer: all(|kind| &kind.intended_to_answer)?,
            sent_to_first: all(|kind| &kind.sent_to_first)?,
            position: Percentiles::of(&position),
        })
    }
}

/// A measured section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Name: the work that was measured.
    pub name: String,
    /// Length of the measurement, in seconds.
    pub seconds: f64,
    /// Events in this time; CPU time is divided by it.
    pub events: u64,
    /// Expired interactions.
    pub expired: u64,
    /// CPU time and memory of each process.
    pub processes: BTreeMap<String, Usage>,
    /// Results of the load by stage; empty where no answer is expected.
    pub load: Vec<LoadSummary>,
    /// Second by second, where there was a load.
    pub timeline: Vec<Second>,
}

impl Section {
    /// Appends another measurement of the same kind, so that both count as one section.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.seconds += other.seconds;
        self.events += other.events;
        self.expired += other.expired;
        self.load.extend(other.load);
        self.timeline.extend(other.timeline);
        for (name, usage) in other.processes {
            self.processes
                .entry(name)
                .and_modify(|sum| {
                    sum.cpu_s += usage.cpu_s;
                    sum.resident_peak_bytes = sum.resident_peak_bytes.max(usage.resident_peak_bytes);
                    sum.resident_bytes = usage.resident_bytes;
                })
                .or_insert(usage);
        }
        self
    }

    /// A section without a load of the emulator: other work, in which no interaction can expire.
    pub fn without_load(name: String, seconds: f64, events: u64, processes: BTreeMap<String, Usage>) -> Self {
        Self {
            name,
            seconds,
            events,
            expired: 0,
            processes,
            load: Vec::new(),
            timeline: Vec::new(),
        }
    }

    /// A section in which a load was run.
    ///
    /// # Errors
    /// When a histogram cannot be decoded.
    pub fn of_load(
        name: &str,
        seconds: f64,
        results: &Results,
        processes: BTreeMap<String, Usage>,
    ) -> anyhow::Result<Self> {
        let counts = results.progress.counts;
        Ok(Self {
            name: name.to_owned(),
            seconds,
            events: counts.made,
            expired: counts.expired,
            processes,
            load: results.stages.iter().map(LoadSummary::of).collect::<Result<_, _>>()?,
            timeline: results.seconds.clone(),
        })
    }

    /// CPU time of one process per event, in microseconds; NaN where the process was not monitored.
    pub fn cpu_us_per_event(&self, process: &str) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of events")]
        let events = self.events.max(1) as f64;
        self.processes
            .get(process)
            .map_or(f64::NAN, |usage| usage.cpu_s * 1e6 / events)
    }
}

/// A share in percent; 0 for an empty whole.
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of events")]
    if whole == 0 {
        0.0
    } else {
        part as f64 * 100.0 / whole as f64
    }
}
