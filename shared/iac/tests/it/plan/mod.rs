//! The planner.

mod cases;
mod generate;
mod held;
mod laws;
mod limits;
mod lost;
mod restore;
mod size;
pub(crate) mod world;
