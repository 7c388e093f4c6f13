//! Members and their roles. <https://discord.com/developers/docs/resources/guild#get-guild-member>

use http::Method;
use serde_json::Value;

use super::cdn::store_image;
use crate::{
    gateway::Intents,
    model::{Guild, Id, Member, Permissions, Role, Timestamp},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiError, ApiResult, ErrorCode},
        limits::BucketClass,
        permissions,
        route::{Route, bot},
        validate::{
            form::{Form, FormField, Length, read_body},
            image::{Image, read_image},
        },
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(
        &Method::GET,
        "/guilds/{guild_id}/members",
        BucketClass::ListMembers,
        list,
    ),
    bot(
        &Method::GET,
        "/guilds/{guild_id}/members/search",
        BucketClass::SearchMembers,
        search,
    ),
    bot(
        &Method::PATCH,
        "/guilds/{guild_id}/members/@me",
        BucketClass::EditMember,
        edit_own,
    ),
    bot(&Method::GET, ONE, BucketClass::ReadMember, get),
    bot(&Method::PUT, ONE, BucketClass::EditMember, add),
    bot(&Method::PATCH, ONE, BucketClass::EditMember, edit),
    bot(&Method::DELETE, ONE, BucketClass::Kick, kick),
    bot(&Method::PUT, ROLE, BucketClass::MemberRole, give_role),
    bot(&Method::DELETE, ROLE, BucketClass::MemberRole, take_role),
];

const ONE: &str = "/guilds/{guild_id}/members/{user_id}";
const ROLE: &str = "/guilds/{guild_id}/members/{user_id}/roles/{role_id}";
const IMAGE_BYTES: usize = 10 * 1_024 * 1_024;
/// Longest timeout.
const LONGEST_TIMEOUT_MS: u64 = 28 * 24 * 60 * 60 * 1_000;

fn view(state: &State, guild: Id, user: Id) -> ApiResult<RouteResponse> {
    let view = state.member_view(guild, user).ok_or(ErrorCode::UnknownMember)?;
    Ok(RouteResponse::json(&view))
}

/// The member of the path. The error distinguishes an unknown user from one who is not a member.
fn find(state: &State, guild: Id, user: Id) -> ApiResult<&Member> {
    let here = state.guild_for_bot(guild)?.members.get(&user);
    let code = if state.users.contains_key(&user) {
        ErrorCode::UnknownMember
    } else {
        ErrorCode::UnknownUser
    };
    here.ok_or_else(|| code.into())
}

fn get(call: &Call) -> ApiResult<RouteResponse> {
    let (guild, user) = (call.id("guild_id")?, call.id("user_id")?);
    call.app.world.read(|state| {
        find(state, guild, user)?;
        view(state, guild, user)
    })
}

fn list(call: &Call) -> ApiResult<RouteResponse> {
    let guild = call.id("guild_id")?;
    let limit = usize::try_from(call.query.number("limit", 1, 1_000, 1)?).unwrap_or(1);
    let after = Id(call.query.snowflake("after")?.unwrap_or(0));
    call.app.world.read(|state| {
        let server = state.guild_for_bot(guild)?;
        // The list needs the privileged intent, on REST too.
        if !state.application.privileged_intents.contains(Intents::GUILD_MEMBERS) {
            return Err(ErrorCode::MissingAccess.into());
        }
        let next = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        let page: Vec<_> = server
            .members
            .range(next)
            .take(limit)
            .filter_map(|(user, _)| state.member_view(guild, *user))
            .collect();
        Ok(RouteResponse::json(&page))
    })
}

fn search(call: &Call) -> ApiResult<RouteResponse> {
    let guild = call.id("guild_id")?;
    let limit = usize::try_from(call.query.number("limit", 1, 1_000, 1)?).unwrap_or(1);
    let Some(query) = call.query.text("query").filter(|query| !query.is_empty()) else {
        return Err(ApiError::field("query", "BASE_TYPE_REQUIRED", "This field is required"));
    };
    let query = query.to_lowercase();
    call.app.world.read(|state| {
        let server = state.guild_for_bot(guild)?;
        let starts = |text: Option<&str>| text.is_some_and(|text| text.to_lowercase().starts_with(&query));
        let found: Vec<_> = server
            .members
            .values()
            .filter(|member| {
                let user = state.users.get(&member.user_id);
                starts(member.nick.as_deref())
                    || starts(user.map(|user| user.username.as_str()))
                    || starts(user.and_then(|user| user.global_name.as_deref()))
            })
            .take(limit)
            .filter_map(|member| state.member_view(guild, member.user_id))
            .collect();
        Ok(RouteResponse::json(&found))
    })
}

