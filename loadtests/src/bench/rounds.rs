//! Figures of several rounds within one run, alternating with what they are compared with.
//!
//! A shared machine is at times half as fast for some seconds, which distorts a single measurement; the median of several
//! rounds is stable. The report contains all rounds.

use super::{Bench, Bound, Figure};

/// Figures of several rounds.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    figures: Vec<(Figure, Aggregate, Vec<f64>)>,
}

/// How the rounds of a figure are combined.
#[derive(Debug, Clone, Copy)]
enum Aggregate {
    Median,
    Max,
}

impl Rounds {
    /// Adds a value of one round; the median counts. The unit and the threshold of the first round apply.
    pub(super) fn figure(&mut self, name: &str, value: f64, unit: &str, bound: Bound) {
        self.add(Aggregate::Median, name, value, unit, bound);
    }

    /// As [`Rounds::figure`], but the largest value counts: for failures, which no round may have.
    pub(super) fn most(&mut self, name: &str, value: f64, unit: &str, bound: Bound) {
        self.add(Aggregate::Max, name, value, unit, bound);
    }

    fn add(&mut self, which: Aggregate, name: &str, value: f64, unit: &str, bound: Bound) {
        match self.figures.iter_mut().find(|(figure, ..)| figure.name == name) {
            Some((_, _, values)) => values.push(value),
            None => self
                .figures
                .push((Figure::new(name, value, unit, bound), which, vec![value])),
        }
    }

    /// Adds one value of each figure to the report, and all rounds of figures with a threshold as a note.
    pub(super) fn report(self, bench: &mut Bench) {
        for (figure, which, values) in self.figures {
            if figure.bound != Bound::Reported && values.len() > 1 {
                let rounds: Vec<String> = values.iter().map(|value| format!("{value:.1}")).collect();
                bench
                    .notes
                    .push(format!("{}: rounds {} {}", figure.name, rounds.join(", "), figure.unit));
            }
            bench.figure(&figure.name, which.of(values), &figure.unit, figure.bound);
        }
    }
}

impl Aggregate {
    /// The median of an even number of rounds is the upper one of the two in the middle.
    fn of(self, mut values: Vec<f64>) -> f64 {
        values.sort_by(f64::total_cmp);
        let value = match self {
            Self::Median => values.get(values.len() / 2),
            Self::Max => values.last(),
        };
        value.copied().unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_round_of_three_does_not_change_the_median() {
        assert!((Aggregate::Median.of(vec![105.0, 148.0, 117.0]) - 117.0).abs() < f64::EPSILON);
        assert!((Aggregate::Median.of(vec![4.0]) - 4.0).abs() < f64::EPSILON);
    }

    #[test]
    fn one_failed_round_is_reported() {
        assert!((Aggregate::Max.of(vec![0.0, 5.0, 0.0]) - 5.0).abs() < f64::EPSILON);
    }
}
