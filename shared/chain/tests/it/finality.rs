//! The finalised block, and endpoints that are behind.

use std::time::Duration;

use arrakis_chain::{ChainError, ChainSettings, FailureKind, TokenStandard};
use arrakis_test_support::{Anvil, address_of};

use crate::support::{
    Answer, Faults, RpcProxy, all, assert_equals_ledger, client, client_with, of, played_token, settings, transfers,
};

#[tokio::test]
async fn finalised_block_is_that_of_the_tag() {
    let anvil = Anvil::start().await;
    let client = client(&[anvil.url()]);
    assert_eq!(client.finalized().await.unwrap().number, 0);
    anvil.mine(10).await;
    let block = client.finalized().await.unwrap();
    assert_eq!(block.number, anvil.finalized().await);
    assert!(block.timestamp.unix_timestamp() > 1_600_000_000);
}

#[tokio::test]
async fn depth_decides_where_the_tag_is_unknown() {
    let anvil = Anvil::start().await;
    let proxy = RpcProxy::start(
        anvil.url(),
        Faults {
            no_finalized: true,
            ..Faults::default()
        },
    )
    .await;
    let settings = ChainSettings {
        finalized_depth: 5,
        ..settings()
    };
    let client = client_with(&[&proxy.url()], settings);
    anvil.mine(3).await;
    assert_eq!(client.finalized().await.unwrap().number, 0);
    anvil.mine(20).await;
    assert_eq!(client.finalized().await.unwrap().number, 18);
}

#[tokio::test]
async fn endpoint_without_the_tag_is_not_used_where_another_one_has_it() {
    let anvil = Anvil::start().await;
    anvil.mine(100).await;
    let proxy = RpcProxy::start(anvil.url(), Faults::default()).await;
    let settings = ChainSettings {
        finalized_depth: 0,
        ..settings()
    };
    let client = client_with(&[&proxy.url(), anvil.url()], settings);
    client.finalized().await.unwrap();
    proxy.set(Faults {
        no_finalized: true,
        ..Faults::default()
    });
    anvil.mine(1).await;
    let block = client.finalized().await.unwrap();
    assert_eq!(block.number, anvil.finalized().await, "not the latest block");
}

#[tokio::test]
async fn lagging_endpoint_is_skipped() {
    let anvil = Anvil::start().await;
    let token = played_token(&anvil, 20, 2).await;
    // The first endpoint works, then it is 15 blocks behind.
    let proxy = RpcProxy::start(anvil.url(), Faults::default()).await;
    let client = client(&[&proxy.url(), anvil.url()]);
    let before = client.finalized().await.unwrap();
    proxy.set(Faults {
        behind: 15,
        ..Faults::default()
    });
    for _ in 0..3 {
        assert_eq!(client.finalized().await.unwrap(), before);
    }
    assert_eq!(client.endpoints()[0].last_failure, Some(FailureKind::Lagging));
    let read = all(&client, of(token.address(), TokenStandard::Erc20)).await;
    assert_equals_ledger(&read, &anvil.ledger(), token.address());
    // It is not paused: it may catch up at any time.
    assert_eq!(client.endpoints()[0].consecutive_failures, 0);
}

