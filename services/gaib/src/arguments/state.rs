//! Arguments of `gaib server state …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::GuildArgument;
use super::server::WorkspaceArgument;

/// The commands that read or edit the state.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// List the managed addresses
    Ls(Ls),
    /// Show the id and the attributes of an address
    Show(Show),
    /// Remove an address from the state; the server does not change
    Rm(Rm),
    /// Rename an address in the state; the server does not change
    Mv(Mv),
    /// Write the whole state to stdout
    Pull(Pull),
    /// Replace the state with a file; refused for another lineage or an older state. A damaged state is renamed, not deleted
    Push(Push),
    /// Move all states to another backend: a bucket, a shared folder, or .gaib/ of this folder
    #[command(long_about = "\
Move all states to another backend: a bucket, a shared folder, or .gaib/ of this folder.

Every state is copied under the locks of both backends, and read back and compared. Then .gaib/config.yaml names the new \
backend, and each former state is renamed to state.json.migrated-TIME. The command is refused where the target has another \
state (another lineage) or a newer one. After an interruption, run it again. The server does not change.")]
    Migrate(Migrate),
    /// End a workspace's ownership of a server when its state is missing or damaged
    #[command(long_about = "\
End a workspace's ownership of a server when its state is missing or damaged.

gaib records which workspace manages each server, so that a second workspace does not create every resource again. This \
command removes the record; the server and all files of the workspace do not change. If the state can be read, use `gaib \
server state rm --all` instead.")]
    Release(Release),
}

/// Arguments of `gaib server state ls`.
#[derive(Debug, Args)]
pub struct Ls {
    /// List only addresses with this prefix, for example `role` or `channel.general`
    pub prefix: Option<String>,
    /// The workspace.
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}

/// Arguments of `gaib server state show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Address, as `state ls` prints it
    pub address: String,
    /// The workspace.
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}

/// Arguments of `gaib server state rm`.
#[derive(Debug, Args)]
pub struct Rm {
    /// Addresses, as `state ls` prints them
    #[arg(required_unless_present = "all")]
    pub addresses: Vec<String>,
    /// Remove every address: the workspace no longer manages the server
    #[arg(long, conflicts_with = "addresses")]
    pub all: bool,
    /// The workspace.
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}

/// Arguments of `gaib server state mv`.
#[derive(Debug, Args)]
pub struct Mv {
    /// Current address
    pub from: String,
    /// New address
    pub to: String,
    /// The workspace.
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}

/// Arguments of `gaib server state pull`.
#[derive(Debug, Args)]
pub struct Pull {
    /// Write the state before the last operation that changed it
    #[arg(long)]
    pub previous: bool,
    /// The workspace.
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}

/// Arguments of `gaib server state migrate`.
#[derive(Debug, Args)]
pub struct Migrate {
    /// `s3://BUCKET/PREFIX`, `file:///FOLDER` or `local`
    #[arg(long, value_name = "BACKEND")]
    pub to: String,
    /// Region of the bucket and of the table of locks [default: that of the environment]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// `DynamoDB` table for the locks, with the partition key `LockID` (a string); without it, locks are objects in the bucket
    #[arg(long, value_name = "TABLE")]
    pub lock_table: Option<String>,
    /// Skip the confirmation
    #[arg(long)]
    pub auto_approve: bool,
}

/// Arguments of `gaib server state push`.
#[derive(Debug, Args)]
pub struct Push {
    /// State file; `-` reads stdin
    pub file: PathBuf,
    /// Skip the confirmation before a damaged state is replaced
    #[arg(long)]
    pub force: bool,
    /// The workspace.
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}

/// Arguments of `gaib server state release`.
#[derive(Debug, Args)]
pub struct Release {
    /// The server; without it, the servers that the workspace manages.
    #[command(flatten)]
    pub guild: GuildArgument,
    /// Skip the confirmation
    #[arg(long)]
    pub force: bool,
    /// The workspace.
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}
