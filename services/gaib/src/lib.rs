//! gaib: Discord servers as code.
//!
//! Owns the command line. `arrakis-iac` makes plans, and `arrakis-iac-apply` executes them at Discord. A command passes
//! through three layers, each of which uses only those before it: [`arguments`] (the grammar), [`settings`] (arguments and
//! environment combined), [`commands`].
//!
//! Between settings and commands: [`backend`] (where states are), [`workspace`] (files of a workspace), [`ownership`] (one
//! workspace for a server), [`workspace_state`] (reading of a state), [`backups`] (the vault, with the counts of [`uses`]),
//! [`configuration`], [`community`], [`images`], [`connection`] (Discord), [`platform`] (the platform's api), [`interruption`] (signals).
//!
//! To add a command: its arguments in `arguments/`, its file in `commands/`, one line in `commands/mod.rs`.

pub mod arguments;
pub mod backend;
pub mod backups;
pub mod commands;
pub mod community;
pub mod configuration;
pub mod connection;
pub mod context;
pub mod error;
pub mod exit;
pub mod files;
pub mod guard;
pub mod images;
pub mod interruption;
pub mod ownership;
pub mod platform;
pub mod printer;
pub mod progress;
pub mod project;
pub mod prompt;
pub mod settings;
pub mod table;
pub mod uses;
pub mod workspace;
pub mod workspace_state;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, Parser as _};

use crate::arguments::Arguments;
use crate::context::Context;
use crate::exit::ExitStatus;
use crate::printer::{Printer, Severity};

/// Runs gaib with the arguments and the environment of this process.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // clap's exit code for a wrong command line is 2, which means "changes" here.
            let status = if error.use_stderr() {
                ExitStatus::Error
            } else {
                ExitStatus::Success
            };
            let _ = with_server_suggestion(error).print();
            return status.into();
        }
    };
    let printer = Printer::new(arguments.global.json, arguments.global.no_color);
    run(arguments, printer).into()
}

/// Suggests `gaib server NAME` for an unknown command `gaib NAME`.
fn with_server_suggestion(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand) else {
        return error;
    };
    let suggestion = format!("server {name}");
    let command = Arguments::command();
    if command
        .find_subcommand("server")
        .is_some_and(|server| server.find_subcommand(name).is_some())
    {
        error.insert(
            ContextKind::SuggestedSubcommand,
            ContextValue::Strings(vec![suggestion]),
        );
    }
    error
}

fn run(arguments: Arguments, printer: Printer) -> ExitStatus {
    let context = Context::new(printer, &arguments.global);
    let result =
        settings::enter_directory(&arguments.global).and_then(|()| commands::block_on(&context, arguments.command));
    let status = result.unwrap_or_else(|failure| {
        printer.diagnostic(Severity::Error, failure.summary(), failure.what_to_do());
        ExitStatus::Error
    });
    match printer::stdout_error() {
        Some(reason) => {
            let summary = format!("output is incomplete: could not write to stdout: {reason}");
            printer.diagnostic(
                Severity::Error,
                &summary,
                Some("free disk space or redirect stdout to another file, and run the command again"),
            );
            ExitStatus::Error
        }
        None => status,
    }
}
