//! Addresses: the stable logical name of a resource, `role.naib`.

use std::fmt;
use std::str::FromStr;

use super::limits::LONGEST_KEY;

choices! {
    /// Kinds of resources, in the order in which they are made. The number is the place in that order; Discord has none.
    pub enum Kind {
        /// The server itself: one, never made and never removed.
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
    /// Whether a server has exactly one, so that its address has no key.
    #[must_use]
    pub const fn is_single(self) -> bool {
        matches!(self, Self::Server | Self::WelcomeScreen | Self::Onboarding)
    }

    /// As people read it: `automod rule`.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Automod => "automod rule",
            Self::WelcomeScreen => "welcome screen",
            Self::Event => "scheduled event",
            other => other.name(),
        }
    }
}

/// A text that cannot be the key of an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a logical name; use 1 to {LONGEST_KEY} lower-case letters, digits, `-` and `_`, starting with a letter"
)]
pub struct KeyError(String);

/// The part of an address behind the dot: lower-case letters, digits, `-` and `_`, starting with a letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// Checks the text and makes it a key.
    ///
    /// # Errors
    ///
    /// When it is empty, too long, or holds anything but lower-case letters, digits, `-` and `_`, a letter first.
    pub fn new(text: impl Into<String>) -> Result<Self, KeyError> {
        let text = text.into();
        let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        if starts_well && text.len() <= LONGEST_KEY && text.bytes().all(allowed) {
            return Ok(Self(text));
        }
        Err(KeyError(text.chars().take(LONGEST_KEY).collect()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::new(text)
    }
}

serde_as_text!(Key);

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The part before the dot names no kind.
    #[error("`{0}` is not a kind of resource; an address has the form `role.naib`, `channel.general` or `server`")]
    Kind(String),
    /// The part behind the dot is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A kind with many resources and no key.
    #[error("`{0}` requires a logical name, like `{0}.example`")]
    KeyMissing(Kind),
    /// A kind with one resource and a key.
    #[error("a server has one {words}; its address is `{0}`", words = .0.words())]
    KeyGiven(Kind),
}

/// Names a resource within a configuration and a state: `role.naib`, `server`.
///
/// The order is that of [`Kind`], then of keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    kind: Kind,
    key: Option<Key>,
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

    /// The key of @everyone among roles. The role is there on each server: it is changed, never made or removed.
    pub const EVERYONE_KEY: &str = "everyone";

    /// From its parts.
    ///
    /// # Errors
    ///
    /// When the key is missing or given where it must not be.
    pub fn new(kind: Kind, key: Option<Key>) -> Result<Self, AddressError> {
        match (kind.is_single(), &key) {
            (true, Some(_)) => Err(AddressError::KeyGiven(kind)),
            (false, None) => Err(AddressError::KeyMissing(kind)),
            _ => Ok(Self { kind, key }),
        }
    }

    /// The address of this kind and key. The key is dropped for a kind of which there is one.
    #[must_use]
    pub fn of(kind: Kind, key: Key) -> Self {
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

    /// Its key; `None` for a kind of which there is one.
    #[must_use]
    pub const fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// Whether it is @everyone, `role.everyone`.
    #[must_use]
    pub fn is_everyone(&self) -> bool {
        self.kind == Kind::Role && self.key.as_ref().is_some_and(|key| key.as_str() == Self::EVERYONE_KEY)
    }

    /// Whether the resource is there on every server, so that it is changed and forgotten, never made or removed.
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
        Self::new(kind, key.map(Key::new).transpose()?)
    }
}

serde_as_text!(Address);
