//! Arguments of `gaib server config …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::VariableArguments;

/// The commands that read the configuration alone.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the resources of the configuration, with its theme, variables and flags replaced by their values
    #[command(long_about = "\
Print the resources of the configuration, with its theme, variables and flags replaced by their values.

The output is a configuration that plans to the same. Needs neither a token nor network access.")]
    Show(Show),
}

/// Arguments of `gaib server config show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Configuration file [default: discord-server.yaml]
    #[arg(long, short = 'f', value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Values of the configuration's variables.
    #[command(flatten)]
    pub variables: VariableArguments,
}
