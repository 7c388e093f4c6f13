//! Workers are stopped or killed during a community's tier sync, and others continue it.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use arrakis_emulator_client::RestCall;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, sleep};

use super::effects::ASSIGN_ROLE;
use super::workers::POINTS;
use crate::chaos::Invariant::{I1, I2, I5};
use crate::chaos::broker_client::BrokerClient;
use crate::chaos::{Deployment, Guard, PROCESS_BACK, Scenario, Testbed};

/// A message that is acknowledged before its job has ended is lost with its worker, and the job's row is not retried for minutes.
const ACK: Guard = Guard::FailPoint("broker.guard.ack=skip");

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 19,
        name: "sync-handed-over",
        what: "SIGTERM to a worker during a tier sync that takes longer than its grace period",
        proves: &[I1, I2, I5],
        alerts: &[],
        expected: "it exits within 6 s; another worker completes the sync",
        guard: ACK,
        without_guard: "the job stays `running`, 4 of 8 roles missing",
        run: |testbed| Box::pin(handed_over(testbed)),
    },
    Scenario {
        fault: 20,
        name: "killed-around-syncs",
        what: "SIGKILL of one worker after the other during a tier sync, and around the end of its row",
        proves: &[I1, I2, I5],
        alerts: &[],
        expected: "each takes the job over within 5 s; every job succeeds",
        guard: ACK,
        without_guard: "the job stays `running`, roles missing",
        run: |testbed| Box::pin(killed(testbed)),
    },
    Scenario {
        fault: 58,
        name: "role-deleted-in-mid-sync",
        what: "a role is deleted by hand while a tier sync assigns it",
        proves: &[I1, I5],
        alerts: &[],
        expected: "the sync assigns every other role, the deleted one is recorded by name, and every job succeeds",
        guard: Guard::FailPoint("worker.guard.broken_role=skip"),
        without_guard: "the sync failed, and no member got the other roles",
        run: |testbed| Box::pin(role_deleted(testbed)),
    },
];

/// Role changes that the sync has to make. Discord allows ten in ten seconds for each server.
const MISSING: usize = 8;
/// Time limit for a worker to take over a job and reach its fail point: start, delivery, and reading the members from Discord.
const TAKEOVER_LIMIT: Duration = Duration::from_secs(10);

/// Time limit of a sync whose calls take 1.5 s each.
const SLOW_SYNC_LIMIT: Duration = Duration::from_secs(30);

const AFTER_LAST_ROLE: &str = "after the last role and before the row's end";

/// Signal that ends a worker at its fail point.
const SIGKILL: i32 = 9;

/// Time limit for a process to end.
const GRACE: Duration = Duration::from_secs(20);
/// Time limit for a worker that stops during a job: a job continues for at most three seconds.
const EXIT_LIMIT: Duration = Duration::from_secs(6);

/// A server whose members lack roles.
#[derive(Debug)]
struct MissingRoles {
    guild: u64,
    members: Vec<MemberWithoutRoles>,
}

/// A member whose roles were removed by hand.
#[derive(Debug)]
struct MemberWithoutRoles {
    user: u64,
    roles: Vec<String>,
}

/// Starts everything that a sync needs except a worker, with members that lack roles.
async fn begin(testbed: &mut Testbed) -> anyhow::Result<MissingRoles> {
    // Without an ingestor, only the job assigns roles.
    let deployment = Deployment::default().workers(0).ingestors(0);
    testbed.prepare(&deployment).await?;
    let guild = testbed.plan().servers[0].guild;
    let members = remove_roles(testbed, guild).await?;
    testbed.start_services(deployment).await?;
    Ok(MissingRoles { guild, members })
}

async fn killed(testbed: &mut Testbed) -> anyhow::Result<()> {
    let missing = begin(testbed).await?;
    // The first worker becomes the leader, finds the members without roles, and starts the sync.
    let mut kills = 0;
    for (when, points) in [
        (
            "before a role is assigned",
            format!("discord.calling[{ASSIGN_ROLE}]=kill@3"),
        ),
        (
            "after a role is assigned",
            format!("discord.called[{ASSIGN_ROLE}]=kill@2"),
        ),
        (AFTER_LAST_ROLE, format!("discord.called[{ASSIGN_ROLE}]=kill")),
        ("after the row's end", "broker.handled[tier-sync]=kill".to_owned()),
    ] {
        // The number of remaining calls depends on the earlier workers.
        let points = if when == AFTER_LAST_ROLE {
            let left = missing.roles() - assignments(testbed).await?.len();
            format!("{points}@{left}")
        } else {
            points
        };
        let died = killed_by(testbed, &points, TAKEOVER_LIMIT).await?;
        testbed.expect(
            I1,
            format!("a worker continues the job and is killed {when}"),
            died.is_some(),
            "no worker took it over",
        );
        let Some(took) = died else {
            break;
        };
        testbed.record_recovery(took, PROCESS_BACK);
        kills += 1;
    }
    let unarmed = testbed.with_guard_points(Vec::new());
    testbed.platform().spawn_worker(&unarmed)?.ready().await;
    ends(testbed, TAKEOVER_LIMIT, PROCESS_BACK).await?;
    missing.expect_restored(testbed, kills).await?;
    // The ledger checks actions on the platform as it is now.
    testbed.platform().spawn_ingestor(&[])?.ready().await;
    Ok(())
}

