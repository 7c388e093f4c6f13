//! References between resources: by address, or by id.

use std::fmt;
use std::str::FromStr;

use super::{Address, AddressError, IdError, Kind, Snowflake};

/// A reference to a resource: by address when it is managed, by id when it is not. Written `role.naib` or `41771983423143937`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A managed resource.
    Address(Address),
    /// A resource of the server that is not managed.
    Id(Snowflake),
}

/// Kinds that the target of a reference may have, the usual one first. An id does not determine the kind: @everyone, its
/// server and the first channel of an old server have the same id.
pub type Kinds = &'static [Kind];

pub(crate) const ROLE: Kinds = &[Kind::Role];
pub(crate) const CATEGORY: Kinds = &[Kind::Category];
pub(crate) const CHANNEL: Kinds = &[Kind::Channel];
pub(crate) const CHANNEL_OR_CATEGORY: Kinds = &[Kind::Channel, Kind::Category];
pub(crate) const EMOJI: Kinds = &[Kind::Emoji];

/// The text is not a valid reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Neither an address nor an id.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The digits are not a valid id.
    #[error("{}", IdError::new(.0))]
    Id(String),
}

impl Reference {
    /// The address; `None` for a reference by id.
    #[must_use]
    pub const fn address(&self) -> Option<&Address> {
        match self {
            Self::Address(address) => Some(address),
            Self::Id(_) => None,
        }
    }
}

impl From<Address> for Reference {
    fn from(address: Address) -> Self {
        Self::Address(address)
    }
}

impl From<Snowflake> for Reference {
    fn from(id: Snowflake) -> Self {
        Self::Id(id)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Id(id) => id.fmt(f),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.bytes().next().is_some_and(|byte| byte.is_ascii_digit()) {
            let id = text
                .parse()
                .map_err(|_| ReferenceError::Id(text.chars().take(30).collect()))?;
            return Ok(Self::Id(id));
        }
        Ok(Self::Address(text.parse()?))
    }
}

serde_as_text!(Reference);

/// A Unicode emoji or an emoji of the server. Written `🔥`, `emoji.spice` or by id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EmojiReference {
    /// A Unicode emoji.
    Unicode(String),
    /// An emoji of the server.
    Own(Reference),
}

impl fmt::Display for EmojiReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unicode(text) => f.write_str(text),
            Self::Own(reference) => reference.fmt(f),
        }
    }
}

impl FromStr for EmojiReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        // Keycaps (`1️⃣`, `#️⃣`) begin with an ASCII sign and are longer than it in bytes but not ASCII throughout.
        match text.is_ascii() {
            true => text.parse().map(Self::Own),
            false => Ok(Self::Unicode(text.to_owned())),
        }
    }
}

serde_as_text!(EmojiReference);

impl EmojiReference {
    /// The reference to an emoji of the server; `None` for a Unicode emoji.
    #[must_use]
    pub const fn custom(&self) -> Option<&Reference> {
        match self {
            Self::Own(reference) => Some(reference),
            Self::Unicode(_) => None,
        }
    }

    /// The mutable reference to an emoji of the server; `None` for a Unicode emoji.
    pub const fn custom_mut(&mut self) -> Option<&mut Reference> {
        match self {
            Self::Own(reference) => Some(reference),
            Self::Unicode(_) => None,
        }
    }
}
