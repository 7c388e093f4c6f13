//! Arguments of `gaib server snapshot …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::backup::{ConfirmedArguments, Delete, List, OfServer};
use super::id::{IdArgument, record_id};

/// The commands that keep the whole server: state, configuration, images, roles of members.
#[derive(Debug, Subcommand)]
pub enum SnapshotCommand {
    /// Store a snapshot of the whole server
    #[command(long_about = "\
Store a snapshot of the whole server: the state, every resource as a configuration, the images of emoji, stickers, webhooks and \
events, the theme registry, and the roles of members.

Discord lists members only to applications with the privileged intent GUILD_MEMBERS; without it a snapshot has no roles of \
members, and a warning states it. Messages are not part of a snapshot.")]
    Create(Create),
    /// List the snapshots of the server, newest first
    List(List),
    /// Go back to a snapshot: the state, or with --apply the server
    #[command(long_about = "\
Go back to a snapshot: the state, or with --apply the server.

Without --apply the state is replaced, as by `gaib server backup restore`. With --apply a plan takes the live server back, after \
a confirmation: it creates what is gone and changes what differs. It deletes nothing: resources that came later stay. Resources \
that Discord gave a new id are found by their names. Members get their roles back. What cannot be brought back is listed.

After an interruption, the same command continues.")]
    Restore(Restore),
    /// Write the files of a snapshot to a directory, for example to apply its configuration to another server
    Download(Download),
    /// Show the differences between two snapshots by attribute
    Compare(Compare),
    /// Check that a snapshot can be restored; exit code 0: it can, 1: it is damaged or not trusted
    Verify(Verify),
    /// Delete a snapshot
    Delete(Delete),
}

/// Arguments of `gaib server snapshot create`.
#[derive(Debug, Args)]
pub struct Create {
    /// Message that lists show
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub message: Option<String>,
    /// The server.
    #[command(flatten)]
    pub server: OfServer,
}

/// Arguments of `gaib server snapshot restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// Id, as `list` prints it; at least its first 6 characters, or `latest`
    #[arg(value_parser = record_id)]
    pub id: IdArgument,
    /// Take the live server back, too
    #[arg(long)]
    pub apply: bool,
    /// Leave the roles of members as they are
    #[arg(long, requires = "apply")]
    pub no_members: bool,
    /// Dry run and confirmation.
    #[command(flatten)]
    pub confirmed: ConfirmedArguments,
    /// The server.
    #[command(flatten)]
    pub server: OfServer,
}

/// Arguments of `gaib server snapshot download`.
#[derive(Debug, Args)]
pub struct Download {
    /// Id, as `list` prints it; at least its first 6 characters, or `latest`
    #[arg(value_parser = record_id)]
    pub id: IdArgument,
    /// Directory to which the files are written; it is created
    #[arg(long, short = 'o', value_name = "DIRECTORY")]
    pub output: PathBuf,
    /// Replace files that exist there
    #[arg(long)]
    pub force: bool,
    /// The server.
    #[command(flatten)]
    pub server: OfServer,
}

/// Arguments of `gaib server snapshot compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// Id of the earlier snapshot; at least its first 6 characters, or `latest`
    #[arg(value_parser = record_id)]
    pub before: IdArgument,
    /// Id of the later snapshot; at least its first 6 characters, or `latest`
    #[arg(value_parser = record_id)]
    pub after: IdArgument,
    /// Exit code 0: no differences, 1: error, 2: differences
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// The server.
    #[command(flatten)]
    pub server: OfServer,
}

/// Arguments of `gaib server snapshot verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Id, as `list` prints it; at least its first 6 characters, or `latest`
    #[arg(value_parser = record_id)]
    pub id: IdArgument,
    /// The server.
    #[command(flatten)]
    pub server: OfServer,
}
