//! Themes as operators and services use them.
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

mod badges;
mod boundaries;
mod operators;
mod readme;
mod refusals;
mod shipped;
mod specification;
