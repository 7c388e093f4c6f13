//! The planner.

mod cases;
mod generate;
mod laws;
mod limits;
mod size;
pub(crate) mod world;
