//! The identity registry: which person has which accounts and wallets, as a chain of events (`docs/registry.md`).
//!
//! Owns the operations on identities, the encoding and the hash of events, replay, and the verification of the chain. An
//! operation locks the head of the chain, reads the state, checks the event against it ([`IdentityRecord::apply`]) and
//! appends the event; a trigger applies it to `user_identities` and `identity_wallets`, which nothing else writes. So every
//! state change has its event in the same transaction, and appends run one after the other.
//!
//! In a transaction that also writes profiles, call the registry first: the order of locks is the head of the chain, then
//! profiles. The head stays locked until the transaction ends.
//!
//! To add a type of event: a variant of [`EventPayload`] with its fields, its effect in `replay.rs` and in the trigger
//! `apply_identity_event` (a migration), and its row in the tests of both.

mod accounts;
mod append;
mod bulk;
mod directory;
mod error;
mod event;
mod export;
mod hash;
mod history;
mod identity;
mod migrate_verifications;
mod payload;
mod profile_wallet;
mod prove;
mod read;
mod replay;
mod suspensions;
mod text;
mod verify;
mod wallets;

use sqlx::PgConnection;

use crate::{CommunityId, GlobalTx, TenantTx};

pub use self::accounts::{MAX_DISPLAY_NAME, Separated};
pub use self::append::Cause;
pub use self::bulk::{ImportedWallet, MemberWallet, UNDONE_IMPORT, WalletConflict, WalletImport, WalletToUndo};
pub use self::directory::{IdentityPage, IdentitySearch};
pub use self::error::{Refusal, RegistryError};
pub use self::event::{EventSource, EventType, IdentityEvent};
pub use self::hash::{EventHash, HashedFields};
pub use self::history::ChainHead;
pub use self::identity::{
    Account, Identity, IdentityId, IdentityRecord, IdentityStatus, IdentityWallet, SignatureKind, SignatureRecord,
    TelegramUserId,
};
pub use self::migrate_verifications::{MigratedVerifications, RefusedVerification, migrate_verifications};
pub use self::payload::{EventPayload, PayloadError};
pub use self::profile_wallet::WalletCopy;
pub use self::prove::Proved;
pub use self::read::REMOVED_WALLETS;
pub use self::replay::{Change, RegistryState, ReplayError};
pub use self::suspensions::Suspension;
pub use self::verify::{Problem, ProblemKind, VerifyReport};
pub use self::wallets::{MAX_WALLETS, Verified, VerifiedWallet};

/// Queries and operations of the identity registry.
#[derive(Debug)]
pub struct Registry<'a> {
    connection: &'a mut PgConnection,
    /// In a tenant transaction: searches and exports find only its members.
    community: Option<CommunityId>,
}

impl TenantTx {
    /// The identity registry, in the same transaction as the community's rows. Searches and exports are limited to
    /// identities whose Discord account has a profile in the community; every other query is not.
    pub fn registry(&mut self) -> Registry<'_> {
        Registry {
            community: Some(self.community),
            connection: &mut self.transaction,
        }
    }
}

impl GlobalTx {
    /// The identity registry.
    pub fn registry(&mut self) -> Registry<'_> {
        Registry {
            community: None,
            connection: &mut self.transaction,
        }
    }
}
