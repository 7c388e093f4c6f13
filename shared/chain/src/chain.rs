//! [`Chain`]: the endpoints of one chain, its blocks, and its finalised block.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alloy::primitives::{B256, U64};
use arrakis_config::ChainEndpoints;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use tokio::time::Instant;
use url::Url;

use crate::config::ChainSettings;
use crate::error::{ChainError, FailureKind};
use crate::rpc::{Attempts, Endpoint, Failure};
use crate::types::{BlockRef, ChainId, EndpointBlock};

const GET_BLOCK: &str = "eth_getBlockByNumber";

/// State of one chain, shared by clones of its client.
#[derive(Debug)]
pub(crate) struct Chain {
    /// EIP-155 chain id.
    pub(crate) id: ChainId,
    /// Endpoints in the order of preference.
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    /// Limits of the chain's clients.
    pub(crate) settings: ChainSettings,
    /// The highest finalised block that was returned.
    finalized: Mutex<Option<BlockRef>>,
    /// Whether an endpoint supported the tag `finalized`.
    has_finalized_tag: AtomicBool,
    /// Whether Multicall3 has code, and when that was read.
    pub(crate) multicall: Mutex<Option<(bool, Instant)>>,
}

/// A block as endpoints return it. Other fields are ignored.
#[derive(Debug, Deserialize)]
struct WireBlock {
    number: U64,
    hash: B256,
    timestamp: U64,
}

impl Chain {
    /// The state of a chain whose endpoints were not used so far. Endpoints are labelled by host; a second endpoint of one host gets
    /// the label `host (2)`. A URL that does not parse is left out: `CHAIN_RPC_URLS` is checked when it is read.
    pub(crate) fn new(config: &ChainEndpoints, settings: ChainSettings) -> Self {
        let id = ChainId(config.chain_id);
        let urls: Vec<Url> = config
            .urls
            .iter()
            .filter_map(|url| Url::parse(url.expose()).ok())
            .collect();
        let hosts: Vec<String> = urls.iter().map(host).collect();
        let label = |index: usize, host: &String| {
            let same = hosts.iter().take(index).filter(|other| *other == host).count();
            if same == 0 {
                host.clone()
            } else {
                format!("{host} ({})", same + 1)
            }
        };
        let labels: Vec<String> = hosts
            .iter()
            .enumerate()
            .map(|(index, host)| label(index, host))
            .collect();
        let endpoint = |(index, (url, label))| Arc::new(Endpoint::new(index, label, id, url, settings));
        Self {
            id,
            endpoints: urls.into_iter().zip(labels).enumerate().map(endpoint).collect(),
            settings,
            finalized: Mutex::new(None),
            has_finalized_tag: AtomicBool::new(false),
            multicall: Mutex::new(None),
        }
    }

