//! `gaib server state …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::GuildArgument;
use super::server::WorkspaceArgument;

/// Commands about the state.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// List the addresses that are managed
    Ls(Ls),
    /// Show one address: id and attributes
    Show(Show),
    /// Forget an address; nothing is removed from the server
    Rm(Rm),
    /// Give an address another name; the server is not touched
    Mv(Mv),
    /// Write the whole state to stdout
    Pull(WorkspaceArgument),
    /// Replace the state by a file; refused when it has another lineage or is older. A damaged state is kept under another name
    Push(Push),
    /// End the ownership of a server by a workspace whose state is gone or damaged
    #[command(long_about = "\
End the ownership of a server by a workspace whose state is gone or damaged.

gaib keeps a record of the workspace that manages each server, so that no second workspace makes everything again. This removes \
the record; the server and all files of the workspace stay as they are. Where the state can be read, `gaib server state rm \
--all` ends the ownership.")]
    Release(Release),
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
    /// The present address
    pub from: String,
    /// The new address
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
    /// Do not ask before a damaged state is replaced
    #[arg(long)]
    pub force: bool,
    /// The workspace
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}

/// `gaib server state release`.
#[derive(Debug, Args)]
pub struct Release {
    /// The server; without it, those that this workspace manages
    #[command(flatten)]
    pub guild: GuildArgument,
    /// Do not ask
    #[arg(long)]
    pub force: bool,
    /// The workspace
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}
