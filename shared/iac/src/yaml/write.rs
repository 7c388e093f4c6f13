//! Writes YAML: block maps, short lists on one line, quotes only where required.

use std::fmt::Write as _;

use crate::values::{EmojiReference, Reference};

/// A value to write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Yaml {
    /// A text; quoted if required.
    Text(String),
    /// A number or a boolean.
    Plain(String),
    /// A list.
    List(Vec<Self>),
    /// A map in this order.
    Map(Vec<(String, Self)>),
    /// A value of a map, with a comment above its key.
    Commented(String, Box<Self>),
}

/// Maximum line length, in characters, of a list or a map in flow style. A single longer text still gets a line of its own.
const MAX_WIDTH: usize = 110;

impl Yaml {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The value, with a comment above its key; unchanged without a comment.
    pub(crate) fn under(self, comment: Option<&String>) -> Self {
        match comment {
            Some(comment) => Self::Commented(comment.clone(), Box::new(self)),
            None => self,
        }
    }

    /// Converts a JSON value. Maps are sorted by key.
    pub(crate) fn from_json(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::String(text) => Self::text(text),
            serde_json::Value::Array(items) => Self::List(items.iter().map(Self::from_json).collect()),
            serde_json::Value::Object(map) => Self::Map(
                map.iter()
                    .map(|(key, value)| (key.clone(), Self::from_json(value)))
                    .collect(),
            ),
            other => Self::Plain(other.to_string()),
        }
    }

    fn is_short(&self) -> bool {
        match self {
            Self::Text(_) | Self::Plain(_) => true,
            Self::List(items) => items.iter().all(|item| matches!(item, Self::Text(_) | Self::Plain(_))),
            Self::Map(entries) => entries
                .iter()
                .all(|(_, value)| !matches!(value, Self::Map(_)) && value.is_short()),
            Self::Commented(..) => false,
        }
    }

    /// The value on one line; `None` if that would be too long.
    fn on_one_line(&self, indent: usize) -> Option<String> {
        let empty =
            matches!(self, Self::List(items) if items.is_empty()) || matches!(self, Self::Map(map) if map.is_empty());
        let mut line = String::new();
        self.write_flow(&mut line);
        let scalar = matches!(self, Self::Text(_) | Self::Plain(_));
        (scalar || empty || (self.is_short() && indent + line.chars().count() <= MAX_WIDTH)).then_some(line)
    }

    fn write_flow(&self, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(&quoted(text)),
            Self::Plain(text) => out.push_str(text),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    item.write_flow(out);
                }
                out.push(']');
            }
            Self::Map(entries) if entries.is_empty() => out.push_str("{}"),
            Self::Map(entries) => {
                out.push_str("{ ");
                for (index, (key, value)) in entries.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    let _ = write!(out, "{}: ", quoted(key));
                    value.write_flow(out);
                }
                out.push_str(" }");
            }
            Self::Commented(_, value) => value.write_flow(out),
        }
    }

    /// A list of scalars in flow style, broken between items so that lines stay within [`MAX_WIDTH`]. `None` for other values.
    fn wrapped_list(&self, indent: usize) -> Option<String> {
        let Self::List(items) = self else { return None };
        if items.is_empty() || !self.is_short() {
            return None;
        }
        let mut out = format!("{:indent$}[", "");
        let mut width = indent + 1;
        for (index, item) in items.iter().enumerate() {
            let mut text = String::new();
            item.write_flow(&mut text);
            text.push(if index + 1 == items.len() { ']' } else { ',' });
            let length = text.chars().count();
            // The space before an item counts as well.
            if index > 0 && width + 1 + length > MAX_WIDTH {
                let _ = write!(out, "\n{:1$}", "", indent + 1);
                width = indent + 1;
            } else if index > 0 {
                out.push(' ');
                width += 1;
            }
            out.push_str(&text);
            width += length;
        }
        Some(out)
    }

    /// The lines of a map or a list, indented.
    pub(crate) fn write_block(&self, indent: usize, out: &mut String) {
        match self {
            Self::Text(_) | Self::Plain(_) => {
                let _ = write!(out, "{:indent$}", "");
                self.write_flow(out);
                out.push('\n');
            }
            Self::Map(entries) => {
                for (key, value) in entries {
                    let value = match value {
                        Self::Commented(comment, value) => {
                            write_comment(comment, indent, out);
                            value.as_ref()
                        }
                        value => value,
                    };
                    let _ = write!(out, "{:indent$}{}:", "", quoted(key));
                    value.write_value(indent, key.len(), out);
                }
            }
            Self::List(items) => {
                for item in items {
                    let _ = write!(out, "{:indent$}-", "");
                    item.write_item(indent, out);
                }
            }
            Self::Commented(_, value) => value.write_block(indent, out),
        }
    }

    fn write_value(&self, indent: usize, width: usize, out: &mut String) {
        match self.on_one_line(indent + width + 2) {
            Some(line) => {
                let _ = writeln!(out, " {line}");
            }
            None => {
                out.push('\n');
                match self.wrapped_list(indent + 2) {
                    Some(lines) => {
                        let _ = writeln!(out, "{lines}");
                    }
                    None => self.write_block(indent + 2, out),
                }
            }
        }
    }

    /// An item of a list. The first key of a map is on the line of the dash.
    fn write_item(&self, indent: usize, out: &mut String) {
        if let Some(line) = self.on_one_line(indent + 2) {
            let _ = writeln!(out, " {line}");
            return;
        }
        let mut block = String::new();
        self.write_block(indent + 2, &mut block);
        out.push(' ');
        out.push_str(block.trim_start_matches(' '));
    }
}

