//! Contract wallets: ERC-1271 (<https://eips.ethereum.org/EIPS/eip-1271>) and ERC-6492
//! (<https://eips.ethereum.org/EIPS/eip-6492>), both by `eth_call`.

use arrakis_chain::{CallResult, ChainClient, ChainError};
use arrakis_domain::Address;
use async_trait::async_trait;

/// Calls of contracts on one chain that change nothing.
#[async_trait]
pub trait ContractCalls: Send + Sync {
    /// Runs `data` on the contract `to` at the newest block; without `to`, as the code of a new contract.
    ///
    /// # Errors
    /// Only when no endpoint gave an answer: nothing follows about the signature. A revert is a [`CallResult`].
    async fn call(&self, to: Option<Address>, data: Vec<u8>) -> Result<CallResult, ChainError>;
}

#[async_trait]
impl ContractCalls for ChainClient {
    async fn call(&self, to: Option<Address>, data: Vec<u8>) -> Result<CallResult, ChainError> {
        Self::call(self, to, data, None).await
    }
}

/// What the contract of a wallet returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContractAnswer {
    /// The signature is valid.
    Accepted,
    /// The contract returned another value, or the call reverted.
    Refused,
    /// There is no contract at the address.
    NoContract,
}

/// `isValidSignature(bytes32,bytes)`: the selector, which is also the value that accepts.
const IS_VALID_SIGNATURE: [u8; 4] = [0x16, 0x26, 0xba, 0x7e];

/// What the signature of a wallet that may not be deployed ends in.
const ERC6492_SUFFIX: [u8; 32] = {
    let mut suffix = [0x64; 32];
    let mut at = 1;
    while at < suffix.len() {
        suffix[at] = 0x92;
        at += 2;
    }
    suffix
};

/// Code of `contracts/SignatureValidator.sol`. It runs as the constructor of a contract that is never created.
const VALIDATOR: &str = include_str!("../contracts/SignatureValidator.hex");

/// The validator's code. A test checks that it is hexadecimal.
fn validator_code() -> Vec<u8> {
    hex::decode(VALIDATOR.trim()).unwrap_or_default()
}

/// The signature without the suffix of ERC-6492; `None` when it has none.
pub(crate) fn without_erc6492_suffix(signature: &[u8]) -> Option<&[u8]> {
    signature.strip_suffix(&ERC6492_SUFFIX)
}

/// Calls `isValidSignature` of a deployed contract ([ERC-1271](https://eips.ethereum.org/EIPS/eip-1271)). `hash` is the hash that
/// EIP-191 gives the message.
///
/// # Errors
/// When the chain gave no usable response.
pub(crate) async fn validate_erc1271(
    chain: &dyn ContractCalls,
    address: Address,
    hash: [u8; 32],
    signature: &[u8],
) -> Result<ContractAnswer, ChainError> {
    let mut data = IS_VALID_SIGNATURE.to_vec();
    data.extend(hash);
    data.extend(word(64));
    append_bytes(&mut data, signature);
    Ok(match chain.call(Some(address), data).await? {
        CallResult::Returned(bytes) if bytes.is_empty() => ContractAnswer::NoContract,
        CallResult::Returned(bytes) if accepts(&bytes) => ContractAnswer::Accepted,
        CallResult::Returned(_) | CallResult::Reverted(_) => ContractAnswer::Refused,
    })
}

/// Runs the validator of [ERC-6492](https://eips.ethereum.org/EIPS/eip-6492), which deploys the contract first if it is not deployed.
/// `wrapped` is the signature without its suffix: factory, call data of the deployment, and signature.
///
/// # Errors
/// When the chain gave no usable response.
pub(crate) async fn validate_erc6492(
    chain: &dyn ContractCalls,
    address: Address,
    hash: [u8; 32],
    wrapped: &[u8],
) -> Result<ContractAnswer, ChainError> {
    let mut data = validator_code();
    data.extend([0; 12]);
    data.extend(address.as_bytes());
    data.extend(hash);
    data.extend(word(96));
    append_bytes(&mut data, wrapped);
    Ok(match chain.call(None, data).await? {
        CallResult::Returned(bytes) if bytes == [1] => ContractAnswer::Accepted,
        CallResult::Returned(_) | CallResult::Reverted(_) => ContractAnswer::Refused,
    })
}

/// Whether a contract returned the selector as `bytes4`, which the ABI pads with zeros.
fn accepts(returned: &[u8]) -> bool {
    returned
        .first_chunk::<32>()
        .is_some_and(|word| word[..4] == IS_VALID_SIGNATURE && word[4..] == [0; 28])
}

/// A number as a word of the ABI.
fn word(number: usize) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&(number as u64).to_be_bytes());
    word
}

/// Appends bytes as the ABI has them: their number, and zeros up to a whole word.
fn append_bytes(data: &mut Vec<u8>, bytes: &[u8]) {
    data.extend(word(bytes.len()));
    data.extend(bytes);
    data.resize(data.len() + bytes.len().next_multiple_of(32) - bytes.len(), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffix_is_the_one_of_the_erc() {
        assert_eq!(hex::encode(ERC6492_SUFFIX), "6492".repeat(16));
        assert_eq!(without_erc6492_suffix(&[1, 2]), None);
        let signature = [&[7][..], &ERC6492_SUFFIX].concat();
        assert_eq!(without_erc6492_suffix(&signature), Some(&[7][..]));
    }

    #[test]
    fn validator_fits_into_the_code_of_a_new_contract_with_the_longest_signature() {
        // EIP-3860: at most 49,152 bytes.
        let code = validator_code().len();
        assert!(
            code > 100 && code + 4 * 32 + crate::MAX_SIGNATURE_BYTES <= 49_152,
            "{code}"
        );
    }

    #[test]
    fn only_the_padded_selector_accepts() {
        let mut word = [0; 32];
        word[..4].copy_from_slice(&IS_VALID_SIGNATURE);
        assert!(accepts(&word));
        assert!(!accepts(&IS_VALID_SIGNATURE));
        assert!(!accepts(&[0xff; 32]));
        word[31] = 1;
        assert!(!accepts(&word));
    }

    #[test]
    fn bytes_are_padded_to_whole_words() {
        for (length, padded) in [(0, 32), (1, 64), (32, 64), (65, 128)] {
            let mut data = Vec::new();
            append_bytes(&mut data, &vec![9; length]);
            assert_eq!(data.len(), padded);
        }
    }
}
