//! Errors of the registry's operations.

use crate::DbError;

/// Why an event does not follow from the state, or an operation is refused. Nothing was written. The texts contain no
/// name and no id of another identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No identity has this id.
    #[error("no identity has this id")]
    UnknownIdentity,
    /// An identity with this id exists.
    #[error("an identity with this id exists")]
    IdentityExists,
    /// An identity needs a Discord or a Telegram account.
    #[error("an identity needs a Discord or a Telegram account")]
    NoAccount,
    /// The account belongs to another identity.
    #[error("the account belongs to another identity")]
    AccountInUse,
    /// The identity has an account of this kind; it is never replaced.
    #[error("the identity has an account of this kind")]
    AccountLinked,
    /// The identity has one account only, or not this one.
    #[error("the identity does not have two accounts")]
    NotJoined,
    /// Another identity holds the wallet.
    #[error("another identity holds the wallet")]
    WalletHeld,
    /// The identity holds the wallet already.
    #[error("the identity holds the wallet already")]
    WalletAlreadyHeld,
    /// The identity does not hold the wallet.
    #[error("the identity does not hold the wallet")]
    WalletNotHeld,
    /// The wallet is the primary one already.
    #[error("the wallet is the primary one already")]
    AlreadyPrimary,
    /// The identity holds as many wallets as it may.
    #[error("the identity holds {} wallets, the most that it may", super::MAX_WALLETS)]
    TooManyWallets,
    /// The chain id is not a number from 1 to 2^63 - 1.
    #[error("a chain id is a number from 1 to 2^63 - 1")]
    ChainId,
    /// The identity is suspended: its accounts and wallets do not change, except by an operator.
    #[error("the identity is suspended")]
    Suspended,
    /// The identity is not suspended.
    #[error("the identity is not suspended")]
    NotSuspended,
    /// The suspension ends before it begins, or it has not ended yet.
    #[error("the end of the suspension does not fit the time of the event")]
    EndOfSuspension,
    /// The event is earlier than the identity's last one.
    #[error("the event is earlier than the last event of the identity")]
    BeforeLastEvent,
}

impl Refusal {
    /// The name of the refusal, for counts and for APIs: `wallet_held`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownIdentity => "unknown_identity",
            Self::IdentityExists => "identity_exists",
            Self::NoAccount => "no_account",
            Self::AccountInUse => "account_in_use",
            Self::AccountLinked => "account_linked",
            Self::NotJoined => "not_joined",
            Self::WalletHeld => "wallet_held",
            Self::WalletAlreadyHeld => "wallet_already_held",
            Self::WalletNotHeld => "wallet_not_held",
            Self::AlreadyPrimary => "already_primary",
            Self::TooManyWallets => "too_many_wallets",
            Self::ChainId => "chain_id",
            Self::Suspended => "suspended",
            Self::NotSuspended => "not_suspended",
            Self::EndOfSuspension => "end_of_suspension",
            Self::BeforeLastEvent => "before_last_event",
        }
    }
}

/// An operation of the registry failed. After [`RegistryError::Refused`] the transaction can be used further.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The operation is refused; nothing was written.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl RegistryError {
    /// The refusal, if it is one.
    #[must_use]
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal) => Some(*refusal),
            Self::Db(_) => None,
        }
    }
}
