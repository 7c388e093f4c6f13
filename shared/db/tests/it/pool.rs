//! Reused connections, errors in the middle, limits of time.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrakis_config::Secret;
use arrakis_db::{Database, DatabaseOptions, DbError};
use arrakis_test_support::{FaultProxy, eventually};

use crate::fixtures::{TwoTenants, connect, run, set_tenant, user};

/// One connection, so that every transaction reuses it.
async fn one_connection(two: &TwoTenants) -> Database {
    let options = DatabaseOptions {
        max_connections: 1,
        ..DatabaseOptions::default()
    };
    Database::connect(&Secret::new(two.database.app_url()), options)
        .await
        .unwrap()
}

async fn members_seen(database: &Database) -> u32 {
    // A transaction of no tenant on the connection that others have used.
    let mut tx = database.global().await.unwrap();
    let jobs = tx.jobs().get("reconcile:1").await.unwrap();
    assert_eq!(jobs, None);
    tx.commit().await.unwrap();
    database.routes().await.unwrap().len().try_into().unwrap()
}

#[tokio::test]
async fn a_reused_connection_carries_nothing_over_however_the_last_transaction_ended() {
    let two = TwoTenants::create().await;
    let database = one_connection(&two).await;

    let mut tx = database.tenant(two.a).await.unwrap();
    assert_eq!(tx.profiles().numbers().await.unwrap().members, 1);
    assert!(tx.profiles().rename(user(7), "Renamed by A").await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(members_seen(&database).await, 2);

    // Dropped in the middle.
    let mut tx = database.tenant(two.a).await.unwrap();
    assert!(tx.profiles().rename(user(7), "Never committed").await.unwrap());
    drop(tx);
    assert_eq!(members_seen(&database).await, 2);

    // Ended by an error of the database, after which it refuses everything.
    let mut tx = database.tenant(two.a).await.unwrap();
    let too_long = "x".repeat(101);
    let error = tx.claim(&too_long).await.unwrap_err();
    assert!(error.violates("inbox_event_id_check"), "{error}");
    assert!(tx.profiles().numbers().await.is_err());
    drop(tx);

    let mut tx = database.tenant(two.b).await.unwrap();
    let seen = tx.profiles().by_user(user(7)).await.unwrap().unwrap();
    assert_eq!(seen.display_name, "Chani", "B sees its own member and not A's");
    drop(tx);
    let mut tx = database.tenant(two.a).await.unwrap();
    let seen = tx.profiles().by_user(user(7)).await.unwrap().unwrap();
    assert_eq!(seen.display_name, "Renamed by A");
    drop(tx);
    assert_eq!(database.pool_use().open, 1, "all of it went over one connection");
}

#[tokio::test]
async fn a_future_that_is_dropped_in_the_middle_of_a_query_leaves_no_tenant_behind() {
    let two = TwoTenants::create().await;
    let database = one_connection(&two).await;
    // Somebody holds the row, so that the update has to wait and can be dropped while it does.
    let mut owner = connect(&two.database.owner_url()).await;
    set_tenant(&mut owner, Some(two.a)).await;
    run(&mut owner, "begin; update profiles set protected = true")
        .await
        .unwrap();
    let mut tx = database.tenant(two.a).await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(100), async {
        tx.profiles().rename(user(7), "X").await
    });
    assert!(waiting.await.is_err());
    drop(tx);
    run(&mut owner, "rollback").await.unwrap();
    let mut tx = database.tenant(two.b).await.unwrap();
    assert_eq!(tx.profiles().numbers().await.unwrap().members, 1);
    assert_eq!(
        tx.profiles().by_user(user(7)).await.unwrap().unwrap().display_name,
        "Chani"
    );
}

