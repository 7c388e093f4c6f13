//! [`Refusal`]: everything that a member can be refused, with its text, its code in JSON and its HTTP status.

use arrakis_chain::ChainError;
use arrakis_db::{DbError, SessionState};
use arrakis_security::signing::SignError;
use arrakis_wallet::{MessageRefusal, SignatureError, SignatureRefusal};
use serde_json::{Value, json};

use crate::RecordRefusal;

/// Why a request is refused. The text is for the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// There is no session of this token.
    #[error("This link is not valid. Use the newest link, or start the verification again.")]
    UnknownSession,
    /// The session has expired.
    #[error("This link has expired. Links are valid for 15 minutes. Start the verification again.")]
    Expired,
    /// The account began another session.
    #[error("This link was replaced by a newer one. Use the newest link.")]
    Replaced,
    /// The session has its signature.
    #[error("This link was used already. A link accepts one signature.")]
    AlreadyUsed,
    /// The holder of the wallet refused to give it up.
    #[error(
        "The member who holds this wallet did not agree to move it. Start the verification again to link another wallet."
    )]
    HolderRefused,
    /// Too many signatures were presented.
    #[error("There were too many attempts with this link. Start the verification again.")]
    TooManyAttempts,
    /// The text is no address of a wallet.
    #[error("This is not the address of a wallet. Choose an account in your wallet.")]
    InvalidAddress,
    /// The message is refused.
    #[error(transparent)]
    Message(MessageRefusal),
    /// The signature is refused.
    #[error(transparent)]
    Signature(SignatureRefusal),
    /// The registry refuses the wallet.
    #[error(transparent)]
    Registry(RecordRefusal),
    /// The session has no wallet of another account whose consent could be requested.
    #[error("There is no wallet to move. Sign the message with the wallet first.")]
    NothingToMove,
    /// The holder changed in the meantime.
    #[error("The wallet was moved in the meantime. Start the verification again.")]
    HolderChanged,
    /// The database is unavailable.
    #[error("The service is busy. Nothing was lost: try again in a moment.")]
    TryLater,
    /// No endpoint of the chain responds.
    #[error("The chain does not respond at the moment, so the signature could not be checked. Try again in a moment.")]
    ChainUnavailable,
    /// A permanent error of ours.
    #[error("Something is wrong on our side. It was logged. Try again later.")]
    Internal,
}

impl Refusal {
    /// The refusal's name in JSON and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownSession => "unknown_session",
            Self::Expired => "expired",
            Self::Replaced => "replaced",
            Self::AlreadyUsed => "already_used",
            Self::HolderRefused => "holder_refused",
            Self::TooManyAttempts => "too_many_attempts",
            Self::InvalidAddress => "invalid_address",
            Self::Message(refusal) => refusal.code(),
            Self::Signature(refusal) => refusal.code(),
            Self::Registry(refusal) => refusal.code(),
            Self::NothingToMove => "nothing_to_move",
            Self::HolderChanged => "holder_changed",
            Self::TryLater => "try_later",
            Self::ChainUnavailable => "chain_unavailable",
            Self::Internal => "internal_error",
        }
    }

    /// The HTTP status of the response.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::UnknownSession => 404,
            Self::Expired => 410,
            Self::Replaced | Self::AlreadyUsed | Self::HolderRefused | Self::NothingToMove | Self::HolderChanged => 409,
            Self::TooManyAttempts => 429,
            Self::InvalidAddress | Self::Message(_) | Self::Signature(_) | Self::Registry(_) => 422,
            Self::TryLater | Self::ChainUnavailable => 503,
            Self::Internal => 500,
        }
    }

    /// The JSON body of the response: `code`, stable, and `message`, a text for the member.
    #[must_use]
    pub fn body(self) -> Value {
        json!({"code": self.code(), "message": self.to_string()})
    }

    /// Why a session in this state accepts no signature; `None` when it does.
    pub(crate) const fn of_state(state: SessionState) -> Option<Self> {
        match state {
            SessionState::Open => None,
            SessionState::Signed | SessionState::AwaitingConsent | SessionState::Completed => Some(Self::AlreadyUsed),
            SessionState::Refused => Some(Self::HolderRefused),
            SessionState::Replaced => Some(Self::Replaced),
            SessionState::Expired => Some(Self::Expired),
        }
    }
}

/// An error of a request: a refusal, or a service that is unavailable.
#[derive(Debug, thiserror::Error)]
pub enum VerificationError {
    /// The request is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The chain failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The link cannot be signed, or its signature cannot be verified at present.
    #[error(transparent)]
    Signer(#[from] SignError),
}

impl VerificationError {
    /// What the member is shown. Whoever handles the error logs it, unless it is [`VerificationError::Refused`].
    #[must_use]
    pub fn shown(&self) -> Refusal {
        match self {
            Self::Refused(refusal) => *refusal,
            Self::Database(error) if error.is_transient() => Refusal::TryLater,
            Self::Signer(error) if error.is_transient() => Refusal::TryLater,
            Self::Database(_) | Self::Signer(_) => Refusal::Internal,
            Self::Chain(_) => Refusal::ChainUnavailable,
        }
    }
}

impl From<MessageRefusal> for VerificationError {
    fn from(refusal: MessageRefusal) -> Self {
        Self::Refused(Refusal::Message(refusal))
    }
}

impl From<SignatureRefusal> for VerificationError {
    fn from(refusal: SignatureRefusal) -> Self {
        Self::Refused(Refusal::Signature(refusal))
    }
}

impl From<SignatureError> for VerificationError {
    fn from(error: SignatureError) -> Self {
        match error {
            SignatureError::Refused(refusal) => refusal.into(),
            SignatureError::Unavailable(error) => Self::Chain(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_refusal_has_a_code_and_a_text_of_its_own() {
        let refusals: Vec<Refusal> = [
            Refusal::UnknownSession,
            Refusal::Expired,
            Refusal::Replaced,
            Refusal::AlreadyUsed,
            Refusal::HolderRefused,
            Refusal::TooManyAttempts,
            Refusal::InvalidAddress,
            Refusal::NothingToMove,
            Refusal::HolderChanged,
            Refusal::TryLater,
            Refusal::ChainUnavailable,
            Refusal::Internal,
        ]
        .into_iter()
        .chain(MessageRefusal::ALL.map(Refusal::Message))
        .chain(SignatureRefusal::ALL.map(Refusal::Signature))
        .chain(RecordRefusal::ALL.map(Refusal::Registry))
        .collect();
        let codes: BTreeSet<&str> = refusals.iter().map(|refusal| refusal.code()).collect();
        let texts: BTreeSet<String> = refusals.iter().map(ToString::to_string).collect();
        assert_eq!((codes.len(), texts.len()), (refusals.len(), refusals.len()));
    }
}
