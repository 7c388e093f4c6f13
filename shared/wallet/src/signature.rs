//! [`check_signature`]: whether a wallet has signed a text.
//!
//! Order: the suffix of ERC-6492 → a validator by `eth_call`; else the key that the signature gives (EIP-191); else ERC-1271.
//! The key goes before the contract because an account with code by EIP-7702 signs with its key, and many of its contracts
//! implement no ERC-1271.

use std::str::FromStr;

use alloy::primitives::{B256, eip191_hash_message};
use arrakis_chain::ChainError;
use arrakis_domain::Address;
use sha2::{Digest as _, Sha256};

use crate::ContractCalls;
use crate::contract::{self, ContractAnswer};

/// A signature longer than this is refused. A Safe needs 65 bytes for each owner, and the suffix of ERC-6492 holds the call
/// that deploys the wallet.
pub const MAX_SIGNATURE_BYTES: usize = 24 * 1024;

/// The bytes of a signature, of a key or a contract wallet.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature(Vec<u8>);

impl Signature {
    /// The bytes of the signature, as they were decoded from hexadecimal.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// SHA-256 of the bytes: identifies the signature in records, which then hold nothing that can be used elsewhere.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signature({} bytes)", self.0.len())
    }
}

impl FromStr for Signature {
    type Err = SignatureRefusal;

    /// Reads `0x` and hexadecimal digits. `0x` alone is a signature, too: a Safe's message that was signed on chain.
    fn from_str(text: &str) -> Result<Self, SignatureRefusal> {
        let digits = text.strip_prefix("0x").ok_or(SignatureRefusal::Malformed)?;
        if digits.len() > 2 * MAX_SIGNATURE_BYTES {
            return Err(SignatureRefusal::TooLong);
        }
        hex::decode(digits).map(Self).map_err(|_| SignatureRefusal::Malformed)
    }
}

/// How a wallet signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// With its key: EIP-191. Also an account of EIP-7702.
    Eip191,
    /// As a contract: ERC-1271.
    Erc1271,
    /// As a contract that may not be deployed: ERC-6492.
    Erc6492,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 3] = [Self::Eip191, Self::Erc1271, Self::Erc6492];

    /// The method as a column stores it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eip191 => "eip191",
            Self::Erc1271 => "erc1271",
            Self::Erc6492 => "erc6492",
        }
    }
}

/// A signature that proves control of a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvenSignature {
    /// How the wallet signed.
    pub method: Method,
    /// SHA-256 of the signature's bytes.
    pub digest: [u8; 32],
}

/// Why a signature is refused. The text is for the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SignatureRefusal {
    /// Not hexadecimal, not the length of a key's signature, or not a point of the curve.
    #[error("The signature is malformed. Sign again; if this repeats, try another wallet app.")]
    Malformed,
    /// Longer than [`MAX_SIGNATURE_BYTES`].
    #[error("The signature is too long to be checked.")]
    TooLong,
    /// The upper of the two forms that each signature has: `s` above half of the curve's order (EIP-2).
    #[error("The signature is in a form that is not accepted (high s). Sign again with an up-to-date wallet app.")]
    HighS,
    /// The last byte is not 0, 1, 27 or 28.
    #[error("The signature ends in an unknown recovery code. Sign again with an up-to-date wallet app.")]
    WrongRecoveryCode,
    /// Another key signed.
    #[error(
        "The signature is not from this wallet, or it signs another text. Choose the right account in your wallet and sign again."
    )]
    WrongSigner,
    /// No key of the wallet signed, and there is no chain on which a contract could be called.
    #[error(
        "The signature is not from the key of this wallet. If you chose another account by mistake, choose the right one in your wallet and \
         sign again. If this wallet is a contract, such as a Safe, it cannot be linked here: contracts of its chain are not checked. Use a \
         wallet with a key of its own, or contact the community's team."
    )]
    ContractsNotChecked,
    /// The contract of the wallet does not accept it.
    #[error("The wallet's contract does not accept the signature. Check that all owners have signed on this chain.")]
    RefusedByContract,
}

