//! The last runs of scheduled backups.

use arrakis_db::{BackupRun, DueTask};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::fixtures::one_community;

const SLOT: OffsetDateTime = datetime!(2026-11-21 03:00 UTC);

#[tokio::test]
async fn failures_are_counted_until_a_run_completes() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let mut runs = tx.backup_runs();
    assert_eq!(runs.all().await.unwrap(), []);
    let now = SLOT + Duration::MINUTE;
    assert_eq!(runs.record_failure("backup", "no server", now).await.unwrap(), 1);
    let later = now + Duration::MINUTE;
    assert_eq!(runs.record_failure("backup", "no store", later).await.unwrap(), 2);
    let failed = BackupRun {
        task: "backup".to_owned(),
        completed_slot: None,
        last_success_at: None,
        last_attempt_at: later,
        consecutive_failures: 2,
        last_error: Some("no store".to_owned()),
    };
    assert_eq!(runs.all().await.unwrap(), [failed]);
    let end = later + Duration::MINUTE;
    runs.record_success("backup", SLOT, end).await.unwrap();
    let completed = BackupRun {
        task: "backup".to_owned(),
        completed_slot: Some(SLOT),
        last_success_at: Some(end),
        last_attempt_at: end,
        consecutive_failures: 0,
        last_error: None,
    };
    assert_eq!(runs.all().await.unwrap(), [completed]);
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn earlier_slot_does_not_replace_a_later_one() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let mut runs = tx.backup_runs();
    runs.record_success("retention", SLOT, SLOT).await.unwrap();
    runs.record_success("retention", SLOT - Duration::DAY, SLOT)
        .await
        .unwrap();
    runs.record_success("backup", SLOT - Duration::DAY, SLOT).await.unwrap();
    let found = runs.all().await.unwrap();
    let slots: Vec<_> = found
        .iter()
        .map(|run| (run.task.as_str(), run.completed_slot))
        .collect();
    assert_eq!(
        slots,
        [("backup", Some(SLOT - Duration::DAY)), ("retention", Some(SLOT))]
    );
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn task_is_due_since_it_was_first_found_due_until_a_run_completes() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let mut runs = tx.backup_runs();
    assert_eq!(runs.due().await.unwrap(), []);
    runs.mark_due("backup", SLOT).await.unwrap();
    runs.mark_due("backup", SLOT + Duration::HOUR).await.unwrap();
    runs.mark_due("snapshot", SLOT).await.unwrap();
    let due = |task: &str| DueTask {
        task: task.to_owned(),
        since: SLOT,
    };
    assert_eq!(runs.due().await.unwrap(), [due("backup"), due("snapshot")]);
    runs.record_failure("backup", "no store", SLOT).await.unwrap();
    assert_eq!(runs.due().await.unwrap().len(), 2);
    runs.record_success("backup", SLOT, SLOT).await.unwrap();
    assert_eq!(runs.due().await.unwrap(), [due("snapshot")]);
    runs.clear_due("snapshot").await.unwrap();
    assert_eq!(runs.due().await.unwrap(), []);
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn unknown_task_is_refused() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    assert!(tx.backup_runs().record_failure("dance", "x", SLOT).await.is_err());
}
