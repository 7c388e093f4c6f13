//! The network between an ingestor and the broker: lost responses, resets, latency, low bandwidth.

use std::sync::Arc;
use std::time::Duration;

use arrakis_test_support::{Direction, FaultProxy, TrafficFaults};

use crate::chaos::Invariant::{I1, I2, I3, I5, I6, I7};
use crate::chaos::{BROKER_BACK, Deployment, Guard, Scenario, Testbed};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 15,
        name: "confirm-lost",
        what: "confirms do not reach the ingestor, then the connection is cut",
        proves: &[I1, I2],
        alerts: &[],
        expected: "unconfirmed messages are published again, without a second effect",
        guard: Guard::FailPoint("db.guard.inbox=skip;worker.guard.done=skip"),
        without_guard: "12 of 32 events doubled",
        run: |testbed| Box::pin(confirm_lost(testbed)),
    },
    Scenario {
        fault: 16,
        name: "reset-in-mid-frame",
        what: "TCP reset after some hundred bytes, five times",
        proves: &[I1, I5],
        alerts: &[],
        expected: "recovery within 10 s",
        guard: Guard::FailPoint("broker.guard.reconnect=skip"),
        without_guard: "",
        run: |testbed| Box::pin(reset_in_mid_frame(testbed)),
    },
    Scenario {
        fault: 17,
        name: "latency-and-slicing",
        what: "20 ms each way to the broker, frames in pieces of 11 bytes",
        proves: &[I1, I3],
        alerts: &[],
        expected: "every command is deferred in time",
        guard: Guard::Harness("two seconds each way"),
        without_guard: "",
        run: |testbed| Box::pin(latency_and_slicing(testbed)),
    },
    Scenario {
        fault: 18,
        name: "bandwidth-cap",
        what: "20 kB/s to the broker, and 500 events",
        proves: &[I1, I6, I7],
        alerts: &["confirm-latency"],
        expected: "at most 64 unconfirmed messages, memory bounded",
        guard: Guard::Harness("the ingestor's window is 10,000 messages"),
        without_guard: "",
        run: |testbed| Box::pin(bandwidth_cap(testbed)),
    },
];

/// A platform on which only the ingestor connects to the broker through a fault proxy.
async fn proxied_ingestor(testbed: &mut Testbed, deployment: Deployment) -> anyhow::Result<Arc<FaultProxy>> {
    testbed.prepare(&deployment).await?;
    let url = testbed.platform().vhost().url();
    let proxy = testbed.proxy_to(&url).await;
    testbed
        .start_services(deployment.ingestor_env("AMQP_URL", proxy.proxied_url(&url)))
        .await?;
    Ok(proxy)
}

/// The broker has the messages and workers handle them; the ingestor has no confirms and publishes them again.
async fn confirm_lost(testbed: &mut Testbed) -> anyhow::Result<()> {
    let proxy = proxied_ingestor(testbed, Deployment::default()).await?;
    testbed.load(8).await?;
    testbed.wait_for_effects(4).await?;
    testbed.settle().await?;
    let swallowed = TrafficFaults {
        swallowed: true,
        ..TrafficFaults::default()
    };
    for _ in 0..3 {
        proxy.set(Direction::ToClient, swallowed);
        for _ in 0..4 {
            testbed.one_command("position").await?;
            testbed.one_leave().await?;
        }
        // They have their effect, and the command is younger than three seconds: without the guards, the copies would have effects, too.
        testbed.settle().await?;
        proxy.set(Direction::ToClient, TrafficFaults::default());
        proxy.close_connections();
        testbed.drained_ingestor().await?;
    }
    let resent = testbed
        .ingestor_metric("arrakis_ingestor_publishing", &[("what", "resent")])
        .await?;
    testbed.expect(I1, "unconfirmed messages are published again", resent > 0.5, "none was");
    testbed.expect_recovery(BROKER_BACK).await?;
    Ok(())
}

async fn reset_in_mid_frame(testbed: &mut Testbed) -> anyhow::Result<()> {
    let proxy = testbed.start_behind_proxy(Deployment::default(), "").await?;
    testbed.load(8).await?;
    testbed.wait_for_effects(6).await?;
    for bytes in [150, 900, 333, 4_001, 700] {
        let way = if bytes % 2 == 0 {
            Direction::ToServer
        } else {
            Direction::ToClient
        };
        let cut = TrafficFaults {
            reset_after: Some(bytes),
            ..TrafficFaults::default()
        };
        proxy.set(way, cut);
        tokio::time::sleep(Duration::from_millis(400)).await;
        proxy.set(way, TrafficFaults::default());
    }
    testbed.expect_recovery(BROKER_BACK).await?;
    Ok(())
}

async fn latency_and_slicing(testbed: &mut Testbed) -> anyhow::Result<()> {
    let proxy = testbed.start_behind_proxy(Deployment::default(), "").await?;
    let delay = Duration::from_millis(if testbed.guarded() { 20 } else { 2_000 });
    proxy.set_both_directions(TrafficFaults {
        delay,
        slice: Some(11),
        ..TrafficFaults::default()
    });
    testbed.load(8).await?;
    testbed.wait_for_effects(16).await?;
    let tally = testbed.check_ledger().await?;
    testbed.expect(
        I3,
        "every command is deferred in time",
        tally.expired == 0,
        format!("{} expired", tally.expired),
    );
    Ok(())
}

async fn bandwidth_cap(testbed: &mut Testbed) -> anyhow::Result<()> {
    const WINDOW: u64 = 64;
    let window = if testbed.guarded() { WINDOW } else { 10_000 };
    let deployment = Deployment::default().ingestor_env("INGESTOR_WINDOW", window.to_string());
    let proxy = proxied_ingestor(testbed, deployment).await?;
    proxy.set(
        Direction::ToServer,
        TrafficFaults {
            rate: Some(20_000),
            ..TrafficFaults::default()
        },
    );
    testbed.burst(20).await?;
    testbed.flood(500).await?;
    let (mut most, mut megabytes) = (0, 0);
    for _ in 0..10 {
        most = most.max(testbed.unconfirmed().await?);
        megabytes = megabytes.max(testbed.ingestor_megabytes());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    testbed.expect(
        I7,
        format!("at most {WINDOW} unconfirmed messages"),
        most <= WINDOW,
        most,
    );
    testbed.expect(
        I7,
        "memory of the ingestor is bounded",
        megabytes < 75,
        format!("{megabytes} MB"),
    );
    testbed.expect_alert("confirm-latency").await?;
    proxy.set(Direction::ToServer, TrafficFaults::default());
    Ok(())
}
