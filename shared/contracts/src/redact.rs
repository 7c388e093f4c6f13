//! Removes tokens from text for people: dead letters, errors, logs.
//!
//! An interaction's token allows sending messages as the bot for fifteen minutes; a webhook's token never expires. Tokens occur in
//! bodies (JSON, JSON in a JSON string, truncated JSON), in URLs, and in errors that quote them.

use std::borrow::Cow;

use serde_json::Value;

/// Replaces a token.
const REDACTED: &str = "[redacted]";
/// Prefix of every interaction token: "interaction:" in base64.
const INTERACTION_TOKEN: &str = "aW50ZXJhY3Rpb246";
/// Shortest third part of a bot token, in bytes.
const SIGNATURE: usize = 20;
/// Levels of JSON in JSON strings that are parsed; deeper ones are treated as text.
const LEVELS: u32 = 8;

/// Whether a field of this name holds a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "token"
        || name.ends_with("_token")
        || ["secret", "password", "authorization"]
            .iter()
            .any(|word| name.contains(word))
}

/// Returns a body without tokens. It is treated as JSON, or as text if it is not JSON.
pub fn body(bytes: &[u8]) -> String {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(mut value) => {
            redact_value(&mut value, LEVELS);
            value.to_string()
        }
        // A poison message may not be UTF-8.
        Err(_) => text(&String::from_utf8_lossy(bytes)),
    }
}

fn redact_value(value: &mut Value, levels: u32) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                if is_secret(name) && !value.is_null() {
                    *value = Value::from(REDACTED);
                } else {
                    redact_value(value, levels);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redact_value(item, levels)),
        Value::String(string) => {
            let redacted = redact_string(string, levels);
            *string = redacted;
        }
        _ => {}
    }
}

/// A string of JSON, which may be JSON itself.
fn redact_string(string: &str, levels: u32) -> String {
    let nested = levels > 0 && string.trim_start().starts_with(['{', '[', '"']);
    match serde_json::from_str::<Value>(string) {
        Ok(mut value) if nested => {
            redact_value(&mut value, levels - 1);
            value.to_string()
        }
        _ => text(string),
    }
}

/// Returns a text without tokens: those in paths of Discord's URLs, those after a field's name, and words in the form of a token.
pub fn text(text: &str) -> String {
    let text = after_names(text);
    let text = in_paths(&text);
    words(&text).into_owned()
}

/// Redacts the value after a name such as `"token":`, also if its quotes are escaped several times or its end is missing.
fn after_names(text: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, name, after)) = next_name(rest) {
        redacted.push_str(before);
        redacted.push_str(name);
        rest = after;
        // Only a secret's value is looked for: a long run of quotes would be scanned once for each of them.
        if !is_secret(name) {
            continue;
        }
        let value = after.trim_start_matches([' ', '\t', '\n', '\r', ':', '\\', '"']);
        let lead = after.len() - value.len();
        let end = end_of_value(value, after[..lead].trim_start_matches(['\\', '"']).contains('"'));
        if after[..lead].contains(':') && end > 0 && !value.starts_with("null") {
            redacted.push_str(&after[..lead]);
            redacted.push_str(REDACTED);
            rest = &value[end..];
        }
    }
    redacted.push_str(rest);
    redacted
}

/// The end of a value. A quoted value ends at the closing quote, before the backslashes that escape it; without a closing quote it ends
/// at the end of the text.
fn end_of_value(value: &str, quoted: bool) -> usize {
    if !quoted {
        return value.find(['"', '\\', ',', '}', '\n']).unwrap_or(value.len());
    }
    let end = value.find('"').unwrap_or(value.len());
    value[..end].trim_end_matches('\\').len()
}

