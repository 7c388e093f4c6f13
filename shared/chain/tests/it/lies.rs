//! Responses that contradict the request or each other are failures of the endpoint, and another one is used.

use arrakis_chain::{ChainError, ChainSettings, FailureKind, TokenStandard};
use arrakis_test_support::Anvil;

use crate::support::{
    Faults, RpcProxy, Tamper, all, assert_equals_ledger, client, client_with, of, played_token, settings, transfers,
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
            logs_patience: std::time::Duration::from_millis(200),
            ..settings()
        };
        let error = transfers(&client_with(&[&liar.url()], alone), filter, 1, last)
            .await
            .unwrap_err();
        assert!(matches!(error, ChainError::Unavailable { .. }), "{tamper:?}: {error}");
    }
}

#[tokio::test]
async fn removed_logs_are_dropped() {
    let anvil = Anvil::start().await;
    let token = played_token(&anvil, 3, 2).await;
    let proxy = RpcProxy::start(
        anvil.url(),
        Faults {
            tamper: Some(Tamper::Removed),
            ..Faults::default()
        },
    )
    .await;
    let read = all(&client(&[&proxy.url()]), of(token.address(), TokenStandard::Erc20)).await;
    assert_eq!(read.len(), anvil.ledger().of(token.address()).count() - 1);
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
