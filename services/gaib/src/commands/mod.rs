//! The commands, one file each.

mod apply;
mod backup;
mod completions;
mod config;
mod deployment;
mod execution;
mod export;
mod import;
mod init;
mod lock;
mod man;
mod plan;
mod platform;
mod restore;
mod snapshot;
mod state;
mod teardown;
mod theme;
mod tier;
mod validate;
mod workspace;

use crate::arguments::Command;
use crate::arguments::server::ServerCommand;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;

/// Runs a command to its end on one thread.
///
/// # Errors
/// The error of the command.
pub fn block_on(context: &Context, command: Command) -> Result<ExitStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("could not start the runtime: {error}")))?;
    runtime.block_on(run(context, command))
}

async fn run(context: &Context, command: Command) -> Result<ExitStatus> {
    match command {
        Command::Server(command) => server(context, *command).await,
        Command::Apply(arguments) => apply::file(context, &arguments).await,
        Command::Restore(command) => restore::run(context, &command).await,
        Command::Completions { shell } => completions::run(context, shell),
        Command::Man { out } => man::run(context, out.as_deref()),
    }
}

async fn server(context: &Context, command: ServerCommand) -> Result<ExitStatus> {
    match command {
        ServerCommand::Theme(command) => theme::run(context, &command).await,
        ServerCommand::Tier(command) => tier::run(context, &command).await,
        ServerCommand::Init(arguments) => init::run(context, &arguments).await,
        ServerCommand::Validate(arguments) => validate::run(context, &arguments),
        ServerCommand::Config(command) => config::run(context, &command),
        ServerCommand::Plan(arguments) => plan::run(context, &arguments).await,
        ServerCommand::Diff(arguments) => plan::diff(context, &arguments).await,
        ServerCommand::Apply(arguments) => apply::run(context, &arguments).await,
        ServerCommand::Destroy(arguments) => apply::destroy(context, &arguments).await,
        ServerCommand::Teardown(arguments) => teardown::run(context, &arguments).await,
        ServerCommand::Import(arguments) => import::run(context, &arguments).await,
        ServerCommand::Export(arguments) => export::run(context, &arguments).await,
        ServerCommand::Backup(command) => backup::run(context, &command).await,
        ServerCommand::Snapshot(command) => snapshot::run(context, &command).await,
        ServerCommand::State(command) => state::run(context, &command).await,
        ServerCommand::Workspace(command) => workspace::run(context, &command).await,
        ServerCommand::Lock(arguments) => lock::lock(context, &arguments).await,
        ServerCommand::Unlock(arguments) => lock::unlock(context, &arguments).await,
        ServerCommand::ForceUnlock(arguments) => lock::force(context, &arguments).await,
    }
}
