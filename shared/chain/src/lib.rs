//! EVM chains, read only: JSON-RPC over several endpoints of a chain with failover, transfer logs of token contracts, balances and
//! owners of tokens.
//!
//! Owns the health of endpoints, retries, the ranges in which logs are requested, the finalised block, and the decoding of transfers
//! (ERC-20, ERC-721 with ERC-2309, ERC-1155). Refuses to combine responses of different endpoints in one batch of transfers, and to use
//! an endpoint whose chain id is wrong, whose head is behind a block that was already read, or whose responses contradict each
//! other. Detecting a reorganisation is the caller's task: it stores the hash of each batch's last block and compares it with
//! [`ChainClient::block`].
//!
//! URLs of endpoints may hold API keys: errors, logs and [`EndpointHealth`] contain their hosts only.
//!
//! To add a kind of event: a `sol!` declaration and a match arm in `logs/decode.rs`. To add a reading of a contract: a function in `native`.

mod chain;
mod client;
mod config;
mod error;
#[cfg(test)]
mod fuzz;
mod logs;
mod native;
mod rpc;
mod types;

pub use client::{ChainClient, Chains};
pub use config::{ChainSettings, ChainsConfig};
pub use error::{ChainError, EndpointFailure, FailureKind};
pub use logs::TransferReader;
pub use rpc::{EndpointHealth, EndpointState};
pub use types::{
    BlockRef, CallResult, ChainId, EndpointBlock, Token, TokenMetadata, TokenStandard, Transfer, TransferBatch,
    TransferFilter,
};
