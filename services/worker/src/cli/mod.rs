//! The command line: with no argument it serves, with one it does an operator's task and ends.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 done, 1 it could not be done or a check
//! found a difference, 2 wrong usage, 78 wrong configuration.

mod commands;
mod dead_letters;
mod migrate;
mod output;
mod topology;

use std::future::Future;
use std::process::ExitCode;

use arrakis_causes::causes;
use arrakis_config::{EXIT_CODE, Reader, Service, Source};
use arrakis_db::DbError;
use arrakis_runtime::{Threads, install_crypto_provider};
use clap::{Parser, Subcommand};

use self::output::say;
use crate::config::Config;

/// Consumes interactions, events and jobs of Arrakis.
///
/// Without a subcommand it serves until SIGTERM. Configuration comes from the environment; see .env.example.
#[derive(Debug, Parser)]
#[command(name = "arrakis-worker", version)]
pub struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Brings the database up to this build's schema (needs `DATABASE_OWNER_URL` and nothing else)
    Migrate(migrate::Migrate),
    /// Declares, checks or prints exchanges, queues and bindings
    #[command(subcommand)]
    Topology(topology::Topology),
    /// Lists, shows, replays or purges messages that were given up
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLetters),
    /// Prints or registers the slash commands
    #[command(subcommand)]
    Commands(commands::Commands),
}

/// Runs what the arguments ask for.
pub fn run(arguments: Arguments) -> ExitCode {
    match arguments.task {
        None => arrakis_runtime::run(Service::Worker, Threads::Many, Config::read, crate::serve),
        Some(Task::Migrate(task)) => task.run(),
        Some(Task::Topology(task)) => task.run(),
        Some(Task::DeadLetters(task)) => task.run(),
        Some(Task::Commands(task)) => task.run(),
    }
}

/// Reads what a task needs and does it.
fn with_config<C, F>(read: impl FnOnce(&mut Reader) -> Option<C>, task: impl FnOnce(C) -> F) -> ExitCode
where
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    let config = match Reader::load(Service::Worker, Source::environment(), read) {
        Ok(config) => config,
        Err(errors) => {
            say(&errors);
            return ExitCode::from(EXIT_CODE);
        }
    };
    install_crypto_provider();
    let done = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(task(config)));
    done.unwrap_or_else(|error| {
        say(format_args!("arrakis-worker: {}", causes(error.as_ref())));
        match error.downcast_ref::<DbError>() {
            Some(DbError::Login(_)) => ExitCode::from(EXIT_CODE),
            _ => ExitCode::FAILURE,
        }
    })
}
