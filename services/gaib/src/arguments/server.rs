//! `gaib server …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::state::StateCommand;
use super::theme::ThemeCommand;
use super::workspace::WorkspaceCommand;
use super::{ConsentArguments, GuildArgument, VariableArguments};

/// Commands about one server.
#[derive(Debug, Subcommand)]
pub enum ServerCommand {
    /// Write discord-server.yaml and .gaib/, from a theme or empty
    Init(Init),
    /// Check the configuration without network access: exit code 0 when it is valid, 1 when it is not
    Validate(Validate),
    /// Show what would change, and change nothing
    Plan(Plan),
    /// Compare the configuration with the live server, attribute by attribute
    Diff(Diff),
    /// Change the server so that it matches the configuration
    Apply(Apply),
    /// Remove what is managed, and nothing else
    Destroy(Destroy),
    /// Take what is there into the state, so that it is managed from now on
    Import(Import),
    /// Write the live server as configuration that plans to no change
    Export(Export),
    /// Look at the state and move things in it
    #[command(subcommand, arg_required_else_help = true)]
    State(StateCommand),
    /// Several servers from one configuration: production, staging, …
    #[command(subcommand, arg_required_else_help = true)]
    Workspace(WorkspaceCommand),
    /// Themes: what there is, what is in one, whether one of your own is right
    #[command(subcommand, arg_required_else_help = true)]
    Theme(ThemeCommand),
    /// Hold the state's lock, so that no apply changes the server meanwhile
    Lock(Lock),
    /// Release the lock that `gaib server lock` took
    Unlock(Unlock),
    /// Release a lock that its holder left behind; the refusal that it causes has its ID
    ForceUnlock(ForceUnlock),
}

/// Which workspace.
#[derive(Clone, Debug, Default, Args)]
pub struct WorkspaceArgument {
    /// Workspace, instead of the selected one
    #[arg(long, value_name = "NAME")]
    pub workspace: Option<String>,
}

/// What a command that reads the configuration takes.
#[derive(Clone, Debug, Default, Args)]
pub struct Sources {
    /// The server
    #[command(flatten)]
    pub guild: GuildArgument,
    /// The workspace
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
    /// Configuration file [default: discord-server.yaml]
    #[arg(long, short = 'f', value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Values for its variables
    #[command(flatten)]
    pub variables: VariableArguments,
}

/// What narrows a plan down.
#[derive(Clone, Debug, Default, Args)]
pub struct Scope {
    /// Only this address and what it needs; may be given more than once
    #[arg(long, value_name = "ADDRESS")]
    pub target: Vec<String>,
    /// Only bring the state up to date with what is on the server, which is not touched
    #[arg(long)]
    pub refresh_only: bool,
    /// Plan to remove what is managed
    #[arg(long, conflicts_with = "refresh_only")]
    pub destroy: bool,
    /// Leave out ids that name nothing on the server, with what needs them, as for a copy of another server
    #[arg(long)]
    pub drop_missing: bool,
}

/// `gaib server init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Theme to begin with (`gaib server theme ls`); without one the file is a commented beginning
    #[arg(long, value_name = "THEME")]
    pub theme: Option<String>,
    /// The server
    #[command(flatten)]
    pub guild: GuildArgument,
    /// Values for the theme's variables, written into the file
    #[command(flatten)]
    pub variables: VariableArguments,
    /// Make the server a Community, which announcement channels need; the bot needs ADMINISTRATOR for it
    #[arg(long, requires = "theme")]
    pub community: bool,
    /// Replace a discord-server.yaml that is there; the state is kept
    #[arg(long)]
    pub force: bool,
}

/// `gaib server validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// Configuration file [default: discord-server.yaml]
    #[arg(long, short = 'f', value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Values for its variables
    #[command(flatten)]
    pub variables: VariableArguments,
}

/// `gaib server plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// What to compare
    #[command(flatten)]
    pub sources: Sources,
    /// How much of it
    #[command(flatten)]
    pub scope: Scope,
    /// Keep the plan in this file, for `gaib server apply FILE`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Exit with 0 for no changes, 1 for an error, 2 for changes
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Do not refuse replacements, which lose a channel's messages
    #[arg(long)]
    pub allow_replace: bool,
}

/// `gaib server diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// What to compare
    #[command(flatten)]
    pub sources: Sources,
    /// Only this address and what it needs; may be given more than once
    #[arg(long, value_name = "ADDRESS")]
    pub target: Vec<String>,
    /// Exit with 0 for no differences, 1 for an error, 2 for differences
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// `gaib server apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// A plan that `gaib server plan --out` kept: carried out as it is, without a question, or refused when stale
    #[arg(value_name = "PLAN", conflicts_with_all = ["theme", "target", "refresh_only", "destroy", "file", "var", "var_file", "flag"])]
    pub plan: Option<PathBuf>,
    /// Apply this theme at once, without a configuration file
    #[arg(long, value_name = "THEME", conflicts_with = "file")]
    pub theme: Option<String>,
    /// Keep an export of the server as it is before anything is changed, in .gaib/snapshots/
    #[arg(long)]
    pub snapshot: bool,
    /// What to compare
    #[command(flatten)]
    pub sources: Sources,
    /// How much of it
    #[command(flatten)]
    pub scope: Scope,
    /// How to go about it
    #[command(flatten)]
    pub consent: ConsentArguments,
}

/// `gaib server destroy`.
#[derive(Debug, Args)]
pub struct Destroy {
    /// The server
    #[command(flatten)]
    pub guild: GuildArgument,
    /// The workspace
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
    /// Only this address and what needs it; may be given more than once
    #[arg(long, value_name = "ADDRESS")]
    pub target: Vec<String>,
    /// Do not ask before removing anything
    #[arg(long)]
    pub auto_approve: bool,
}

/// `gaib server import`.
#[derive(Debug, Args)]
pub struct Import {
    /// Where it stands in the configuration, as in `channel.general`
    #[arg(required_unless_present = "all")]
    pub address: Option<String>,
    /// Its id at Discord
    #[arg(required_unless_present = "all")]
    pub id: Option<String>,
    /// Take in everything that the configuration names and the server has; where the configuration is empty, write the
    /// whole server down first
    #[arg(long, conflicts_with_all = ["address", "id"])]
    pub all: bool,
    /// The configuration and the server
    #[command(flatten)]
    pub sources: Sources,
}

/// `gaib server export`.
#[derive(Debug, Args)]
pub struct Export {
    /// Write to this file instead of stdout
    #[arg(long, short = 'o', value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Also what is not managed; without a state everything is written anyway
    #[arg(long)]
    pub include_unmanaged: bool,
    /// Also keep a dated copy in .gaib/exports/
    #[arg(long)]
    pub backup: bool,
    /// Replace FILE when it is there
    #[arg(long)]
    pub force: bool,
    /// The server
    #[command(flatten)]
    pub guild: GuildArgument,
    /// The workspace
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}

/// `gaib server lock`.
#[derive(Debug, Args)]
pub struct Lock {
    /// Why, for those who find it locked
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// The workspace
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}

/// `gaib server force-unlock`.
#[derive(Debug, Args)]
pub struct ForceUnlock {
    /// The lock's id
    pub id: String,
    /// Do not ask
    #[arg(long)]
    pub force: bool,
    /// The workspace
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}

/// `gaib server unlock`.
#[derive(Debug, Args)]
pub struct Unlock {
    /// The lock's id; without it, the lock that is held
    pub id: Option<String>,
    /// The workspace
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}
