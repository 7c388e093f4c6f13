//! What may be written on the command line.
//!
//! Owns the grammar and every word of `--help`. Decides nothing: [`crate::settings`] turns it, with the environment, into
//! what a command needs. To add a command: a variant here or in [`server`], and its file in `commands/`.

pub mod server;
pub mod state;
pub mod theme;
pub mod workspace;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::Shell;

use self::server::ServerCommand;

const LONG_ABOUT: &str = "\
Discord servers as code: describe a server in YAML, see what would change, change it.

gaib compares three things: the configuration (discord-server.yaml), the state (what gaib made, with Discord's ids) and \
the live server. `plan` shows the difference and touches nothing; `apply` carries it out; what gaib does not manage is \
left alone.";

const TUTORIAL: &str = "\
A first server, from a theme:

  export DISCORD_TOKEN=…                               the bot's token; it needs Manage Roles and Manage Channels
  gaib server theme ls                                 what there is
  gaib server init --theme sietch --guild ID           writes discord-server.yaml and .gaib/
  gaib server validate                                 checks the file, without token and network
  gaib server plan                                     what would change
  gaib server apply                                    changes it, after asking

A server that is there already:

  gaib server init --guild ID                          its id: 17 to 20 digits
  gaib server export -o discord-server.yaml            the live server as configuration
  gaib server import --all                             and from now on gaib manages it

Somebody changed something by hand:

  gaib server diff                                     what differs, attribute by attribute
  gaib server apply                                    puts it back

Environment: DISCORD_TOKEN, DISCORD_GUILD_ID (default of --guild), DISCORD_API_BASE, DISCORD_PROXY_URL and
DISCORD_PROXY_CREDENTIAL (through a discord-proxy, without a token), GAIB_VAR_name (value of ${name}), THEMES_DIR (folder with
themes of your own), XDG_STATE_HOME (where gaib keeps which workspace manages which server), NO_COLOR.
Exit codes: 0 done; 1 something failed or was refused; 2 there are changes (--detailed-exitcode).";

/// gaib's command line.
#[derive(Debug, Parser)]
#[command(
    name = "gaib",
    bin_name = "gaib",
    version,
    about = "Discord servers as code: plan, apply, import, export",
    long_about = LONG_ABOUT,
    after_long_help = TUTORIAL,
    after_help = "`gaib --help` teaches with examples; `gaib help server` lists the commands.",
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 110,
)]
pub struct Arguments {
    /// What every command takes.
    #[command(flatten)]
    pub global: GlobalArguments,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArguments {
    /// Work in this directory instead of the present one
    #[arg(long, short = 'C', global = true, value_name = "DIRECTORY")]
    pub chdir: Option<PathBuf>,
    /// Write messages for programs: one JSON object a line, the first names the format's version
    #[arg(long, global = true)]
    pub json: bool,
    /// Write without colours (as `NO_COLOR` does)
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Whether gaib may ask questions; with `--input=false` a command that needs an answer fails
    #[arg(long, global = true, value_name = "BOOL", default_value_t = true, action = ArgAction::Set, hide_default_value = true, hide_possible_values = true)]
    pub input: bool,
}

/// What there is to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Plan, change and look at a Discord server
    #[command(subcommand, arg_required_else_help = true)]
    Server(Box<ServerCommand>),
    /// Apply one configuration file to a server in one step, without a folder of its own
    #[command(long_about = "\
Apply one configuration file to a server in one step.

For example a file that `gaib server export` wrote. No `init` is needed. The state is kept beside the file, in \
.gaib/workspaces/guild-ID, so that a second run changes only what differs.")]
    Apply(ApplyFile),
    /// Write completions for a shell to stdout
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write the manual page, or one for each command into a directory
    Man {
        /// Write gaib.1, gaib-server.1, … into this directory instead of gaib(1) to stdout
        #[arg(long, value_name = "DIRECTORY")]
        out: Option<PathBuf>,
    },
}

/// `gaib apply FILE --guild ID`.
#[derive(Debug, Args)]
pub struct ApplyFile {
    /// The configuration, usually an export
    pub file: PathBuf,
    /// The server
    #[command(flatten)]
    pub guild: GuildArgument,
    /// Values for the file's variables
    #[command(flatten)]
    pub variables: VariableArguments,
    /// How to apply
    #[command(flatten)]
    pub consent: ConsentArguments,
    /// Leave out ids that name nothing on the server, with what needs them, as for a copy of another server
    #[arg(long)]
    pub drop_missing: bool,
}

/// The server that a command is about.
#[derive(Clone, Debug, Default, Args)]
pub struct GuildArgument {
    /// Id of the server [environment: `DISCORD_GUILD_ID`; else the one that `init` recorded]
    #[arg(long, value_name = "ID")]
    pub guild: Option<String>,
}

/// Values for `${name}`.
#[derive(Clone, Debug, Default, Args)]
pub struct VariableArguments {
    /// Value of a variable; may be given more than once [environment: `GAIB_VAR_name`]
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub var: Vec<String>,
    /// YAML file with values of variables; may be given more than once, later ones win
    #[arg(long, value_name = "FILE")]
    pub var_file: Vec<PathBuf>,
    /// A feature flag, on or off; may be given more than once
    #[arg(long, value_name = "NAME=BOOL")]
    pub flag: Vec<String>,
}

/// How an apply may go about it.
#[derive(Clone, Debug, Default, Args)]
pub struct ConsentArguments {
    /// Do not ask before changing anything
    #[arg(long)]
    pub auto_approve: bool,
    /// Allow replacements, which lose a channel's messages
    #[arg(long)]
    pub allow_replace: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_holds_together() {
        Arguments::command().debug_assert();
    }
}
