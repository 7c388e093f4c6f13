//! Registration of application commands, global and of servers.
//! <https://discord.com/developers/docs/interactions/application-commands#endpoints>

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Map, Value, json};

use super::applications::require_own;
use crate::{
    model::{Command, CommandOption, Id},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiError, ApiResult, ErrorCode, FieldErrors},
        limits::BucketClass,
        route::{Route, bot},
        validate::{
            command::{CommandForm, read_command},
            form::{FormField, Length, read_body, read_list},
        },
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(&Method::GET, GLOBAL, BucketClass::ReadCommands, list),
    bot(&Method::POST, GLOBAL, BucketClass::WriteCommands, create),
    bot(&Method::PUT, GLOBAL, BucketClass::WriteCommands, overwrite),
    bot(&Method::GET, GLOBAL_ONE, BucketClass::ReadCommands, get),
    bot(&Method::PATCH, GLOBAL_ONE, BucketClass::WriteCommands, edit),
    bot(&Method::DELETE, GLOBAL_ONE, BucketClass::WriteCommands, delete),
    bot(&Method::GET, GUILD, BucketClass::ReadCommands, list),
    bot(&Method::POST, GUILD, BucketClass::WriteCommands, create),
    bot(&Method::PUT, GUILD, BucketClass::WriteCommands, overwrite),
    bot(&Method::GET, GUILD_ONE, BucketClass::ReadCommands, get),
    bot(&Method::PATCH, GUILD_ONE, BucketClass::WriteCommands, edit),
    bot(&Method::DELETE, GUILD_ONE, BucketClass::WriteCommands, delete),
    bot(
        &Method::GET,
        "/applications/{application_id}/guilds/{guild_id}/commands/permissions",
        BucketClass::ReadCommands,
        list_permissions,
    ),
    bot(&Method::GET, PERMISSIONS, BucketClass::ReadCommands, get_permissions),
    bot(&Method::PUT, PERMISSIONS, BucketClass::WriteCommands, edit_permissions),
];

const GLOBAL: &str = "/applications/{application_id}/commands";
const GLOBAL_ONE: &str = "/applications/{application_id}/commands/{command_id}";
const GUILD: &str = "/applications/{application_id}/guilds/{guild_id}/commands";
const GUILD_ONE: &str = "/applications/{application_id}/guilds/{guild_id}/commands/{command_id}";

const PERMISSIONS: &str = "/applications/{application_id}/guilds/{guild_id}/commands/{command_id}/permissions";

/// Largest number of commands of each type in a scope.
const fn maximum(kind: u8) -> usize {
    if kind == 1 { 100 } else { 5 }
}

/// The scope of a call: a server, or global.
fn scope(call: &Call, state: &State) -> ApiResult<Option<Id>> {
    require_own(call)?;
    if call.param("guild_id").is_empty() {
        return Ok(None);
    }
    let guild = call.id("guild_id")?;
    state.guild_for_bot(guild).map_err(|_| ErrorCode::MissingAccess)?;
    Ok(Some(guild))
}

fn in_scope(state: &State, scope: Option<Id>) -> impl Iterator<Item = &Command> {
    state.commands.values().filter(move |command| command.guild_id == scope)
}

/// A command as JSON; without `with_localizations` the dictionaries are absent, as in lists.
fn view(command: &Command, with_localizations: bool) -> Value {
    let mut view = json!(command);
    if !with_localizations {
        strip_localizations(&mut view);
    }
    view
}

fn strip_localizations(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("name_localizations");
            fields.remove("description_localizations");
            for key in ["options", "choices"] {
                if let Some(inner) = fields.get_mut(key) {
                    strip_localizations(inner);
                }
            }
        }
        Value::Array(entries) => entries.iter_mut().for_each(strip_localizations),
        _ => {}
    }
}

fn list(call: &Call) -> ApiResult<RouteResponse> {
    let with_localizations = call.query.flag("with_localizations");
    call.app.world.read(|state| {
        let scope = scope(call, state)?;
        let views: Vec<Value> = in_scope(state, scope)
            .map(|command| view(command, with_localizations))
            .collect();
        Ok(RouteResponse::json(&views))
    })
}

