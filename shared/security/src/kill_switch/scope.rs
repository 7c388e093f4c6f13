//! [`KillSwitchScope`]: what a switch stops.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a switch stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KillSwitchScope {
    /// Every write to Discord.
    Platform,
    /// Role changes and structural changes of one community, by the id of its Discord server.
    Community(u64),
}

/// A text that is not a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a scope is platform, or community: and the id of a Discord server")]
pub struct KillSwitchScopeError;

impl fmt::Display for KillSwitchScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform => f.write_str("platform"),
            Self::Community(server) => write!(f, "community:{server}"),
        }
    }
}

impl FromStr for KillSwitchScope {
    type Err = KillSwitchScopeError;

    fn from_str(text: &str) -> Result<Self, KillSwitchScopeError> {
        if text == "platform" {
            return Ok(Self::Platform);
        }
        let id = text.strip_prefix("community:").ok_or(KillSwitchScopeError)?;
        // `parse` would also accept a sign.
        if !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(KillSwitchScopeError);
        }
        match id.parse() {
            Ok(0) | Err(_) => Err(KillSwitchScopeError),
            Ok(server) => Ok(Self::Community(server)),
        }
    }
}

impl Serialize for KillSwitchScope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KillSwitchScope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_round_trip() {
        for scope in [KillSwitchScope::Platform, KillSwitchScope::Community(u64::MAX)] {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        for text in [
            "",
            "Platform",
            "community:",
            "community:0",
            "community:+1",
            "community:1 ",
        ] {
            assert_eq!(text.parse::<KillSwitchScope>(), Err(KillSwitchScopeError), "{text}");
        }
    }
}
