//! `/control/load`: open-loop load by the emulator's generator.

mod request;
mod results;

pub use request::{Arrivals, EventKind, Load, LoadStage, LoadStarted};
pub use results::{
    Counts, Event, HistogramError, KindResult, Latency, Outcome, Progress, Results, RunState, Second, StageResult,
};
