//! Values of a command's option: choices, autocomplete, bounds and channel types.
//!
//! Source: <https://discord.com/developers/docs/interactions/application-commands#application-command-object-application-command-option-structure>.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{
    channel::read_channel_types,
    command::read_localizations,
    form::{Form, FormField, Length},
};

const STRING: i64 = 3;
const INTEGER: i64 = 4;
const CHANNEL: i64 = 7;
const NUMBER: i64 = 10;

/// Reads choices, autocomplete, bounds and channel types of an option that takes a value.
pub(super) fn read_value_rules(form: &Form<'_>, kind: i64, option: &mut Map<String, Value>) {
    let takes_choices = matches!(kind, STRING | INTEGER | NUMBER);
    let autocomplete = form.flag("autocomplete").value().unwrap_or(false);
    let choices = form.forms("choices", Length::up_to(25)).value().unwrap_or_default();
    if autocomplete && (!takes_choices || !choices.is_empty()) {
        form.refuse(
            "autocomplete",
            "APPLICATION_COMMAND_OPTIONS_CHOICES_AUTOCOMPLETE",
            "Autocomplete can only be used on string, integer and number options without choices",
        );
    }
    if autocomplete {
        option.insert("autocomplete".to_owned(), json!(true));
    }
    if !choices.is_empty() {
        if takes_choices {
            option.insert("choices".to_owned(), Value::Array(read_choices(&choices, kind)));
        } else {
            form.refuse(
                "choices",
                "APPLICATION_COMMAND_OPTIONS_CHOICES_NOT_ALLOWED",
                "Choices can only be used on string, integer and number options",
            );
        }
    }
    if kind == STRING {
        for (key, min) in [("min_length", 0), ("max_length", 1)] {
            if let FormField::Value(length) = form.integer(key, min, 6_000) {
                option.insert(key.to_owned(), json!(length));
            }
        }
        refuse_crossed(form, option, "min_length", "max_length");
    }
    if matches!(kind, INTEGER | NUMBER) {
        for key in ["min_value", "max_value"] {
            match form.raw(key) {
                None | Some(Value::Null) => {}
                Some(value) if value.is_i64() || value.is_u64() || (kind == NUMBER && value.is_number()) => {
                    option.insert(key.to_owned(), value.clone());
                }
                Some(value) => form.refuse(key, "NUMBER_TYPE_COERCE", format!("Value {value} is not int.")),
            }
        }
        refuse_crossed(form, option, "min_value", "max_value");
    }
    if kind == CHANNEL
        && let FormField::Value(kinds) = read_channel_types(form)
    {
        option.insert("channel_types".to_owned(), json!(kinds));
    }
}

/// Refuses bounds that no value fulfils. That Discord refuses them is from memory, and the code is the emulator's own.
fn refuse_crossed(form: &Form<'_>, option: &Map<String, Value>, low: &str, high: &str) {
    let bound = |key: &str| option.get(key).and_then(Value::as_f64);
    if let (Some(least), Some(most)) = (bound(low), bound(high))
        && least > most
    {
        form.refuse(
            low,
            "APPLICATION_COMMAND_OPTIONS_MIN_GREATER_THAN_MAX",
            format!("{low} cannot be greater than {high}"),
        );
    }
}

/// Reads choices of an option or of an autocomplete response; values must be of the option's type.
pub fn read_choices(choices: &[Form<'_>], kind: i64) -> Vec<Value> {
    let mut names = HashSet::new();
    choices
        .iter()
        .map(|choice| {
            let name = choice.required_text("name", Length::between(1, 100));
            if !names.insert(name.clone()) {
                choice.refuse(
                    "",
                    "APPLICATION_COMMAND_OPTIONS_CHOICE_NAMES_DUPLICATED",
                    "Option choice names must be unique",
                );
            }
            let mut read = Map::new();
            read.insert("name".to_owned(), json!(name));
            if let FormField::Value(texts) = read_localizations(choice, "name_localizations", 100, false) {
                read.insert("name_localizations".to_owned(), Value::Object(texts));
            }
            read.insert("value".to_owned(), read_choice_value(choice, kind));
            Value::Object(read)
        })
        .collect()
}

fn read_choice_value(choice: &Form<'_>, kind: i64) -> Value {
    if choice.raw("value").is_none_or(Value::is_null) {
        choice.refuse("value", "BASE_TYPE_REQUIRED", "This field is required");
        return Value::Null;
    }
    let limit = 9_007_199_254_740_992_i64;
    match kind {
        INTEGER => choice
            .integer("value", -limit, limit)
            .value()
            .map_or(Value::Null, Value::from),
        NUMBER => match choice.raw("value") {
            Some(value) if value.is_number() => value.clone(),
            Some(value) => {
                choice.refuse("value", "NUMBER_TYPE_COERCE", format!("Value {value} is not float."));
                Value::Null
            }
            None => Value::Null,
        },
        _ => choice
            .text("value", Length::up_to(6_000))
            .value()
            .map_or(Value::Null, Value::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::validate::{command::read_command, form::read_body};

    /// The errors of a command with this one option.
    fn errors(option: &Value) -> Option<Value> {
        let mut whole = json!({"name": "o", "description": "d"});
        whole
            .as_object_mut()
            .unwrap()
            .extend(option.as_object().unwrap().clone());
        let body = json!({"name": "x", "description": "d", "options": [whole]});
        read_body(&body, |form| read_command(form, None))
            .err()
            .map(|error| error.errors.unwrap())
    }

    #[test]
    fn bounds_that_no_value_keeps_are_refused() {
        for (kind, low, high) in [
            (4, "min_value", "max_value"),
            (10, "min_value", "max_value"),
            (3, "min_length", "max_length"),
        ] {
            assert_eq!(errors(&json!({"type": kind, low: 5, high: 5})), None);
            let found = errors(&json!({"type": kind, low: 6, high: 5})).unwrap();
            let code = &found["options"]["0"][low]["_errors"][0]["code"];
            assert_eq!(code, "APPLICATION_COMMAND_OPTIONS_MIN_GREATER_THAN_MAX", "{found}");
        }
        assert_eq!(errors(&json!({"type": 10, "min_value": -0.5, "max_value": 0.5})), None);
    }

    #[test]
    fn channel_types_exist() {
        assert_eq!(errors(&json!({"type": 7, "channel_types": [0, 5, 16]})), None);
        let found = errors(&json!({"type": 7, "channel_types": [0, 99]})).unwrap();
        assert_eq!(
            found["options"]["0"]["channel_types"]["1"]["_errors"][0]["code"],
            "BASE_TYPE_CHOICES"
        );
    }
}
