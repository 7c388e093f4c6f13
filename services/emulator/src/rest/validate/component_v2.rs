//! Display components, allowed only with the message flag `IS_COMPONENTS_V2`.
//!
//! Source: <https://discord.com/developers/docs/components/reference>. Action rows, buttons and selects are in
//! `component`; limits over the whole message (40 components, 4,000 characters of text) are counted there.

use serde_json::{Map, Value, json};

use super::{
    component::{ComponentCounts, insert_some, kind, read_kind},
    form::{Form, FormField, Length},
};

/// Reads one display component. Returns `None` without an error for any other type.
pub fn read_part(form: &Form<'_>, found: i64, counts: &mut ComponentCounts) -> Option<Map<String, Value>> {
    match found {
        kind::TEXT_DISPLAY => Some(read_text(form, counts)),
        kind::SECTION => Some(read_section(form, counts)),
        kind::THUMBNAIL => Some(read_thumbnail(form, counts)),
        kind::MEDIA_GALLERY => Some(read_gallery(form, counts)),
        kind::FILE => Some(read_file(form, counts)),
        kind::SEPARATOR => Some(read_separator(form, counts)),
        kind::CONTAINER => Some(read_container(form, counts)),
        _ => None,
    }
}

/// A text display; also allowed in modals.
pub fn read_text(form: &Form<'_>, counts: &mut ComponentCounts) -> Map<String, Value> {
    let mut part = counts.begin(form, kind::TEXT_DISPLAY);
    let content = form.required_text("content", Length::between(1, 4_000));
    counts.text_characters += content.chars().count();
    part.insert("content".to_owned(), json!(content));
    part
}

fn read_section(form: &Form<'_>, counts: &mut ComponentCounts) -> Map<String, Value> {
    let mut part = counts.begin(form, kind::SECTION);
    if form.require("components")
        && let FormField::Value(texts) = form.forms("components", Length::between(1, 3))
    {
        let read: Vec<Value> = texts
            .iter()
            .filter(|text| read_kind(text, &[kind::TEXT_DISPLAY]).is_some())
            .map(|text| Value::Object(read_text(text, counts)))
            .collect();
        part.insert("components".to_owned(), Value::Array(read));
    }
    if form.require("accessory")
        && let FormField::Value(accessory) = form.form("accessory")
        && let Some(found) = read_kind(&accessory, &[kind::BUTTON, kind::THUMBNAIL])
    {
        let read = super::component::read_part(&accessory, found, counts).map(Value::Object);
        insert_some(&mut part, "accessory", read);
    }
    part
}

fn read_media(form: &Form<'_>, key: &str, schemes: &[&str]) -> Value {
    if !form.require(key) {
        return json!({});
    }
    let FormField::Value(media) = form.form(key) else {
        return json!({});
    };
    if !media.require("url") {
        return json!({});
    }
    match media.url("url", 2_048, schemes) {
        FormField::Value(url) => json!({ "id": "0", "url": url, "proxy_url": url, "width": 0, "height": 0 }),
        FormField::Absent | FormField::Null => json!({}),
    }
}

fn insert_spoiler(form: &Form<'_>, part: &mut Map<String, Value>) {
    part.insert(
        "spoiler".to_owned(),
        json!(form.flag("spoiler").value().unwrap_or(false)),
    );
}

fn read_thumbnail(form: &Form<'_>, counts: &mut ComponentCounts) -> Map<String, Value> {
    let mut part = counts.begin(form, kind::THUMBNAIL);
    part.insert(
        "media".to_owned(),
        read_media(form, "media", &["http", "https", "attachment"]),
    );
    part.insert(
        "description".to_owned(),
        json!(form.text("description", Length::up_to(1_024)).value()),
    );
    insert_spoiler(form, &mut part);
    part
}

