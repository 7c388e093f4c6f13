//! Arguments of `gaib server workspace …`.

use clap::{Args, Subcommand};

use super::GuildArgument;

/// The commands that manage workspaces. Each workspace has its own state and its own server.
#[derive(Debug, Subcommand)]
pub enum WorkspaceCommand {
    /// List the workspaces; `*` marks the selected one
    Ls,
    /// Create a workspace and select it
    New(New),
    /// Select a workspace
    Select(Select),
    /// Delete a workspace whose state is empty
    Delete(Delete),
}

/// Arguments of `gaib server workspace new`.
#[derive(Debug, Args)]
pub struct New {
    /// Workspace name: letters, digits, `-` and `_`
    pub name: String,
    /// The server of the workspace.
    #[command(flatten)]
    pub guild: GuildArgument,
}

/// Arguments of `gaib server workspace select`.
#[derive(Debug, Args)]
pub struct Select {
    /// Workspace name
    pub name: String,
}

/// Arguments of `gaib server workspace delete`.
#[derive(Debug, Args)]
pub struct Delete {
    /// Workspace name
    pub name: String,
    /// Delete the workspace although its state is not empty; its resources stay on the server, unmanaged
    #[arg(long)]
    pub force: bool,
}
