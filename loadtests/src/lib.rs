//! Drives the whole platform from outside: seed, demo, faucet of a local chain, fault injection (`chaos`) and benchmark.

pub mod bench;
pub mod chaos;
pub mod demo;
pub mod faucet;
pub mod ledger;
pub mod platform;
pub mod print;
pub mod seed;
