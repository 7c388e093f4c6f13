//! [`Chains`] and [`ChainClient`]: the interface of this crate.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy::primitives::{Bytes, U64};
use arrakis_domain::Address;
use serde_json::{Value, json};

use crate::chain::Chain;
use crate::config::ChainsConfig;
use crate::error::{ChainError, FailureKind};
use crate::logs::TransferReader;
use crate::rpc::{Endpoint, EndpointHealth, Failure};
use crate::types::{BlockRef, CallResult, ChainId, EndpointBlock, TransferFilter};

/// Gas of a call: below the limit of a transaction ([EIP-7825](https://eips.ethereum.org/EIPS/eip-7825)), and few enough that a contract
/// which never ends costs a node some 100 ms. Without it, nodes grant up to a whole block's gas or more.
const CALL_GAS: u64 = 16_000_000;

/// The clients of all configured chains.
#[derive(Debug, Clone, Default)]
pub struct Chains(BTreeMap<u64, Arc<ChainClient>>);

impl Chains {
    /// Makes the clients. Sends nothing: endpoints are verified when they are first used.
    #[must_use]
    pub fn new(config: &ChainsConfig) -> Self {
        let client = |chain| {
            Arc::new(ChainClient {
                chain: Arc::new(Chain::new(chain, config.settings)),
            })
        };
        Self(
            config
                .chains
                .iter()
                .map(|chain| (chain.chain_id, client(chain)))
                .collect(),
        )
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

/// One chain, read by way of several endpoints. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ChainClient {
    /// State of the chain, which clones of this client share.
    pub(crate) chain: Arc<Chain>,
}

impl ChainClient {
    /// EIP-155 id of the chain.
    #[must_use]
    pub fn chain_id(&self) -> ChainId {
        self.chain.id
    }

    /// The finalised block: never lower than one that this client returned before, or that [`ChainClient::set_finalized`] named. An
    /// endpoint that is behind is skipped.
    ///
    /// # Errors
    /// No endpoint gave a usable response.
    pub async fn finalized(&self) -> Result<BlockRef, ChainError> {
        self.chain.finalized().await
    }

    /// Names a block that was final earlier, before this process started. An endpoint that is behind it counts as lagging from then on.
    pub fn set_finalized(&self, block: BlockRef) {
        self.chain.set_finalized(block);
    }

    /// The block with this number; `None` when no endpoint that responds has it, which is no sign of a reorganisation: the endpoints
    /// may be lagging.
    ///
    /// # Errors
    /// No endpoint gave a usable response.
    pub async fn block(&self, number: u64) -> Result<Option<BlockRef>, ChainError> {
        self.chain.block(number).await
    }

    /// The block with this number as each endpoint reports it, in the order of preference: for what one endpoint must not decide
    /// alone.
    pub async fn block_by_endpoint(&self, number: u64) -> Vec<EndpointBlock> {
        self.chain.block_by_endpoint(number).await
    }

    /// Calls a contract without a transaction, at this block or at the latest one. Without `to`, `data` is run as the code that creates a
    /// contract, and its result is returned.
    ///
    /// # Errors
    /// No endpoint gave a usable response. A revert or an exception of the EVM is a result, not an error.
    pub async fn call(&self, to: Option<Address>, data: Vec<u8>, at: Option<u64>) -> Result<CallResult, ChainError> {
        let mut call = serde_json::Map::new();
        if let Some(to) = to {
            call.insert("to".to_owned(), json!(to));
        }
        call.insert("data".to_owned(), json!(Bytes::from(data)));
        call.insert("gas".to_owned(), json!(U64::from(CALL_GAS)));
        let parameters = json!([Value::Object(call), block_tag(at)]);
        let mut attempts = self.chain.attempts(self.chain.settings.call_patience);
        while let Some(endpoint) = attempts.next().await {
            match self.call_at(&endpoint, &parameters, at).await {
                Ok(result) => return Ok(result),
                Err(failure) => attempts.failed(&endpoint, &failure),
            }
        }
        Err(attempts.unavailable(self.chain.id, "eth_call"))
    }

    async fn call_at(&self, endpoint: &Endpoint, parameters: &Value, at: Option<u64>) -> Result<CallResult, Failure> {
        self.chain.check_head(endpoint, at).await?;
        let result: Result<Bytes, Failure> = endpoint
            .request("eth_call", parameters, self.chain.settings.call_timeout)
            .await;
        match result {
            Ok(bytes) => Ok(CallResult::Returned(bytes.into())),
            Err(failure) => match &failure.rpc {
                Some(error) if failure.kind == FailureKind::Rejected && error.is_evm_failure() => {
                    Ok(CallResult::Reverted(error.revert_data()))
                }
                _ => Err(failure),
            },
        }
    }

    /// The code of an address at the latest block; empty where there is none.
    ///
    /// # Errors
    /// No endpoint gave a usable response.
    pub async fn code(&self, address: Address) -> Result<Vec<u8>, ChainError> {
        let parameters = json!([address, "latest"]);
        let mut attempts = self.chain.attempts(self.chain.settings.call_patience);
        while let Some(endpoint) = attempts.next().await {
            match self.code_at(&endpoint, &parameters).await {
                Ok(code) => return Ok(code),
                Err(failure) => attempts.failed(&endpoint, &failure),
            }
        }
        Err(attempts.unavailable(self.chain.id, "eth_getCode"))
    }

    async fn code_at(&self, endpoint: &Endpoint, parameters: &Value) -> Result<Vec<u8>, Failure> {
        self.chain.check_head(endpoint, None).await?;
        let code: Bytes = endpoint
            .request("eth_getCode", parameters, self.chain.settings.call_timeout)
            .await?;
        Ok(code.into())
    }

    /// Health of the endpoints, in the order of preference.
    #[must_use]
    pub fn endpoints(&self) -> Vec<EndpointHealth> {
        self.chain.endpoints.iter().map(|endpoint| endpoint.health()).collect()
    }

    /// Transfers of one contract in the blocks `from` to `to`, both included, in batches.
    #[must_use]
    pub fn transfers(&self, filter: TransferFilter, from: u64, to: u64) -> TransferReader {
        TransferReader::new(Arc::clone(&self.chain), filter, from, to)
    }
}

/// The block of a call.
fn block_tag(at: Option<u64>) -> Value {
    at.map_or_else(|| json!("latest"), |number| json!(U64::from(number)))
}
