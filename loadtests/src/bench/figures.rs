//! A figure with what it must be.

use serde::{Deserialize, Serialize};

/// What a figure must be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Below this.
    Below(f64),
    /// At least this.
    AtLeast(f64),
    /// It is told, not judged.
    Told,
}

impl Bound {
    /// Whether a value keeps it. What is not a number keeps nothing.
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::Below(most) => value < most,
            Self::AtLeast(least) => value >= least,
            Self::Told => value.is_finite(),
        }
    }
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it is; the same from release to release.
    pub name: String,
    /// What was measured.
    pub value: f64,
    /// e.g. `ms`, `µs`, `%`.
    pub unit: String,
    /// What it must be.
    pub bound: Bound,
}

impl Figure {
    /// A figure.
    pub fn new(name: &str, value: f64, unit: &str, bound: Bound) -> Self {
        Self {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
            bound,
        }
    }

    /// Whether it is as it must be.
    pub fn holds(&self) -> bool {
        self.bound.holds(self.value)
    }

    /// The bound in words.
    pub fn target(&self) -> String {
        match self.bound {
            Bound::Below(most) => format!("< {most} {}", self.unit),
            Bound::AtLeast(least) => format!("≥ {least} {}", self.unit),
            Bound::Told => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_kept_or_missed() {
        assert!(Bound::Below(5.0).holds(4.9) && !Bound::Below(5.0).holds(5.0));
        assert!(Bound::AtLeast(90.0).holds(90.0) && !Bound::AtLeast(90.0).holds(89.9));
        for bound in [Bound::Below(5.0), Bound::AtLeast(5.0), Bound::Told] {
            assert!(!bound.holds(f64::NAN), "{bound:?}");
        }
    }
}
