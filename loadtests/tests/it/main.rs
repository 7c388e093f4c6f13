//! The whole platform, as processes, on real services.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and says why"
)]

mod bench;
mod browser;
mod chaos;
mod demo;
mod page;
mod pipes;
mod seed;
