//! The audit log: entries, differences, and the event of each entry.

use serde::Serialize;
use serde_json::Value;

use super::{Cause, Dispatch, State};
use crate::model::{AuditAction, AuditEntry, Change, Id, Intents};

/// Number of entries kept for each server. Discord keeps 45 days.
const KEPT: usize = 10_000;

impl State {
    /// Appends an entry and emits `GUILD_AUDIT_LOG_ENTRY_CREATE`. Does nothing for a server that does not exist.
    pub fn audit(
        &mut self,
        guild: Id,
        cause: &Cause,
        action: AuditAction,
        target: Option<Id>,
        changes: Vec<Change>,
        options: Option<Value>,
    ) {
        let id = self.next_id();
        let entry = AuditEntry {
            id,
            user_id: cause.actor,
            target_id: target,
            action_type: action,
            changes,
            options,
            reason: cause.reason.clone(),
        };
        let Some(server) = self.guilds.get_mut(&guild) else {
            return;
        };
        let mut d = serde_json::to_value(&entry).unwrap_or_default();
        d["guild_id"] = Value::String(guild.to_string());
        if server.audit_log.len() >= KEPT {
            server.audit_log.drain(..KEPT / 10);
        }
        server.audit_log.push(entry);
        self.emit(Dispatch::of_guild(
            "GUILD_AUDIT_LOG_ENTRY_CREATE",
            guild,
            Intents::GUILD_MODERATION,
            &d,
        ));
    }
}

/// The fields that differ between the JSON of an object before and after, as audit changes. `None` is an object that does not
/// exist.
pub(crate) fn differences(before: Option<&impl Serialize>, after: Option<&impl Serialize>) -> Vec<Change> {
    let fields = |side: Option<Value>| side.and_then(|value| value.as_object().cloned()).unwrap_or_default();
    let before = fields(before.and_then(|value| serde_json::to_value(value).ok()));
    let after = fields(after.and_then(|value| serde_json::to_value(value).ok()));
    let mut keys: Vec<&String> = before
        .keys()
        .chain(after.keys().filter(|key| !before.contains_key(*key)))
        .collect();
    keys.retain(|key| !matches!(key.as_str(), "id" | "guild_id" | "roles" | "emojis"));
    keys.into_iter()
        .filter_map(|key| {
            let (old, new) = (before.get(key), after.get(key));
            let known = |value: Option<&Value>| value.filter(|value| !value.is_null()).cloned();
            (old != new && (known(old).is_some() || known(new).is_some())).then(|| Change {
                key: key.clone(),
                old_value: known(old),
                new_value: known(new),
            })
        })
        .collect()
}
