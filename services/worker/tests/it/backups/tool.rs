//! `arrakis-worker backup`.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use arrakis_test_support::Process;
use arrakis_vault::{RecordKind, Task};
use serde_json::Value;

use super::setup::{BackupFolder, exports, last_run, listed};
use crate::platform::{Platform, Worker};

/// How long a task of the command line may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs `arrakis-worker` with these arguments; returns its exit code and output.
pub async fn tool(platform: &Platform, folder: &BackupFolder, arguments: &[&str]) -> (Option<i32>, String) {
    let health = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut environment = folder.environment(platform);
    environment.push(("HEALTH_ADDR", health.to_string()));
    let program = Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    let process = Process::start_at(program, arguments, environment);
    let (status, text) = process.output(LIMIT).await;
    (status.code(), text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn due_runs_are_run_once_by_a_process_that_exits() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let (code, text) = tool(&platform, &folder, &["backup", "run-due"]).await;
    assert_eq!(code, Some(0), "{text}");
    for task in Task::ALL {
        let run = last_run(&platform, task).await.unwrap();
        assert!(run.completed_slot.is_some(), "{run:?}");
    }
    let services = folder.services(&platform, &[]).await;
    assert_eq!(listed(&platform, &services, RecordKind::Snapshot).await, 1);
    let before = exports(&platform, &services).await;
    // Two at once, and nothing is due: unless an hour has begun, there is no further export.
    let (one, two) = tokio::join!(
        tool(&platform, &folder, &["backup", "run-due"]),
        tool(&platform, &folder, &["backup", "run-due"])
    );
    assert_eq!((one.0, two.0), (Some(0), Some(0)), "{one:?} {two:?}");
    assert!(exports(&platform, &services).await <= before + 1);
    let (code, text) = tool(&platform, &folder, &["backup", "status"]).await;
    assert_eq!(code, Some(0), "{text}");
    let guild = &platform.community.guild;
    assert!(
        text.starts_with(&format!("{guild}  premium  Sietch Tabr\n    backup: completed at 20")),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_run_is_shown_and_the_exit_code_is_one() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    std::fs::write(folder.store(), "").unwrap();
    let (code, text) = tool(&platform, &folder, &["backup", "run-due"]).await;
    assert_eq!(code, Some(1), "{text}");
    let (code, text) = tool(&platform, &folder, &["backup", "status", "--json"]).await;
    assert_eq!(code, Some(1), "{text}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let tasks: Vec<&str> = lines.iter().map(|line| line["task"].as_str().unwrap()).collect();
    assert_eq!(tasks, ["backup", "snapshot", "retention"]);
    assert_eq!(lines[0]["consecutive_failures"], 1);
    assert!(
        lines[0]["last_error"].is_string() && lines[0]["completed_slot"].is_null(),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requested_snapshot_is_run_by_a_worker_although_it_is_not_due() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let (code, text) = tool(&platform, &folder, &["backup", "run-due"]).await;
    assert_eq!(code, Some(0), "{text}");
    let _worker = Worker::start(&folder.environment(&platform)).await;
    let guild = platform.community.guild.as_str();
    let (code, text) = tool(
        &platform,
        &folder,
        &["backup", "run", guild, "--task", "snapshot", "--wait"],
    )
    .await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("enqueued backup:snapshot:request:"), "{text}");
    let services = folder.services(&platform, &[]).await;
    assert_eq!(listed(&platform, &services, RecordKind::Snapshot).await, 2);
    let (code, text) = tool(&platform, &folder, &["backup", "run", "7"]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("the server 7 has no community"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_due_without_a_store_is_a_configuration_error() {
    let platform = Platform::start().await;
    let health = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut environment = platform.environment();
    environment.push(("HEALTH_ADDR", health.to_string()));
    let program = Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    let process = Process::start_at(program, &["backup", "run-due"], environment);
    let (status, text) = process.output(LIMIT).await;
    assert_eq!(status.code(), Some(78), "{text}");
    assert!(text.contains("BACKUP_STORE is not set"), "{text}");
}
