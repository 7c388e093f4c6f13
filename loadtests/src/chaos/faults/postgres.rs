//! Postgres gives no connections, restarts, is replaced by its standby, holds locks, ends sessions; two tenants share what is
//! left.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use arrakis_emulator_client::InteractionState;
use arrakis_test_support::{FaultProxy, TestDatabase, TestRedis, TestVhost};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::chaos::Invariant::{I1, I2, I3, I5, I6, I8};
use crate::chaos::door::Door;
use crate::chaos::{Guard, Scenario, Shape, Stage};
use crate::ledger::Deed;
use crate::platform::Foundation;
use crate::platform::servers::PostgresServer;
use crate::seed::Server;

/// The worker's name in `pg_stat_activity`.
const WORKER: &str = "arrakis-worker";
/// Postgres is there again, and the flow is within this time.
const BACK: Duration = Duration::from_secs(5);
/// A standby that follows has what its primary writes by itself within this time.
const FOLLOWS: Duration = Duration::from_secs(1);
/// Commands that need no database, given while there is none.
const HELPS: usize = 8;
/// What they may take; they wait behind others for a place at their worker.
const NO_DATABASE_MS: u64 = 2_000;
/// What stays wrong is dropped; what passes must not be taken for it.
const PASSING: Guard = Guard::FailPoint("worker.guard.transient=skip");

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 46,
        name: "postgres-connections-exhausted",
        what: "others hold every connection for three seconds",
        proves: &[I1, I2, I3, I5, I6],
        guard: PASSING,
        run: |stage| Box::pin(exhausted(stage)),
    },
    Scenario {
        fault: 46,
        name: "postgres-breaker",
        what: "no connection to be had while members run a command that needs none",
        proves: &[I3],
        guard: Guard::FailPoint("db.guard.breaker=skip"),
        run: |stage| Box::pin(breaker(stage)),
    },
    Scenario {
        fault: 47,
        name: "postgres-restarted",
        what: "immediate stop of Postgres and a start",
        proves: &[I1, I2, I5],
        guard: PASSING,
        run: |stage| Box::pin(restarted(stage)),
    },
    Scenario {
        fault: 47,
        name: "postgres-failover",
        what: "the primary is killed and its synchronous standby promoted",
        proves: &[I1, I2, I5],
        guard: Guard::Harness("the standby follows behind, and stopped following before the fault"),
        run: |stage| Box::pin(failover(stage)),
    },
    Scenario {
        fault: 48,
        name: "postgres-locks-and-ends-sessions",
        what: "a table is locked for three seconds, then every session of the worker ended, three times",
        proves: &[I1, I2, I5],
        guard: PASSING,
        run: |stage| Box::pin(locked(stage)),
    },
    Scenario {
        fault: 51,
        name: "tenants-under-attack",
        what: "sessions ended and connections used up while two tenants share few of them",
        proves: &[I1, I8],
        guard: Guard::FailPoint("db.guard.tenant=skip"),
        run: |stage| Box::pin(tenants(stage)),
    },
];

/// A platform on this server.
async fn start_on(stage: &mut Stage, database: TestDatabase, shape: Shape) -> anyhow::Result<()> {
    stage.build_on(Foundation {
        database,
        vhost: TestVhost::create().await,
        redis: TestRedis::create(),
    });
    stage.start(shape).await
}

/// Delayed, never dropped: nothing became a dead letter, not even a command whose member was told that it failed.
async fn nothing_dropped(stage: &mut Stage) -> anyhow::Result<()> {
    stage.judge().await?;
    let letters = Door::new(&stage.platform().vhost().url()).dead().await?;
    stage.expect(
        I1,
        "delayed, not dropped",
        letters.is_empty(),
        format!("{} dead letters", letters.len()),
    );
    Ok(())
}

/// Ends the worker's sessions and takes what they leave, until it has none. The superuser's own session is among what is
/// kept: closing it would leave a place, and one connection is enough for a worker.
async fn starve(server: &PostgresServer, url: &str) -> anyhow::Result<Vec<PgConnection>> {
    let mut hogs = server.use_up(url).await?;
    let mut superuser = server.superuser().await?;
    let deadline = Instant::now() + Duration::from_secs(10);
    // A session that was ended gives its place back a moment later: once is not enough.
    let mut looks = 0;
    loop {
        server.terminate(WORKER).await?;
        sleep(Duration::from_millis(50)).await;
        if let Ok(more) = server.use_up(url).await {
            hogs.extend(more);
        }
        let (left,): (i64,) = sqlx::query_as("select count(*) from pg_stat_activity where application_name = $1")
            .bind(WORKER)
            .fetch_one(&mut superuser)
            .await?;
        looks = if left == 0 { looks + 1 } else { 0 };
        if looks == 3 {
            hogs.push(superuser);
            return Ok(hogs);
        }
        ensure!(Instant::now() < deadline, "the worker keeps {left} sessions");
    }
}

