//! The reason of a change in Discord's audit log.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// Longest value of `X-Audit-Log-Reason`, URL-encoded. <https://discord.com/developers/docs/resources/audit-log>
pub const REASON_LENGTH: usize = 512;

/// Characters that a header cannot carry or that would be read as an escape. A space needs no escape.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%').add(b'"').add(b'<').add(b'>').add(b'`').add(b'\\');

/// A reason, URL-encoded and within Discord's limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// Encodes `text`, and cuts it between characters at the limit.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut encoded = String::new();
        let mut piece = [0; 4];
        for character in text.trim().chars() {
            let before = encoded.len();
            encoded.extend(utf8_percent_encode(character.encode_utf8(&mut piece), ESCAPED));
            if encoded.len() > REASON_LENGTH {
                encoded.truncate(before);
                break;
            }
        }
        Self(encoded)
    }

    /// Value of the header `X-Audit-Log-Reason`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_reason_is_cut_between_characters() {
        assert_eq!(Reason::new("gaib: plan 7, 50%").as_str(), "gaib: plan 7, 50%25");
        let long = Reason::new(&"砂".repeat(100));
        assert!(long.as_str().len() <= REASON_LENGTH && long.as_str().len() > REASON_LENGTH - 9);
        let decoded = percent_encoding::percent_decode_str(long.as_str())
            .decode_utf8()
            .unwrap();
        assert!(decoded.chars().all(|character| character == '砂'));
        assert!(Reason::new("line\nbreak").as_str().is_ascii());
    }
}
