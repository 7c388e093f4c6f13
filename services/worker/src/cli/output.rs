//! The two streams: data for programs, words for people.

use std::fmt::Display;
use std::io::{self, Write as _};

use serde::Serialize;

/// Words, to standard error.
pub(super) fn say(words: impl Display) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(io::stderr(), "{words}");
}

/// Text of strangers on one line and without effect on a terminal: control characters, line separators and marks that reverse the
/// direction of text are written as escapes.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if acts_on_a_terminal(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

fn acts_on_a_terminal(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The same for a line of JSON, in its own escapes: outside of strings JSON has none of these characters.
fn printable_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if acts_on_a_terminal(character) {
            // All of them have one unit.
            shown.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Data, to standard output. A reader that has gone (`| head`) is not an error.
///
/// # Errors
/// When it cannot be written for another reason, such as a full disk.
pub(super) fn print(data: impl Display) -> io::Result<()> {
    match writeln!(io::stdout(), "{data}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// One value as one line of JSON, to standard output.
///
/// # Errors
/// As [`print`].
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(printable_json(&serde_json::to_string(value)?))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGE: &str = "a\u{1b}[2Jb\r\nc\u{7f}\u{9b}31m\u{202e}d\u{2028}é沙";

    #[test]
    fn text_of_strangers_is_one_line_and_moves_no_cursor() {
        assert_eq!(
            printable(STRANGE),
            "a\\u{1b}[2Jb\\u{d}\\u{a}c\\u{7f}\\u{9b}31m\\u{202e}d\\u{2028}é沙"
        );
    }

    #[test]
    fn json_stays_the_same_value() {
        let json = serde_json::to_string(&STRANGE).unwrap();
        let shown = printable_json(&json);
        assert!(!shown.chars().any(acts_on_a_terminal), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), STRANGE);
    }
}
