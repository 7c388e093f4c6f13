//! The mission's shape: a rise, five minutes at 1,000 events a second, a minute at 5,000, five more minutes, a fall. Half of
//! the events are commands, as in a lively community.
//!
//! Thirteen minutes in full; a shorter one keeps the proportions. The sustained stages are held to 0.1 % of failures; the
//! spike is more than two cores can do and is held to a rule: commands before all else, what expires is counted, and soon
//! after it everything is as before.

use arrakis_emulator_client::load::{Load, Second, Stage};

use super::community_life;
use super::errors::Errors;
use super::path::{loaded, stage};
use crate::bench::section::percent;
use crate::bench::{Bench, Bound, Section, Site};

/// Length of the whole shape, seconds.
pub(super) const MISSION_S: f64 = 780.0;
/// Share of a sustained stage that is its warm-up, and most seconds of it.
const WARM_UP: (f64, f64) = (0.1, 10.0);
/// Failures in a second that count as none, in percent, and the first response's p99 that counts as usual.
const USUAL: (f64, u64) = (0.1, 1_000_000);
/// Seconds in a row that must be as usual.
const CALM: usize = 3;

const BEFORE: &str = "1,000/s before";
const SPIKE: &str = "spike at 5,000/s";
const AFTER: &str = "1,000/s after";

/// The shape in some length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Of all stages together.
    pub(super) seconds: f64,
}

impl Shape {
    fn stages(self) -> Vec<Stage> {
        let minute = self.seconds / 13.0;
        let warm_up = (5.0 * minute * WARM_UP.0).min(WARM_UP.1);
        vec![
            Stage::slope("rise to 100/s", 0.0, 100.0, minute),
            Stage::steady(BEFORE, 1_000.0, 5.0 * minute).warming_up(warm_up),
            Stage::steady(SPIKE, 5_000.0, minute),
            Stage::steady(AFTER, 1_000.0, 5.0 * minute).warming_up(warm_up),
            Stage::slope("fall to 0", 1_000.0, 0.0, minute),
        ]
    }

    /// Makes the load and judges it.
    pub(super) async fn measure(self, bench: &mut Bench, site: &Site) -> anyhow::Result<()> {
        bench.say(&format!("the mission's shape in {:.0} s", self.seconds));
        let load = Load {
            stages: self.stages(),
            ..Load::steady(bench.options.seed, 1.0, 1.0, community_life())
        };
        let before = site.scrape("ingestor").await?;
        let errors = Errors::begin(site).await?;
        let (results, took, usage) = loaded(site, &load).await?;
        let section = Section::of_load("the mission's shape", took, &results, usage)?;
        for name in [BEFORE, AFTER] {
            let sustained = stage(&section, name)?;
            // What the spike left behind at the beginning of the stage is the spike's; it is judged by the recovery.
            let failed = self.failed_when_calm(name, &results.seconds, sustained.failed_percent);
            bench.figure(
                &format!("mission: failed of the interactions, {name}"),
                failed,
                "%",
                Bound::Below(0.1),
            );
            bench.figure(
                &format!("mission: intended → defer received, p99, {name}"),
                sustained.first.p99_ms,
                "ms",
                Bound::Told,
            );
            bench.figure(
                &format!("mission: intended → whole answer, p99, {name}"),
                sustained.answer.p99_ms,
                "ms",
                Bound::Told,
            );
        }
        let ingestor = site.scrape("ingestor").await?.since(&before);
        let lag = ingestor.quantile_ms("arrakis_ingestor_confirm_seconds", 0.99)?;
        bench.figure(
            "mission: ingestor, frame received → confirmed, p99 of all stages",
            lag,
            "ms",
            Bound::Told,
        );
        let wrong = errors.end(site).await?;
        let made = section.load.iter().map(|load| load.counts.made).sum();
        bench
            .notes
            .push(format!("the mission's shape, all events of all stages: {wrong}"));
        bench.figure(
            "mission: dead letters, retries, unknown outcomes and events never handled, all stages",
            wrong.percent_of(made),
            "%",
            Bound::Below(0.1),
        );
        #[expect(clippy::cast_precision_loss, reason = "counts of events")]
        let waited = wrong.waited as f64;
        bench.figure("mission: member events that waited at the end", waited, "", Bound::Told);
        let drained = wrong.drained.as_secs_f64();
        bench.figure("mission: until none waited any more", drained, "s", Bound::Told);
        let spike = stage(&section, SPIKE)?;
        bench.figure(
            "mission: failed of the interactions in the spike",
            spike.failed_percent,
            "%",
            Bound::Told,
        );
        #[expect(clippy::cast_precision_loss, reason = "counts of events")]
        let answered = spike.counts.answered as f64 / (self.seconds / 13.0);
        bench.figure(
            "mission: interactions answered in the spike",
            answered,
            "/s",
            Bound::Told,
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

    /// Seconds from the end of the spike until everything is as usual and stays so; infinite where it never is.
    fn recovery(self, seconds: &[Second]) -> f64 {
        let after: Vec<&Second> = seconds
            .iter()
            .filter(|second| second.second >= self.spike_ends())
            .collect();
        let usual = |second: &&Second| {
            percent(second.counts.failed(), second.counts.interactions()) <= USUAL.0
                && second.intended_to_first_p99_us <= USUAL.1
        };
        let calm = after.windows(CALM).position(|window| window.iter().all(usual));
        #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
        calm.map_or(f64::INFINITY, |seconds| seconds as f64)
    }

    /// Share of failures in a sustained stage; in the one behind the spike, from the moment at which it has recovered.
    fn failed_when_calm(self, stage: &str, seconds: &[Second], whole: f64) -> f64 {
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
    fn the_shape_keeps_the_missions_proportions() {
        let whole = Shape { seconds: MISSION_S }.stages();
        let minutes: Vec<f64> = whole.iter().map(|stage| stage.seconds / 60.0).collect();
        assert_eq!(minutes, [1.0, 5.0, 1.0, 5.0, 1.0]);
        let short: f64 = Shape { seconds: 120.0 }
            .stages()
            .iter()
            .map(|stage| stage.seconds)
            .sum();
        assert!((short - 120.0).abs() < 1e-9);
    }

    #[test]
    fn recovery_is_counted_from_the_end_of_the_spike_to_calm_that_lasts() {
        let shape = Shape { seconds: 13.0 };
        let run = |expired: [u64; 6]| -> Vec<Second> {
            (7..)
                .zip(expired)
                .map(|(n, expired)| second(n, 1_000, expired, 5_000))
                .collect()
        };
        assert_eq!(shape.recovery(&run([0; 6])), 0.0);
        assert_eq!(shape.recovery(&run([900, 0, 3, 0, 0, 0])), 3.0);
        assert_eq!(shape.recovery(&run([900, 900, 900, 900, 0, 0])), f64::INFINITY);
        let slow: Vec<Second> = (7..13).map(|n| second(n, 1_000, 0, 2_000_000)).collect();
        assert_eq!(shape.recovery(&slow), f64::INFINITY, "late is not normal");
        assert_eq!(shape.failed_when_calm(AFTER, &run([900, 0, 3, 0, 0, 0]), 15.0), 0.0);
    }
}
