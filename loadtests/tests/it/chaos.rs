//! The quick scenarios of `./dev chaos`, and one of them without its guard, to show that the ledger detects a failure.

use std::path::Path;

use loadtests::chaos::{Lab, Terms, by_name, faults, run};

async fn play(names: &[&str], guarded: bool) {
    arrakis_runtime::install_crypto();
    let logs = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos");
    let mut lab = Lab::default();
    let terms = Terms {
        guarded,
        seed: 1,
        soak: None,
    };
    for name in names {
        let row = Box::pin(run(&mut lab, &by_name(name).unwrap(), &terms, &logs)).await;
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
    play(faults::QUICK, true).await;
}

#[tokio::test]
async fn scenario_without_its_guard_fails() {
    play(&["topology-differs"], false).await;
}
