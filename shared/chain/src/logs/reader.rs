//! [`TransferReader`]: batches of transfers up to the end of a range.

use std::sync::Arc;

use tokio::time::Instant;

use super::decode::{MAX_CONSECUTIVE, Unreadable, append_transfers};
use super::fetch::{Fetched, fetch};
use super::query::LogQuery;
use crate::chain::Chain;
use crate::config::ChainSettings;
use crate::error::{ChainError, FailureKind};
use crate::rpc::{Attempts, Endpoint, Failure};
use crate::types::{BlockRef, TokenStandard, Transfer, TransferBatch, TransferFilter};

/// Most transfers of one batch, after the expansion of logs that hold several.
const MAX_TRANSFERS: usize = 100_000;
/// Blocks before the end of the range in which a response without logs is compared with that of a second endpoint: a day, with a block
/// each 2 s. In all blocks, it would double the requests of a first sync.
const COMPARED_BLOCKS: u64 = 43_200;
/// Most requests for logs to the second endpoint for one comparison.
const MAX_COMPARISONS: u32 = 16;

/// Reads transfers in batches. Each batch is from one endpoint; the next one may be from another.
#[derive(Debug)]
pub struct TransferReader {
    chain: Arc<Chain>,
    filter: TransferFilter,
    query: LogQuery,
    /// First block that is not read; `None` when the range is read completely.
    cursor: Option<u64>,
    to: u64,
    /// The endpoint of the last batch and its finalised block.
    endpoint: Option<(usize, u64)>,
}

/// Why an endpoint gave no batch.
enum NoBatch {
    /// The endpoint failed.
    Failed(Failure),
    /// The endpoint refused the logs of this single block.
    BlockRefused(Failure),
    /// A log is not in the form of the token standard. Other endpoints show whether this one is wrong, or the contract.
    Malformed(MalformedLog),
    /// The contract's logs cannot be read from any endpoint.
    Contract(String),
}

/// A log that is not in the form of the token standard.
struct MalformedLog {
    /// Number of its block.
    block: u64,
    /// Names the log, its transaction and its block.
    detail: String,
}

/// Why logs were not decoded.
enum Undecoded {
    Malformed(MalformedLog),
    /// Too many transfers. Fewer blocks may have few enough.
    TooMany(String),
}

impl From<Failure> for NoBatch {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl TransferReader {
    /// Reads the transfers of the blocks `from` to `to`, both included. Sends nothing; no blocks when `from` is above `to`.
    pub(crate) fn new(chain: Arc<Chain>, filter: TransferFilter, from: u64, to: u64) -> Self {
        Self {
            chain,
            filter,
            query: LogQuery::new(&filter),
            cursor: (from <= to).then_some(from),
            to,
            endpoint: None,
        }
    }

    /// The next batch; `None` when the range is read completely. Batches follow each other without gaps.
    ///
    /// A batch without logs near the end of the range is compared with a second endpoint, if the chain has one that responds.
    ///
    /// The range of a batch ends at the finalised block of its endpoint at the latest. A range that ends behind the finalised block of
    /// every endpoint is read as far as possible; the next call waits for [`crate::ChainSettings::logs_patience`] at most.
    ///
    /// # Errors
    /// No endpoint gave a usable response, or every one refuses a single block, or the contract's events cannot be expanded or are not in
    /// the form of the standard. The reader continues at the same block when it is called again.
    pub async fn next(&mut self) -> Result<Option<TransferBatch>, ChainError> {
        let Some(cursor) = self.cursor else {
            return Ok(None);
        };
        let chain = Arc::clone(&self.chain);
        let preferred = self.endpoint.map(|(index, _)| index);
        let mut attempts = Attempts::new(&chain.endpoints, chain.settings.logs_patience).prefer(preferred);
        let (mut refused, mut failed) = (false, false);
        let mut malformed: Vec<(Arc<Endpoint>, MalformedLog)> = Vec::new();
        while let Some(endpoint) = attempts.next().await {
            match self.read(&endpoint, cursor).await {
                Ok(batch) => {
                    // The same blocks have only logs in the form of the standard, so the contract is not the cause.
                    for (endpoint, log) in malformed.iter().filter(|(_, log)| log.block <= batch.to.number) {
                        endpoint.record(&Failure::inconsistent(&*log.detail));
                    }
                    self.cursor = batch.to.number.checked_add(1).filter(|next| *next <= self.to);
                    return Ok(Some(batch));
                }
                Err(NoBatch::Contract(reason)) => {
                    let contract = self.filter.contract;
                    return Err(ChainError::Contract { contract, reason });
                }
                Err(NoBatch::Malformed(log)) => {
                    attempts.failed(&endpoint, &Failure::new(FailureKind::Malformed, &*log.detail));
                    malformed.push((endpoint, log));
                    if attempts.is_first_round_over() && !refused && !failed {
                        return Err(self.malformed(&malformed));
                    }
                }
                Err(NoBatch::BlockRefused(failure)) => {
                    refused = true;
                    attempts.failed(&endpoint, &failure);
                }
                Err(NoBatch::Failed(failure)) => {
                    failed = true;
                    attempts.failed(&endpoint, &failure);
                }
            }
            self.endpoint = None;
        }
        if refused && !failed && malformed.is_empty() {
            return Err(ChainError::BlockRefused {
                chain: chain.id,
                block: cursor,
                failures: attempts.into_failures(),
            });
        }
        Err(attempts.unavailable(chain.id, "eth_getLogs"))
    }

