//! Every process is stopped or killed, one after the other or at random.

use std::cmp::Ordering;
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::{Instant, sleep};

use crate::chaos::Invariant::{I1, I2, I3, I5, I6};
use crate::chaos::testbed::timed_joins::percentile;
use crate::chaos::{Deployment, Guard, PROCESS_BACK, Scenario, Testbed};
use crate::platform::{Replica, WalletPage};
use crate::print::note;

/// Time limit for a process to end.
const GRACE: Duration = Duration::from_secs(25);
/// How long processes are killed.
const KILLING: Duration = Duration::from_secs(9);
/// Interval of progress reports in a long run.
const PROGRESS_EVERY: Duration = Duration::from_secs(60);
/// Duration of a deployment without replicas.
const SLOW_DEPLOY: Duration = Duration::from_secs(4);
/// Restarts of a worker that are more than the alert allows.
const RESTARTS: u32 = 5;
/// Time limit for the row of a join during a rolling restart.
const ROW_LIMIT: Duration = Duration::from_secs(3);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 19,
        name: "rolling-restart",
        what: "SIGTERM and a new process for each of two proxies, workers, ingestors and endpoints of interactions by HTTP, and for the api, under load",
        proves: &[I1, I2, I3, I5],
        alerts: &[],
        expected: "no command expires, no join waits longer than 3 s, the api reads its database",
        guard: Guard::Harness("one process of each service, and four seconds to the next one"),
        without_guard: "63 of 425 commands expired, a join took 11.3 s",
        run: |testbed| Box::pin(rolling_restart(testbed)),
    },
    Scenario {
        fault: 20,
        name: "kill-anything",
        what: "SIGKILL of random processes at random moments",
        proves: &[I1, I2, I5],
        alerts: &[],
        expected: "recovery within 5 s after the last kill",
        guard: Guard::FailPoint("broker.guard.ack=skip"),
        without_guard: "14 events lost",
        run: |testbed| Box::pin(kill_anything(testbed)),
    },
    Scenario {
        fault: 20,
        name: "only-worker-killed",
        what: "SIGKILL of the only worker while it handles messages; the next one starts after the alerts have fired, and is killed five times",
        proves: &[I1, I2, I5, I6],
        alerts: &["service-down", "leader", "restarts"],
        expected: "recovery within 5 s of the start",
        guard: Guard::FailPoint("broker.guard.ack=skip"),
        without_guard: "34 of 101 events lost",
        run: |testbed| Box::pin(only_worker_killed(testbed)),
    },
];

fn of_each(count: usize) -> Deployment {
    Deployment::default().proxies(count).workers(count).ingestors(count)
}

async fn rolling_restart(testbed: &mut Testbed) -> anyhow::Result<()> {
    let replicas = if testbed.guarded() { 2 } else { 1 };
    testbed.start(of_each(replicas).interactions(replicas).api()).await?;
    testbed.load(20).await?;
    testbed.wait_for_effects(20).await?;
    let joins = testbed.time_joins(Duration::from_millis(250))?;
    let count = testbed.platform().replicas().count();
    for nth in 0..count {
        route_interactions(testbed, nth).await?;
        restart(testbed, nth).await?;
        testbed.wait_for_effects(10).await?;
    }
    let waits = joins.end().await?;
    let longest = percentile(&waits, 100);
    testbed.note(format!(
        "{} joins meanwhile: p50 {:.1?}, p99 {:.1?}, longest {longest:.1?}",
        waits.len(),
        percentile(&waits, 50),
        percentile(&waits, 99)
    ));
    testbed.expect(
        I5,
        "no join waits longer than 3 s for its row",
        longest <= ROW_LIMIT,
        format!("{longest:.1?}"),
    );
    expect_api_reads_its_database(testbed).await?;
    let tally = testbed.check_ledger().await?;
    testbed.expect(I3, "no command expires", tally.expired == 0, tally.expired);
    Ok(())
}

/// Replaces a process by a new one of the same variables.
async fn restart(testbed: &mut Testbed, nth: usize) -> anyhow::Result<()> {
    let guarded = testbed.guarded();
    let replica = replica(testbed, nth);
    replica.terminate();
    let status = replica.wait_for_exit(GRACE).await;
    let name = replica.name().to_owned();
    if !guarded {
        sleep(SLOW_DEPLOY).await;
    }
    let replica = self::replica(testbed, nth);
    replica.start_again();
    replica.ready().await;
    testbed.expect(I5, format!("{name} exits with status 0"), status.success(), status);
    Ok(())
}

