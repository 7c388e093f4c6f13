//! Arguments of `gaib server …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::backup::BackupCommand;
use super::config::ConfigCommand;
use super::export::Export;
use super::platform::CommunityArguments;
use super::snapshot::SnapshotCommand;
use super::state::StateCommand;
use super::theme::ThemeCommand;
use super::tier::TierCommand;
use super::workspace::WorkspaceCommand;
use super::{ApplyFile, ApprovalArguments, GuildArgument, VariableArguments};

/// The commands that work on one server.
#[derive(Debug, Subcommand)]
pub enum ServerCommand {
    /// Create discord-server.yaml and .gaib/, from a theme or empty
    Init(Init),
    /// Check the configuration without network access; exit code 0: valid, 1: invalid
    Validate(Validate),
    /// Show what the configuration resolves to
    #[command(subcommand, arg_required_else_help = true)]
    Config(ConfigCommand),
    /// Show the changes that an apply would make
    Plan(Plan),
    /// Show the differences between the configuration and the live server by attribute
    Diff(Diff),
    /// Change the server so that it matches the configuration
    Apply(Apply),
    /// Delete the managed resources from the server; unmanaged resources stay
    Destroy(Destroy),
    /// Empty the server: delete everything that Discord permits to delete, managed or not
    #[command(long_about = "\
Empty the server: delete everything that Discord permits to delete, managed or not.

Four stages, each after a confirmation of its own: the server is exported to .gaib/teardown/, and a snapshot of it is stored; \
the platform stores a checkpoint of the community and freezes it; the channels are deleted with their messages; roles, emoji and everything else \
are deleted. An interrupted teardown continues with the same command. Recovery: apply the export, then restore the \
checkpoint; the output ends with the commands.")]
    Teardown(Teardown),
    /// Add existing resources of the server to the state, so that gaib manages them
    Import(Import),
    /// Write the live server as a configuration whose plan has no changes
    Export(Export),
    /// Store copies of the state, and go back to one
    #[command(subcommand, arg_required_else_help = true)]
    Backup(BackupCommand),
    /// Store snapshots of the whole server, compare them, and go back to one
    #[command(subcommand, arg_required_else_help = true)]
    Snapshot(SnapshotCommand),
    /// Inspect and edit the state
    #[command(subcommand, arg_required_else_help = true)]
    State(StateCommand),
    /// Manage workspaces: several servers from one configuration (production, staging, …)
    #[command(subcommand, arg_required_else_help = true)]
    Workspace(WorkspaceCommand),
    /// List, show and validate themes; show the themes of a server, and go back to an earlier one
    #[command(subcommand, arg_required_else_help = true)]
    Theme(ThemeCommand),
    /// Show and set the plan of the server's community at the platform
    #[command(subcommand, arg_required_else_help = true)]
    Tier(TierCommand),
    /// Lock the state, so that every apply is refused until `unlock`
    Lock(Lock),
    /// Release a lock that `gaib server lock` took
    Unlock(Unlock),
    /// Release a lock whose holder has ended; the error of a refused command contains the lock id
    ForceUnlock(ForceUnlock),
}

/// The option that selects a workspace.
#[derive(Clone, Debug, Default, Args)]
pub struct WorkspaceArgument {
    /// Workspace [default: the selected workspace]
    #[arg(long, value_name = "NAME")]
    pub workspace: Option<String>,
}

/// Options of a command that reads the configuration.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigurationArguments {
    /// The server.
    #[command(flatten)]
    pub guild: GuildArgument,
    /// The workspace.
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
    /// Configuration file [default: discord-server.yaml]
    #[arg(long, short = 'f', value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Values of the configuration's variables.
    #[command(flatten)]
    pub variables: VariableArguments,
}

/// Options that decide what a plan contains.
#[derive(Clone, Debug, Default, Args)]
pub struct PlanningArguments {
    /// Limit the plan to this address and its dependencies; repeatable
    #[arg(long, value_name = "ADDRESS")]
    pub target: Vec<String>,
    /// Update the state from the server; the server does not change
    #[arg(long)]
    pub refresh_only: bool,
    /// Plan the deletion of all managed resources
    #[arg(long, conflicts_with = "refresh_only")]
    pub destroy: bool,
    /// Ignore ids that do not exist on the server, and resources that require them; for a copy of another server
    #[arg(long)]
    pub drop_missing: bool,
}

/// Arguments of `gaib server init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Write all roles, categories and channels of this theme (`gaib server theme ls`); without a theme the file is a commented
    /// template
    #[arg(long, value_name = "THEME")]
    pub theme: Option<String>,
    /// Write a short file that refers to the theme, in place of its resources
    #[arg(long, requires = "theme")]
    pub link: bool,
    /// The server.
    #[command(flatten)]
    pub guild: GuildArgument,
    /// Values of the theme's variables, with which the file is written.
    #[command(flatten)]
    pub variables: VariableArguments,
    /// Enable Community on the server, which announcement channels require; the bot needs ADMINISTRATOR
    #[arg(long, requires = "theme")]
    pub community: bool,
    /// Replace an existing discord-server.yaml, and keep it as discord-server.yaml.bak; the state stays
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `gaib server validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// Configuration file [default: discord-server.yaml]
    #[arg(long, short = 'f', value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Values of the configuration's variables.
    #[command(flatten)]
    pub variables: VariableArguments,
}

/// Arguments of `gaib server plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// The configuration and the server.
    #[command(flatten)]
    pub configuration: ConfigurationArguments,
    /// What the plan contains.
    #[command(flatten)]
    pub planning: PlanningArguments,
    /// Save the plan to this file, for `gaib server apply FILE`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Exit code 0: no changes, 1: error, 2: changes
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Allow the saved plan to make replacements, which delete a channel with its messages
    #[arg(long)]
    pub allow_replace: bool,
}

