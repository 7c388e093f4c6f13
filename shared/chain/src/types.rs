//! Blocks, tokens, transfers and the results of calls.

use std::fmt;

use arrakis_domain::{Address, U256};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::error::EndpointFailure;

/// Chain id of [EIP-155](https://eips.ethereum.org/EIPS/eip-155).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChainId(pub u64);

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A block of a chain. The hash detects a reorganisation: another hash at the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRef {
    /// Number of the block.
    pub number: u64,
    /// Hash of the block.
    pub hash: [u8; 32],
    /// Time at which the block was made, in whole seconds.
    pub timestamp: OffsetDateTime,
}

/// A block as one endpoint reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointBlock {
    /// Host of the endpoint, with a number where several endpoints share it.
    pub endpoint: String,
    /// The block; `None` when the endpoint does not have it.
    pub block: Result<Option<BlockRef>, EndpointFailure>,
}

/// Result of `eth_call`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallResult {
    /// The call succeeded. Empty where the address has no code: a caller checks the length.
    Returned(Vec<u8>),
    /// The call reverted or failed in the EVM, with its revert data where the endpoint returns them.
    Reverted(Vec<u8>),
}

impl CallResult {
    /// The returned bytes; `None` when the call reverted.
    #[must_use]
    pub fn returned(self) -> Option<Vec<u8>> {
        match self {
            Self::Returned(bytes) => Some(bytes),
            Self::Reverted(_) => None,
        }
    }
}

/// Standard of a token contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenStandard {
    /// Fungible, [ERC-20](https://eips.ethereum.org/EIPS/eip-20).
    Erc20,
    /// Non-fungible, [ERC-721](https://eips.ethereum.org/EIPS/eip-721).
    Erc721,
    /// Several kinds of tokens in one contract, [ERC-1155](https://eips.ethereum.org/EIPS/eip-1155).
    Erc1155,
}

/// A token whose balances are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Contract of the token.
    pub contract: Address,
    /// Standard that the contract follows.
    pub standard: TokenStandard,
    /// Ids that count. ERC-721: empty means all. ERC-1155: at least one is needed, because the standard has no balance over all
    /// ids. ERC-20 has no ids.
    pub ids: Vec<U256>,
}

/// Transfers of one contract that [`crate::ChainClient::transfers`] reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferFilter {
    /// Contract of the token.
    pub contract: Address,
    /// Its standard. A log of its events in the form of another standard is an error.
    pub standard: TokenStandard,
    /// Only transfers from this address.
    pub from: Option<Address>,
    /// Only transfers to this address.
    pub to: Option<Address>,
}

/// One transfer of one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Number of the block.
    pub block_number: u64,
    /// Hash of the block.
    pub block_hash: [u8; 32],
    /// Index of the log in the block. Several transfers of one log (ERC-1155 batch, ERC-2309) have the same index.
    pub log_index: u64,
    /// Hash of the transaction.
    pub transaction_hash: [u8; 32],
    /// Former holder; zero for a mint.
    pub from: Address,
    /// New holder; zero for a burn.
    pub to: Address,
    /// Token id; `None` for ERC-20.
    pub token_id: Option<U256>,
    /// Amount in the token's smallest unit; 1 for ERC-721.
    pub amount: U256,
}

/// Transfers of a range of blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferBatch {
    /// First block of the range.
    pub from_block: u64,
    /// Last block of the range. Its hash is from the endpoint that returned the transfers.
    pub to: BlockRef,
    /// Transfers in the order of blocks, logs, and entries of a log.
    pub transfers: Vec<Transfer>,
}

/// What a token contract states about itself. A missing or malformed answer is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenMetadata {
    /// Name, at most 64 characters without control characters.
    pub name: Option<String>,
    /// Symbol, at most 64 characters without control characters.
    pub symbol: Option<String>,
    /// Number of decimal places by which an amount in the smallest unit is displayed, such as 18.
    pub decimals: Option<u8>,
}
