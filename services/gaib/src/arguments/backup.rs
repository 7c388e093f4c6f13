//! Arguments of `gaib server backup …`.

use clap::{Args, Subcommand};

use super::GuildArgument;
use super::id::{IdArgument, record_id};
use super::server::WorkspaceArgument;
use crate::error::Failure;

/// The commands that back up the state of a workspace.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Store a copy of the state
    Create(Create),
    /// List the backups of the server, newest first
    List(List),
    /// Show what is recorded about a backup
    Show(Show),
    /// Replace the state with a backup; the server does not change
    #[command(long_about = "\
Replace the state with a backup; the server does not change.

The backup is read and checked first: size, checksum, signature, server, lineage. Then the difference is shown and a confirmation \
requested. The present state is backed up before it is replaced, and the serial grows. `gaib server plan` shows afterwards \
what an apply would change.")]
    Restore(Restore),
    /// Delete a backup
    Delete(Delete),
    /// Check that backups can be restored; exit code 0: all can, 1: one is damaged or not trusted
    Verify(Verify),
}

/// The options that select a server and a workspace.
#[derive(Clone, Debug, Default, Args)]
pub struct OfServer {
    /// The server.
    #[command(flatten)]
    pub guild: GuildArgument,
    /// The workspace.
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}

/// The options of a command that requests a confirmation before it changes something.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfirmedArguments {
    /// Show what would happen, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Skip the confirmation
    #[arg(long, short = 'f', visible_alias = "yes")]
    pub auto_approve: bool,
}

impl ConfirmedArguments {
    /// The failure of a restore that has not begun. A dry run restores nothing in any case.
    #[must_use]
    pub fn without_restore(&self, failure: Failure) -> Failure {
        match self.dry_run {
            true => failure,
            false => failure.and("nothing was restored"),
        }
    }
}

/// Arguments of `gaib server backup create`.
#[derive(Debug, Args)]
pub struct Create {
    /// Message that lists show
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub message: Option<String>,
    /// The server.
    #[command(flatten)]
    pub server: OfServer,
}

/// Arguments of `gaib server backup list` and `gaib server snapshot list`.
#[derive(Debug, Args)]
pub struct List {
    /// Largest number of entries
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub limit: u16,
    /// The server.
    #[command(flatten)]
    pub server: OfServer,
}

/// Arguments of `gaib server backup show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Id, as `list` prints it; at least its first 6 characters, or `latest`
    #[arg(value_parser = record_id)]
    pub id: IdArgument,
    /// The server.
    #[command(flatten)]
    pub server: OfServer,
}

/// Arguments of `gaib server backup restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// Id, as `list` prints it; at least its first 6 characters, or `latest`
    #[arg(value_parser = record_id)]
    pub id: IdArgument,
    /// Restore a backup that has no signature, as one of an earlier gaib
    #[arg(long)]
    pub allow_unsigned: bool,
    /// Dry run and confirmation.
    #[command(flatten)]
    pub confirmed: ConfirmedArguments,
    /// The server.
    #[command(flatten)]
    pub server: OfServer,
}

/// Arguments of `gaib server backup delete` and `gaib server snapshot delete`.
#[derive(Debug, Args)]
pub struct Delete {
    /// Id, as `list` prints it; at least its first 6 characters, or `latest`
    #[arg(value_parser = record_id)]
    pub id: IdArgument,
    /// Skip the confirmation
    #[arg(long, short = 'f', visible_aliases = ["auto-approve", "yes"])]
    pub force: bool,
    /// The server.
    #[command(flatten)]
    pub server: OfServer,
}

/// Arguments of `gaib server backup verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Id, as `list` prints it; at least its first 6 characters, or `latest`
    #[arg(required_unless_present = "all", value_parser = record_id)]
    pub id: Option<IdArgument>,
    /// Check every backup, snapshot and export of the server, and its theme registry
    #[arg(long, conflicts_with = "id")]
    pub all: bool,
    /// The server.
    #[command(flatten)]
    pub server: OfServer,
}
