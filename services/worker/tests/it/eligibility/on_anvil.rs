//! The sync on a real EVM, against the ledger of the test: the four kinds of profiles, pieces, a reorganisation, a dying endpoint.

use std::collections::BTreeMap;

use arrakis_chain::{ChainClient, Chains, ChainsConfig};
use arrakis_db::{ProfileStandard, TokenProfile};
use arrakis_domain::{Address, Balance, U256, scale_to_balance};
use arrakis_test_support::{Anvil, FaultProxy, tokens};
use arrakis_worker::jobs::eligibility_sync::SyncEnd;

use super::setup::{Setup, profile, wallet};

const CHAIN: u64 = 80_094;

fn chains(urls: &[&str]) -> Chains {
    let mut config = ChainsConfig::of_chain(CHAIN, urls.iter().copied());
    config.settings.call_patience = std::time::Duration::from_secs(3);
    config.settings.logs_patience = std::time::Duration::from_secs(3);
    // Small ranges: a sync has several batches.
    config.settings.first_log_range = 7;
    config.settings.max_log_range = 11;
    Chains::new(&config)
}

async fn setup(profile: TokenProfile, url: &str) -> Setup {
    Setup::with(profile, chains(&[url])).await
}

fn client(setup: &Setup) -> &ChainClient {
    setup.services.chains.get(CHAIN).unwrap()
}

