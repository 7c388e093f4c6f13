//! Every process, one after the other or at random.

use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::chaos::Invariant::{I1, I2, I3, I5};
use crate::chaos::{Guard, PROCESS_BACK, Scenario, Shape, Stage};
use crate::platform::Replica;

/// How long leaving may take.
const GRACE: Duration = Duration::from_secs(25);
/// How long the killing goes on.
const KILLING: Duration = Duration::from_secs(9);
/// What a deploy without replicas takes.
const SLOW_DEPLOY: Duration = Duration::from_secs(4);
/// What a member has until Discord says that the application did not respond.
const WINDOW_MS: u64 = 3_000;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 19,
        name: "rolling-restart",
        what: "SIGTERM and a new process for each of two proxies, workers, ingestors, under load",
        proves: &[I1, I2, I3, I5],
        guard: Guard::Harness("there is one of each, and a new one takes four seconds to come"),
        run: |stage| Box::pin(rolling_restart(stage)),
    },
    Scenario {
        fault: 20,
        name: "kill-anything",
        what: "SIGKILL of random processes at random moments",
        proves: &[I1, I2, I5],
        guard: Guard::FailPoint("worker.guard.ack=skip"),
        run: |stage| Box::pin(kill_anything(stage)),
    },
];

fn of_each(count: usize) -> Shape {
    Shape::default().proxies(count).workers(count).ingestors(count)
}

async fn rolling_restart(stage: &mut Stage) -> anyhow::Result<()> {
    let guarded = stage.guarded();
    stage.start(of_each(if guarded { 2 } else { 1 })).await?;
    stage.load(20).await?;
    stage.flows(20).await?;
    let count = stage.platform().replicas().count();
    for nth in 0..count {
        let replica = replica(stage, nth);
        replica.terminate();
        let status = replica.ended(GRACE).await;
        let name = replica.name().to_owned();
        if !guarded {
            sleep(SLOW_DEPLOY).await;
        }
        let replica = self::replica(stage, nth);
        replica.start_again();
        replica.ready().await;
        stage.expect(I5, format!("{name} leaves in order"), status.success(), status);
        stage.flows(10).await?;
    }
    let tally = stage.judge().await?;
    stage.expect(I3, "no command expires", tally.expired == 0, tally.expired);
    let longest = longest_wait(stage).await?;
    stage.expect(
        I3,
        "nobody waits over three seconds",
        longest <= WINDOW_MS,
        format!("{longest} ms"),
    );
    Ok(())
}

/// The longest wait for a first response that the emulator saw, in milliseconds.
async fn longest_wait(stage: &mut Stage) -> anyhow::Result<u64> {
    let all: Value = stage.discord().get("/control/interactions").await?;
    let waits = all.as_array().into_iter().flatten();
    Ok(waits
        .filter_map(|one| one["acknowledged_after_ms"].as_u64())
        .max()
        .unwrap_or(0))
}

fn replica(stage: &mut Stage, nth: usize) -> &mut Replica {
    match stage.platform().replicas().nth(nth) {
        Some(replica) => replica,
        None => panic!("there is no replica {nth}"),
    }
}

async fn kill_anything(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(of_each(2)).await?;
    stage.load(20).await?;
    stage.flows(20).await?;
    let mut random = ChaCha8Rng::seed_from_u64(stage.seed());
    let count = stage.platform().replicas().count();
    let (begun, mut killed) = (Instant::now(), 0);
    while begun.elapsed() < KILLING {
        let victim = replica(stage, random.random_range(0..count));
        victim.kill().await;
        // Whoever runs it starts it again at once.
        victim.start_again();
        killed += 1;
        sleep(Duration::from_millis(random.random_range(100..1_200))).await;
    }
    tracing::debug!(killed, "killed");
    for nth in 0..count {
        replica(stage, nth).ready().await;
    }
    stage.recovers(PROCESS_BACK).await.map(drop)
}
