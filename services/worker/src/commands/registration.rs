//! Registers the slash commands with Discord if they differ from those that are registered.
//!
//! Discord allows 200 command creations a day, and each PUT makes every client reload the list, so the registered commands are read
//! first. A repeated registration, also by two leaders at once, puts the same list.

use arrakis_discord::{Calls, Error};
use arrakis_runtime::fail_point;
use serde_json::{Map, Value};

use super::Commands;

/// The result of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// The commands were registered before.
    Unchanged,
    /// The commands replaced those that were registered.
    Replaced,
}

/// The fields of a command that its definition determines. Discord adds others (ids, versions, localized names).
const COMPARED: [&str; 17] = [
    "name",
    "type",
    "description",
    "options",
    "required",
    "choices",
    "value",
    "autocomplete",
    "min_value",
    "max_value",
    "min_length",
    "max_length",
    "channel_types",
    "default_member_permissions",
    "contexts",
    "integration_types",
    "nsfw",
];

/// Registers the commands if they differ from those that Discord returns.
///
/// # Errors
/// If Discord or every proxy is unavailable, or Discord refuses a definition.
pub async fn register(calls: &Calls, commands: &Commands) -> Result<Registration, Error> {
    let ours: Vec<_> = commands.definitions().map(super::Definition::registered).collect();
    let registered = calls.global_commands().await?;
    let expected = serde_json::to_value(&ours).map(normalize);
    let expected = expected.map_err(|error| Error::Unreadable(error.to_string()))?;
    let unchanged = normalize(Value::Array(registered)) == expected;
    if unchanged && !fail_point::skips("worker.guard.compare") {
        tracing::debug!(count = ours.len(), "commands unchanged");
        return Ok(Registration::Unchanged);
    }
    calls.set_global_commands(&ours).await?;
    tracing::info!(count = ours.len(), "commands registered");
    Ok(Registration::Replaced)
}

/// A list of commands in a normal form for comparison: sorted by name, without defaults and without fields that Discord adds.
fn normalize(commands: Value) -> Vec<Value> {
    let Value::Array(commands) = commands else {
        return Vec::new();
    };
    let mut commands: Vec<_> = commands.into_iter().filter_map(without_defaults).collect();
    commands.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    commands
}

/// A value without Discord's defaults (null, false, an empty list), which are the same as missing fields; `None` for a default.
fn without_defaults(value: Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(false) => None,
        // Discord may return 1 as 1.0.
        Value::Number(number) => number.as_f64().map(Value::from),
        Value::Array(items) => {
            let mut items: Vec<_> = items.into_iter().filter_map(without_defaults).collect();
            // Contexts and kinds of channels are sets; options and choices keep the order in which they are shown.
            if items.iter().all(Value::is_number) {
                items.sort_by(|a, b| a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(std::cmp::Ordering::Equal));
            }
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(name, _)| COMPARED.contains(&name.as_str()));
            let kept: Map<_, _> = kept
                .filter_map(|(name, value)| Some((name, without_defaults(value)?)))
                .collect();
            Some(Value::Object(kept))
        }
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_added_by_discord_are_not_compared() {
        let ours = json!([{"name": "stats", "type": 1, "description": "d", "contexts": [0, 1], "default_member_permissions": null,
            "options": [{"name": "page", "type": 4, "description": "p", "min_value": 1}]}, {"name": "help", "description": "h"}]);
        let theirs = json!([{"name": "help", "description": "h", "nsfw": false, "options": []},
            {"id": "5", "version": "9", "name": "stats", "type": 1, "description": "d", "contexts": [1, 0], "dm_permission": true,
            "name_localizations": null, "options": [{"name": "page", "type": 4, "description": "p", "min_value": 1.0, "required": false}]}]);
        assert_eq!(normalize(ours), normalize(theirs));
    }

    #[test]
    fn changed_definition_differs() {
        let base =
            json!([{"name": "stats", "description": "d", "options": [{"name": "page", "type": 4, "min_value": 1}]}]);
        for other in [
            json!([{"name": "stats", "description": "e", "options": [{"name": "page", "type": 4, "min_value": 1}]}]),
            json!([{"name": "stats", "description": "d", "options": [{"name": "page", "type": 4, "min_value": 2}]}]),
            json!([{"name": "stats", "description": "d"}]),
            json!([{"name": "stats", "description": "d", "default_member_permissions": "8",
                "options": [{"name": "page", "type": 4, "min_value": 1}]}]),
            json!([]),
        ] {
            assert_ne!(normalize(base.clone()), normalize(other));
        }
    }
}
