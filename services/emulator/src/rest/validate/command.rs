//! Application command forms: names, options, choices, localizations and their dependencies.
//!
//! Source: <https://discord.com/developers/docs/interactions/application-commands#application-command-object>. The route checks
//! the number of commands.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{
    command_value::read_value_rules,
    form::{Form, FormField, Length, snowflake},
};
use crate::model::Permissions;

/// Command kinds: slash command, on a user, on a message.
pub const CHAT_INPUT: i64 = 1;
const SUB_COMMAND: i64 = 1;
const SUB_COMMAND_GROUP: i64 = 2;
/// Characters of name, descriptions and values of one command; the longest localization counts.
const MAX_CHARACTERS: usize = 8_000;

/// Locales of localizations: <https://discord.com/developers/docs/reference#locales>.
pub const LOCALES: &[&str] = &[
    "ar", "bg", "cs", "da", "de", "el", "en-GB", "en-US", "es-419", "es-ES", "fi", "fr", "he", "hi", "hr", "hu", "id",
    "it", "ja", "ko", "lt", "nl", "no", "pl", "pt-BR", "ro", "ru", "sv-SE", "th", "tr", "uk", "vi", "zh-CN", "zh-TW",
];

/// Form of a command.
#[derive(Clone, Debug)]
pub struct CommandForm {
    /// 1 slash, 2 user, 3 message.
    pub kind: i64,
    /// 1 to 32 characters.
    pub name: Option<String>,
    /// Locale to name.
    pub name_localizations: FormField<Map<String, Value>>,
    /// 1 to 100 characters for slash commands, empty for others.
    pub description: Option<String>,
    /// Locale to description.
    pub description_localizations: FormField<Map<String, Value>>,
    /// Options in the form of responses.
    pub options: FormField<Vec<Value>>,
    /// Permissions that a member needs; `null` is none, 0 administrators only.
    pub default_member_permissions: FormField<Permissions>,
    /// Whether it can be used in direct messages (deprecated).
    pub dm_permission: FormField<bool>,
    /// Contexts in which it can be used.
    pub contexts: FormField<Vec<Value>>,
    /// Installation contexts.
    pub integration_types: FormField<Vec<Value>>,
    /// Age-restricted.
    pub nsfw: FormField<bool>,
}

/// The permissions that a member needs. Unlike in roles and overwrites, unknown bits are refused: its `OpenAPI` document
/// has a `maximum` here.
fn read_needed(form: &Form<'_>) -> FormField<Permissions> {
    let highest = Permissions::all().bits();
    let sent = form.raw("default_member_permissions").and_then(snowflake);
    if sent.is_some_and(|bits| bits > highest) {
        let message = format!("int value should be less than or equal to {highest}.");
        form.refuse("default_member_permissions", "NUMBER_TYPE_MAX", message);
        return FormField::Absent;
    }
    form.permissions("default_member_permissions")
}

/// Reads a command. `current_kind` is `None` on creation, the command's type on edit.
pub fn read_command(form: &Form<'_>, current_kind: Option<i64>) -> CommandForm {
    let kind = current_kind.unwrap_or_else(|| form.choice("type", &[1, 2, 3]).value().unwrap_or(CHAT_INPUT));
    let slash = kind == CHAT_INPUT;
    let create = current_kind.is_none();
    let name = (create || form.has("name")).then(|| read_name(form, slash));
    let description = if slash {
        (create || form.has("description")).then(|| form.required_text("description", Length::between(1, 100)))
    } else {
        if form
            .text("description", Length::up_to(100))
            .value()
            .is_some_and(|text| !text.is_empty())
        {
            form.refuse(
                "description",
                "APPLICATION_COMMAND_CONTEXT_MENU_DESCRIPTION_NOT_ALLOWED",
                "Context menu commands cannot have description",
            );
        }
        create.then(String::new)
    };
    let options = if slash {
        read_options(form, 0)
    } else {
        refuse_options(form)
    };
    let command = CommandForm {
        kind,
        name,
        name_localizations: read_localizations(form, "name_localizations", 32, slash),
        description,
        description_localizations: read_localizations(form, "description_localizations", 100, false),
        options,
        default_member_permissions: read_needed(form),
        dm_permission: form.flag("dm_permission"),
        contexts: read_set(form, "contexts", &[0, 1, 2]),
        integration_types: read_set(form, "integration_types", &[0, 1]),
        nsfw: form.flag("nsfw"),
    };
    let characters = count_characters(form.fields());
    if characters > MAX_CHARACTERS {
        form.refuse(
            "",
            "APPLICATION_COMMAND_TOO_LARGE",
            format!("Command exceeds maximum size ({MAX_CHARACTERS})"),
        );
    }
    command
}

