//! Plans that are applied to the emulator in process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here has found what it looks for"
)]

mod altered;
mod answers;
mod apply;
mod bench;
mod endpoints;
mod failures;
mod full;
mod http;
mod interruptions;
mod kinds;
mod laws;
mod lost;
mod pace;
mod pending;
mod preflight;
mod private;
mod restore;
mod store;
mod support;
mod unreadable;