#[tokio::test]
async fn a_connection_that_may_have_been_prepared_or_not_is_not_used_again() {
    let two = TwoTenants::create().await;
    let database = one_connection(&two).await;
    let guild = database.routes().await.unwrap().first().unwrap().0;
    let open = async || database.community_of(guild).await;
    let mut owner = connect(&two.database.owner_url()).await;
    // Given up while it waits for whoever has locked a table: first while it prepares, and the connection is thrown away; then
    // with all prepared, and it is rolled back and used again.
    for _ in 0..2 {
        run(&mut owner, "begin; lock table guild_routes in access exclusive mode")
            .await
            .unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(200), open()).await.is_err());
        run(&mut owner, "rollback").await.unwrap();
        open().await.unwrap().unwrap().1.commit().await.unwrap();
    }

    // Refused before anything could be prepared.
    let fresh = one_connection(&two).await;
    run(&mut owner, "revoke usage on schema public from arrakis_app")
        .await
        .unwrap();
    let refused = fresh.community_of(guild).await.unwrap_err();
    assert!(refused.to_string().starts_with("community.by_guild: "), "{refused}");
    run(&mut owner, "grant usage on schema public to arrakis_app")
        .await
        .unwrap();
    fresh
        .community_of(guild)
        .await
        .unwrap()
        .unwrap()
        .1
        .commit()
        .await
        .unwrap();
    assert_eq!((database.pool_use().open, fresh.pool_use().open), (1, 1));
}

#[tokio::test]
async fn with_every_connection_taken_a_caller_is_told_in_time_and_may_try_again() {
    let two = TwoTenants::create().await;
    let options = DatabaseOptions {
        max_connections: 1,
        acquire_timeout: Duration::from_millis(200),
        ..DatabaseOptions::default()
    };
    let database = Database::connect(&Secret::new(two.database.app_url()), options)
        .await
        .unwrap();
    let held = database.tenant(two.a).await.unwrap();
    let error = database.tenant(two.a).await.unwrap_err();
    assert!(matches!(error, DbError::Away { .. }) && error.is_passing(), "{error}");
    drop(held);
    let free = async || database.ping().await.is_ok();
    eventually(free, "the connection to come free").await;
}

#[tokio::test]
async fn who_is_waited_for_is_told_sooner_than_work_that_has_time() {
    let two = TwoTenants::create().await;
    let options = DatabaseOptions {
        max_connections: 1,
        acquire_timeout: Duration::from_secs(60),
        awaited_timeout: Duration::from_millis(50),
        ..DatabaseOptions::default()
    };
    let database = Database::connect(&Secret::new(two.database.app_url()), options)
        .await
        .unwrap();
    let held = database.tenant(two.a).await.unwrap();
    let error = database.tenant(two.a).await.unwrap_err();
    assert!(error.is_passing(), "{error}");
    let patient = arrakis_db::patiently(Duration::from_secs(60), database.tenant(two.b));
    // The patient one is asked first and so is waiting when the connection comes free.
    let (got, ()) = tokio::join!(patient, async { drop(held) });
    assert_eq!(got.unwrap().community_id(), two.b);
}

#[tokio::test]
async fn a_lock_that_is_not_given_ends_the_waiting_by_the_server_s_clock() {
    let two = TwoTenants::create().await;
    let options = DatabaseOptions {
        statement_timeout: Duration::from_millis(200),
        ..DatabaseOptions::default()
    };
    let database = Database::connect(&Secret::new(two.database.app_url()), options)
        .await
        .unwrap();
    let mut first = database.tenant(two.a).await.unwrap();
    assert!(first.claim("one event").await.unwrap());
    let mut second = database.tenant(two.a).await.unwrap();
    let error = second.claim("one event").await.unwrap_err();
    assert!(
        matches!(error, DbError::Contended { .. }) && error.is_passing(),
        "{error}"
    );
}