fn find<'a>(call: &Call, state: &'a State) -> ApiResult<&'a Command> {
    let scope = scope(call, state)?;
    let id = call.id("command_id")?;
    let command = state.commands.get(&id).filter(|command| command.guild_id == scope);
    command.ok_or_else(|| ErrorCode::UnknownApplicationCommand.into())
}

fn get(call: &Call) -> ApiResult<RouteResponse> {
    call.app
        .world
        .read(|state| Ok(RouteResponse::json(&view(find(call, state)?, true))))
}

fn create(call: &Call) -> ApiResult<RouteResponse> {
    let form = read_body(call.json()?, |form| read_command(form, None))?;
    call.app.world.write(|state| {
        let scope = scope(call, state)?;
        let name = form.name.clone().unwrap_or_default();
        let kind = u8::try_from(form.kind).unwrap_or(1);
        let known = in_scope(state, scope)
            .find(|known| known.kind == kind && known.name == name)
            .cloned();
        let existed = known.is_some();
        if !existed {
            if in_scope(state, scope).filter(|known| known.kind == kind).count() >= maximum(kind) {
                return Err(ErrorCode::MaximumCommands.into());
            }
            count_create(call, scope)?;
        }
        let command = build(state, scope, &form, known);
        let view = view(&command, true);
        state.commands.insert(command.id, command);
        Ok(if existed {
            RouteResponse::json(&view)
        } else {
            RouteResponse::created(&view)
        })
    })
}

/// 200 creations in a day and scope: <https://discord.com/developers/docs/interactions/application-commands#registering-a-command>.
fn count_create(call: &Call, scope: Option<Id>) -> ApiResult<()> {
    if !call.app.options.rate_limits {
        return Ok(());
    }
    call.limits
        .take_command_create(scope.map_or(0, |guild| guild.0), call.now.0)
        .map_err(|refusal| ApiError {
            retry_after_ms: Some(refusal.retry_after_ms),
            ..ApiError::new(ErrorCode::MaximumDailyCommandCreates)
        })
}

/// Builds the command of a form, from the one that it replaces.
fn build(state: &mut State, scope: Option<Id>, form: &CommandForm, known: Option<Command>) -> Command {
    let fresh = state.next_id();
    let mut command = Command {
        id: known.as_ref().map_or(fresh, |known| known.id),
        application_id: state.application.id,
        guild_id: scope,
        kind: u8::try_from(form.kind).unwrap_or(1),
        name: String::new(),
        name_localizations: None,
        description: String::new(),
        description_localizations: None,
        options: Vec::new(),
        default_member_permissions: None,
        dm_permission: true,
        contexts: None,
        integration_types: vec![0],
        nsfw: false,
        version: known.as_ref().map_or(fresh, |known| known.version),
    };
    change(&mut command, form);
    if known.is_some_and(|known| known != command) {
        command.version = fresh;
    }
    command
}

/// Applies the fields of a form to a command.
fn change(command: &mut Command, form: &CommandForm) {
    if let Some(name) = &form.name {
        command.name.clone_from(name);
    }
    if let Some(description) = &form.description {
        command.description.clone_from(description);
    }
    let texts = |given: &FormField<Map<String, Value>>, current: Option<BTreeMap<String, String>>| {
        given.clone().map(to_texts).or_keep(current)
    };
    command.name_localizations = texts(&form.name_localizations, command.name_localizations.take());
    command.description_localizations = texts(
        &form.description_localizations,
        command.description_localizations.take(),
    );
    match &form.options {
        FormField::Absent => {}
        FormField::Null => command.options.clear(),
        FormField::Value(options) => command.options = options.iter().filter_map(to_option).collect(),
    }
    command.default_member_permissions = form
        .default_member_permissions
        .clone()
        .or_keep(command.default_member_permissions);
    command.dm_permission = form.dm_permission.clone().or_default(command.dm_permission, true);
    command.nsfw = form.nsfw.clone().or_default(command.nsfw, false);
    command.contexts = form
        .contexts
        .clone()
        .map(|list| to_numbers(&list))
        .or_keep(command.contexts.take());
    let types = form.integration_types.clone().map(|list| to_numbers(&list));
    command.integration_types = types.or_default(std::mem::take(&mut command.integration_types), vec![0]);
}

fn to_texts(map: Map<String, Value>) -> BTreeMap<String, String> {
    map.into_iter()
        .filter_map(|(locale, text)| Some((locale, text.as_str()?.to_owned())))
        .collect()
}

