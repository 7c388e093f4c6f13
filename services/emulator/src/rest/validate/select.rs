//! Selects in messages and modals: options, bounds, and default values.
//!
//! Source: <https://discord.com/developers/docs/components/reference#string-select>.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{
    channel::read_channel_types,
    component::{ComponentCounts, insert_disabled, insert_some, kind, read_emoji},
    form::{Form, FormField, Length},
};

/// A string select.
pub(super) fn read_string_select(form: &Form<'_>, counts: &mut ComponentCounts) -> Map<String, Value> {
    let mut select = read_select_frame(form, kind::STRING_SELECT, counts);
    if !form.require("options") {
        return select;
    }
    let FormField::Value(options) = form.forms("options", Length::between(1, 25)) else {
        return select;
    };
    let mut values = HashSet::new();
    let mut read = Vec::with_capacity(options.len());
    for option in &options {
        let mut entry = Map::new();
        let value = option.required_text("value", Length::between(1, 100));
        if !values.insert(value.clone()) {
            option.refuse(
                "",
                "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED",
                "The specified option value is already used",
            );
        }
        entry.insert(
            "label".to_owned(),
            json!(option.required_text("label", Length::between(1, 100))),
        );
        entry.insert("value".to_owned(), json!(value));
        insert_some(
            &mut entry,
            "description",
            option.text("description", Length::up_to(100)).value().map(Value::from),
        );
        insert_some(
            &mut entry,
            "emoji",
            option.form("emoji").value().map(|emoji| read_emoji(&emoji)),
        );
        if option.flag("default") == FormField::Value(true) {
            entry.insert("default".to_owned(), json!(true));
        }
        read.push(Value::Object(entry));
    }
    if select["max_values"].as_u64().is_some_and(|max| max > read.len() as u64) {
        form.refuse(
            "max_values",
            "NUMBER_TYPE_MAX",
            format!("int value should be less than or equal to {}.", read.len()),
        );
    }
    let defaults = read.iter().filter(|option| option.get("default").is_some()).count();
    check_defaults(form, &select, "options", defaults);
    select.insert("options".to_owned(), Value::Array(read));
    select
}

/// Default values must be a selection that a member could make: not more than `max_values`, and not fewer than `min_values`
/// unless there are none. This is documented for `default_values`; the code is the emulator's own.
fn check_defaults(form: &Form<'_>, select: &Map<String, Value>, key: &str, defaults: usize) {
    let bound = |key: &str| select[key].as_u64().and_then(|bound| usize::try_from(bound).ok());
    let (min, max) = (
        bound("min_values").unwrap_or(0),
        bound("max_values").unwrap_or(usize::MAX),
    );
    if defaults > max || (defaults > 0 && defaults < min) {
        form.refuse(
            key,
            "SELECT_COMPONENT_DEFAULT_VALUES_OUT_OF_RANGE",
            format!("The number of default values must be between {min} and {max}"),
        );
    }
}

/// A select of users, roles or channels.
pub(super) fn read_entity_select(form: &Form<'_>, found: i64, counts: &mut ComponentCounts) -> Map<String, Value> {
    let mut select = read_select_frame(form, found, counts);
    if found == kind::CHANNEL_SELECT
        && let FormField::Value(kinds) = read_channel_types(form)
    {
        select.insert("channel_types".to_owned(), json!(kinds));
    }
    if let FormField::Value(defaults) = form.forms("default_values", Length::up_to(25)) {
        let read: Vec<Value> = defaults
            .iter()
            .map(|entry| {
                let id = entry.snowflake("id").value().unwrap_or_default();
                json!({ "id": id.to_string(), "type": entry.required_text("type", Length::up_to(10)) })
            })
            .collect();
        check_defaults(form, &select, "default_values", read.len());
        select.insert("default_values".to_owned(), Value::Array(read));
    }
    select
}

