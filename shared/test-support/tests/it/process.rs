use std::path::Path;
use std::time::Duration;

use arrakis_test_support::{Process, eventually};

const LIMIT: Duration = Duration::from_secs(10);

fn shell(script: &str) -> Process {
    Process::start_at(Path::new("/bin/sh"), &["-c", script], [("GREETING", "salve")])
}

#[tokio::test]
async fn both_streams_are_collected_and_variables_are_set() {
    let process = shell("echo $GREETING; echo trouble >&2; exit 3");
    let (status, log) = process.output(LIMIT).await;
    assert_eq!(status.code(), Some(3));
    assert!(log.contains("salve") && log.contains("trouble"), "{log}");
}

#[tokio::test]
async fn terminate_can_be_handled_and_kill_cannot() {
    let mut process = shell("trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.02; done");
    process.line("up").await;
    process.terminate();
    process.line("asked").await;
    assert!(process.ended(LIMIT).await.success());

    let mut process = shell("trap '' TERM; echo up; while :; do sleep 0.02; done");
    process.line("up").await;
    process.kill().await;
    assert_eq!(process.ended(LIMIT).await.code(), None);
}

#[tokio::test]
async fn dropped_process_is_killed() {
    let process = shell("echo up; exec sleep 600");
    process.line("up").await;
    let pid = process.pid().unwrap();
    drop(process);
    let gone = || std::future::ready(!is_alive(pid));
    eventually(gone, "the process to be gone").await;
}

/// A zombie process is not alive.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[tokio::test]
#[should_panic(expected = "ended (exit status: 7) before it was ready")]
async fn ended_process_is_not_waited_for() {
    shell("exit 7").ready("127.0.0.1:9").await;
}