impl SignatureRefusal {
    /// Every refusal.
    pub const ALL: [Self; 7] = [
        Self::Malformed,
        Self::TooLong,
        Self::HighS,
        Self::WrongRecoveryCode,
        Self::WrongSigner,
        Self::ContractsNotChecked,
        Self::RefusedByContract,
    ];

    /// The refusal's name in JSON and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed_signature",
            Self::TooLong => "signature_too_long",
            Self::HighS => "high_s",
            Self::WrongRecoveryCode => "wrong_recovery_code",
            Self::WrongSigner => "wrong_signer",
            Self::ContractsNotChecked => "contracts_not_checked",
            Self::RefusedByContract => "refused_by_contract",
        }
    }
}

/// Why a signature is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// It is not valid.
    #[error(transparent)]
    Refused(#[from] SignatureRefusal),
    /// It could not be checked; the same signature may be valid. Try again later.
    #[error(transparent)]
    Unavailable(#[from] ChainError),
}

/// Checks that the wallet at `address` has signed `text` as EIP-191 has it (`personal_sign`). `chain` is called only when
/// no key of that address signed. Without one only keys are checked: what a contract may have signed is refused as
/// [`SignatureRefusal::ContractsNotChecked`].
///
/// # Errors
/// When the signature is not valid, or the chain cannot be reached and would decide.
pub async fn check_signature(
    chain: Option<&dyn ContractCalls>,
    address: Address,
    text: &str,
    signature: &Signature,
) -> Result<ProvenSignature, SignatureError> {
    let hash = eip191_hash_message(text);
    let proven = |method| ProvenSignature {
        method,
        digest: signature.digest(),
    };
    let no_chain = SignatureRefusal::ContractsNotChecked;
    if let Some(wrapped) = contract::without_erc6492_suffix(signature.as_bytes()) {
        let chain = chain.ok_or(no_chain)?;
        return match contract::validate_erc6492(chain, address, hash.0, wrapped).await? {
            ContractAnswer::Accepted => Ok(proven(Method::Erc6492)),
            ContractAnswer::Refused | ContractAnswer::NoContract => Err(SignatureRefusal::RefusedByContract.into()),
        };
    }
    let refusal = match check_key(address, hash, signature.as_bytes()) {
        Ok(()) => return Ok(proven(Method::Eip191)),
        // Whatever a contract makes of it: a second form of a signature is not accepted from anyone.
        Err(SignatureRefusal::HighS) => return Err(SignatureRefusal::HighS.into()),
        Err(refusal) => refusal,
    };
    let chain = chain.ok_or(no_chain)?;
    match contract::validate_erc1271(chain, address, hash.0, signature.as_bytes()).await? {
        ContractAnswer::Accepted => Ok(proven(Method::Erc1271)),
        ContractAnswer::Refused => Err(SignatureRefusal::RefusedByContract.into()),
        ContractAnswer::NoContract => Err(refusal.into()),
    }
}

/// Checks a key's signature: 65 bytes, `r`, `s` and the recovery code.
fn check_key(address: Address, hash: B256, signature: &[u8]) -> Result<(), SignatureRefusal> {
    let signature: &[u8; 65] = signature.try_into().map_err(|_| SignatureRefusal::Malformed)?;
    let [scalars @ .., v] = signature;
    let parity = match v {
        0 | 27 => false,
        1 | 28 => true,
        _ => return Err(SignatureRefusal::WrongRecoveryCode),
    };
    let signature = alloy::primitives::Signature::from_bytes_and_parity(scalars, parity);
    // Recovery would accept it: the library turns it into the lower form first.
    if signature.normalize_s().is_some() {
        return Err(SignatureRefusal::HighS);
    }
    let signer = signature
        .recover_address_from_prehash(&hash)
        .map_err(|_| SignatureRefusal::Malformed)?;
    if signer.0.0 == *address.as_bytes() {
        Ok(())
    } else {
        Err(SignatureRefusal::WrongSigner)
    }
}

#[cfg(test)]
mod tests;
