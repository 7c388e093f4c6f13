//! [`LogQuery`]: the parameters of `eth_getLogs` for a filter, and the check that a response matches them.

use std::collections::HashSet;

use alloy::primitives::{Address, B256};
use alloy::sol_types::SolEvent as _;
use serde_json::{Value, json};

use super::decode::events::{ConsecutiveTransfer, Transfer, TransferBatch, TransferSingle};
use super::wire::{MinedLog, WireLog};
use crate::rpc::Failure;
use crate::types::{TokenStandard, TransferFilter};

/// Contract and topics of a request for logs.
#[derive(Debug, Clone)]
pub(super) struct LogQuery {
    address: Address,
    /// Allowed values of each topic; empty means any.
    topics: Vec<Vec<B256>>,
}

impl LogQuery {
    /// The query for the transfers of a filter. ERC-721 parties are not part of it: its two events have them at different topics.
    pub(super) fn new(filter: &TransferFilter) -> Self {
        let party = |address: Option<arrakis_domain::Address>| -> Vec<B256> {
            address
                .iter()
                .map(|address| Address::from(*address.as_bytes()).into_word())
                .collect()
        };
        let (from, to) = (party(filter.from), party(filter.to));
        let mut topics = match filter.standard {
            TokenStandard::Erc20 => vec![vec![Transfer::SIGNATURE_HASH], from, to],
            // The two events have the parties at different topics, so these are compared after decoding.
            TokenStandard::Erc721 => vec![vec![Transfer::SIGNATURE_HASH, ConsecutiveTransfer::SIGNATURE_HASH]],
            TokenStandard::Erc1155 => {
                let events = vec![TransferSingle::SIGNATURE_HASH, TransferBatch::SIGNATURE_HASH];
                vec![events, Vec::new(), from, to]
            }
        };
        while topics.last().is_some_and(Vec::is_empty) {
            topics.pop();
        }
        Self {
            address: Address::from(*filter.contract.as_bytes()),
            topics,
        }
    }

    /// Parameters of `eth_getLogs`.
    pub(super) fn parameters(&self, from: u64, to: u64) -> Value {
        let topics: Vec<Value> = self
            .topics
            .iter()
            .map(|allowed| match allowed.as_slice() {
                [] => Value::Null,
                [one] => json!(one),
                several => json!(several),
            })
            .collect();
        json!([{
            "address": self.address,
            "topics": topics,
            "fromBlock": format!("0x{from:x}"),
            "toBlock": format!("0x{to:x}"),
        }])
    }

    /// Whether a log has the contract and the topics that were requested. Some endpoints ignore a part of a filter.
    pub(super) fn matches(&self, log: &WireLog) -> bool {
        let topic_matches = |(index, allowed): (usize, &Vec<B256>)| {
            allowed.is_empty() || log.topics.get(index).is_some_and(|topic| allowed.contains(topic))
        };
        log.address == self.address && self.topics.iter().enumerate().all(topic_matches)
    }

    /// The logs of a response in order.
    ///
    /// # Errors
    /// A log that the request did not select, that is listed twice, or whose block hash differs from another log's of the block. A log that
    /// is marked as removed: the blocks of a request are final, so none of their logs was removed.
    pub(super) fn check(&self, logs: Vec<WireLog>, from: u64, to: u64) -> Result<Vec<MinedLog>, Failure> {
        let mut checked = Vec::with_capacity(logs.len());
        for log in logs {
            if !self.matches(&log) {
                return Err(Failure::inconsistent(
                    "eth_getLogs returned a log of another contract or event",
                ));
            }
            let is_removed = log.removed;
            let Some(log) = log.mined() else {
                return Err(Failure::inconsistent("eth_getLogs returned a log without a block"));
            };
            if is_removed {
                return Err(Failure::inconsistent(format!(
                    "eth_getLogs returned a log of block {} as removed, although the block is final",
                    log.block_number
                )));
            }
            if !(from..=to).contains(&log.block_number) {
                let detail = format!(
                    "eth_getLogs returned a log of block {} for blocks {from} to {to}",
                    log.block_number
                );
                return Err(Failure::inconsistent(detail));
            }
            checked.push(log);
        }
        checked.sort_by_key(|log| (log.block_number, log.log_index));
        for (log, next) in checked.iter().zip(checked.iter().skip(1)) {
            if log.block_number == next.block_number && log.log_index == next.log_index {
                return Err(Failure::inconsistent(format!(
                    "eth_getLogs returned a log of block {} twice",
                    log.block_number
                )));
            }
            if log.block_number == next.block_number && log.block_hash != next.block_hash {
                let detail = format!("eth_getLogs returned two hashes of block {}", log.block_number);
                return Err(Failure::inconsistent(detail));
            }
        }
        let hashes: HashSet<(B256, u64)> = checked.iter().map(|log| (log.block_hash, log.block_number)).collect();
        let distinct: HashSet<B256> = hashes.iter().map(|(hash, _)| *hash).collect();
        if distinct.len() != hashes.len() {
            return Err(Failure::inconsistent(
                "eth_getLogs returned one block hash for two blocks",
            ));
        }
        Ok(checked)
    }
}
