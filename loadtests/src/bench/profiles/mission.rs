//! The mission's load: a rise, five minutes at 1,000 events per second, one minute at 5,000, five more minutes at 1,000, a fall.
//! Half of the events are commands.
//!
//! Thirteen minutes in full; a shorter run keeps the proportions. The sustained stages may have 0.1 % of failures. The spike
//! exceeds two cores; its rule: commands first, expired interactions are counted, and the latency is back to normal soon after
//! it.

use arrakis_emulator_client::load::{Load, LoadStage, Second};

use super::community_life;
use super::errors::FailureCounter;
use super::path::{loaded, stage};
use crate::bench::section::percent;
use crate::bench::{Bench, BenchPlatform, Bound, Section};

/// Length of the whole load, in seconds.
pub(super) const MISSION_S: f64 = 780.0;
/// Warm-up share of a sustained stage, and its upper limit in seconds.
const WARM_UP: (f64, f64) = (0.1, 10.0);
/// Normal operation: failures within one second in percent, and the p99 of the first response in microseconds.
const NORMAL: (f64, u64) = (0.1, 1_000_000);
/// Consecutive seconds of normal operation that end the recovery.
const NORMAL_SECONDS: usize = 3;

const BEFORE: &str = "1,000/s before";
const SPIKE: &str = "spike at 5,000/s";
const AFTER: &str = "1,000/s after";

/// The mission's load in some length.
#[derive(Debug, Clone, Copy)]
pub(super) struct MissionLoad {
    /// Length of all stages together.
    pub(super) seconds: f64,
}

impl MissionLoad {
    fn stages(self) -> Vec<LoadStage> {
        let minute = self.seconds / 13.0;
        let warm_up = (5.0 * minute * WARM_UP.0).min(WARM_UP.1);
        vec![
            LoadStage::slope("rise to 100/s", 0.0, 100.0, minute),
            LoadStage::steady(BEFORE, 1_000.0, 5.0 * minute).warming_up(warm_up),
            LoadStage::steady(SPIKE, 5_000.0, minute),
            LoadStage::steady(AFTER, 1_000.0, 5.0 * minute).warming_up(warm_up),
            LoadStage::slope("fall to 0", 1_000.0, 0.0, minute),
        ]
    }

    /// Runs the load and records its figures.
    pub(super) async fn measure(self, bench: &mut Bench, platform: &BenchPlatform) -> anyhow::Result<()> {
        bench.progress(&format!("the mission's load in {:.0} s", self.seconds));
        let load = Load {
            stages: self.stages(),
            ..Load::steady(bench.options.seed, 1.0, 1.0, community_life())
        };
        let before = platform.scrape("ingestor").await?;
        let errors = FailureCounter::begin(platform).await?;
        let (results, took, usage) = loaded(platform, &load).await?;
        let section = Section::of_load("the mission's load", took, &results, usage)?;
        for name in [BEFORE, AFTER] {
            let sustained = stage(&section, name)?;
            // What the spike left behind at the beginning of the stage belongs to the spike: the recovery figure covers it.
            let failed = self.failed_after_recovery(name, &results.seconds, sustained.failed_percent);
            bench.figure(
                &format!("mission: failed interactions, {name}"),
                failed,
                "%",
                Bound::Below(0.1),
            );
            bench.figure(
                &format!("mission: intended → defer received, p99, {name}"),
                sustained.first.p99_ms,
                "ms",
                Bound::Reported,
            );
            bench.figure(
                &format!("mission: intended → defer received, p95, {name}"),
                sustained.first.p95_ms,
                "ms",
                Bound::Reported,
            );
            bench.figure(
                &format!("mission: intended → full answer, p95, {name}"),
                sustained.answer.p95_ms,
                "ms",
                Bound::Reported,
            );
            bench.figure(
                &format!("mission: intended → full answer, p99, {name}"),
                sustained.answer.p99_ms,
                "ms",
                Bound::Reported,
            );
        }
        let ingestor = platform.scrape("ingestor").await?.since(&before);
        let lag = ingestor.quantile_ms("arrakis_ingestor_confirm_seconds", 0.99)?;
        bench.figure(
            "mission: ingestor, frame received → confirmed, p99 of all stages",
            lag,
            "ms",
            Bound::Reported,
        );
        let wrong = errors.end(platform).await?;
        let made = section.load.iter().map(|load| load.counts.made).sum();
        bench
            .notes
            .push(format!("the mission's load, all events of all stages: {wrong}"));
        bench.figure(
            "mission: dead letters, retries, unknown outcomes and events never handled, all stages",
            wrong.percent_of(made),
            "%",
            Bound::Below(0.1),
        );
        #[expect(clippy::cast_precision_loss, reason = "counts of events")]
        let waited = wrong.waited as f64;
        bench.figure(
            "mission: member events that waited at the end",
            waited,
            "",
            Bound::Reported,
        );
        let drained = wrong.drained.as_secs_f64();
        bench.figure("mission: time until none waited", drained, "s", Bound::Reported);
        let spike = stage(&section, SPIKE)?;
        bench.figure(
            "mission: failed interactions in the spike",
            spike.failed_percent,
            "%",
            Bound::Reported,
        );
        #[expect(clippy::cast_precision_loss, reason = "counts of events")]
        let answered = spike.counts.answered as f64 / (self.seconds / 13.0);
        bench.figure(
            "mission: interactions answered in the spike",
            answered,
            "/s",
            Bound::Reported,
        );
        let recovery = self.recovery(&results.seconds);
        bench.figure(
            "mission: back to normal after the spike",
            recovery,
            "s",
            Bound::Below(60.0),
        );
        bench.sections.push(section);
        Ok(())
    }

