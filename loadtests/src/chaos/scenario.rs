//! The type of a scenario.

use std::fmt;
use std::pin::Pin;

use serde::Serialize;

use super::Testbed;

/// A property that must hold during every fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Invariant {
    /// Every confirmed event has its effect, is in the dead-letter queue, or is still queued.
    I1,
    /// Each event has at most one effect.
    I2,
    /// An interaction is deferred within three seconds or counted as expired; it is never answered late.
    I3,
    /// Discord receives no more than its limits allow, and nothing after the token is dead.
    I4,
    /// The platform recovers within the stated time, without a person and without restarting what was healthy.
    I5,
    /// The metric and the health component of the fault change, and its alert fires.
    I6,
    /// Memory stays bounded.
    I7,
    /// No tenant reads another tenant's rows.
    I8,
}

impl Invariant {
    /// All invariants.
    pub const ALL: [Self; 8] = [
        Self::I1,
        Self::I2,
        Self::I3,
        Self::I4,
        Self::I5,
        Self::I6,
        Self::I7,
        Self::I8,
    ];

    /// The condition that holds, as in `docs/faults.md`.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::I1 => "every confirmed event has its effect, is in the dead-letter queue, or is still queued",
            Self::I2 => "each event has at most one effect",
            Self::I3 => {
                "an interaction is deferred within three seconds or counted as expired; it is never answered late"
            }
            Self::I4 => "Discord receives no more than its limits allow, and nothing after the token is dead",
            Self::I5 => {
                "the platform recovers within the stated time, without a person and without restarting what was healthy"
            }
            Self::I6 => "the metric and the health component of the fault change, and its alert fires",
            Self::I7 => "memory stays bounded",
            Self::I8 => "no tenant reads another tenant's rows",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// The code that protects against a fault, and how it is disabled.
#[derive(Debug, Clone, Copy)]
pub enum Guard {
    /// Fail points that are armed in every process of Arrakis, such as `db.guard.inbox=skip`.
    FailPoint(&'static str),
    /// There is no fail point: the scenario itself changes something when [`Testbed::guarded`] is false, which this text
    /// describes.
    Harness(&'static str),
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FailPoint(spec) => write!(f, "fail point {spec}"),
            Self::Harness(text) => f.write_str(text),
        }
    }
}

/// The future of a running scenario.
pub type ScenarioFuture<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

/// A fault of the catalogue, injected in one way.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Fault number in the catalogue (`docs/faults.md`). Several scenarios may share one.
    pub fault: u8,
    /// Name on the command line.
    pub name: &'static str,
    /// The fault, in a few words.
    pub what: &'static str,
    /// Invariants that the scenario checks.
    pub proves: &'static [Invariant],
    /// Alerts that fire, by name; none where the platform recovers before an operator would act.
    pub alerts: &'static [&'static str],
    /// What is expected beyond the invariants: the bound on recovery, or the end state.
    pub expected: &'static str,
    /// The code that protects against the fault.
    pub guard: Guard,
    /// What was observed without the guard; empty where only a failure was recorded.
    pub without_guard: &'static str,
    /// The function that runs the scenario.
    pub run: for<'a> fn(&'a mut Testbed) -> ScenarioFuture<'a>,
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.fault, self.name)
    }
}
