//! Users and members: creation, join, leave, changes by an administrator, bans.

use arrakis_emulator_client::{MemberEdit, NewUser};
use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    names,
    response::{Body, ControlError, ControlResult, bad, conflict, missing},
};
use crate::{
    AppState,
    model::{Id, User, user::shown_name},
    world::{self, Cause},
};

pub(super) async fn users(State(app): State<AppState>) -> Json<Value> {
    Json(app.world.read(|state| {
        let mut users: Vec<&User> = state.users.values().collect();
        users.sort_by_key(|user| user.id);
        json!(users)
    }))
}

pub(super) async fn list(State(app): State<AppState>, Path(guild): Path<String>) -> ControlResult {
    app.world.read(|state| {
        let guild = names::guild(state, &guild)?;
        let members: Vec<_> = guild
            .members
            .keys()
            .filter_map(|id| state.member_view(guild.id, *id))
            .collect();
        Ok(Json(json!(members)))
    })
}

pub(super) async fn show(State(app): State<AppState>, Path((guild, user)): Path<(String, String)>) -> ControlResult {
    app.world.read(|state| {
        let guild = names::guild(state, &guild)?;
        let user = names::member(state, guild, &user)?;
        Ok(Json(json!(state.member_view(guild.id, user))))
    })
}

/// Finds an existing user, or creates one.
fn find_or_create(state: &mut world::State, person: &NewUser) -> Result<Id, ControlError> {
    let name = person.name.as_deref().filter(|_| person.user_id.is_none());
    let named = name.map_or(Ok(None), |name| names::named(state, name))?;
    if let Some(id) = person.user_id.filter(|id| state.users.contains_key(id)).or(named) {
        return Ok(id);
    }
    let name = person.name.as_deref().unwrap_or_default();
    let fits = (2..=32).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.'));
    if !fits {
        let error = format!("{name:?} is not a user name");
        return Err(bad(
            error,
            "give a name of 2 to 32 lower-case letters, digits, dots and underscores; put others into \"display\"",
        ));
    }
    if !state.users_named(name).is_empty() {
        return Err(conflict(
            format!("{name} is another user's name"),
            "omit user_id to select that user",
        ));
    }
    let id = person.user_id.unwrap_or_else(|| state.next_id());
    let mut user = User::person(id, name, person.display.as_deref());
    user.bot = person.bot;
    state.users.insert(id, user);
    Ok(id)
}

pub(super) async fn create_user(State(app): State<AppState>, Body(body): Body<NewUser>) -> ControlResult {
    app.world.write(|state| {
        let id = find_or_create(state, &body)?;
        Ok(Json(json!(state.users.get(&id))))
    })
}

/// Changes of a user; absent fields stay as they are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserEdit {
    display: Option<String>,
    accepts_dms: Option<bool>,
}

pub(super) async fn edit_user(
    State(app): State<AppState>,
    Path(user): Path<String>,
    Body(edit): Body<UserEdit>,
) -> ControlResult {
    app.world.write(|state| {
        let id = names::user(state, &user)?;
        let user = state
            .users
            .get_mut(&id)
            .ok_or_else(|| missing("the user is gone", "try again"))?;
        if let Some(display) = edit.display {
            user.global_name = shown_name(&display);
        }
        user.accepts_dms = edit.accepts_dms.unwrap_or(user.accepts_dms);
        Ok(Json(json!(user)))
    })
}

pub(super) async fn join(
    State(app): State<AppState>,
    Path(guild): Path<String>,
    Body(body): Body<NewUser>,
) -> ControlResult {
    app.world.write(|state| {
        let guild = names::guild(state, &guild)?.id;
        let user = find_or_create(state, &body)?;
        if !state.join(guild, user) {
            let what_to_do = "DELETE …/members/{user} removes a member, DELETE …/bans/{user} lifts a ban";
            return Err(conflict("the user is a member already, or banned", what_to_do));
        }
        Ok(Json(
            json!({"user_id": user, "guild_id": guild, "member": state.member_view(guild, user)}),
        ))
    })
}