/// Before an endpoint of interactions by HTTP is replaced, the requests go to the next one, as a load balancer sends them. The first replicas are the
/// endpoints; while the other processes are replaced, interactions come by the gateway.
async fn route_interactions(testbed: &mut Testbed, nth: usize) -> anyhow::Result<()> {
    let platform = testbed.platform();
    let endpoints = platform.interactions.len();
    match nth.cmp(&endpoints) {
        Ordering::Less => platform.deliver_by_http((nth + 1) % endpoints).await?,
        Ordering::Equal => platform.deliver_by_gateway().await?,
        Ordering::Greater => return Ok(()),
    }
    testbed.wait_for_effects(10).await
}

/// 404 is the answer of the database: there is no session with this token.
async fn expect_api_reads_its_database(testbed: &mut Testbed) -> anyhow::Result<()> {
    let link = format!("{}/verify/{}", testbed.platform().api_url(), "A".repeat(43));
    let status = WalletPage::new(&link)?.session().await?.status.as_u16();
    testbed.expect(I5, "the api reads its database", status == 404, status);
    Ok(())
}

fn replica(testbed: &mut Testbed, nth: usize) -> &mut Replica {
    match testbed.platform().replicas().nth(nth) {
        Some(replica) => replica,
        None => panic!("there is no replica {nth}"),
    }
}

async fn kill_anything(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(of_each(2)).await?;
    testbed.load(20).await?;
    testbed.wait_for_effects(20).await?;
    let mut random = ChaCha8Rng::seed_from_u64(testbed.seed());
    let count = testbed.platform().replicas().count();
    let (begun, mut killed) = (Instant::now(), 0);
    let killing = testbed.soak().unwrap_or(KILLING);
    let mut reported = Duration::ZERO;
    while begun.elapsed() < killing {
        let victim = replica(testbed, random.random_range(0..count));
        victim.kill().await;
        // A supervisor would start it again at once.
        victim.start_again();
        killed += 1;
        sleep(Duration::from_millis(random.random_range(100..1_200))).await;
        if begun.elapsed() >= reported + PROGRESS_EVERY {
            reported = begun.elapsed();
            print_progress(testbed, begun.elapsed(), killing, killed).await;
        }
    }
    testbed.note(format!("{killed} processes killed"));
    for nth in 0..count {
        replica(testbed, nth).ready().await;
    }
    testbed.expect_recovery(PROCESS_BACK).await.map(drop)
}

/// Messages wait in their queues while there is no worker.
async fn only_worker_killed(testbed: &mut Testbed) -> anyhow::Result<()> {
    // Several messages are in progress at any moment.
    let slow = Deployment::default().worker_env(arrakis_fail_point::VARIABLE, "broker.handling=sleep(500)");
    testbed.start(slow).await?;
    testbed.load(20).await?;
    testbed.wait_for_effects(20).await?;
    testbed.platform().workers[0].kill().await;
    testbed.stop_load().await?;
    testbed.expect_alert("service-down").await?;
    testbed.expect_alert("leader").await?;
    testbed.platform().workers[0].start_again();
    testbed.expect_recovery(PROCESS_BACK).await?;
    testbed.expect_alert_ends("service-down").await?;
    testbed.expect_alert_ends("leader").await?;
    testbed.settle().await?;
    for _ in 0..RESTARTS {
        let worker = &mut testbed.platform().workers[0];
        worker.kill().await;
        worker.start_again();
        worker.ready().await;
        testbed.wait_for_scrape().await?;
    }
    testbed.expect_alert("restarts").await
}

/// Prints a line of progress, since the run may take hours.
async fn print_progress(testbed: &mut Testbed, elapsed: Duration, of: Duration, killed: u32) {
    let sent = testbed.sent();
    // Postgres and the emulator are not killed in this scenario.
    let open = match testbed.ledger().open().await {
        Ok(open) => format!("{} actions without an effect so far", open.len()),
        Err(error) => format!("the ledger cannot be read: {error}"),
    };
    note(&format!(
        "{:>4} of {} min: {killed} processes killed, {sent} actions, {open}",
        elapsed.as_secs() / 60,
        of.as_secs() / 60
    ));
}
