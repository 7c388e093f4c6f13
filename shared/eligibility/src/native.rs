//! Tier 1: balances and owners of tokens, read from the chain within a time limit.

use std::time::Duration;

use arrakis_chain::{ChainError, Chains, Token};
use arrakis_domain::{Address, U256};
use tokio::time::timeout;

/// Why the chain gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NativeError {
    /// No RPC endpoint of this chain is configured.
    #[error("CHAIN_RPC_URLS has no endpoint of chain {0}")]
    NotConfigured(u64),
    /// No response within the time limit.
    #[error("chain {chain_id}: no response within {} ms", limit.as_millis())]
    TimedOut {
        /// The chain.
        chain_id: u64,
        /// The time limit.
        limit: Duration,
    },
    /// No endpoint gave a usable response, or the contract does not behave as its standard requires.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// Reads tokens from the configured chains. Cheap to clone.
#[derive(Debug, Clone)]
pub struct NativeReader {
    chains: Chains,
    limit: Duration,
}

impl NativeReader {
    /// A reader in which each call ends after `limit`.
    #[must_use]
    pub const fn new(chains: Chains, limit: Duration) -> Self {
        Self { chains, limit }
    }

    /// Whether an RPC endpoint of the chain with this EIP-155 id is configured.
    #[must_use]
    pub fn has_chain(&self, chain_id: u64) -> bool {
        self.chains.get(chain_id).is_some()
    }

    /// Balance of a holder at the latest block, in the token's smallest unit.
    ///
    /// # Errors
    /// [`NativeError`]: the chain is not configured, or its endpoints gave no usable response in time.
    pub async fn get_balance(&self, chain_id: u64, token: &Token, holder: Address) -> Result<U256, NativeError> {
        let client = self.client(chain_id)?;
        self.limited(chain_id, client.get_balance(token, holder)).await
    }

    /// Whether a holder has at least this balance at the latest block.
    ///
    /// # Errors
    /// [`NativeError`]: the chain is not configured, or its endpoints gave no usable response in time.
    pub async fn has_balance(
        &self,
        chain_id: u64,
        token: &Token,
        holder: Address,
        least: U256,
    ) -> Result<bool, NativeError> {
        let client = self.client(chain_id)?;
        self.limited(chain_id, client.has_balance(token, holder, least)).await
    }

    /// Whether a holder owns one of these ids at the latest block. Without ids: one of the token's ids, or any where it has none.
    ///
    /// # Errors
    /// [`NativeError`]: the chain is not configured, its endpoints gave no usable response in time, or the token has no ids (ERC-20).
    pub async fn owns_nft(
        &self,
        chain_id: u64,
        token: &Token,
        holder: Address,
        ids: &[U256],
    ) -> Result<bool, NativeError> {
        let client = self.client(chain_id)?;
        self.limited(chain_id, client.owns_nft(token, holder, ids)).await
    }

    fn client(&self, chain_id: u64) -> Result<&arrakis_chain::ChainClient, NativeError> {
        let client = self.chains.get(chain_id);
        client.map(AsRef::as_ref).ok_or(NativeError::NotConfigured(chain_id))
    }

    async fn limited<T>(
        &self,
        chain_id: u64,
        reading: impl Future<Output = Result<T, ChainError>>,
    ) -> Result<T, NativeError> {
        let limit = self.limit;
        match timeout(limit, reading).await {
            Ok(read) => Ok(read?),
            Err(_) => Err(NativeError::TimedOut { chain_id, limit }),
        }
    }
}
