//! Ranges that an endpoint refuses or answers in part.

use std::time::Duration;

use arrakis_chain::{ChainError, ChainSettings, FailureKind, TokenStandard};
use arrakis_test_support::{Anvil, address_of};

use crate::support::{Answer, Faults, RpcProxy, all, assert_equals_ledger, client, client_with, of, played_token, settings, transfers};

#[tokio::test]
async fn refusals_in_every_wording_shorten_the_range() {
    let anvil = Anvil::start().await;
    let token = played_token(&anvil, 60, 2).await;
    let cases = [
        (10, -32602, "query returned more than 10000 results. Try with this block range [0x0, 0x7d0]."),
        (7, -32600, "You can make eth_getLogs requests with up to a 500 block range."),
        (5, -32005, "limit exceeded"),
        (3, -32000, "block range is too wide"),
        (1, 35, "ranges over 10000 blocks are not supported on freetier"),
    ];
    for (blocks, code, message) in cases {
        let faults = Faults { max_range: Some((blocks, code, message)), ..Faults::default() };
        let proxy = RpcProxy::start(anvil.url(), faults).await;
        let client = client(&[&proxy.url()]);
        let read = all(&client, of(token.address(), TokenStandard::Erc20)).await;
        assert_equals_ledger(&read, &anvil.ledger(), token.address());
        let ranges = proxy.ranges();
        let refused = ranges.iter().filter(|(from, to)| to - from + 1 > blocks).count();
        assert!(refused <= 12 + ranges.len() / 8, "{message}: {refused} of {} refused", ranges.len());
        assert!(client.endpoints()[0].log_range <= blocks * 2);
    }
}

#[tokio::test]
async fn refused_number_of_logs_shortens_the_range() {
    let anvil = Anvil::start().await;
    let token = played_token(&anvil, 40, 5).await;
    let faults = Faults { max_logs: Some((30, -32005, "query returned more than 30 results")), ..Faults::default() };
    let proxy = RpcProxy::start(anvil.url(), faults).await;
    let read = all(&client(&[&proxy.url()]), of(token.address(), TokenStandard::Erc20)).await;
    assert_equals_ledger(&read, &anvil.ledger(), token.address());
}

#[tokio::test]
async fn response_larger_than_the_limit_shortens_the_range() {
    let anvil = Anvil::start().await;
    let token = played_token(&anvil, 40, 5).await;
    let settings = ChainSettings { max_response: 20_000, ..settings() };
    let read = all(&client_with(&[anvil.url()], settings), of(token.address(), TokenStandard::Erc20)).await;
    assert_equals_ledger(&read, &anvil.ledger(), token.address());
}

#[tokio::test]
async fn range_grows_again_when_the_limit_is_lifted() {
    let anvil = Anvil::start().await;
    anvil.mine(2_000).await;
    let faults = Faults { max_range: Some((4, -32000, "too wide")), ..Faults::default() };
    let proxy = RpcProxy::start(anvil.url(), faults).await;
    let client = client(&[&proxy.url()]);
    let filter = of(address_of(1), TokenStandard::Erc20);
    transfers(&client, filter, 0, 100).await.unwrap();
    assert!(client.endpoints()[0].log_range <= 8);
    proxy.set(Faults::default());
    transfers(&client, filter, 0, 1_900).await.unwrap();
    assert!(client.endpoints()[0].log_range >= 256, "{:?}", client.endpoints());
}

#[tokio::test]
async fn refused_single_block_is_an_error_that_names_it() {
    let anvil = Anvil::start().await;
    anvil.mine(30).await;
    let faults = Faults { max_range: Some((0, -32000, "no")), ..Faults::default() };
    let proxy = RpcProxy::start(anvil.url(), faults).await;
    let client = client(&[&proxy.url()]);
    let error = transfers(&client, of(address_of(1), TokenStandard::Erc20), 17, 28).await.unwrap_err();
    let ChainError::BlockRefused { block: 17, failures, .. } = &error else { panic!("{error}") };
    assert_eq!(failures[0].kind, FailureKind::Rejected);
    assert!(error.to_string().contains("block 17"), "{error}");
    // The cause was not the range.
    assert_eq!(client.endpoints()[0].log_range, settings().first_log_range);
}

