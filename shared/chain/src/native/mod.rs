//! Balances, owners and metadata of tokens, read from their contracts by `eth_call`.
//!
//! Several calls go into one request by way of Multicall3 where the chain has it. A call to an address without code succeeds with empty
//! bytes, so the length of every result is checked.

mod batch;
mod metadata;
mod tokens;

pub(crate) use batch::ContractCall;
