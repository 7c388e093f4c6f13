//! Drives the whole platform from outside: seeds it, plays a demo, throws faults at it; later load and soak runs.

pub mod bench;
pub mod chaos;
pub mod demo;
pub mod ledger;
pub mod platform;
pub mod print;
pub mod seed;
