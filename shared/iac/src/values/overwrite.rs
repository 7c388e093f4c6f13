//! Permission overwrites of channels and categories.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use arrakis_domain::Permissions;
use serde::{Deserialize, Serialize};

use super::{Address, IdError, Kind, Reference, ReferenceError, Snowflake};

/// The target of an overwrite. Written `everyone`, `bot`, `role.naib`, `role:41771983423143937`, `member:41771983423143937`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// @everyone: the role whose id is the server's.
    Everyone,
    /// The bot that applies the plan, as a member.
    Bot,
    /// A role.
    Role(Reference),
    /// A member, by user id.
    Member(Snowflake),
}

/// The text is not a valid target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The text is not a reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The id is invalid.
    #[error("{}", IdError::new(.0))]
    Id(String),
    /// A reference to a resource that is not a role, or an id without `role:` or `member:`.
    #[error(
        "the target of an overwrite is `everyone`, `bot`, a role (`role.naib`, `role:ID`) or a member (`member:ID`), not `{0}`"
    )]
    NotATarget(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("everyone"),
            Self::Bot => f.write_str("bot"),
            Self::Role(Reference::Address(address)) => address.fmt(f),
            Self::Role(Reference::Id(id)) => write!(f, "role:{id}"),
            Self::Member(id) => write!(f, "member:{id}"),
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let shown = || text.chars().take(100).collect::<String>();
        let id = |digits: &str| {
            digits
                .parse::<Snowflake>()
                .map_err(|_| TargetError::Id(digits.chars().take(100).collect()))
        };
        match text {
            "everyone" => return Ok(Self::Everyone),
            "bot" => return Ok(Self::Bot),
            _ => {}
        }
        if let Some(digits) = text.strip_prefix("role:") {
            return Ok(Self::Role(Reference::Id(id(digits)?)));
        }
        if let Some(digits) = text.strip_prefix("member:") {
            return id(digits).map(Self::Member);
        }
        match text.parse()? {
            Reference::Address(address) if address.is_everyone() => Ok(Self::Everyone),
            Reference::Address(address) if address.kind() == Kind::Role => Ok(Self::Role(address.into())),
            _ => Err(TargetError::NotATarget(shown())),
        }
    }
}

serde_as_text!(Target);

impl From<Address> for Target {
    fn from(role: Address) -> Self {
        if role.is_everyone() {
            Self::Everyone
        } else {
            Self::Role(role.into())
        }
    }
}

/// Permissions that one target is allowed and denied. Discord may return a bit in both; gaib sends no bit in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overwrite {
    /// Allowed permissions.
    #[serde(default, with = "super::permissions::names")]
    pub allow: Permissions,
    /// Denied permissions.
    #[serde(default, with = "super::permissions::names")]
    pub deny: Permissions,
}

/// All overwrites of a channel or a category by target. They are managed as a whole: a target that is absent has no overwrite.
///
/// Discord calls a channel synced when its overwrites equal those of its category.
pub type Overwrites = BTreeMap<Target, Overwrite>;
