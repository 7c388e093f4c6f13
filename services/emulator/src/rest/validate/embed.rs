//! Embeds: limits and form of responses.
//!
//! Source: <https://discord.com/developers/docs/resources/message#embed-object-embed-limits>. The limit of 6,000 characters is
//! for all embeds of one message.

use serde_json::{Map, Value, json};

use super::form::{Form, FormField, Length};

/// Largest number of characters of all embeds of a message.
pub const MAX_EMBED_CHARACTERS: usize = 6_000;
/// Largest number of embeds of a message.
pub const MAX_EMBEDS: usize = 10;

const SCHEMES: &[&str] = &["http", "https"];
const MEDIA_SCHEMES: &[&str] = &["http", "https", "attachment"];

/// Reads `embeds` of a message form into the form of responses.
pub fn read_embeds(form: &Form<'_>) -> FormField<Vec<Value>> {
    form.forms("embeds", Length::up_to(MAX_EMBEDS)).map(|embeds| {
        let mut characters = 0;
        let read: Vec<Value> = embeds.iter().map(|embed| read_embed(embed, &mut characters)).collect();
        if characters > MAX_EMBED_CHARACTERS {
            form.refuse(
                "embeds",
                "MAX_EMBED_SIZE_EXCEEDED",
                format!("Embed size exceeds maximum size of {MAX_EMBED_CHARACTERS}"),
            );
        }
        read
    })
}

fn read_embed(form: &Form<'_>, characters: &mut usize) -> Value {
    let mut embed = Map::new();
    embed.insert("type".to_owned(), json!("rich"));
    put_text(&mut embed, form, "title", Length::up_to(256), characters);
    put_text(&mut embed, form, "description", Length::up_to(4_096), characters);
    if let FormField::Value(url) = form.url("url", 2_048, SCHEMES) {
        embed.insert("url".to_owned(), json!(url));
    }
    if let FormField::Value(color) = form.integer("color", 0, 0xFF_FFFF) {
        embed.insert("color".to_owned(), json!(color));
    }
    read_timestamp(form, &mut embed);
    for key in ["image", "thumbnail"] {
        if let FormField::Value(media) = form.form(key) {
            embed.insert(key.to_owned(), read_media(&media));
        }
    }
    if let FormField::Value(author) = form.form("author") {
        embed.insert("author".to_owned(), read_named(&author, "name", 256, characters));
    }
    if let FormField::Value(footer) = form.form("footer") {
        embed.insert("footer".to_owned(), read_named(&footer, "text", 2_048, characters));
    }
    if let FormField::Value(fields) = form.forms("fields", Length::up_to(25)) {
        let fields: Vec<Value> = fields.iter().map(|field| read_field(field, characters)).collect();
        if !fields.is_empty() {
            embed.insert("fields".to_owned(), Value::Array(fields));
        }
    }
    let shows = [
        "title",
        "description",
        "url",
        "image",
        "thumbnail",
        "author",
        "footer",
        "fields",
        "timestamp",
    ];
    if !shows.iter().any(|key| form.has(key)) {
        form.refuse("description", "BASE_TYPE_REQUIRED", "This field is required");
    }
    Value::Object(embed)
}

fn put_text(embed: &mut Map<String, Value>, form: &Form<'_>, key: &str, length: Length, characters: &mut usize) {
    if let FormField::Value(text) = form.text(key, length)
        && !text.is_empty()
    {
        *characters += text.chars().count();
        embed.insert(key.to_owned(), json!(text));
    }
}

fn read_timestamp(form: &Form<'_>, embed: &mut Map<String, Value>) {
    let FormField::Value(text) = form.text("timestamp", Length::up_to(64)) else {
        return;
    };
    match time::OffsetDateTime::parse(&text, &time::format_description::well_known::Rfc3339) {
        Ok(_) => {
            embed.insert("timestamp".to_owned(), json!(text));
        }
        Err(_) => {
            form.refuse(
                "timestamp",
                "DATE_TIME_TYPE_PARSE",
                format!("Could not parse {text}. Should be ISO8601."),
            );
        }
    }
}

fn read_media(form: &Form<'_>) -> Value {
    if !form.require("url") {
        return json!({});
    }
    match form.url("url", 2_048, MEDIA_SCHEMES) {
        FormField::Value(url) => json!({ "proxy_url": url, "url": url, "width": 0, "height": 0 }),
        FormField::Absent | FormField::Null => json!({}),
    }
}

