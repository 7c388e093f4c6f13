//! The broker dies, restarts, hangs, closes connections.

use crate::chaos::Invariant::{I1, I2, I5};
use crate::chaos::{BROKER_BACK, Guard, Scenario, Shape, Stage};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    fault: 1,
    name: "broker-killed",
    what: "SIGKILL of the broker's process",
    proves: &[I1, I2, I5],
    guard: Guard::Harness("the broker comes back without its disk"),
    run: |stage| Box::pin(killed(stage)),
}];

async fn killed(stage: &mut Stage) -> anyhow::Result<()> {
    stage.private_broker().await?;
    stage.start(Shape::default()).await?;
    stage.load(40).await?;
    stage.flows(40).await?;
    stage.broker().kill().await;
    if !stage.guarded() {
        stage.broker().lose_disk()?;
    }
    stage.broker().start_again().await?;
    stage.recovers(BROKER_BACK).await?;
    Ok(())
}
