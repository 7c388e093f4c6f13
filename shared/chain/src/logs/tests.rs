//! Decoding of logs that no token of the tests emits, and of arbitrary ones.

use alloy::primitives::{Address as WireAddress, B256, Bytes, U256};
use alloy::sol_types::SolEvent as _;
use arrakis_domain::Address;
use proptest::prelude::*;

use super::decode::events::{ConsecutiveTransfer, Transfer as TransferEvent, TransferBatch, TransferSingle};
use super::decode::{MAX_CONSECUTIVE, Unreadable, append_transfers};
use super::query::LogQuery;
use super::wire::{MinedLog, WireLog};
use crate::types::{TokenStandard, Transfer, TransferFilter};

const STANDARDS: [TokenStandard; 3] = [TokenStandard::Erc20, TokenStandard::Erc721, TokenStandard::Erc1155];

/// The number of transfers in a result of `eth_getLogs`, as the reader reads it; `None` when it is refused. For `crate::fuzz`.
pub(crate) fn read_logs(logs: &[WireLog]) -> [Option<usize>; 3] {
    STANDARDS.map(|standard| {
        let filter = filter(standard);
        let checked = LogQuery::new(&filter).check(logs.to_vec(), 0, 1_000).ok()?;
        assert!(checked.len() == logs.len() && logs.iter().all(|log| !log.removed));
        let mut transfers = Vec::new();
        // As in the reader, the first log that cannot be read ends the batch.
        let read = checked
            .iter()
            .take_while(|log| append_transfers(&filter, log, &mut transfers).is_ok());
        (read.count() == checked.len()).then_some(transfers.len())
    })
}

fn filter(standard: TokenStandard) -> TransferFilter {
    TransferFilter {
        contract: Address::from_bytes([7; 20]),
        standard,
        from: None,
        to: None,
    }
}

fn log(topics: Vec<B256>, data: Vec<u8>) -> MinedLog {
    MinedLog {
        block_number: 5,
        block_hash: B256::repeat_byte(5),
        transaction_hash: B256::repeat_byte(6),
        log_index: 3,
        topics,
        data: data.into(),
    }
}

fn word(number: u64) -> B256 {
    U256::from(number).into()
}

fn decoded(standard: TokenStandard, log: &MinedLog) -> Option<Vec<Transfer>> {
    let mut transfers = Vec::new();
    match append_transfers(&filter(standard), log, &mut transfers) {
        Ok(()) => Some(transfers),
        Err(Unreadable::Malformed) => None,
        Err(Unreadable::TooManyIds) => panic!("too many ids"),
    }
}

#[test]
fn event_without_indexed_parameters_counts_as_the_standard_of_the_filter() {
    let data = [word(1), word(2), word(9)].concat();
    let log = log(vec![TransferEvent::SIGNATURE_HASH], data);
    let erc20 = decoded(TokenStandard::Erc20, &log).unwrap();
    assert_eq!((erc20[0].token_id, erc20[0].amount), (None, U256::from(9)));
    let erc721 = decoded(TokenStandard::Erc721, &log).unwrap();
    assert_eq!((erc721[0].token_id, erc721[0].amount), (Some(U256::from(9)), U256::ONE));
    assert_eq!(decoded(TokenStandard::Erc1155, &log), None);
}

#[test]
fn malformed_logs_are_errors() {
    let transfer = TransferEvent::SIGNATURE_HASH;
    let no_address = B256::repeat_byte(0xff);
    let batch = TransferBatch {
        operator: WireAddress::ZERO,
        from: WireAddress::ZERO,
        to: WireAddress::ZERO,
        ids: vec![U256::ONE, U256::ONE],
        values: vec![U256::ONE],
    };
    let batch_topics: Vec<B256> = batch.encode_topics().into_iter().map(|topic| topic.0).collect();
    let consecutive = |first: u64, last: u64| {
        log(
            vec![ConsecutiveTransfer::SIGNATURE_HASH, word(first), word(1), word(2)],
            word(last).to_vec(),
        )
    };
    for (standard, log) in [
        (TokenStandard::Erc20, log(vec![], vec![])),
        (TokenStandard::Erc20, log(vec![transfer, word(1), word(2)], vec![])),
        (
            TokenStandard::Erc20,
            log(vec![transfer, word(1), word(2), word(3)], vec![]),
        ),
        (TokenStandard::Erc20, log(vec![transfer, word(1), word(2)], vec![0; 31])),
        (TokenStandard::Erc20, log(vec![transfer, word(1), word(2)], vec![0; 64])),
        (
            TokenStandard::Erc20,
            log(vec![transfer, no_address, word(2)], vec![0; 32]),
        ),
        (TokenStandard::Erc20, log(vec![transfer, word(1)], vec![0; 64])),
        (
            TokenStandard::Erc721,
            log(vec![transfer, word(1), no_address, word(3)], vec![]),
        ),
        (TokenStandard::Erc721, consecutive(5, 4)),
        (
            TokenStandard::Erc1155,
            log(
                vec![TransferSingle::SIGNATURE_HASH, word(1), word(2), word(3)],
                vec![0; 32],
            ),
        ),
        (TokenStandard::Erc1155, log(batch_topics, batch.encode_data())),
    ] {
        assert_eq!(decoded(standard, &log), None, "{standard:?} {log:?}");
    }
    assert_eq!(decoded(TokenStandard::Erc721, &consecutive(5, 5)).unwrap().len(), 1);
    assert_eq!(
        decoded(TokenStandard::Erc721, &consecutive(1, MAX_CONSECUTIVE))
            .unwrap()
            .len() as u64,
        MAX_CONSECUTIVE
    );
    let too_many = consecutive(0, MAX_CONSECUTIVE);
    assert_eq!(
        append_transfers(&filter(TokenStandard::Erc721), &too_many, &mut Vec::new()),
        Err(Unreadable::TooManyIds)
    );
}

