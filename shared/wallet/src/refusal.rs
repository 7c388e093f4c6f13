//! [`MessageRefusal`]: why a presented message is not the one that was to be signed.

/// Why a presented message is refused. The text is for the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum MessageRefusal {
    /// The domain is another one, or has letters that only look the same.
    #[error("The signed message is for another website. Sign only on the page that your link opens.")]
    WrongDomain,
    /// The URI is another one.
    #[error("The signed message names another page. Open your link again and sign there.")]
    WrongUri,
    /// The chain is another one.
    #[error(
        "The signed message is for another chain. Switch your wallet to the chain that the page names and sign again."
    )]
    WrongChain,
    /// The address is another one.
    #[error("The signed message names another wallet. Choose the wallet that you want to link and sign again.")]
    WrongAddress,
    /// The nonce is another one.
    #[error("The signed message has a code that is not valid for this link. Each signature works once: sign again.")]
    WrongNonce,
    /// The message is of another session.
    #[error("The signed message belongs to another verification link. Sign the message of this page.")]
    AnotherSession,
    /// The message is for another account.
    #[error("The signed message is for another account. Start the verification from your own account.")]
    OtherAccount,
    /// The message has expired.
    #[error("The signed message has expired. Start the verification again for a new link.")]
    Expired,
    /// The message was issued in the future.
    #[error("The signed message is dated in the future. Check the clock of your device and sign again.")]
    IssuedInFuture,
    /// There are lines that the message does not have.
    #[error("The signed message has lines that do not belong to it. Sign the unchanged message of this page.")]
    ExtraLines,
    /// The text is not of the form of EIP-4361.
    #[error("The signed message is malformed. Sign the unchanged message of this page.")]
    Malformed,
    /// The fields are right, and the text is not what was to be signed.
    #[error("The signed message was changed. Sign the unchanged message of this page.")]
    Altered,
}

impl MessageRefusal {
    /// Every refusal.
    pub const ALL: [Self; 12] = [
        Self::WrongDomain,
        Self::WrongUri,
        Self::WrongChain,
        Self::WrongAddress,
        Self::WrongNonce,
        Self::AnotherSession,
        Self::OtherAccount,
        Self::Expired,
        Self::IssuedInFuture,
        Self::ExtraLines,
        Self::Malformed,
        Self::Altered,
    ];

    /// The refusal's name in JSON and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::WrongDomain => "wrong_domain",
            Self::WrongUri => "wrong_uri",
            Self::WrongChain => "wrong_chain",
            Self::WrongAddress => "wrong_address",
            Self::WrongNonce => "wrong_nonce",
            Self::AnotherSession => "another_session",
            Self::OtherAccount => "other_account",
            Self::Expired => "message_expired",
            Self::IssuedInFuture => "issued_in_future",
            Self::ExtraLines => "extra_lines",
            Self::Malformed => "malformed_message",
            Self::Altered => "altered_message",
        }
    }
}
