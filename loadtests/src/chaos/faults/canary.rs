//! A canary serves a growing share of the servers under load, and is killed.

use std::time::Duration;

use arrakis_config::Secret;
use arrakis_db::{Admin, DatabaseOptions};

use crate::chaos::Invariant::{I1, I2, I3, I5, I6};
use crate::chaos::{Deployment, Guard, Scenario, Testbed};

/// The share that a worker hands over.
const SHARE: &str = "arrakis_worker_canary_share_percent";
/// Index of the canary among the workers.
const CANARY: usize = 2;
/// The stable workers see the end of the canary's connection at once; without them its messages wait for more than four seconds.
const TAKEN_BACK: Duration = Duration::from_secs(2);

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    fault: 20,
    name: "canary-killed",
    what: "a canary serves 10, 50 and 100 % of the servers under load, is killed, comes back, and the share is set to 0",
    proves: &[I1, I2, I3, I5, I6],
    alerts: &["service-down"],
    expected: "recovery within 2 s of the kill; every event has one effect",
    guard: Guard::FailPoint("worker.guard.take_back=skip"),
    without_guard: "29 of 502 commands expired, recovery after 3.8 s",
    run: |testbed| Box::pin(killed(testbed)),
}];

async fn killed(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default().workers(3)).await?;
    let canary = &mut testbed.platform().workers[CANARY];
    canary.kill().await;
    canary.set("WORKER_GROUP", Some("canary"));
    canary.start_again();
    canary.ready().await;
    testbed.load(20).await?;
    testbed.wait_for_effects(5).await?;
    for percent in [10, 50, 100] {
        set_share(testbed, percent).await?;
        testbed.wait_for_effects(20).await?;
    }
    let served = testbed.platform().workers[CANARY]
        .metric("arrakis_worker_messages_total", &[("verdict", "done")])
        .await?;
    testbed.expect(I6, "the canary has served", served > 0.0, served);
    // The kill at the beginning may have raised the alert.
    testbed.expect_no_alerts().await?;
    testbed.platform().workers[CANARY].kill().await;
    testbed.expect_recovery(TAKEN_BACK).await?;
    wait_for_share(testbed, 0).await?;
    testbed.expect_alert("service-down").await?;
    let canary = &mut testbed.platform().workers[CANARY];
    canary.start_again();
    canary.ready().await;
    wait_for_share(testbed, 100).await?;
    testbed.expect_alert_ends("service-down").await?;
    testbed.wait_for_effects(20).await?;
    set_share(testbed, 0).await?;
    testbed.wait_for_effects(20).await?;
    testbed.stop_load().await?;
    testbed.settle().await?;
    let tally = testbed.check_ledger().await?;
    testbed.expect(I3, "no command expires", tally.expired == 0, tally.expired);
    Ok(())
}

/// Sets the share as an operator does, and waits until the stable workers follow it.
async fn set_share(testbed: &mut Testbed, percent: u8) -> anyhow::Result<()> {
    let url = Secret::new(testbed.platform().database().admin_url());
    let admin = Admin::connect(&url, DatabaseOptions::default()).await?;
    let mut tx = admin.database().global().await?;
    tx.set_canary_share(percent, "chaos", "the scenario").await?;
    tx.commit().await?;
    wait_for_share(testbed, percent).await
}

async fn wait_for_share(testbed: &mut Testbed, percent: u8) -> anyhow::Result<()> {
    let followed = async |testbed: &mut Testbed| {
        for worker in &testbed.platform().workers[..CANARY] {
            if (worker.metric(SHARE, &[]).await? - f64::from(percent)).abs() > 0.5 {
                return Ok(false);
            }
        }
        Ok(true)
    };
    testbed
        .wait_until("the stable workers to follow the share", followed)
        .await
}