pub(super) async fn leave(State(app): State<AppState>, Path((guild, user)): Path<(String, String)>) -> ControlResult {
    app.world.write(|state| {
        let guild = names::guild(state, &guild)?;
        let (user, guild, owner) = (names::member(state, guild, &user)?, guild.id, guild.owner_id);
        if user == owner || user == state.bot_id {
            return Err(bad(
                "the owner and the bot cannot leave this way",
                "DELETE /control/guilds/{guild} removes the bot",
            ));
        }
        Ok(Json(
            json!({"left": state.leave(guild, user), "user_id": user, "guild_id": guild}),
        ))
    })
}

pub(super) async fn edit(
    State(app): State<AppState>,
    Path((guild, user)): Path<(String, String)>,
    Body(edit): Body<MemberEdit>,
) -> ControlResult {
    app.world.write(|state| {
        let guild = names::guild(state, &guild)?;
        let user = names::member(state, guild, &user)?;
        let actor = edit
            .by
            .as_deref()
            .map_or(Ok(guild.owner_id), |name| names::user_near(state, guild, name))?;
        let ids = |list: &[String]| -> Result<Vec<Id>, ControlError> {
            list.iter()
                .map(|name| names::role(guild, name).map(|role| role.id))
                .collect()
        };
        let (add, remove) = (ids(&edit.add_roles)?, ids(&edit.remove_roles)?);
        let Some(mut member) = guild.members.get(&user).cloned() else {
            return Err(missing("the member is gone", "try again"));
        };
        if let Some(roles) = &edit.roles {
            member.roles = ids(roles)?;
        }
        member.roles.retain(|role| !remove.contains(role) && *role != guild.id);
        member.roles.extend(add.into_iter().filter(|role| *role != guild.id));
        let mut seen = std::collections::BTreeSet::new();
        member.roles.retain(|role| seen.insert(*role));
        if let Some(nick) = edit.nick {
            let nick = nick.as_deref().and_then(shown_name);
            if nick.as_ref().is_some_and(|nick| nick.chars().count() > 32) {
                return Err(bad("a nickname has at most 32 characters", "shorten it"));
            }
            member.nick = nick;
        }
        if let Some(until) = edit.timeout_until {
            member.communication_disabled_until = until;
        }
        let guild = guild.id;
        state.update_member(guild, member, &Cause::by(actor));
        Ok(Json(json!(state.member_view(guild, user))))
    })
}

/// A ban by the owner.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BanRequest {
    reason: Option<String>,
}

pub(super) async fn ban(
    State(app): State<AppState>,
    Path((guild, user)): Path<(String, String)>,
    Body(body): Body<BanRequest>,
) -> ControlResult {
    app.world.write(|state| {
        let guild = names::guild(state, &guild)?;
        let cause = Cause {
            actor: guild.owner_id,
            reason: body.reason,
        };
        let (guild, user) = (guild.id, names::user_near(state, guild, &user)?);
        state.ban(guild, user, None, &cause);
        Ok(Json(json!({"banned": user, "guild_id": guild})))
    })
}

pub(super) async fn unban(State(app): State<AppState>, Path((guild, user)): Path<(String, String)>) -> ControlResult {
    app.world.write(|state| {
        let guild = names::guild(state, &guild)?;
        let cause = Cause::by(guild.owner_id);
        // Of several users with this name, the banned one is selected.
        let banned = state
            .users_named(&user)
            .into_iter()
            .find(|id| guild.bans.contains_key(id));
        let user = banned.map_or_else(|| names::user(state, &user), Ok)?;
        let guild = guild.id;
        if state.unban(guild, user, &cause) {
            return Ok(Json(json!({"unbanned": user, "guild_id": guild})));
        }
        Err(missing(
            "there is no such ban",
            "GET /control/guilds/{guild} lists the bans",
        ))
    })
}
