//! The planner.

mod cases;
mod generate;
mod laws;
mod size;
pub(crate) mod world;
