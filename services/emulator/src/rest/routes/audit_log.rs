//! The audit log. <https://discord.com/developers/docs/resources/audit-log#get-guild-audit-log>

use http::Method;
use serde_json::{Value, json};

use crate::{
    model::{AuditEntry, Id, Permissions},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::ApiResult,
        limits::BucketClass,
        route::{Route, bot},
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[bot(
    &Method::GET,
    "/guilds/{guild_id}/audit-logs",
    BucketClass::AuditLog,
    get,
)];

fn get(call: &Call) -> ApiResult<RouteResponse> {
    let guild = call.id("guild_id")?;
    let limit = usize::try_from(call.query.number("limit", 1, 100, 50)?).unwrap_or(50);
    let action = match call.query.text("action_type") {
        None => None,
        Some(_) => Some(call.query.number("action_type", 0, 1_000, 0)?),
    };
    let pick = |key: &str| call.query.snowflake(key).map(|id| id.map(Id));
    let (user, target) = (pick("user_id")?, pick("target_id")?);
    let (before, after) = (pick("before")?, pick("after")?);
    call.app.world.read(|state| {
        let log = &state.guild_with(guild, Permissions::VIEW_AUDIT_LOG)?.audit_log;
        let wanted = |entry: &&AuditEntry| {
            user.is_none_or(|user| entry.user_id == user)
                && target.is_none_or(|target| entry.target_id == Some(target))
                && action.is_none_or(|action| entry.action_type as u64 == action)
                && before.is_none_or(|before| entry.id < before)
                && after.is_none_or(|after| entry.id > after)
        };
        // With `after` the entries are in ascending order, else from the newest down.
        let entries: Vec<&AuditEntry> = if after.is_some() {
            log.iter().filter(wanted).take(limit).collect()
        } else {
            log.iter().rev().filter(wanted).take(limit).collect()
        };
        Ok(RouteResponse::json(&view(state, &entries)))
    })
}

/// The entries with the users and webhooks that they refer to.
fn view(state: &State, entries: &[&AuditEntry]) -> Value {
    let mut named: Vec<Id> = entries
        .iter()
        .flat_map(|entry| [Some(entry.user_id), entry.target_id])
        .flatten()
        .collect();
    named.sort_unstable();
    named.dedup();
    let users: Vec<_> = named.iter().filter_map(|id| state.users.get(id)).collect();
    let webhooks: Vec<Value> = named
        .iter()
        .filter_map(|id| state.webhooks.get(id))
        .map(|webhook| {
            let mut view = json!(webhook);
            if let Value::Object(fields) = &mut view {
                fields.remove("token");
            }
            view
        })
        .collect();
    json!({
        "audit_log_entries": entries,
        "users": users,
        "webhooks": webhooks,
        "integrations": [],
        "guild_scheduled_events": [],
        "threads": [],
        "application_commands": [],
        "auto_moderation_rules": [],
    })
}