fn to_numbers(list: &[Value]) -> Vec<u8> {
    list.iter()
        .filter_map(|value| u8::try_from(value.as_u64()?).ok())
        .collect()
}

fn to_option(value: &Value) -> Option<CommandOption> {
    serde_json::from_value(value.clone())
        .inspect_err(|error| tracing::error!(%error, "a validated option does not fit the model"))
        .ok()
}

fn overwrite(call: &Call) -> ApiResult<RouteResponse> {
    let forms = read_list(call.json()?, Length::up_to(130), |form| read_command(form, None))?;
    let errors = FieldErrors::default();
    for (index, form) in forms.iter().enumerate() {
        if forms[..index]
            .iter()
            .any(|known| known.kind == form.kind && known.name == form.name)
        {
            let path = [index.to_string()];
            errors.add(
                &path,
                "APPLICATION_COMMANDS_DUPLICATE_NAME",
                "Application command names must be unique",
            );
        }
    }
    errors.finish(())?;
    for kind in [1, 2, 3] {
        if forms.iter().filter(|form| form.kind == i64::from(kind)).count() > maximum(kind) {
            return Err(ErrorCode::MaximumCommands.into());
        }
    }
    call.app.world.write(|state| {
        let scope = scope(call, state)?;
        let known: Vec<Command> = in_scope(state, scope).cloned().collect();
        let mut commands = Vec::with_capacity(forms.len());
        for form in &forms {
            let same = |old: &&Command| i64::from(old.kind) == form.kind && Some(&old.name) == form.name.as_ref();
            let old = known.iter().find(same).cloned();
            if old.is_none() {
                count_create(call, scope)?;
            }
            commands.push(build(state, scope, form, old));
        }
        state.commands.retain(|_, command| command.guild_id != scope);
        let views: Vec<Value> = commands.iter().map(|command| view(command, true)).collect();
        state
            .commands
            .extend(commands.into_iter().map(|command| (command.id, command)));
        Ok(RouteResponse::json(&views))
    })
}

fn edit(call: &Call) -> ApiResult<RouteResponse> {
    call.app.world.write(|state| {
        let mut command = find(call, state)?.clone();
        let kind = i64::from(command.kind);
        let form = read_body(call.json()?, |form| read_command(form, Some(kind)))?;
        let renamed = form.name.as_ref().is_some_and(|name| *name != command.name);
        let taken = |other: &Command| other.kind == command.kind && Some(&other.name) == form.name.as_ref();
        if renamed && in_scope(state, command.guild_id).any(taken) {
            return Err(ApiError::field(
                "name",
                "APPLICATION_COMMANDS_DUPLICATE_NAME",
                "Application command names must be unique",
            ));
        }
        let before = command.clone();
        change(&mut command, &form);
        if before != command {
            command.version = state.next_id();
        }
        let view = view(&command, true);
        state.commands.insert(command.id, command);
        Ok(RouteResponse::json(&view))
    })
}

fn delete(call: &Call) -> ApiResult<RouteResponse> {
    call.app.world.write(|state| {
        let id = find(call, state)?.id;
        state.commands.remove(&id);
        Ok(RouteResponse::NoContent)
    })
}

/// Command permissions are never changed in the emulator, so the list is empty.
fn list_permissions(call: &Call) -> ApiResult<RouteResponse> {
    call.app.world.read(|state| {
        scope(call, state)?;
        Ok(RouteResponse::json(&json!([])))
    })
}

/// The same for one command, global ones included: without changes there is no object, which is an error.
fn get_permissions(call: &Call) -> ApiResult<RouteResponse> {
    call.app.world.read(|state| {
        let scope = scope(call, state)?;
        let command = state.commands.get(&call.id("command_id")?);
        command
            .filter(|command| command.guild_id.is_none() || command.guild_id == scope)
            .ok_or(ErrorCode::UnknownApplicationCommand)?;
        Err(ErrorCode::UnknownCommandPermissions.into())
    })
}

/// Needs a Bearer token of a member: bots cannot use it. The code 20001 is from memory.
fn edit_permissions(_: &Call) -> ApiResult<RouteResponse> {
    Err(ErrorCode::BotsCannotUse.into())
}
