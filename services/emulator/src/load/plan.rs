//! The schedule: stages of rates, and the time of each event.

use arrakis_emulator_client::load::{Arrivals, LoadStage};
use rand::{RngExt as _, rngs::StdRng};

use super::{ActingMember, EventKind};

/// Largest number of events of a run; each takes about 80 bytes of memory.
pub(crate) const MAX_EVENTS: f64 = 10_000_000.0;
/// Longest run in seconds: times are kept as microseconds in 32 bits.
pub(crate) const MAX_SECONDS: f64 = 4_200.0;

/// Expected number of events of a stage.
pub(crate) fn events_of(stage: &LoadStage) -> f64 {
    f64::midpoint(stage.first_rate(), stage.rate) * stage.seconds
}

/// When the `n`th event of a stage is due, in seconds since the stage began: the inverse of `first·t + slope·t²/2`.
fn due_s(stage: &LoadStage, n: f64) -> f64 {
    let first = stage.first_rate();
    let slope = (stage.rate - first) / stage.seconds;
    if slope.abs() < 1e-9 {
        return n / first;
    }
    (2.0_f64.mul_add(slope * n, first * first).max(0.0).sqrt() - first) / slope
}

/// Describes what is wrong with a stage.
pub(crate) fn problem_of(stage: &LoadStage) -> Option<String> {
    let rates = [stage.rate, stage.first_rate()];
    let sound = stage.seconds > 0.0
        && stage.warm_up_s >= 0.0
        && rates.iter().all(|rate| (0.0..=100_000.0).contains(rate))
        && rates.iter().any(|rate| *rate > 0.0);
    (!sound).then(|| {
        format!(
            "stage {:?} has no length, or a rate that is not between 0 and 100,000",
            stage.name
        )
    })
}

/// A validated load run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Seed of what is random.
    pub(crate) seed: u64,
    /// How events are spread.
    pub(crate) arrivals: Arrivals,
    /// Stages in order.
    pub(crate) stages: Vec<LoadStage>,
    /// Kinds of events with weights.
    pub(crate) kinds: Vec<EventKind>,
    /// Members who act in turn.
    pub(crate) members: Vec<ActingMember>,
}

/// An event of the schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct DueEvent {
    /// Number of the stage.
    pub(super) stage: usize,
    /// Microseconds since the run began.
    pub(super) at_us: u32,
    /// Whether it is within the stage's warm-up.
    pub(super) warm_up: bool,
}

/// The events of a plan, in order.
#[derive(Debug)]
pub(super) struct Schedule<'a> {
    stages: &'a [LoadStage],
    arrivals: Arrivals,
    stage: usize,
    /// Beginning of the stage in seconds since the run began.
    began_s: f64,
    /// Events of this stage so far; fractional, because the gaps between arrivals are.
    position: f64,
}

impl<'a> Schedule<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        Self {
            stages: &plan.stages,
            arrivals: plan.arrivals,
            stage: 0,
            began_s: 0.0,
            position: 0.0,
        }
    }

    /// The next event; `None` at the end.
    pub(super) fn next(&mut self, random: &mut StdRng) -> Option<DueEvent> {
        self.position += match self.arrivals {
            Arrivals::Even => 1.0,
            Arrivals::Poisson => -(1.0 - random.random::<f64>()).ln(),
        };
        loop {
            let stage = self.stages.get(self.stage)?;
            let left = self.position - events_of(stage);
            if left <= 0.0 {
                let within_s = due_s(stage, self.position);
                return Some(DueEvent {
                    stage: self.stage,
                    at_us: micros(self.began_s + within_s),
                    warm_up: within_s < stage.warm_up_s,
                });
            }
            // The rest of the gap belongs to the next stage, so that no stage begins with a pause.
            self.position = left;
            self.began_s += stage.seconds;
            self.stage += 1;
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a run is at most MAX_SECONDS long and begins at 0"
)]
fn micros(seconds: f64) -> u32 {
    (seconds * 1e6) as u32
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn moments(arrivals: Arrivals, stages: &[(f64, f64, f64)]) -> Vec<DueEvent> {
        let stages: Vec<LoadStage> = stages
            .iter()
            .map(|(seconds, from, rate)| LoadStage {
                name: "s".to_owned(),
                seconds: *seconds,
                rate: *rate,
                from: Some(*from),
                warm_up_s: 0.5,
            })
            .collect();
        let plan = Plan {
            seed: 1,
            arrivals,
            stages,
            kinds: Vec::new(),
            members: Vec::new(),
        };
        let mut schedule = Schedule::new(&plan);
        let mut random = StdRng::seed_from_u64(1);
        std::iter::from_fn(|| schedule.next(&mut random)).collect()
    }

    #[test]
    fn even_arrivals_have_equal_gaps_and_go_on_over_stages() {
        let due = moments(Arrivals::Even, &[(1.0, 10.0, 10.0), (1.0, 100.0, 100.0)]);
        assert_eq!(due.len(), 110);
        assert_eq!(due[0].at_us, 100_000);
        assert_eq!((due[9].at_us, due[9].stage), (1_000_000, 0));
        assert_eq!((due[10].at_us, due[10].stage), (1_010_000, 1));
        assert!(due[10].warm_up && !due[9].warm_up);
    }

    #[test]
    fn a_slope_has_the_events_of_its_mean_rate_and_most_of_them_where_it_is_steep() {
        let up = moments(Arrivals::Even, &[(10.0, 0.0, 100.0)]);
        assert_eq!(up.len(), 500);
        let early = up.iter().filter(|due| due.at_us < 5_000_000).count();
        assert_eq!(
            early,
            125 - 1,
            "a quarter of the events in the first half, the 125th right at its end"
        );
        let down = moments(Arrivals::Even, &[(10.0, 100.0, 0.0)]);
        assert_eq!(down.len(), 500);
        assert!(down.is_sorted_by_key(|due| due.at_us));
        assert!(down[499].at_us <= 10_000_000);
    }

    #[test]
    fn independent_arrivals_keep_the_rate_and_bunch() {
        let due = moments(Arrivals::Poisson, &[(20.0, 500.0, 500.0)]);
        assert!((9_600..10_400).contains(&due.len()), "{}", due.len());
        assert!(due.is_sorted_by_key(|due| due.at_us));
        let short = due
            .windows(2)
            .filter(|pair| pair[1].at_us - pair[0].at_us < 500)
            .count();
        assert!(
            (2_000..2_500).contains(&short),
            "1 - e^-0.25 of the gaps are below a quarter of the mean: {short}"
        );
    }
}