    /// Second in which the spike ends.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "seconds of a run"
    )]
    fn spike_ends(self) -> u64 {
        (self.seconds / 13.0 * 7.0).ceil() as u64
    }

    /// Seconds from the end of the spike until operation is normal and stays so; infinite without a recovery.
    fn recovery(self, seconds: &[Second]) -> f64 {
        let after: Vec<&Second> = seconds
            .iter()
            .filter(|second| second.second >= self.spike_ends())
            .collect();
        let usual = |second: &&Second| {
            percent(second.counts.failed(), second.counts.interactions()) <= NORMAL.0
                && second.intended_to_first_p99_us <= NORMAL.1
        };
        let calm = after
            .windows(NORMAL_SECONDS)
            .position(|window| window.iter().all(usual));
        #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
        calm.map_or(f64::INFINITY, |seconds| seconds as f64)
    }

    /// Share of failures in a sustained stage; after the spike, from the end of the recovery.
    fn failed_after_recovery(self, stage: &str, seconds: &[Second], whole: f64) -> f64 {
        if stage != AFTER {
            return whole;
        }
        let recovery = self.recovery(seconds);
        if !recovery.is_finite() {
            return whole;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "seconds of a run"
        )]
        let from = self.spike_ends() + recovery as u64;
        let calm = seconds.iter().filter(|second| second.second >= from);
        let (failed, all) = calm.fold((0, 0), |(failed, all), second| {
            (failed + second.counts.failed(), all + second.counts.interactions())
        });
        percent(failed, all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrakis_emulator_client::load::Counts;

    fn second(second: u64, made: u64, expired: u64, first_us: u64) -> Second {
        Second {
            second,
            counts: Counts {
                made,
                expired,
                answered: made - expired,
                ..Counts::default()
            },
            intended_to_first_p99_us: first_us,
            intended_to_answer_p99_us: first_us,
        }
    }

    #[test]
    fn mission_load_keeps_its_proportions() {
        let whole = MissionLoad { seconds: MISSION_S }.stages();
        let minutes: Vec<f64> = whole.iter().map(|stage| stage.seconds / 60.0).collect();
        assert_eq!(minutes, [1.0, 5.0, 1.0, 5.0, 1.0]);
        let short: f64 = MissionLoad { seconds: 120.0 }
            .stages()
            .iter()
            .map(|stage| stage.seconds)
            .sum();
        assert!((short - 120.0).abs() < 1e-9);
    }

    #[test]
    fn recovery_counts_from_spike_end_to_lasting_normal_operation() {
        let load = MissionLoad { seconds: 13.0 };
        let run = |expired: [u64; 6]| -> Vec<Second> {
            (7..)
                .zip(expired)
                .map(|(n, expired)| second(n, 1_000, expired, 5_000))
                .collect()
        };
        assert_eq!(load.recovery(&run([0; 6])), 0.0);
        assert_eq!(load.recovery(&run([900, 0, 3, 0, 0, 0])), 3.0);
        assert_eq!(load.recovery(&run([900, 900, 900, 900, 0, 0])), f64::INFINITY);
        let slow: Vec<Second> = (7..13).map(|n| second(n, 1_000, 0, 2_000_000)).collect();
        assert_eq!(load.recovery(&slow), f64::INFINITY, "late is not normal");
        assert_eq!(load.failed_after_recovery(AFTER, &run([900, 0, 3, 0, 0, 0]), 15.0), 0.0);
    }
}
