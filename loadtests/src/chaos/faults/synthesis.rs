//! Workers are killed while they bring a server to its manifest, and others continue.

use std::time::Duration;

use anyhow::Context as _;
use arrakis_emulator_client::RestCall;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, sleep};

use super::jobs::{ends, killed_by, unfinished};
use super::workers::POINTS;
use crate::chaos::Invariant::{I1, I2, I5};
use crate::chaos::{Deployment, Guard, Scenario, Testbed};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    fault: 20,
    name: "killed-around-synthesis",
    what: "SIGKILL of one worker after the other before a role is created, and after each REST call of the job",
    proves: &[I1, I2, I5],
    alerts: &[],
    expected: "each continues where the one before ended; the missing role is created once, and every job succeeds",
    guard: Guard::FailPoint("worker.guard.synthesis=skip"),
    without_guard: "the missing role was created 17 times, and the job is a dead letter",
    run: |testbed| Box::pin(killed(testbed)),
}];

/// Time limit for a worker to continue and reach its fail point: start, delivery, reading the server, and the search for the result of a
/// creation without a response, which takes up to 15 s.
const CONTINUED_WITHIN: Duration = Duration::from_secs(40);
/// Workers that are killed after a call at most; a job fails after twelve attempts.
const MAX_CALLS: u32 = 10;
/// Calls of a job that creates one role: the bot, the server, its channels, the bot's member and the creation.
const LEAST_CALLS: u32 = 5;
/// Time limit for the last worker to complete the job.
const COMPLETED_WITHIN: Duration = Duration::from_secs(60);

async fn killed(testbed: &mut Testbed) -> anyhow::Result<()> {
    // Without an ingestor, only jobs change the server.
    let deployment = Deployment::default().workers(0).ingestors(0);
    testbed.prepare(&deployment).await?;
    manage(testbed).await?;
    let before = creations(testbed).await?;
    testbed.start_services(deployment).await?;
    // The first worker becomes the leader; its reconcile finds that the bot's role is missing.
    let died = killed_by(testbed, "worker.synthesis.calling[POST]=kill", CONTINUED_WITHIN).await?;
    testbed.expect(
        I1,
        "a worker is killed before the role is created",
        died.is_some(),
        "no worker was about to create it",
    );
    let mut kills = 0;
    // A worker reads the server again, so each next one comes one call further, until one completes the job.
    for call in 1..=MAX_CALLS {
        let points = format!("worker.synthesis.called=kill@{call}");
        let Some(took) = killed_before_the_end(testbed, &points).await? else {
            break;
        };
        testbed.record_recovery(took, CONTINUED_WITHIN);
        kills += 1;
    }
    testbed.note(format!("workers killed after a call of the job: {kills}"));
    testbed.expect(
        I1,
        format!("a worker was killed after each of at least {LEAST_CALLS} calls"),
        kills >= LEAST_CALLS,
        kills,
    );
    testbed.platform().kill_workers().await;
    let unarmed = testbed.with_guard_points(Vec::new());
    testbed.platform().spawn_worker(&unarmed)?.ready().await;
    ends(testbed, COMPLETED_WITHIN, COMPLETED_WITHIN).await?;
    let created = creations(testbed).await? - before;
    testbed.expect(I2, "the missing role is created once", created == 1, created);
    // The ledger checks actions on the platform as it is now.
    testbed.platform().spawn_ingestor(&[])?.ready().await;
    Ok(())
}

/// Starts a worker with these fail points. Returns the time until it was killed by them; `None` when every job has ended, or it does not
/// continue.
async fn killed_before_the_end(testbed: &mut Testbed, points: &str) -> anyhow::Result<Option<Duration>> {
    let variables = testbed.with_guard_points(vec![(POINTS.to_owned(), points.to_owned())]);
    testbed.platform().spawn_worker(&variables)?;
    let begun = Instant::now();
    while begun.elapsed() < CONTINUED_WITHIN {
        let worker = testbed.platform().workers.last_mut();
        if worker.is_some_and(|worker| worker.exit_status().is_some()) {
            return Ok(Some(begun.elapsed()));
        }
        if unfinished(testbed).await?.is_empty() {
            return Ok(None);
        }
        sleep(Duration::from_millis(40)).await;
    }
    Ok(None)
}

/// Stores a manifest for the first community: its theme's roles, without channels.
async fn manage(testbed: &mut Testbed) -> anyhow::Result<()> {
    let community = testbed.plan().servers[0].community.clone();
    let community = community.context("the first server of the seed is not onboarded")?;
    let manifest = json!({"theme": community.theme, "rule_set": community.rule_set, "structure": "roles-only"});
    let mut connection = PgConnection::connect(&testbed.platform().database().admin_url()).await?;
    sqlx::query(
        "insert into manifests (community_id, version, manifest, created_by) values ($1, 1, $2::jsonb, 'chaos')",
    )
    .bind(community.id)
    .bind(manifest.to_string())
    .execute(&mut connection)
    .await?;
    connection.close().await?;
    Ok(())
}

/// Number of roles that were created by calls.
async fn creations(testbed: &mut Testbed) -> anyhow::Result<usize> {
    let calls = testbed.discord().rest_calls().await?;
    let created = |call: &&RestCall| call.method == "POST" && call.status == 200 && call.path.ends_with("/roles");
    Ok(calls.iter().filter(created).count())
}
