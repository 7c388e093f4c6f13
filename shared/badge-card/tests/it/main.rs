//! Drawn cards, decoded and compared by regions.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that cannot continue fails with the reason"
)]

mod image;

mod golden;
mod names;
mod operators_art;
