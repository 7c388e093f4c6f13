//! The planner.

mod cases;
mod generate;
mod laws;
mod size;
mod world;
