//! Ingestors die, loop, vanish, and stand in for each other.

use std::time::Duration;

use arrakis_contracts::names;
use arrakis_emulator_client::{Fault, GatewayChange};
use tokio::time::Instant;

use super::gateway::{IDENTIFY, identifies, none_spent, strike, works};
use crate::chaos::Invariant::{I1, I2, I4, I5, I6};
use crate::chaos::published::{PublishedJoins, delete_queue};
use crate::chaos::{Guard, PROCESS_BACK, Scenario, Shape, Stage};

/// Seconds between heartbeats with the broker where a host vanishes.
const HEARTBEAT: u64 = 2;
/// Identifies that are left to a bot whose ingestor loops, of a thousand: the last ten are not touched.
const LEFT: u32 = 12;
const RESERVE: u64 = 10;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 29,
        name: "ingestor-dies",
        what: "SIGKILL between received, published, confirmed and kept, one after the other",
        proves: &[I1, I2, I4, I5],
        guard: Guard::FailPoint("ingestor.guard.resume=skip"),
        run: |stage| Box::pin(dies_at_every_seam(stage)),
    },
    Scenario {
        fault: 35,
        name: "ingestor-crash-loop",
        what: "killed at each identify, again and again",
        proves: &[I4, I5, I6],
        guard: Guard::FailPoint("ingestor.guard.budget=skip"),
        run: |stage| Box::pin(crash_loop(stage)),
    },
    Scenario {
        fault: 37,
        name: "ingestor-takeover",
        what: "two ingestors, one shard; SIGKILL of who holds it",
        proves: &[I1, I2, I4, I5],
        guard: Guard::Harness("there is no second ingestor"),
        run: |stage| Box::pin(takeover(stage)),
    },
    Scenario {
        fault: 37,
        name: "ingestor-vanishes",
        what: "who holds the shard stops in mid-air, and comes back later",
        proves: &[I1, I2, I4, I5],
        guard: Guard::Harness("there is no second ingestor"),
        run: |stage| Box::pin(vanishes(stage)),
    },
    Scenario {
        fault: 37,
        name: "lease-lost-while-stopped",
        what: "the holder is stopped for four seconds, its shard's queue is deleted, and 300 members join meanwhile",
        proves: &[I1, I2, I4],
        guard: Guard::FailPoint("broker.guard.lease=skip"),
        run: |stage| Box::pin(lease_lost_while_stopped(stage)),
    },
];

/// At each seam it dies with events on their way; the next one resumes before them.
async fn dies_at_every_seam(stage: &mut Stage) -> anyhow::Result<()> {
    // Not at once: it shall have kept a session and be at work.
    let seams = [
        "ingestor.received=kill@25",
        "broker.published=kill@25",
        "broker.confirmed=kill@25",
        "ingestor.checkpointed=kill@3",
    ];
    let armed = |stage: &Stage, seam: &str| {
        let spec = (arrakis_fail_point::VARIABLE.to_owned(), seam.to_owned());
        stage.armed(vec![spec]).remove(0).1
    };
    stage.start(Shape::default()).await?;
    stage.load(20).await?;
    stage.flows(20).await?;
    let before = identifies(stage).await?;
    stage.platform().ingestors[0].kill().await;
    for seam in seams {
        let points = armed(stage, seam);
        let ingestor = &mut stage.platform().ingestors[0];
        ingestor.set(arrakis_fail_point::VARIABLE, Some(&points));
        ingestor.start_again();
        ingestor.ended(Duration::from_secs(20)).await;
    }
    let unarmed = stage.armed(Vec::new()).pop().map(|(_, points)| points);
    let ingestor = &mut stage.platform().ingestors[0];
    ingestor.set(arrakis_fail_point::VARIABLE, unarmed.as_deref());
    ingestor.start_again();
    stage.recovers(PROCESS_BACK).await?;
    none_spent(stage, before).await
}

/// A session that cannot be resumed, and a process that dies each time it has a new one: what is left of the day's identifies
/// is kept, and said.
async fn crash_loop(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(Shape::default()).await?;
    works(stage).await?;
    stage.discord().change_gateway(&starts_remaining(LEFT)).await?;
    strike(stage, &Fault::of_kind("gateway_refuse_resume")).await?;
    for _ in 0..4 {
        let before = identifies(stage).await?;
        let ingestor = &mut stage.platform().ingestors[0];
        ingestor.kill().await;
        ingestor.start_again();
        stage
            .until("an identify, or the word that there is none left", async |stage| {
                Ok(identifies(stage).await? > before || is_held(stage).await)
            })
            .await?;
    }
    let left = left(stage).await?;
    stage.expect(
        I4,
        format!("the last {RESERVE} identifies are kept"),
        left >= RESERVE,
        left,
    );
    let held = is_held(stage).await;
    stage.expect(I6, "health says why it waits", held, "no word of it");
    // A person has found the cause.
    stage.discord().clear_faults().await?;
    stage.discord().change_gateway(&starts_remaining(1_000)).await?;
    let ingestor = &mut stage.platform().ingestors[0];
    ingestor.kill().await;
    ingestor.start_again();
    stage.recovers(PROCESS_BACK + IDENTIFY).await.map(drop)
}