/// Commands on users and messages take no options. Libraries send an empty list; the code is from memory.
fn refuse_options(form: &Form<'_>) -> FormField<Vec<Value>> {
    if form
        .raw("options")
        .is_some_and(|options| options.as_array().is_none_or(|list| !list.is_empty()) && !options.is_null())
    {
        form.refuse(
            "options",
            "APPLICATION_COMMAND_CONTEXT_MENU_OPTIONS_NOT_ALLOWED",
            "Context menu commands cannot have options",
        );
    }
    FormField::Absent
}

fn read_name(form: &Form<'_>, slash: bool) -> String {
    let name = form.required_text("name", Length::between(1, 32));
    if slash && !name.is_empty() && !is_command_name(&name) {
        form.refuse("name", "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid");
    }
    name
}

/// `^[-_'\p{L}\p{N}\p{sc=Deva}\p{sc=Thai}]{1,32}$`, and lower case where the letter has one.
fn is_command_name(name: &str) -> bool {
    name.chars().all(|character| {
        let known = character.is_alphanumeric()
            || matches!(character, '-' | '_' | '\'' | '\u{0900}'..='\u{097F}' | '\u{0E00}'..='\u{0E7F}');
        known && !character.to_lowercase().any(|lower| lower != character)
    })
}

pub(super) fn read_localizations(form: &Form<'_>, key: &str, max: usize, names: bool) -> FormField<Map<String, Value>> {
    form.form(key).map(|texts| {
        let mut read = Map::new();
        for (locale, value) in texts.fields() {
            if !LOCALES.contains(&locale.as_str()) {
                let choices: Vec<String> = LOCALES.iter().map(|known| format!("'{known}'")).collect();
                texts.refuse(
                    locale,
                    "BASE_TYPE_CHOICES",
                    format!("Value must be one of ({}).", choices.join(", ")),
                );
                continue;
            }
            if value.is_null() {
                continue;
            }
            let text = texts.required_text(locale, Length::between(1, max));
            if names && !text.is_empty() && !is_command_name(&text) {
                texts.refuse(locale, "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid");
            }
            read.insert(locale.clone(), json!(text));
        }
        read
    })
}

fn read_set(form: &Form<'_>, key: &str, choices: &[i64]) -> FormField<Vec<Value>> {
    form.entries(key, Length::between(1, choices.len())).map(|entries| {
        for (index, entry) in entries.iter().enumerate() {
            if !entry.as_i64().is_some_and(|number| choices.contains(&number)) {
                form.refuse(
                    &format!("{key}.{index}"),
                    "BASE_TYPE_CHOICES",
                    format!("Value must be one of {choices:?}."),
                );
            }
        }
        entries.clone()
    })
}

/// `depth` 0 is the command, 1 a subcommand or group, 2 a subcommand in a group.
fn read_options(form: &Form<'_>, depth: u8) -> FormField<Vec<Value>> {
    form.forms("options", Length::up_to(25)).map(|options| {
        let mut names = HashSet::new();
        let mut optional_seen = false;
        let mut kinds = Vec::with_capacity(options.len());
        let mut read = Vec::with_capacity(options.len());
        for option in &options {
            if !option.require("type") {
                continue;
            }
            let FormField::Value(kind) = option.choice("type", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]) else {
                continue;
            };
            kinds.push(kind);
            let entry = read_option(option, kind, depth);
            if let Some(name) = entry["name"].as_str()
                && !name.is_empty()
                && !names.insert(name.to_owned())
            {
                option.refuse(
                    "",
                    "APPLICATION_COMMAND_OPTIONS_NAME_NOT_UNIQUE",
                    "Option names must be unique",
                );
            }
            let required = entry.get("required") == Some(&json!(true));
            if required && optional_seen {
                option.refuse(
                    "",
                    "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
                    "Required options must be placed before non-required options",
                );
            }
            optional_seen |= !required;
            read.push(Value::Object(entry));
        }
        let nested = kinds.iter().filter(|kind| **kind <= SUB_COMMAND_GROUP).count();
        if nested != 0 && nested != kinds.len() {
            form.refuse(
                "options",
                "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
                "Sub-command and sub-command group option types are mutually exclusive to all other types",
            );
        }
        read
    })
}

