//! Arguments of `gaib server tier …`.

use clap::{Args, Subcommand, ValueEnum};

use super::platform::CommunityArguments;

/// The commands for the plan of a server's community.
#[derive(Debug, Subcommand)]
pub enum TierCommand {
    /// Show the plan, and what is used of the limits of backups on request
    Show(Show),
    /// Set the plan, after a confirmation; needs an API key with the scope plans:write
    Set(Set),
}

/// A plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanArgument {
    /// The free plan
    Free,
    /// The premium plan
    Premium,
}

/// Arguments of `gaib server tier show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The community.
    #[command(flatten)]
    pub community: CommunityArguments,
}

/// Arguments of `gaib server tier set`.
#[derive(Debug, Args)]
pub struct Set {
    /// The new plan
    pub plan: PlanArgument,
    /// Days for which a theme stays in use that the plan does not include [default: 14]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(0..=366))]
    pub grace_days: Option<u16>,
    /// Show the present plan, and change nothing
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
