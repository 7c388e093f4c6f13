//! Several calls at one block: by way of Multicall3, or one by one.

use std::time::Duration;

use alloy::primitives::Address as WireAddress;
use alloy::sol_types::SolCall as _;
use arrakis_domain::Address;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;

use crate::client::ChainClient;
use crate::error::ChainError;
use crate::types::CallResult;

/// The address of Multicall3 on every chain that has it (<https://www.multicall3.com>).
const MULTICALL3: Address = Address::from_bytes([
    0xca, 0x11, 0xbd, 0xe0, 0x59, 0x77, 0xb3, 0x63, 0x11, 0x67, 0x02, 0x88, 0x62, 0xbe, 0x2a, 0x17, 0x39, 0x76, 0xca,
    0x11,
]);
/// Age from which the absence of Multicall3 is read again.
const ABSENCE_AGE: Duration = Duration::from_secs(600);
/// Concurrent requests of one batch.
const CONCURRENT: usize = 8;

mod multicall {
    alloy::sol! {
        struct Call3 { address target; bool allowFailure; bytes callData; }
        struct Result3 { bool success; bytes returnData; }
        function aggregate3(Call3[] calldata calls) external payable returns (Result3[] memory returnData);
    }
}

/// One `eth_call` of a batch.
#[derive(Debug, Clone)]
pub(crate) struct ContractCall {
    /// The contract that is called.
    pub(crate) to: Address,
    /// ABI-encoded call data: the function's selector and its arguments.
    pub(crate) data: Vec<u8>,
}

impl ChainClient {
    /// The results of several calls, in their order: `None` where a call fails, also when it is repeated alone. `at` is the block, `None`
    /// the latest one. A Multicall3 request has [`crate::ChainSettings::multicall_size`] calls divided by `weight`: the number of
    /// balances that one of these calls reads.
    ///
    /// # Errors
    /// When no endpoint gave a usable response.
    pub(super) async fn batch(
        &self,
        calls: Vec<ContractCall>,
        weight: usize,
        at: Option<u64>,
    ) -> Result<Vec<Option<Vec<u8>>>, ChainError> {
        if calls.len() < 2 || !self.has_multicall().await? {
            return self.one_by_one(calls, at).await;
        }
        let size = (self.chain.settings.multicall_size / weight.max(1)).max(1);
        let chunks: Vec<Vec<ContractCall>> = calls.chunks(size).map(<[_]>::to_vec).collect();
        let results = stream::iter(chunks)
            .map(|chunk| self.aggregate(chunk, at))
            .buffered(CONCURRENT);
        let results: Vec<Vec<Option<Vec<u8>>>> = results.try_collect().await?;
        Ok(results.into_iter().flatten().collect())
    }

    async fn aggregate(&self, calls: Vec<ContractCall>, at: Option<u64>) -> Result<Vec<Option<Vec<u8>>>, ChainError> {
        let call3 = |call: &ContractCall| multicall::Call3 {
            target: WireAddress::from(*call.to.as_bytes()),
            allowFailure: true,
            callData: call.data.clone().into(),
        };
        let request = multicall::aggregate3Call {
            calls: calls.iter().map(call3).collect(),
        };
        let result = self.call(Some(MULTICALL3), request.abi_encode(), at).await?;
        let decoded = result
            .returned()
            .and_then(|bytes| multicall::aggregate3Call::abi_decode_returns(&bytes).ok());
        match decoded {
            Some(results) if results.len() == calls.len() => {
                let results = results.into_iter();
                let results = results.map(|result| result.success.then(|| result.returnData.into()));
                self.repeat_failed(calls, results.collect(), at).await
            }
            // The block is earlier than Multicall3, or all calls together need more gas than a node grants.
            _ => self.one_by_one(calls, at).await,
        }
    }

    /// Repeats each call that failed in a batch alone. The calls of a batch share its gas: a call that uses it up lets others fail that
    /// succeed on their own.
    async fn repeat_failed(
        &self,
        calls: Vec<ContractCall>,
        mut results: Vec<Option<Vec<u8>>>,
        at: Option<u64>,
    ) -> Result<Vec<Option<Vec<u8>>>, ChainError> {
        let failed = calls.into_iter().zip(&results).filter(|(_, result)| result.is_none());
        let again = self.one_by_one(failed.map(|(call, _)| call).collect(), at).await?;
        let slots = results.iter_mut().filter(|result| result.is_none());
        for (slot, result) in slots.zip(again) {
            *slot = result;
        }
        Ok(results)
    }

    async fn one_by_one(&self, calls: Vec<ContractCall>, at: Option<u64>) -> Result<Vec<Option<Vec<u8>>>, ChainError> {
        let results = stream::iter(calls)
            .map(|call| self.call(Some(call.to), call.data, at))
            .buffered(CONCURRENT);
        results.map_ok(CallResult::returned).try_collect().await
    }

    async fn has_multicall(&self) -> Result<bool, ChainError> {
        let read = *self.chain.multicall.lock();
        match read {
            Some((true, _)) => Ok(true),
            Some((false, at)) if at.elapsed() < ABSENCE_AGE => Ok(false),
            _ => {
                let present = !self.code(MULTICALL3).await?.is_empty();
                *self.chain.multicall.lock() = Some((present, Instant::now()));
                Ok(present)
            }
        }
    }
}
