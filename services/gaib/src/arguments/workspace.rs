//! `gaib server workspace …`.

use clap::{Args, Subcommand};

use super::GuildArgument;

/// Commands about workspaces: each has a state, and a server, of its own.
#[derive(Debug, Subcommand)]
pub enum WorkspaceCommand {
    /// List the workspaces; `*` marks the selected one
    Ls,
    /// Make a workspace and select it
    New(New),
    /// Select a workspace
    Select(Name),
    /// Delete a workspace whose state is empty
    Delete(Delete),
}

/// `gaib server workspace new`.
#[derive(Debug, Args)]
pub struct New {
    /// Its name: letters, digits, `-` and `_`
    pub name: String,
    /// Its server
    #[command(flatten)]
    pub guild: GuildArgument,
}

/// A workspace's name.
#[derive(Debug, Args)]
pub struct Name {
    /// Its name
    pub name: String,
}

/// `gaib server workspace delete`.
#[derive(Debug, Args)]
pub struct Delete {
    /// Its name
    pub name: String,
    /// Delete it though its state is not empty: what it made stays on the server, unmanaged
    #[arg(long)]
    pub force: bool,
}
