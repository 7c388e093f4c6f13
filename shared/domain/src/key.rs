//! Keys: names of tiers, badges, roles and channels in theme files and in the database, independent of their display names.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Length of the longest key, in bytes.
const MAX_LENGTH: usize = 50;

/// A text that is not a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a key; use 1 to {MAX_LENGTH} lower-case letters, digits, `-` and `_`, starting with a letter")]
pub struct KeyError(String);

fn check(text: &str) -> Result<(), KeyError> {
    let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if starts_well && text.len() <= MAX_LENGTH && text.bytes().all(allowed) {
        return Ok(());
    }
    Err(KeyError(text.chars().take(MAX_LENGTH).collect()))
}

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// A checked key.
            ///
            /// # Errors
            ///
            /// When it holds anything but lower-case letters, digits, `-` and `_`, or does not start with a letter.
            pub fn new(text: impl Into<String>) -> Result<Self, KeyError> {
                let text = text.into();
                check(&text)?;
                Ok(Self(text))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                Self::new(text)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

key!(
    /// Id of a theme: `sietch`.
    ThemeId
);
key!(
    /// Id of a tier within its theme: `fedaykin`.
    TierId
);
key!(
    /// Id of a badge within its theme: `water-sharer`.
    BadgeId
);
key!(
    /// Key of a role within its theme, independent of its name at Discord: `former-naib`.
    RoleKey
);
key!(
    /// Id of a rule set within its theme: `balance`, `ranked`.
    RuleSetId
);
key!(
    /// Key of a feature gate: the name of a command, or of a part of one.
    GateKey
);
key!(
    /// Key of a category within its theme: `inner-sanctum`.
    CategoryKey
);
key!(
    /// Key of a channel within its theme: `the-door`.
    ChannelKey
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_lower_case() {
        assert!(TierId::new("fedaykin").is_ok());
        assert!(BadgeId::new("days-90_b").is_ok());
        for text in ["", "Naib", "9lives", "-x", "two words", "naïb", &"x".repeat(51)] {
            assert!(TierId::new(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<TierId>("\"Naib\"").is_err());
        assert_eq!(serde_json::from_str::<TierId>("\"naib\"").unwrap().as_str(), "naib");
    }
}
