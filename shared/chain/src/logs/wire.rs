//! Logs as endpoints return them.

use alloy::primitives::{Address, B256, Bytes, U64};
use serde::Deserialize;

/// A log in the response to `eth_getLogs` or `eth_getTransactionReceipt`, as the
/// [execution API](https://ethereum.github.io/execution-apis/) defines it. Block, transaction and index of a pending log are `null`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireLog {
    pub(super) address: Address,
    pub(super) topics: Vec<B256>,
    pub(super) data: Bytes,
    block_number: Option<U64>,
    block_hash: Option<B256>,
    transaction_hash: Option<B256>,
    log_index: Option<U64>,
    #[serde(default)]
    pub(super) removed: bool,
}

/// A log that is part of a block, with its position in the chain.
#[derive(Debug, Clone)]
pub(super) struct MinedLog {
    pub(super) block_number: u64,
    pub(super) block_hash: B256,
    pub(super) transaction_hash: B256,
    pub(super) log_index: u64,
    pub(super) topics: Vec<B256>,
    pub(super) data: Bytes,
}

impl WireLog {
    /// The log with its position; `None` when it has none.
    pub(super) fn mined(self) -> Option<MinedLog> {
        Some(MinedLog {
            block_number: self.block_number?.to(),
            block_hash: self.block_hash?,
            transaction_hash: self.transaction_hash?,
            log_index: self.log_index?.to(),
            topics: self.topics,
            data: self.data,
        })
    }
}

/// Receipt of a transaction: only its logs are read.
#[derive(Debug, Deserialize)]
pub(super) struct WireReceipt {
    pub(super) logs: Vec<WireLog>,
}
