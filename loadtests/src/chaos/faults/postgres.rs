//! Postgres has no free connections, restarts, fails over to its standby, holds locks, terminates sessions; two tenants share few
//! connections.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use arrakis_emulator_client::InteractionState;
use arrakis_test_support::{FaultProxy, TestDatabase, TestRedis, TestVhost};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::chaos::Invariant::{I1, I2, I3, I5, I6, I8};
use crate::chaos::broker_client::BrokerClient;
use crate::chaos::{Deployment, Guard, Scenario, Testbed};
use crate::ledger::MemberAction;
use crate::platform::PlatformServices;
use crate::platform::servers::PostgresServer;
use crate::seed::Server;

/// The worker's `application_name` in `pg_stat_activity`.
const WORKER: &str = "arrakis-worker";
/// Time limit of a recovery after Postgres is back.
const RECOVERY_LIMIT: Duration = Duration::from_secs(5);
/// Time limit for a standby to receive what its primary writes on its own.
const REPLICATION_LIMIT: Duration = Duration::from_secs(1);
/// Commands that need no database, run while it is unreachable.
const HELP_COMMANDS: usize = 8;
/// Time limit of their first responses, which includes waiting for a free task of the worker.
const NO_DATABASE_MS: u64 = 2_000;
/// Permanent failures are dead-lettered; a transient failure must be retried instead.
const PASSING: Guard = Guard::FailPoint("worker.guard.transient=skip");

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 46,
        name: "postgres-connections-exhausted",
        what: "other clients hold every connection for three seconds",
        proves: &[I1, I2, I3, I5, I6],
        alerts: &["postgres-breaker"],
        expected: "commands without database answered within 2 s; no dead letter",
        guard: PASSING,
        without_guard: "40 dead letters",
        run: |testbed| Box::pin(exhausted(testbed)),
    },
    Scenario {
        fault: 46,
        name: "postgres-breaker",
        what: "no free connection while members run a command that needs none",
        proves: &[I3],
        alerts: &[],
        expected: "its first response within 2 s",
        guard: Guard::FailPoint("db.guard.breaker=skip"),
        without_guard: "64 of 96 commands expired",
        run: |testbed| Box::pin(breaker(testbed)),
    },
    Scenario {
        fault: 47,
        name: "postgres-restarted",
        what: "immediate shutdown of Postgres and a start",
        proves: &[I1, I2, I5],
        alerts: &[],
        expected: "recovery within 5 s, no dead letter",
        guard: PASSING,
        without_guard: "17 dead letters",
        run: |testbed| Box::pin(restarted(testbed)),
    },
    Scenario {
        fault: 47,
        name: "postgres-failover",
        what: "SIGKILL of the primary and promotion of its synchronous standby",
        proves: &[I1, I2, I5],
        alerts: &[],
        expected: "recovery within 5 s, every commit kept",
        guard: Guard::Harness("an asynchronous standby that stopped replicating before the fault"),
        without_guard: "18 events lost, the standby 39,696 bytes behind",
        run: |testbed| Box::pin(failover(testbed)),
    },
    Scenario {
        fault: 48,
        name: "postgres-locks-and-ends-sessions",
        what: "a table locked for three seconds, then every session of the worker terminated, three times",
        proves: &[I1, I2, I5],
        alerts: &[],
        expected: "recovery within 5 s, no dead letter",
        guard: PASSING,
        without_guard: "30 dead letters",
        run: |testbed| Box::pin(locked(testbed)),
    },
    Scenario {
        fault: 51,
        name: "tenants-under-attack",
        what: "sessions terminated and connections exhausted while two tenants share few of them",
        proves: &[I1, I8],
        alerts: &[],
        expected: "each tenant has the rows of its own members only",
        guard: Guard::FailPoint("db.guard.tenant=skip"),
        without_guard: "14 rows in the other tenant, 26 events lost",
        run: |testbed| Box::pin(tenants(testbed)),
    },
];

/// Starts a platform on this server.
pub(super) async fn start_on(
    testbed: &mut Testbed,
    database: TestDatabase,
    deployment: Deployment,
) -> anyhow::Result<()> {
    testbed.use_services(PlatformServices {
        database,
        vhost: TestVhost::create().await,
        redis: TestRedis::create(),
    });
    testbed.start(deployment).await
}

