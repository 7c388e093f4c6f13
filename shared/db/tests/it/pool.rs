//! Reused connections, errors within a transaction, time limits.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrakis_config::Secret;
use arrakis_db::{Database, DatabaseOptions, DbError};
use arrakis_test_support::{FaultProxy, eventually};
use tracing_subscriber::fmt::format::FmtSpan;

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

async fn routes_seen(database: &Database) -> u32 {
    // A transaction without a tenant on the connection that was used before.
    let mut tx = database.global().await.unwrap();
    let jobs = tx.jobs().get("reconcile:1").await.unwrap();
    assert_eq!(jobs, None);
    tx.commit().await.unwrap();
    database.routes().await.unwrap().len().try_into().unwrap()
}

#[tokio::test]
async fn reused_connection_has_no_state_of_the_last_transaction() {
    let two = TwoTenants::create().await;
    let database = one_connection(&two).await;

    let mut tx = database.tenant(two.a).await.unwrap();
    assert_eq!(tx.profiles().counts().await.unwrap().members, 1);
    assert!(tx.profiles().rename(user(7), "Renamed by A").await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(routes_seen(&database).await, 2);

    // Dropped before its end.
    let mut tx = database.tenant(two.a).await.unwrap();
    assert!(tx.profiles().rename(user(7), "Never committed").await.unwrap());
    drop(tx);
    assert_eq!(routes_seen(&database).await, 2);

    // Aborted by an error of the database, after which it refuses every statement.
    let mut tx = database.tenant(two.a).await.unwrap();
    let too_long = "x".repeat(101);
    let error = tx.claim(&too_long).await.unwrap_err();
    assert!(error.violates("inbox_event_id_check"), "{error}");
    assert!(tx.profiles().counts().await.is_err());
    drop(tx);

    let mut tx = database.tenant(two.b).await.unwrap();
    let seen = tx.profiles().by_user(user(7)).await.unwrap().unwrap();
    assert_eq!(seen.display_name, "Chani", "B reads its own member and not A's");
    drop(tx);
    let mut tx = database.tenant(two.a).await.unwrap();
    let seen = tx.profiles().by_user(user(7)).await.unwrap().unwrap();
    assert_eq!(seen.display_name, "Renamed by A");
    drop(tx);
    assert_eq!(database.pool_usage().open, 1, "one connection was used for all");
}

#[tokio::test]
async fn future_dropped_within_a_query_leaves_no_tenant_set() {
    let two = TwoTenants::create().await;
    let database = one_connection(&two).await;
    // The owner locks the row, so that the update waits and can be dropped meanwhile.
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
    assert_eq!(tx.profiles().counts().await.unwrap().members, 1);
    assert_eq!(
        tx.profiles().by_user(user(7)).await.unwrap().unwrap().display_name,
        "Chani"
    );
}

#[tokio::test]
async fn connection_with_unknown_prepared_statements_is_closed() {
    let two = TwoTenants::create().await;
    let database = one_connection(&two).await;
    let guild = database.routes().await.unwrap().first().unwrap().0;
    let open = async || database.community_of(guild).await;
    let mut owner = connect(&two.database.owner_url()).await;
    // Dropped while it waits for a lock on a table: first within PREPARE, so the connection is closed; then with everything
    // prepared, so it is rolled back and used again.
    for _ in 0..2 {
        run(&mut owner, "begin; lock table guild_routes in access exclusive mode")
            .await
            .unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(200), open()).await.is_err());
        run(&mut owner, "rollback").await.unwrap();
        open().await.unwrap().unwrap().1.commit().await.unwrap();
    }

    // Refused before anything was prepared.
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
    assert_eq!((database.pool_usage().open, fresh.pool_usage().open), (1, 1));
}

#[tokio::test]
async fn exhausted_pool_is_a_transient_error_after_the_acquire_timeout() {
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
    assert!(
        matches!(error, DbError::Unavailable { .. }) && error.is_transient(),
        "{error}"
    );
    drop(held);
    let free = async || database.ping().await.is_ok();
    eventually(free, "the connection to become free").await;
}

#[tokio::test]
async fn interactive_work_times_out_sooner_than_background_work() {
    let two = TwoTenants::create().await;
    let options = DatabaseOptions {
        max_connections: 1,
        acquire_timeout: Duration::from_secs(60),
        interactive_acquire_timeout: Duration::from_millis(50),
        ..DatabaseOptions::default()
    };
    let database = Database::connect(&Secret::new(two.database.app_url()), options)
        .await
        .unwrap();
    let held = database.tenant(two.a).await.unwrap();
    let error = database.tenant(two.a).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    let background = arrakis_db::with_connection_wait(Duration::from_secs(60), database.tenant(two.b));
    // The background work is polled first, so it waits when the connection becomes free.
    let (begun, ()) = tokio::join!(background, async { drop(held) });
    assert_eq!(begun.unwrap().community_id(), two.b);
}

#[tokio::test]
async fn server_ends_the_wait_for_a_lock() {
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
        matches!(error, DbError::Contended { .. }) && error.is_transient(),
        "{error}"
    );
}

