//! Sessions with the real binary against the emulator.
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

mod broken;
mod by_hand;
mod interrupted;
mod killed;
mod normal;
mod session;
mod teaching;
mod together;
mod workflow;
