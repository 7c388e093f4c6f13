//! The demo is a test: what a newcomer sees is what holds.

use loadtests::demo::{self, Transcript};

#[tokio::test]
async fn the_demo_holds() {
    arrakis_runtime::install_crypto();
    let mut transcript = Transcript::new(std::io::stdout(), false);
    let (mut platform, plan) = demo::open(&mut transcript, 1).await.unwrap();
    demo::play(&mut platform, &plan, &mut transcript).await.unwrap();
    platform.stop().await;
    assert!(transcript.finish(), "the transcript above says what did not hold");
}
