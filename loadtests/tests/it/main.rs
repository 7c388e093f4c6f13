//! Tests of the whole platform, as processes, on real services.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test reports a failure by panicking"
)]

mod bench;
mod browser;
mod chaos;
mod command_line;
mod demo;
mod documents;
mod faults_page;
mod operations;
mod page;
mod pipes;
mod recovery;
mod screenshots;
mod seed;
mod traces;
