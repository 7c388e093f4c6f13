//! Arguments of `gaib restore …`.

use clap::{Args, Subcommand};

use super::id::{IdArgument, record_id};
use super::platform::CommunityArguments;

/// The commands for checkpoints: configurations of a community that the platform stores for 30 days.
#[derive(Debug, Subcommand)]
pub enum RestoreCommand {
    /// List the checkpoints of the server's community
    List(List),
    /// Show what the restore of a checkpoint would change; exit code 1: it would be refused
    Preview(Preview),
    /// Restore a checkpoint, after a confirmation; the members' roles follow
    Exec(Exec),
}

/// Arguments of `gaib restore list`.
#[derive(Debug, Args)]
pub struct List {
    /// The community.
    #[command(flatten)]
    pub community: CommunityArguments,
}

/// Arguments of `gaib restore preview`.
#[derive(Debug, Args)]
pub struct Preview {
    /// Id of the checkpoint, as `gaib restore list` prints it; at least its first 6 characters, or `latest`
    #[arg(long, value_name = "ID", value_parser = record_id)]
    pub checkpoint: IdArgument,
    /// The community.
    #[command(flatten)]
    pub community: CommunityArguments,
}

/// Arguments of `gaib restore exec`.
#[derive(Debug, Args)]
pub struct Exec {
    /// Id of the checkpoint, as `gaib restore list` prints it; at least its first 6 characters, or `latest`
    #[arg(long, value_name = "ID", value_parser = record_id)]
    pub checkpoint: IdArgument,
    /// Show what the restore would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Skip the confirmation
    #[arg(long)]
    pub auto_approve: bool,
    /// Reason, for the audit log of the community
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// The community.
    #[command(flatten)]
    pub community: CommunityArguments,
}
