//! Which transfers a token profile counts, and as what: claims add to a holding, burns subtract from it.
//!
//! Not counted: transfers of nothing and from a wallet to itself (anyone can make these, and they must not change how long a holding
//! has existed), ids that the profile does not list, and the zero address, which holds nothing.

use std::collections::BTreeMap;

use arrakis_chain::{Token, TokenStandard, Transfer, TransferFilter};
use arrakis_db::{ProfileStandard, TokenEvent, TokenProfile};
use arrakis_domain::{Address, U256};

/// Sender of mints and receiver of burns.
const ZERO: Address = Address::from_bytes([0; 20]);

/// The counted transfers of a batch, in the order of the logs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Events {
    /// Logs that add to the holding of their receiver.
    pub(super) claims: Vec<TokenEvent>,
    /// Logs that subtract from the holding of their sender.
    pub(super) burns: Vec<TokenEvent>,
}

/// The token standard whose logs a profile's contract emits: `bgt` is an ERC-20 token.
pub(crate) fn token_standard(profile: &TokenProfile) -> TokenStandard {
    match profile.standard {
        ProfileStandard::Bgt | ProfileStandard::Erc20 => TokenStandard::Erc20,
        ProfileStandard::Erc721 => TokenStandard::Erc721,
        ProfileStandard::Erc1155 => TokenStandard::Erc1155,
    }
}

/// The token whose balances a profile counts; `None` for an ERC-1155 contract of which all ids count: that
/// standard has no balance over all ids.
pub(super) fn token(profile: &TokenProfile) -> Option<Token> {
    let has_balance = profile.standard != ProfileStandard::Erc1155 || !profile.token_ids.is_empty();
    has_balance.then(|| Token {
        contract: profile.contract,
        standard: token_standard(profile),
        ids: profile.token_ids.clone(),
    })
}

/// The transfers to read. Two filters for claims and burns: a transfer in both is a claim and a burn.
pub(super) fn filters(profile: &TokenProfile) -> Vec<TransferFilter> {
    let all = TransferFilter {
        contract: profile.contract,
        standard: token_standard(profile),
        from: None,
        to: None,
    };
    match (profile.standard, profile.claims_from, profile.burns_to) {
        (ProfileStandard::Bgt, Some(from), Some(to)) => vec![
            TransferFilter {
                from: Some(from),
                ..all
            },
            TransferFilter { to: Some(to), ..all },
        ],
        _ => vec![all],
    }
}

/// The events of the transfers of each filter, in the order of [`filters`].
pub(super) fn events(profile: &TokenProfile, transfers: &[Vec<Transfer>]) -> Events {
    let counts = |transfer: &&Transfer| {
        let is_listed = |id: U256| profile.token_ids.is_empty() || profile.token_ids.contains(&id);
        !transfer.amount.is_zero() && transfer.from != transfer.to && transfer.token_id.is_none_or(is_listed)
    };
    let not_to: &[Address] = &[ZERO, profile.burns_to.unwrap_or(ZERO)];
    let not_from: &[Address] = &[ZERO, profile.claims_from.unwrap_or(ZERO)];
    let first = transfers.first().map(Vec::as_slice).unwrap_or_default();
    let last = transfers.last().map(Vec::as_slice).unwrap_or_default();
    Events {
        claims: by_log(first.iter().filter(counts), |transfer| transfer.to, not_to),
        burns: by_log(last.iter().filter(counts), |transfer| transfer.from, not_from),
    }
}

