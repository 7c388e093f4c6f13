//! A measured figure and its threshold.

use serde::{Deserialize, Serialize};

/// The threshold of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The value must be below this.
    Below(f64),
    /// The value must be at least this.
    AtLeast(f64),
    /// No threshold: the value is only reported.
    Reported,
}

impl Bound {
    /// Whether a value satisfies the threshold. NaN satisfies none.
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::Below(most) => value < most,
            Self::AtLeast(least) => value >= least,
            Self::Reported => value.is_finite(),
        }
    }
}

/// One measured figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Name; baselines are compared by it.
    pub name: String,
    /// The measured value.
    pub value: f64,
    /// Unit, for example `ms`, `µs`, `%`.
    pub unit: String,
    /// The threshold.
    pub bound: Bound,
}

impl Figure {
    /// Creates a figure.
    pub fn new(name: &str, value: f64, unit: &str, bound: Bound) -> Self {
        Self {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
            bound,
        }
    }

    /// Whether the value satisfies the threshold.
    pub fn holds(&self) -> bool {
        self.bound.holds(self.value)
    }

    /// The threshold as text; empty without one.
    pub fn target(&self) -> String {
        match self.bound {
            Bound::Below(most) => format!("< {most} {}", self.unit),
            Bound::AtLeast(least) => format!("≥ {least} {}", self.unit),
            Bound::Reported => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_holds_only_on_its_side() {
        assert!(Bound::Below(5.0).holds(4.9) && !Bound::Below(5.0).holds(5.0));
        assert!(Bound::AtLeast(90.0).holds(90.0) && !Bound::AtLeast(90.0).holds(89.9));
        for bound in [Bound::Below(5.0), Bound::AtLeast(5.0), Bound::Reported] {
            assert!(!bound.holds(f64::NAN), "{bound:?}");
        }
    }
}
