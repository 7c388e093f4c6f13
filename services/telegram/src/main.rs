//! `arrakis-telegram`: see `arrakis-telegram --help`.

use std::process::ExitCode;

use arrakis_config::Service;
use arrakis_runtime::{CheckTask, Threads, parse_arguments, run};
use clap::Parser;

/// Telegram bot: links wallets by /verify, and shows them by /status
///
/// Without a subcommand it serves until SIGTERM. Configuration is read from the environment; see .env.example and docs/telegram.md.
#[derive(Debug, Parser)]
#[command(name = "arrakis-telegram", version)]
struct Arguments {
    #[command(subcommand)]
    task: Option<CheckTask>,
}

fn main() -> ExitCode {
    match parse_arguments::<Arguments>() {
        Ok(Arguments { task: Some(task) }) => task.run(Service::Telegram),
        Ok(Arguments { task: None }) => run(
            Service::Telegram,
            Threads::Many,
            arrakis_telegram::Config::read,
            arrakis_telegram::serve,
        ),
        Err(exit_code) => exit_code,
    }
}
