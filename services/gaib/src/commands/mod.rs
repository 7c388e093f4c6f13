//! The commands, one file each, and what every one of them has at hand.

mod apply;
mod completions;
mod export;
mod import;
mod init;
mod lock;
mod man;
mod plan;
mod state;
mod theme;
mod validate;
mod workspace;

use crate::arguments::server::ServerCommand;
use crate::arguments::{Command, GlobalArguments};
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::prompt::Prompt;
use crate::settings::Environment;

/// What every command has at hand.
#[derive(Clone, Debug)]
pub struct Context {
    /// Writes.
    pub printer: Printer,
    /// Asks.
    pub prompt: Prompt,
    /// The environment.
    pub environment: Environment,
}

impl Context {
    /// For one run.
    pub fn new(printer: Printer, global: &GlobalArguments) -> Self {
        Self {
            printer,
            prompt: Prompt::new(printer, global.input),
            environment: Environment::of_process(),
        }
    }

    /// Runs a command to its end on one thread.
    ///
    /// # Errors
    /// What the command fails with.
    pub fn block_on(&self, command: Command) -> Result<ExitStatus> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(format!("could not start: {error}")))?;
        runtime.block_on(self.run(command))
    }

    async fn run(&self, command: Command) -> Result<ExitStatus> {
        match command {
            Command::Server(command) => self.server(*command).await,
            Command::Apply(arguments) => apply::file(self, &arguments).await,
            Command::Completions { shell } => completions::run(self, shell),
            Command::Man { out } => man::run(self, out.as_deref()),
        }
    }

    async fn server(&self, command: ServerCommand) -> Result<ExitStatus> {
        match command {
            ServerCommand::Theme(command) => theme::run(self, &command),
            ServerCommand::Init(arguments) => init::run(self, &arguments).await,
            ServerCommand::Validate(arguments) => validate::run(self, &arguments),
            ServerCommand::Plan(arguments) => plan::run(self, &arguments).await,
            ServerCommand::Diff(arguments) => plan::diff(self, &arguments).await,
            ServerCommand::Apply(arguments) => apply::run(self, &arguments).await,
            ServerCommand::Destroy(arguments) => apply::destroy(self, &arguments).await,
            ServerCommand::Import(arguments) => import::run(self, &arguments).await,
            ServerCommand::Export(arguments) => export::run(self, &arguments).await,
            ServerCommand::State(command) => state::run(self, &command).await,
            ServerCommand::Workspace(command) => workspace::run(self, &command).await,
            ServerCommand::Lock(arguments) => lock::lock(self, &arguments).await,
            ServerCommand::Unlock(arguments) => lock::unlock(self, &arguments).await,
            ServerCommand::ForceUnlock(arguments) => lock::force(self, &arguments).await,
        }
    }
}
