//! Addresses: the stable logical name of a resource, `role.naib`.

use std::fmt;
use std::str::FromStr;

use super::limits::MAX_LOGICAL_NAME_LENGTH;

choices! {
    /// The kind of a resource. Kinds are ordered as a plan creates them; the number is the position in that order, not one
    /// of Discord.
    pub enum Kind {
        /// The settings of the server: every server has them, so they are never created or deleted.
        Server "server" = 0,
        /// A role.
        Role "role" = 1,
        /// A category of channels.
        Category "category" = 2,
        /// A channel of any kind but a category.
        Channel "channel" = 3,
        /// An emoji.
        Emoji "emoji" = 4,
        /// A sticker.
        Sticker "sticker" = 5,
        /// An incoming webhook.
        Webhook "webhook" = 6,
        /// A rule of auto moderation.
        Automod "automod" = 7,
        /// The welcome screen: one.
        WelcomeScreen "welcome_screen" = 8,
        /// The onboarding of new members: one.
        Onboarding "onboarding" = 9,
        /// A scheduled event.
        Event "event" = 10,
    }
}

impl Kind {
    /// Whether every server has exactly one resource of the kind. Its address has no key.
    #[must_use]
    pub const fn is_single(self) -> bool {
        matches!(self, Self::Server | Self::WelcomeScreen | Self::Onboarding)
    }

    /// The name in messages: `automod rule`.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Automod => "automod rule",
            Self::WelcomeScreen => "welcome screen",
            Self::Event => "scheduled event",
            other => other.name(),
        }
    }
}

/// The text is not a valid key of an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a logical name; use 1 to {MAX_LOGICAL_NAME_LENGTH} lower-case letters, digits, `-` and `_`, starting with a letter"
)]
pub struct LogicalNameError(String);

/// The logical name of a resource: the part of an address after the dot. Lower-case letters, digits, `-` and `_`; the first
/// is a letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogicalName(String);

impl LogicalName {
    /// A key from a text.
    ///
    /// # Errors
    ///
    /// The text is empty, longer than [`MAX_LOGICAL_NAME_LENGTH`] bytes, contains another character, or does not start with
    /// a letter.
    pub fn new(text: impl Into<String>) -> Result<Self, LogicalNameError> {
        let text = text.into();
        let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        if starts_well && text.len() <= MAX_LOGICAL_NAME_LENGTH && text.bytes().all(allowed) {
            return Ok(Self(text));
        }
        Err(LogicalNameError(text.chars().take(MAX_LOGICAL_NAME_LENGTH).collect()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LogicalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LogicalName {
    type Err = LogicalNameError;

    fn from_str(text: &str) -> Result<Self, LogicalNameError> {
        Self::new(text)
    }
}

serde_as_text!(LogicalName);

/// The text is not a valid address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The part before the dot is not a kind.
    #[error("`{0}` is not a kind of resource; an address has the form `role.naib`, `channel.general` or `server`")]
    Kind(String),
    /// The part after the dot is not a key.
    #[error(transparent)]
    Key(#[from] LogicalNameError),
    /// The key is missing, and a server has several resources of the kind.
    #[error("`{0}` requires a logical name, like `{0}.example`")]
    KeyMissing(Kind),
    /// There is a key, and a server has only one resource of the kind.
    #[error("a server has one {noun}; its address is `{0}`", noun = .0.noun())]
    KeyGiven(Kind),
}

/// Identifies a resource in a configuration and a state: `role.naib`, `server`.
///
/// Addresses are ordered by [`Kind`], then by key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    kind: Kind,
    key: Option<LogicalName>,
}

impl Address {
    /// The server itself.
    pub const SERVER: Self = Self {
        kind: Kind::Server,
        key: None,
    };
    /// The welcome screen.
    pub const WELCOME_SCREEN: Self = Self {
        kind: Kind::WelcomeScreen,
        key: None,
    };
    /// The onboarding.
    pub const ONBOARDING: Self = Self {
        kind: Kind::Onboarding,
        key: None,
    };

    /// The key of the role @everyone, which exists on every server: it is changed, never created or deleted.
    pub const EVERYONE_NAME: &str = "everyone";

    /// An address from a kind and a key.
    ///
    /// # Errors
    ///
    /// The key is missing, or the kind has none.
    pub fn new(kind: Kind, key: Option<LogicalName>) -> Result<Self, AddressError> {
        match (kind.is_single(), &key) {
            (true, Some(_)) => Err(AddressError::KeyGiven(kind)),
            (false, None) => Err(AddressError::KeyMissing(kind)),
            _ => Ok(Self { kind, key }),
        }
    }

    /// The address of this kind and key. The key is ignored for a kind of which every server has exactly one.
    #[must_use]
    pub fn of(kind: Kind, key: LogicalName) -> Self {
        Self {
            kind,
            key: (!kind.is_single()).then_some(key),
        }
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its key; `None` for a kind of which every server has exactly one.
    #[must_use]
    pub const fn key(&self) -> Option<&LogicalName> {
        self.key.as_ref()
    }

    /// Whether it is @everyone, `role.everyone`.
    #[must_use]
    pub fn is_everyone(&self) -> bool {
        self.kind == Kind::Role && self.key.as_ref().is_some_and(|key| key.as_str() == Self::EVERYONE_NAME)
    }

    /// Whether every server has the resource. It is changed and removed from the state, never created or deleted.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.kind.is_single() || self.is_everyone()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{}.{key}", self.kind),
            None => self.kind.fmt(f),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (kind, key) = match text.split_once('.') {
            Some((kind, key)) => (kind, Some(key)),
            None => (text, None),
        };
        let kind = Kind::from_name(kind).ok_or_else(|| AddressError::Kind(text.chars().take(100).collect()))?;
        Self::new(kind, key.map(LogicalName::new).transpose()?)
    }
}

serde_as_text!(Address);
