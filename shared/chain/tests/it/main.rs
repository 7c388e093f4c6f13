//! Tests on a real EVM (anvil), with a proxy in front of it that refuses, lies and fails.

mod failover;
mod finality;
mod lies;
mod native;
mod pieces;
mod ranges;
mod secrets;
mod support;
mod transfers;
