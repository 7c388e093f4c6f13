//! The network between an ingestor and the broker: lost responses, resets, latency, low bandwidth.

use std::sync::Arc;
use std::time::Duration;

use arrakis_test_support::{FaultProxy, Terms, Way};

use crate::chaos::Invariant::{I1, I2, I3, I5, I7};
use crate::chaos::{BROKER_BACK, Guard, Scenario, Shape, Stage};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 15,
        name: "confirm-lost",
        what: "what the broker says does not reach the ingestor, then the connection is cut",
        proves: &[I1, I2],
        guard: Guard::FailPoint("worker.guard.inbox=skip;worker.guard.done=skip"),
        run: |stage| Box::pin(confirm_lost(stage)),
    },
    Scenario {
        fault: 16,
        name: "reset-in-mid-frame",
        what: "RST after some hundred bytes, five times",
        proves: &[I1, I5],
        guard: Guard::FailPoint("broker.guard.reconnect=skip"),
        run: |stage| Box::pin(reset_in_mid_frame(stage)),
    },
    Scenario {
        fault: 17,
        name: "latency-and-slicing",
        what: "20 ms each way to the broker, every frame in pieces of 11 bytes",
        proves: &[I1, I3],
        guard: Guard::Harness("two seconds each way"),
        run: |stage| Box::pin(latency_and_slicing(stage)),
    },
    Scenario {
        fault: 18,
        name: "bandwidth-cap",
        what: "20 kB a second to the broker, and 500 events",
        proves: &[I1, I7],
        guard: Guard::Harness("the ingestor's window is 10,000 messages"),
        run: |stage| Box::pin(bandwidth_cap(stage)),
    },
];

/// A platform on which only the ingestor connects to the broker through a fault proxy.
async fn proxied_ingestor(stage: &mut Stage, shape: Shape) -> anyhow::Result<Arc<FaultProxy>> {
    stage.prepare(&shape).await?;
    let url = stage.platform().vhost().url();
    let proxy = stage.proxy_to(&url).await;
    stage
        .start_services(shape.ingestor_env("AMQP_URL", proxy.in_front_of(&url)))
        .await?;
    Ok(proxy)
}

/// The broker has the messages and workers handle them; the ingestor has no confirms and publishes them again.
async fn confirm_lost(stage: &mut Stage) -> anyhow::Result<()> {
    let proxy = proxied_ingestor(stage, Shape::default()).await?;
    stage.load(8).await?;
    stage.flows(4).await?;
    stage.settle().await?;
    let swallowed = Terms {
        swallowed: true,
        ..Terms::default()
    };
    for _ in 0..3 {
        proxy.set(Way::ToClient, swallowed);
        for _ in 0..4 {
            stage.one_command("position").await?;
            stage.one_leave().await?;
        }
        // They have their effect, and the command is younger than three seconds: without the guards, the copies would have effects, too.
        stage.settle().await?;
        proxy.set(Way::ToClient, Terms::default());
        proxy.cut();
        stage.drained_ingestor().await?;
    }
    let resent = stage
        .ingestor_metric("arrakis_ingestor_publishing", &[("what", "resent")])
        .await?;
    stage.expect(I1, "unconfirmed messages are published again", resent > 0.5, "none was");
    stage.recovers(BROKER_BACK).await?;
    Ok(())
}

async fn reset_in_mid_frame(stage: &mut Stage) -> anyhow::Result<()> {
    let proxy = stage.start_behind_proxy(Shape::default(), "").await?;
    stage.load(8).await?;
    stage.flows(6).await?;
    for bytes in [150, 900, 333, 4_001, 700] {
        let way = if bytes % 2 == 0 { Way::ToServer } else { Way::ToClient };
        let cut = Terms {
            reset_after: Some(bytes),
            ..Terms::default()
        };
        proxy.set(way, cut);
        tokio::time::sleep(Duration::from_millis(400)).await;
        proxy.set(way, Terms::default());
    }
    stage.recovers(BROKER_BACK).await?;
    Ok(())
}

async fn latency_and_slicing(stage: &mut Stage) -> anyhow::Result<()> {
    let proxy = stage.start_behind_proxy(Shape::default(), "").await?;
    let delay = Duration::from_millis(if stage.guarded() { 20 } else { 2_000 });
    proxy.set_both(Terms {
        delay,
        slice: Some(11),
        ..Terms::default()
    });
    stage.load(8).await?;
    stage.flows(16).await?;
    let tally = stage.judge().await?;
    stage.expect(
        I3,
        "every command is deferred in time",
        tally.expired == 0,
        format!("{} expired", tally.expired),
    );
    Ok(())
}

async fn bandwidth_cap(stage: &mut Stage) -> anyhow::Result<()> {
    const WINDOW: u64 = 64;
    let window = if stage.guarded() { WINDOW } else { 10_000 };
    let shape = Shape::default().ingestor_env("INGESTOR_WINDOW", window.to_string());
    let proxy = proxied_ingestor(stage, shape).await?;
    proxy.set(
        Way::ToServer,
        Terms {
            rate: Some(20_000),
            ..Terms::default()
        },
    );
    stage.burst(20).await?;
    stage.flood(500).await?;
    let (mut most, mut megabytes) = (0, 0);
    for _ in 0..10 {
        most = most.max(stage.unconfirmed().await?);
        megabytes = megabytes.max(stage.ingestor_megabytes());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stage.expect(
        I7,
        format!("at most {WINDOW} unconfirmed messages"),
        most <= WINDOW,
        most,
    );
    stage.expect(I7, "memory of the ingestor is bounded", megabytes < 75, format!("{megabytes} MB"));
    proxy.set(Way::ToServer, Terms::default());
    Ok(())
}