/// Checks that no message became a dead letter, including commands whose members saw the notice of a failure.
async fn expect_no_dead_letters(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.check_ledger().await?;
    let letters = BrokerClient::new(&testbed.platform().vhost().url())
        .dead_letters()
        .await?;
    testbed.expect(
        I1,
        "no message is a dead letter",
        letters.is_empty(),
        format!("{} dead letters", letters.len()),
    );
    Ok(())
}

/// Terminates the worker's sessions and opens the freed connections, until it has none. The superuser's session stays open, too:
/// closing it would free a connection, and one is enough for a worker.
async fn exhaust_connections(server: &PostgresServer, url: &str) -> anyhow::Result<Vec<PgConnection>> {
    let mut connections = server.use_up(url).await?;
    let mut superuser = server.superuser().await?;
    let deadline = Instant::now() + Duration::from_secs(10);
    // A terminated session frees its connection a moment later, so several rounds are needed.
    let mut empty_rounds = 0;
    loop {
        server.terminate(WORKER).await?;
        // The worker connects again at once, so whatever is freed is requested at short intervals.
        for _ in 0..10 {
            if let Ok(more) = server.use_up(url).await {
                connections.extend(more);
            }
            sleep(Duration::from_millis(5)).await;
        }
        let (left,): (i64,) = sqlx::query_as("select count(*) from pg_stat_activity where application_name = $1")
            .bind(WORKER)
            .fetch_one(&mut superuser)
            .await?;
        empty_rounds = if left == 0 { empty_rounds + 1 } else { 0 };
        if empty_rounds == 3 {
            connections.push(superuser);
            return Ok(connections);
        }
        ensure!(Instant::now() < deadline, "the worker still has {left} sessions");
    }
}

async fn exhausted(testbed: &mut Testbed) -> anyhow::Result<()> {
    let server = PostgresServer::start().await?;
    let database = server.database().await;
    start_on(testbed, database, Deployment::default()).await?;
    // Delayed actions are handled at the rate of Discord's limits. The load is low, so that the recovery depends on Postgres.
    testbed.load(12).await?;
    testbed.wait_for_effects(20).await?;
    let url = testbed.platform().database().app_url();
    let connections = exhaust_connections(&server, &url).await?;
    let opened = async |testbed: &mut Testbed| {
        Ok(testbed
            .worker_metric("arrakis_worker_postgres_breaker_openings_total", &[])
            .await?
            > 0.0)
    };
    let breaker_opened = testbed.wait_until("the breaker to open", opened).await;
    testbed.expect(
        I6,
        "the circuit breaker opens and is counted",
        breaker_opened.is_ok(),
        "it did not open",
    );
    // With the breaker open, commands that need no database do not wait for a connection.
    let mut help_commands = Vec::new();
    for _ in 0..HELP_COMMANDS {
        if let MemberAction::Command { id, .. } = testbed.one_command("help").await? {
            help_commands.push(id);
        }
        sleep(Duration::from_millis(125)).await;
    }
    let mut waits = Vec::new();
    for id in help_commands {
        waits.push(
            testbed
                .discord()
                .interaction(&id.to_string())
                .await?
                .acknowledged_after_ms,
        );
    }
    drop(connections);
    let in_time = waits.iter().flatten().filter(|ms| **ms < NO_DATABASE_MS).count();
    testbed.expect(
        I3,
        "commands that need no database are answered within 2 s",
        in_time == HELP_COMMANDS,
        format!("{waits:?} ms"),
    );
    testbed.expect_recovery(RECOVERY_LIMIT).await?;
    expect_no_dead_letters(testbed).await?;
    testbed.keep_running(server);
    Ok(())
}

async fn breaker(testbed: &mut Testbed) -> anyhow::Result<()> {
    let server = PostgresServer::start().await?;
    let database = server.database().await;
    let deployment = Deployment::default().worker_env("WORKER_PREFETCH", "4");
    start_on(testbed, database, deployment).await?;
    let url = testbed.platform().database().app_url();
    let connections = exhaust_connections(&server, &url).await?;
    let mut last = 0;
    // Several requests wait for a connection before the breaker opens.
    for _ in 0..24 {
        for _ in 0..3 {
            testbed.one_command("position").await?;
        }
        if let MemberAction::Command { id, .. } = testbed.one_command("help").await? {
            last = id;
        }
        sleep(Duration::from_millis(250)).await;
    }
    let discord = testbed.discord();
    let seen = discord
        .until("the last command to be answered or expired", async || {
            let seen = discord.interaction(&last.to_string()).await?;
            let ended = matches!(seen.state, InteractionState::Answered | InteractionState::Expired);
            Ok(ended.then_some(seen))
        })
        .await?;
    drop(connections);
    let took = seen.acknowledged_after_ms;
    let fast = took.is_some_and(|ms| ms < 2_000);
    testbed.expect(
        I3,
        "a command that needs no database does not wait for a connection",
        fast,
        format!("{took:?} ms"),
    );
    // The scenario before this one shows that other commands are delayed and not lost.
    testbed.settle_limit(Duration::ZERO);
    testbed.keep_running(server);
    Ok(())
}