proptest! {
    #[test]
    fn arbitrary_logs_are_decoded_or_refused(
        event in prop::sample::select(vec![
            TransferEvent::SIGNATURE_HASH, TransferSingle::SIGNATURE_HASH, TransferBatch::SIGNATURE_HASH, ConsecutiveTransfer::SIGNATURE_HASH,
        ]),
        topics in prop::collection::vec(prop_oneof![any::<[u8; 32]>(), (0_u64..300).prop_map(|number| word(number).0)], 0..5),
        data in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            prop::collection::vec(0_u64..300, 0..12).prop_map(|words| words.into_iter().flat_map(|number| word(number).0).collect()),
        ],
    ) {
        let topics = std::iter::once(event).chain(topics.into_iter().map(B256::from)).collect();
        let log = log(topics, data);
        for standard in STANDARDS {
            let mut transfers = Vec::new();
            let result = append_transfers(&filter(standard), &log, &mut transfers);
            prop_assert!(transfers.len() as u64 <= MAX_CONSECUTIVE);
            if result.is_err() {
                prop_assert!(transfers.is_empty());
            }
        }
    }

    #[test]
    fn responses_are_checked_without_panic(text in ".{0,200}", block in 0_u64..4, index in 0_u64..3, hash in 0_u8..3, count in 1_usize..4) {
        prop_assert!(serde_json::from_str::<Vec<WireLog>>(&text).is_err() || text.trim() == "[]");
        let one = serde_json::json!({
            "address": WireAddress::repeat_byte(7), "topics": [TransferEvent::SIGNATURE_HASH], "data": Bytes::new(),
            "blockNumber": format!("0x{block:x}"), "logIndex": format!("0x{index:x}"),
            "blockHash": B256::repeat_byte(hash), "transactionHash": B256::ZERO,
        });
        let logs: Vec<WireLog> = serde_json::from_value(serde_json::Value::from(vec![one; count])).unwrap();
        let checked = LogQuery::new(&filter(TokenStandard::Erc20)).check(logs, 1, 2);
        prop_assert_eq!(checked.is_ok(), count == 1 && (1..=2).contains(&block));
    }
}

#[test]
fn logs_of_one_block_with_two_hashes_are_a_contradiction() {
    let log = |index: u64, block: u64, hash: u8| {
        serde_json::from_value::<WireLog>(serde_json::json!({
            "address": WireAddress::repeat_byte(7), "topics": [TransferEvent::SIGNATURE_HASH], "data": "0x",
            "blockNumber": format!("0x{block:x}"), "logIndex": format!("0x{index:x}"),
            "blockHash": B256::repeat_byte(hash), "transactionHash": B256::ZERO, "removed": false, "unknown": 1,
        }))
        .unwrap()
    };
    let query = LogQuery::new(&filter(TokenStandard::Erc20));
    let check = |logs: Vec<WireLog>| query.check(logs, 0, 9).map(|logs| logs.len());
    assert_eq!(check(vec![log(1, 2, 1), log(0, 2, 1), log(0, 1, 0)]).unwrap(), 3);
    assert!(check(vec![log(1, 2, 1), log(0, 2, 2)]).is_err());
    assert!(check(vec![log(1, 2, 1), log(0, 3, 1)]).is_err());
}

#[test]
fn removed_log_of_a_final_block_is_a_contradiction() {
    let query = LogQuery::new(&filter(TokenStandard::Erc20));
    for removed in [false, true] {
        let log: WireLog = serde_json::from_value(serde_json::json!({
            "address": WireAddress::repeat_byte(7), "topics": [TransferEvent::SIGNATURE_HASH], "data": "0x",
            "blockNumber": "0x2", "logIndex": "0x0", "blockHash": B256::repeat_byte(1), "transactionHash": B256::ZERO,
            "removed": removed,
        }))
        .unwrap();
        assert_eq!(query.check(vec![log], 0, 9).is_err(), removed);
    }
}

#[test]
fn removed_field_may_be_absent_and_pending_logs_are_a_contradiction() {
    let pending: WireLog = serde_json::from_value(serde_json::json!({
        "address": WireAddress::repeat_byte(7), "topics": [TransferEvent::SIGNATURE_HASH], "data": "0x",
        "blockNumber": null, "logIndex": null, "blockHash": null, "transactionHash": null,
    }))
    .unwrap();
    assert!(
        LogQuery::new(&filter(TokenStandard::Erc20))
            .check(vec![pending], 0, 9)
            .is_err()
    );
}
