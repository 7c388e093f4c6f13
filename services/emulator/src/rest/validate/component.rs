//! Action rows and buttons of messages: limits and form of responses.
//!
//! Source: <https://discord.com/developers/docs/components/reference>. Types that need the flag `IS_COMPONENTS_V2` are in
//! `component_v2`, selects in `select`, text inputs and labels in `modal`. To add a type, add a reader and its line in
//! `read_part`.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{
    component_v2,
    form::{Form, FormField, Length},
    select::{read_entity_select, read_string_select},
};

/// Discord's numbers of component types.
pub mod kind {
    #![expect(missing_docs, reason = "the names are Discord's own")]
    pub const ACTION_ROW: i64 = 1;
    pub const BUTTON: i64 = 2;
    pub const STRING_SELECT: i64 = 3;
    pub const TEXT_INPUT: i64 = 4;
    pub const USER_SELECT: i64 = 5;
    pub const ROLE_SELECT: i64 = 6;
    pub const MENTIONABLE_SELECT: i64 = 7;
    pub const CHANNEL_SELECT: i64 = 8;
    pub const SECTION: i64 = 9;
    pub const TEXT_DISPLAY: i64 = 10;
    pub const THUMBNAIL: i64 = 11;
    pub const MEDIA_GALLERY: i64 = 12;
    pub const FILE: i64 = 13;
    pub const SEPARATOR: i64 = 14;
    pub const CONTAINER: i64 = 17;
    pub const LABEL: i64 = 18;
}

/// Rows in a message without `IS_COMPONENTS_V2`.
pub const MAX_ROWS: usize = 5;
/// Components in a message with `IS_COMPONENTS_V2`, nested ones included.
pub const MAX_COMPONENTS: usize = 40;
const LINK_STYLE: i64 = 5;
const PREMIUM_STYLE: i64 = 6;

/// Values that must be unique, and counts, over all components of one message or modal.
#[derive(Default)]
pub struct ComponentCounts {
    custom_ids: HashSet<String>,
    ids: HashSet<i64>,
    next_id: i64,
    /// Components read so far, nested ones included.
    pub count: usize,
    /// Characters in all text displays, at most 4,000.
    pub text_characters: usize,
}

impl ComponentCounts {
    /// Starts the response form of a component with its type and id; missing ids are numbered from 1.
    pub fn begin(&mut self, form: &Form<'_>, kind: i64) -> Map<String, Value> {
        self.count += 1;
        let given = form.integer("id", 0, i64::from(i32::MAX)).value().filter(|id| *id > 0);
        let id = given.unwrap_or_else(|| {
            self.next_id += 1;
            while self.ids.contains(&self.next_id) {
                self.next_id += 1;
            }
            self.next_id
        });
        if !self.ids.insert(id) {
            form.refuse("id", "COMPONENT_ID_DUPLICATED", "Component id cannot be duplicated");
        }
        let mut component = Map::new();
        component.insert("type".to_owned(), json!(kind));
        component.insert("id".to_owned(), json!(id));
        component
    }

    /// A `custom_id`, which must be unique over the whole message.
    pub fn custom_id(&mut self, form: &Form<'_>, component: &mut Map<String, Value>) {
        let id = form.required_text("custom_id", Length::between(1, 100));
        if id.is_empty() {
            return;
        }
        if !self.custom_ids.insert(id.clone()) {
            form.refuse(
                "custom_id",
                "COMPONENT_CUSTOM_ID_DUPLICATED",
                "Component custom id cannot be duplicated",
            );
        }
        component.insert("custom_id".to_owned(), json!(id));
    }
}

/// Reads `components` of a message form. `v2` is whether the message has the flag `IS_COMPONENTS_V2`.
pub fn read_components(form: &Form<'_>, v2: bool) -> FormField<Vec<Value>> {
    let mut counts = ComponentCounts::default();
    let max = if v2 { MAX_COMPONENTS } else { MAX_ROWS };
    let given = form.forms("components", Length::up_to(max)).map(|parts| {
        parts
            .iter()
            .filter_map(|part| read_top(part, v2, &mut counts))
            .map(Value::Object)
            .collect::<Vec<_>>()
    });
    if counts.count > MAX_COMPONENTS {
        form.refuse(
            "components",
            "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED",
            format!("The total number of components cannot exceed {MAX_COMPONENTS}"),
        );
    }
    if counts.text_characters > 4_000 {
        form.refuse(
            "components",
            "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED",
            "The total displayable text size cannot exceed 4000",
        );
    }
    given
}

