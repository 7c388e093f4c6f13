//! [`GrantToken`]: what a tool presents to carry out an operation for which a code was accepted.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngExt as _;
use sha2::{Digest as _, Sha256};

/// Random bytes of a token.
const BYTES: usize = 32;
/// Characters of a token.
const LENGTH: usize = 43;

/// 256 random bits in base64url, of which only SHA-256 is stored. `Debug` prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct GrantToken(String);

impl GrantToken {
    /// A new token from the random source of the operating system.
    #[must_use]
    pub fn generate() -> Self {
        let bytes: [u8; BYTES] = rand::rng().random();
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a token; `None` for a text with another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (text.len() == LENGTH && text.bytes().all(is_base64)).then(|| Self(text.to_owned()))
    }

    /// The token in clear, to be sent once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The hash that is stored.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for GrantToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GrantToken([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_are_read_again() {
        let (one, other) = (GrantToken::generate(), GrantToken::generate());
        assert_ne!(one.hash(), other.hash());
        assert_eq!(GrantToken::parse(one.expose()), Some(one.clone()));
        assert_eq!(GrantToken::parse("short"), None);
        assert!(!format!("{one:?}").contains(one.expose()));
    }
}