/// The lines of a comment. Characters that YAML does not allow there become spaces.
pub(crate) fn write_comment(comment: &str, indent: usize, out: &mut String) {
    for line in comment.lines() {
        let line = line.replace(must_be_escaped, " ");
        out.push_str(format!("{:indent$}# {line}", "").trim_end());
        out.push('\n');
    }
}

/// Texts that some version of YAML parses as another type.
const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// The text in YAML, with `${` escaped.
pub(crate) fn quoted(text: &str) -> String {
    let text = text.replace("${", "$${");
    if is_plain(&text) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for sign in text.chars() {
        match sign {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            sign if must_be_escaped(sign) => {
                let code = u32::from(sign);
                let _ = if code > 0xffff {
                    write!(out, "\\U{code:08x}")
                } else {
                    write!(out, "\\u{code:04x}")
                };
            }
            sign => out.push(sign),
        }
    }
    out.push('"');
    out
}

/// Whether a character is not printable in YAML, breaks lines or is invisible.
fn must_be_escaped(sign: char) -> bool {
    let code = u32::from(sign);
    sign.is_control()
        || matches!(code, 0x00a0 | 0x2028 | 0x2029 | 0x200e | 0x200f | 0x202a..=0x202e | 0x2066..=0x2069 | 0xfeff)
        || code & 0xfffe == 0xfffe
}

fn is_plain(text: &str) -> bool {
    let inside = |sign: char| match sign {
        ' ' | '_' | '-' | '.' | '/' | '\'' | '(' | ')' | '+' => true,
        sign if sign.is_ascii() => sign.is_ascii_alphanumeric(),
        sign => !must_be_escaped(sign) && !sign.is_whitespace(),
    };
    let starts_well = text
        .chars()
        .next()
        .is_some_and(|sign| sign.is_ascii_alphabetic() || !sign.is_ascii());
    starts_well
        && text.chars().all(inside)
        && !text.ends_with(' ')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// The value, with addresses of the kind with this prefix replaced by logical names.
pub(crate) fn strip(value: Yaml, prefix: &str) -> Yaml {
    match value {
        // `none` has a meaning for the reader.
        Yaml::Text(text) => match text.strip_prefix(prefix) {
            Some(key) if key != "none" => Yaml::text(key),
            _ => Yaml::Text(text),
        },
        Yaml::List(items) => Yaml::List(items.into_iter().map(|item| strip(item, prefix)).collect()),
        other => other,
    }
}

/// A reference, without the prefix.
pub(crate) fn link(reference: &Reference, prefix: &str) -> Yaml {
    strip(Yaml::text(reference.to_string()), prefix)
}

/// Key and value of an emoji.
pub(crate) fn emoji(emoji: Option<&EmojiReference>) -> Option<(String, Yaml)> {
    emoji.map(|emoji| ("emoji".to_owned(), Yaml::text(emoji.to_string())))
}

pub(crate) fn texts(items: &[String]) -> Yaml {
    Yaml::List(items.iter().map(Yaml::text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_list_is_wrapped_in_flow_style() {
        let names: Vec<Yaml> = (0..40)
            .map(|number| Yaml::text(format!("PERMISSION_{number}")))
            .collect();
        let map = Yaml::Map(vec![("deny".to_owned(), Yaml::List(names))]);
        let mut text = String::new();
        map.write_block(4, &mut text);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "    deny:");
        assert!(lines[1].starts_with("      [PERMISSION_0, PERMISSION_1,"), "{text}");
        assert!(lines[2].starts_with("       PERMISSION_"), "{text}");
        assert!(text.trim_end().ends_with("PERMISSION_39]"), "{text}");
        assert!((5..=8).contains(&lines.len()), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= MAX_WIDTH), "{text}");
        assert!(lines.iter().all(|line| line.trim_end() == *line), "{text}");
    }

    #[test]
    fn comment_is_above_its_key_and_has_no_line_break_of_its_own() {
        let channel = Yaml::Map(vec![("topic".to_owned(), Yaml::text("News"))]);
        let comment = "Read: everyone.\nWrite:\u{2028}Naib".to_owned();
        let channels = Yaml::Map(vec![("news".to_owned(), channel.under(Some(&comment)))]);
        let mut text = String::new();
        Yaml::Map(vec![("channels".to_owned(), channels.under(None))]).write_block(0, &mut text);
        let expected = "channels:\n  # Read: everyone.\n  # Write: Naib\n  news: { topic: News }\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn text_is_quoted_where_required() {
        for plain in [
            "general",
            "Big table",
            "🎲 Tables",
            "channel.rules",
            "Makers' fair",
            "日本語",
        ] {
            assert_eq!(quoted(plain), plain);
        }
        for (text, written) in [
            ("", "\"\""),
            ("yes", "\"yes\""),
            ("#FFD700", "\"#FFD700\""),
            ("a: b", "\"a: b\""),
            ("12", "\"12\""),
            ("two\nlines", "\"two\\nlines\""),
            ("${x}", "\"$${x}\""),
            ("\u{202e}", "\"\\u202e\""),
            ("-", "\"-\""),
            ("end ", "\"end \""),
        ] {
            assert_eq!(quoted(text), written);
        }
    }
}
