//! Every process is stopped or killed, one after the other or at random.

use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::{Instant, sleep};

use crate::chaos::Invariant::{I1, I2, I3, I5};
use crate::chaos::stage::waits::percentile;
use crate::chaos::{Guard, PROCESS_BACK, Scenario, Shape, Stage};
use crate::platform::Replica;
use crate::print::note;

/// Time limit for a process to end.
const GRACE: Duration = Duration::from_secs(25);
/// How long processes are killed.
const KILLING: Duration = Duration::from_secs(9);
/// Interval of progress reports in a long run.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// Duration of a deployment without replicas.
const SLOW_DEPLOY: Duration = Duration::from_secs(4);
/// Time limit for the row of a join during a rolling restart.
const ROW: Duration = Duration::from_secs(3);

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
    let joins = stage.time_joins(Duration::from_millis(250))?;
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
        stage.expect(I5, format!("{name} exits with status 0"), status.success(), status);
        stage.flows(10).await?;
    }
    let waits = joins.end().await?;
    let longest = percentile(&waits, 100);
    stage.note(format!(
        "{} joins meanwhile: p50 {:.1?}, p99 {:.1?}, longest {longest:.1?}",
        waits.len(),
        percentile(&waits, 50),
        percentile(&waits, 99)
    ));
    stage.expect(
        I5,
        "no join waits longer than 3 s for its row",
        longest <= ROW,
        format!("{longest:.1?}"),
    );
    let tally = stage.judge().await?;
    stage.expect(I3, "no command expires", tally.expired == 0, tally.expired);
    Ok(())
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
    let killing = stage.soak().unwrap_or(KILLING);
    let mut told = Duration::ZERO;
    while begun.elapsed() < killing {
        let victim = replica(stage, random.random_range(0..count));
        victim.kill().await;
        // A supervisor would start it again at once.
        victim.start_again();
        killed += 1;
        sleep(Duration::from_millis(random.random_range(100..1_200))).await;
        if begun.elapsed() >= told + TELL_EVERY {
            told = begun.elapsed();
            tell_progress(stage, begun.elapsed(), killing, killed).await;
        }
    }
    stage.note(format!("{killed} processes killed"));
    for nth in 0..count {
        replica(stage, nth).ready().await;
    }
    stage.recovers(PROCESS_BACK).await.map(drop)
}

/// Prints a line of progress, since the run may take hours.
async fn tell_progress(stage: &mut Stage, elapsed: Duration, of: Duration, killed: u32) {
    let sent = stage.sent();
    // Postgres and the emulator are not killed in this scenario.
    let open = match stage.ledger().open().await {
        Ok(open) => format!("{} actions without an effect so far", open.len()),
        Err(error) => format!("the ledger cannot be read: {error}"),
    };
    note(&format!(
        "{:>4} of {} min: {killed} processes killed, {sent} actions, {open}",
        elapsed.as_secs() / 60,
        of.as_secs() / 60
    ));
}
