//! [`ObjectKey`]: the name of an object in a store, valid as a relative path of any file system and as an S3 key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest key in bytes: S3 permits 1,024, of which the prefix of `BACKUP_STORE` takes a part.
const MAX_KEY: usize = 800;
/// Longest segment in bytes: file systems permit 255, of which the folder store's names of temporary files take a part.
const MAX_SEGMENT: usize = 200;

/// Name of an object: segments of `A-Z a-z 0-9 . _ -`, separated by slashes. No segment begins with a dot, so no key leaves
/// its folder, and names that begin with a dot are free for the store's own files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectKey(String);

/// The text is not a valid key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot be the name of an object: use segments of letters, digits, `.`, `_` and `-`, none of which begins with a dot, \
     separated by `/`"
)]
pub struct ObjectKeyError(String);

impl ObjectKey {
    /// Checks a key.
    ///
    /// # Errors
    /// The text is not a valid key.
    pub fn new(text: impl Into<String>) -> Result<Self, ObjectKeyError> {
        let text = text.into();
        if is_key(&text) {
            Ok(Self(text))
        } else {
            Err(ObjectKeyError(text.chars().take(80).collect()))
        }
    }

    /// A key of fixed names, numbers and ids only, which is always valid.
    pub(crate) fn of_fixed_form(text: String) -> Self {
        debug_assert!(is_key(&text), "{text} is not a valid key");
        Self(text)
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_key(text: &str) -> bool {
    text.len() <= MAX_KEY && text.split('/').all(is_segment)
}

fn is_segment(segment: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_SEGMENT).contains(&segment.len()) && !segment.starts_with('.') && segment.bytes().all(plain)
}

impl FromStr for ObjectKey {
    type Err = ObjectKeyError;

    fn from_str(text: &str) -> Result<Self, ObjectKeyError> {
        Self::new(text)
    }
}

impl TryFrom<String> for ObjectKey {
    type Error = ObjectKeyError;

    fn try_from(text: String) -> Result<Self, ObjectKeyError> {
        Self::new(text)
    }
}

impl From<ObjectKey> for String {
    fn from(key: ObjectKey) -> Self {
        key.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_cannot_leave_its_folder() {
        for good in ["a", "state/1/default/backup.20261201T025000.123Z.json.gz", "a-b/c_d.e"] {
            assert_eq!(good.parse::<ObjectKey>().unwrap().as_str(), good);
        }
        let long = "x".repeat(MAX_SEGMENT + 1);
        for wrong in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.b", "a b", "ä", "a\\b", "a\0", &long,
        ] {
            assert!(wrong.parse::<ObjectKey>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn invalid_key_in_json_is_refused() {
        assert!(serde_json::from_str::<ObjectKey>("\"../etc/passwd\"").is_err());
        assert!(serde_json::from_str::<ObjectKey>("\"a/b\"").is_ok());
    }
}
