//! An identity with its accounts and wallets: the state that follows from its events.

use std::fmt;
use std::str::FromStr;

use arrakis_domain::Address;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use super::event::EventSource;
use crate::UserId;
use crate::ids::uuid_id;

uuid_id! {
    /// Id of an identity: a version 7 UUID.
    IdentityId
}

/// Id of a Telegram user: positive, at most 52 bits (<https://core.telegram.org/bots/api#user>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TelegramUserId(i64);

/// A number that is not an id of a Telegram user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id of a Telegram user is a whole number from 1 to {}", TelegramUserId::MAX)]
pub struct TelegramUserIdError;

impl TelegramUserId {
    const MAX: i64 = (1 << 52) - 1;

    /// An id from Telegram's number.
    ///
    /// # Errors
    /// For a number below 1 or of more than 52 bits.
    pub fn new(id: i64) -> Result<Self, TelegramUserIdError> {
        if (1..=Self::MAX).contains(&id) {
            Ok(Self(id))
        } else {
            Err(TelegramUserIdError)
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for TelegramUserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TelegramUserId {
    type Err = TelegramUserIdError;

    fn from_str(text: &str) -> Result<Self, TelegramUserIdError> {
        text.parse().map_err(|_| TelegramUserIdError).and_then(Self::new)
    }
}

/// An account by which a person is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    /// A Discord user.
    Discord(UserId),
    /// A Telegram user.
    Telegram(TelegramUserId),
}

/// Whether an identity is suspended, as of its last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum IdentityStatus {
    /// Not suspended.
    Active,
    /// Suspended.
    Suspended {
        /// When the suspension ends by itself; `None`: when it is restored.
        #[serde(with = "time::serde::rfc3339::option")]
        until: Option<OffsetDateTime>,
    },
}

/// An identity: one person on every server of the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// Its id.
    pub id: IdentityId,
    /// The Discord account.
    #[serde(serialize_with = "as_text")]
    pub discord_user: Option<UserId>,
    /// The Telegram account.
    #[serde(serialize_with = "as_text")]
    pub telegram_user: Option<TelegramUserId>,
    /// The account's name when it was linked; Discord's, if there is one.
    pub display_name: String,
    /// As of the last event; [`Identity::is_suspended`] also considers the end of a suspension.
    #[serde(flatten)]
    pub status: IdentityStatus,
    /// Time of the first event.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Time of the last event.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl Identity {
    /// Whether the identity is suspended at `now`. A suspension with an end is over from that moment on, whether or not the
    /// event that records it was written.
    #[must_use]
    pub fn is_suspended(&self, now: OffsetDateTime) -> bool {
        match self.status {
            IdentityStatus::Active => false,
            IdentityStatus::Suspended { until } => until.is_none_or(|until| until > now),
        }
    }
}

/// How a signature was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SignatureKind {
    /// Signed by the account's key (<https://eips.ethereum.org/EIPS/eip-191>).
    Eip191,
    /// Accepted by the contract at the address (<https://eips.ethereum.org/EIPS/eip-1271>).
    Erc1271,
    /// Accepted by a contract that is not deployed yet (<https://eips.ethereum.org/EIPS/eip-6492>).
    Erc6492,
}

impl SignatureKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Eip191, Self::Erc1271, Self::Erc6492];

    /// The kind as events and columns store it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eip191 => "eip191",
            Self::Erc1271 => "erc1271",
            Self::Erc6492 => "erc6492",
        }
    }
}

impl FromStr for SignatureKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| "unknown kind of signature".to_owned())
    }
}

/// What is stored of a signature: enough to recognise it, not enough to present it elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SignatureRecord {
    /// Method by which it was checked.
    pub kind: SignatureKind,
    /// SHA-256 of the signature's bytes.
    #[serde(serialize_with = "as_hex")]
    pub digest: [u8; 32],
}