/// One event for each log: a log with several transfers (ERC-1155 batch, ERC-2309) has one sender and one receiver.
fn by_log<'a>(
    transfers: impl Iterator<Item = &'a Transfer>,
    wallet: impl Fn(&Transfer) -> Address,
    without: &[Address],
) -> Vec<TokenEvent> {
    let mut events: BTreeMap<(u64, u64), TokenEvent> = BTreeMap::new();
    for transfer in transfers {
        let address = wallet(transfer);
        if without.contains(&address) {
            continue;
        }
        let event = events
            .entry((transfer.block_number, transfer.log_index))
            .or_insert_with(|| TokenEvent {
                block_number: transfer.block_number,
                block_hash: transfer.block_hash,
                log_index: transfer.log_index,
                transaction_hash: transfer.transaction_hash,
                address,
                amount: U256::ZERO,
            });
        event.amount = event.amount.saturating_add(transfer.amount);
    }
    events.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> Address {
        Address::from_bytes([number; 20])
    }

    fn profile(standard: ProfileStandard) -> TokenProfile {
        let of_bgt = |number: u8| (standard == ProfileStandard::Bgt).then(|| address(number));
        TokenProfile {
            id: "token".parse().unwrap(),
            name: "Token".to_owned(),
            symbol: "T".to_owned(),
            standard,
            chain_id: 1,
            contract: address(99),
            decimals: 0,
            claims_from: of_bgt(50),
            burns_to: of_bgt(0),
            token_ids: Vec::new(),
            start_block: 0,
        }
    }

    fn transfer(log_index: u64, from: u8, to: u8, id: Option<u64>, amount: u64) -> Transfer {
        Transfer {
            block_number: 7,
            block_hash: [1; 32],
            log_index,
            transaction_hash: [2; 32],
            from: address(from),
            to: address(to),
            token_id: id.map(U256::from),
            amount: U256::from(amount),
        }
    }

    fn summary(events: &[TokenEvent]) -> Vec<(u64, u8, u64)> {
        let one = |event: &TokenEvent| (event.log_index, event.address.as_bytes()[0], event.amount.to());
        events.iter().map(one).collect()
    }

    #[test]
    fn mint_is_a_claim_and_burn_is_a_burn() {
        let transfers = vec![
            transfer(0, 0, 1, None, 5),
            transfer(1, 1, 2, None, 3),
            transfer(2, 2, 0, None, 1),
        ];
        let events = events(&profile(ProfileStandard::Erc20), &[transfers]);
        assert_eq!(summary(&events.claims), [(0, 1, 5), (1, 2, 3)]);
        assert_eq!(summary(&events.burns), [(1, 1, 3), (2, 2, 1)]);
    }

    #[test]
    fn transfers_of_nothing_and_to_oneself_are_not_counted() {
        let transfers = vec![transfer(0, 3, 1, None, 0), transfer(1, 1, 1, None, 9)];
        let events = events(&profile(ProfileStandard::Erc20), &[transfers]);
        assert_eq!(events, Events::default());
    }

    #[test]
    fn bgt_counts_claims_and_burns_once() {
        let profile = profile(ProfileStandard::Bgt);
        let filters = filters(&profile);
        assert_eq!((filters[0].from, filters[0].to), (Some(address(50)), None));
        assert_eq!((filters[1].from, filters[1].to), (None, Some(address(0))));
        // The third log is in both: the distributor burns its own.
        let claims = vec![transfer(0, 50, 1, None, 5), transfer(2, 50, 0, None, 2)];
        let burns = vec![transfer(1, 1, 0, None, 4), transfer(2, 50, 0, None, 2)];
        let events = events(&profile, &[claims, burns]);
        assert_eq!(summary(&events.claims), [(0, 1, 5)]);
        assert_eq!(summary(&events.burns), [(1, 1, 4)]);
    }

    #[test]
    fn batch_is_one_event_and_other_ids_are_not_counted() {
        let mut profile = profile(ProfileStandard::Erc1155);
        assert!(token(&profile).is_none());
        profile.token_ids = vec![U256::from(1), U256::from(2)];
        assert!(token(&profile).is_some());
        let transfers = vec![
            transfer(4, 0, 1, Some(1), 10),
            transfer(4, 0, 1, Some(2), 20),
            transfer(4, 0, 1, Some(3), 40),
        ];
        let events = events(&profile, &[transfers]);
        assert_eq!(summary(&events.claims), [(4, 1, 30)]);
        assert!(events.burns.is_empty());
    }
}
