//! API keys: `arrakis_<8 characters>_<43 characters>`.
//!
//! The first part is fixed, so that scanners of repositories and logs find a leaked key. The second part, the prefix, is random and
//! not secret: lists show it, so that an operator can match a key with its row. The third part is 256 random bits in base64url.
//!
//! Only the SHA-256 hash of the whole key is stored. A slow hash, as for passwords, would add nothing: a password is guessed from a
//! dictionary, and 256 random bits have none. A key is looked up by its hash. The time of that lookup can reveal how many leading bytes of
//! the hash match a row, which is of no use: whoever can compute a key with a chosen hash has broken SHA-256. So no secret is compared
//! byte by byte, and the comparison needs no constant time of its own.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngExt as _;
use sha2::{Digest as _, Sha256};

/// First part of every key.
const SCHEME: &str = "arrakis_";
/// Random bytes of the prefix: 8 characters of base64url.
const PREFIX_BYTES: usize = 6;
/// Characters of the prefix.
const PREFIX_LENGTH: usize = 8;
/// Random bytes of the secret part.
const SECRET_BYTES: usize = 32;
/// Characters of the secret part.
const SECRET_LENGTH: usize = 43;

/// An API key in clear. It is shown once, when it is created, and is not stored. `Debug` prints the prefix only.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeySecret(String);

/// A text that is not an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an API key is {SCHEME}, {PREFIX_LENGTH} characters, an underscore and {SECRET_LENGTH} characters")]
pub struct ApiKeyError;

/// SHA-256 of the whole text of an API key: what the database has, and by what a key is looked up.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ApiKeyHash([u8; 32]);

impl ApiKeySecret {
    /// A new key from the random source of the operating system.
    #[must_use]
    pub fn generate() -> Self {
        let mut random = rand::rng();
        let prefix: [u8; PREFIX_BYTES] = random.random();
        let secret: [u8; SECRET_BYTES] = random.random();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        Self(format!("{SCHEME}{}_{}", encode(&prefix), encode(&secret)))
    }

    /// A key from a request. Only the form is checked, so that a malformed key needs no query; whether the key exists is not.
    ///
    /// # Errors
    /// When the text does not have the form of a key.
    pub fn parse(text: &str) -> Result<Self, ApiKeyError> {
        let rest = text.strip_prefix(SCHEME).ok_or(ApiKeyError)?;
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let has_form =
            rest.len() == PREFIX_LENGTH + 1 + SECRET_LENGTH && rest.as_bytes().get(PREFIX_LENGTH) == Some(&b'_');
        if has_form && rest.bytes().all(is_base64) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ApiKeyError)
        }
    }

    /// The whole key in clear, to be shown once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The part that lists show: `arrakis_` and 8 characters.
    #[must_use]
    pub fn prefix(&self) -> &str {
        // The form of the key is checked, and its characters are ASCII.
        self.0.get(..SCHEME.len() + PREFIX_LENGTH).unwrap_or_default()
    }

    /// The hash that is stored.
    #[must_use]
    pub fn hash(&self) -> ApiKeyHash {
        ApiKeyHash(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for ApiKeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_[redacted]", self.prefix())
    }
}

impl ApiKeyHash {
    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ApiKeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Enough to compare two hashes in a log.
        write!(f, "ApiKeyHash({}…)", hex::encode(&self.0[..4]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn generated_keys_differ_and_parse() {
        let (one, other) = (ApiKeySecret::generate(), ApiKeySecret::generate());
        assert_ne!(one, other);
        assert_ne!(one.hash(), other.hash());
        assert_eq!(ApiKeySecret::parse(one.expose()), Ok(one.clone()));
        assert_eq!(one.prefix().len(), 16);
        assert_eq!(one.expose().len(), 60);
    }

    #[test]
    fn debug_has_no_secret() {
        let key = ApiKeySecret::generate();
        let secret = &key.expose()[17..];
        assert!(!format!("{key:?}").contains(secret));
        assert!(format!("{key:?}").starts_with(key.prefix()));
    }

    #[test]
    fn hash_is_sha_256_of_the_whole_key() {
        let text = format!("arrakis_{}_{}", "a".repeat(8), "b".repeat(43));
        let hash = ApiKeySecret::parse(&text).unwrap().hash();
        assert_eq!(hash.as_bytes().as_slice(), Sha256::digest(text).as_slice());
    }

    proptest! {
        #[test]
        fn other_texts_are_refused(text in ".{0,80}") {
            prop_assert_eq!(ApiKeySecret::parse(&text), Err(ApiKeyError));
        }

        #[test]
        fn changed_character_is_another_key(at in 8_usize..60, letter in "[A-Za-z0-9]") {
            let key = ApiKeySecret::generate();
            let mut text = key.expose().to_owned();
            text.replace_range(at..=at, &letter);
            if let Ok(other) = ApiKeySecret::parse(&text) {
                prop_assert_eq!(other == key, other.hash() == key.hash());
            }
        }
    }
}
