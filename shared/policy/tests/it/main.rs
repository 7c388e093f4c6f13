//! Tests of the policy gate, one file for each of its inputs.

mod command;
mod cost;
mod custom;
mod estimate;
mod gaib;
mod hostile;
mod laws;
mod support;
mod terraform;
