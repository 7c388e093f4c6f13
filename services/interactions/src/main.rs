//! `arrakis-interactions`: see `arrakis-interactions --help`.

use std::process::ExitCode;

use arrakis_config::Service;
use arrakis_interactions::{Config, serve};
use arrakis_runtime::{CheckTask, Threads, parse_arguments, run};
use clap::Parser;

/// Receives the interactions that Discord delivers by HTTP and publishes them to RabbitMQ
///
/// Without a subcommand it serves until SIGTERM. Configuration is read from the environment; see .env.example and docs/interactions-endpoint.md.
#[derive(Debug, Parser)]
#[command(name = "arrakis-interactions", version)]
struct Arguments {
    #[command(subcommand)]
    task: Option<CheckTask>,
}

fn main() -> ExitCode {
    match parse_arguments::<Arguments>() {
        Ok(Arguments { task: Some(task) }) => task.run(Service::Interactions),
        Ok(Arguments { task: None }) => run(Service::Interactions, Threads::Many, Config::read, serve),
        Err(exit_code) => exit_code,
    }
}
