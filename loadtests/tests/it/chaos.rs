//! Quick scenarios of `./dev chaos`, and one of them without its guard, to show that the ledger detects a failure.

use std::path::Path;

use loadtests::chaos::{ReusableServers, RunOptions, by_name, run};

async fn run_scenario(name: &str, guarded: bool) {
    arrakis_runtime::install_crypto_provider();
    let logs = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos");
    let options = RunOptions {
        guarded,
        seed: 1,
        soak: None,
    };
    let row = Box::pin(run(
        &mut ReusableServers::default(),
        &by_name(name).unwrap(),
        &options,
        &logs,
    ))
    .await;
    println!("{}", row.line());
    assert!(
        row.passed(),
        "{name}: {:#?}; logs are in {}",
        row.failures,
        logs.display()
    );
}

#[tokio::test]
async fn queue_with_other_arguments_is_refused() {
    run_scenario("topology-differs", true).await;
}

#[tokio::test]
async fn lost_confirms_lose_and_double_nothing() {
    run_scenario("confirm-lost", true).await;
}

#[tokio::test]
async fn resets_in_mid_frame_lose_nothing() {
    run_scenario("reset-in-mid-frame", true).await;
}

#[tokio::test]
async fn scenario_without_its_guard_fails() {
    run_scenario("topology-differs", false).await;
}
