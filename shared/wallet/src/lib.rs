//! Proof that a person controls a wallet: the message to sign, and the check of message and signature.
//!
//! [`SignIn`] builds the message of a verification session in the form of EIP-4361 and compares a presented message with it,
//! field by field. [`check_signature`] accepts signatures of keys (EIP-191, also of EIP-7702 accounts) and of contract
//! wallets (ERC-1271, and ERC-6492 for ones that are not deployed). Contract wallets are checked by [`ContractCalls`] alone:
//! no transaction is sent and nothing is stored. Sessions, limits and single use are in `arrakis-verification`.
//!
//! A refusal is an error variant of its own with a text for the member: [`MessageRefusal`], [`SignatureRefusal`]. A chain
//! that cannot be reached is [`SignatureError::Unavailable`] and never a refusal.

mod account;
mod contract;
#[cfg(test)]
mod fuzz;
mod message;
mod printable;
mod refusal;
mod signature;

pub use account::{Account, AccountError, AccountNetwork};
pub use contract::ContractCalls;
pub use message::{Origin, OriginError, SignIn};
pub use printable::printable;
pub use refusal::MessageRefusal;
pub use signature::{
    MAX_SIGNATURE_BYTES, Method, ProvenSignature, Signature, SignatureError, SignatureRefusal, check_signature,
};
