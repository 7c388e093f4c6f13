//! The quick scenarios of `./dev chaos`, so that a promise that breaks is seen at once, and one of them without its guard, so
//! that a ledger that sees nothing is, too.

use std::path::Path;

use loadtests::chaos::{Lab, Terms, by_name, faults, run};

async fn play(names: &[&str], guarded: bool) {
    arrakis_runtime::install_crypto_provider();
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
async fn the_quick_faults_break_no_promise() {
    play(faults::QUICK, true).await;
}

#[tokio::test]
async fn a_fault_without_its_guard_is_seen() {
    play(&["topology-differs"], false).await;
}