async fn handed_over(testbed: &mut Testbed) -> anyhow::Result<()> {
    let missing = begin(testbed).await?;
    // The remaining calls take longer than the stopping worker may continue.
    start_slow_sync(testbed).await?;
    let unarmed = testbed.with_guard_points(Vec::new());
    testbed.platform().spawn_worker(&unarmed)?.ready().await;
    let begun = Instant::now();
    let status = testbed.platform().workers[0].stop(GRACE).await;
    testbed.expect(I5, "the worker exits with status 0", status.success(), status);
    testbed.record_recovery(begun.elapsed(), EXIT_LIMIT);
    let before = assignments(testbed).await?.len();
    let rest = before < missing.roles();
    testbed.expect(
        I5,
        "the worker exits before the sync is complete",
        rest,
        format!("{before} roles assigned"),
    );
    ends(testbed, TAKEOVER_LIMIT, PROCESS_BACK).await?;
    missing.expect_restored(testbed, 1).await?;
    // The ledger checks actions on the platform as it is now.
    testbed.platform().spawn_ingestor(&[])?.ready().await;
    Ok(())
}

/// Starts a worker whose role changes take 1.5 s each, and waits until it has made two.
async fn start_slow_sync(testbed: &mut Testbed) -> anyhow::Result<()> {
    let slow = testbed.with_guard_points(vec![(
        POINTS.to_owned(),
        format!("discord.called[{ASSIGN_ROLE}]=sleep(1500)"),
    )]);
    testbed.platform().spawn_worker(&slow)?.ready().await;
    let under_way = async |testbed: &mut Testbed| Ok(assignments(testbed).await?.len() >= 2);
    testbed.wait_until("the sync to be in progress", under_way).await
}

async fn role_deleted(testbed: &mut Testbed) -> anyhow::Result<()> {
    let mut missing = begin(testbed).await?;
    // The members are synced in the order of their ids.
    missing.members.sort_by_key(|member| member.user);
    let last = missing.members.last().and_then(|member| member.roles.first());
    let role = last.context("no member lacks a role")?.clone();
    start_slow_sync(testbed).await?;
    let assigned = assignments(testbed).await?;
    let in_time = assigned.len() < missing.roles();
    testbed.expect(I1, "the sync is in progress", in_time, assigned.len());
    testbed.discord().delete_role(missing.guild, role.as_str()).await?;
    for member in &mut missing.members {
        member.roles.retain(|other| *other != role);
    }
    ends(testbed, SLOW_SYNC_LIMIT, SLOW_SYNC_LIMIT).await?;
    let wrong = missing.wrong(testbed).await?;
    testbed.expect(
        I1,
        "every member has the other roles",
        wrong.is_empty(),
        wrong.join("; "),
    );
    let recorded = recorded_as_broken(testbed, &role).await?;
    testbed.expect(I1, "the audit log names the deleted role once", recorded == 1, recorded);
    // The ledger checks actions on the platform as it is now.
    testbed.platform().spawn_ingestor(&[])?.ready().await;
    Ok(())
}

/// Number of audit entries that this role of the server cannot be changed.
async fn recorded_as_broken(testbed: &mut Testbed, role: &str) -> anyhow::Result<i64> {
    let mut admin = PgConnection::connect(&testbed.platform().database().admin_url()).await?;
    let found = sqlx::query_scalar(
        "select count(*) from audit_log where action = 'role.broken' and detail ->> 'discord_role' = $1",
    )
    .bind(role)
    .fetch_one(&mut admin)
    .await?;
    admin.close().await?;
    Ok(found)
}

/// Waits until every job has ended, within `limit`, and checks that all of them succeeded. `bound` is the bound of the recovery.
pub(super) async fn ends(testbed: &mut Testbed, limit: Duration, bound: Duration) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut open = unfinished(testbed).await?;
    while !open.is_empty() && begun.elapsed() < limit {
        sleep(Duration::from_millis(40)).await;
        open = unfinished(testbed).await?;
    }
    testbed.record_recovery(begun.elapsed(), bound);
    testbed.expect(I1, "every job succeeded", open.is_empty(), format!("{open:?}"));
    let letters = BrokerClient::new(&testbed.platform().vhost().url())
        .dead_letters()
        .await?;
    testbed.expect(
        I1,
        "no job is a dead letter",
        letters.is_empty(),
        format!("{letters:?}"),
    );
    Ok(())
}

