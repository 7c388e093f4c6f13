//! What a test needs of the world, each for itself, so that tests run side by side: a database, a vhost, a Redis database,
//! a process; and [`eventually`] in place of sleeping.
//!
//! Everything here is a real service, named by the environment that `./dev test` sets. Without it a test says so and fails.
//! These types panic instead of answering errors: a test that cannot have its world has failed.

mod database;
mod environment;
mod fault_proxy;
mod process;
mod redis;
mod vhost;
mod wait;

pub use database::TestDatabase;
pub use environment::required as required_variable;
pub use fault_proxy::{FaultProxy, Terms, Way};
pub use process::Process;
pub use redis::TestRedis;
pub use vhost::TestVhost;
pub use wait::{Met, eventually, eventually_within};