#[tokio::test]
async fn only_a_lagging_endpoint_is_an_error_and_no_lower_block() {
    let anvil = Anvil::start().await;
    anvil.mine(50).await;
    let proxy = RpcProxy::start(anvil.url(), Faults::default()).await;
    let settings = ChainSettings {
        call_patience: Duration::from_millis(300),
        ..settings()
    };
    let client = client_with(&[&proxy.url()], settings);
    client.finalized().await.unwrap();
    proxy.set(Faults {
        behind: 15,
        ..Faults::default()
    });
    let error = client.finalized().await.unwrap_err();
    let ChainError::Unavailable { failures, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(failures[0].kind, FailureKind::Lagging, "{error}");
}

#[tokio::test]
async fn wrong_head_is_detected() {
    let anvil = Anvil::start().await;
    let token = played_token(&anvil, 10, 2).await;
    for no_finalized in [false, true] {
        let faults = Faults {
            head_error: 1_000,
            no_finalized,
            ..Faults::default()
        };
        let liar = RpcProxy::start(anvil.url(), faults).await;
        let client = client(&[&liar.url(), anvil.url()]);
        let block = client.finalized().await.unwrap();
        assert_eq!(block.number, anvil.finalized().await);
        assert_eq!(client.endpoints()[0].last_failure, Some(FailureKind::Inconsistent));
        let read = all(&client, of(token.address(), TokenStandard::Erc20)).await;
        assert_equals_ledger(&read, &anvil.ledger(), token.address());
    }
}

#[tokio::test]
async fn logs_behind_the_finalised_block_are_not_requested() {
    let anvil = Anvil::start().await;
    anvil.mine(50).await;
    let proxy = RpcProxy::start(anvil.url(), Faults::default()).await;
    let settings = ChainSettings {
        logs_patience: Duration::from_millis(300),
        ..settings()
    };
    let client = client_with(&[&proxy.url()], settings);
    let finalized = client.finalized().await.unwrap().number;
    let error = transfers(&client, of(address_of(1), TokenStandard::Erc20), 40, 1_000)
        .await
        .unwrap_err();
    let ChainError::Unavailable { failures, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(failures[0].kind, FailureKind::Lagging, "{error}");
    assert!(
        proxy.ranges().iter().all(|(_, to)| *to <= finalized),
        "{:?}",
        proxy.ranges()
    );
    assert!(!proxy.ranges().is_empty());
}

#[tokio::test]
async fn call_at_a_block_is_not_sent_to_an_endpoint_that_does_not_have_it() {
    let anvil = Anvil::start().await;
    let token = played_token(&anvil, 10, 2).await;
    let faults = Faults {
        behind: 15,
        no_finalized: true,
        ..Faults::default()
    };
    let behind = RpcProxy::start(anvil.url(), faults).await;
    let client = client(&[&behind.url(), anvil.url()]);
    let at = anvil.head().await;
    client
        .call(Some(token.address()), vec![0x18, 0x16, 0x0d, 0xdd], Some(at))
        .await
        .unwrap();
    assert_eq!(behind.count("eth_call"), 0);
    assert_eq!(client.endpoints()[0].last_failure, Some(FailureKind::Lagging));
}

#[tokio::test]
async fn block_behind_the_head_is_none() {
    let anvil = Anvil::start().await;
    anvil.mine(5).await;
    let client = client(&[anvil.url()]);
    assert_eq!(client.block(5).await.unwrap().unwrap().number, 5);
    assert_eq!(client.block(6).await.unwrap(), None);
    let hanging = RpcProxy::start(
        anvil.url(),
        Faults {
            answer: Answer::Html,
            ..Faults::default()
        },
    )
    .await;
    let settings = ChainSettings {
        call_patience: Duration::from_millis(300),
        ..settings()
    };
    assert!(
        client_with(&[&hanging.url()], settings).block(6).await.is_err(),
        "a failure is not an absent block"
    );
}

#[tokio::test]
async fn block_that_a_lagging_endpoint_does_not_have_is_read_from_another() {
    let anvil = Anvil::start().await;
    anvil.mine(50).await;
    let behind = RpcProxy::start(
        anvil.url(),
        Faults {
            behind: 15,
            ..Faults::default()
        },
    )
    .await;
    let client = client(&[&behind.url(), anvil.url()]);
    assert_eq!(client.block(48).await.unwrap().unwrap().number, 48);
    assert_eq!(client.block(51).await.unwrap(), None);
}

#[tokio::test]
async fn block_that_was_final_before_the_start_makes_an_endpoint_lagging() {
    let anvil = Anvil::start().await;
    anvil.mine(50).await;
    let behind = RpcProxy::start(
        anvil.url(),
        Faults {
            behind: 15,
            ..Faults::default()
        },
    )
    .await;
    let final_block = client(&[anvil.url()]).finalized().await.unwrap();
    let client = client(&[&behind.url(), anvil.url()]);
    client.set_finalized(final_block);
    assert_eq!(client.finalized().await.unwrap(), final_block);
    assert_eq!(client.endpoints()[0].last_failure, Some(FailureKind::Lagging));
}

#[tokio::test]
async fn block_is_reported_by_each_endpoint() {
    let anvil = Anvil::start().await;
    anvil.mine(50).await;
    let behind = RpcProxy::start(
        anvil.url(),
        Faults {
            behind: 15,
            ..Faults::default()
        },
    )
    .await;
    let client = client(&[anvil.url(), &behind.url(), "http://127.0.0.1:1"]);
    let block = client.block(48).await.unwrap().unwrap();
    let reports = client.block_by_endpoint(48).await;
    let found: Vec<_> = reports
        .iter()
        .map(|report| report.block.as_ref().ok().copied())
        .collect();
    assert_eq!(found, [Some(Some(block)), Some(None), None]);
    let Err(failure) = &reports[2].block else {
        panic!("{reports:?}")
    };
    assert_eq!(
        (failure.endpoint.as_str(), failure.kind),
        ("127.0.0.1:1", FailureKind::Transport)
    );
}
