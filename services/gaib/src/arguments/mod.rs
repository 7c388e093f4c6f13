//! The command line: commands, options and the text of `--help`.
//!
//! Only declares arguments. [`crate::settings`] combines them with the environment. To add a command: a variant here or in
//! [`server`], and its file in `commands/`.

pub mod backup;
pub mod config;
pub mod export;
pub mod id;
pub mod platform;
pub mod restore;
pub mod server;
pub mod snapshot;
pub mod state;
pub mod theme;
pub mod tier;
pub mod workspace;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::Shell;

use self::restore::RestoreCommand;
use self::server::ServerCommand;

const LONG_ABOUT: &str = "\
Discord servers as code: describe a server in YAML, plan the changes, apply them.

gaib compares the configuration (discord-server.yaml), the state (the managed resources with their Discord ids) and the \
live server. `plan` shows the changes and makes none; `apply` makes them. Resources that gaib does not manage do not change.";

const EXAMPLES: &str = "\
Create a server from a theme:

  export DISCORD_TOKEN=…                               bot token; the bot needs Manage Roles and Manage Channels
  gaib server theme ls                                 list the themes
  gaib server init --theme sietch --guild ID           write discord-server.yaml and .gaib/
  gaib server validate                                 check the file, without token and network access
  gaib server plan                                     show the changes
  gaib server apply                                    make the changes, after a confirmation

Manage an existing server:

  gaib server init --guild ID                          ID: the server id, 17 to 20 digits
  gaib server import --all                             write the server to discord-server.yaml and to the state
  gaib server plan                                     show that there are no changes

Undo manual changes of the server:

  gaib server diff                                     show the differences by attribute
  gaib server apply                                    restore the configured values

Go back in time:

  gaib server apply --snapshot                         apply with a snapshot of the server before and after
  gaib server snapshot create -m 'before the event'    keep the whole server: resources, images, roles of members
  gaib server snapshot restore ID --apply              create what is gone, change what differs; nothing is deleted
  gaib server theme rollback                           the same, to the snapshot of the previous deployment
  gaib server backup create                            keep the state only

Empty a server, and recover it:

  gaib server teardown --dry-run                       show what would be deleted and what stays
  gaib server teardown --confirm-teardown              export, checkpoint, deletion; four confirmations
  gaib server apply -f FILE                            FILE: the export that the teardown made
  gaib restore exec --checkpoint ID                    ID: the checkpoint that the teardown stored

Environment: DISCORD_TOKEN, DISCORD_GUILD_ID (default of --guild), DISCORD_API_BASE, DISCORD_PROXY_URL and
DISCORD_PROXY_CREDENTIAL (requests through a discord-proxy, without a token), GAIB_VAR_name (value of ${name}), THEMES_DIR
(folder with additional themes), GAIB_BACKEND and GAIB_LOCK_TABLE (where the states and their locks are), BACKUP_STORE and
BACKUP_CATALOGUE (where backups and snapshots are), ARRAKIS_API_URL and ARRAKIS_API_KEY (the platform, for `gaib restore`,
`tier`, `teardown` and the limits of backups), XDG_STATE_HOME (folder for the record of which workspace manages which server,
and for the key that signs backups), NO_COLOR.
Exit codes: 0 success; 1 error or refusal; 2 changes (--detailed-exitcode).";

/// The command line of gaib.
#[derive(Debug, Parser)]
#[command(
    name = "gaib",
    bin_name = "gaib",
    version,
    about = "Discord servers as code: plan, apply, import, export",
    long_about = LONG_ABOUT,
    after_long_help = EXAMPLES,
    after_help = "`gaib --help` shows examples; `gaib help server` lists the commands.",
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 110,
)]
pub struct Arguments {
    /// Options of every command.
    #[command(flatten)]
    pub global: GlobalArguments,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArguments {
    /// Run in this directory instead of the current one
    #[arg(long, short = 'C', global = true, value_name = "DIRECTORY")]
    pub chdir: Option<PathBuf>,
    /// Write JSON messages, one object per line; the first one contains the format version
    #[arg(long, global = true)]
    pub json: bool,
    /// Write without colours (as with the variable `NO_COLOR`)
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Enable prompts; with `--input=false` a command that needs a confirmation fails
    #[arg(long, global = true, value_name = "BOOL", default_value_t = true, action = ArgAction::Set, hide_default_value = true, hide_possible_values = true)]
    pub input: bool,
}

/// The top-level commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Plan, apply and inspect a Discord server
    #[command(subcommand, arg_required_else_help = true)]
    Server(Box<ServerCommand>),
    /// Apply one configuration file to a server in one step, without `gaib server init`
    #[command(long_about = "\
Apply one configuration file to a server in one step, without `gaib server init`.

The file may be an export (`gaib server export`). The state is stored beside the file, in .gaib/workspaces/guild-ID, so \
that a second run applies only the differences.")]
    Apply(ApplyFile),
    /// List, preview and restore checkpoints of the server's community at the platform
    #[command(subcommand, arg_required_else_help = true)]
    Restore(Box<RestoreCommand>),
    /// Write a shell completion script to stdout
    Completions {
        /// Shell
        shell: Shell,
    },
    /// Write the manual page to stdout, or one page for each command to a directory
    Man {
        /// Write gaib.1, gaib-server.1, … to this directory instead of gaib(1) to stdout
        #[arg(long, value_name = "DIRECTORY")]
        out: Option<PathBuf>,
    },
}

/// Arguments of `gaib apply FILE`.
#[derive(Debug, Args)]
pub struct ApplyFile {
    /// Configuration file, for example an export
    pub file: PathBuf,
    /// The server.
    #[command(flatten)]
    pub guild: GuildArgument,
    /// Values of the configuration's variables.
    #[command(flatten)]
    pub variables: VariableArguments,
    /// What is approved in advance.
    #[command(flatten)]
    pub approval: ApprovalArguments,
    /// Ignore ids that do not exist on the server, and resources that require them; for a copy of another server
    #[arg(long)]
    pub drop_missing: bool,
}

/// The option that selects a server.
#[derive(Clone, Debug, Default, Args)]
pub struct GuildArgument {
    /// Server id [environment: `DISCORD_GUILD_ID`; default: the id that `init` recorded]
    #[arg(long, value_name = "ID")]
    pub guild: Option<String>,
}

/// Options with values of a configuration's variables and feature flags.
#[derive(Clone, Debug, Default, Args)]
pub struct VariableArguments {
    /// Value of a variable; repeatable [environment: `GAIB_VAR_name`]
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub var: Vec<String>,
    /// YAML file with values of variables; repeatable, a later file overrides an earlier one
    #[arg(long, value_name = "FILE")]
    pub var_file: Vec<PathBuf>,
    /// Value of a feature flag; repeatable
    #[arg(long, value_name = "NAME=BOOL")]
    pub flag: Vec<String>,
}

/// Options that approve the changes of an apply in advance.
#[derive(Clone, Debug, Default, Args)]
pub struct ApprovalArguments {
    /// Skip the confirmation before the changes
    #[arg(long)]
    pub auto_approve: bool,
    /// Allow replacements, which delete a channel with its messages
    #[arg(long)]
    pub allow_replace: bool,
    /// Code of your second factor, for deletions on a server whose community the platform has; without it, gaib prompts for one
    #[arg(long, value_name = "CODE")]
    pub mfa: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn argument_definitions_are_consistent() {
        Arguments::command().debug_assert();
    }
}
