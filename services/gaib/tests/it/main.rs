//! Sessions with the real binary against the emulator.
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

mod bad_files;
mod broken;
mod by_hand;
mod examples;
mod images;
mod interrupted;
mod killed;
mod messages;
mod normal;
mod ownership;
mod proxy;
mod selection;
mod session;
mod state_files;
mod taken_in;
mod teaching;
mod texts;
mod together;
mod unreadable;
mod workflow;
