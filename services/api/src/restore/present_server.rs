//! The roles and channels of a server, as the caller has read them from Discord.

use std::collections::{BTreeMap, BTreeSet};

use arrakis_contracts::servers::ServerLists;
use arrakis_db::{GuildId, ServerNames};
use arrakis_domain::{Permission, Permissions};

use crate::problem::{Problem, ProblemKind};

/// Most roles and channels of a request. Discord's limits are 250 and 500.
const MAX_LISTED: usize = 1_000;
/// Longest name of a role or channel, in characters: Discord's limit
/// (<https://discord.com/developers/docs/resources/channel#channel-object>).
const MAX_NAME: usize = 100;
/// Discord's types of channels in which the bot can welcome members and post: text and announcement channels
/// (<https://discord.com/developers/docs/resources/channel#channel-object-channel-types>).
const MESSAGE_CHANNELS: [u64; 2] = [0, 5];
/// Permissions with which a member could take over a server, or remove its members and channels.
const POWERS: Permissions = Permissions::of(&[
    Permission::Administrator,
    Permission::ManageGuild,
    Permission::ManageRoles,
    Permission::ManageChannels,
    Permission::ManageWebhooks,
    Permission::KickMembers,
    Permission::BanMembers,
]);

/// The roles and channels of a server.
#[derive(Debug, Default)]
pub(crate) struct PresentServer {
    names: ServerNames,
    /// Roles that no member can be assigned: @everyone, and those of applications.
    unassignable: BTreeSet<u64>,
    /// The [`POWERS`] that each role has.
    powers: BTreeMap<u64, Permissions>,
    /// Categories, and channels of other types than [`MESSAGE_CHANNELS`].
    without_messages: BTreeSet<u64>,
}

impl PresentServer {
    /// Checks the lists of a request.
    ///
    /// # Errors
    /// [`ProblemKind::InvalidBody`] for an id or a name that is not one, and for lists that are not those of the server.
    pub(crate) fn read(lists: &ServerLists, guild: GuildId) -> Result<Self, Problem> {
        if lists.roles.len() > MAX_LISTED || lists.channels.len() > MAX_LISTED {
            return Err(invalid(format!("server: each list has at most {MAX_LISTED} entries")));
        }
        let mut present = Self::default();
        for role in &lists.roles {
            let id = id("server.roles", &role.id)?;
            if role.managed || id == guild.get() {
                present.unassignable.insert(id);
            }
            let permissions = role.permissions.as_deref().unwrap_or("0").parse::<Permissions>();
            let permissions = permissions.map_err(|why| invalid(format!("server.roles: {id}: {why}")))?;
            present.powers.insert(id, permissions.intersection(POWERS));
            present.names.roles.insert(id, name("server.roles", id, &role.name)?);
        }
        for channel in &lists.channels {
            let id = id("server.channels", &channel.id)?;
            if channel
                .channel_type
                .is_some_and(|found| !MESSAGE_CHANNELS.contains(&found))
            {
                present.without_messages.insert(id);
            }
            present
                .names
                .channels
                .insert(id, name("server.channels", id, &channel.name)?);
        }
        // An incomplete list would look like deleted roles.
        if !present.names.roles.contains_key(&guild.get()) {
            let detail = "server.roles: the list must have every role of the server, also @everyone";
            return Err(invalid(detail.to_owned()));
        }
        Ok(present)
    }

    /// The names by id.
    pub(crate) fn names(&self) -> ServerNames {
        self.names.clone()
    }

    /// Whether the server has this role.
    pub(crate) fn has_role(&self, id: u64) -> bool {
        self.names.roles.contains_key(&id)
    }

    /// Whether the server has this channel or category.
    pub(crate) fn has_channel(&self, id: u64) -> bool {
        self.names.channels.contains_key(&id)
    }

    /// Name of a role.
    pub(crate) fn role_name(&self, id: u64) -> Option<&str> {
        self.names.roles.get(&id).map(String::as_str)
    }

    /// The permissions of a role with which a member could take over the server.
    pub(crate) fn powers(&self, id: u64) -> Permissions {
        self.powers.get(&id).copied().unwrap_or_default()
    }

    /// The role that stands for one of a checkpoint: the same one while it exists, else the only one of its name.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn role(&self, id: u64, name: Option<&str>) -> Result<u64, String> {
        let assignable = self
            .names
            .roles
            .iter()
            .filter(|(id, _)| !self.unassignable.contains(*id));
        find("role", &self.names.roles, assignable, id, name)
    }

    /// The channel that stands for one of a checkpoint, in which the bot posts: a category of the same name is no candidate.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn channel(&self, id: u64, name: Option<&str>) -> Result<u64, String> {
        let with_messages = self
            .names
            .channels
            .iter()
            .filter(|(id, _)| !self.without_messages.contains(*id));
        find("channel", &self.names.channels, with_messages, id, name)
    }
}

