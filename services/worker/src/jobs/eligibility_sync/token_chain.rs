//! What the sync needs of a chain. [`arrakis_chain::ChainClient`] provides it; tests of the sync's own rules use a chain in memory.

use arrakis_chain::{
    BlockRef, ChainClient, ChainError, EndpointBlock, Token, TransferBatch, TransferFilter, TransferReader,
};
use arrakis_domain::{Address, U256};
use async_trait::async_trait;

/// A chain with token contracts.
#[async_trait]
pub trait TokenChain: Send + Sync {
    /// Names a block that was final earlier: endpoints that are behind it are not used.
    fn set_finalized(&self, block: BlockRef);

    /// The finalised block.
    ///
    /// # Errors
    /// If no endpoint gave a usable response.
    async fn finalized(&self) -> Result<BlockRef, ChainError>;

    /// The block with this number; `None` if the chain is not that long.
    ///
    /// # Errors
    /// If no endpoint gave a usable response.
    async fn block(&self, number: u64) -> Result<Option<BlockRef>, ChainError>;

    /// The block with this number as each endpoint reports it.
    async fn block_by_endpoint(&self, number: u64) -> Vec<EndpointBlock>;

    /// Whether there is a contract at this address.
    ///
    /// # Errors
    /// If no endpoint gave a usable response.
    async fn has_contract(&self, address: Address) -> Result<bool, ChainError>;

    /// The balances of these holders at a block, in their order.
    ///
    /// # Errors
    /// If no endpoint gave a usable response, or the contract does not behave as its standard requires.
    async fn balances(&self, token: &Token, holders: &[Address], at: u64) -> Result<Vec<U256>, ChainError>;

    /// The transfers in the blocks `from` to `to`, both included.
    fn transfers(&self, filter: TransferFilter, from: u64, to: u64) -> Box<dyn TransferBatches>;
}

/// Batches of transfers, in the order of blocks, without a gap.
#[async_trait]
pub trait TransferBatches: Send {
    /// The next batch; `None` after the last one.
    ///
    /// # Errors
    /// If no endpoint gave a usable response.
    async fn next(&mut self) -> Result<Option<TransferBatch>, ChainError>;
}

#[async_trait]
impl TokenChain for ChainClient {
    fn set_finalized(&self, block: BlockRef) {
        Self::set_finalized(self, block);
    }

    async fn finalized(&self) -> Result<BlockRef, ChainError> {
        Self::finalized(self).await
    }

    async fn block(&self, number: u64) -> Result<Option<BlockRef>, ChainError> {
        Self::block(self, number).await
    }

    async fn block_by_endpoint(&self, number: u64) -> Vec<EndpointBlock> {
        Self::block_by_endpoint(self, number).await
    }

    async fn has_contract(&self, address: Address) -> Result<bool, ChainError> {
        Ok(!self.code(address).await?.is_empty())
    }

    async fn balances(&self, token: &Token, holders: &[Address], at: u64) -> Result<Vec<U256>, ChainError> {
        Self::balances(self, token, holders, Some(at)).await
    }

    fn transfers(&self, filter: TransferFilter, from: u64, to: u64) -> Box<dyn TransferBatches> {
        Box::new(Self::transfers(self, filter, from, to))
    }
}

#[async_trait]
impl TransferBatches for TransferReader {
    async fn next(&mut self) -> Result<Option<TransferBatch>, ChainError> {
        Self::next(self).await
    }
}
