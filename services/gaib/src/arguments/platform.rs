//! Options of commands that use the platform: its api and the community of a server.

use clap::Args;

use super::GuildArgument;
use super::server::WorkspaceArgument;

/// The api of the platform.
#[derive(Clone, Debug, Default, Args)]
pub struct PlatformArguments {
    /// Address of the platform's api [environment: `ARRAKIS_API_URL`]
    #[arg(long, value_name = "URL")]
    pub api_url: Option<String>,
    /// API key of the platform; the variable keeps it out of the process list [environment: `ARRAKIS_API_KEY`]
    #[arg(long, value_name = "KEY")]
    pub api_key: Option<String>,
}

/// A server at the platform.
#[derive(Clone, Debug, Default, Args)]
pub struct CommunityArguments {
    /// The server.
    #[command(flatten)]
    pub guild: GuildArgument,
    /// The workspace.
    #[command(flatten)]
    pub workspace: WorkspaceArgument,
    /// The api.
    #[command(flatten)]
    pub platform: PlatformArguments,
}