async fn exhausted(stage: &mut Stage) -> anyhow::Result<()> {
    let server = PostgresServer::start().await?;
    let database = server.database().await;
    start_on(stage, database, Shape::default()).await?;
    // What is delayed is made up for at the pace of Discord's limits: few, so that recovery shows Postgres and not those.
    stage.load(12).await?;
    stage.flows(20).await?;
    let url = stage.platform().database().app_url();
    let hogs = starve(&server, &url).await?;
    let opened = async |stage: &mut Stage| {
        Ok(stage
            .worker_metric("arrakis_worker_postgres_breaker_openings_total", &[])
            .await?
            > 0.0)
    };
    let told = stage.until("the breaker to open", opened).await;
    stage.expect(I6, "the breaker opens and is counted", told.is_ok(), "it does not");
    // What needs no database goes on, now that nobody waits for one any more.
    let mut helps = Vec::new();
    for _ in 0..HELPS {
        if let Deed::Command { id, .. } = stage.one_command("help").await? {
            helps.push(id);
        }
        sleep(Duration::from_millis(125)).await;
    }
    let mut waits = Vec::new();
    for id in helps {
        waits.push(
            stage
                .discord()
                .interaction(&id.to_string())
                .await?
                .acknowledged_after_ms,
        );
    }
    drop(hogs);
    let in_time = waits.iter().flatten().filter(|ms| **ms < NO_DATABASE_MS).count();
    stage.expect(
        I3,
        "commands that need no database are answered while there is none",
        in_time == HELPS,
        format!("{waits:?} ms"),
    );
    stage.recovers(BACK).await?;
    nothing_dropped(stage).await?;
    stage.keep(server);
    Ok(())
}

async fn breaker(stage: &mut Stage) -> anyhow::Result<()> {
    let server = PostgresServer::start().await?;
    let database = server.database().await;
    let shape = Shape::default().worker_env("WORKER_PREFETCH", "4");
    start_on(stage, database, shape).await?;
    let url = stage.platform().database().app_url();
    let hogs = starve(&server, &url).await?;
    let mut last = 0;
    // Callers wait a while each before the breaker has seen enough of them.
    for _ in 0..24 {
        for _ in 0..3 {
            stage.one_command("position").await?;
        }
        if let Deed::Command { id, .. } = stage.one_command("help").await? {
            last = id;
        }
        sleep(Duration::from_millis(250)).await;
    }
    let discord = stage.discord();
    let seen = discord
        .until("the last to be over", async || {
            let seen = discord.interaction(&last.to_string()).await?;
            let ended = matches!(seen.state, InteractionState::Answered | InteractionState::Expired);
            Ok(ended.then_some(seen))
        })
        .await?;
    drop(hogs);
    let took = seen.acknowledged_after_ms;
    let fast = took.is_some_and(|ms| ms < 2_000);
    stage.expect(
        I3,
        "a command that needs no database does not wait for it",
        fast,
        format!("{took:?} ms"),
    );
    // That what needed Postgres is delayed and not dropped is shown by the scenario above.
    stage.patience(Duration::ZERO);
    stage.keep(server);
    Ok(())
}

async fn restarted(stage: &mut Stage) -> anyhow::Result<()> {
    let mut server = PostgresServer::start().await?;
    let database = server.database().await;
    start_on(stage, database, Shape::default()).await?;
    stage.load(30).await?;
    stage.flows(30).await?;
    server.stop_immediately().await?;
    sleep(Duration::from_millis(500)).await;
    server.start_again().await?;
    stage.recovers(BACK).await?;
    nothing_dropped(stage).await?;
    stage.keep(server);
    Ok(())
}

async fn failover(stage: &mut Stage) -> anyhow::Result<()> {
    let mut primary = PostgresServer::start().await?;
    let database = primary.database().await;
    let mut standby = primary.standby().await?;
    if stage.guarded() {
        primary
            .sql("alter system set synchronous_standby_names = '*'; select pg_reload_conf()")
            .await?;
    }
    // Who connects by name is sent to the new primary; here the name is an address that leads there.
    let entrance = FaultProxy::start(&database.app_url()).await;
    drop(database);
    let [owner, app, admin] = primary.urls().map(|url| entrance.proxied_url(&url));
    let database = TestDatabase::create_at(&owner, &app, &admin).await;
    start_on(stage, database, Shape::default()).await?;
    let followed = async |_: &mut Stage| Ok(lag(&primary).await? == 0);
    stage.until("the standby to have followed", followed).await?;
    if !stage.guarded() {
        // What is committed from now on is committed in one place.
        standby
            .sql("alter system set primary_conninfo = ''; select pg_reload_conf()")
            .await?;
    }
    stage.load(30).await?;
    stage.flows(30).await?;
    stage.quiet().await?;
    let open = stage.settle_within(Duration::from_secs(5)).await?;
    ensure!(open.is_empty(), "{} deeds were not done before the fault", open.len());
    let before = behind(&primary, &standby).await?;
    let mut lag = before;
    // A primary writes a little by itself, too, and that takes its time to the standby.
    let caught_up = async |_: &mut Stage| {
        lag = behind(&primary, &standby).await?;
        Ok(lag == 0)
    };
    stage
        .sees(I1, "the standby has all that was committed", FOLLOWS, caught_up)
        .await?;
    stage.note(format!(
        "the standby was {before} bytes behind when all was done, and {lag} at the fault"
    ));
    primary.kill().await;
    entrance.close_connections();
    standby.promote().await?;
    standby
        .sql("alter system set synchronous_standby_names = ''; select pg_reload_conf()")
        .await?;
    entrance.set_target(&standby.in_place_of(&stage.platform().database().app_url())?);
    entrance.close_connections();
    stage.recovers(BACK).await?;
    nothing_dropped(stage).await?;
    stage.keep((primary, standby, entrance));
    Ok(())
}

