//! Errors: no endpoint gave a usable response, or the contract is not what the token profile states.

use std::fmt;

use arrakis_domain::Address;
use serde::Serialize;

use crate::types::ChainId;

/// Why a request to a chain has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No endpoint gave a usable response. A later attempt may succeed.
    #[error(
        "chain {chain}: no endpoint gave a usable response to {method}: {}",
        Listed(failures)
    )]
    Unavailable {
        /// Chain.
        chain: ChainId,
        /// JSON-RPC method.
        method: &'static str,
        /// The last failure of each endpoint.
        failures: Vec<EndpointFailure>,
    },
    /// Every endpoint refuses the logs of a single block.
    #[error(
        "chain {chain}: the logs of block {block} are refused although the range is one block: {}",
        Listed(failures)
    )]
    BlockRefused {
        /// Chain.
        chain: ChainId,
        /// The block.
        block: u64,
        /// The last failure of each endpoint.
        failures: Vec<EndpointFailure>,
    },
    /// The contract does not behave as its standard requires, or the token lacks what the request needs. A later attempt fails too.
    #[error("contract {contract}: {reason}")]
    Contract {
        /// Contract.
        contract: Address,
        /// What is wrong.
        reason: String,
    },
}

impl ChainError {
    /// Whether a later attempt may succeed: the endpoints failed, not the contract.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::BlockRefused { .. })
    }
}

/// Failure of one endpoint. Contains no part of the endpoint's URL except its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointFailure {
    /// Host of the endpoint, with a number where several endpoints share it.
    pub endpoint: String,
    /// Kind of the failure.
    pub kind: FailureKind,
    /// Description, at most 200 characters.
    pub detail: String,
}

impl fmt::Display for EndpointFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.endpoint, self.detail)
    }
}

/// Kind of an endpoint's failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// No complete JSON-RPC response: connection, time limit, HTTP error, malformed body.
    Transport,
    /// The response took longer than the time limit.
    TimedOut,
    /// The response was larger than the limit.
    TooLarge,
    /// Rate limit (HTTP 429 or a JSON-RPC error of this meaning).
    RateLimited,
    /// The endpoint refuses the API key (HTTP 401, 403 or a JSON-RPC error of this meaning).
    Unauthorized,
    /// The endpoint serves another chain.
    WrongChain,
    /// The endpoint's head is behind a block that was already read.
    Lagging,
    /// JSON-RPC error.
    Rejected,
    /// The response contradicts the request or another response of the same endpoint.
    Inconsistent,
    /// A log is not in the form of the token standard. The endpoint is wrong, or the contract.
    Malformed,
    /// The endpoint is not used at present, because of earlier failures.
    Paused,
}

/// Failures in one line.
struct Listed<'a>(&'a [EndpointFailure]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no endpoint is configured");
        }
        for (index, failure) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            failure.fmt(f)?;
        }
        Ok(())
    }
}