    /// The error when each endpoint returned a malformed log. It names the last one.
    fn malformed(&self, logs: &[(Arc<Endpoint>, MalformedLog)]) -> ChainError {
        let mut endpoints: Vec<&str> = logs.iter().map(|(endpoint, _)| endpoint.label()).collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        let detail = logs.last().map_or("", |(_, log)| &*log.detail);
        ChainError::Contract {
            contract: self.filter.contract,
            reason: format!(
                "{detail} (from {}): the contract does not follow the standard, or the endpoint returns malformed logs",
                endpoints.join(", ")
            ),
        }
    }

    /// Reads a batch from one endpoint. Halves the range until the endpoint accepts it.
    async fn read(&mut self, endpoint: &Endpoint, cursor: u64) -> Result<TransferBatch, NoBatch> {
        let before = endpoint.range.lock().clone();
        loop {
            let blocks = endpoint.range.lock().blocks();
            let wanted = self.to.min(cursor.saturating_add(blocks - 1));
            let end = self.finalized_end(endpoint, cursor, wanted).await?;
            match self.batch(endpoint, cursor, end).await {
                Err(NoBatch::Failed(failure)) if failure.may_depend_on_range() => {
                    if end == cursor {
                        // The cause is not the range.
                        endpoint.range.lock().restore(before);
                        return Err(NoBatch::BlockRefused(failure));
                    }
                    endpoint.range.lock().refused(end - cursor + 1);
                    tracing::debug!(
                        endpoint = endpoint.label(),
                        from = cursor,
                        to = end,
                        failure = failure.detail,
                        "range of logs refused, halving it"
                    );
                }
                Err(NoBatch::Failed(failure)) => {
                    // A shorter range may take less time, at whichever endpoint.
                    if failure.kind == FailureKind::TimedOut && end > cursor {
                        endpoint.range.lock().refused(end - cursor + 1);
                    }
                    return Err(NoBatch::Failed(failure));
                }
                result => return result,
            }
        }
    }

    /// `wanted`, or the endpoint's finalised block where that is earlier.
    async fn finalized_end(&mut self, endpoint: &Endpoint, cursor: u64, wanted: u64) -> Result<u64, Failure> {
        if let Some((index, finalized)) = self.endpoint
            && index == endpoint.index
            && finalized >= wanted
        {
            return Ok(wanted);
        }
        let finalized = self.chain.finalized_at(endpoint).await?.number;
        self.endpoint = Some((endpoint.index, finalized));
        if finalized < cursor {
            let detail = format!("the finalised block is {finalized}, and block {cursor} is to be read");
            return Err(Failure::lagging(detail));
        }
        Ok(wanted.min(finalized))
    }

    async fn batch(&self, endpoint: &Endpoint, from: u64, end: u64) -> Result<TransferBatch, NoBatch> {
        let settings = &self.chain.settings;
        let fetched = fetch(endpoint, settings, &self.query, from, end).await?;
        let to = self.last_block(endpoint, &fetched).await?;
        // Not `self.to`: a reader may be opened for a few old blocks.
        let finalized = self.endpoint.map_or(self.to, |(_, finalized)| finalized);
        if fetched.logs.is_empty() && finalized.saturating_sub(to.number) < COMPARED_BLOCKS {
            self.compare_empty(endpoint, from, to).await?;
        }
        let transfers = match self.decode(&fetched) {
            Ok(transfers) => transfers,
            Err(Undecoded::Malformed(log)) => return Err(NoBatch::Malformed(log)),
            Err(Undecoded::TooMany(_)) if to.number > from => {
                return Err(Failure::new(FailureKind::TooLarge, "too many transfers in one range").into());
            }
            Err(Undecoded::TooMany(reason)) => return Err(NoBatch::Contract(reason)),
        };
        let mut range = endpoint.range.lock();
        match fetched.complete_part {
            Some(blocks) => range.refused(blocks.saturating_mul(2)),
            None => range.succeeded(to.number - from + 1, fetched.logs.len(), settings.target_logs),
        }
        Ok(TransferBatch {
            from_block: from,
            to,
            transfers,
        })
    }

