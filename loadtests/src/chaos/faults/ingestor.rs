//! Ingestors are killed, restart repeatedly, lose their host, and take over from each other.

use std::time::Duration;

use arrakis_contracts::names;
use arrakis_emulator_client::{Fault, GatewayChange};
use tokio::time::Instant;

use super::gateway::{IDENTIFY, expect_join_effect, expect_no_identify, identifies, inject};
use crate::chaos::Invariant::{I1, I2, I4, I5, I6};
use crate::chaos::published::{PublishedJoins, delete_queue};
use crate::chaos::{Deployment, Guard, PROCESS_BACK, Scenario, Testbed};

/// Heartbeat of the broker connection in seconds, where a host disappears.
const HEARTBEAT: u64 = 2;
/// Remaining identifies of a bot whose ingestor restarts repeatedly, of a thousand per day. The last ten are reserved.
const IDENTIFIES_LEFT: u32 = 12;
const RESERVE: u64 = 10;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 29,
        name: "ingestor-dies",
        what: "SIGKILL after receive, publish, confirm and checkpoint, one after the other",
        proves: &[I1, I2, I4, I5],
        alerts: &[],
        expected: "the session is resumed within 5 s",
        guard: Guard::FailPoint("ingestor.guard.resume=skip"),
        without_guard: "",
        run: |testbed| Box::pin(killed_at_every_seam(testbed)),
    },
    Scenario {
        fault: 35,
        name: "ingestor-crash-loop",
        what: "SIGKILL after each identify, with 12 identifies left",
        proves: &[I4, I5, I6],
        alerts: &["identify-budget"],
        expected: "the last 10 identifies are reserved; health reports why",
        guard: Guard::FailPoint("ingestor.guard.budget=skip"),
        without_guard: "",
        run: |testbed| Box::pin(crash_loop(testbed)),
    },
    Scenario {
        fault: 37,
        name: "ingestor-takeover",
        what: "two ingestors, one shard; SIGKILL of the lease holder",
        proves: &[I1, I2, I4, I5],
        alerts: &[],
        expected: "the standby takes over within 5 s",
        guard: Guard::Harness("no second ingestor"),
        without_guard: "no recovery",
        run: |testbed| Box::pin(takeover(testbed)),
    },
    Scenario {
        fault: 37,
        name: "ingestor-vanishes",
        what: "SIGSTOP of the lease holder, later SIGCONT",
        proves: &[I1, I2, I4, I5],
        alerts: &[],
        expected: "the standby takes over within two heartbeats and 5 s",
        guard: Guard::Harness("no second ingestor"),
        without_guard: "no recovery",
        run: |testbed| Box::pin(suspended(testbed)),
    },
    Scenario {
        fault: 37,
        name: "lease-lost-while-stopped",
        what: "SIGSTOP of the lease holder for 4 s, the shard's queue deleted, 300 joins meanwhile",
        proves: &[I1, I2, I4],
        alerts: &[],
        expected: "no join has two event ids, no identify is used",
        guard: Guard::FailPoint("broker.guard.lease=skip"),
        without_guard: "325 of 337 joins with two event ids, an identify used",
        run: |testbed| Box::pin(lease_lost_while_stopped(testbed)),
    },
];

/// The process is killed at each seam with events in flight; the next one resumes the session before them.
async fn killed_at_every_seam(testbed: &mut Testbed) -> anyhow::Result<()> {
    // Late enough that the process has stored a session and handles events.
    let seams = [
        "ingestor.received=kill@25",
        "broker.published=kill@25",
        "broker.confirmed=kill@25",
        "ingestor.checkpointed=kill@3",
    ];
    let armed = |testbed: &Testbed, seam: &str| {
        let spec = (arrakis_fail_point::VARIABLE.to_owned(), seam.to_owned());
        testbed.with_guard_points(vec![spec]).remove(0).1
    };
    testbed.start(Deployment::default()).await?;
    testbed.load(20).await?;
    testbed.wait_for_effects(20).await?;
    let before = identifies(testbed).await?;
    testbed.platform().ingestors[0].kill().await;
    for seam in seams {
        let points = armed(testbed, seam);
        let ingestor = &mut testbed.platform().ingestors[0];
        ingestor.set(arrakis_fail_point::VARIABLE, Some(&points));
        ingestor.start_again();
        ingestor.wait_for_exit(Duration::from_secs(20)).await;
    }
    let unarmed = testbed.with_guard_points(Vec::new()).pop().map(|(_, points)| points);
    let ingestor = &mut testbed.platform().ingestors[0];
    ingestor.set(arrakis_fail_point::VARIABLE, unarmed.as_deref());
    ingestor.start_again();
    testbed.expect_recovery(PROCESS_BACK).await?;
    expect_no_identify(testbed, before).await
}

/// A session cannot be resumed, and the process is killed whenever it has a new one: the last identifies of the day are reserved,
/// and health reports it.
async fn crash_loop(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default()).await?;
    expect_join_effect(testbed).await?;
    testbed
        .discord()
        .change_gateway(&starts_remaining(IDENTIFIES_LEFT))
        .await?;
    inject(testbed, &Fault::of_kind("gateway_refuse_resume")).await?;
    for _ in 0..4 {
        let before = identifies(testbed).await?;
        let ingestor = &mut testbed.platform().ingestors[0];
        ingestor.kill().await;
        ingestor.start_again();
        testbed
            .wait_until("an identify, or a health report that none is left", async |testbed| {
                Ok(identifies(testbed).await? > before || reports_no_identifies_left(testbed).await)
            })
            .await?;
    }
    let left = left(testbed).await?;
    testbed.expect(
        I4,
        format!("the last {RESERVE} identifies are reserved"),
        left >= RESERVE,
        left,
    );
    let held = reports_no_identifies_left(testbed).await;
    testbed.expect(I6, "health reports why no session is started", held, "nothing about it");
    testbed.expect_alert("identify-budget").await?;
    // The cause has been removed.
    testbed.discord().clear_faults().await?;
    testbed.discord().change_gateway(&starts_remaining(1_000)).await?;
    let ingestor = &mut testbed.platform().ingestors[0];
    ingestor.kill().await;
    ingestor.start_again();
    testbed.expect_recovery(PROCESS_BACK + IDENTIFY).await.map(drop)
}

