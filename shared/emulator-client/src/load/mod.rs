//! `/control/load`: open-loop load by the emulator's generator.

mod request;
mod results;

pub use request::{Arrivals, Kind, Load, LoadStarted, Stage};
pub use results::{
    Counts, Event, HistogramError, KindResult, Latency, Outcome, Progress, Results, RunState, Second, StageResult,
};
