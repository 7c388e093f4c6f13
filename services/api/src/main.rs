//! `arrakis-api`: see `arrakis-api --help`.

use std::process::ExitCode;

use arrakis_config::Service;
use arrakis_runtime::{CheckTask, Threads, parse_arguments, run};
use clap::Parser;

/// HTTP API: eligibility of wallets, users for admins, the wallet page
///
/// Without a subcommand it serves until SIGTERM. Configuration is read from the environment; see .env.example.
#[derive(Debug, Parser)]
#[command(name = "arrakis-api", version)]
struct Arguments {
    #[command(subcommand)]
    task: Option<CheckTask>,
}

fn main() -> ExitCode {
    match parse_arguments::<Arguments>() {
        Ok(Arguments { task: Some(task) }) => task.run(Service::Api),
        Ok(Arguments { task: None }) => run(
            Service::Api,
            Threads::Many,
            arrakis_api::Config::read,
            arrakis_api::serve,
        ),
        Err(exit_code) => exit_code,
    }
}
