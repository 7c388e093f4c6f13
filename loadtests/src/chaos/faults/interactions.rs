//! Interactions by HTTP: messages of the interactions endpoint reach the broker late, or the endpoint has a wrong key.

use std::time::Duration;

use anyhow::Context as _;
use arrakis_test_support::{Direction, TrafficFaults};

use super::workers::{EXPIRED, statuses};
use crate::chaos::Invariant::{I1, I3, I5, I6};
use crate::chaos::{BROKER_BACK, Deployment, Guard, PROCESS_BACK, Scenario, Testbed};

/// Time from the endpoint to the broker: the three seconds of an interaction are over when its message arrives.
const DELAY: Duration = Duration::from_secs(4);
/// A public key of another application: the first test vector of RFC 8032.
const OTHER_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 17,
        name: "http-interactions-delayed",
        what: "4 s from the endpoint of interactions by HTTP to the broker",
        proves: &[I1, I3, I5, I6],
        alerts: &["interactions-unavailable"],
        expected: "the endpoint responds with 503 in time, and no late interaction is answered; recovery within 10 s",
        guard: Guard::FailPoint("worker.guard.expiry=skip"),
        without_guard: "no interaction expired",
        run: |testbed| Box::pin(delayed(testbed)),
    },
    Scenario {
        fault: 60,
        name: "http-interactions-wrong-key",
        what: "the endpoint of interactions by HTTP is started with the public key of another application",
        proves: &[I1, I5, I6],
        alerts: &["interactions-refused"],
        expected: "it refuses every interaction; recovery within 5 s of a start with the right key",
        guard: Guard::Harness("the key stays wrong"),
        without_guard: "",
        run: |testbed| Box::pin(wrong_key(testbed)),
    },
];

async fn delayed(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default()).await?;
    let url = testbed.platform().vhost().url();
    let network = testbed.proxy_to(&url).await;
    let variables = [("AMQP_URL".to_owned(), network.proxied_url(&url))];
    start_endpoint(testbed, &variables).await?;
    testbed.wait_for_scrape().await?;
    testbed.load(10).await?;
    testbed.wait_for_effects(20).await?;
    let before = statuses(testbed, "callback", 404).await?;
    let slow = TrafficFaults {
        delay: DELAY,
        ..TrafficFaults::default()
    };
    network.set(Direction::ToServer, slow);
    let expires = async |testbed: &mut Testbed| Ok(testbed.worker_metric(EXPIRED, &[]).await? >= 1.0);
    testbed.wait_until("interactions to expire", expires).await?;
    testbed.expect_alert("interactions-unavailable").await?;
    network.set(Direction::ToServer, TrafficFaults::default());
    testbed.expect_recovery(BROKER_BACK).await?;
    testbed.expect_alert_ends("interactions-unavailable").await?;
    testbed.stop_load().await?;
    testbed.settle().await?;
    let (expired, late) = (
        testbed.worker_metric(EXPIRED, &[]).await?,
        statuses(testbed, "callback", 404).await? - before,
    );
    #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
    let rarely = (late as f64) < expired / 2.0;
    testbed.expect(
        I3,
        "no first response is sent that is certainly late",
        rarely,
        format!("{late} of {expired}"),
    );
    let deliveries = testbed.stats().await?.interaction_deliveries;
    let refused = deliveries.get("503").copied().unwrap_or(0);
    let unanswered = deliveries.get("none").copied().unwrap_or(0);
    testbed.expect(
        I3,
        "the endpoint responds within three seconds",
        refused > 0 && unanswered == 0,
        format!("{deliveries:?}"),
    );
    Ok(())
}

/// Discord's requests have signatures of a key that the endpoint does not have.
async fn wrong_key(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default()).await?;
    start_endpoint(testbed, &[]).await?;
    testbed.wait_for_scrape().await?;
    let right = testbed.discord().interactions_endpoint().await?.public_key;
    testbed.load(20).await?;
    testbed.wait_for_effects(20).await?;
    restart_with(testbed, OTHER_KEY).await?;
    testbed.expect_alert("interactions-refused").await?;
    let corrected = if testbed.guarded() { right.as_str() } else { OTHER_KEY };
    restart_with(testbed, corrected).await?;
    testbed.expect_recovery(PROCESS_BACK).await?;
    testbed.expect_alert_ends("interactions-refused").await
}

/// Starts the endpoint, to which the emulator delivers every interaction from then on.
async fn start_endpoint(testbed: &mut Testbed, variables: &[(String, String)]) -> anyhow::Result<()> {
    let platform = testbed.platform();
    platform.spawn_interactions(variables).await?.ready().await;
    platform.deliver_by_http(0).await
}

async fn restart_with(testbed: &mut Testbed, public_key: &str) -> anyhow::Result<()> {
    let endpoint = testbed.platform().interactions.first_mut();
    let endpoint = endpoint.context("the endpoint has not been started")?;
    endpoint.kill().await;
    endpoint.set("DISCORD_PUBLIC_KEY", Some(public_key));
    endpoint.start_again();
    endpoint.ready().await;
    Ok(())
}
