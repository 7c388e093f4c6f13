//! Standard output for data, standard error for messages.

use std::fmt::Display;
use std::io::{self, Write as _};

use arrakis_iac::grammar::plural;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Writes a message for the operator to standard error. A closed standard error is ignored.
pub(super) fn report(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// Untrusted text on one line and without effect on a terminal: control characters, line separators and marks that change the
/// direction of text are escaped.
pub(super) fn printable(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if affects_terminal(character) {
            escaped.extend(character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

fn affects_terminal(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The same for a line of JSON, with JSON's escapes. Outside of strings JSON has none of these characters.
fn printable_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if affects_terminal(character) {
            // Each of these characters is one UTF-16 code unit.
            escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Writes a line of data to standard output. A closed pipe (`| head`) is not an error.
///
/// # Errors
/// If writing fails for another reason, such as a full disk.
pub(super) fn print(data: impl Display) -> io::Result<()> {
    match writeln!(io::stdout(), "{data}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes a value as one line of JSON to standard output.
///
/// # Errors
/// As [`print`].
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(printable_json(&serde_json::to_string(value)?))?;
    Ok(())
}

/// A number with its noun: `1 event`, `2 events`, `0 identities`.
pub(super) fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {noun}"),
        count => format!("{count} {}", plural(noun)),
    }
}

/// A time for people: to the second.
pub(super) fn time_text(at: OffsetDateTime) -> String {
    let at = at.replace_nanosecond(0).unwrap_or(at);
    at.format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTRUSTED: &str = "a\u{1b}[2Jb\r\nc\u{7f}\u{9b}31m\u{202e}d\u{2028}é沙";

    #[test]
    fn untrusted_text_is_escaped_on_one_line() {
        assert_eq!(
            printable(UNTRUSTED),
            "a\\u{1b}[2Jb\\u{d}\\u{a}c\\u{7f}\\u{9b}31m\\u{202e}d\\u{2028}é沙"
        );
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(counted(1_usize, "API key"), "1 API key");
        assert_eq!(counted(0_u32, "identity"), "0 identities");
        assert_eq!(counted(2_u64, "anchor"), "2 anchors");
    }

    #[test]
    fn escaped_json_has_the_same_value() {
        let json = serde_json::to_string(&UNTRUSTED).unwrap();
        let escaped = printable_json(&json);
        assert!(!escaped.chars().any(affects_terminal), "{escaped}");
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), UNTRUSTED);
    }
}
