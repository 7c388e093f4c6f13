//! `gaib server state …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::server::WorkspaceArgument;

/// Commands about the state.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// List the addresses that are managed
    Ls(Ls),
    /// Show what is known of one address: id and attributes
    Show(Show),
    /// Forget an address; the server keeps the thing
    Rm(Rm),
    /// Give an address another name; the server is not touched
    Mv(Mv),
    /// Write the whole state to stdout
    Pull(WorkspaceArgument),
    /// Replace the state by a file; refused when it has another lineage or is older
    Push(Push),
}

/// `gaib server state ls`.
#[derive(Debug, Args)]
pub struct Ls {
    /// Only addresses that begin with this, as in `role` or `channel.general`
    pub prefix: Option<String>,
    /// The workspace
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}

/// `gaib server state show`.
#[derive(Debug, Args)]
pub struct Show {
    /// As `state ls` prints it
    pub address: String,
    /// The workspace
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}

/// `gaib server state rm`.
#[derive(Debug, Args)]
pub struct Rm {
    /// As `state ls` prints them
    #[arg(required_unless_present = "all")]
    pub addresses: Vec<String>,
    /// Forget everything: this workspace no longer manages the server
    #[arg(long, conflicts_with = "addresses")]
    pub all: bool,
    /// The workspace
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}

/// `gaib server state mv`.
#[derive(Debug, Args)]
pub struct Mv {
    /// The address as it is
    pub from: String,
    /// The address as it shall be
    pub to: String,
    /// The workspace
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}

/// `gaib server state push`.
#[derive(Debug, Args)]
pub struct Push {
    /// The state to put in place; `-` reads it from stdin
    pub file: PathBuf,
    /// The workspace
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}