async fn left(stage: &mut Stage) -> anyhow::Result<u64> {
    Ok(stage.discord().gateway().await?.session_start_limit.remaining.into())
}

fn starts_remaining(count: u32) -> GatewayChange {
    GatewayChange {
        session_starts_remaining: Some(count),
        ..GatewayChange::default()
    }
}

async fn is_held(stage: &mut Stage) -> bool {
    let health = stage.platform().ingestors[0].health().await;
    health.is_ok_and(|health| health.to_string().contains("identifies are left"))
}

/// Which ingestor holds the shard.
async fn holder(stage: &mut Stage) -> anyhow::Result<usize> {
    let mut found = None;
    stage
        .until("an ingestor to hold the shard", async |stage| {
            for (index, ingestor) in stage.platform().ingestors.iter().enumerate() {
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

fn two_if_guarded(stage: &Stage) -> Shape {
    Shape::default().ingestors(if stage.guarded() { 2 } else { 1 })
}

async fn takeover(stage: &mut Stage) -> anyhow::Result<()> {
    let shape = two_if_guarded(stage);
    stage.start(shape).await?;
    stage.load(20).await?;
    stage.flows(20).await?;
    let before = identifies(stage).await?;
    let held = holder(stage).await?;
    stage.platform().ingestors[held].kill().await;
    stage.recovers(PROCESS_BACK).await?;
    none_spent(stage, before).await?;
    // Who was killed comes back and waits.
    let killed = &mut stage.platform().ingestors[held];
    killed.start_again();
    killed.ready().await;
    stage
        .until("who was killed to stand by", async |stage| {
            let health = stage.platform().ingestors[held].health().await?;
            Ok(health["role"] == "standby")
        })
        .await?;
    stage.flows(20).await?;
    none_spent(stage, before).await
}

async fn vanishes(stage: &mut Stage) -> anyhow::Result<()> {
    let shape = two_if_guarded(stage);
    stage.prepare(&shape).await?;
    let amqp = format!("{}?heartbeat={HEARTBEAT}", stage.platform().vhost().url());
    stage.start_services(shape.ingestor_env("AMQP_URL", amqp)).await?;
    stage.load(20).await?;
    stage.flows(20).await?;
    let before = identifies(stage).await?;
    let held = holder(stage).await?;
    let begun = Instant::now();
    stage.platform().ingestors[held].hang();
    // Two heartbeats until the broker believes it, and the way back.
    stage
        .recovers(Duration::from_secs(2 * HEARTBEAT) + PROCESS_BACK)
        .await?;
    let away = begun.elapsed();
    stage.platform().ingestors[held].go_on();
    // It wakes up with a socket full of events that the other one has had by now.
    stage
        .until("who vanished to stand by", async |stage| {
            let health = stage.platform().ingestors[held].health().await?;
            Ok(health["role"] == "standby")
        })
        .await?;
    stage.flows(20).await?;
    tracing::debug!(away_ms = away.as_millis(), "it was away");
    none_spent(stage, before).await
}

/// The standby is delivered the deleted queue's lease while the holder, with events in its socket, still has its connection.
async fn lease_lost_while_stopped(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(Shape::default().ingestors(2)).await?;
    let url = stage.platform().vhost().url();
    let published = PublishedJoins::record(&url).await?;
    stage.load(10).await?;
    stage.flows(20).await?;
    let before = identifies(stage).await?;
    let held = holder(stage).await?;
    stage.platform().ingestors[held].hang();
    delete_queue(&url, &names::shard(0)).await?;
    // Without the lock, the standby has identified by then, and what follows is sent to both.
    tokio::time::sleep(Duration::from_secs(3)).await;
    stage.flood(300).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.platform().ingestors[held].go_on();
    stage.flows(20).await?;
    stage.quiet().await?;
    stage.settle().await?;
    let (joins, doubled) = published.end().await;
    stage.expect(
        I2,
        format!("none of {joins} joins is published under two event ids"),
        joins >= 300 && doubled == 0,
        doubled,
    );
    none_spent(stage, before).await
}