#[tokio::test]
async fn a_refused_login_is_told_at_once_and_a_server_that_is_away_is_waited_for() {
    let two = TwoTenants::create().await;
    let wrong = two.database.app_url().replacen("arrakis_app:", "arrakis_app:not-", 1);
    let options = DatabaseOptions {
        connect_deadline: Duration::from_secs(3600),
        ..DatabaseOptions::default()
    };
    let wrong = Secret::new(wrong);
    let connecting = Database::connect(&wrong, options);
    let refused = tokio::time::timeout(Duration::from_secs(60), connecting)
        .await
        .expect("waited for a refused login");
    let error = refused.unwrap_err();
    assert!(!error.is_passing(), "{error}");
    assert!(!error.to_string().contains("not-"), "a password in an error: {error}");

    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let options = DatabaseOptions {
        acquire_timeout: Duration::from_millis(200),
        connect_deadline: Duration::from_millis(300),
        ..DatabaseOptions::default()
    };
    let away = Database::connect(&Secret::new(format!("postgres://x@{nobody}/x")), options)
        .await
        .unwrap_err();
    assert!(away.is_passing(), "{away}");
}

#[tokio::test]
async fn a_connection_whose_server_is_gone_without_a_word_is_thrown_away() {
    let two = TwoTenants::create().await;
    let proxy = FaultProxy::start(&two.database.app_url()).await;
    let url = Secret::new(proxy.in_front_of(&two.database.app_url()));
    let options = DatabaseOptions {
        max_connections: 1,
        ..DatabaseOptions::default()
    };
    let database = Database::connect(&url, options).await.unwrap();
    let mut tx = database.tenant(two.a).await.unwrap();
    assert_eq!(database.pool_use().open, 1);
    proxy.stall(true);
    let asked = tokio::time::timeout(Duration::from_millis(50), async { tx.profiles().numbers().await }).await;
    assert!(asked.is_err(), "the proxy lets something through");
    drop(tx);
    let gone = || std::future::ready(database.pool_use().open == 0);
    eventually(gone, "the pool to give the dead connection up").await;

    proxy.stall(false);
    let answers = async || database.tenant(two.a).await.is_ok();
    eventually(answers, "a new connection").await;
}

#[tokio::test]
async fn a_connection_that_was_ended_while_idle_is_replaced_and_nobody_is_told() {
    let two = TwoTenants::create().await;
    let entrance = FaultProxy::start(&two.database.app_url()).await;
    let url = Secret::new(entrance.in_front_of(&two.database.app_url()));
    let options = DatabaseOptions {
        max_connections: 1,
        ..DatabaseOptions::default()
    };
    let database = Database::connect(&url, options).await.unwrap();
    let guild = database.routes().await.unwrap().first().unwrap().0;
    for _ in 0..2 {
        entrance.cut();
        assert!(database.route(guild).await.unwrap().is_some());
        entrance.cut();
        database.tenant(two.a).await.unwrap().commit().await.unwrap();
        entrance.cut();
        let (_, tx) = database.community_of(guild).await.unwrap().unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(database.breaker_openings(), 0);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_slow_query_is_logged_by_its_name() {
    let two = TwoTenants::create().await;
    let database = one_connection(&two).await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let text = || String::from_utf8(log.0.lock().unwrap().clone()).unwrap();

    let mut owner = connect(&two.database.owner_url()).await;
    set_tenant(&mut owner, Some(two.a)).await;
    run(&mut owner, "begin; update profiles set protected = true")
        .await
        .unwrap();
    let mut tx = database.tenant(two.a).await.unwrap();
    let release = async {
        tokio::time::sleep(arrakis_db::measure::SLOW_QUERY).await;
        run(&mut owner, "rollback").await.unwrap();
    };
    let mut profiles = tx.profiles();
    let (renamed, ()) = tokio::join!(profiles.rename(user(7), "Sihaya"), release);
    assert!(renamed.unwrap());
    let log = text();
    assert!(
        log.contains("slow query") && log.contains("profile.rename") && log.contains("duration_ms="),
        "{log}"
    );
    assert!(log.contains("db.profile.rename"), "the span is missing: {log}");
    assert!(
        !log.contains("Sihaya"),
        "a query's values do not belong in a log: {log}"
    );
}