async fn left(testbed: &mut Testbed) -> anyhow::Result<u64> {
    Ok(testbed.discord().gateway().await?.session_start_limit.remaining.into())
}

fn starts_remaining(count: u32) -> GatewayChange {
    GatewayChange {
        session_starts_remaining: Some(count),
        ..GatewayChange::default()
    }
}

async fn reports_no_identifies_left(testbed: &mut Testbed) -> bool {
    let health = testbed.platform().ingestors[0].health().await;
    health.is_ok_and(|health| health.to_string().contains("identifies are left"))
}

/// Index of the ingestor that holds the shard's lease.
async fn holder(testbed: &mut Testbed) -> anyhow::Result<usize> {
    let mut found = None;
    testbed
        .wait_until("an ingestor to hold the shard's lease", async |testbed| {
            for (index, ingestor) in testbed.platform().ingestors.iter().enumerate() {
                if ingestor
                    .metric("arrakis_ingestor_shard_active", &[])
                    .await
                    .unwrap_or(0.0)
                    > 0.0
                {
                    found = Some(index);
                }
            }
            Ok(found.is_some())
        })
        .await?;
    Ok(found.unwrap_or(0))
}

fn two_ingestors_if_guarded(testbed: &Testbed) -> Deployment {
    Deployment::default().ingestors(if testbed.guarded() { 2 } else { 1 })
}

async fn takeover(testbed: &mut Testbed) -> anyhow::Result<()> {
    let deployment = two_ingestors_if_guarded(testbed);
    testbed.start(deployment).await?;
    testbed.load(20).await?;
    testbed.wait_for_effects(20).await?;
    let before = identifies(testbed).await?;
    let held = holder(testbed).await?;
    testbed.platform().ingestors[held].kill().await;
    testbed.expect_recovery(PROCESS_BACK).await?;
    expect_no_identify(testbed, before).await?;
    // The killed ingestor is started again as the standby.
    let killed = &mut testbed.platform().ingestors[held];
    killed.start_again();
    killed.ready().await;
    testbed
        .wait_until("the killed ingestor to become the standby", async |testbed| {
            let health = testbed.platform().ingestors[held].health().await?;
            Ok(health["role"] == "standby")
        })
        .await?;
    testbed.wait_for_effects(20).await?;
    expect_no_identify(testbed, before).await
}

async fn suspended(testbed: &mut Testbed) -> anyhow::Result<()> {
    let deployment = two_ingestors_if_guarded(testbed);
    testbed.prepare(&deployment).await?;
    let amqp = format!("{}?heartbeat={HEARTBEAT}", testbed.platform().vhost().url());
    testbed
        .start_services(deployment.ingestor_env("AMQP_URL", amqp))
        .await?;
    testbed.load(20).await?;
    testbed.wait_for_effects(20).await?;
    let before = identifies(testbed).await?;
    let held = holder(testbed).await?;
    let begun = Instant::now();
    testbed.platform().ingestors[held].suspend();
    // Two heartbeats until the broker closes the connection, and the recovery.
    testbed
        .expect_recovery(Duration::from_secs(2 * HEARTBEAT) + PROCESS_BACK)
        .await?;
    let away = begun.elapsed();
    testbed.platform().ingestors[held].resume();
    // The resumed process has events in its socket that the other one has published already.
    testbed
        .wait_until("the suspended ingestor to become the standby", async |testbed| {
            let health = testbed.platform().ingestors[held].health().await?;
            Ok(health["role"] == "standby")
        })
        .await?;
    testbed.wait_for_effects(20).await?;
    tracing::debug!(away_ms = away.as_millis(), "ingestor was suspended");
    expect_no_identify(testbed, before).await
}

/// The standby receives the deleted queue's lease while the suspended holder, with events in its socket, has its connection.
async fn lease_lost_while_stopped(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default().ingestors(2)).await?;
    let url = testbed.platform().vhost().url();
    let published = PublishedJoins::record(&url).await?;
    testbed.load(10).await?;
    testbed.wait_for_effects(20).await?;
    let before = identifies(testbed).await?;
    let held = holder(testbed).await?;
    testbed.platform().ingestors[held].suspend();
    delete_queue(&url, &names::shard(0)).await?;
    // Without the lock, the standby has identified by now, and the following events are sent to both.
    tokio::time::sleep(Duration::from_secs(3)).await;
    testbed.flood(300).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    testbed.platform().ingestors[held].resume();
    testbed.wait_for_effects(20).await?;
    testbed.stop_load().await?;
    testbed.settle().await?;
    let (joins, doubled) = published.end().await;
    testbed.expect(
        I2,
        format!("none of {joins} joins is published under two event ids"),
        joins >= 300 && doubled == 0,
        doubled,
    );
    expect_no_identify(testbed, before).await
}
