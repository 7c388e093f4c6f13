//! Tells Discord of the commands, when what it knows differs.
//!
//! Discord allows 200 command creations a day, and each PUT makes every client load the list anew; so the leader reads
//! first. Doing it twice, or by two leaders at once, puts the same list.

use arrakis_discord::{Calls, Error};
use arrakis_runtime::fail_point;
use serde_json::{Map, Value};

use super::Commands;

/// What a registration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// Discord knew them as they are.
    Unchanged,
    /// They were put in place of what Discord knew.
    Replaced,
}

/// What of a command is ours to say; the rest (ids, versions, translations of names) Discord adds.
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

/// Registers the commands where they differ from what Discord has.
///
/// # Errors
/// When Discord or every proxy is away, or Discord refuses a definition.
pub async fn register(calls: &Calls, commands: &Commands) -> Result<Registered, Error> {
    let ours: Vec<_> = commands.definitions().map(super::Definition::registered).collect();
    let theirs = calls.global_commands().await?;
    let ours_compared = serde_json::to_value(&ours).map(comparable);
    let ours_compared = ours_compared.map_err(|why| Error::Unreadable(why.to_string()))?;
    let same = comparable(Value::Array(theirs)) == ours_compared;
    if same && !fail_point::skips("worker.guard.compare") {
        tracing::debug!(count = ours.len(), "commands are registered as they are");
        return Ok(Registered::Unchanged);
    }
    calls.set_global_commands(&ours).await?;
    tracing::info!(count = ours.len(), "commands registered");
    Ok(Registered::Replaced)
}

/// A list of commands in a form in which equal ones are equal: sorted by name, defaults and what is not ours left out.
fn comparable(commands: Value) -> Vec<Value> {
    let Value::Array(commands) = commands else {
        return Vec::new();
    };
    let mut commands: Vec<_> = commands.into_iter().filter_map(essence).collect();
    commands.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    commands
}

/// `None` for what says nothing: null, false, an empty list. A missing field and its default are the same to Discord.
fn essence(value: Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(false) => None,
        // 1 and 1.0 are one bound.
        Value::Number(number) => number.as_f64().map(Value::from),
        Value::Array(items) => {
            let mut items: Vec<_> = items.into_iter().filter_map(essence).collect();
            // Contexts and kinds of channels are sets; options and choices keep the order in which they are shown.
            if items.iter().all(Value::is_number) {
                items.sort_by(|a, b| a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(std::cmp::Ordering::Equal));
            }
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(name, _)| COMPARED.contains(&name.as_str()));
            let kept: Map<_, _> = kept.filter_map(|(name, value)| Some((name, essence(value)?))).collect();
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
    fn what_discord_adds_makes_no_difference() {
        let ours = json!([{"name": "stats", "type": 1, "description": "d", "contexts": [0, 1], "default_member_permissions": null,
            "options": [{"name": "page", "type": 4, "description": "p", "min_value": 1}]}, {"name": "help", "description": "h"}]);
        let theirs = json!([{"name": "help", "description": "h", "nsfw": false, "options": []},
            {"id": "5", "version": "9", "name": "stats", "type": 1, "description": "d", "contexts": [1, 0], "dm_permission": true,
            "name_localizations": null, "options": [{"name": "page", "type": 4, "description": "p", "min_value": 1.0, "required": false}]}]);
        assert_eq!(comparable(ours), comparable(theirs));
    }

    #[test]
    fn what_we_say_differently_does() {
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
            assert_ne!(comparable(base.clone()), comparable(other));
        }
    }
}
