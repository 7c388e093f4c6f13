//! The same measured several times in a run, by turns with what it is compared with.
//!
//! A machine that is shared is now and then half as fast for some seconds. A single stretch tells of that as much as of what is
//! measured; the middle one of several tells of what is measured. All of them stand in the report.

use super::{Bench, Bound, Figure};

/// Figures of several rounds.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    figures: Vec<(Figure, Vec<f64>)>,
}

impl Rounds {
    /// Adds what one round has found. The first one's unit and bound count.
    pub(super) fn figure(&mut self, name: &str, value: f64, unit: &str, bound: Bound) {
        match self.figures.iter_mut().find(|(figure, _)| figure.name == name) {
            Some((_, values)) => values.push(value),
            None => self.figures.push((Figure::new(name, value, unit, bound), vec![value])),
        }
    }

    /// Hands on the middle of each figure, and all rounds of those that are judged as a note.
    pub(super) fn tell(self, bench: &mut Bench) {
        for (figure, values) in self.figures {
            if figure.bound != Bound::Told && values.len() > 1 {
                let rounds: Vec<String> = values.iter().map(|value| format!("{value:.1}")).collect();
                bench.notes.push(format!(
                    "{}: by rounds {} {}",
                    figure.name,
                    rounds.join(", "),
                    figure.unit
                ));
            }
            bench.figure(&figure.name, middle(values), &figure.unit, figure.bound);
        }
    }
}

/// The middle one; of an even number, the mean of the two.
fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match (values.get(half), values.len() % 2) {
        (Some(value), 1) => *value,
        (Some(value), _) => f64::midpoint(*value, values[half - 1]),
        (None, _) => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_round_of_three_decides_nothing() {
        assert!((middle(vec![105.0, 148.0, 117.0]) - 117.0).abs() < f64::EPSILON);
        assert!((middle(vec![4.0, 2.0]) - 3.0).abs() < f64::EPSILON);
        assert!((middle(vec![4.0]) - 4.0).abs() < f64::EPSILON);
    }
}