/// Adding a member needs the user's `OAuth2` token, and the emulator issues none.
fn add(call: &Call) -> ApiResult<RouteResponse> {
    let (guild, user) = (call.id("guild_id")?, call.id("user_id")?);
    read_body(call.json()?, |form| {
        form.required_text("access_token", Length::up_to(2_048))
    })?;
    call.app.world.read(|state| {
        state.guild_with(guild, Permissions::CREATE_INSTANT_INVITE)?;
        if state.member(guild, user).is_some() {
            return Ok(RouteResponse::NoContent);
        }
        Err(ErrorCode::InvalidOauthToken.into())
    })
}

struct MemberForm {
    nick: FormField<String>,
    roles: FormField<Vec<u64>>,
    timeout: FormField<Timestamp>,
    voice: bool,
    mute: bool,
    deaf: bool,
    flags: FormField<i64>,
}

fn read(form: &Form<'_>) -> MemberForm {
    MemberForm {
        nick: form.text("nick", Length::up_to(32)),
        roles: form.snowflakes("roles", Length::up_to(350)),
        timeout: read_timeout(form),
        voice: form.has("channel_id") || matches!(form.raw("channel_id"), Some(Value::Null)),
        mute: form.flag("mute").is_given(),
        deaf: form.flag("deaf").is_given(),
        flags: form.integer("flags", 0, i64::from(i32::MAX)),
    }
}

fn read_timeout(form: &Form<'_>) -> FormField<Timestamp> {
    let key = "communication_disabled_until";
    match form.text(key, Length::up_to(64)) {
        FormField::Value(text) => match Timestamp::parse(&text) {
            Some(until) => FormField::Value(until),
            None => {
                form.refuse(
                    key,
                    "DATE_TIME_TYPE_PARSE",
                    format!("Could not parse {text}. Should be ISO8601."),
                );
                FormField::Absent
            }
        },
        FormField::Null => FormField::Null,
        FormField::Absent => FormField::Absent,
    }
}

fn edit(call: &Call) -> ApiResult<RouteResponse> {
    let (guild_id, user) = (call.id("guild_id")?, call.id("user_id")?);
    let form = read_body(call.json()?, read)?;
    call.app.world.write(|state| {
        let mut member = find(state, guild_id, user)?.clone();
        let guild = state.guild_for_bot(guild_id)?;
        check_edit(state, guild, &member, &form, call.now)?;
        member.nick = form
            .nick
            .clone()
            .or_keep(member.nick.take())
            .filter(|nick| !nick.is_empty());
        if let FormField::Value(roles) = &form.roles {
            let mut roles: Vec<Id> = roles.iter().map(|id| Id(*id)).filter(|id| *id != guild_id).collect();
            roles.sort_unstable();
            roles.dedup();
            member.roles = roles;
        } else if form.roles == FormField::Null {
            member.roles.clear();
        }
        member.communication_disabled_until = form.timeout.clone().or_keep(member.communication_disabled_until);
        if let FormField::Value(flags) = form.flags {
            // Only bit 2, "bypasses verification", can be set.
            member.flags = (member.flags & !4) | (u64::try_from(flags).unwrap_or(0) & 4);
        }
        state.update_member(guild_id, member, &call.cause());
        view(state, guild_id, user)
    })
}

/// Checks the permission and the hierarchy of each field of an edit.
fn check_edit(state: &State, guild: &Guild, member: &Member, form: &MemberForm, now: Timestamp) -> ApiResult<()> {
    let bot = state.bot_id;
    let above = bot == member.user_id || permissions::is_above_member(guild, bot, member.user_id);
    let require = |needed: Permissions, above: bool| {
        permissions::require_in_guild(guild, bot, needed, now)?;
        if above {
            Ok(())
        } else {
            Err(ApiError::from(ErrorCode::MissingPermissions))
        }
    };
    if form.nick.is_given() {
        let own = bot == member.user_id;
        require(
            if own {
                Permissions::CHANGE_NICKNAME
            } else {
                Permissions::MANAGE_NICKNAMES
            },
            above,
        )?;
    }
    if form.roles.is_given() {
        require(Permissions::MANAGE_ROLES, true)?;
        check_roles(
            state,
            guild,
            member,
            form.roles.as_value().map_or(&[][..], Vec::as_slice),
        )?;
    }
    if form.timeout.is_given() {
        require(Permissions::MODERATE_MEMBERS, above && bot != member.user_id)?;
        if let FormField::Value(until) = form.timeout {
            check_timeout(guild, member, until, now)?;
        }
    }
    if form.flags.is_given() {
        require(Permissions::MODERATE_MEMBERS, true)?;
    }
    if form.voice || form.mute || form.deaf {
        let needed = [
            (form.voice, Permissions::MOVE_MEMBERS),
            (form.mute, Permissions::MUTE_MEMBERS),
            (form.deaf, Permissions::DEAFEN_MEMBERS),
        ];
        for (_, permission) in needed.into_iter().filter(|(given, _)| *given) {
            require(permission, true)?;
        }
        // No member is ever connected to voice in the emulator.
        return Err(ErrorCode::NotInVoice.into());
    }
    Ok(())
}

