//! The complete logs of a range from one endpoint.
//!
//! Some endpoints cut a long response without an error, at a round number of logs. A response with a round number is therefore
//! requested again in halves, down to single blocks, whose receipts are compared.

use serde_json::json;

use super::query::LogQuery;
use super::wire::{MinedLog, WireLog, WireReceipt};
use crate::config::ChainSettings;
use crate::error::FailureKind;
use crate::rpc::{Endpoint, Failure};

/// Least number of logs at which endpoints are known to cut a response.
const MIN_CUT: usize = 100;
/// Multiple of [`ChainSettings::target_logs`] at which a range ends early.
const MAX_TARGETS: usize = 4;

/// Logs of the blocks up to `to`.
#[derive(Debug)]
pub(super) struct Fetched {
    /// Last block of the range: earlier than requested when there are many logs.
    pub(super) to: u64,
    /// Logs in the order of blocks and of log indices.
    pub(super) logs: Vec<MinedLog>,
    /// Where a response was cut and its range requested again in halves: number of blocks of the longest half that was returned completely.
    /// `None` where no response was cut.
    pub(super) complete_part: Option<u64>,
}

/// Whether a response with this number of logs may have been cut.
pub(super) const fn may_be_cut(logs: usize) -> bool {
    logs >= MIN_CUT && (logs.is_multiple_of(100) || logs.is_power_of_two())
}

/// Reads the logs of the blocks `from` to `to`.
///
/// # Errors
/// The failure of a request. A contradiction between two responses is one as well.
pub(super) async fn fetch(
    endpoint: &Endpoint,
    settings: &ChainSettings,
    query: &LogQuery,
    from: u64,
    to: u64,
) -> Result<Fetched, Failure> {
    let mut parts = vec![(from, to)];
    let mut fetched = Fetched {
        to,
        logs: Vec::new(),
        complete_part: None,
    };
    // Number of logs in the response for the whole range, if that one may have been cut.
    let mut whole = None;
    while let Some((first, last)) = parts.pop() {
        let mut logs = get_logs(endpoint, settings, query, first, last).await?;
        if may_be_cut(logs.len()) {
            if first < last {
                if (first, last) == (from, to) {
                    whole = Some(logs.len());
                }
                let middle = first + (last - first) / 2;
                parts.push((middle + 1, last));
                parts.push((first, middle));
                continue;
            }
            logs = compare_with_receipts(endpoint, settings, query, first, logs).await?;
        }
        if whole.is_some() {
            fetched.complete_part = fetched.complete_part.max(Some(last - first + 1));
        }
        fetched.logs.append(&mut logs);
        if fetched.logs.len() > settings.target_logs.saturating_mul(MAX_TARGETS) && !parts.is_empty() {
            fetched.to = last;
            return Ok(fetched);
        }
    }
    match whole {
        Some(count) if fetched.logs.len() < count => Err(Failure::inconsistent(format!(
            "eth_getLogs returned {count} logs for blocks {from} to {to}, and {} in parts",
            fetched.logs.len()
        ))),
        // The number was round by chance.
        Some(count) if fetched.logs.len() == count => Ok(Fetched {
            complete_part: None,
            ..fetched
        }),
        Some(count) => {
            let (endpoint, logs) = (endpoint.label(), fetched.logs.len());
            tracing::warn!(
                endpoint,
                from,
                to,
                returned = count,
                logs,
                "RPC endpoint returned a part of the logs without an error"
            );
            Ok(fetched)
        }
        None => Ok(fetched),
    }
}

async fn get_logs(
    endpoint: &Endpoint,
    settings: &ChainSettings,
    query: &LogQuery,
    from: u64,
    to: u64,
) -> Result<Vec<MinedLog>, Failure> {
    let parameters = query.parameters(from, to);
    let logs: Option<Vec<WireLog>> = endpoint
        .request("eth_getLogs", &parameters, settings.logs_timeout)
        .await?;
    query.check(listed(logs, from, to)?, from, to)
}

/// The logs of a response. The specification demands a list, which is empty where there are no logs. `null` is no list: a node may return
/// it for blocks that it does not have, and these blocks would never be read again.
fn listed(logs: Option<Vec<WireLog>>, from: u64, to: u64) -> Result<Vec<WireLog>, Failure> {
    logs.ok_or_else(|| {
        Failure::inconsistent(format!(
            "eth_getLogs returned null instead of a list for blocks {from} to {to}"
        ))
    })
}

/// The logs of a single block from the receipts of its transactions, where the endpoint supports this; otherwise the given ones.
async fn compare_with_receipts(
    endpoint: &Endpoint,
    settings: &ChainSettings,
    query: &LogQuery,
    block: u64,
    logs: Vec<MinedLog>,
) -> Result<Vec<MinedLog>, Failure> {
    let parameters = json!([format!("0x{block:x}")]);
    let receipts: Result<Option<Vec<WireReceipt>>, Failure> = endpoint
        .request("eth_getBlockReceipts", &parameters, settings.logs_timeout)
        .await;
    let receipts = match receipts {
        Ok(Some(receipts)) => receipts,
        Ok(None) => {
            return Err(Failure::inconsistent(format!(
                "the endpoint has logs of block {block}, but no receipts"
            )));
        }
        Err(failure) if matches!(failure.kind, FailureKind::Rejected | FailureKind::TooLarge) => {
            let (endpoint, logs_count, failure) = (endpoint.label(), logs.len(), failure.detail);
            tracing::warn!(
                endpoint,
                block,
                logs = logs_count,
                failure,
                "logs of a block with a round number are not verified"
            );
            return Ok(logs);
        }
        Err(failure) => return Err(failure),
    };
    let matching = receipts
        .into_iter()
        .flat_map(|receipt| receipt.logs)
        .filter(|log| query.matches(log));
    let complete = query.check(matching.collect(), block, block)?;
    if complete.len() < logs.len() {
        let detail = format!(
            "eth_getLogs returned {} logs of block {block}, and its receipts have {}",
            logs.len(),
            complete.len()
        );
        return Err(Failure::inconsistent(detail));
    }
    Ok(complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_not_an_empty_list() {
        assert!(listed(Some(Vec::new()), 1, 9).unwrap().is_empty());
        let failure = listed(None, 1, 9).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Inconsistent);
        assert!(failure.detail.contains("null"), "{}", failure.detail);
    }

    #[test]
    fn round_numbers_may_be_cut() {
        for logs in [100, 500, 1_000, 1_024, 10_000, 20_000, 65_536] {
            assert!(may_be_cut(logs), "{logs}");
        }
        for logs in [0, 1, 10, 64, 99, 101, 999, 1_023, 9_999] {
            assert!(!may_be_cut(logs), "{logs}");
        }
    }
}
