//! [`Account`]: the Discord or Telegram account for which a wallet is verified.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Network of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccountNetwork {
    /// Discord.
    Discord,
    /// Telegram.
    Telegram,
}

impl AccountNetwork {
    /// Every network.
    pub const ALL: [Self; 2] = [Self::Discord, Self::Telegram];

    /// The network as a column or a JSON value stores it: `discord` or `telegram`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Discord => "discord",
            Self::Telegram => "telegram",
        }
    }

    /// The network's name as people read it: `Discord` or `Telegram`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discord => "Discord",
            Self::Telegram => "Telegram",
        }
    }
}

/// An account by its id. Names change and are not part of it. In JSON: `discord:1300000000000000001`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    /// Network whose id `id` is.
    pub network: AccountNetwork,
    /// Its id in the network, greater than 0.
    pub id: u64,
}

impl Account {
    /// The account as a URI, which the message names as its resource.
    #[must_use]
    pub fn uri(self) -> String {
        match self.network {
            AccountNetwork::Discord => format!("https://discord.com/users/{}", self.id),
            AccountNetwork::Telegram => format!("tg://user?id={}", self.id),
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} account {}", self.network.name(), self.id)
    }
}

/// A text is not of the form `discord:ID` or `telegram:ID`, with an id from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an account is written as discord:ID or telegram:ID")]
pub struct AccountError;

impl FromStr for Account {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        let (network, id) = text.split_once(':').ok_or(AccountError)?;
        let network = AccountNetwork::ALL.into_iter().find(|known| known.as_str() == network);
        let id = id.parse().ok().filter(|id| *id > 0);
        network
            .zip(id)
            .map(|(network, id)| Self { network, id })
            .ok_or(AccountError)
    }
}

impl Serialize for Account {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}:{}", self.network.as_str(), self.id))
    }
}

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_round_trips_as_json() {
        let account = Account {
            network: AccountNetwork::Telegram,
            id: 42,
        };
        let json = serde_json::to_string(&account).unwrap();
        assert_eq!(json, "\"telegram:42\"");
        assert_eq!(serde_json::from_str::<Account>(&json).unwrap(), account);
        for text in ["", "42", "telegram:", "telegram:0", "telegram:-1", "slack:42"] {
            assert_eq!(text.parse::<Account>(), Err(AccountError), "{text}");
        }
    }
}