fn check_timeout(guild: &Guild, member: &Member, until: Timestamp, now: Timestamp) -> ApiResult<()> {
    if until.0 > now.0 + LONGEST_TIMEOUT_MS {
        return Err(ApiError::field(
            "communication_disabled_until",
            "GUILD_MEMBER_TIMEOUT_TOO_LONG",
            "Timeout cannot be longer than 28 days",
        ));
    }
    if permissions::in_guild(guild, member.user_id, now).contains(Permissions::ADMINISTRATOR) {
        return Err(ErrorCode::MissingPermissions.into());
    }
    Ok(())
}

/// Checks that roles to assign or to remove exist, are below the bot's highest role, and are not managed.
fn check_roles(state: &State, guild: &Guild, member: &Member, wanted: &[u64]) -> ApiResult<()> {
    if wanted.iter().any(|id| !guild.roles.contains_key(&Id(*id))) {
        return Err(ErrorCode::UnknownRole.into());
    }
    let given = wanted
        .iter()
        .map(|id| Id(*id))
        .filter(|id| !member.has(*id) && *id != guild.id);
    let taken = member.roles.iter().copied().filter(|id| !wanted.contains(&id.0));
    for id in given.chain(taken) {
        if let Some(role) = guild.roles.get(&id) {
            check_assignable(state, guild, role)?;
        }
    }
    Ok(())
}

fn check_assignable(state: &State, guild: &Guild, role: &Role) -> ApiResult<()> {
    if !permissions::is_above_role(guild, state.bot_id, role) {
        return Err(ErrorCode::MissingPermissions.into());
    }
    if role.managed || role.id == guild.id {
        Err(ErrorCode::InvalidRole.into())
    } else {
        Ok(())
    }
}

fn edit_own(call: &Call) -> ApiResult<RouteResponse> {
    let guild = call.id("guild_id")?;
    let (nick, avatar, banner) = read_body(call.json()?, |form| {
        // No response contains the text of the profile.
        form.text("bio", Length::up_to(400));
        let nick = form.text("nick", Length::up_to(32));
        let picture = |key| read_image(form, key, IMAGE_BYTES);
        (nick, picture("avatar"), picture("banner"))
    })?;
    call.app.world.write(|state| {
        let bot = state.bot_id;
        let mut member = find(state, guild, bot)?.clone();
        if nick.is_given() {
            state.guild_with(guild, Permissions::CHANGE_NICKNAME)?;
        }
        member.nick = nick.or_keep(member.nick.take()).filter(|nick| !nick.is_empty());
        let mut store = |image: FormField<Image>| image.map(|image| store_image(state, &image));
        member.avatar = store(avatar).or_keep(member.avatar.take());
        member.banner = store(banner).or_keep(member.banner.take());
        state.update_member(guild, member, &call.cause());
        view(state, guild, bot)
    })
}

fn kick(call: &Call) -> ApiResult<RouteResponse> {
    let (guild_id, user) = (call.id("guild_id")?, call.id("user_id")?);
    call.app.world.write(|state| {
        find(state, guild_id, user)?;
        let guild = state.guild_with(guild_id, Permissions::KICK_MEMBERS)?;
        if !permissions::is_above_member(guild, state.bot_id, user) {
            return Err(ErrorCode::MissingPermissions.into());
        }
        state.kick(guild_id, user, &call.cause());
        Ok(RouteResponse::NoContent)
    })
}

fn give_role(call: &Call) -> ApiResult<RouteResponse> {
    set_role(call, true)
}

fn take_role(call: &Call) -> ApiResult<RouteResponse> {
    set_role(call, false)
}

fn set_role(call: &Call, give: bool) -> ApiResult<RouteResponse> {
    let (guild_id, user, role_id) = (call.id("guild_id")?, call.id("user_id")?, call.id("role_id")?);
    call.app.world.write(|state| {
        let mut member = find(state, guild_id, user)?.clone();
        let guild = state.guild_with(guild_id, Permissions::MANAGE_ROLES)?;
        let role = guild.roles.get(&role_id).ok_or(ErrorCode::UnknownRole)?;
        check_assignable(state, guild, role)?;
        if give && !member.has(role_id) {
            member.roles.push(role_id);
        } else if !give {
            member.roles.retain(|held| *held != role_id);
        }
        state.update_member(guild_id, member, &call.cause());
        Ok(RouteResponse::NoContent)
    })
}
