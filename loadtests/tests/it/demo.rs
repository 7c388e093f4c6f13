//! The demo as a test.

use std::path::Path;

use discord_emulator::openapi::Checker;
use loadtests::demo::{self, Transcript};
use loadtests::platform::Platform;

#[tokio::test]
async fn demo_passes() {
    arrakis_runtime::install_crypto_provider();
    let mut transcript = Transcript::new(std::io::stdout(), false);
    let mut stage = demo::open(&mut transcript, 1).await.unwrap();
    assert!(
        stage.chain.is_some(),
        "ANVIL names no program: the second act would be left out"
    );
    demo::play(&mut stage, &mut transcript).await.unwrap();
    hold_to_discords_own_document(&stage.platform).await;
    stage.platform.stop().await;
    assert!(transcript.finish(), "the transcript above shows the failed checks");
}

/// Checks every request of our services and every response of the emulator against Discord's OpenAPI document, where it exists.
async fn hold_to_discords_own_document(platform: &Platform) {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let Some(checker) = Checker::find(&checkout).unwrap() else {
        println!("Discord's OpenAPI document is missing: no call was checked against it");
        return;
    };
    let report = checker.check_ledger(&platform.discord.rest_ledger().await.unwrap());
    assert!(
        report.checked > 50,
        "only {} calls were checked, {} skipped",
        report.checked,
        report.skipped
    );
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
}
