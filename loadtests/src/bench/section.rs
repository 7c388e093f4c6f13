//! One measured stretch of a run.

use std::collections::BTreeMap;

use arrakis_emulator_client::load::{Counts, KindResult, Latency, Results, Second, StageResult};
use serde::{Deserialize, Serialize};

use super::processes::Usage;

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Values.
    pub count: u64,
    /// Half are below.
    pub p50_ms: f64,
    /// 90 of 100 are below.
    pub p90_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// 999 of 1,000.
    pub p999_ms: f64,
    /// The largest.
    pub max_ms: f64,
}

impl Percentiles {
    /// Of a histogram of microseconds.
    pub fn of(histogram: &hdrhistogram::Histogram<u64>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of minutes")]
        let ms = |us: u64| us as f64 / 1_000.0;
        let at = |quantile| ms(histogram.value_at_quantile(quantile));
        Self {
            count: histogram.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: ms(histogram.max()),
        }
    }
}

/// What became of a load, or of a stage of one. Latency counts from the intended moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadSummary {
    /// Name of the stage.
    pub stage: String,
    /// Events a second at its beginning and end.
    pub rates: [f64; 2],
    /// All kinds together.
    pub counts: Counts,
    /// Of those that wanted an answer, the share that was not answered in time, in percent.
    pub failed_percent: f64,
    /// How late the generator itself was.
    pub lateness: Percentiles,
    /// Intended → first response.
    pub first: Percentiles,
    /// Intended → whole answer, all commands.
    pub answer: Percentiles,
    /// Frame written → first response.
    pub sent_to_first: Percentiles,
    /// Intended → whole answer, of `/position`.
    pub position: Percentiles,
}

impl LoadSummary {
    /// Of one stage.
    ///
    /// # Errors
    /// When a histogram cannot be read.
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

/// A measured stretch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// What was done.
    pub name: String,
    /// How long it was measured.
    pub seconds: f64,
    /// Events that went through in this time; what CPU is divided by.
    pub events: u64,
    /// Interactions that expired in it.
    pub expired: u64,
    /// What each process used.
    pub processes: BTreeMap<String, Usage>,
    /// What became of the load, by stage; empty where no answer is asked for.
    pub load: Vec<LoadSummary>,
    /// Second by second, where a load was made.
    pub timeline: Vec<Second>,
}

impl Section {
    /// Another stretch of the same, told as one with this.
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

    /// A stretch in which a load was made.
    ///
    /// # Errors
    /// When a histogram cannot be read.
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

    /// CPU of one process for an event, in microseconds; not a number where it was not watched.
    pub fn cpu_us_per_event(&self, process: &str) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of events")]
        let events = self.events.max(1) as f64;
        self.processes
            .get(process)
            .map_or(f64::NAN, |usage| usage.cpu_s * 1e6 / events)
    }
}

/// A share in percent; none of none is none.
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of events")]
    if whole == 0 {
        0.0
    } else {
        part as f64 * 100.0 / whole as f64
    }
}