/// Arguments of `gaib server diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// The configuration and the server.
    #[command(flatten)]
    pub configuration: ConfigurationArguments,
    /// Limit the comparison to this address and its dependencies; repeatable
    #[arg(long, value_name = "ADDRESS")]
    pub target: Vec<String>,
    /// Exit code 0: no differences, 1: error, 2: differences
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// Arguments of `gaib server apply`.
#[derive(Debug, Default, Args)]
pub struct Apply {
    /// Plan that `gaib server plan --out` saved; applied unchanged and without a confirmation, refused when it is stale
    #[arg(value_name = "PLAN", conflicts_with_all = ["theme", "target", "refresh_only", "destroy", "file", "var", "var_file", "flag"])]
    pub plan: Option<PathBuf>,
    /// Apply this theme without a configuration file
    #[arg(long, value_name = "THEME", conflicts_with = "file")]
    pub theme: Option<String>,
    /// Store a snapshot of the server before the first change, and one after the last; a rollback restores them
    #[arg(long)]
    pub snapshot: bool,
    /// Message that the theme registry shows
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub message: Option<String>,
    /// The configuration and the server.
    #[command(flatten)]
    pub configuration: ConfigurationArguments,
    /// What the plan contains.
    #[command(flatten)]
    pub planning: PlanningArguments,
    /// What is approved in advance.
    #[command(flatten)]
    pub approval: ApprovalArguments,
}

impl From<&Destroy> for Apply {
    fn from(destroy: &Destroy) -> Self {
        Self {
            configuration: ConfigurationArguments {
                guild: destroy.guild.clone(),
                workspace: destroy.workspace.clone(),
                ..ConfigurationArguments::default()
            },
            planning: PlanningArguments {
                target: destroy.target.clone(),
                destroy: true,
                ..PlanningArguments::default()
            },
            approval: ApprovalArguments {
                auto_approve: destroy.auto_approve,
                mfa: destroy.mfa.clone(),
                ..ApprovalArguments::default()
            },
            ..Self::default()
        }
    }
}

impl From<&ApplyFile> for Apply {
    fn from(apply: &ApplyFile) -> Self {
        Self {
            configuration: ConfigurationArguments {
                guild: apply.guild.clone(),
                file: Some(apply.file.clone()),
                variables: apply.variables.clone(),
                ..ConfigurationArguments::default()
            },
            planning: PlanningArguments {
                drop_missing: apply.drop_missing,
                ..PlanningArguments::default()
            },
            approval: apply.approval.clone(),
            ..Self::default()
        }
    }
}

/// Arguments of `gaib server destroy`.
#[derive(Debug, Args)]
pub struct Destroy {
    /// The server.
    #[command(flatten)]
    pub guild: GuildArgument,
    /// The workspace.
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
    /// Delete only this address and its dependents; repeatable
    #[arg(long, value_name = "ADDRESS")]
    pub target: Vec<String>,
    /// Skip the confirmation before the deletion
    #[arg(long)]
    pub auto_approve: bool,
    /// Code of your second factor, for a server whose community the platform has; without it, gaib prompts for one
    #[arg(long, value_name = "CODE")]
    pub mfa: Option<String>,
}

/// Arguments of `gaib server teardown`.
#[derive(Debug, Args)]
pub struct Teardown {
    /// Confirm that the server is to be emptied; the four confirmations follow nevertheless
    #[arg(long)]
    pub confirm_teardown: bool,
    /// Show what would be deleted and what stays, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Continue without a checkpoint, for this reason; only for a server without a community at the platform
    #[arg(long, value_name = "REASON")]
    pub no_checkpoint: Option<String>,
    /// Begin another teardown although one that began in another folder or on another machine is not finished; only where that folder is lost
    #[arg(long)]
    pub begin_again: bool,
    /// Code of your second factor, for a server whose community the platform has; without it, gaib prompts for one before the first deletion
    #[arg(long, value_name = "CODE")]
    pub mfa: Option<String>,
    /// The community.
    #[command(flatten)]
    pub community: CommunityArguments,
}

/// Arguments of `gaib server import`.
#[derive(Debug, Args)]
pub struct Import {
    /// Address in the configuration, for example `channel.general`
    #[arg(required_unless_present = "all")]
    pub address: Option<String>,
    /// Discord id of the resource
    #[arg(required_unless_present = "all")]
    pub id: Option<String>,
    /// Import every configured resource that the server has; where the configuration is empty, write the whole server to it
    /// first
    #[arg(long, conflicts_with_all = ["address", "id"])]
    pub all: bool,
    /// The configuration and the server.
    #[command(flatten)]
    pub configuration: ConfigurationArguments,
}

/// Arguments of `gaib server lock`.
#[derive(Debug, Args)]
pub struct Lock {
    /// Reason, which the error of every refused command contains
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// The workspace.
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}

/// Arguments of `gaib server force-unlock`.
#[derive(Debug, Args)]
pub struct ForceUnlock {
    /// Lock id; `damaged` for a record of a shared store that cannot be read
    pub id: String,
    /// Skip the confirmation
    #[arg(long)]
    pub force: bool,
    /// The workspace.
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}

/// Arguments of `gaib server unlock`.
#[derive(Debug, Args)]
pub struct Unlock {
    /// Lock id [default: the id of the current lock]
    pub id: Option<String>,
    /// The workspace.
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
}
