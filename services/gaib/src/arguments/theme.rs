//! Arguments of `gaib server theme …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::backup::{ConfirmedArguments, OfServer};
use super::id::{IdArgument, record_id};

/// The commands that read themes, and those about the themes of a server.
#[derive(Debug, Subcommand)]
pub enum ThemeCommand {
    /// List the themes
    Ls,
    /// Show a theme: version, description, tags, counts, variables, flags
    Info(Info),
    /// Check the files of a theme and list all problems
    Validate(Validate),
    /// Show the theme of the server and its last five deployments
    Registry(Registry),
    /// List the deployments of themes to the server, newest first
    History(History),
    /// Take the server back to an earlier deployment of a theme
    #[command(long_about = "\
Take the server back to an earlier deployment of a theme.

The deployment needs a snapshot (`gaib server apply --snapshot`). Its restore is that of `gaib server snapshot restore --apply`: \
nothing is deleted, and after an interruption the same command continues. The rollback is a deployment of its own in the \
registry. The configuration file does not change.")]
    Rollback(Rollback),
}

/// Arguments of `gaib server theme info`.
#[derive(Debug, Args)]
pub struct Info {
    /// Theme id, as `theme ls` prints it
    pub theme: String,
}

/// Arguments of `gaib server theme validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// Theme id, or the path of a theme's folder
    pub theme: PathBuf,
}

/// Arguments of `gaib server theme registry`.
#[derive(Debug, Args)]
pub struct Registry {
    /// Make the registry again from the audit objects of its deployments, where it is damaged, after a confirmation
    #[arg(long)]
    pub rebuild: bool,
    /// Show what --rebuild would change, and change nothing
    #[arg(long, requires = "rebuild")]
    pub dry_run: bool,
    /// Skip the confirmation of --rebuild
    #[arg(long, short = 'f', visible_alias = "yes", requires = "rebuild")]
    pub auto_approve: bool,
    /// The server.
    #[command(flatten)]
    pub server: OfServer,
}

/// Arguments of `gaib server theme history`.
#[derive(Debug, Args)]
pub struct History {
    /// Largest number of deployments
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub limit: u16,
    /// The server.
    #[command(flatten)]
    pub server: OfServer,
}

/// Arguments of `gaib server theme rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// Number of deployments to go back [default: 1]
    #[arg(long, value_name = "NUMBER", conflicts_with = "to")]
    pub steps: Option<u16>,
    /// Id of the deployment, as `history` prints it; at least its first 6 characters, or `latest`
    #[arg(long, value_name = "ID", value_parser = record_id)]
    pub to: Option<IdArgument>,
    /// Message that the registry shows
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub message: Option<String>,
    /// Leave the roles of members as they are
    #[arg(long)]
    pub no_members: bool,
    /// Go back to a deployment that has no signature, as one of an earlier gaib
    #[arg(long)]
    pub allow_unsigned: bool,
    /// Dry run and confirmation.
    #[command(flatten)]
    pub confirmed: ConfirmedArguments,
    /// The server.
    #[command(flatten)]
    pub server: OfServer,
}
