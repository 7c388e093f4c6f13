//! Failures of the store and of the leader: no version is lost, and no other task is delayed.

use std::time::Duration;

use arrakis_db::{CHECKPOINT_KEPT, CheckpointPurpose, NewCheckpoint, ServerNames};
use arrakis_test_support::{Process, eventually_within};
use time::OffsetDateTime;
use uuid::Uuid;

use super::setup::{Shadowed, WAIT};
use crate::backups::setup::BackupFolder;
use crate::platform::{Platform, Worker};
use crate::profile_import::setup::onboard;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_that_fails_loses_no_version() {
    let shadowed = Shadowed::create().await;
    // A file where the folder should be.
    std::fs::write(shadowed.setup.path("store"), "").unwrap();
    shadowed.lead().await;
    let mut tx = shadowed.setup.database.global().await.unwrap();
    let health = tx.shadow_health().await.unwrap().unwrap();
    assert_eq!((health.pending, health.problem_count), (1, 0));
    assert!(health.error.is_some());
    drop(tx);
    std::fs::remove_file(shadowed.setup.path("store")).unwrap();
    shadowed.lead().await;
    assert!(shadowed.object("1.json.gz").exists() && shadowed.object("latest.json").exists());
}

/// A key that the store refuses, as one whose encryption key is disabled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_that_fails_for_one_server_delays_no_other_one() {
    let shadowed = Shadowed::create().await;
    onboard(&shadowed.setup.database, 200).await;
    // A file where the folder of the first server should be.
    let manifests = shadowed.setup.path("store").join("manifests");
    std::fs::create_dir_all(&manifests).unwrap();
    std::fs::write(manifests.join("100"), "").unwrap();
    shadowed.lead().await;
    assert!(manifests.join("200/1.json.gz").exists() && manifests.join("200/latest.json").exists());
    let mut tx = shadowed.setup.database.global().await.unwrap();
    let health = tx.shadow_health().await.unwrap().unwrap();
    assert_eq!((health.pending, health.problem_count), (1, 0));
    assert!(health.error.as_ref().unwrap().starts_with("server 100: "), "{health:?}");
    drop(tx);
    // A problem of the other one is found, too.
    std::fs::write(manifests.join("200/1.json.gz"), "nothing").unwrap();
    shadowed.lead().await;
    let mut tx = shadowed.setup.database.global().await.unwrap();
    let health = tx.shadow_health().await.unwrap().unwrap();
    assert_eq!((health.problem_count, health.problems[0].server.as_str()), (1, "200"));
    assert!(health.error.is_some());
    drop(tx);
    std::fs::remove_file(manifests.join("100")).unwrap();
    shadowed.lead().await;
    assert!(shadowed.object("latest.json").exists());
    let mut tx = shadowed.setup.database.global().await.unwrap();
    let health = tx.shadow_health().await.unwrap().unwrap();
    assert_eq!((health.pending, health.error), (0, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_store_is_logged_by_the_leader() {
    let platform = Platform::start().await;
    let folder = BackupFolder::create();
    std::fs::write(folder.store(), "").unwrap();
    let health = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut environment = folder.environment(&platform);
    environment.push(("HEALTH_ADDR", health.to_string()));
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    let worker = Process::start_at(program, &[], environment);
    let is_logged = || async {
        let lines = worker.lines();
        lines
            .iter()
            .any(|line| line.contains("a shadow of a configuration cannot be written or read"))
    };
    eventually_within(WAIT, is_logged, "the failure of the store to be logged").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_that_does_not_respond_delays_no_other_task_of_the_leader() {
    let platform = Platform::start().await;
    let mut tx = platform.tenant().await;
    let record = tx.communities().get().await.unwrap().unwrap();
    let content = tx.configuration(&record, None, &ServerNames::default()).await.unwrap();
    let expired = NewCheckpoint {
        id: Uuid::from_u128(1),
        request: Uuid::from_u128(1),
        purpose: CheckpointPurpose::Manual,
        reason: None,
        by: "stilgar",
        at: OffsetDateTime::now_utc() - CHECKPOINT_KEPT,
        content: &content,
    };
    tx.checkpoints().create(&expired).await.unwrap();
    tx.commit().await.unwrap();
    // Connections are established, and no request has a response.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let health = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let folder = BackupFolder::create();
    let mut environment = folder.environment(&platform);
    environment.retain(|(name, _)| *name != "BACKUP_STORE");
    environment.extend([
        ("BACKUP_STORE", "s3://gaib-backups-1".to_owned()),
        ("AWS_ENDPOINT_URL", format!("http://{}", silent.local_addr().unwrap())),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("HEALTH_ADDR", health.to_string()),
    ]);
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    let _worker = Process::start_at(program, &[], environment);
    let is_deleted = || async {
        let entries = platform.tenant().await.audit_entries(100).await.unwrap();
        entries.iter().any(|entry| entry.action == "checkpoint.expired")
    };
    // A call of the store ends after 60 s.
    let limit = Duration::from_secs(40);
    eventually_within(limit, is_deleted, "the expired checkpoint to be deleted").await;
}

/// A SIGKILL between the object, the pointer and the row: the next leader completes the write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_leader_loses_no_shadow() {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    for point in ["worker.shadow.written", "worker.shadow.pointed"] {
        let platform = Platform::start().await;
        let folder = BackupFolder::create();
        let environment = folder.environment(&platform);
        let mut killed = environment.clone();
        let health = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        killed.push(("HEALTH_ADDR", health.to_string()));
        killed.push(("ARRAKIS_FAIL_POINTS", format!("{point}=kill")));
        Process::start_at(program, &[], killed).ended(WAIT).await;

        let _second = Worker::start(&environment).await;
        let is_shadowed = || async {
            let mut tx = platform.tenant().await;
            let latest = tx.configuration_versions().latest().await.unwrap();
            latest.is_some_and(|latest| latest.shadowed_at.is_some())
        };
        eventually_within(WAIT, is_shadowed, "the version to be in the store").await;
        let server = folder.store().join("manifests").join(&platform.community.guild);
        assert!(
            server.join("1.json.gz").exists() && server.join("latest.json").exists(),
            "{point}"
        );
        assert!(!server.join("2.json.gz").exists(), "{point}");
    }
}