async fn restarted(testbed: &mut Testbed) -> anyhow::Result<()> {
    let mut server = PostgresServer::start().await?;
    let database = server.database().await;
    start_on(testbed, database, Deployment::default()).await?;
    testbed.load(30).await?;
    testbed.wait_for_effects(30).await?;
    server.stop_immediately().await?;
    sleep(Duration::from_millis(500)).await;
    server.start_again().await?;
    testbed.expect_recovery(RECOVERY_LIMIT).await?;
    expect_no_dead_letters(testbed).await?;
    testbed.keep_running(server);
    Ok(())
}

async fn failover(testbed: &mut Testbed) -> anyhow::Result<()> {
    let mut primary = PostgresServer::start().await?;
    let database = primary.database().await;
    let mut standby = primary.standby().await?;
    if testbed.guarded() {
        primary
            .sql("alter system set synchronous_standby_names = '*'; select pg_reload_conf()")
            .await?;
    }
    // Clients connect to a name that leads to the primary; the fault proxy stands for that name.
    let entrance = FaultProxy::start(&database.app_url()).await;
    drop(database);
    let [owner, app, admin] = primary.urls().map(|url| entrance.proxied_url(&url));
    let database = TestDatabase::create_at(&owner, &app, &admin).await;
    start_on(testbed, database, Deployment::default()).await?;
    let followed = async |_: &mut Testbed| Ok(lag(&primary).await? == 0);
    testbed.wait_until("the standby to have caught up", followed).await?;
    if !testbed.guarded() {
        // From now on, commits exist on the primary only.
        standby
            .sql("alter system set primary_conninfo = ''; select pg_reload_conf()")
            .await?;
    }
    testbed.load(30).await?;
    testbed.wait_for_effects(30).await?;
    testbed.stop_load().await?;
    let open = testbed.settle_within(Duration::from_secs(5)).await?;
    ensure!(open.is_empty(), "{} actions had no effect before the fault", open.len());
    let before = behind(&primary, &standby).await?;
    let mut lag = before;
    // The primary also writes on its own, which reaches the standby with a delay.
    let caught_up = async |_: &mut Testbed| {
        lag = behind(&primary, &standby).await?;
        Ok(lag == 0)
    };
    testbed
        .expect_within(I1, "the standby has every commit", REPLICATION_LIMIT, caught_up)
        .await?;
    testbed.note(format!(
        "the standby was {before} bytes behind after the load, and {lag} at the fault"
    ));
    primary.kill().await;
    entrance.close_connections();
    standby.promote().await?;
    standby
        .sql("alter system set synchronous_standby_names = ''; select pg_reload_conf()")
        .await?;
    entrance.set_target(&standby.in_place_of(&testbed.platform().database().app_url())?);
    entrance.close_connections();
    testbed.expect_recovery(RECOVERY_LIMIT).await?;
    expect_no_dead_letters(testbed).await?;
    testbed.keep_running((primary, standby, entrance));
    Ok(())
}

/// Bytes of the primary's WAL that the standby has not received, as the standby reports them: also when replication has stopped.
async fn behind(primary: &PostgresServer, standby: &PostgresServer) -> anyhow::Result<i64> {
    let (mut there, mut here) = (primary.superuser().await?, standby.superuser().await?);
    let (written,): (String,) = sqlx::query_as("select pg_current_wal_flush_lsn()::text")
        .fetch_one(&mut there)
        .await?;
    let (bytes,): (i64,) =
        sqlx::query_as("select greatest(pg_wal_lsn_diff($1::pg_lsn, pg_last_wal_receive_lsn()), 0)::bigint")
            .bind(written)
            .fetch_one(&mut here)
            .await?;
    there.close().await?;
    here.close().await?;
    Ok(bytes)
}

/// Bytes of WAL that the standby has not replayed.
async fn lag(primary: &PostgresServer) -> anyhow::Result<i64> {
    let mut superuser = primary.superuser().await?;
    let (bytes,): (Option<i64>,) = sqlx::query_as(
        "select max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn))::bigint from pg_stat_replication",
    )
    .fetch_one(&mut superuser)
    .await?;
    superuser.close().await?;
    bytes.context("no standby is connected")
}

