//! The engine as its callers meet it.
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

mod examples;
mod export;
mod plan;
mod random;
