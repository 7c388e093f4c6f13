//! The broker is killed, restarted or suspended, closes connections, or times out an acknowledgement.

use std::time::Duration;

use arrakis_emulator_client::Fault;

use crate::chaos::Invariant::{I1, I2, I5, I6};
use crate::chaos::{BROKER_BACK, Deployment, Guard, Scenario, Testbed};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 1,
        name: "broker-killed",
        what: "SIGSTOP of the broker with events in its socket, then SIGKILL",
        proves: &[I1, I2, I5, I6],
        alerts: &["component-down", "consuming"],
        expected: "recovery within 10 s after the broker is up",
        guard: Guard::FailPoint("broker.guard.confirm=skip"),
        without_guard: "",
        run: |testbed| Box::pin(killed(testbed)),
    },
    Scenario {
        fault: 2,
        name: "broker-restarted",
        what: "rabbit stopped and started in its Erlang VM",
        proves: &[I1, I5, I6],
        alerts: &["component-down", "consuming"],
        expected: "recovery within 10 s after the broker is up",
        guard: Guard::FailPoint("broker.guard.reconnect=skip"),
        without_guard: "",
        run: |testbed| Box::pin(restarted(testbed)),
    },
    Scenario {
        fault: 3,
        name: "connections-closed",
        what: "close_all_connections, three times",
        proves: &[I1, I5],
        alerts: &[],
        expected: "recovery within 10 s",
        guard: Guard::FailPoint("broker.guard.reconnect=skip"),
        without_guard: "",
        run: |testbed| Box::pin(connections_closed(testbed)),
    },
    Scenario {
        fault: 4,
        name: "broker-hangs",
        what: "SIGSTOP of the broker: connections stay half-open",
        proves: &[I1, I5],
        alerts: &[],
        expected: "reported as down within two heartbeats; recovery within 10 s after SIGCONT",
        guard: Guard::Harness("the connection has no heartbeat"),
        without_guard: "",
        run: |testbed| Box::pin(hangs(testbed)),
    },
    Scenario {
        fault: 12,
        name: "ack-timeout",
        what: "consumer_timeout of 2 s and an edit that takes 6 s",
        proves: &[I2, I5, I6],
        alerts: &["stale-acks"],
        expected: "the stale acknowledgement is counted; recovery within 10 s",
        guard: Guard::FailPoint("db.guard.inbox=skip;worker.guard.done=skip"),
        without_guard: "a use counted twice",
        run: |testbed| Box::pin(ack_timeout(testbed)),
    },
];

/// The broker has received the events and not read them yet when it is killed.
async fn killed(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.private_broker().await?;
    testbed.start(Deployment::default()).await?;
    testbed.load(8).await?;
    testbed.wait_for_effects(8).await?;
    testbed.broker().suspend();
    testbed.burst(10).await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    testbed.broker().kill().await;
    testbed.broker().start_again().await?;
    testbed.expect_recovery(BROKER_BACK).await?;
    expect_alerts_end(testbed).await
}

async fn restarted(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.private_broker().await?;
    testbed.start(Deployment::default()).await?;
    testbed.load(8).await?;
    testbed.wait_for_effects(8).await?;
    testbed.broker().stop_app().await?;
    testbed.broker().start_app().await?;
    testbed.expect_recovery(BROKER_BACK).await?;
    expect_alerts_end(testbed).await
}

async fn expect_alerts_end(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.expect_alert_ends("component-down").await?;
    testbed.expect_alert_ends("consuming").await
}

async fn connections_closed(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.private_broker().await?;
    testbed.start(Deployment::default()).await?;
    testbed.load(8).await?;
    for _ in 0..3 {
        testbed.wait_for_effects(6).await?;
        testbed.broker().close_connections().await?;
    }
    testbed.expect_recovery(BROKER_BACK).await?;
    Ok(())
}

/// A client notices the missing heartbeats itself: the operating system keeps the socket open for hours.
async fn hangs(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.private_broker().await?;
    let seconds = if testbed.guarded() { 2 } else { 0 };
    testbed.prepare(&Deployment::default()).await?;
    let url = format!("{}?heartbeat={seconds}", testbed.platform().vhost().url());
    testbed
        .start_services(Deployment::default().broker_env("AMQP_URL", &url))
        .await?;
    testbed.load(8).await?;
    testbed.wait_for_effects(8).await?;
    testbed.broker().suspend();
    let noticed = async |testbed: &mut Testbed| {
        let health = testbed.platform().ingestors[0].health().await?;
        Ok(health["components"]["broker"]["status"] == "down")
    };
    // Two heartbeats, and a second for the health report.
    let noticed = testbed
        .expect_within(
            I5,
            "health reports the broker as down within two heartbeats",
            Duration::from_secs(2 * 2 + 2),
            noticed,
        )
        .await;
    testbed.broker().resume();
    noticed?;
    testbed.expect_recovery(BROKER_BACK).await?;
    Ok(())
}

/// The broker delivers the message to another worker while the first one still handles it.
async fn ack_timeout(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.private_broker().await?;
    testbed
        .broker()
        .eval("application:set_env(rabbit, channel_tick_interval, 500), ok.")
        .await?;
    testbed.broker().consumer_timeout(2_000).await?;
    testbed.start(Deployment::default()).await?;
    let slow = Fault::rest_latency(6_000).method("PATCH").path("@original").count(1);
    testbed.discord().fault(&slow).await?;
    testbed.one_command("position").await?;
    let stale = async |testbed: &mut Testbed| {
        let stale = testbed.worker_metric("arrakis_worker_stale_acks_total", &[]).await?;
        Ok(stale > 0.5)
    };
    testbed
        .expect_within(
            I6,
            "the stale acknowledgement is counted",
            Duration::from_secs(15),
            stale,
        )
        .await?;
    testbed.broker().consumer_timeout(1_800_000).await?;
    // The default. Without any value, channels cannot be opened.
    testbed
        .broker()
        .eval("application:set_env(rabbit, channel_tick_interval, 60000), ok.")
        .await?;
    testbed.expect_recovery(BROKER_BACK).await?;
    Ok(())
}
