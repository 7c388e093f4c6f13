//! Forms of auto moderation: create and edit.
//!
//! Source: <https://discord.com/developers/docs/resources/auto-moderation#create-auto-moderation-rule>.

use serde_json::{Value, json};

use super::form::{Form, FormField, Length};

/// Kinds of triggers: keyword, spam, Discord's lists, mentions, profile.
pub const TRIGGERS: &[i64] = &[1, 3, 4, 5, 6];

/// Form of a rule.
pub struct RuleForm {
    /// Name.
    pub name: FormField<String>,
    /// 1 message, 2 member.
    pub event_type: FormField<i64>,
    /// See [`TRIGGERS`].
    pub trigger_type: FormField<i64>,
    /// Complete metadata of the trigger.
    pub trigger_metadata: FormField<Value>,
    /// Actions.
    pub actions: FormField<Vec<Value>>,
    /// Whether it is enabled.
    pub enabled: FormField<bool>,
    /// Roles that are exempt.
    pub exempt_roles: FormField<Vec<u64>>,
    /// Channels that are exempt.
    pub exempt_channels: FormField<Vec<u64>>,
}

/// Reads the form of a rule. `known` is the trigger of the edited rule, which cannot be changed.
pub fn read_rule(form: &Form<'_>, known: Option<u8>) -> RuleForm {
    if known.is_none() {
        for key in ["name", "event_type", "trigger_type", "actions"] {
            form.require(key);
        }
    }
    let trigger_type = form.choice("trigger_type", TRIGGERS);
    let trigger = known
        .map(i64::from)
        .or_else(|| trigger_type.as_value().copied())
        .unwrap_or(1);
    if known.is_none() && matches!(trigger, 4 | 6) {
        form.require("trigger_metadata");
    }
    let event_type = form.choice("event_type", &[1, 2]);
    if event_type
        .as_value()
        .is_some_and(|event| (*event == 2) != (trigger == 6))
    {
        form.refuse(
            "event_type",
            "AUTO_MODERATION_INVALID_EVENT_TYPE",
            "This event type does not go with this trigger type",
        );
    }
    RuleForm {
        name: form.text("name", Length::between(1, 100)),
        event_type,
        trigger_type,
        trigger_metadata: form.form("trigger_metadata").map(|data| metadata(&data, trigger)),
        actions: form
            .forms("actions", Length::between(1, 5))
            .map(|actions| actions.iter().map(action).collect()),
        enabled: form.flag("enabled"),
        exempt_roles: form.snowflakes("exempt_roles", Length::up_to(20)),
        exempt_channels: form.snowflakes("exempt_channels", Length::up_to(50)),
    }
}

/// The metadata of a rule whose form has none.
pub fn no_metadata(trigger: u8) -> Value {
    match trigger {
        1 | 6 => json!({ "keyword_filter": [], "regex_patterns": [], "allow_list": [] }),
        4 => json!({ "presets": [], "allow_list": [] }),
        5 => json!({ "mention_total_limit": 0, "mention_raid_protection_enabled": false }),
        _ => json!({}),
    }
}

fn metadata(data: &Form<'_>, trigger: i64) -> Value {
    let mut read = no_metadata(u8::try_from(trigger).unwrap_or(1));
    match trigger {
        1 | 6 => {
            read["keyword_filter"] = words(data, "keyword_filter", 1_000, 60);
            read["regex_patterns"] = words(data, "regex_patterns", 10, 260);
            read["allow_list"] = words(data, "allow_list", 100, 60);
        }
        4 => {
            read["allow_list"] = words(data, "allow_list", 1_000, 60);
            let presets = data.snowflakes("presets", Length::up_to(3)).value().unwrap_or_default();
            if presets.iter().any(|preset| !(1..=3).contains(preset)) {
                data.refuse("presets", "BASE_TYPE_CHOICES", "Value must be one of {1, 2, 3}.");
            }
            read["presets"] = json!(presets);
        }
        5 => {
            read["mention_total_limit"] = json!(data.integer("mention_total_limit", 0, 50).value().unwrap_or(0));
            let raids = data.flag("mention_raid_protection_enabled").value().unwrap_or(false);
            read["mention_raid_protection_enabled"] = json!(raids);
        }
        _ => {}
    }
    read
}

fn words(form: &Form<'_>, key: &str, most: usize, longest: usize) -> Value {
    let entries = form
        .entries(key, Length::up_to(most))
        .value()
        .cloned()
        .unwrap_or_default();
    for (index, entry) in entries.iter().enumerate() {
        let length = entry.as_str().map_or(0, |text| text.chars().count());
        if let Some((code, message)) = Length::between(1, longest).refusal(length) {
            form.refuse(&format!("{key}.{index}"), code, message);
        }
    }
    Value::from(entries)
}

fn action(action: &Form<'_>) -> Value {
    action.require("type");
    let kind = action.choice("type", &[1, 2, 3, 4]).value().unwrap_or(1);
    let nothing = serde_json::Map::new();
    let data = action
        .form("metadata")
        .value()
        .unwrap_or_else(|| action.empty_below("metadata", &nothing));
    let metadata = match kind {
        1 => match data.text("custom_message", Length::up_to(300)).value() {
            Some(message) if !message.is_empty() => json!({ "custom_message": message }),
            _ => json!({}),
        },
        2 => {
            data.require("channel_id");
            json!({ "channel_id": data.snowflake("channel_id").value().unwrap_or(0).to_string() })
        }
        3 => {
            data.require("duration_seconds");
            json!({ "duration_seconds": data.integer("duration_seconds", 1, 2_419_200).value().unwrap_or(0) })
        }
        _ => json!({}),
    };
    json!({ "type": kind, "metadata": metadata })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::validate::form::read_body;

    fn errors(body: &Value) -> Value {
        let read = read_body(body, |form| {
            read_rule(form, None);
        });
        read.unwrap_err().errors.unwrap()
    }

    #[test]
    fn errors_of_a_rule_have_their_fields() {
        let body = json!({"name": "r", "event_type": 2, "trigger_type": 1, "actions": [{"type": 3}],
            "trigger_metadata": {"keyword_filter": ["", "ok"], "regex_patterns": ["x".repeat(261)]}});
        let errors = errors(&body);
        assert!(errors["event_type"].is_object() && errors["actions"]["0"]["metadata"]["duration_seconds"].is_object());
        assert!(errors["trigger_metadata"]["keyword_filter"]["0"].is_object());
        assert!(errors["trigger_metadata"]["regex_patterns"]["0"].is_object());
    }

    #[test]
    fn metadata_of_other_triggers_is_dropped() {
        let body = json!({"name": "r", "event_type": 1, "trigger_type": 5, "actions": [{"type": 1}],
            "trigger_metadata": {"mention_total_limit": 5, "keyword_filter": ["x"]}});
        let rule = read_body(&body, |form| read_rule(form, None)).unwrap();
        let expected = json!({"mention_total_limit": 5, "mention_raid_protection_enabled": false});
        assert_eq!(rule.trigger_metadata, FormField::Value(expected));
        assert_eq!(rule.actions, FormField::Value(vec![json!({"type": 1, "metadata": {}})]));
    }
}