fn read_select_frame(form: &Form<'_>, found: i64, counts: &mut ComponentCounts) -> Map<String, Value> {
    let mut select = counts.begin(form, found);
    counts.custom_id(form, &mut select);
    insert_some(
        &mut select,
        "placeholder",
        form.text("placeholder", Length::up_to(150)).value().map(Value::from),
    );
    let min = form.integer("min_values", 0, 25).value().unwrap_or(1);
    let max = form.integer("max_values", 1, 25).value().unwrap_or(1);
    if min > max {
        form.refuse(
            "min_values",
            "SELECT_COMPONENT_MIN_GREATER_THAN_MAX",
            "The min number of values cannot be greater than the max",
        );
    }
    select.insert("min_values".to_owned(), json!(min));
    select.insert("max_values".to_owned(), json!(max));
    insert_disabled(form, &mut select);
    select
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::validate::{component::read_components, form::read_body};

    fn read(components: &Value) -> Result<Vec<Value>, Value> {
        read_body(&json!({ "components": components }), |form| {
            read_components(form, false)
        })
        .map(|given| given.value().unwrap())
        .map_err(|error| error.errors.unwrap())
    }

    #[test]
    fn selects_are_bounded() {
        let options: Vec<Value> = (0..26)
            .map(|index| json!({"label": "x", "value": index.to_string()}))
            .collect();
        let errors =
            read(&json!([{"type": 1, "components": [{"type": 3, "custom_id": "s", "options": options}]}])).unwrap_err();
        assert_eq!(
            errors["components"]["0"]["components"]["0"]["options"]["_errors"][0]["code"],
            "BASE_TYPE_BAD_LENGTH"
        );
        let twice = json!([{"label": "x", "value": "1"}, {"label": "y", "value": "1"}]);
        let errors =
            read(&json!([{"type": 1, "components": [{"type": 3, "custom_id": "s", "options": twice}]}])).unwrap_err();
        assert_eq!(
            errors["components"]["0"]["components"]["0"]["options"]["1"]["_errors"][0]["code"],
            "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED"
        );
    }

    #[test]
    fn defaults_are_a_choice_that_could_be_made() {
        let option = |value: &str, default: bool| json!({"label": value, "value": value, "default": default});
        let select = |defaults: [bool; 2], max: u64| {
            let options = [option("a", defaults[0]), option("b", defaults[1])];
            read(
                &json!([{"type": 1, "components": [{"type": 3, "custom_id": "s", "options": options, "max_values": max}]}]),
            )
        };
        assert!(select([true, false], 1).is_ok());
        assert!(select([true, true], 2).is_ok());
        let errors = select([true, true], 1).unwrap_err();
        let at = "/components/0/components/0/options/_errors/0/code";
        assert_eq!(
            errors.pointer(at).unwrap(),
            "SELECT_COMPONENT_DEFAULT_VALUES_OUT_OF_RANGE"
        );
        let users = |count: u64, min: u64, max: u64| {
            let defaults: Vec<Value> = (1..=count)
                .map(|id| json!({"id": id.to_string(), "type": "user"}))
                .collect();
            read(
                &json!([{"type": 1, "components": [{"type": 5, "custom_id": "u", "default_values": defaults,
                "min_values": min, "max_values": max}]}]),
            )
        };
        assert!(users(2, 1, 2).is_ok() && users(0, 2, 3).is_ok());
        assert!(users(3, 1, 2).is_err() && users(1, 2, 3).is_err());
    }

    #[test]
    fn channel_types_exist() {
        let select = |kinds: Value| {
            read(&json!([{"type": 1, "components": [{"type": 8, "custom_id": "c", "channel_types": kinds}]}]))
        };
        assert!(select(json!([0, 2, 16])).is_ok());
        let errors = select(json!([0, 99])).unwrap_err();
        let at = "/components/0/components/0/channel_types/1/_errors/0/code";
        assert_eq!(errors.pointer(at).unwrap(), "BASE_TYPE_CHOICES");
    }
}
