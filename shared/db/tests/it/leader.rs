use arrakis_config::Secret;
use arrakis_db::{Leader, Leadership};
use arrakis_test_support::{FaultProxy, TestDatabase};

use crate::fixtures::{connect, run};

async fn candidate(test: &TestDatabase) -> Leader {
    Leader::candidate(&Secret::new(test.app_url()), Leadership::Clock)
        .await
        .unwrap()
}

#[tokio::test]
async fn one_leads_and_another_follows_at_once_when_it_resigns() {
    let test = TestDatabase::create().await;
    let (mut one, mut two) = (candidate(&test).await, candidate(&test).await);
    assert!(one.leads().await.unwrap());
    assert!(!two.leads().await.unwrap());
    assert!(
        one.leads().await.unwrap(),
        "asking again does not take the lock a second time"
    );
    one.resign().await;
    // The server ends the session a moment after the client has said goodbye.
    let mut follows = false;
    for _ in 0..200 {
        follows = follows || two.leads().await.unwrap();
        if follows {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(follows);
}

#[tokio::test]
async fn a_leader_whose_connection_is_cut_learns_of_it_and_another_leads() {
    let test = TestDatabase::create().await;
    let (mut one, mut two) = (candidate(&test).await, candidate(&test).await);
    assert!(one.leads().await.unwrap());
    let cut = "select pg_terminate_backend(l.pid, 5000) from pg_locks l join pg_database d on d.oid = l.database
                where locktype = 'advisory' and granted and datname = current_database()";
    run(&mut connect(&test.app_url()).await, cut).await.unwrap();
    let error = one.leads().await.unwrap_err();
    assert!(error.is_passing(), "{error}");
    assert!(two.leads().await.unwrap());
}

#[tokio::test]
async fn a_leader_that_is_dropped_gives_the_lock_up() {
    let test = TestDatabase::create().await;
    let (mut one, mut two) = (candidate(&test).await, candidate(&test).await);
    assert!(one.leads().await.unwrap());
    drop(one);
    let mut follows = async || two.leads().await.unwrap();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while !follows().await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "nobody follows a leader that was dropped"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_server_notices_a_leader_that_is_gone_by_keepalives() {
    let test = TestDatabase::create().await;
    let mut leader = candidate(&test).await;
    assert!(leader.leads().await.unwrap());
    let set = leader.server_settings().await.unwrap();
    assert_eq!(set, ["5", "2", "3", "11000"]);
}

/// The network between the two is gone without a word: the leader must not go on believing.
#[tokio::test]
async fn a_leader_whose_server_says_nothing_stops_leading() {
    let test = TestDatabase::create().await;
    let proxy = FaultProxy::start(&test.app_url()).await;
    let url = Secret::new(proxy.in_front_of(&test.app_url()));
    let mut leader = Leader::candidate(&url, Leadership::Clock).await.unwrap();
    assert!(leader.leads().await.unwrap());
    proxy.stall(true);
    let error = leader.leads().await.unwrap_err();
    assert!(error.is_passing(), "{error}");
}
