//! The gateway's protocol.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail by panicking"
)]

mod close_codes;
mod compression;
mod faults;
mod heartbeat;
mod identify;
mod intents;
mod leniency;
mod load;
mod requests;
mod resume;
mod shards;
mod twilight;
