//! Lookup of objects by id or by name, so that a command at a shell needs no snowflakes.

use super::response::{ControlError, conflict, missing};
use crate::{
    model::{Channel, Guild, Id, Role},
    world::State,
};

/// Finds a server by id or name.
pub(super) fn guild<'a>(state: &'a State, text: &str) -> Result<&'a Guild, ControlError> {
    let by_id = text.parse().ok().and_then(|id: Id| state.guilds.get(&id));
    by_id
        .or_else(|| {
            state
                .guilds
                .values()
                .find(|guild| guild.name.eq_ignore_ascii_case(text))
        })
        .ok_or_else(|| {
            missing(
                format!("there is no server {text:?}"),
                "GET /control/guilds lists them; POST /control/seed creates servers",
            )
        })
}

/// Finds a user by id or user name, in any server or none.
pub(super) fn user(state: &State, text: &str) -> Result<Id, ControlError> {
    if let Some(id) = text.parse().ok().filter(|id: &Id| state.users.contains_key(id)) {
        return Ok(id);
    }
    named(state, text)?.ok_or_else(|| {
        missing(
            format!("there is no user {text:?}"),
            "GET /control/users lists them; POST …/members adds a new one",
        )
    })
}

/// Finds the user with this user name; several with the same name are refused.
pub(super) fn named(state: &State, name: &str) -> Result<Option<Id>, ControlError> {
    match state.users_named(name)[..] {
        [] => Ok(None),
        [id] => Ok(Some(id)),
        ref several => {
            let ids: Vec<String> = several.iter().map(ToString::to_string).collect();
            let error = format!("{} users are named {name:?}: {}", ids.len(), ids.join(", "));
            Err(conflict(error, "name one of them by id"))
        }
    }
}

/// Finds a user by id or user name; of several with the name, the member of this server.
pub(super) fn user_near(state: &State, guild: &Guild, text: &str) -> Result<Id, ControlError> {
    let of_guild = |id: &Id| guild.members.contains_key(id);
    match state
        .users_named(text)
        .iter()
        .filter(|id| of_guild(id))
        .collect::<Vec<_>>()[..]
    {
        [id] => Ok(*id),
        _ => user(state, text),
    }
}

/// Finds a member of a server by id or user name.
pub(super) fn member(state: &State, guild: &Guild, text: &str) -> Result<Id, ControlError> {
    let id = user_near(state, guild, text)?;
    if guild.members.contains_key(&id) {
        return Ok(id);
    }
    let what_to_do = format!(
        "add the user: POST /control/guilds/{}/members {{\"user_id\":\"{id}\"}}",
        guild.id
    );
    Err(missing(format!("{text} is not a member of {}", guild.name), what_to_do))
}

/// Finds a channel of a server by id or name.
pub(super) fn channel<'a>(guild: &'a Guild, text: &str) -> Result<&'a Channel, ControlError> {
    let text = text.trim_start_matches('#');
    let by_id = text.parse().ok().and_then(|id: Id| guild.channels.get(&id));
    by_id
        .or_else(|| guild.channels.values().find(|channel| channel.name == text))
        .ok_or_else(|| {
            let what_to_do = format!("GET /control/guilds/{} lists the channels", guild.id);
            missing(format!("{} has no channel {text:?}", guild.name), what_to_do)
        })
}

/// Finds a role of a server by id or name.
pub(super) fn role<'a>(guild: &'a Guild, text: &str) -> Result<&'a Role, ControlError> {
    let by_id = text.parse().ok().and_then(|id: Id| guild.roles.get(&id));
    by_id
        .or_else(|| guild.roles.values().find(|role| role.name == text))
        .ok_or_else(|| {
            let what_to_do = format!("GET /control/guilds/{} lists the roles", guild.id);
            missing(format!("{} has no role {text:?}", guild.name), what_to_do)
        })
}
