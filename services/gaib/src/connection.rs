//! Clients for Discord, directly or through a discord-proxy.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{Kind, Snowflake};
use arrakis_iac_apply::http::{CallError, Discord, Https, Proxy, ProxyCaller, Token, Transport};
use arrakis_iac_apply::{NoProgress, Progress, ReadError, read};

use crate::context::Context;
use crate::error::{Failure, Result};
use crate::settings::Connection;

/// A client for one server. It reports waits and retries to `progress`, and stops between two requests after a signal.
///
/// # Errors
/// When the environment has neither a token nor a proxy, or an invalid value.
pub fn connect(context: &Context, guild: Snowflake, progress: Arc<dyn Progress>) -> Result<Discord> {
    let transport: Arc<dyn Transport> = match context.environment.connection()? {
        Connection::Token { token, api_base } => {
            let token = Token::new(token.expose()).map_err(Failure::new)?;
            Arc::new(Https::new(&api_base, token).map_err(Failure::new)?)
        }
        Connection::Proxy { replicas, credential } => {
            let proxy = Proxy::new(&replicas, ProxyCaller::Gaib, credential.expose(), guild.get());
            Arc::new(proxy.map_err(|error| {
                Failure::new(error)
                    .help("correct DISCORD_PROXY_CREDENTIAL, or unset DISCORD_PROXY_URL to use DISCORD_TOKEN")
            })?)
        }
    };
    Ok(Discord::new(transport, progress, context.interruption.token()))
}

/// A client for one server that reports no progress, for commands that only read.
///
/// # Errors
/// As [`connect`].
pub fn connect_silently(context: &Context, guild: Snowflake) -> Result<Discord> {
    connect(context, guild, Arc::new(NoProgress))
}

/// Reads the resources of these kinds from the live server.
///
/// # Errors
/// When Discord refuses a request or cannot be reached.
pub async fn read_live(
    context: &Context,
    discord: &Discord,
    guild: Snowflake,
    kinds: &BTreeSet<Kind>,
) -> Result<LiveServer> {
    read(discord, guild, kinds)
        .await
        .map_err(|error| read_failure(context, &format!("server {guild}"), &error))
}

/// The error of a read before the first change. `what` completes the sentence "could not read …".
pub fn read_failure(context: &Context, what: &str, error: &ReadError) -> Failure {
    let failure = Failure::new(format!("could not read {what}: {error}"));
    if let ReadError::Forbidden { permissions, .. } = error {
        let names: Vec<String> = permissions
            .iter()
            .map(|permission| permission_name(permission))
            .collect();
        return failure.help(format!(
            "grant {} to the bot's role in Discord (Server Settings, Roles), and run the same command again",
            names.join(", ")
        ));
    }
    let is_unavailable = matches!(error, ReadError::Call(CallError::Unavailable { .. }));
    let is_not_found = matches!(error, ReadError::Call(CallError::Refused { status: 404, .. }));
    match context.environment.other_api_base() {
        Some(base) if is_unavailable || is_not_found => failure.help(format!(
            "nothing was changed: check that DISCORD_API_BASE ({base}) is the address of Discord's API, version 10, and run the \
             same command again"
        )),
        None if is_unavailable => failure.help("nothing was changed: run the same command again later"),
        _ => failure,
    }
}

/// A permission as Discord's settings name it, with the name that a configuration has.
fn permission_name(permission: &str) -> String {
    if permission == "MANAGE_GUILD" {
        return format!("Manage Server ({permission})");
    }
    let words = permission.split('_').map(|word| match word.split_at_checked(1) {
        Some((first, rest)) => format!("{first}{}", rest.to_ascii_lowercase()),
        None => String::new(),
    });
    format!("{} ({permission})", words.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::permission_name;

    #[test]
    fn permissions_have_the_names_of_discords_settings() {
        assert_eq!(permission_name("MANAGE_GUILD"), "Manage Server (MANAGE_GUILD)");
        assert_eq!(permission_name("MANAGE_WEBHOOKS"), "Manage Webhooks (MANAGE_WEBHOOKS)");
    }
}