/// A wallet that an identity holds or held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdentityWallet {
    /// Sequence number of the event that verified it.
    pub verified_event: u64,
    /// Its address.
    pub address: Address,
    /// The chain on which it was verified (EIP-155).
    pub chain_id: u64,
    /// Whether it is the one that counts in communities.
    pub is_primary: bool,
    /// Where the verification came from.
    pub source: EventSource,
    /// The signature; `None` for a wallet that was migrated or added by an operator.
    pub signature: Option<SignatureRecord>,
    /// When control of it was proven.
    #[serde(with = "time::serde::rfc3339")]
    pub verified_at: OffsetDateTime,
    /// When it was removed; `None` while it is held.
    #[serde(with = "time::serde::rfc3339::option")]
    pub removed_at: Option<OffsetDateTime>,
    /// Sequence number of the event that removed it.
    pub removed_event: Option<u64>,
    /// Reason of its removal; `None` while it is held.
    pub removed_reason: Option<String>,
}

/// For which chains a wallet is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WalletScope {
    /// Proved by a key, which controls the address on every chain; so does one that was migrated or added by an operator.
    EveryChain,
    /// Proved by a contract: another person may control the same address on another chain.
    Chain(u64),
}

impl WalletScope {
    /// The scope of a wallet by its signature; without one, every chain.
    pub(super) fn of(chain_id: u64, signature: Option<SignatureRecord>) -> Self {
        signature.map_or(Self::EveryChain, |signature| Self::of_kind(chain_id, signature.kind))
    }

    /// The scope of a wallet that signed in this way on this chain.
    pub(super) const fn of_kind(chain_id: u64, kind: SignatureKind) -> Self {
        match kind {
            SignatureKind::Eip191 => Self::EveryChain,
            SignatureKind::Erc1271 | SignatureKind::Erc6492 => Self::Chain(chain_id),
        }
    }

    /// Whether two wallets of one address cannot both be held. `apply_identity_event` states the same in SQL.
    pub(super) fn excludes(self, other: Self) -> bool {
        match (self, other) {
            (Self::Chain(one), Self::Chain(other)) => one == other,
            _ => true,
        }
    }
}

impl IdentityWallet {
    /// The chains for which the wallet is held.
    pub(super) fn scope(&self) -> WalletScope {
        WalletScope::of(self.chain_id, self.signature)
    }
}

/// An identity with the wallets that it holds or held, in the order of their verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdentityRecord {
    /// The identity.
    pub identity: Identity,
    /// Its wallets.
    pub wallets: Vec<IdentityWallet>,
}

impl IdentityRecord {
    /// The wallets that it holds.
    pub fn held(&self) -> impl Iterator<Item = &IdentityWallet> {
        self.wallets.iter().filter(|wallet| wallet.removed_at.is_none())
    }

    /// The primary wallet; `None` when no wallet is held.
    #[must_use]
    pub fn primary(&self) -> Option<&IdentityWallet> {
        self.held().find(|wallet| wallet.is_primary)
    }

    /// Whether it holds this wallet, on whatever chain.
    #[must_use]
    pub fn holds(&self, address: Address) -> bool {
        self.held().any(|wallet| wallet.address == address)
    }

    /// Whether it holds a wallet that excludes this one.
    pub(super) fn excludes(&self, address: Address, scope: WalletScope) -> bool {
        self.held()
            .any(|wallet| wallet.address == address && wallet.scope().excludes(scope))
    }
}

/// Ids as text: JavaScript's numbers do not hold all of them.
fn as_text<T: fmt::Display, S: Serializer>(id: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => serializer.collect_str(id),
        None => serializer.serialize_none(),
    }
}

fn as_hex<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspension_ends_at_its_end() {
        let at = |second| OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(second);
        let mut identity = Identity {
            id: IdentityId::new(),
            discord_user: None,
            telegram_user: None,
            display_name: String::new(),
            status: IdentityStatus::Suspended { until: Some(at(10)) },
            created_at: at(0),
            updated_at: at(0),
        };
        assert!(identity.is_suspended(at(9)) && !identity.is_suspended(at(10)));
        identity.status = IdentityStatus::Suspended { until: None };
        assert!(identity.is_suspended(at(1_000_000_000)));
        identity.status = IdentityStatus::Active;
        assert!(!identity.is_suspended(at(9)));
    }

    #[test]
    fn telegram_ids_have_52_bits() {
        assert!(TelegramUserId::new(1).is_ok() && TelegramUserId::new((1 << 52) - 1).is_ok());
        for id in [0, -5, 1 << 52] {
            assert_eq!(TelegramUserId::new(id), Err(TelegramUserIdError));
        }
    }
}
