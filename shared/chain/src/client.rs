//! [`Chains`] and [`ChainClient`]. Interface only at this commit: each request returns [`ChainError::Unavailable`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrakis_domain::{Address, U256};
use serde::Serialize;

use crate::{
    BlockRef, CallResult, ChainError, ChainId, ChainsConfig, FailureKind, Token, TokenMetadata, TransferBatch, TransferFilter,
};

/// The clients of all configured chains.
#[derive(Debug, Clone, Default)]
pub struct Chains(BTreeMap<u64, Arc<ChainClient>>);

impl Chains {
    /// Makes the clients. Sends nothing: endpoints are verified when they are first used.
    #[must_use]
    pub fn new(config: &ChainsConfig) -> Self {
        let client = |id| (id, Arc::new(ChainClient { chain: ChainId(id) }));
        Self(config.chains.iter().map(|chain| client(chain.chain_id)).collect())
    }

    /// The client of a chain; `None` when the chain is not configured.
    #[must_use]
    pub fn get(&self, chain_id: u64) -> Option<&Arc<ChainClient>> {
        self.0.get(&chain_id)
    }

    /// All clients, in the order of chain ids.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ChainClient>> {
        self.0.values()
    }
}

/// Health of one endpoint, for health pages and metrics.
#[derive(Debug, Clone, Serialize)]
pub struct EndpointHealth {
    /// Host, with a number where several endpoints share it.
    pub endpoint: String,
    /// State.
    pub state: EndpointState,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// Kind of the last failure.
    pub last_failure: Option<FailureKind>,
    /// Description of the last failure.
    pub last_error: Option<String>,
    /// Latest block that the endpoint reported.
    pub head: Option<u64>,
    /// Duration of the last successful request.
    pub latency: Option<Duration>,
    /// Blocks of the next request for logs.
    pub log_range: u64,
}

/// Whether an endpoint is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    /// Not used so far.
    Untried,
    /// The last request succeeded, or too few have failed for a pause.
    Ready,
    /// Paused after failures.
    CoolingDown,
}

/// One chain, read by way of several endpoints. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ChainClient {
    chain: ChainId,
}

impl ChainClient {
    fn unavailable<T>(&self, method: &'static str) -> Result<T, ChainError> {
        let failures = Vec::new();
        Err(ChainError::Unavailable { chain: self.chain, method, failures })
    }

    /// The chain.
    #[must_use]
    pub fn chain_id(&self) -> ChainId {
        self.chain
    }

    /// The finalised block: never lower than one returned before.
    ///
    /// # Errors
    /// No endpoint gave a usable response.
    pub async fn finalized(&self) -> Result<BlockRef, ChainError> {
        self.unavailable("eth_getBlockByNumber")
    }

    /// The block with this number; `None` when the chain is not that long.
    ///
    /// # Errors
    /// No endpoint gave a usable response.
    pub async fn block(&self, _number: u64) -> Result<Option<BlockRef>, ChainError> {
        self.unavailable("eth_getBlockByNumber")
    }

    /// Calls a contract without a transaction, at this block or at the latest one. Without `to`, `data` is run as the code of a
    /// contract's creation, and its result is returned.
    ///
    /// # Errors
    /// No endpoint gave a usable response. A revert is a result, not an error.
    pub async fn call(&self, _to: Option<Address>, _data: Vec<u8>, _at: Option<u64>) -> Result<CallResult, ChainError> {
        self.unavailable("eth_call")
    }

    /// The code of an address at the latest block; empty where there is none.
    ///
    /// # Errors
    /// No endpoint gave a usable response.
    pub async fn code(&self, _address: Address) -> Result<Vec<u8>, ChainError> {
        self.unavailable("eth_getCode")
    }

    /// Health of the endpoints, in the order of preference.
    #[must_use]
    pub fn endpoints(&self) -> Vec<EndpointHealth> {
        Vec::new()
    }

    /// Transfers of one contract in the blocks `from` to `to`, both included.
    #[must_use]
    pub fn transfers(&self, _filter: TransferFilter, _from: u64, _to: u64) -> TransferReader {
        TransferReader { client: self.clone() }
    }

    /// Balances of several holders, in their order.
    ///
    /// # Errors
    /// No endpoint gave a usable response, or the contract does not behave as its standard requires.
    pub async fn balances(&self, _token: &Token, _holders: &[Address], _at: Option<u64>) -> Result<Vec<U256>, ChainError> {
        self.unavailable("eth_call")
    }

    /// Balance of one holder at the latest block.
    ///
    /// # Errors
    /// As [`ChainClient::balances`].
    pub async fn get_balance(&self, _token: &Token, _holder: Address) -> Result<U256, ChainError> {
        self.unavailable("eth_call")
    }

    /// Whether a holder has at least this balance at the latest block.
    ///
    /// # Errors
    /// As [`ChainClient::balances`].
    pub async fn has_balance(&self, token: &Token, holder: Address, least: U256) -> Result<bool, ChainError> {
        Ok(self.get_balance(token, holder).await? >= least)
    }

    /// Whether a holder owns one of these ids at the latest block. Without ids: one of the token's ids, or any where it has none.
    ///
    /// # Errors
    /// As [`ChainClient::balances`].
    pub async fn owns_nft(&self, _token: &Token, _holder: Address, _ids: &[U256]) -> Result<bool, ChainError> {
        self.unavailable("eth_call")
    }

    /// Name, symbol and decimals of a contract.
    ///
    /// # Errors
    /// No endpoint gave a usable response, or the address has no code.
    pub async fn metadata(&self, _contract: Address) -> Result<TokenMetadata, ChainError> {
        self.unavailable("eth_call")
    }
}

/// Reads transfers in batches.
#[derive(Debug)]
pub struct TransferReader {
    client: ChainClient,
}

impl TransferReader {
    /// The next batch; `None` when the range is read completely.
    ///
    /// # Errors
    /// No endpoint gave a usable response, or refuses a single block. The reader continues at the same block when called again.
    pub async fn next(&mut self) -> Result<Option<TransferBatch>, ChainError> {
        self.client.unavailable("eth_getLogs")
    }
}