#[tokio::test]
async fn block_refused_by_one_endpoint_is_read_from_another() {
    let anvil = Anvil::start().await;
    let token = played_token(&anvil, 10, 3).await;
    let faults = Faults { max_range: Some((0, -32000, "no")), ..Faults::default() };
    let proxy = RpcProxy::start(anvil.url(), faults).await;
    let client = client(&[&proxy.url(), anvil.url()]);
    let read = all(&client, of(token.address(), TokenStandard::Erc20)).await;
    assert_equals_ledger(&read, &anvil.ledger(), token.address());
}

#[tokio::test]
async fn logs_cut_without_an_error_are_read_completely() {
    let anvil = Anvil::start().await;
    // Each claim is two logs: blocks with 60 logs, blocks with 200, and one with exactly 100.
    let token = anvil.deploy_erc20("Bera Governance Token", "BGT", 18).await;
    for claims in [30, 30, 30, 100, 50, 30, 1] {
        let claims: Vec<_> = (0..claims).map(|index| (address_of(1_000 + index), arrakis_domain::U256::from(5))).collect();
        token.mint(token.distributor(), 1).await;
        token.claim_many(&claims).await;
    }
    anvil.finalize().await;
    let faults = Faults { cut_logs: Some(100), ..Faults::default() };
    let proxy = RpcProxy::start(anvil.url(), faults).await;
    let read = all(&client(&[&proxy.url()]), of(token.address(), TokenStandard::Erc20)).await;
    assert!(proxy.count("eth_getBlockReceipts") > 0);
    assert_equals_ledger(&read, &anvil.ledger(), token.address());
}

#[tokio::test]
async fn round_number_of_logs_that_is_complete_is_accepted() {
    let anvil = Anvil::start().await;
    let token = anvil.deploy_erc20("Bera Governance Token", "BGT", 18).await;
    for _ in 0..4 {
        let claims: Vec<_> = (0..25).map(|index| (address_of(1_000 + index), arrakis_domain::U256::ONE)).collect();
        token.claim_many(&claims).await;
    }
    anvil.finalize().await;
    let proxy = RpcProxy::start(anvil.url(), Faults { no_receipts: true, ..Faults::default() }).await;
    let client = client(&[&proxy.url()]);
    let read = all(&client, of(token.address(), TokenStandard::Erc20)).await;
    assert_equals_ledger(&read, &anvil.ledger(), token.address());
    assert!(client.endpoints()[0].log_range >= settings().first_log_range);
}

#[tokio::test]
async fn endpoint_that_dies_in_the_middle_is_replaced() {
    let anvil = Anvil::start().await;
    let token = played_token(&anvil, 40, 3).await;
    let settings = ChainSettings { first_log_range: 5, max_log_range: 5, ..settings() };
    let dying = RpcProxy::start(anvil.url(), Faults { dies_after: Some(4), ..Faults::default() }).await;
    let client = client_with(&[&dying.url(), anvil.url()], settings);
    let read = all(&client, of(token.address(), TokenStandard::Erc20)).await;
    assert_equals_ledger(&read, &anvil.ledger(), token.address());
    assert!(dying.count("eth_getLogs") > 4);
}

#[tokio::test]
async fn request_for_logs_that_hangs_is_sent_to_another_endpoint() {
    let anvil = Anvil::start().await;
    let token = played_token(&anvil, 10, 3).await;
    let faults = Faults { answer: Answer::Hang, only: Some("eth_getLogs"), ..Faults::default() };
    let hanging = RpcProxy::start(anvil.url(), faults).await;
    let settings = ChainSettings { logs_timeout: Duration::from_millis(300), ..settings() };
    let client = client_with(&[&hanging.url(), anvil.url()], settings);
    let read = all(&client, of(token.address(), TokenStandard::Erc20)).await;
    assert_equals_ledger(&read, &anvil.ledger(), token.address());
    assert_eq!(client.endpoints()[0].last_failure, Some(FailureKind::TimedOut));
}