/// The ranking must have these holdings, largest first.
async fn assert_holdings(setup: &Setup, mut expected: BTreeMap<Address, U256>) {
    expected.retain(|_, held| !held.is_zero());
    let ranked = setup.ranked().await;
    let found: BTreeMap<Address, Balance> = ranked.iter().copied().collect();
    let scaled = expected
        .into_iter()
        .map(|(address, held)| (address, scale_to_balance(held, setup.profile.decimals)));
    assert_eq!(found, scaled.collect());
    assert!(ranked.is_sorted_by(|(_, left), (_, right)| left >= right));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_and_burns_of_bgt_are_counted_once() {
    let anvil = Anvil::start().await;
    let token = anvil.deploy_erc20("Bera Governance Token", "BGT", 18).await;
    let profile = TokenProfile {
        claims_from: Some(token.distributor()),
        burns_to: Some(Address::from_bytes([0; 20])),
        ..profile(ProfileStandard::Bgt, token.address())
    };
    let setup = setup(profile, anvil.url()).await;
    for round in 0..4_u64 {
        for number in 1..=8 {
            token.claim(wallet(number), tokens(number * 3 + round)).await;
        }
        token.burn(wallet(2 + round), tokens(1_u64)).await;
        anvil
            .in_one_block(async {
                token.claim(wallet(20), tokens(5_u64)).await;
                token.claim(wallet(21), tokens(5_u64)).await;
                token.burn(wallet(20), tokens(2_u64)).await;
            })
            .await;
        anvil.finalize().await;
        let summary = setup.complete(client(&setup)).await;
        assert_eq!(
            summary.mismatches, 0,
            "the chain's balances are those of claims without burns"
        );
        let mut expected = anvil.ledger().balances(token.address());
        expected.remove(&token.distributor());
        assert_holdings(&setup, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_of_erc20_are_counted_and_scaled() {
    let anvil = Anvil::start().await;
    let token = anvil.deploy_erc20("Six", "SIX", 6).await;
    let profile = TokenProfile {
        decimals: 6,
        ..profile(ProfileStandard::Erc20, token.address())
    };
    let pieces = setup(profile.clone(), anvil.url()).await;
    for number in 1..=10_u64 {
        token.mint(wallet(number), 1_500_000 * number).await;
        if number > 2 {
            token.transfer(wallet(number), wallet(number - 2), 250_000_u64).await;
            token.burn(wallet(number - 1), 1_u64).await;
        }
        if number % 3 == 0 {
            anvil.finalize().await;
            pieces.complete(client(&pieces)).await;
        }
    }
    anvil.finalize().await;
    pieces.complete(client(&pieces)).await;
    let whole = setup(profile, anvil.url()).await;
    assert_eq!(whole.complete(client(&whole)).await.mismatches, 0);
    assert_holdings(&whole, anvil.ledger().balances(token.address())).await;
    assert_eq!(pieces.ranked().await, whole.ranked().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nfts_are_counted_of_all_or_of_listed_ids() {
    let anvil = Anvil::start().await;
    let nft = anvil.deploy_erc721("Sietch", "S").await;
    for id in 1..=12_u64 {
        nft.mint(wallet(1 + id % 4), id).await;
    }
    nft.mint_consecutive(wallet(9), 100, 104).await;
    nft.transfer(wallet(2), wallet(3), 1_u64).await;
    nft.burn(wallet(3), 2_u64).await;
    nft.transfer(wallet(9), wallet(8), 103_u64).await;
    anvil.finalize().await;
    let all = setup(profile(ProfileStandard::Erc721, nft.address()), anvil.url()).await;
    assert_eq!(all.complete(client(&all)).await.mismatches, 0);
    assert_holdings(&all, anvil.ledger().balances(nft.address())).await;
    let ids: Vec<U256> = [1, 5, 9, 103].map(U256::from).to_vec();
    let listed = TokenProfile {
        token_ids: ids.clone(),
        ..profile(ProfileStandard::Erc721, nft.address())
    };
    let listed = setup(listed, anvil.url()).await;
    assert_eq!(listed.complete(client(&listed)).await.mismatches, 0);
    let ledger = anvil.ledger();
    let counted = ledger.balances(nft.address()).into_keys();
    let counted = counted.map(|holder| {
        (
            holder,
            ledger.balance_of_ids(nft.address(), holder, |id| ids.contains(&id)),
        )
    });
    assert_holdings(&listed, counted.collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erc1155_is_the_sum_over_the_ids() {
    let anvil = Anvil::start().await;
    let token = anvil.deploy_erc1155().await;
    for number in 1..=5_u64 {
        token.mint(wallet(number), 1_u64, 10 * number).await;
        token.mint(wallet(number), 2_u64, number).await;
    }
    let pairs = [(U256::from(1), U256::from(7)), (U256::from(2), U256::from(2))];
    token.transfer_batch(wallet(5), wallet(1), &pairs).await;
    token.transfer(wallet(4), wallet(2), 2_u64, 3_u64).await;
    token.burn(wallet(3), 1_u64, 5_u64).await;
    anvil.finalize().await;
    let all = setup(profile(ProfileStandard::Erc1155, token.address()), anvil.url()).await;
    all.complete(client(&all)).await;
    assert_holdings(&all, anvil.ledger().balances(token.address())).await;
    let one = TokenProfile {
        token_ids: vec![U256::from(2)],
        ..profile(ProfileStandard::Erc1155, token.address())
    };
    let one = setup(one, anvil.url()).await;
    assert_eq!(one.complete(client(&one)).await.mismatches, 0);
    let ledger = anvil.ledger();
    let counted = ledger.balances(token.address()).into_keys();
    let counted = counted.map(|holder| {
        let is_two = |id: U256| id == U256::from(2);
        (holder, ledger.balance_of_ids(token.address(), holder, is_two))
    });
    assert_holdings(&one, counted.collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reorganisation_of_final_blocks_is_rolled_back() {
    let anvil = Anvil::start().await;
    let token = anvil.deploy_erc20("Token", "T", 18).await;
    let setup = setup(profile(ProfileStandard::Erc20, token.address()), anvil.url()).await;
    for number in 1..=20_u64 {
        token.mint(wallet(number), tokens(number)).await;
    }
    anvil.finalize().await;
    setup.complete(client(&setup)).await;
    assert_holdings(&setup, anvil.ledger().balances(token.address())).await;
    // Deeper than the blocks that count as final.
    anvil.reorg(9).await;
    token.mint(wallet(30), tokens(3_u64)).await;
    anvil.finalize().await;
    let expected = anvil.ledger().balances(token.address());
    assert!(expected.len() < 20, "{expected:?}");
    setup.complete(client(&setup)).await;
    assert_holdings(&setup, expected).await;
    assert_eq!(setup.metric("arrakis_worker_eligibility_reorganisations_total"), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sync_continues_on_another_endpoint() {
    let anvil = Anvil::start().await;
    let token = anvil.deploy_erc20("Token", "T", 18).await;
    for number in 1..=60_u64 {
        token.mint(wallet(number), tokens(number)).await;
    }
    anvil.finalize().await;
    let dying = FaultProxy::start(anvil.url()).await;
    let dying_url = dying.proxied_url(anvil.url());
    let profile = profile(ProfileStandard::Erc20, token.address());
    let setup = Setup::with(profile, chains(&[&dying_url, anvil.url()])).await;
    let killer = async {
        // After some answers.
        arrakis_test_support::eventually(
            || async { setup.metric("arrakis_worker_eligibility_logs_total") > 5.0 },
            "logs",
        )
        .await;
        dying.refuse(true);
        dying.close_connections();
    };
    let sync = setup.sync(client(&setup));
    let (ended, ()) = tokio::join!(sync.run(), killer);
    assert!(matches!(ended.unwrap(), SyncEnd::Complete(_)));
    assert_holdings(&setup, anvil.ledger().balances(token.address())).await;
}