fn read_option(form: &Form<'_>, kind: i64, depth: u8) -> Map<String, Value> {
    let mut option = Map::new();
    option.insert("type".to_owned(), json!(kind));
    option.insert("name".to_owned(), json!(read_name(form, true)));
    option.insert(
        "description".to_owned(),
        json!(form.required_text("description", Length::between(1, 100))),
    );
    for (key, max, names) in [
        ("name_localizations", 32, true),
        ("description_localizations", 100, false),
    ] {
        match read_localizations(form, key, max, names) {
            FormField::Value(texts) => {
                option.insert(key.to_owned(), Value::Object(texts));
            }
            FormField::Absent | FormField::Null => {}
        }
    }
    let allowed_depth = match kind {
        SUB_COMMAND => depth < 2,
        SUB_COMMAND_GROUP => depth == 0,
        _ => true,
    };
    if !allowed_depth {
        form.refuse(
            "type",
            "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
            "Sub-command groups hold sub-commands only, and sub-commands hold no sub-commands",
        );
    }
    if kind <= SUB_COMMAND_GROUP {
        if kind == SUB_COMMAND_GROUP {
            form.require("options");
        }
        // A group in a group and a subcommand in a subcommand are refused by the depth of their children.
        let below = if kind == SUB_COMMAND { 2 } else { depth + 1 };
        if let FormField::Value(inner) = read_options(form, below) {
            option.insert("options".to_owned(), Value::Array(inner));
        }
        return option;
    }
    if form.flag("required") == FormField::Value(true) {
        option.insert("required".to_owned(), json!(true));
    }
    read_value_rules(form, kind, &mut option);
    option
}

