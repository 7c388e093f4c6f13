//! Tests of the policy gate, one file for each of its inputs.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

mod command;
mod cost;
mod custom;
mod estimate;
mod gaib;
mod hostile;
mod laws;
mod support;
mod terraform;
