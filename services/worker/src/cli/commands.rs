//! `arrakis-worker commands print|register`.

use std::process::ExitCode;

use arrakis_discord::{Discord, DiscordConfig};
use clap::Subcommand;

use super::output::{print, print_json, report};
use super::with_config;
use crate::commands::registration::{Registration, register};
use crate::commands::{Commands, Definition};
use crate::config::discord;

/// The subcommands of `commands`.
#[derive(Debug, Subcommand)]
pub(super) enum CommandsTask {
    /// Prints the slash commands of this build
    Print {
        /// Print one JSON list in the form that Discord receives
        #[arg(long)]
        json: bool,
    },
    /// Registers the slash commands with Discord if they differ (the leader does this at start, too)
    Register,
}

impl CommandsTask {
    pub(super) fn run(self) -> ExitCode {
        match self {
            Self::Print { json } => with_config(|_| Some(()), move |()| async move { print_all(json) }),
            Self::Register => with_config(discord, register_all),
        }
    }
}

fn print_all(json: bool) -> anyhow::Result<ExitCode> {
    let commands = Commands::default();
    if json {
        let registered: Vec<_> = commands.definitions().map(Definition::registered).collect();
        print_json(&registered)?;
        return Ok(ExitCode::SUCCESS);
    }
    for definition in commands.definitions() {
        print(format_args!("/{}  {}", definition.name, definition.description))?;
        for option in &definition.options {
            print(format_args!("    {}  {}", option.name, option.description))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn register_all(config: DiscordConfig) -> anyhow::Result<ExitCode> {
    let calls = Discord::new(&config)?.bulk(None);
    match register(&calls, &Commands::default()).await? {
        Registration::Unchanged => report("the commands are registered already"),
        Registration::Replaced => report("registered"),
    }
    Ok(ExitCode::SUCCESS)
}
