//! Transfers from logs: ERC-20, ERC-721 with ERC-2309, ERC-1155.
//!
//! ERC-20 and ERC-721 share the event `Transfer(address,address,uint256)`: with three topics it is ERC-20, with four ERC-721. Old
//! contracts index no parameter, so that all three are in the data; these count as the standard that the filter states. A log in any other
//! form is an error: what it moves is unknown, so holdings without it would be wrong.

use alloy::primitives::{Address as WireAddress, B256, U256};
use alloy::sol_types::SolEvent as _;
use arrakis_domain::Address;

use self::events::{ConsecutiveTransfer, TransferBatch, TransferSingle};
use super::wire::MinedLog;
use crate::types::{TokenStandard, Transfer, TransferFilter};

/// Most ids of one ERC-2309 event. Known contracts mint at most 5,000 at once.
pub(super) const MAX_CONSECUTIVE: u64 = 10_000;

/// Events of the token standards.
pub(super) mod events {
    alloy::sol! {
        event Transfer(address indexed from, address indexed to, uint256 value);
        event TransferSingle(address indexed operator, address indexed from, address indexed to, uint256 id, uint256 value);
        event TransferBatch(address indexed operator, address indexed from, address indexed to, uint256[] ids, uint256[] values);
        event ConsecutiveTransfer(uint256 indexed fromTokenId, uint256 toTokenId, address indexed fromAddress, address indexed toAddress);
    }
}

/// Why the transfers of a log are unknown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// The log is in no form of the standard.
    Malformed,
    /// It is an ERC-2309 event with more than [`MAX_CONSECUTIVE`] ids.
    TooManyIds,
}

/// Appends the transfers of a log that match the filter.
///
/// # Errors
/// The log is in no form of the standard, or covers too many ids. Nothing is appended.
pub(super) fn append_transfers(
    filter: &TransferFilter,
    log: &MinedLog,
    into: &mut Vec<Transfer>,
) -> Result<(), Unreadable> {
    let event = log.topics.first().ok_or(Unreadable::Malformed)?;
    let consecutive = filter.standard == TokenStandard::Erc721 && *event == ConsecutiveTransfer::SIGNATURE_HASH;
    let moved = if consecutive {
        consecutive_ids(log)?
    } else {
        match filter.standard {
            TokenStandard::Erc1155 => multi_token(log),
            standard => single(standard, log),
        }
    };
    let moved = moved.ok_or(Unreadable::Malformed)?;
    let (from, to) = (domain(moved.from), domain(moved.to));
    let wanted = |wanted: Option<Address>, party: Address| wanted.is_none_or(|wanted| wanted == party);
    if wanted(filter.from, from) && wanted(filter.to, to) {
        into.extend(moved.tokens.into_iter().map(|(token_id, amount)| Transfer {
            block_number: log.block_number,
            block_hash: log.block_hash.0,
            log_index: log.log_index,
            transaction_hash: log.transaction_hash.0,
            from,
            to,
            token_id,
            amount,
        }));
    }
    Ok(())
}

/// What a log moves.
struct Moved {
    from: WireAddress,
    to: WireAddress,
    tokens: Vec<(Option<U256>, U256)>,
}

fn single(standard: TokenStandard, log: &MinedLog) -> Option<Moved> {
    let (from, to, last) = match (standard, log.topics.as_slice(), log.data.len()) {
        (TokenStandard::Erc20, [_, from, to], 32) => (*from, *to, word(&log.data, 0)?),
        (TokenStandard::Erc721, [_, from, to, id], 0) => (*from, *to, *id),
        (_, [_], 96) => (word(&log.data, 0)?, word(&log.data, 1)?, word(&log.data, 2)?),
        _ => return None,
    };
    let last = U256::from_be_bytes(last.0);
    let token = match standard {
        TokenStandard::Erc20 => (None, last),
        _ => (Some(last), U256::ONE),
    };
    Some(Moved {
        from: address(from)?,
        to: address(to)?,
        tokens: vec![token],
    })
}

fn multi_token(log: &MinedLog) -> Option<Moved> {
    let topics = || log.topics.iter().copied();
    if log.topics.first() == Some(&TransferSingle::SIGNATURE_HASH) {
        let event = TransferSingle::decode_raw_log_validate(topics(), &log.data).ok()?;
        return Some(Moved {
            from: event.from,
            to: event.to,
            tokens: vec![(Some(event.id), event.value)],
        });
    }
    let event = TransferBatch::decode_raw_log_validate(topics(), &log.data).ok()?;
    if event.ids.len() != event.values.len() {
        return None;
    }
    let ids = event.ids.into_iter().map(Some);
    Some(Moved {
        from: event.from,
        to: event.to,
        tokens: ids.zip(event.values).collect(),
    })
}

fn consecutive_ids(log: &MinedLog) -> Result<Option<Moved>, Unreadable> {
    let topics = log.topics.iter().copied();
    let Ok(event) = ConsecutiveTransfer::decode_raw_log_validate(topics, &log.data) else {
        return Ok(None);
    };
    let Some(further) = event.toTokenId.checked_sub(event.fromTokenId) else {
        return Ok(None);
    };
    if further >= U256::from(MAX_CONSECUTIVE) {
        return Err(Unreadable::TooManyIds);
    }
    let id = |offset: u64| (Some(event.fromTokenId + U256::from(offset)), U256::ONE);
    Ok(Some(Moved {
        from: event.fromAddress,
        to: event.toAddress,
        tokens: (0..=further.to::<u64>()).map(id).collect(),
    }))
}

fn word(data: &[u8], index: usize) -> Option<B256> {
    data.get(index * 32..(index + 1) * 32).map(B256::from_slice)
}

/// The address in a word; `None` when the first twelve bytes are not zero.
fn address(word: B256) -> Option<WireAddress> {
    let (padding, address) = word.split_at(12);
    padding
        .iter()
        .all(|byte| *byte == 0)
        .then(|| WireAddress::from_slice(address))
}

fn domain(address: WireAddress) -> Address {
    Address::from_bytes(address.into_array())
}
