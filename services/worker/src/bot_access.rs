//! What the bot may do in a server: its permissions, and the roles of the theme that it cannot assign. Only reads.

use std::time::Duration;

use arrakis_cache::{CacheKey, Ttl};
use arrakis_discord::Error;
use arrakis_domain::RoleBindings;
use twilight_model::guild::{Member, Permissions, Role};
use twilight_model::id::Id;
use twilight_model::id::marker::RoleMarker;

use crate::community::Community;
use crate::jobs::reconcile::obstacle;
use crate::render::admin_stats::BotAccess;
use crate::services::Services;

/// Permissions that the bot needs on the server, with the names that Discord shows.
const NEEDED: [(Permissions, &str); 5] = [
    (Permissions::MANAGE_ROLES, "Manage Roles"),
    (Permissions::VIEW_CHANNEL, "View Channels"),
    (Permissions::SEND_MESSAGES, "Send Messages"),
    (Permissions::EMBED_LINKS, "Embed Links"),
    // Shows whether a post was sent before an outage.
    (Permissions::READ_MESSAGE_HISTORY, "Read Message History"),
];
/// Longest time for the calls: a member waits.
const LIMIT: Duration = Duration::from_secs(1);
/// Time to live of the cached result.
const ACCESS_TTL: Ttl = Ttl::seconds(20);

/// Reads what the bot lacks, from Discord or, for some seconds after a read, from the cache.
///
/// # Errors
/// If Discord is unavailable or does not respond in time, or the bot is not a member of the server.
pub(crate) async fn read(
    services: &Services,
    community: &Community,
    bindings: &RoleBindings,
) -> Result<BotAccess, Error> {
    let load = async || {
        let guild = community.guild();
        let calls = services.discord.interactive(Some(guild)).within(LIMIT);
        // The bot's user id equals the application id, except for applications older than 2016.
        let bot = services.discord.application().cast();
        let (roles, bot, channels) = tokio::join!(calls.roles(guild), calls.member(guild, bot), calls.channels(guild));
        let not_found = || Error::Unavailable("the bot is not in the list of members".to_owned());
        let bot = bot?.ok_or_else(not_found)?;
        let channels = channels?.into_iter();
        Ok::<_, Error>(BotAccess {
            channels: channels
                .filter_map(|channel| Some((channel.id.get(), channel.name?)))
                .collect(),
            ..check(community, &roles?, &bot, bindings)
        })
    };
    let key = CacheKey::new("bot-access", &[&community.id()]);
    services.cache.get_or_load(&key, ACCESS_TTL, load).await
}

fn check(community: &Community, roles: &[Role], bot: &Member, bindings: &RoleBindings) -> BotAccess {
    // The id of @everyone equals the server's id.
    let everyone: Id<RoleMarker> = community.guild().cast();
    let of_bot = roles
        .iter()
        .filter(|role| role.id == everyone || bot.roles.contains(&role.id));
    let permissions = of_bot.fold(Permissions::empty(), |all, role| all | role.permissions);
    let missing_permissions = missing(permissions);
    // Without Manage Roles no role can be assigned, and that is stated once.
    let can_manage = permissions.intersects(Permissions::MANAGE_ROLES | Permissions::ADMINISTRATOR);
    let reason = |id: u64| match roles.iter().find(|role| role.id.get() == id) {
        None => Some("the role was deleted in the server".to_owned()),
        Some(role) if can_manage => obstacle(role, bot, roles, everyone),
        Some(_) => None,
    };
    let broken = bindings
        .iter()
        .filter_map(|(key, id)| Some((key.clone(), reason(id.0)?)));
    BotAccess {
        missing_permissions,
        broken_roles: broken.collect(),
        channels: Vec::new(),
    }
}

/// Names of the needed permissions that are missing.
fn missing(permissions: Permissions) -> Vec<String> {
    if permissions.contains(Permissions::ADMINISTRATOR) {
        return Vec::new();
    }
    let missing = NEEDED.iter().filter(|(needed, _)| !permissions.contains(*needed));
    missing.map(|(_, name)| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_permissions_are_named_and_administrator_has_all() {
        let some = Permissions::VIEW_CHANNEL | Permissions::SEND_MESSAGES;
        assert_eq!(missing(some), ["Manage Roles", "Embed Links", "Read Message History"]);
        assert_eq!(missing(Permissions::ADMINISTRATOR), Vec::<String>::new());
        assert_eq!(missing(Permissions::empty()).len(), NEEDED.len());
    }
}
