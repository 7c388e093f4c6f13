//! Endpoints that fail, and endpoints that work again.

use std::time::Duration;

use arrakis_chain::{CallResult, ChainError, ChainSettings, EndpointState, FailureKind};
use arrakis_test_support::{Anvil, address_of, eventually};
use tokio::time::Instant;

use crate::support::{Answer, Faults, RpcProxy, client, client_with, settings};

fn answering(answer: Answer) -> Faults {
    Faults {
        answer,
        ..Faults::default()
    }
}

#[tokio::test]
async fn request_is_answered_by_another_endpoint_after_every_failure() {
    let anvil = Anvil::start().await;
    anvil.mine(10).await;
    let cases = [
        (answering(Answer::Html), FailureKind::Transport),
        (answering(Answer::Status(502, "<html>")), FailureKind::Transport),
        (answering(Answer::Status(302, "")), FailureKind::Transport),
        (answering(Answer::Half), FailureKind::Transport),
        (answering(Answer::Hang), FailureKind::TimedOut),
        (answering(Answer::Endless), FailureKind::TooLarge),
        (answering(Answer::RateLimited(1)), FailureKind::RateLimited),
        (answering(Answer::Error(429, "compute units")), FailureKind::RateLimited),
        (answering(Answer::Status(401, "no")), FailureKind::Unauthorized),
        (answering(Answer::Status(403, "no")), FailureKind::Unauthorized),
        (
            answering(Answer::Error(-32600, "Must be authenticated!")),
            FailureKind::Unauthorized,
        ),
        (
            answering(Answer::Error(-32603, "Internal error")),
            FailureKind::Rejected,
        ),
        (
            answering(Answer::Error(-32000, "header not found")),
            FailureKind::Rejected,
        ),
        (
            Faults {
                chain_id: Some(1),
                ..Faults::default()
            },
            FailureKind::WrongChain,
        ),
    ];
    for (faults, kind) in cases {
        let what = format!("{faults:?}");
        let proxy = RpcProxy::start(anvil.url(), faults).await;
        let settings = ChainSettings {
            call_timeout: Duration::from_millis(400),
            max_response: 4 * 1024 * 1024,
            ..settings()
        };
        let client = client_with(&[&proxy.url(), anvil.url()], settings);
        let block = client.block(7).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(block.unwrap().number, 7);
        let health = &client.endpoints()[0];
        assert_eq!(health.last_failure, Some(kind), "{what}: {health:?}");
        assert_eq!(client.endpoints()[1].state, EndpointState::Ready);
    }
}

#[tokio::test]
async fn every_endpoint_is_named_when_none_answers() {
    let anvil = Anvil::start().await;
    let html = RpcProxy::start(anvil.url(), answering(Answer::Html)).await;
    let client = client(&[&html.url(), "http://127.0.0.1:1/"]);
    let begun = Instant::now();
    let error = client.finalized().await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let ChainError::Unavailable { failures, .. } = &error else {
        panic!("{error}")
    };
    assert!(error.is_temporary() && failures.len() == 2, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("is not JSON-RPC") && text.contains("127.0.0.1:1: ") && text.contains("chain 80094"),
        "{text}"
    );
}

#[tokio::test]
async fn failing_endpoint_is_paused_and_used_again_when_it_works() {
    let anvil = Anvil::start().await;
    anvil.mine(10).await;
    let proxy = RpcProxy::start(anvil.url(), answering(Answer::Status(503, "no"))).await;
    let settings = ChainSettings {
        first_pause: Duration::from_millis(400),
        ..settings()
    };
    let client = client_with(&[&proxy.url(), anvil.url()], settings);
    for _ in 0..3 {
        client.block(1).await.unwrap();
    }
    assert_eq!(client.endpoints()[0].state, EndpointState::Paused);
    let requests = proxy.total();
    client.block(1).await.unwrap();
    assert_eq!(proxy.total(), requests, "a paused endpoint gets no request");

    proxy.set(Faults::default());
    let works = || async {
        client.block(1).await.unwrap();
        client.endpoints()[0].state == EndpointState::Ready
    };
    eventually(works, "the endpoint to be used again").await;
    assert_eq!(client.endpoints()[0].consecutive_failures, 0);
    assert!(proxy.count("eth_chainId") > 0, "the chain id is verified after a pause");
}

#[tokio::test]
async fn paused_endpoint_is_probed_by_one_request() {
    let anvil = Anvil::start().await;
    anvil.mine(10).await;
    let proxy = RpcProxy::start(anvil.url(), answering(Answer::Status(503, "no"))).await;
    let settings = ChainSettings {
        first_pause: Duration::from_millis(200),
        ..settings()
    };
    let client = client_with(&[&proxy.url(), anvil.url()], settings);
    for _ in 0..3 {
        client.block(1).await.unwrap();
    }
    proxy.set(answering(Answer::Hang));
    tokio::time::sleep(Duration::from_millis(250)).await;
    let before = proxy.total();
    let requests = (0..20).map(|_| client.block(1));
    for result in futures_util::future::join_all(requests).await {
        assert_eq!(result.unwrap().unwrap().number, 1);
    }
    assert_eq!(proxy.total() - before, 1);
}

#[tokio::test]
async fn rate_limited_endpoint_is_left_alone_as_long_as_it_requests() {
    let anvil = Anvil::start().await;
    anvil.mine(3).await;
    let proxy = RpcProxy::start(anvil.url(), answering(Answer::RateLimited(1))).await;
    let client = client(&[&proxy.url()]);
    let begun = Instant::now();
    let waiting = client.block(1);
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(700), &mut waiting).await;
    assert!(early.is_err(), "no answer while the endpoint is paused");
    assert_eq!(proxy.total(), 1, "one request until the pause is over");
    proxy.set(Faults::default());
    assert_eq!(waiting.await.unwrap().unwrap().number, 1);
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn contract_that_fails_everywhere_pauses_no_endpoint() {
    let anvil = Anvil::start().await;
    // invalid opcode; revert with data; a revert without; an endless loop.
    for (number, code) in [
        (1, "fe"),
        (2, "63deadbeef60005260046000fd"),
        (3, "60006000fd"),
        (4, "5b600056"),
    ] {
        anvil.set_code(address_of(number), code).await;
    }
    let client = client(&[anvil.url()]);
    for _ in 0..5 {
        for number in [1, 2, 3, 4] {
            let result = client
                .call(Some(address_of(number)), vec![1, 2, 3, 4], None)
                .await
                .unwrap();
            let CallResult::Reverted(_) = result else {
                panic!("{number}: {result:?}")
            };
        }
    }
    assert_eq!(client.endpoints()[0].state, EndpointState::Ready);
    let returned = client.call(Some(address_of(99)), vec![], None).await.unwrap();
    assert_eq!(returned, CallResult::Returned(vec![]));
}

#[tokio::test]
async fn call_without_receiver_runs_creation_code() {
    let anvil = Anvil::start().await;
    let client = client(&[anvil.url()]);
    // Returns the byte 0x01, as the validator of ERC-6492 does.
    let code = vec![0x60, 0x01, 0x60, 0x00, 0x53, 0x60, 0x01, 0x60, 0x00, 0xf3];
    assert_eq!(
        client.call(None, code, None).await.unwrap(),
        CallResult::Returned(vec![1])
    );
    let reverting = vec![0x60, 0x00, 0x60, 0x00, 0xfd];
    assert_eq!(
        client.call(None, reverting, None).await.unwrap(),
        CallResult::Reverted(vec![])
    );
}