fn read_top(form: &Form<'_>, v2: bool, counts: &mut ComponentCounts) -> Option<Map<String, Value>> {
    let allowed: &[i64] = if v2 {
        &[
            kind::ACTION_ROW,
            kind::SECTION,
            kind::TEXT_DISPLAY,
            kind::MEDIA_GALLERY,
            kind::FILE,
            kind::SEPARATOR,
            kind::CONTAINER,
        ]
    } else {
        &[kind::ACTION_ROW]
    };
    let found = read_kind(form, allowed)?;
    read_part(form, found, counts)
}

/// Reads the type of a component, which must be one of `allowed`.
pub fn read_kind(form: &Form<'_>, allowed: &[i64]) -> Option<i64> {
    if !form.require("type") {
        return None;
    }
    form.choice("type", allowed).value()
}

/// Reads one component of this type.
pub fn read_part(form: &Form<'_>, found: i64, counts: &mut ComponentCounts) -> Option<Map<String, Value>> {
    Some(match found {
        kind::ACTION_ROW => read_row(form, counts),
        kind::BUTTON => read_button(form, counts),
        kind::STRING_SELECT => read_string_select(form, counts),
        kind::USER_SELECT | kind::ROLE_SELECT | kind::MENTIONABLE_SELECT | kind::CHANNEL_SELECT => {
            read_entity_select(form, found, counts)
        }
        other => component_v2::read_part(form, other, counts)?,
    })
}

fn read_row(form: &Form<'_>, counts: &mut ComponentCounts) -> Map<String, Value> {
    let mut row = counts.begin(form, kind::ACTION_ROW);
    if !form.require("components") {
        return row;
    }
    let FormField::Value(parts) = form.forms("components", Length::between(1, 5)) else {
        return row;
    };
    let mut width = 0;
    let mut read = Vec::with_capacity(parts.len());
    for part in &parts {
        let allowed = [
            kind::BUTTON,
            kind::STRING_SELECT,
            kind::USER_SELECT,
            kind::ROLE_SELECT,
            kind::MENTIONABLE_SELECT,
            kind::CHANNEL_SELECT,
        ];
        let Some(found) = read_kind(part, &allowed) else {
            continue;
        };
        // A row holds one select or five buttons.
        width += if found == kind::BUTTON { 1 } else { 5 };
        if width > 5 {
            part.refuse(
                "",
                "COMPONENT_LAYOUT_WIDTH_EXCEEDED",
                "The specified component exceeds the maximum width",
            );
            continue;
        }
        read.extend(read_part(part, found, counts).map(Value::Object));
    }
    row.insert("components".to_owned(), Value::Array(read));
    row
}

fn read_button(form: &Form<'_>, counts: &mut ComponentCounts) -> Map<String, Value> {
    let mut button = counts.begin(form, kind::BUTTON);
    if !form.require("style") {
        return button;
    }
    let FormField::Value(style) = form.choice("style", &[1, 2, 3, 4, LINK_STYLE, PREMIUM_STYLE]) else {
        return button;
    };
    button.insert("style".to_owned(), json!(style));
    let label = form
        .text("label", Length::up_to(80))
        .value()
        .filter(|label| !label.is_empty());
    let emoji = form.form("emoji").value().map(|emoji| read_emoji(&emoji));
    match style {
        LINK_STYLE => {
            if form.has("custom_id") {
                form.refuse(
                    "custom_id",
                    "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE",
                    "A custom id and url cannot both be specified",
                );
            }
            if form.require("url")
                && let FormField::Value(url) = form.url("url", 512, &["http", "https", "discord"])
            {
                button.insert("url".to_owned(), json!(url));
            }
        }
        PREMIUM_STYLE => {
            if form.require("sku_id")
                && let FormField::Value(sku) = form.snowflake("sku_id")
            {
                button.insert("sku_id".to_owned(), json!(sku.to_string()));
            }
        }
        _ => {
            if form.has("url") {
                form.refuse(
                    "url",
                    "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE",
                    "A custom id and url cannot both be specified",
                );
            }
            counts.custom_id(form, &mut button);
        }
    }
    if style != PREMIUM_STYLE && label.is_none() && emoji.is_none() {
        form.refuse("label", "BASE_TYPE_REQUIRED", "This field is required");
    }
    insert_some(&mut button, "label", label.map(Value::from));
    insert_some(&mut button, "emoji", emoji);
    insert_disabled(form, &mut button);
    button
}

