//! Renders attributes and their changes as lines.

use std::collections::BTreeSet;

use arrakis_domain::Permissions;
use serde_json::Value;

use super::style::{Color, Style};
use crate::grammar::{printable, visible_difference};
use crate::model::{Attributes, Overwrite, Overwrites, permission_names};

/// Lines of a resource that is created (`+`), deleted (`-`) or shown (` `).
pub(super) fn whole(attributes: &Attributes, sign: char, style: Style) -> Vec<String> {
    let map = attributes.to_map();
    let fields: Vec<&str> = attributes
        .fields()
        .iter()
        .copied()
        .filter(|field| map.contains_key(*field))
        .collect();
    let width = width(fields.iter().copied().filter(|field| *field != "overwrites"));
    let mut lines = Vec::new();
    for field in fields {
        match (field, attributes.overwrites()) {
            ("overwrites", Some(overwrites)) => {
                lines.push(format!("{} overwrites", mark(sign, style)));
                for (target, overwrite) in overwrites {
                    lines.push(format!("    {} {target}", mark(sign, style)));
                    lines.extend(permission_lines(&sets(sign, overwrite), style));
                }
            }
            _ => lines.push(format!(
                "{} {field:<width$} = {}",
                mark(sign, style),
                value(&map[field])
            )),
        }
    }
    lines
}

/// Lines of the changed attributes of a resource.
pub(super) fn difference(
    before: &Attributes,
    after: &Attributes,
    fields: &[String],
    forcing: &[String],
    style: Style,
) -> Vec<String> {
    let (old, new) = (before.to_map(), after.to_map());
    let plain = fields
        .iter()
        .map(String::as_str)
        .filter(|field| *field != "overwrites" && *field != "permissions");
    let width = width(plain);
    let mut lines = Vec::new();
    for field in fields {
        let suffix = match forcing.contains(field) {
            true => format!("  {}", style.paint(Color::Red, "# forces replacement")),
            false => String::new(),
        };
        match (field.as_str(), before, after) {
            ("overwrites", before, after) => {
                lines.push(format!("{} overwrites", mark('~', style)));
                lines.extend(overwrite_lines(before.overwrites(), after.overwrites(), style));
            }
            ("permissions", Attributes::Role(before), Attributes::Role(after)) => {
                lines.push(format!("{} permissions", mark('~', style)));
                let (before, after) = (
                    before.permissions.unwrap_or_default(),
                    after.permissions.unwrap_or_default(),
                );
                let changed = [('+', "", after.without(before)), ('-', "", before.without(after))];
                lines.extend(
                    permission_lines(&changed, style)
                        .iter()
                        .map(|line| line.replacen("    ", "", 1)),
                );
            }
            _ => {
                let text = changed_value(old.get(field), new.get(field));
                lines.push(format!("{} {field:<width$} = {text}{suffix}", mark('~', style)));
            }
        }
    }
    lines
}

/// `old -> new`, with a visible difference. The texts are equal if a reference gets another id.
fn changed_value(old: Option<&Value>, new: Option<&Value>) -> String {
    let show = |value: Option<&Value>, written: fn(&Value) -> String| value.map_or("(not set)".to_owned(), written);
    if old == new {
        return format!("{} -> (known after apply)", cut(&show(new, whole_value)));
    }
    let short = visible_difference(&show(old, whole_value), &show(new, whole_value));
    // JSON distinguishes a list from a text like `[a, b]`.
    let (old, new) = short.unwrap_or_else(|| (show(old, written), show(new, written)));
    // Long texts are shortened around the first difference.
    let same = old.chars().zip(new.chars()).take_while(|(old, new)| old == new).count();
    let is_long = old.chars().count().max(new.chars().count()) > MAX_LENGTH;
    let skipped = match is_long && same > MAX_LENGTH / 2 {
        true => same - MAX_LENGTH / 4,
        false => 0,
    };
    let part = |text: &str| match skipped {
        0 => cut(text),
        _ => format!("…{}", cut(&text.chars().skip(skipped).collect::<String>())),
    };
    format!("{} -> {}", part(&old), part(&new))
}