    /// Attempts of one request at the endpoints of this chain, none of which begins after `patience`.
    pub(crate) fn attempts(&self, patience: Duration) -> Attempts<'_> {
        Attempts::new(&self.endpoints, patience)
    }

    /// The finalised block, from the first endpoint that has one and is not behind a finalised block that was returned before.
    ///
    /// # Errors
    /// [`ChainError::Unavailable`] when no endpoint gives one within [`ChainSettings::call_patience`].
    pub(crate) async fn finalized(&self) -> Result<BlockRef, ChainError> {
        let mut attempts = self.attempts(self.settings.call_patience);
        while let Some(endpoint) = attempts.next().await {
            match self.finalized_at(&endpoint).await {
                Ok(block) => return Ok(block),
                Err(failure) => attempts.failed(&endpoint, &failure),
            }
        }
        Err(attempts.unavailable(self.id, GET_BLOCK))
    }

    /// The finalised block of one endpoint.
    ///
    /// # Errors
    /// The endpoint does not have the block that it names, or is behind a finalised block that was returned before.
    pub(crate) async fn finalized_at(&self, endpoint: &Endpoint) -> Result<BlockRef, Failure> {
        let block = match self.tagged_finalized(endpoint).await? {
            Some(block) => block,
            None => self.assumed_finalized(endpoint).await?,
        };
        endpoint.saw_head(endpoint.last_head().unwrap_or(0).max(block.number));
        let mut highest = self.finalized.lock();
        match *highest {
            Some(highest) if block.number < highest.number => {
                let detail = format!(
                    "the finalised block is {}, behind block {}, which was final before",
                    block.number, highest.number
                );
                Err(Failure::lagging(detail))
            }
            _ => {
                *highest = Some(block);
                Ok(block)
            }
        }
    }

    /// The block with the tag `finalized`; `None` where neither this endpoint nor another one supported the tag so far. An endpoint
    /// that refuses the tag on a chain that has it would otherwise return a block that is not final.
    async fn tagged_finalized(&self, endpoint: &Endpoint) -> Result<Option<BlockRef>, Failure> {
        let has_tag = self.has_finalized_tag.load(Ordering::Relaxed);
        let block: Option<WireBlock> = match endpoint
            .request(GET_BLOCK, &json!(["finalized", false]), self.settings.call_timeout)
            .await
        {
            Ok(block) => block,
            Err(failure) if failure.kind == FailureKind::Rejected && !has_tag => None,
            Err(failure) => return Err(failure),
        };
        let Some(block) = block else {
            return if has_tag {
                Err(Failure::lagging("the endpoint has no finalised block"))
            } else {
                Ok(None)
            };
        };
        let block = block_ref(&block)?;
        // An endpoint that reports a wrong head does not have the block.
        match self.block_at(endpoint, block.number).await? {
            Some(same) if same.hash == block.hash => {}
            Some(_) => {
                return Err(Failure::inconsistent(format!(
                    "two hashes of the finalised block {}",
                    block.number
                )));
            }
            None => {
                return Err(Failure::inconsistent(format!(
                    "the endpoint does not have its finalised block {}",
                    block.number
                )));
            }
        }
        self.has_finalized_tag.store(true, Ordering::Relaxed);
        Ok(Some(block))
    }

    /// The block in the configured depth below the latest one.
    async fn assumed_finalized(&self, endpoint: &Endpoint) -> Result<BlockRef, Failure> {
        let head = self.read_head(endpoint).await?;
        let number = head.saturating_sub(self.settings.finalized_depth);
        let block = self.block_at(endpoint, number).await?;
        block.ok_or_else(|| {
            Failure::inconsistent(format!(
                "the latest block is {head}, and the endpoint does not have block {number}"
            ))
        })
    }

    /// The latest block's number.
    async fn read_head(&self, endpoint: &Endpoint) -> Result<u64, Failure> {
        let head: U64 = endpoint
            .request("eth_blockNumber", &[(); 0], self.settings.call_timeout)
            .await?;
        let head = head.to::<u64>();
        endpoint.saw_head(head);
        Ok(head)
    }

    /// The block with this number; `None` when the endpoint does not have it.
    pub(crate) async fn block_at(&self, endpoint: &Endpoint, number: u64) -> Result<Option<BlockRef>, Failure> {
        let parameters = json!([format!("0x{number:x}"), false]);
        let block: Option<WireBlock> = endpoint
            .request(GET_BLOCK, &parameters, self.settings.call_timeout)
            .await?;
        let Some(block) = block else {
            return Ok(None);
        };
        let block = block_ref(&block)?;
        if block.number != number {
            return Err(Failure::inconsistent(format!(
                "the endpoint returned block {} instead of block {number}",
                block.number
            )));
        }
        Ok(Some(block))
    }

    /// The block with this number; `None` when no endpoint that responds has it.
    pub(crate) async fn block(&self, number: u64) -> Result<Option<BlockRef>, ChainError> {
        let mut attempts = self.attempts(self.settings.call_patience);
        let mut is_absent = false;
        while let Some(endpoint) = attempts.next().await {
            match self.block_at(&endpoint, number).await {
                Ok(Some(block)) => return Ok(Some(block)),
                Ok(None) if self.has_seen(number) => {
                    let failure = Failure::lagging(format!("the endpoint does not have block {number}"));
                    attempts.failed(&endpoint, &failure);
                }
                // The others may have it: this one may be lagging.
                Ok(None) => is_absent = true,
                Err(failure) => attempts.failed(&endpoint, &failure),
            }
            if is_absent && attempts.is_first_round_over() {
                break;
            }
        }
        if is_absent {
            Ok(None)
        } else {
            Err(attempts.unavailable(self.id, GET_BLOCK))
        }
    }

    /// The block with this number as each endpoint reports it, in the order of preference. A paused endpoint is not requested.
    pub(crate) async fn block_by_endpoint(&self, number: u64) -> Vec<EndpointBlock> {
        let reports = self.endpoints.iter().map(|endpoint| async move {
            let block = match endpoint.pause_end() {
                Some(end) if end > Instant::now() => Err(endpoint.paused()),
                _ => self.block_at(endpoint, number).await.map_err(|failure| {
                    endpoint.record(&failure);
                    endpoint.failure(&failure)
                }),
            };
            EndpointBlock {
                endpoint: endpoint.label().to_owned(),
                block,
            }
        });
        futures_util::future::join_all(reports).await
    }

    /// Counts this block as final, as if it had been returned by [`Chain::finalized`]: an endpoint whose finalised block is before it
    /// is lagging. A block before the present one changes nothing.
    pub(crate) fn set_finalized(&self, block: BlockRef) {
        let mut highest = self.finalized.lock();
        if highest.is_none_or(|highest| highest.number < block.number) {
            *highest = Some(block);
        }
    }

    /// Fails when the endpoint is behind the block that is to be read, or, without one, behind the finalised block.
    pub(crate) async fn check_head(&self, endpoint: &Endpoint, at: Option<u64>) -> Result<(), Failure> {
        let finalized = self.finalized.lock().map_or(0, |block| block.number);
        let least = at.unwrap_or(finalized);
        let seen = match at {
            Some(_) => endpoint.last_head(),
            None => endpoint.recent_head(self.settings.head_age),
        };
        if seen.is_some_and(|head| head >= least) {
            return Ok(());
        }
        let head = self.read_head(endpoint).await?;
        if head < least {
            return Err(Failure::lagging(format!(
                "the latest block is {head}, and block {least} is needed"
            )));
        }
        Ok(())
    }

    fn has_seen(&self, number: u64) -> bool {
        let finalized = self.finalized.lock().is_some_and(|block| number <= block.number);
        finalized
            || self
                .endpoints
                .iter()
                .any(|endpoint| endpoint.last_head().is_some_and(|head| number <= head))
    }
}

fn block_ref(block: &WireBlock) -> Result<BlockRef, Failure> {
    let seconds: i64 = block.timestamp.try_into().unwrap_or(i64::MAX);
    let timestamp = OffsetDateTime::from_unix_timestamp(seconds)
        .map_err(|_| Failure::inconsistent(format!("the time of block {} is out of range", block.number)))?;
    Ok(BlockRef {
        number: block.number.to(),
        hash: block.hash.0,
        timestamp,
    })
}

/// Host, with the port where the URL names one.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
