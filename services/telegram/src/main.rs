//! `arrakis-telegram`: see `arrakis-telegram --help`.

use std::process::ExitCode;

use arrakis_config::Service;
use arrakis_runtime::{Threads, parse_arguments, run};
use clap::Parser;

/// Telegram bot: links wallets by /verify, and shows them by /status
///
/// It serves until SIGTERM. Configuration is read from the environment; see .env.example and docs/telegram.md.
#[derive(Debug, Parser)]
#[command(name = "arrakis-telegram", version)]
struct Arguments;

fn main() -> ExitCode {
    match parse_arguments::<Arguments>() {
        Ok(Arguments) => run(
            Service::Telegram,
            Threads::Many,
            arrakis_telegram::Config::read,
            arrakis_telegram::serve,
        ),
        Err(exit_code) => exit_code,
    }
}
