//! The same measured several times in a run, by turns with what it is compared with.
//!
//! A machine that is shared is now and then half as fast for some seconds. A single stretch tells of that as much as of what is
//! measured; the middle one of several tells of what is measured. All of them stand in the report.

use super::{Bench, Bound, Figure};

/// Figures of several rounds.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    figures: Vec<(Figure, Which, Vec<f64>)>,
}

/// Which round counts.
#[derive(Debug, Clone, Copy)]
enum Which {
    Middle,
    Most,
}

impl Rounds {
    /// Adds what one round has found, of which the middle counts. The first round's unit and bound hold.
    pub(super) fn figure(&mut self, name: &str, value: f64, unit: &str, bound: Bound) {
        self.add(Which::Middle, name, value, unit, bound);
    }

    /// As [`Rounds::figure`], but the largest counts: what must not happen must not happen in any round.
    pub(super) fn most(&mut self, name: &str, value: f64, unit: &str, bound: Bound) {
        self.add(Which::Most, name, value, unit, bound);
    }

    fn add(&mut self, which: Which, name: &str, value: f64, unit: &str, bound: Bound) {
        match self.figures.iter_mut().find(|(figure, ..)| figure.name == name) {
            Some((_, _, values)) => values.push(value),
            None => self
                .figures
                .push((Figure::new(name, value, unit, bound), which, vec![value])),
        }
    }

    /// Hands on one value of each figure, and all rounds of those that are judged as a note.
    pub(super) fn tell(self, bench: &mut Bench) {
        for (figure, which, values) in self.figures {
            if figure.bound != Bound::Told && values.len() > 1 {
                let rounds: Vec<String> = values.iter().map(|value| format!("{value:.1}")).collect();
                bench.notes.push(format!(
                    "{}: by rounds {} {}",
                    figure.name,
                    rounds.join(", "),
                    figure.unit
                ));
            }
            bench.figure(&figure.name, which.of(values), &figure.unit, figure.bound);
        }
    }
}

impl Which {
    /// Of an odd number of rounds; of an even one, the middle is the upper of two.
    fn of(self, mut values: Vec<f64>) -> f64 {
        values.sort_by(f64::total_cmp);
        let value = match self {
            Self::Middle => values.get(values.len() / 2),
            Self::Most => values.last(),
        };
        value.copied().unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_round_of_three_decides_nothing() {
        assert!((Which::Middle.of(vec![105.0, 148.0, 117.0]) - 117.0).abs() < f64::EPSILON);
        assert!((Which::Middle.of(vec![4.0]) - 4.0).abs() < f64::EPSILON);
    }

    #[test]
    fn one_round_that_failed_is_told() {
        assert!((Which::Most.of(vec![0.0, 5.0, 0.0]) - 5.0).abs() < f64::EPSILON);
    }
}
