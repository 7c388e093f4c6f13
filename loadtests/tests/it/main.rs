//! The whole platform, as processes, on real services.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod browser;
mod demo;
mod page;
mod seed;