/// Author and footer: a required text, an optional link and icon.
fn read_named(form: &Form<'_>, key: &str, max: usize, characters: &mut usize) -> Value {
    let mut part = Map::new();
    let text = form.required_text(key, Length::up_to(max));
    *characters += text.chars().count();
    part.insert(key.to_owned(), json!(text));
    if key == "name"
        && let FormField::Value(url) = form.url("url", 2_048, SCHEMES)
    {
        part.insert("url".to_owned(), json!(url));
    }
    if let FormField::Value(icon) = form.url("icon_url", 2_048, MEDIA_SCHEMES) {
        part.insert("proxy_icon_url".to_owned(), json!(icon));
        part.insert("icon_url".to_owned(), json!(icon));
    }
    Value::Object(part)
}

fn read_field(form: &Form<'_>, characters: &mut usize) -> Value {
    let name = form.required_text("name", Length::up_to(256));
    let value = form.required_text("value", Length::up_to(1_024));
    *characters += name.chars().count() + value.chars().count();
    json!({ "name": name, "value": value, "inline": form.flag("inline").value().unwrap_or(false) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rest::validate::form::read_body;

    fn errors(body: &Value) -> Value {
        read_body(body, read_embeds).unwrap_err().errors.unwrap()
    }

    #[test]
    fn an_embed_comes_back_as_discord_gives_it() {
        let body = json!({"embeds": [{"title": " Rank ", "color": 255, "fields": [{"name": "a", "value": "b"}]}]});
        let FormField::Value(embeds) = read_body(&body, read_embeds).unwrap() else {
            panic!("no embeds")
        };
        assert_eq!(
            embeds[0],
            json!({"type": "rich", "title": "Rank", "color": 255,
                "fields": [{"name": "a", "value": "b", "inline": false}]})
        );
    }

    #[test]
    fn each_limit_is_refused_at_its_field() {
        let body = json!({"embeds": [{
            "title": "x".repeat(257), "description": "y".repeat(4_097), "url": "ftp://a.example/", "color": 0x0100_0000,
            "timestamp": "yesterday", "footer": {"text": "z".repeat(2_049)},
            "fields": [{"name": "", "value": "v".repeat(1_025)}],
        }]});
        let errors = errors(&body);
        let code = |pointer: &str| errors.pointer(pointer).unwrap()["_errors"][0]["code"].clone();
        assert_eq!(code("/embeds/0/title"), "BASE_TYPE_MAX_LENGTH");
        assert_eq!(code("/embeds/0/description"), "BASE_TYPE_MAX_LENGTH");
        assert_eq!(code("/embeds/0/url"), "URL_TYPE_INVALID_SCHEME");
        assert_eq!(code("/embeds/0/color"), "NUMBER_TYPE_MAX");
        assert_eq!(code("/embeds/0/timestamp"), "DATE_TIME_TYPE_PARSE");
        assert_eq!(code("/embeds/0/footer/text"), "BASE_TYPE_MAX_LENGTH");
        assert_eq!(code("/embeds/0/fields/0/name"), "BASE_TYPE_REQUIRED");
        assert_eq!(code("/embeds/0/fields/0/value"), "BASE_TYPE_MAX_LENGTH");
    }

    #[test]
    fn six_thousand_characters_count_over_all_embeds() {
        let body = json!({"embeds": [{"description": "a".repeat(4_000)}, {"description": "b".repeat(2_001)}]});
        assert_eq!(errors(&body)["embeds"]["_errors"][0]["code"], "MAX_EMBED_SIZE_EXCEEDED");
        let body = json!({"embeds": [{"description": "a".repeat(4_000)}, {"description": "b".repeat(2_000)}]});
        assert!(read_body(&body, read_embeds).is_ok());
    }

    #[test]
    fn an_empty_embed_and_an_eleventh_are_refused() {
        assert_eq!(
            errors(&json!({"embeds": [{}]}))["embeds"]["0"]["description"]["_errors"][0]["code"],
            "BASE_TYPE_REQUIRED"
        );
        let many: Vec<Value> = (0..11).map(|_| json!({"title": "t"})).collect();
        assert_eq!(
            errors(&json!({"embeds": many}))["embeds"]["_errors"][0]["code"],
            "BASE_TYPE_MAX_LENGTH"
        );
    }
}