    /// The last block of the range. Its hash must be that of its logs.
    async fn last_block(&self, endpoint: &Endpoint, fetched: &Fetched) -> Result<BlockRef, Failure> {
        let number = fetched.to;
        let Some(block) = self.chain.block_at(endpoint, number).await? else {
            return Err(Failure::inconsistent(format!(
                "the endpoint has logs up to block {number}, but not this block"
            )));
        };
        match fetched.logs.last() {
            Some(log) if log.block_number == number && log.block_hash.0 != block.hash => Err(Failure::inconsistent(
                format!("the logs of block {number} have another block hash than the block"),
            )),
            _ => Ok(block),
        }
    }

    /// Compares a response without logs with that of the first other endpoint that gives one. Without such an endpoint nothing is compared.
    ///
    /// # Errors
    /// The other endpoint has logs of these blocks.
    async fn compare_empty(&self, endpoint: &Endpoint, from: u64, to: BlockRef) -> Result<(), Failure> {
        for other in &self.chain.endpoints {
            let is_paused = other.pause_end().is_some_and(|end| end > Instant::now());
            if is_paused || other.index == endpoint.index {
                continue;
            }
            match self.first_log(other, from, to).await {
                Ok(None) => return Ok(()),
                Ok(Some(block)) => {
                    return Err(Failure::inconsistent(format!(
                        "eth_getLogs returned no logs for blocks {from} to {}, and {} has logs of block {block}",
                        to.number,
                        other.label()
                    )));
                }
                Err(failure) => other.record(&failure),
            }
        }
        Ok(())
    }

    /// The block of an endpoint's first log in the blocks `from` to `to`; `None` when it has no logs of them.
    async fn first_log(&self, endpoint: &Endpoint, from: u64, to: BlockRef) -> Result<Option<u64>, Failure> {
        let block = self.chain.block_at(endpoint, to.number).await?;
        if block.is_none_or(|block| block.hash != to.hash) {
            let detail = format!(
                "block {} is missing, or has another hash than at the compared endpoint",
                to.number
            );
            return Err(Failure::lagging(detail));
        }
        // A slow second endpoint must not delay the sync for long.
        let settings = ChainSettings {
            logs_timeout: self.chain.settings.call_timeout,
            ..self.chain.settings
        };
        let before = endpoint.range.lock().clone();
        let mut next = from;
        for _ in 0..MAX_COMPARISONS {
            let blocks = endpoint.range.lock().blocks();
            let end = to.number.min(next.saturating_add(blocks - 1));
            match fetch(endpoint, &settings, &self.query, next, end).await {
                Ok(fetched) => {
                    if let Some(log) = fetched.logs.first() {
                        return Ok(Some(log.block_number));
                    }
                    if fetched.to >= to.number {
                        return Ok(None);
                    }
                    next = fetched.to + 1;
                }
                Err(failure) if failure.may_depend_on_range() && end > next => {
                    endpoint.range.lock().refused(end - next + 1);
                }
                Err(failure) => {
                    if failure.may_depend_on_range() {
                        // The cause is not the range.
                        endpoint.range.lock().restore(before);
                    }
                    return Err(failure);
                }
            }
        }
        let detail = format!(
            "more than {MAX_COMPARISONS} requests for blocks {from} to {}",
            to.number
        );
        Err(Failure::new(FailureKind::TooLarge, detail))
    }

    fn decode(&self, fetched: &Fetched) -> Result<Vec<Transfer>, Undecoded> {
        let mut transfers = Vec::with_capacity(fetched.logs.len());
        for log in &fetched.logs {
            let block = log.block_number;
            match append_transfers(&self.filter, log, &mut transfers) {
                Ok(()) => {}
                Err(Unreadable::Malformed) => {
                    let standard = match self.filter.standard {
                        TokenStandard::Erc20 => "ERC-20",
                        TokenStandard::Erc721 => "ERC-721",
                        TokenStandard::Erc1155 => "ERC-1155",
                    };
                    let detail = format!(
                        "log {} of block {block}, transaction {}, is not in the form of {standard}",
                        log.log_index, log.transaction_hash
                    );
                    return Err(Undecoded::Malformed(MalformedLog { block, detail }));
                }
                Err(Unreadable::TooManyIds) => {
                    return Err(Undecoded::TooMany(format!(
                        "an event in block {block} moves more than {MAX_CONSECUTIVE} ids at once (ERC-2309)"
                    )));
                }
            }
            if transfers.len() > MAX_TRANSFERS {
                return Err(Undecoded::TooMany(format!(
                    "block {block} has more than {MAX_TRANSFERS} transfers of it"
                )));
            }
        }
        Ok(transfers)
    }
}
