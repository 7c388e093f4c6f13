//! Arguments of `gaib server export …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::GuildArgument;
use super::backup::OfServer;
use super::id::{IdArgument, export_id};
use super::server::WorkspaceArgument;

/// Arguments of `gaib server export`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Export {
    /// What to do with the copies that are stored; without it, the server is exported.
    #[command(subcommand)]
    pub command: Option<ExportCommand>,
    /// Write to this file instead of stdout
    #[arg(long, short = 'o', value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Include unmanaged resources; without a state they are always included
    #[arg(long)]
    pub include_unmanaged: bool,
    /// The copies with the backups.
    #[command(flatten)]
    pub copies: ExportCopies,
    /// Replace FILE if it exists
    #[arg(long)]
    pub force: bool,
    /// The server.
    #[command(flatten)]
    pub guild: GuildArgument,
    /// The workspace.
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}

/// The options of `gaib server export` for copies with the backups of the server.
#[derive(Debug, Args)]
pub struct ExportCopies {
    /// Store a dated, complete, signed copy with the backups of the server; without --output, nothing else is written
    #[arg(long)]
    pub backup: bool,
    /// List the newest copies with the backups of the server, and export nothing
    #[arg(long, conflicts_with_all = ["output", "include_unmanaged", "backup", "force"])]
    pub list: bool,
}

/// The commands for the copies with the backups of the server.
#[derive(Debug, Subcommand)]
pub enum ExportCommand {
    /// Check that copies are as they were stored, with their images; exit code 0: all are, 1: one is damaged or not trusted
    Verify(Verify),
    /// Write a copy and its images to a directory, after all checks
    Download(Download),
    /// Delete a copy; the newest one that is whole stays
    Delete(Delete),
}

/// Arguments of `gaib server export verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Id, as `--list` prints it; at least its first 6 characters, or `latest`
    #[arg(required_unless_present = "all", value_parser = export_id)]
    pub id: Option<IdArgument>,
    /// Check every copy of the server; `gaib server backup verify --all` does that, too
    #[arg(long, conflicts_with = "id")]
    pub all: bool,
    /// The server.
    #[command(flatten)]
    pub server: OfServer,
}

/// Arguments of `gaib server export download`.
#[derive(Debug, Args)]
pub struct Download {
    /// Id, as `--list` prints it; at least its first 6 characters, or `latest`
    #[arg(value_parser = export_id)]
    pub id: IdArgument,
    /// Directory to which the files are written; it is created
    #[arg(long, short = 'o', value_name = "DIRECTORY")]
    pub output: PathBuf,
    /// Replace files that exist there
    #[arg(long)]
    pub force: bool,
    /// Write a copy that has no signature, as one of an earlier gaib
    #[arg(long)]
    pub allow_unsigned: bool,
    /// The server.
    #[command(flatten)]
    pub server: OfServer,
}

/// Arguments of `gaib server export delete`.
#[derive(Debug, Args)]
pub struct Delete {
    /// Id, as `--list` prints it; at least its first 6 characters, or `latest`
    #[arg(value_parser = export_id)]
    pub id: IdArgument,
    /// Skip the confirmation
    #[arg(long, short = 'f', visible_aliases = ["auto-approve", "yes"])]
    pub force: bool,
    /// The server.
    #[command(flatten)]
    pub server: OfServer,
}
