//! The plan: what has to happen so that a server is what its configuration says.
//!
//! Owns the comparison and every decision that follows from it. Refuses input and output, clocks and chance: equal
//! arguments give equal plans.

mod document;

pub use document::{
    Action, Change, Counts, Drift, MadeFrom, Mode, Place, Plan, PlanFileError, Reason, Reorder, Step, VERSION,
};