/// Characters of name, description and values of the whole command; of localizations the longest counts.
fn count_characters(fields: &Map<String, Value>) -> usize {
    let length = |key: &str| {
        fields
            .get(key)
            .and_then(Value::as_str)
            .map_or(0, |text| text.chars().count())
    };
    let longest = |key: &str| {
        fields.get(key).and_then(Value::as_object).map_or(0, |texts| {
            texts
                .values()
                .filter_map(Value::as_str)
                .map(|text| text.chars().count())
                .max()
                .unwrap_or(0)
        })
    };
    let mut characters = length("name").max(longest("name_localizations"))
        + length("description").max(longest("description_localizations"))
        + length("value");
    for key in ["options", "choices"] {
        if let Some(Value::Array(entries)) = fields.get(key) {
            characters += entries
                .iter()
                .filter_map(Value::as_object)
                .map(count_characters)
                .sum::<usize>();
        }
    }
    characters
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::{errors::ApiResult, validate::form::read_body};

    fn read(body: &Value) -> ApiResult<CommandForm> {
        read_body(body, |form| read_command(form, None))
    }

    fn code(body: &Value, pointer: &str) -> String {
        let errors = read(body).unwrap_err().errors.unwrap();
        errors.pointer(pointer).unwrap_or_else(|| panic!("{errors}"))["_errors"][0]["code"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn names_are_lower_case_words() {
        for name in ["stats", "top-10", "größe", "統計"] {
            assert!(read(&json!({"name": name, "description": "d"})).is_ok(), "{name}");
        }
        for name in ["Stats", "two words", "a!", ""] {
            assert!(read(&json!({"name": name, "description": "d"})).is_err(), "{name}");
        }
        assert!(read(&json!({"name": "Report User", "type": 2})).is_ok());
        assert_eq!(
            code(&json!({"name": "x".repeat(33), "description": "d"}), "/name"),
            "BASE_TYPE_BAD_LENGTH"
        );
        assert_eq!(code(&json!({"name": "x"}), "/description"), "BASE_TYPE_REQUIRED");
    }

    #[test]
    fn options_are_ordered_and_unique() {
        let option =
            |name: &str, required: bool| json!({"type": 3, "name": name, "description": "d", "required": required});
        let body = json!({"name": "x", "description": "d", "options": [option("a", false), option("b", true)]});
        assert_eq!(
            code(&body, "/options/1"),
            "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID"
        );
        let body = json!({"name": "x", "description": "d", "options": [option("a", true), option("a", true)]});
        assert_eq!(code(&body, "/options/1"), "APPLICATION_COMMAND_OPTIONS_NAME_NOT_UNIQUE");
        let many: Vec<Value> = (0..26).map(|index| option(&format!("o{index}"), false)).collect();
        assert_eq!(
            code(&json!({"name": "x", "description": "d", "options": many}), "/options"),
            "BASE_TYPE_MAX_LENGTH"
        );
        let body = json!({"name": "x", "description": "d", "options": [{"type": 12, "name": "a", "description": "d"}]});
        assert_eq!(code(&body, "/options/0/type"), "BASE_TYPE_CHOICES");
    }

    #[test]
    fn subcommands_nest_two_deep_and_stand_alone() {
        let sub = json!({"type": 1, "name": "s", "description": "d", "options": [
            {"type": 3, "name": "v", "description": "d", "required": true}]});
        let group = json!({"type": 2, "name": "g", "description": "d", "options": [sub]});
        assert!(read(&json!({"name": "x", "description": "d", "options": [group]})).is_ok());
        let nested = json!({"type": 2, "name": "h", "description": "d", "options": [group]});
        assert!(read(&json!({"name": "x", "description": "d", "options": [nested]})).is_err());
        let mixed = json!([sub, {"type": 3, "name": "v", "description": "d"}]);
        assert_eq!(
            code(&json!({"name": "x", "description": "d", "options": mixed}), "/options"),
            "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID"
        );
    }

    #[test]
    fn choices_have_the_kind_of_their_option() {
        let body = json!({"name": "x", "description": "d", "options": [
            {"type": 4, "name": "n", "description": "d", "choices": [{"name": "one", "value": "eins"}]}]});
        assert_eq!(code(&body, "/options/0/choices/0/value"), "NUMBER_TYPE_COERCE");
        let body = json!({"name": "x", "description": "d", "options": [
            {"type": 3, "name": "n", "description": "d", "autocomplete": true, "choices": [{"name": "a", "value": "b"}]}]});
        assert!(read(&body).is_err());
    }

    #[test]
    fn commands_on_users_and_messages_take_no_options() {
        let option = json!({"type": 3, "name": "o", "description": "d"});
        for kind in [2, 3] {
            let body = |options: Value| json!({"name": "Report", "type": kind, "options": options});
            assert_eq!(
                code(&body(json!([option])), "/options"),
                "APPLICATION_COMMAND_CONTEXT_MENU_OPTIONS_NOT_ALLOWED"
            );
            assert!(read(&body(json!([]))).is_ok() && read(&body(Value::Null)).is_ok());
        }
    }

    #[test]
    fn localisations_use_known_locales() {
        let body = json!({"name": "x", "description": "d", "name_localizations": {"de": "rang", "xx": "y"}});
        assert_eq!(code(&body, "/name_localizations/xx"), "BASE_TYPE_CHOICES");
    }

    #[test]
    fn a_command_holds_eight_thousand_characters() {
        let choices: Vec<Value> = (0..25)
            .map(|index| json!({"name": format!("c{index}"), "value": "v".repeat(400)}))
            .collect();
        let body = json!({"name": "x", "description": "d", "options": [
            {"type": 3, "name": "n", "description": "d", "choices": choices}]});
        assert_eq!(code(&body, ""), "APPLICATION_COMMAND_TOO_LARGE");
    }
}
