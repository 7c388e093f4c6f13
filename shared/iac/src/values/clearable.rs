//! A value that a configuration can set or remove.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value, or the instruction to remove it, written `none`. In `Option<Clearable<T>>`, `None` means that the attribute is
/// not managed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Clearable<T> {
    /// The value is removed.
    Cleared,
    /// The value is set.
    Set(T),
}

/// How [`Clearable::Cleared`] is written.
pub(crate) const NONE: &str = "none";

impl<T> Clearable<T> {
    /// The value; `None` when it is removed.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Cleared => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<T> From<Option<T>> for Clearable<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Cleared, Self::Set)
    }
}

impl<T: Display> Display for Clearable<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cleared => f.write_str(NONE),
            Self::Set(value) => value.fmt(f),
        }
    }
}

impl<T: FromStr> FromStr for Clearable<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text == NONE {
            return Ok(Self::Cleared);
        }
        text.parse().map(Self::Set)
    }
}

impl<T: Display> Serialize for Clearable<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Clearable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
