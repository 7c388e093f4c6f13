//! `arrakis-worker commands print|register`.

use std::process::ExitCode;

use arrakis_discord::{Discord, DiscordConfig};
use clap::Subcommand;

use super::output::{print, print_json, say};
use super::with_config;
use crate::commands::registration::{Registered, register};
use crate::commands::{Commands as Ours, Definition};
use crate::config::discord;

/// Tasks about slash commands.
#[derive(Debug, Subcommand)]
pub(super) enum Commands {
    /// Prints what this build declares
    Print {
        /// As Discord is told, in one JSON list
        #[arg(long)]
        json: bool,
    },
    /// Registers them with Discord where they differ (the leading worker does it at start, too)
    Register,
}

impl Commands {
    pub(super) fn run(self) -> ExitCode {
        match self {
            Self::Print { json } => with_config(|_| Some(()), move |()| async move { print_all(json) }),
            Self::Register => with_config(discord, register_all),
        }
    }
}

fn print_all(json: bool) -> anyhow::Result<ExitCode> {
    let ours = Ours::default();
    if json {
        let registered: Vec<_> = ours.definitions().map(Definition::registered).collect();
        print_json(&registered)?;
        return Ok(ExitCode::SUCCESS);
    }
    for definition in ours.definitions() {
        print(format_args!("/{}  {}", definition.name, definition.description))?;
        for option in &definition.options {
            print(format_args!("    {}  {}", option.name, option.description))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn register_all(config: DiscordConfig) -> anyhow::Result<ExitCode> {
    let calls = Discord::new(&config)?.bulk(None);
    match register(&calls, &Ours::default()).await? {
        Registered::Unchanged => say("Discord knows the commands as they are"),
        Registered::Replaced => say("registered"),
    }
    Ok(ExitCode::SUCCESS)
}
