//! The quick scenarios of `./dev chaos`, and one of them without its guard, to show that the ledger detects a failure.

use std::path::Path;

use loadtests::chaos::{ReusableServers, RunOptions, by_name, faults, run};

async fn run_scenarios(names: &[&str], guarded: bool) {
    arrakis_runtime::install_crypto_provider();
    let logs = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos");
    let mut reusable = ReusableServers::default();
    let options = RunOptions {
        guarded,
        seed: 1,
        soak: None,
    };
    for name in names {
        let row = Box::pin(run(&mut reusable, &by_name(name).unwrap(), &options, &logs)).await;
        println!("{}", row.line());
        assert!(
            row.passed(),
            "{name}: {:#?}; logs are in {}",
            row.failures,
            logs.display()
        );
    }
}

#[tokio::test]
async fn quick_scenarios_pass_with_their_guards() {
    run_scenarios(faults::QUICK, true).await;
}

#[tokio::test]
async fn scenario_without_its_guard_fails() {
    run_scenarios(&["topology-differs"], false).await;
}
