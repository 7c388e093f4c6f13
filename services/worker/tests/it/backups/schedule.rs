//! What is due under a moved clock, and what one run stores.

use std::time::Duration;

use arrakis_db::NewJob;
use arrakis_domain::Plan;
use arrakis_iac::snapshot::{MembersRecord, ServerRecord};
use arrakis_iac::state::State;
use arrakis_vault::{Expected, MEMBERS_FILE, RecordKind, Task};
use arrakis_worker::jobs::backup;
use serde_json::{Value, json};
use time::Weekday;

use super::setup::{
    BackupFolder, advance, advance_to, assign, exports, last_run, listed, now, run, server, set_plan, vault,
    write_state,
};
use crate::platform::Platform;

const HOUR: Duration = Duration::from_secs(3_600);
/// A PNG file of one pixel.
const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn free_plan_is_backed_up_once_a_day_and_has_no_snapshots() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let services = folder.services(&platform, &[]).await;
    set_plan(&platform, Plan::Free).await;
    advance_to(&platform, &services, 3, 30).await;
    let first = run(&services).await;
    // A task that has never run is due at once: the backup of today, the retention of yesterday.
    assert_eq!((first.completed, first.failed), (2, 0));
    assert_eq!(exports(&platform, &services).await, 1);
    assert_eq!(run(&services).await.completed, 0, "nothing is due");
    let mut completed = 0;
    for _ in 0..16 {
        advance(&platform, &services, 3 * HOUR).await;
        completed += run(&services).await.completed;
    }
    // Two days later: two backups and two retentions more.
    assert_eq!(completed, 4);
    assert_eq!(exports(&platform, &services).await, 3);
    assert_eq!(listed(&platform, &services, RecordKind::Snapshot).await, 0);
    assert_eq!(last_run(&platform, Task::Snapshot).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn premium_plan_is_backed_up_hourly_with_a_snapshot_on_sunday() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let services = folder.services(&platform, &[]).await;
    advance_to(&platform, &services, 3, 30).await;
    while now(&services).weekday() != Weekday::Sunday {
        advance(&platform, &services, 24 * HOUR).await;
    }
    assert_eq!(run(&services).await.completed, 3);
    // Between Sunday 03:30 and 09:30.
    for hour in 1..=6 {
        advance(&platform, &services, HOUR).await;
        let tasks = match hour {
            1 => 2, // with the snapshot of 04:00
            2 => 2, // with the retention of 05:00
            _ => 1,
        };
        assert_eq!(run(&services).await.completed, tasks, "after {hour} hours");
    }
    assert_eq!(exports(&platform, &services).await, 7);
    assert_eq!(listed(&platform, &services, RecordKind::Snapshot).await, 2);
    let slot = last_run(&platform, Task::Snapshot)
        .await
        .unwrap()
        .completed_slot
        .unwrap();
    assert_eq!((slot.weekday(), slot.hour(), slot.minute()), (Weekday::Sunday, 4, 0));
    let schedule = vault(&services).schedule(server(&platform)).await.unwrap();
    assert_eq!(schedule.completed[&Task::Snapshot].0, slot);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missed_runs_are_caught_up_by_one() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let services = folder.services(&platform, &[]).await;
    set_plan(&platform, Plan::Free).await;
    advance_to(&platform, &services, 6, 0).await;
    assert_eq!(run(&services).await.completed, 2);
    advance(&platform, &services, 3 * 24 * HOUR).await;
    assert_eq!(run(&services).await.completed, 2);
    assert_eq!(exports(&platform, &services).await, 2);
    assert_eq!(run(&services).await.completed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_run_is_recorded_and_repeated_after_a_pause() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let services = folder.services(&platform, &[]).await;
    set_plan(&platform, Plan::Free).await;
    advance_to(&platform, &services, 6, 0).await;
    // A file is where the store is to be.
    std::fs::write(folder.store(), "").unwrap();
    let failed = run(&services).await;
    assert_eq!((failed.completed, failed.failed), (0, 2));
    let recorded = last_run(&platform, Task::Backup).await.unwrap();
    assert_eq!((recorded.consecutive_failures, recorded.completed_slot), (1, None));
    assert!(recorded.last_error.is_some());
    std::fs::remove_file(folder.store()).unwrap();
    assert_eq!(
        run(&services).await,
        arrakis_worker::jobs::backup::RunSummary::default()
    );
    advance(&platform, &services, Duration::from_secs(11 * 60)).await;
    assert_eq!(run(&services).await.completed, 2);
    let recorded = last_run(&platform, Task::Backup).await.unwrap();
    assert_eq!((recorded.consecutive_failures, recorded.last_error), (0, None));
    assert_eq!(exports(&platform, &services).await, 1);
}

/// The plan was free for the time in which the run of a snapshot was dropped: its id has ended, and the snapshot is due all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_that_was_dropped_under_another_plan_is_due_again_in_the_same_slot() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let services = folder.services(&platform, &[]).await;
    advance(&platform, &services, Duration::ZERO).await;
    let slot = Task::Snapshot.newest_slot(Plan::Premium, now(&services)).unwrap();
    let request = backup::request(backup::scheduled_id(Task::Snapshot, slot, 0), Task::Snapshot);
    let enqueued = NewJob {
        id: &request.id,
        kind: request.kind.name(),
        payload: request.payload.clone(),
        due_at: now(&services) - time::Duration::MINUTE,
    };
    let mut tx = platform.tenant().await;
    assert!(tx.jobs().enqueue(&enqueued).await.unwrap());
    tx.commit().await.unwrap();
    set_plan(&platform, Plan::Free).await;
    assert_eq!(run(&services).await.failed, 1);
    set_plan(&platform, Plan::Premium).await;
    run(&services).await;
    assert_eq!(listed(&platform, &services, RecordKind::Snapshot).await, 1);
    assert!(
        last_run(&platform, Task::Snapshot)
            .await
            .unwrap()
            .completed_slot
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_is_backed_up_where_gaib_keeps_it_in_the_store() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let services = folder.services(&platform, &[]).await;
    let mut state = State::new("a-lineage");
    write_state(&platform, &folder, &mut state).await;
    advance(&platform, &services, Duration::ZERO).await;
    assert_eq!(run(&services).await.failed, 0);
    let (vault, server) = (vault(&services), server(&platform));
    let listed = vault
        .list(server, RecordKind::Backup, 10, None, now(&services))
        .await
        .unwrap();
    let [record] = &listed.records[..] else {
        panic!("{listed:?}")
    };
    assert_eq!((record.workspace.as_str(), record.plan), ("default", Plan::Premium));
    let version = record.state.as_ref().unwrap();
    assert_eq!((version.lineage.as_str(), version.serial), ("a-lineage", 1));
    let expected = Expected {
        server,
        lineage: Some("a-lineage".to_owned()),
    };
    let read = vault.read_backup(record, &expected).await.unwrap();
    assert_eq!(State::from_bytes(&read).unwrap(), state);
    // The snapshot has it, too.
    let snapshots = vault
        .list(server, RecordKind::Snapshot, 10, None, now(&services))
        .await
        .unwrap();
    let snapshot = vault.read_snapshot(&snapshots.records[0], &expected).await.unwrap();
    assert_eq!(State::from_bytes(snapshot.state().unwrap()).unwrap(), state);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshot_has_the_server_its_images_and_the_roles_of_members() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let services = folder.services(&platform, &[]).await;
    let url = format!(
        "{}/guilds/{}/emojis",
        platform.emulator.addresses().rest,
        platform.community.guild
    );
    let created = reqwest::Client::new()
        .post(url)
        .header("authorization", format!("Bot {}", platform.emulator.token()))
        .json(&json!({"name": "worm", "image": PIXEL}))
        .send()
        .await
        .unwrap();
    assert!(created.status().is_success(), "{created:?}");
    assign(&platform, &services, "chani", "naib").await;
    assert_eq!(run(&services).await.failed, 0);
    let (vault, server) = (vault(&services), server(&platform));
    let listed = vault
        .list(server, RecordKind::Snapshot, 10, None, now(&services))
        .await
        .unwrap();
    let expected = Expected { server, lineage: None };
    let snapshot = vault.read_snapshot(&listed.records[0], &expected).await.unwrap();
    let record = ServerRecord::from_bytes(&snapshot.files["server.json"]).unwrap();
    let [image] = &record.images[..] else {
        panic!("{:?}", record.images)
    };
    assert!(snapshot.files[&image.file].starts_with(b"\x89PNG"));
    let members = MembersRecord::from_bytes(&snapshot.files[MEMBERS_FILE]).unwrap();
    let chani = platform.community.user("chani");
    let naib: Value = json!(platform.community.roles["naib"]);
    let found = members.members.iter().find(|member| member.user.to_string() == chani);
    let roles = serde_json::to_value(&found.unwrap().roles).unwrap();
    assert!(roles.as_array().unwrap().contains(&naib), "{roles}");
    let yaml = String::from_utf8(snapshot.config().to_vec()).unwrap();
    assert!(yaml.contains(&image.file) && yaml.contains("worm"), "{yaml}");
    assert_eq!(snapshot.manifest.theme.as_ref().unwrap().name, "sietch");
    assert!(snapshot.manifest.counts.roles > 3, "{:?}", snapshot.manifest.counts);
}
