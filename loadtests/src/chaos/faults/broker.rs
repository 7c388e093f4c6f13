//! The broker dies, restarts, hangs, closes connections, loses patience.

use std::time::Duration;

use arrakis_emulator_client::Fault;

use crate::chaos::Invariant::{I1, I2, I5, I6};
use crate::chaos::{BROKER_BACK, Guard, Scenario, Shape, Stage};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 1,
        name: "broker-killed",
        what: "SIGKILL of the broker's process",
        proves: &[I1, I2, I5],
        guard: Guard::FailPoint("broker.guard.confirm=skip"),
        run: |stage| Box::pin(killed(stage)),
    },
    Scenario {
        fault: 2,
        name: "broker-restarted",
        what: "stop_app, start_app",
        proves: &[I1, I5],
        guard: Guard::FailPoint("broker.guard.reconnect=skip"),
        run: |stage| Box::pin(restarted(stage)),
    },
    Scenario {
        fault: 3,
        name: "connections-closed",
        what: "close_all_connections, three times",
        proves: &[I1, I5],
        guard: Guard::FailPoint("broker.guard.reconnect=skip"),
        run: |stage| Box::pin(connections_closed(stage)),
    },
    Scenario {
        fault: 4,
        name: "broker-hangs",
        what: "SIGSTOP of the broker: connections stay half-open",
        proves: &[I1, I5],
        guard: Guard::Harness("the connection has no heartbeat"),
        run: |stage| Box::pin(hangs(stage)),
    },
    Scenario {
        fault: 12,
        name: "ack-timeout",
        what: "consumer_timeout of 2 s and an answer that takes 6 s",
        proves: &[I2, I5, I6],
        guard: Guard::FailPoint("db.guard.inbox=skip;worker.guard.done=skip"),
        run: |stage| Box::pin(ack_timeout(stage)),
    },
];

/// At a bad moment: it has the bytes, and has not read them yet.
async fn killed(stage: &mut Stage) -> anyhow::Result<()> {
    stage.private_broker().await?;
    stage.start(Shape::default()).await?;
    stage.load(8).await?;
    stage.flows(8).await?;
    stage.broker().hang();
    stage.burst(10).await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    stage.broker().kill().await;
    stage.broker().start_again().await?;
    stage.recovers(BROKER_BACK).await?;
    Ok(())
}

async fn restarted(stage: &mut Stage) -> anyhow::Result<()> {
    stage.private_broker().await?;
    stage.start(Shape::default()).await?;
    stage.load(8).await?;
    stage.flows(8).await?;
    stage.broker().stop_app().await?;
    stage.broker().start_app().await?;
    stage.recovers(BROKER_BACK).await?;
    Ok(())
}

async fn connections_closed(stage: &mut Stage) -> anyhow::Result<()> {
    stage.private_broker().await?;
    stage.start(Shape::default()).await?;
    stage.load(8).await?;
    for _ in 0..3 {
        stage.flows(6).await?;
        stage.broker().close_connections().await?;
    }
    stage.recovers(BROKER_BACK).await?;
    Ok(())
}

/// Two heartbeats are noticed by clients that answer for themselves: the operating system keeps the socket open for hours.
async fn hangs(stage: &mut Stage) -> anyhow::Result<()> {
    stage.private_broker().await?;
    let seconds = if stage.guarded() { 2 } else { 0 };
    stage.prepare(&Shape::default()).await?;
    let url = format!("{}?heartbeat={seconds}", stage.platform().vhost().url());
    stage
        .start_services(Shape::default().broker_env("AMQP_URL", &url))
        .await?;
    stage.load(8).await?;
    stage.flows(8).await?;
    stage.broker().hang();
    let noticed = async |stage: &mut Stage| {
        let health = stage.platform().ingestors[0].health().await?;
        Ok(health["components"]["broker"]["status"] == "down")
    };
    // Two heartbeats, and a second of the report's own.
    let noticed = stage
        .sees(
            I5,
            "noticed within two heartbeats",
            Duration::from_secs(2 * 2 + 2),
            noticed,
        )
        .await;
    stage.broker().go_on();
    noticed?;
    stage.recovers(BROKER_BACK).await?;
    Ok(())
}

/// The broker takes the message away from a handler that is still at it and gives it to another.
async fn ack_timeout(stage: &mut Stage) -> anyhow::Result<()> {
    stage.private_broker().await?;
    stage
        .broker()
        .eval("application:set_env(rabbit, channel_tick_interval, 500), ok.")
        .await?;
    stage.broker().consumer_timeout(2_000).await?;
    stage.start(Shape::default()).await?;
    let slow = Fault::rest_latency(6_000).method("PATCH").path("@original").count(1);
    stage.discord().fault(&slow).await?;
    stage.one_command("position").await?;
    let stale = async |stage: &mut Stage| {
        let stale = stage.worker_metric("arrakis_worker_stale_acks_total", &[]).await?;
        Ok(stale > 0.5)
    };
    stage
        .sees(
            I6,
            "the stale acknowledgement is counted",
            Duration::from_secs(15),
            stale,
        )
        .await?;
    stage.broker().consumer_timeout(1_800_000).await?;
    // Its own value again. Without any, a channel cannot be opened.
    stage
        .broker()
        .eval("application:set_env(rabbit, channel_tick_interval, 60000), ok.")
        .await?;
    stage.recovers(BROKER_BACK).await?;
    Ok(())
}
