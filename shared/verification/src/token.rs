//! [`SessionToken`]: the secret in a link.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngExt as _;
use sha2::{Digest as _, Sha256};

use crate::Refusal;

/// The secret that authorises requests of one session: 32 random bytes, in a link 43 characters of URL-safe Base64. PostgreSQL has its
/// SHA-256 only, and `Debug` prints `[redacted]`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionToken([u8; 32]);

impl SessionToken {
    /// A new token from the thread's cryptographic random generator.
    pub(crate) fn random() -> Self {
        Self(rand::rng().random())
    }

    /// SHA-256 of the token: what is stored. The token has 256 random bits, so a plain digest cannot be searched.
    pub(crate) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// The token as a path segment. Call this only where the link is made.
    pub(crate) fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken([redacted])")
    }
}

impl FromStr for SessionToken {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Refusal::UnknownSession)?;
        bytes.try_into().map(Self).map_err(|_| Refusal::UnknownSession)
    }
}

/// A nonce of 24 letters and digits: 142 random bits.
pub(crate) fn random_nonce() -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut random = rand::rng();
    (0..24)
        .map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_round_trips_and_is_not_printed() {
        let token = SessionToken::random();
        let text = token.expose();
        assert_eq!(text.len(), 43);
        assert_eq!(text.parse(), Ok(token));
        assert!(!format!("{token:?}").contains(&text));
        assert_ne!(SessionToken::random().hash(), token.hash());
    }

    #[test]
    fn other_text_is_no_token() {
        let text = SessionToken::random().expose();
        let longer = format!("{text}A");
        for other in ["", "verify", &text[1..], longer.as_str(), "../../../etc/passwd", "%00"] {
            assert_eq!(other.parse::<SessionToken>(), Err(Refusal::UnknownSession), "{other}");
        }
    }

    #[test]
    fn nonce_has_letters_and_digits_only() {
        let nonce = random_nonce();
        assert!(
            nonce.len() == 24 && nonce.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "{nonce}"
        );
        assert_ne!(nonce, random_nonce());
    }
}
