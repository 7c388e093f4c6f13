//! Names of workspaces, which are valid as folder names on any system and in object keys.

use std::fmt;
use std::str::FromStr;

use super::StoreError;

/// The name of a workspace: 1–63 letters, digits, `-` and `_`, beginning with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkspaceName(String);

impl WorkspaceName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for WorkspaceName {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl FromStr for WorkspaceName {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let good = (1..=63).contains(&text.len())
            && text.bytes().all(plain)
            && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(StoreError::WorkspaceName(text.chars().take(80).collect()))
        }
    }
}

impl fmt::Display for WorkspaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workspace_name_cannot_leave_its_folder() {
        assert_eq!("staging-2".parse::<WorkspaceName>().unwrap().as_str(), "staging-2");
        for wrong in ["", ".", "..", "a/b", "-a", "a b", "ä", &"x".repeat(64)] {
            assert!(wrong.parse::<WorkspaceName>().is_err(), "{wrong}");
        }
    }
}
