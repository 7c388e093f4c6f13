//! Tests on a real EVM (anvil), with a proxy in front of it that refuses, lies and fails.

#![expect(clippy::unwrap_used, reason = "a test that cannot have what it needs has failed")]

mod failover;
mod finality;
mod lies;
mod native;
mod pieces;
mod ranges;
mod secrets;
mod support;
mod transfers;