#[tokio::test]
async fn refused_login_is_an_error_at_once_and_unavailable_server_is_waited_for() {
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
    assert!(!error.is_transient(), "{error}");
    assert!(!error.to_string().contains("not-"), "a password in an error: {error}");

    let unused_address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let options = DatabaseOptions {
        acquire_timeout: Duration::from_millis(200),
        connect_deadline: Duration::from_millis(300),
        ..DatabaseOptions::default()
    };
    let unavailable = Database::connect(&Secret::new(format!("postgres://x@{unused_address}/x")), options)
        .await
        .unwrap_err();
    assert!(unavailable.is_transient(), "{unavailable}");
}

#[tokio::test]
async fn connection_to_an_unresponsive_server_is_closed() {
    let two = TwoTenants::create().await;
    let proxy = FaultProxy::start(&two.database.app_url()).await;
    let url = Secret::new(proxy.proxied_url(&two.database.app_url()));
    let options = DatabaseOptions {
        max_connections: 1,
        ..DatabaseOptions::default()
    };
    let database = Database::connect(&url, options).await.unwrap();
    let mut tx = database.tenant(two.a).await.unwrap();
    assert_eq!(database.pool_usage().open, 1);
    proxy.stall(true);
    let query = tokio::time::timeout(Duration::from_millis(50), async { tx.profiles().counts().await }).await;
    assert!(query.is_err(), "the proxy forwards bytes");
    drop(tx);
    let closed = || std::future::ready(database.pool_usage().open == 0);
    eventually(closed, "the pool to close the connection").await;

    proxy.stall(false);
    let responds = async || database.tenant(two.a).await.is_ok();
    eventually(responds, "a new connection").await;
}

/// Health checks are all that an idle service does.
#[tokio::test]
async fn pings_close_the_circuit_of_a_service_without_traffic() {
    let two = TwoTenants::create().await;
    let url = Secret::new(two.database.app_url());
    let options = DatabaseOptions {
        max_connections: 1,
        interactive_acquire_timeout: Duration::from_millis(50),
        ..DatabaseOptions::default()
    };
    let database = Database::connect(&url, options).await.unwrap();
    let held = database.tenant(two.a).await.unwrap();
    for _ in 0..10 {
        assert!(database.tenant(two.a).await.is_err(), "the only connection is in use");
    }
    assert!(database.breaker_is_open());
    held.commit().await.unwrap();
    let closes = async || database.ping().await.is_ok() && !database.breaker_is_open();
    eventually(closes, "the circuit to close by pings").await;
}

#[tokio::test]
async fn connection_closed_while_idle_is_replaced_without_an_error() {
    let two = TwoTenants::create().await;
    let proxy = FaultProxy::start(&two.database.app_url()).await;
    let url = Secret::new(proxy.proxied_url(&two.database.app_url()));
    let options = DatabaseOptions {
        max_connections: 1,
        ..DatabaseOptions::default()
    };
    let database = Database::connect(&url, options).await.unwrap();
    let guild = database.routes().await.unwrap().first().unwrap().0;
    for _ in 0..2 {
        proxy.close_connections();
        assert!(database.route(guild).await.unwrap().is_some());
        proxy.close_connections();
        database.tenant(two.a).await.unwrap().commit().await.unwrap();
        proxy.close_connections();
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

/// OpenTelemetry reads the status of a span from this field.
#[tokio::test]
async fn span_of_a_failed_query_has_the_status_of_an_error() {
    let two = TwoTenants::create().await;
    let database = one_connection(&two).await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(false)
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let held = database.tenant(two.a).await.unwrap();
    let text = || String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!text().contains("otel.status_code"), "{}", text());
    assert!(database.tenant(two.a).await.is_err(), "the only connection is in use");
    assert!(
        text().contains("db.transaction.begin{otel.status_code=\"ERROR\"}"),
        "{}",
        text()
    );
    drop(held);
}

#[tokio::test]
async fn statement_dropped_outside_of_a_transaction_is_not_rolled_back() {
    let two = TwoTenants::create().await;
    let database = one_connection(&two).await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);

    let mut owner = connect(&two.database.owner_url()).await;
    run(&mut owner, "begin; lock table guild_routes in access exclusive mode")
        .await
        .unwrap();
    let dropped = tokio::time::timeout(Duration::from_millis(200), database.routes()).await;
    assert!(dropped.is_err());
    run(&mut owner, "rollback").await.unwrap();
    assert_eq!(routes_seen(&database).await, 2);
    assert_eq!(database.pool_usage().open, 1);
    // PostgreSQL warns "there is no transaction in progress".
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!text.contains("no transaction in progress"), "{text}");
}

#[tokio::test]
async fn slow_query_is_logged_with_its_name() {
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
        tokio::time::sleep(arrakis_db::named_query::SLOW_QUERY).await;
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
    assert!(!log.contains("Sihaya"), "a query's values must not be logged: {log}");
}
