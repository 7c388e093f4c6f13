//! Responses that contradict the request or each other are failures of the endpoint, and another one is used.

use std::time::Duration;

use arrakis_chain::{ChainError, ChainSettings, EndpointState, FailureKind, TokenStandard};
use arrakis_test_support::Anvil;

use crate::support::{
    Faults, RpcProxy, Tamper, all, assert_equals_ledger, batches, client, client_with, of, played_token, settings,
    transfers,
};

#[tokio::test]
async fn tampered_logs_are_not_used() {
    let anvil = Anvil::start().await;
    let token = played_token(&anvil, 10, 2).await;
    let filter = of(token.address(), TokenStandard::Erc20);
    // The last log is in the last block of the range.
    let last = anvil.ledger().of(token.address()).last().unwrap().block.unwrap();
    for tamper in [
        Tamper::Address,
        Tamper::Topic,
        Tamper::Block,
        Tamper::BlockHash,
        Tamper::Twice,
        Tamper::Removed,
        Tamper::Null,
    ] {
        let liar = RpcProxy::start(
            anvil.url(),
            Faults {
                tamper: Some(tamper),
                ..Faults::default()
            },
        )
        .await;
        let both = client(&[&liar.url(), anvil.url()]);
        let read = transfers(&both, filter, 1, last).await.unwrap();
        assert_equals_ledger(&read, &anvil.ledger(), token.address());
        assert_eq!(
            both.endpoints()[0].last_failure,
            Some(FailureKind::Inconsistent),
            "{tamper:?}"
        );

        let alone = ChainSettings {
            logs_patience: Duration::from_millis(200),
            ..settings()
        };
        let error = transfers(&client_with(&[&liar.url()], alone), filter, 1, last)
            .await
            .unwrap_err();
        assert!(matches!(error, ChainError::Unavailable { .. }), "{tamper:?}: {error}");
    }
}

#[tokio::test]
async fn malformed_logs_are_read_from_another_endpoint() {
    let anvil = Anvil::start().await;
    let token = played_token(&anvil, 10, 2).await;
    let filter = of(token.address(), TokenStandard::Erc20);
    let last = anvil.ledger().of(token.address()).last().unwrap().block.unwrap();
    for tamper in [Tamper::NoData, Tamper::ShortData, Tamper::MoreTopics] {
        let faults = Faults {
            tamper: Some(tamper),
            ..Faults::default()
        };
        let liar = RpcProxy::start(anvil.url(), faults.clone()).await;
        let both = client(&[&liar.url(), anvil.url()]);
        let read = transfers(&both, filter, 1, last).await.unwrap();
        assert_equals_ledger(&read, &anvil.ledger(), token.address());
        // The other endpoint has these blocks without a malformed log.
        assert_eq!(
            both.endpoints()[0].last_failure,
            Some(FailureKind::Inconsistent),
            "{tamper:?}"
        );

        // Where each endpoint has it, the contract may be the cause: no endpoint is paused for it.
        let second = RpcProxy::start(anvil.url(), faults).await;
        for urls in [vec![liar.url()], vec![liar.url(), second.url()]] {
            let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
            let client = client(&urls);
            let error = transfers(&client, filter, 1, last).await.unwrap_err();
            assert!(matches!(error, ChainError::Contract { .. }), "{tamper:?}: {error}");
            let text = error.to_string();
            for part in ["transaction 0x", "ERC-20", &format!("block {last}")] {
                assert!(text.contains(part), "{tamper:?}: {text}");
            }
            for endpoint in client.endpoints() {
                assert_eq!(
                    (endpoint.state, endpoint.last_failure),
                    (EndpointState::Ready, Some(FailureKind::Malformed)),
                    "{tamper:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn blocks_of_a_faulty_response_are_read_again() {
    let anvil = Anvil::start().await;
    let token = played_token(&anvil, 4, 2).await;
    let filter = of(token.address(), TokenStandard::Erc20);
    let last = anvil.ledger().of(token.address()).last().unwrap().block.unwrap();
    for tamper in [Tamper::Null, Tamper::Removed, Tamper::NoData] {
        let faults = Faults {
            tamper: Some(tamper),
            ..Faults::default()
        };
        let proxy = RpcProxy::start(anvil.url(), faults).await;
        let settings = ChainSettings {
            logs_patience: Duration::from_secs(1),
            first_pause: Duration::from_millis(1),
            ..settings()
        };
        let client = client_with(&[&proxy.url()], settings);
        let mut reader = client.transfers(filter, 1, last);
        let error = reader.next().await.unwrap_err();
        assert!(error.to_string().contains("127.0.0.1"), "{tamper:?}: {error}");
        proxy.set(Faults::default());
        let read = batches(reader, 1).await.unwrap();
        let read: Vec<_> = read.into_iter().flat_map(|batch| batch.transfers).collect();
        assert_equals_ledger(&read, &anvil.ledger(), token.address());
    }
}

#[tokio::test]
async fn empty_response_is_compared_with_a_second_endpoint() {
    let anvil = Anvil::start().await;
    let token = played_token(&anvil, 10, 2).await;
    let filter = of(token.address(), TokenStandard::Erc20);
    let last = anvil.ledger().of(token.address()).last().unwrap().block.unwrap();
    let empty = Faults {
        tamper: Some(Tamper::Empty),
        ..Faults::default()
    };
    let liar = RpcProxy::start(anvil.url(), empty).await;
    for (max_range, is_compared) in [
        (None, true),
        (Some((3, -32000, "too wide")), true),
        (Some((0, -32000, "no")), false),
    ] {
        let limited = Faults {
            max_range,
            ..Faults::default()
        };
        let honest = RpcProxy::start(anvil.url(), limited).await;
        let client = client(&[&liar.url(), &honest.url()]);
        let read = transfers(&client, filter, 1, last).await.unwrap();
        if is_compared {
            assert_equals_ledger(&read, &anvil.ledger(), token.address());
            assert_eq!(client.endpoints()[0].last_failure, Some(FailureKind::Inconsistent));
        } else {
            // Without a second endpoint that returns logs, the first one's response counts.
            assert_eq!(read, []);
            assert_eq!(client.endpoints()[1].last_failure, Some(FailureKind::Rejected));
        }
    }
    // Blocks without logs are read although an endpoint is down.
    let client = client(&[anvil.url(), "http://127.0.0.1:1/"]);
    let nothing = of(arrakis_test_support::address_of(77), TokenStandard::Erc20);
    assert_eq!(transfers(&client, nothing, 1, last).await.unwrap(), []);
    assert_eq!(client.endpoints()[0].last_failure, None);
}

#[tokio::test]
async fn parts_with_fewer_logs_than_the_whole_are_a_contradiction() {
    let anvil = Anvil::start().await;
    let token = anvil.deploy_erc20("Bera Governance Token", "BGT", 18).await;
    for _ in 0..101 {
        token.mint(token.distributor(), 1).await;
    }
    anvil.finalize().await;
    // Each response lacks its last log: 100 of 101, then two parts with fewer together.
    let liar = RpcProxy::start(
        anvil.url(),
        Faults {
            tamper: Some(Tamper::Missing),
            ..Faults::default()
        },
    )
    .await;
    let client = client(&[&liar.url(), anvil.url()]);
    let read = all(&client, of(token.address(), TokenStandard::Erc20)).await;
    assert_equals_ledger(&read, &anvil.ledger(), token.address());
    assert_eq!(client.endpoints()[0].last_failure, Some(FailureKind::Inconsistent));
}