fn width<'a>(fields: impl Iterator<Item = &'a str>) -> usize {
    fields.map(str::len).max().unwrap_or(0).max(4)
}

pub(super) fn mark(sign: char, style: Style) -> String {
    let color = match sign {
        '+' => Color::Green,
        '-' => Color::Red,
        '~' => Color::Yellow,
        _ => return sign.to_string(),
    };
    style.paint(color, &sign.to_string())
}

/// Maximum length of a displayed value, in characters.
const MAX_LENGTH: usize = 200;

/// A value in a form close to YAML; long texts are shortened.
fn value(value: &Value) -> String {
    cut(&whole_value(value))
}

fn whole_value(value: &Value) -> String {
    match value {
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            printable(&format!("[{}]", items.join(", ")))
        }
        other => written(other),
    }
}

/// A value as JSON.
fn written(value: &Value) -> String {
    printable(&value.to_string())
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

type Sets = [(char, &'static str, Permissions); 2];

fn sets(sign: char, overwrite: &Overwrite) -> Sets {
    [(sign, "allow ", overwrite.allow), (sign, "deny ", overwrite.deny)]
}

fn permission_lines(sets: &[(char, &str, Permissions)], style: Style) -> Vec<String> {
    let named = sets.iter().filter(|(_, _, permissions)| !permissions.is_empty());
    named
        .map(|(sign, word, permissions)| {
            format!(
                "        {} {word}{}",
                mark(*sign, style),
                permission_names(*permissions).join(", ")
            )
        })
        .collect()
}

fn overwrite_lines(before: Option<&Overwrites>, after: Option<&Overwrites>, style: Style) -> Vec<String> {
    let nothing = Overwrites::new();
    let (before, after) = (before.unwrap_or(&nothing), after.unwrap_or(&nothing));
    let targets: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let mut lines = Vec::new();
    for target in targets {
        match (before.get(target), after.get(target)) {
            (Some(old), Some(new)) if old != new => {
                lines.push(format!("    {} {target}", mark('~', style)));
                let changed = [
                    ('+', "allow ", new.allow.without(old.allow)),
                    ('-', "allow ", old.allow.without(new.allow)),
                    ('+', "deny ", new.deny.without(old.deny)),
                    ('-', "deny ", old.deny.without(new.deny)),
                ];
                lines.extend(permission_lines(&changed, style));
            }
            (None, Some(new)) => {
                lines.push(format!("    {} {target}", mark('+', style)));
                lines.extend(permission_lines(&sets('+', new), style));
            }
            (Some(old), None) => {
                lines.push(format!("    {} {target}", mark('-', style)));
                lines.extend(permission_lines(&sets('-', old), style));
            }
            _ => {}
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changed_value_shows_the_difference() {
        let shown = |old: Value, new: Value| changed_value(Some(&old), Some(&new));
        assert_eq!(shown(json!("a"), json!("b")), "\"a\" -> \"b\"");
        assert_eq!(shown(json!("a"), json!("a")), "\"a\" -> (known after apply)");
        assert_eq!(shown(json!("a\u{200b}"), json!("a")), "\"a\\u{200b}\" -> \"a\"");
        assert_eq!(shown(json!(["a, b"]), json!(["a", "b"])), "[\"a, b\"] -> [\"a\",\"b\"]");
        assert_eq!(changed_value(None, Some(&json!(1))), "(not set) -> 1");
        assert_eq!(whole_value(&json!("a\u{202e}b")), "\"a\\u{202e}b\"");
        assert_eq!(whole_value(&json!(["a\u{1b}[2J"])), "[a\\u{1b}[2J]");
        let long = "x".repeat(900);
        let text = shown(json!(format!("{long}old")), json!(format!("{long}new")));
        assert!(
            text.contains("old\" -> …") && text.ends_with("new\"") && text.len() < 300,
            "{text}"
        );
    }
}
