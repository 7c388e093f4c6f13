//! gaib: Discord servers as code.
//!
//! Owns the command line and nothing of the engine: what a plan is, is decided by `arrakis-iac`; what happens at Discord, by
//! `arrakis-iac-apply`. Three layers that know only the one below: [`arguments`] (what may be written), [`settings`] (what is
//! meant), [`commands`] (what is done). One [`printer::Printer`] writes, one [`exit::ExitStatus`] ends.
//!
//! To add a command: its arguments in `arguments/`, its file in `commands/`, one line in `commands/mod.rs`.

pub mod arguments;
pub mod commands;
pub mod community;
pub mod configuration;
pub mod error;
pub mod exit;
pub mod images;
pub mod ownership;
pub mod printer;
pub mod progress;
pub mod project;
pub mod prompt;
pub mod recovery;
pub mod session;
pub mod settings;
pub mod table;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, Parser as _};

use crate::arguments::Arguments;
use crate::commands::Context;
use crate::exit::ExitStatus;
use crate::printer::{Printer, Severity};

/// Runs with the arguments and the environment of this process.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // clap ends with 2 for a wrong command line; here 2 means "there are changes".
            let status = if error.use_stderr() {
                ExitStatus::Error
            } else {
                ExitStatus::Success
            };
            let _ = hinted(error).print();
            return status.into();
        }
    };
    let printer = Printer::new(arguments.global.json, arguments.global.no_color || no_color());
    run(arguments, printer).into()
}

/// Most commands stand below `server`: who leaves the word out is told.
fn hinted(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return error;
    };
    let below = format!("server {word}");
    let command = Arguments::command();
    if command
        .find_subcommand("server")
        .is_some_and(|server| server.find_subcommand(word).is_some())
    {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![below]));
    }
    error
}

/// Whether `NO_COLOR` is set to anything (<https://no-color.org>).
fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

fn run(arguments: Arguments, printer: Printer) -> ExitStatus {
    let context = Context::new(printer, &arguments.global);
    let result = settings::enter_directory(&arguments.global).and_then(|()| context.block_on(arguments.command));
    let status = result.unwrap_or_else(|failure| {
        printer.diagnostic(Severity::Error, failure.summary(), failure.what_to_do());
        ExitStatus::Error
    });
    match printer::stdout_error() {
        Some(why) => {
            let summary = format!("output is incomplete: could not write to stdout: {why}");
            printer.diagnostic(
                Severity::Error,
                &summary,
                Some("make room or write elsewhere, and run it again"),
            );
            ExitStatus::Error
        }
        None => status,
    }
}