/// The next quoted word: the text before it, the word, the text after it.
fn next_name(text: &str) -> Option<(&str, &str, &str)> {
    let open = text.find('"')? + 1;
    let length = text[open..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
    let length = length.unwrap_or(text.len() - open);
    Some((&text[..open], &text[open..open + length], &text[open + length..]))
}

/// Redacts the token in `/webhooks/{id}/{token}` and `/interactions/{id}/{token}`.
fn in_paths(text: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut rest = text;
    // One pass, whatever occurs: a search for each path would go to the end each time for one that does not occur.
    let find = |text: &str| {
        text.match_indices('/').find_map(|(at, _)| {
            let path = ["/webhooks/", "/interactions/"]
                .into_iter()
                .find(|path| text[at..].starts_with(path))?;
            Some(at + path.len())
        })
    };
    while let Some(at) = find(rest) {
        let (before, after) = rest.split_at(at);
        redacted.push_str(before);
        let id = after.bytes().take_while(u8::is_ascii_digit).count();
        let tail = &after[id..];
        rest = tail;
        redacted.push_str(&after[..id]);
        let Some(token) = tail.strip_prefix('/').filter(|_| id > 0) else {
            continue;
        };
        let length = end_of_word(token, false);
        if length > 0 {
            redacted.push('/');
            redacted.push_str(REDACTED);
            rest = &token[length..];
        }
    }
    redacted.push_str(rest);
    redacted
}

/// Redacts words in the form of an interaction token or a bot token. A line break, raw or escaped, does not end a word: the rest of the
/// token may follow it.
fn words(text: &str) -> Cow<'_, str> {
    let is_token = |word: &str| {
        let word = without_breaks(word);
        word.contains(INTERACTION_TOKEN) || is_bot_token(&word)
    };
    let mut redacted = String::new();
    let (mut rest, mut found) = (text, false);
    while !rest.is_empty() {
        let (word, behind) = rest.split_at(end_of_word(rest, true));
        let hidden = !word.is_empty() && is_token(word);
        found |= hidden;
        redacted.push_str(if hidden { REDACTED } else { word });
        let skip = no_break(behind);
        redacted.push_str(&behind[..skip]);
        rest = &behind[skip..];
    }
    if found {
        Cow::Owned(redacted)
    } else {
        Cow::Borrowed(text)
    }
}

/// Line breaks and tabs in text and in JSON strings.
const BREAKS: [&str; 9] = ["\n", "\r", "\t", "\\n", "\\r", "\\t", "\\u000a", "\\u000d", "\\u000A"];

/// Length of the line break at the start of the text, with the backslashes that escape it; `None` if there is none.
fn leading_break(text: &str) -> Option<usize> {
    let escapes = text.len() - text.trim_start_matches('\\').len();
    let from = escapes.saturating_sub(1);
    let found = BREAKS.iter().find(|line_break| text[from..].starts_with(*line_break))?;
    Some(from + found.len())
}

/// Length of what is skipped at once where no line break starts: a character, or all backslashes in a row, since no break starts at any
/// of them.
fn no_break(text: &str) -> usize {
    match text.len() - text.trim_start_matches('\\').len() {
        0 => text.chars().next().map_or(0, char::len_utf8),
        backslashes => backslashes,
    }
}

/// Length of the word at the start of the text. `dots`: whether dots belong to words, as in a bot token.
fn end_of_word(text: &str, dots: bool) -> usize {
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        if character.is_ascii() && (is_token_byte(character as u8) || (dots && character == '.')) {
            at += 1;
        } else if let Some(length) = leading_break(&text[at..]) {
            at += length;
        } else {
            break;
        }
    }
    at
}

fn without_breaks(word: &str) -> Cow<'_, str> {
    if !word.contains(['\n', '\r', '\t', '\\']) {
        return Cow::Borrowed(word);
    }
    let mut joined = String::with_capacity(word.len());
    let mut rest = word;
    while !rest.is_empty() {
        let skip = leading_break(rest).unwrap_or_else(|| {
            let kept = no_break(rest);
            joined.push_str(&rest[..kept]);
            kept
        });
        rest = &rest[skip..];
    }
    Cow::Owned(joined)
}