async fn locked(testbed: &mut Testbed) -> anyhow::Result<()> {
    let server = PostgresServer::start().await?;
    let database = server.database().await;
    start_on(testbed, database, Deployment::default()).await?;
    testbed.load(30).await?;
    testbed.wait_for_effects(20).await?;
    let mut owner = PgConnection::connect(&testbed.platform().database().owner_url()).await?;
    let lock = "begin; lock table inbox in access exclusive mode";
    sqlx::raw_sql(AssertSqlSafe(lock.to_owned()))
        .execute(&mut owner)
        .await?;
    sleep(Duration::from_secs(3)).await;
    sqlx::raw_sql(AssertSqlSafe("rollback".to_owned()))
        .execute(&mut owner)
        .await?;
    owner.close().await?;
    for _ in 0..3 {
        testbed.wait_for_effects(5).await?;
        server.terminate(WORKER).await?;
    }
    testbed.expect_recovery(RECOVERY_LIMIT).await?;
    expect_no_dead_letters(testbed).await?;
    testbed.keep_running(server);
    Ok(())
}

async fn tenants(testbed: &mut Testbed) -> anyhow::Result<()> {
    let server = PostgresServer::start().await?;
    let database = server.database().await;
    // Few connections, so that each serves both tenants alternately.
    let deployment = Deployment::default()
        .worker_env("WORKER_PREFETCH", "4")
        .worker_env("WORKER_EVENT_PREFETCH", "4")
        .worker_env("WORKER_JOB_PREFETCH", "1");
    start_on(testbed, database, deployment).await?;
    testbed.load(40).await?;
    testbed.wait_for_effects(20).await?;
    let url = testbed.platform().database().app_url();
    for _ in 0..3 {
        server.terminate(WORKER).await?;
        sleep(Duration::from_millis(300)).await;
    }
    let connections = exhaust_connections(&server, &url).await?;
    sleep(Duration::from_millis(500)).await;
    drop(connections);
    if !testbed.guarded() {
        // A row that was written for the other tenant never counts as an effect.
        testbed.settle_limit(Duration::from_secs(2));
    }
    testbed.settle().await?;
    let foreign_profiles = foreign_profiles(testbed).await?;
    testbed.expect(
        I8,
        "each tenant has the rows of its own members only",
        foreign_profiles.is_empty(),
        format!("{foreign_profiles:?}"),
    );
    expect_no_dead_letters(testbed).await?;
    testbed.keep_running(server);
    Ok(())
}

/// Profiles of users who are not members of the tenant's server.
async fn foreign_profiles(testbed: &mut Testbed) -> anyhow::Result<Vec<(Uuid, i64)>> {
    let mut allowed = HashSet::new();
    let tenant_of = |testbed: &mut Testbed, guild: u64| {
        let server = testbed.plan().servers.iter().find(|server| server.guild == guild);
        server.and_then(|server| Some(server.community.as_ref()?.id))
    };
    for server in testbed.plan().servers.clone() {
        if let Some(community) = &server.community {
            allowed.extend(
                server
                    .members
                    .iter()
                    .map(|member| (community.id, member.user.cast_signed())),
            );
        }
    }
    // The seed has rows of some of them before they join.
    for newcomer in testbed.plan().newcomers.clone() {
        let sietch = |server: &&Server| {
            server
                .community
                .as_ref()
                .is_some_and(|community| community.theme == "sietch")
        };
        let tenant = testbed
            .plan()
            .servers
            .iter()
            .find(sietch)
            .and_then(|server| Some(server.community.as_ref()?.id));
        allowed.extend(tenant.map(|tenant| (tenant, newcomer.user.cast_signed())));
    }
    for action in testbed.ledger().sent().all() {
        let (MemberAction::Join { guild, user }
        | MemberAction::Leave { guild, user }
        | MemberAction::Command { guild, user, .. }) = action;
        allowed.extend(tenant_of(testbed, guild).map(|tenant| (tenant, user.cast_signed())));
    }
    let mut admin = PgConnection::connect(&testbed.platform().database().admin_url()).await?;
    let rows: Vec<(Uuid, i64)> = sqlx::query_as("select community_id, user_id from profiles")
        .fetch_all(&mut admin)
        .await?;
    admin.close().await?;
    Ok(rows.into_iter().filter(|row| !allowed.contains(row)).collect())
}