/// Bytes of the primary's log that the standby does not have, by its own account: it is asked even when it follows no more.
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

/// Bytes that the standby has not taken yet.
async fn lag(primary: &PostgresServer) -> anyhow::Result<i64> {
    let mut superuser = primary.superuser().await?;
    let (bytes,): (Option<i64>,) = sqlx::query_as(
        "select max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn))::bigint from pg_stat_replication",
    )
    .fetch_one(&mut superuser)
    .await?;
    superuser.close().await?;
    bytes.context("no standby follows")
}

async fn locked(stage: &mut Stage) -> anyhow::Result<()> {
    let server = PostgresServer::start().await?;
    let database = server.database().await;
    start_on(stage, database, Shape::default()).await?;
    stage.load(30).await?;
    stage.flows(20).await?;
    let mut owner = PgConnection::connect(&stage.platform().database().owner_url()).await?;
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
        stage.flows(5).await?;
        server.terminate(WORKER).await?;
    }
    stage.recovers(BACK).await?;
    nothing_dropped(stage).await?;
    stage.keep(server);
    Ok(())
}

async fn tenants(stage: &mut Stage) -> anyhow::Result<()> {
    let server = PostgresServer::start().await?;
    let database = server.database().await;
    // Few connections, so that each serves both tenants by turns.
    let shape = Shape::default()
        .worker_env("WORKER_PREFETCH", "4")
        .worker_env("WORKER_EVENT_PREFETCH", "4")
        .worker_env("WORKER_JOB_PREFETCH", "1");
    start_on(stage, database, shape).await?;
    stage.load(40).await?;
    stage.flows(20).await?;
    let url = stage.platform().database().app_url();
    for _ in 0..3 {
        server.terminate(WORKER).await?;
        sleep(Duration::from_millis(300)).await;
    }
    let hogs = starve(&server, &url).await?;
    sleep(Duration::from_millis(500)).await;
    drop(hogs);
    if !stage.guarded() {
        // What went to the other tenant never has its effect here.
        stage.patience(Duration::from_secs(2));
    }
    stage.settle().await?;
    let strangers = strangers(stage).await?;
    stage.expect(
        I8,
        "each tenant has its own members' rows and no other",
        strangers.is_empty(),
        format!("{strangers:?}"),
    );
    nothing_dropped(stage).await?;
    stage.keep(server);
    Ok(())
}

/// Rows of members in a tenant whose server they have nothing to do with.
async fn strangers(stage: &mut Stage) -> anyhow::Result<Vec<(Uuid, i64)>> {
    let mut allowed = HashSet::new();
    let tenant_of = |stage: &mut Stage, guild: u64| {
        let server = stage.plan().servers.iter().find(|server| server.guild == guild);
        server.and_then(|server| Some(server.community.as_ref()?.id))
    };
    for server in stage.plan().servers.clone() {
        if let Some(community) = &server.community {
            allowed.extend(
                server
                    .members
                    .iter()
                    .map(|member| (community.id, member.user.cast_signed())),
            );
        }
    }
    // The seed knows some of them before they join.
    for newcomer in stage.plan().newcomers.clone() {
        let sietch = |server: &&Server| {
            server
                .community
                .as_ref()
                .is_some_and(|community| community.theme == "sietch")
        };
        let tenant = stage
            .plan()
            .servers
            .iter()
            .find(sietch)
            .and_then(|server| Some(server.community.as_ref()?.id));
        allowed.extend(tenant.map(|tenant| (tenant, newcomer.user.cast_signed())));
    }
    for deed in stage.ledger().sent().all() {
        let (Deed::Join { guild, user } | Deed::Leave { guild, user } | Deed::Command { guild, user, .. }) = deed;
        allowed.extend(tenant_of(stage, guild).map(|tenant| (tenant, user.cast_signed())));
    }
    let mut admin = PgConnection::connect(&stage.platform().database().admin_url()).await?;
    let rows: Vec<(Uuid, i64)> = sqlx::query_as("select community_id, user_id from profiles")
        .fetch_all(&mut admin)
        .await?;
    admin.close().await?;
    Ok(rows.into_iter().filter(|row| !allowed.contains(row)).collect())
}
