//! Properties: reading in pieces of any size equals reading at once, whatever an endpoint refuses.

use arrakis_chain::{ChainSettings, TokenStandard, Transfer};
use arrakis_test_support::Anvil;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{
    Faults, RpcProxy, all, assert_equals_ledger, client, client_with, of, played_token, settings, transfers,
};

/// Faults that leave the logs complete.
fn faults() -> impl Strategy<Value = Faults> {
    (
        proptest::option::of(1_u64..40),
        proptest::option::of(12_usize..60),
        proptest::option::of(100_usize..101),
    )
        .prop_map(|(max_range, max_logs, cut_logs)| Faults {
            max_range: max_range.map(|max| (max, -32602, "block range too large")),
            max_logs: max_logs.map(|max| (max, -32005, "query returned too many results")),
            cut_logs,
            ..Faults::default()
        })
}

#[expect(clippy::result_large_err, reason = "the error is proptest's")]
#[tokio::test(flavor = "multi_thread")]
async fn pieces_of_any_size_equal_the_whole() {
    let anvil = Anvil::start().await;
    let token = played_token(&anvil, 60, 5).await;
    let filter = of(token.address(), TokenStandard::Erc20);
    let whole = all(&client(&[anvil.url()]), filter).await;
    assert_equals_ledger(&whole, &anvil.ledger(), token.address());
    let last = anvil.finalized().await;
    let proxy = RpcProxy::start(anvil.url(), Faults::default()).await;
    let url = proxy.url();

    let strategy = (faults(), 1_u64..80, prop::collection::vec(0..=last, 0..6));
    let runtime = tokio::runtime::Handle::current();
    let checked = tokio::task::spawn_blocking(move || {
        let mut runner = TestRunner::new(Config {
            cases: 24,
            failure_persistence: None,
            ..Config::default()
        });
        runner.run(&strategy, |(faults, first_log_range, mut cuts)| {
            proxy.set(faults);
            cuts.sort_unstable();
            let settings = ChainSettings {
                first_log_range,
                ..settings()
            };
            let read: Vec<Transfer> = runtime.block_on(async {
                let client = client_with(&[&url], settings);
                let mut read = Vec::new();
                let mut from = 0;
                for to in cuts.into_iter().chain([last]) {
                    read.extend(transfers(&client, filter, from, to).await.unwrap());
                    from = from.max(to + 1);
                }
                read
            });
            prop_assert_eq!(&read, &whole);
            Ok(())
        })
    });
    checked.await.unwrap().unwrap();
}
