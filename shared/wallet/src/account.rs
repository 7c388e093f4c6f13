//! [`Account`]: the Discord or Telegram account for which a wallet is verified.

use std::fmt;

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

    /// The network as a column or a JSON value stores it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Discord => "discord",
            Self::Telegram => "telegram",
        }
    }

    /// The network's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discord => "Discord",
            Self::Telegram => "Telegram",
        }
    }
}

/// An account by its id. Names change and are not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    /// Its network.
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
