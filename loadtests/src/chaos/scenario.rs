//! What a scenario is.

use std::fmt;
use std::pin::Pin;

use serde::Serialize;

use super::Stage;

/// What must stay true, whatever is thrown at the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Invariant {
    /// Every confirmed event is an effect, or in the dead-letter queue, or still queued.
    I1,
    /// At most one effect for each event.
    I2,
    /// An interaction is deferred within three seconds or counted as expired; never answered late.
    I3,
    /// Discord sees at most its limits, and nothing after a token is dead.
    I4,
    /// Recovery within the stated bound, no person needed, no restart of what was healthy.
    I5,
    /// The metric and the alert that should speak, speak.
    I6,
    /// Memory stays bounded.
    I7,
    /// No tenant sees another's rows.
    I8,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// What keeps a scenario green, and how it is taken away.
#[derive(Debug, Clone, Copy)]
pub enum Guard {
    /// Points that are armed in every process of Arrakis, such as `db.guard.inbox=skip`.
    FailPoint(&'static str),
    /// What the scenario does differently when [`Stage::guarded`] says no, in words.
    Harness(&'static str),
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FailPoint(spec) => write!(f, "fail point {spec}"),
            Self::Harness(words) => f.write_str(words),
        }
    }
}

/// A scenario under way.
pub type Running<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

/// A fault of the catalogue, thrown in one way.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Row of the catalogue (`docs/faults.md`). Several scenarios may share one.
    pub fault: u8,
    /// Name on the command line.
    pub name: &'static str,
    /// What is done, in a few words.
    pub what: &'static str,
    /// What it proves.
    pub proves: &'static [Invariant],
    /// What it is that keeps it green.
    pub guard: Guard,
    /// Does it.
    pub run: for<'a> fn(&'a mut Stage) -> Running<'a>,
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.fault, self.name)
    }
}