fn read_gallery(form: &Form<'_>, counts: &mut ComponentCounts) -> Map<String, Value> {
    let mut part = counts.begin(form, kind::MEDIA_GALLERY);
    if form.require("items")
        && let FormField::Value(items) = form.forms("items", Length::between(1, 10))
    {
        let read: Vec<Value> = items
            .iter()
            .map(|item| {
                let mut entry = Map::new();
                entry.insert(
                    "media".to_owned(),
                    read_media(item, "media", &["http", "https", "attachment"]),
                );
                entry.insert(
                    "description".to_owned(),
                    json!(item.text("description", Length::up_to(1_024)).value()),
                );
                insert_spoiler(item, &mut entry);
                Value::Object(entry)
            })
            .collect();
        part.insert("items".to_owned(), Value::Array(read));
    }
    part
}

fn read_file(form: &Form<'_>, counts: &mut ComponentCounts) -> Map<String, Value> {
    let mut part = counts.begin(form, kind::FILE);
    part.insert("file".to_owned(), read_media(form, "file", &["attachment"]));
    part.insert("name".to_owned(), Value::Null);
    part.insert("size".to_owned(), Value::Null);
    insert_spoiler(form, &mut part);
    part
}

fn read_separator(form: &Form<'_>, counts: &mut ComponentCounts) -> Map<String, Value> {
    let mut part = counts.begin(form, kind::SEPARATOR);
    part.insert(
        "spacing".to_owned(),
        json!(form.choice("spacing", &[1, 2]).value().unwrap_or(1)),
    );
    part.insert(
        "divider".to_owned(),
        json!(form.flag("divider").value().unwrap_or(true)),
    );
    part
}

fn read_container(form: &Form<'_>, counts: &mut ComponentCounts) -> Map<String, Value> {
    let mut part = counts.begin(form, kind::CONTAINER);
    part.insert(
        "accent_color".to_owned(),
        json!(form.integer("accent_color", 0, 0xFF_FFFF).value()),
    );
    insert_spoiler(form, &mut part);
    if form.require("components")
        && let FormField::Value(parts) = form.forms("components", Length::between(1, 40))
    {
        let allowed = [
            kind::ACTION_ROW,
            kind::TEXT_DISPLAY,
            kind::SECTION,
            kind::MEDIA_GALLERY,
            kind::SEPARATOR,
            kind::FILE,
        ];
        let mut read = Vec::with_capacity(parts.len());
        for inner in &parts {
            if let Some(found) = read_kind(inner, &allowed) {
                read.extend(super::component::read_part(inner, found, counts).map(Value::Object));
            }
        }
        part.insert("components".to_owned(), Value::Array(read));
    }
    part
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::rest::validate::{component::read_components, form::read_body};

    #[test]
    fn a_container_of_every_display_kind_is_read() {
        let body = json!({"components": [{"type": 17, "accent_color": 255, "components": [
            {"type": 10, "content": "# Sietch"},
            {"type": 9, "components": [{"type": 10, "content": "water"}],
                "accessory": {"type": 11, "media": {"url": "https://a.example/x.png"}}},
            {"type": 12, "items": [{"media": {"url": "attachment://x.png"}}]},
            {"type": 14},
            {"type": 13, "file": {"url": "attachment://x.txt"}},
            {"type": 1, "components": [{"type": 2, "style": 1, "label": "go", "custom_id": "go"}]},
        ]}]});
        let parts = read_body(&body, |form| read_components(form, true))
            .unwrap()
            .value()
            .unwrap();
        assert_eq!(parts[0]["components"].as_array().unwrap().len(), 6);
        assert_eq!(parts[0]["components"][3]["divider"], true);
    }

    #[test]
    fn text_over_four_thousand_in_all_is_refused() {
        let text = json!({"type": 10, "content": "x".repeat(2_001)});
        let body = json!({"components": [text, text]});
        let errors = read_body(&body, |form| read_components(form, true))
            .unwrap_err()
            .errors
            .unwrap();
        assert_eq!(
            errors["components"]["_errors"][0]["code"],
            "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED"
        );
    }
}