impl MissingRoles {
    /// Number of missing roles.
    fn roles(&self) -> usize {
        self.members.iter().map(|member| member.roles.len()).sum()
    }

    /// The members who have other roles, with those that they have.
    async fn wrong(&self, testbed: &mut Testbed) -> anyhow::Result<Vec<String>> {
        let mut wrong = Vec::new();
        for MemberWithoutRoles { user, roles } in &self.members {
            let found = testbed.discord().member(self.guild, *user).await?;
            let mut found = found.context("the member is absent")?.roles;
            found.sort_unstable();
            if found != *roles {
                wrong.push(format!("{user} has {found:?} instead of {roles:?}"));
            }
        }
        Ok(wrong)
    }

    /// Checks that every member has the right roles again, and how often they were assigned while this many workers were lost.
    async fn expect_restored(&self, testbed: &mut Testbed, workers_lost: usize) -> anyhow::Result<()> {
        let wrong = self.wrong(testbed).await?;
        testbed.expect(
            I1,
            "every member has the right roles",
            wrong.is_empty(),
            wrong.join("; "),
        );
        let mut calls = assignments(testbed).await?;
        let (missing, all) = (self.roles(), calls.len());
        testbed.note(format!(
            "missing roles: {missing}; workers lost: {workers_lost}; calls that assigned a role: {all}"
        ));
        calls.sort_unstable();
        let most = calls.chunk_by(|a, b| a == b).map(<[String]>::len).max().unwrap_or(0);
        testbed.expect(
            I2,
            "a role is assigned at most twice",
            most <= 2,
            format!("{most} times"),
        );
        testbed.expect(
            I2,
            "the next worker does not repeat the assignments of its predecessor",
            all <= missing + workers_lost,
            format!("{all} calls for {missing} roles, {workers_lost} workers lost"),
        );
        Ok(())
    }
}

/// Removes the roles of some members by hand, while no ingestor runs.
async fn remove_roles(testbed: &mut Testbed, guild: u64) -> anyhow::Result<Vec<MemberWithoutRoles>> {
    let members = testbed.plan().servers[0].members.clone();
    let (mut without_roles, mut removed) = (Vec::new(), 0);
    for member in members.iter().skip(1) {
        let found = testbed.discord().member(guild, member.user).await?;
        let mut roles = found.context("the seed has no such member")?.roles;
        if roles.is_empty() || removed + roles.len() > MISSING {
            continue;
        }
        testbed.discord().set_roles(guild, member.user, &[]).await?;
        removed += roles.len();
        roles.sort_unstable();
        without_roles.push(MemberWithoutRoles {
            user: member.user,
            roles,
        });
        if removed == MISSING {
            break;
        }
    }
    ensure!(
        removed >= 6,
        "the seed's members have {removed} roles: too few for this scenario"
    );
    Ok(without_roles)
}

/// Starts a worker with these fail points. Returns the time until it was killed by them; `None` when it was not, within `limit`.
pub(super) async fn killed_by(
    testbed: &mut Testbed,
    points: &str,
    limit: Duration,
) -> anyhow::Result<Option<Duration>> {
    let variables = testbed.with_guard_points(vec![(POINTS.to_owned(), points.to_owned())]);
    let worker = testbed.platform().spawn_worker(&variables)?;
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if let Some(status) = worker.exit_status() {
            ensure!(status.signal() == Some(SIGKILL), "the worker ended by itself: {status}");
            return Ok(Some(begun.elapsed()));
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(None)
}

/// Jobs that have not succeeded, with their state.
pub(super) async fn unfinished(testbed: &mut Testbed) -> anyhow::Result<Vec<(String, String)>> {
    let mut connection = PgConnection::connect(&testbed.platform().database().admin_url()).await?;
    let found = sqlx::query_as("select job_id, state from jobs where state <> 'succeeded' order by job_id")
        .fetch_all(&mut connection)
        .await?;
    connection.close().await?;
    Ok(found)
}

/// Paths of the successful calls that assigned a role, one for each call.
async fn assignments(testbed: &mut Testbed) -> anyhow::Result<Vec<String>> {
    let calls = testbed.discord().rest_calls().await?;
    let gave = |call: &RestCall| call.method == "PUT" && call.status == 204 && call.path.contains("/roles/");
    Ok(calls.into_iter().filter(gave).map(|call| call.path).collect())
}
