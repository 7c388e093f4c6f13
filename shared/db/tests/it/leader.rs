use arrakis_config::Secret;
use arrakis_db::{LeaderElection, Leadership};
use arrakis_test_support::{FaultProxy, TestDatabase};

use crate::fixtures::{connect, run};

async fn candidate(test: &TestDatabase) -> LeaderElection {
    LeaderElection::connect(&Secret::new(test.app_url()), Leadership::ScheduledJobs)
        .await
        .unwrap()
}

#[tokio::test]
async fn another_worker_leads_at_once_after_a_resignation() {
    let test = TestDatabase::create().await;
    let (mut one, mut two) = (candidate(&test).await, candidate(&test).await);
    assert!(one.try_lead().await.unwrap());
    assert!(!two.try_lead().await.unwrap());
    assert!(
        one.try_lead().await.unwrap(),
        "a second call does not take the lock again"
    );
    one.resign().await;
    // The server ends the session a moment after the client closed the connection.
    let mut leads = false;
    for _ in 0..200 {
        leads = leads || two.try_lead().await.unwrap();
        if leads {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(leads);
}

#[tokio::test]
async fn leader_without_its_connection_gets_an_error_and_another_leads() {
    let test = TestDatabase::create().await;
    let (mut one, mut two) = (candidate(&test).await, candidate(&test).await);
    assert!(one.try_lead().await.unwrap());
    let terminate = "select pg_terminate_backend(l.pid, 5000) from pg_locks l join pg_database d on d.oid = l.database
                where locktype = 'advisory' and granted and datname = current_database()";
    run(&mut connect(&test.app_url()).await, terminate).await.unwrap();
    let error = one.try_lead().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(two.try_lead().await.unwrap());
}

#[tokio::test]
async fn dropped_leader_releases_the_lock() {
    let test = TestDatabase::create().await;
    let (mut one, mut two) = (candidate(&test).await, candidate(&test).await);
    assert!(one.try_lead().await.unwrap());
    drop(one);
    let mut leads = async || two.try_lead().await.unwrap();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while !leads().await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the lock of a dropped leader is not released"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn server_detects_a_lost_leader_by_keepalives() {
    let test = TestDatabase::create().await;
    let mut leader = candidate(&test).await;
    assert!(leader.try_lead().await.unwrap());
    let set = leader.server_settings().await.unwrap();
    assert_eq!(set, ["5", "2", "3", "11000"]);
}

/// The network drops every packet: the leader must not keep its leadership.
#[tokio::test]
async fn leader_with_an_unresponsive_server_loses_its_leadership() {
    let test = TestDatabase::create().await;
    let proxy = FaultProxy::start(&test.app_url()).await;
    let url = Secret::new(proxy.proxied_url(&test.app_url()));
    let mut leader = LeaderElection::connect(&url, Leadership::ScheduledJobs).await.unwrap();
    assert!(leader.try_lead().await.unwrap());
    proxy.stall(true);
    let error = leader.try_lead().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}
