//! `arrakis-ingestor`: Discord gateway shards in, AMQP out.

use std::process::ExitCode;

use arrakis_config::Service;
use arrakis_ingestor::{Config, serve};
use arrakis_runtime::Threads;

fn main() -> ExitCode {
    // One thread: the work of an event is tens of microseconds, and every further thread costs memory and wake-ups.
    arrakis_runtime::run(Service::Ingestor, Threads::One, Config::read, serve)
}