fn find<'a>(
    what: &str,
    all: &BTreeMap<u64, String>,
    candidates: impl Iterator<Item = (&'a u64, &'a String)>,
    id: u64,
    name: Option<&str>,
) -> Result<u64, String> {
    if all.contains_key(&id) {
        return Ok(id);
    }
    let name = name.ok_or_else(|| format!("the {what} does not exist, and its name is not in the checkpoint"))?;
    let found: Vec<u64> = candidates
        .filter(|(_, candidate)| *candidate == name)
        .map(|(id, _)| *id)
        .collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(format!("the server has no {what} \"{name}\"")),
        several => Err(format!(
            "the server has {} of the name \"{name}\"",
            plural(several.len(), what)
        )),
    }
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}s")
}

/// An id as the database stores it.
fn id(field: &str, text: &str) -> Result<u64, Problem> {
    text.parse::<GuildId>().map(GuildId::get).map_err(|why| {
        let text: String = text.chars().take(40).collect();
        invalid(format!("{field}: `{text}` is not an id of Discord: {why}"))
    })
}

/// A name, which checkpoints store. Characters that reorder text are Discord's to permit: names in Arabic and Hebrew have them.
fn name(field: &str, id: u64, text: &str) -> Result<String, Problem> {
    if text.chars().count() > MAX_NAME {
        return Err(invalid(format!(
            "{field}: the name of {id} has more than {MAX_NAME} characters"
        )));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid(format!("{field}: the name of {id} has control characters")));
    }
    Ok(text.to_owned())
}

fn invalid(detail: String) -> Problem {
    Problem::new(ProblemKind::InvalidBody, detail)
}

#[cfg(test)]
mod tests {
    use arrakis_contracts::servers::{ServerChannel, ServerRole};

    use super::*;

    fn role(id: &str, name: &str, managed: bool) -> ServerRole {
        ServerRole {
            id: id.to_owned(),
            name: name.to_owned(),
            managed,
            permissions: None,
        }
    }

    fn lists(roles: Vec<ServerRole>) -> ServerLists {
        let channels = vec![ServerChannel {
            id: "20".to_owned(),
            name: "census".to_owned(),
            channel_type: None,
        }];
        ServerLists { roles, channels }
    }

    fn present(roles: Vec<ServerRole>) -> PresentServer {
        PresentServer::read(&lists(roles), GuildId::new(1).unwrap()).unwrap()
    }

    #[test]
    fn id_that_exists_stays_and_another_one_is_found_by_its_only_name() {
        let present = present(vec![role("1", "@everyone", false), role("7", "Naib", false)]);
        assert_eq!(present.role(7, Some("another name")), Ok(7));
        assert_eq!(present.role(5, Some("Naib")), Ok(7));
        assert_eq!(present.channel(6, Some("census")), Ok(20));
        assert!(present.role(5, Some("naib")).unwrap_err().contains("no role \"naib\""));
        assert!(present.role(5, None).unwrap_err().contains("not in the checkpoint"));
    }

    #[test]
    fn role_that_no_member_can_have_and_ambiguous_names_are_not_taken() {
        let present = present(vec![
            role("1", "@everyone", false),
            role("7", "Naib", true),
            role("8", "Usul", false),
            role("9", "Usul", false),
        ]);
        assert!(present.role(5, Some("Naib")).is_err());
        assert!(present.role(5, Some("@everyone")).is_err());
        assert_eq!(
            present.role(5, Some("Usul")).unwrap_err(),
            "the server has 2 roles of the name \"Usul\""
        );
    }

    #[test]
    fn category_and_voice_channel_of_the_same_name_are_not_taken() {
        let mut lists = lists(vec![role("1", "@everyone", false)]);
        for (id, channel_type) in [("21", 4), ("22", 2), ("23", 15)] {
            lists.channels.push(ServerChannel {
                id: id.to_owned(),
                name: "welcome".to_owned(),
                channel_type: Some(channel_type),
            });
        }
        let read = |lists: &ServerLists| PresentServer::read(lists, GuildId::new(1).unwrap()).unwrap();
        let refused = read(&lists).channel(6, Some("welcome")).unwrap_err();
        assert_eq!(refused, "the server has no channel \"welcome\"");
        // An announcement channel.
        lists.channels.push(ServerChannel {
            id: "24".to_owned(),
            name: "welcome".to_owned(),
            channel_type: Some(5),
        });
        let present = read(&lists);
        assert_eq!(present.channel(6, Some("welcome")), Ok(24));
        assert!(present.has_channel(21));
    }

    #[test]
    fn list_without_everyone_and_invalid_ids_are_refused() {
        for roles in [
            Vec::new(),
            vec![role("1", "@everyone", false), role("x", "Naib", false)],
            vec![ServerRole {
                permissions: Some("-8".to_owned()),
                ..role("1", "@everyone", false)
            }],
        ] {
            let refused = PresentServer::read(&lists(roles), GuildId::new(1).unwrap()).unwrap_err();
            assert_eq!(refused.kind, ProblemKind::InvalidBody);
        }
    }
}