/// Whether a word is a bot token: id, time and signature, each in base64url.
fn is_bot_token(word: &str) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    matches!(parts[..], [id, time, signature] if id.len() >= 17 && time.len() >= 5 && signature.len() >= SIGNATURE)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=' | b'+' | b'%' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "aW50ZXJhY3Rpb246MTIz";

    #[test]
    fn tokens_in_bodies_are_redacted_in_every_form() {
        let nested = serde_json::json!({"id": "1", "token": TOKEN, "data": {"name": "position"}}).to_string();
        let twice = serde_json::json!({ "body": nested }).to_string();
        let thrice = serde_json::json!({ "body": [{"inner": twice}] }).to_string();
        let long = format!("{nested:>5}{}", " ".repeat(3));
        for (name, body_) in [
            ("plain", nested.clone()),
            ("padded", long),
            ("nested", twice),
            ("nested twice", thrice.clone()),
            ("cut off", nested[..nested.len() - 9].to_owned()),
            (
                "cut off in the token",
                format!(r#"{{"id":"1","name":"position","token":"{TOKEN}"#),
            ),
            (
                "nested and cut off",
                format!("{}, position", &thrice[..thrice.len() - 2]),
            ),
            (
                "escaped name",
                format!(r#"{{"\u0074oken":"{TOKEN}","name":"position"}}"#),
            ),
            ("an array", format!("[{nested}]")),
            ("capital letters", format!(r#"{{"Token":"{TOKEN}","name":"position"}}"#)),
            (
                "spaces",
                format!("{{ \"token\" :\t\"{TOKEN}\", \"name\": \"position\" "),
            ),
            ("a message", format!(r#"{{"content":"see {TOKEN} of position"}}"#)),
            (
                "a URL",
                format!(r#"{{"url":"https://discord.com/api/v10/webhooks/1/{TOKEN}/messages/@original?position"}}"#),
            ),
        ] {
            let shown = body(body_.as_bytes());
            assert!(!shown.contains(TOKEN), "{name}: {shown}");
            assert!(shown.contains(REDACTED), "{name}: {shown}");
            assert!(shown.contains("position"), "{name}: the rest stays: {shown}");
        }
    }

    #[test]
    fn tokens_of_webhooks_and_bots_are_redacted_in_text() {
        let bot = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GaBcDe.abcdefghijklmnopqrstuvwxyz0123456789AB";
        for (text_, shown) in [
            (
                "POST https://discord.com/api/webhooks/5/s3cret-Tok_en?wait=true failed",
                "POST https://discord.com/api/webhooks/5/[redacted]?wait=true failed",
            ),
            (
                "/interactions/5/abc/callback, then /webhooks/6/def/messages/@original",
                "/interactions/5/[redacted]/callback, then /webhooks/6/[redacted]/messages/@original",
            ),
            (
                "/webhooks/5 and /webhooks/ and /webhooks/x/y",
                "/webhooks/5 and /webhooks/ and /webhooks/x/y",
            ),
            ("the tier's token is BGT", "the tier's token is BGT"),
            (r#"{"token_profile_id":"bgt","x""#, r#"{"token_profile_id":"bgt","x""#),
            (r#"{"token":null,"x""#, r#"{"token":null,"x""#),
            ("Sietch 沙丘 \u{1}", "Sietch 沙丘 \u{1}"),
        ] {
            assert_eq!(text(text_), shown);
        }
        assert_eq!(text(&format!("Bot {bot}, again")), "Bot [redacted], again");
    }

    #[test]
    fn token_with_a_line_break_is_redacted_completely() {
        let (first, second) = ("aW50ZXJhY3Rpb246MTIz", "NDU2Nzg5OnNlY3JldA");
        for line_break in ["\n", "\r\n", "\\n", "\\\\n", "\\u000a"] {
            let split = format!("{first}{line_break}{second}");
            let early = format!("aW50ZXJh{line_break}Y3Rpb246{second}");
            for (name, text_) in [
                ("text", format!("failed with {split} at position")),
                ("text, early", format!("failed with {early} at position")),
                ("a field", format!(r#"{{"token":"{split}","name":"position"}}"#)),
                ("a field cut off", format!(r#"{{"name":"position","token":"{split}"#)),
                (
                    "a field of a webhook",
                    format!(r#"{{"token":"s3cret{line_break}{second}","name":"position""#),
                ),
                (
                    "a path",
                    format!("POST /webhooks/5/s3cret{line_break}{second}/messages at position"),
                ),
                ("a value", format!(r#"{{"content":"see {early}","name":"position"}}"#)),
            ] {
                for shown in [body(text_.as_bytes()), text(&text_)] {
                    assert!(!shown.contains(second), "{name} {line_break:?}: {shown}");
                    assert!(shown.contains("position"), "{name} {line_break:?}: {shown}");
                }
            }
        }
    }

    /// Each of these took a time with the square of its length.
    #[test]
    fn time_grows_with_the_length_of_the_text() {
        for repeated in [
            "\"",
            "\"a\" ",
            "\\",
            "/webhooks/",
            "/",
            "\"token\"",
            "\"token\":",
            "\\\"token\\\": ",
        ] {
            let long = repeated.repeat((1 << 19) / repeated.len());
            let redacted = text(&long);
            assert!(redacted.len() <= long.len() * 2, "{repeated}");
        }
    }

    #[test]
    fn text_without_secrets_is_unchanged() {
        let plain = r#"{"custom_id":"token:5","guild_id":"1","roles":["2"],"token":null}"#;
        assert_eq!(
            serde_json::from_str::<Value>(&body(plain.as_bytes())).unwrap(),
            serde_json::from_str::<Value>(plain).unwrap()
        );
        assert_eq!(body(b"\xff\xfe"), "\u{fffd}\u{fffd}");
        assert_eq!(body(b""), "");
    }
}