/// Partial emoji of buttons and select options.
pub fn read_emoji(form: &Form<'_>) -> Value {
    let name = form.text("name", Length::up_to(152)).value().unwrap_or_default();
    let mut emoji = Map::new();
    if let FormField::Value(id) = form.snowflake("id") {
        emoji.insert("id".to_owned(), json!(id.to_string()));
    } else if name.is_empty() || name.is_ascii() {
        form.refuse("name", "BUTTON_COMPONENT_INVALID_EMOJI", "Invalid emoji");
    }
    emoji.insert("name".to_owned(), json!(name));
    if form.flag("animated") == FormField::Value(true) {
        emoji.insert("animated".to_owned(), json!(true));
    }
    Value::Object(emoji)
}

/// Inserts `value` under `key` unless it is absent.
pub fn insert_some(component: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        component.insert(key.to_owned(), value);
    }
}

pub(super) fn insert_disabled(form: &Form<'_>, component: &mut Map<String, Value>) {
    if let FormField::Value(disabled) = form.flag("disabled") {
        component.insert("disabled".to_owned(), json!(disabled));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::validate::form::read_body;

    fn read(components: &Value) -> Result<Vec<Value>, Value> {
        read_body(&json!({ "components": components }), |form| {
            read_components(form, false)
        })
        .map(|given| given.value().unwrap())
        .map_err(|error| error.errors.unwrap())
    }

    fn button(id: &str) -> Value {
        json!({"type": 2, "style": 1, "label": id, "custom_id": id})
    }

    #[test]
    fn components_get_ids_in_order() {
        let rows = read(&json!([{"type": 1, "components": [button("a"), button("b")]}])).unwrap();
        assert_eq!(rows[0]["id"], 1);
        assert_eq!(rows[0]["components"][1]["id"], 3);
    }

    #[test]
    fn a_row_holds_five_buttons_or_one_select() {
        let six: Vec<Value> = (0..6).map(|index| button(&index.to_string())).collect();
        let errors = read(&json!([{"type": 1, "components": six}])).unwrap_err();
        assert_eq!(
            errors["components"]["0"]["components"]["_errors"][0]["code"],
            "BASE_TYPE_BAD_LENGTH"
        );
        let select = json!({"type": 5, "custom_id": "who"});
        let errors = read(&json!([{"type": 1, "components": [button("a"), select]}])).unwrap_err();
        assert_eq!(
            errors["components"]["0"]["components"]["1"]["_errors"][0]["code"],
            "COMPONENT_LAYOUT_WIDTH_EXCEEDED"
        );
    }

    #[test]
    fn custom_ids_are_unique_and_links_have_none() {
        let errors = read(&json!([{"type": 1, "components": [button("a"), button("a"),
            {"type": 2, "style": 5, "label": "x", "custom_id": "y", "url": "https://a.example/"}]}]))
        .unwrap_err();
        let parts = &errors["components"]["0"]["components"];
        assert_eq!(
            parts["1"]["custom_id"]["_errors"][0]["code"],
            "COMPONENT_CUSTOM_ID_DUPLICATED"
        );
        assert_eq!(
            parts["2"]["custom_id"]["_errors"][0]["code"],
            "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE"
        );
    }

    #[test]
    fn rows_are_the_only_top_level_without_the_v2_flag() {
        assert_eq!(
            read(&json!([button("a")])).unwrap_err()["components"]["0"]["type"]["_errors"][0]["code"],
            "BASE_TYPE_CHOICES"
        );
        let rows: Vec<Value> = (0..6)
            .map(|index| json!({"type": 1, "components": [button(&index.to_string())]}))
            .collect();
        assert_eq!(
            read(&json!(rows)).unwrap_err()["components"]["_errors"][0]["code"],
            "BASE_TYPE_MAX_LENGTH"
        );
    }
}
