//! Drives the whole platform from outside: seeds it, plays a demo; later load, soak and fault runs.

pub mod bench;
pub mod demo;
pub mod load;
pub mod platform;
pub mod seed;
