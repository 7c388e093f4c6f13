//! Rules of auto moderation. <https://discord.com/developers/docs/resources/auto-moderation>

use http::Method;
use serde_json::json;

use crate::{
    model::{AutomodRule, Guild, Id, Permissions, guild::Values},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiError, ApiResult, ErrorCode, FieldErrors},
        limits::BucketClass,
        route::{Route, bot},
        validate::{
            automod::{RuleForm, no_metadata, read_rule},
            form::{FormField, read_body},
        },
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(&Method::GET, ALL, BucketClass::Automod, list),
    bot(&Method::POST, ALL, BucketClass::Automod, create),
    bot(&Method::GET, ONE, BucketClass::Automod, get),
    bot(&Method::PATCH, ONE, BucketClass::Automod, edit),
    bot(&Method::DELETE, ONE, BucketClass::Automod, delete),
];

const ALL: &str = "/guilds/{guild_id}/auto-moderation/rules";
const ONE: &str = "/guilds/{guild_id}/auto-moderation/rules/{rule_id}";

/// Largest number of rules by trigger.
const fn maximum(trigger: u8) -> usize {
    if trigger == 1 { 6 } else { 1 }
}

fn list(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    call.app.world.read(|state| {
        Ok(RouteResponse::json(&Values(
            &state.guild_with(id, Permissions::MANAGE_GUILD)?.automod_rules,
        )))
    })
}

fn find<'a>(state: &'a State, call: &Call) -> ApiResult<(&'a Guild, &'a AutomodRule)> {
    let guild = state.guild_with(call.id("guild_id")?, Permissions::MANAGE_GUILD)?;
    let rule = guild
        .automod_rules
        .get(&call.id("rule_id")?)
        .ok_or(ErrorCode::NotFound)?;
    Ok((guild, rule))
}

fn get(call: &Call) -> ApiResult<RouteResponse> {
    call.app
        .world
        .read(|state| Ok(RouteResponse::json(find(state, call)?.1)))
}

/// Checks that roles and channels of a rule exist.
fn check(guild: &Guild, form: &RuleForm) -> ApiResult<()> {
    let errors = FieldErrors::default();
    let refuse = |field: &str| errors.add(&[field.to_owned()], "BASE_TYPE_CHOICES", "Unknown role or channel");
    let roles = form.exempt_roles.as_value().into_iter().flatten();
    if !roles.into_iter().all(|id| guild.roles.contains_key(&Id(*id))) {
        refuse("exempt_roles");
    }
    let channels = form.exempt_channels.as_value().into_iter().flatten();
    if !channels.into_iter().all(|id| guild.channels.contains_key(&Id(*id))) {
        refuse("exempt_channels");
    }
    for action in form.actions.as_value().into_iter().flatten() {
        let target = action["metadata"]["channel_id"].as_str().and_then(|id| id.parse().ok());
        if target.is_some_and(|id: Id| !guild.channels.contains_key(&id)) {
            refuse("actions");
        }
    }
    errors.finish(())
}

fn ids(given: &FormField<Vec<u64>>, current: &[Id]) -> Vec<Id> {
    let given = given.clone().map(|ids| ids.into_iter().map(Id).collect());
    given.or_default(current.to_vec(), Vec::new())
}

fn create(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    let form = read_body(call.json()?, |form| read_rule(form, None))?;
    let trigger = u8::try_from(form.trigger_type.as_value().copied().unwrap_or(1)).unwrap_or(1);
    call.app.world.write(|state| {
        let guild = state.guild_with(id, Permissions::MANAGE_GUILD)?;
        check(guild, &form)?;
        let alike = guild
            .automod_rules
            .values()
            .filter(|rule| rule.trigger_type == trigger)
            .count();
        if alike >= maximum(trigger) {
            let code = "AUTO_MODERATION_MAX_RULES_OF_TYPE_EXCEEDED";
            return Err(ApiError::field(
                "trigger_type",
                code,
                "Maximum number of rules of this type reached",
            ));
        }
        let rule = AutomodRule {
            id: state.next_id(),
            guild_id: id,
            creator_id: state.bot_id,
            name: form.name.clone().value().unwrap_or_default(),
            event_type: u8::try_from(form.event_type.as_value().copied().unwrap_or(1)).unwrap_or(1),
            trigger_type: trigger,
            trigger_metadata: form
                .trigger_metadata
                .clone()
                .value()
                .unwrap_or_else(|| no_metadata(trigger)),
            actions: form.actions.clone().value().unwrap_or_default(),
            enabled: form.enabled.clone().value().unwrap_or(false),
            exempt_roles: ids(&form.exempt_roles, &[]),
            exempt_channels: ids(&form.exempt_channels, &[]),
        };
        let answer = RouteResponse::json(&json!(rule));
        state.put_automod_rule(&rule, &call.cause());
        Ok(answer)
    })
}

fn edit(call: &Call) -> ApiResult<RouteResponse> {
    let known = call
        .app
        .world
        .read(|state| Ok::<_, ApiError>(find(state, call)?.1.trigger_type))?;
    let form = read_body(call.json()?, |form| read_rule(form, Some(known)))?;
    call.app.world.write(|state| {
        let (guild, rule) = find(state, call)?;
        check(guild, &form)?;
        let mut rule = rule.clone();
        if let FormField::Value(name) = &form.name {
            rule.name.clone_from(name);
        }
        if let FormField::Value(data) = &form.trigger_metadata {
            rule.trigger_metadata.clone_from(data);
        }
        if let FormField::Value(actions) = &form.actions {
            rule.actions.clone_from(actions);
        }
        rule.enabled = form.enabled.clone().or_default(rule.enabled, false);
        rule.exempt_roles = ids(&form.exempt_roles, &rule.exempt_roles);
        rule.exempt_channels = ids(&form.exempt_channels, &rule.exempt_channels);
        let answer = RouteResponse::json(&json!(rule));
        state.put_automod_rule(&rule, &call.cause());
        Ok(answer)
    })
}

fn delete(call: &Call) -> ApiResult<RouteResponse> {
    call.app.world.write(|state| {
        let (guild, rule) = find(state, call)?;
        let (guild, rule) = (guild.id, rule.id);
        state.delete_automod_rule(guild, rule, &call.cause());
        Ok(RouteResponse::NoContent)
    })
}
