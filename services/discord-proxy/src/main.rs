//! `arrakis-discord-proxy`: see the library.

use std::process::ExitCode;

use arrakis_config::Service;
use arrakis_discord_proxy::{Config, serve};
use arrakis_runtime::{Threads, run};

fn main() -> ExitCode {
    run(Service::DiscordProxy, Threads::One, Config::read, serve)
}
