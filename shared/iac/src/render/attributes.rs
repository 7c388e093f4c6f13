//! Attributes as lines: what there is, and what becomes of it.

use std::collections::BTreeSet;

use arrakis_domain::Permissions;
use serde_json::Value;

use super::style::{Color, Style};
use crate::model::{Attributes, Overwrite, Overwrites, permission_names};

/// Lines of a resource that is made (`+`), removed (`-`) or shown (` `).
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
        match (field, overwrites(attributes)) {
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

/// Lines of a resource that changes: the fields that do.
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
                lines.extend(overwrite_lines(overwrites(before), overwrites(after), style));
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
                let show = |map: &serde_json::Map<String, Value>| map.get(field).map_or("(not set)".to_owned(), value);
                let (sign, text) = match (old.get(field), new.get(field)) {
                    (old, new) if old == new => ('~', format!("{} -> (known after apply)", show(&new_map(new, field)))),
                    _ => ('~', format!("{} -> {}", show(&old), show(&new))),
                };
                lines.push(format!("{} {field:<width$} = {text}{suffix}", mark(sign, style)));
            }
        }
    }
    lines
}

/// A map with one entry, for a field whose text stays while what it refers to gets another id.
fn new_map(value: Option<&Value>, field: &str) -> serde_json::Map<String, Value> {
    value
        .map(|value| (field.to_owned(), value.clone()))
        .into_iter()
        .collect()
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

/// A value as it is written in YAML, near enough; long texts are cut.
fn value(value: &Value) -> String {
    const LONGEST: usize = 200;
    let text = match value {
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn overwrites(attributes: &Attributes) -> Option<&Overwrites> {
    match attributes {
        Attributes::Channel(channel) | Attributes::Category(channel) => channel.overwrites.as_ref(),
        _ => None,
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
