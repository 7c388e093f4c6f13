//! Workers that serve: the leader enqueues what is due, the workers run it, `/health` shows it.

use std::time::Duration;

use arrakis_contracts::JobKind;
use arrakis_test_support::{eventually, eventually_within};
use arrakis_vault::{RecordKind, Task};
use serde_json::Value;
use time::OffsetDateTime;

use super::setup::{BackupFolder, exports, last_run, listed, server};
use crate::platform::{Platform, Worker};

/// How long all tasks may take. The leader looks for what is due each minute.
const RUN_LIMIT: Duration = Duration::from_secs(100);

fn health(worker: &Worker) -> Value {
    worker.runtime.health.document("worker", "0")["components"]["backups"].clone()
}

async fn until_completed(platform: &Platform) {
    let is_completed = || async {
        for task in Task::ALL {
            let run = last_run(platform, task).await;
            if run.is_none_or(|run| run.completed_slot.is_none()) {
                return false;
            }
        }
        true
    };
    eventually_within(RUN_LIMIT, is_completed, "all tasks to be completed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn due_tasks_run_and_health_shows_their_age() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let worker = Worker::start(&folder.environment(&platform)).await;
    until_completed(&platform).await;
    let shown = || async {
        let found = health(&worker);
        let detail = found["detail"].as_str().unwrap_or_default();
        let has_run = |task: &str| detail.contains(&format!("last {task} ")) && detail.contains(" min ago");
        found["status"] == "up" && ["backup", "snapshot", "retention"].into_iter().all(has_run)
    };
    eventually_within(RUN_LIMIT, shown, "the ages of the last runs").await;
    for (line, value) in [
        (
            "arrakis_worker_backup_runs_total{outcome=\"ok\",task=\"snapshot\"}",
            1.0,
        ),
        ("arrakis_worker_backup_failing{task=\"backup\"}", 0.0),
        ("arrakis_worker_backup_overdue{task=\"backup\"}", 0.0),
    ] {
        worker.until_metric(line, value).await;
    }
    let stored = folder
        .store()
        .join(format!("exports/{}/config.latest.yaml", server(&platform)));
    let yaml = std::fs::read_to_string(stored).unwrap();
    assert!(yaml.contains("Sietch Tabr") && yaml.contains("Naib"), "{yaml}");
    let schedule = folder
        .store()
        .join(format!("metadata/{}/backup-schedule.json", server(&platform)));
    let schedule: Value = serde_json::from_slice(&std::fs::read(schedule).unwrap()).unwrap();
    assert!(schedule["content"]["completed"]["snapshot"].is_string(), "{schedule}");
    platform.until_messages(&JobKind::Backup.queue(), 0).await;
    worker.stop().await.unwrap();
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_run_each_task_once() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let began = OffsetDateTime::now_utc();
    let environment = folder.environment(&platform);
    let workers = tokio::join!(Worker::start(&environment), Worker::start(&environment));
    until_completed(&platform).await;
    let services = folder.services(&platform, &[]).await;
    // The backup of the next hour may have followed.
    let most = 1 + usize::from(OffsetDateTime::now_utc().hour() != began.hour());
    let exports = exports(&platform, &services).await;
    assert!((1..=most).contains(&exports), "{exports} exports");
    assert_eq!(listed(&platform, &services, RecordKind::Snapshot).await, 1);
    let runs = |worker: &Worker| {
        let line = "arrakis_worker_backup_runs_total{outcome=\"ok\",task=\"snapshot\"}";
        worker.metric(line).unwrap_or_default()
    };
    eventually(
        || async { (runs(&workers.0) + runs(&workers.1) - 1.0).abs() < 0.1 },
        "one run of the snapshot",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_without_a_store_has_no_scheduled_backups_and_names_that() {
    let (platform, worker) = Platform::with_worker().await;
    let named = || async {
        let found = health(&worker);
        let detail = found["detail"].as_str().unwrap_or_default();
        found["status"] == "up" && detail == "BACKUP_STORE is not set: scheduled backups are off"
    };
    eventually(named, "the component to name the variable").await;
    assert_eq!(last_run(&platform, Task::Backup).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_backups_are_degraded_with_the_error() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    std::fs::write(folder.store(), "").unwrap();
    let worker = Worker::start(&folder.environment(&platform)).await;
    let named = || async {
        let found = health(&worker);
        let detail = found["detail"].as_str().unwrap_or_default();
        found["status"] == "degraded"
            && detail.contains("last backup of 1 servers failed")
            && detail.contains("`arrakis-worker backup status` lists all")
    };
    eventually_within(RUN_LIMIT, named, "the component to name the failures").await;
    let run = last_run(&platform, Task::Backup).await.unwrap();
    assert!(run.consecutive_failures >= 1, "{run:?}");
}
