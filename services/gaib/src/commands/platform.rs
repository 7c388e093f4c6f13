//! What the commands that use the platform share: the server that is meant, and the client of the api.

use arrakis_iac::model::Snowflake;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::arguments::platform::CommunityArguments;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::ownership;
use crate::platform::Platform;
use crate::settings::{API_KEY_HELP, guild_option};
use crate::workspace::Workspace;
use crate::workspace_state;

/// The client for the server of a command.
///
/// # Errors
/// When no server or no api is given, or an address is invalid.
pub(super) async fn required(context: &Context, arguments: &CommunityArguments) -> Result<(Platform, Snowflake)> {
    let guild = guild(context, arguments).await?;
    let address = context.environment.platform(&arguments.platform)?.ok_or_else(|| {
        Failure::new("no api of the platform is given: ARRAKIS_API_URL and ARRAKIS_API_KEY are not set")
            .help(API_KEY_HELP)
    })?;
    Ok((Platform::new(address, guild)?, guild))
}

/// The server: `--guild`, else the environment, else the one of the workspace.
async fn guild(context: &Context, arguments: &CommunityArguments) -> Result<Snowflake> {
    let option = guild_option(&arguments.guild)?;
    let name = arguments.workspace.workspace.as_deref();
    let workspace = Workspace::open_for_guild(context, name, false, option).await?;
    let state = workspace_state::read(&workspace).await?;
    let state = state.unwrap_or_else(workspace_state::empty);
    ownership::required_guild(context, &workspace, option, &state).await
}

/// A time for people: RFC 3339, in UTC, to the second.
pub(super) fn time(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    let at = at.replace_nanosecond(0).unwrap_or(at);
    at.format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}
