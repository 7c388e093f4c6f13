//! Retention by plan, and copies in a second store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrakis_domain::Plan;
use arrakis_iac::state::State;
use arrakis_vault::{FolderStore, ObjectStore, RecordKind, Task};
use arrakis_worker::configuration::ShadowStore;
use arrakis_worker::leader::ConfigurationTasks;
use time::OffsetDateTime;

use super::setup::{
    BackupFolder, advance, advance_to, exports, last_run, listed, now, remove_state, run, server, set_plan, vault,
    write_state,
};
use crate::platform::Platform;

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The number of objects below a prefix of a folder store.
async fn objects(folder: &Path, prefix: &str) -> usize {
    let store: Arc<dyn ObjectStore> = Arc::new(FolderStore::new(folder));
    store.list(prefix).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn free_plan_keeps_seven_days_and_the_newest_good_backup() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let services = folder.services(&platform, &[]).await;
    set_plan(&platform, Plan::Free).await;
    let mut state = State::new("a-lineage");
    advance_to(&platform, &services, 5, 30).await;
    for _ in 0..3 {
        write_state(&platform, &folder, &mut state).await;
        assert_eq!(run(&services).await.failed, 0);
        advance(&platform, &services, DAY).await;
    }
    assert_eq!(listed(&platform, &services, RecordKind::Backup).await, 3);
    // From now on the state is elsewhere, and only exports follow.
    remove_state(&folder);
    for _ in 0..9 {
        assert_eq!(run(&services).await.failed, 0);
        advance(&platform, &services, DAY).await;
    }
    assert_eq!(
        listed(&platform, &services, RecordKind::Backup).await,
        1,
        "the newest good one"
    );
    let (vault, server) = (vault(&services), server(&platform));
    let page = vault
        .list(server, RecordKind::Backup, 10, None, now(&services))
        .await
        .unwrap();
    assert_eq!(page.records[0].state.as_ref().unwrap().serial, 3);
    // Those of the last seven days.
    assert_eq!(exports(&platform, &services).await, 7);
    let prefix = format!("state/{server}/");
    assert_eq!(
        objects(&folder.store(), &prefix).await,
        1,
        "expired objects are deleted from a folder"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_measures_the_clock_of_discord_before_it_expires_anything() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let services = folder.services(&platform, &[]).await;
    platform.control.advance(10 * DAY).await.unwrap();
    assert_eq!(services.discord.clock_offset_ms(), None);
    assert_eq!(run(&services).await.failed, 0);
    let slot = last_run(&platform, Task::Retention)
        .await
        .unwrap()
        .completed_slot
        .unwrap();
    let local = OffsetDateTime::now_utc();
    assert!(slot > local + 8 * DAY, "{slot}, and the local clock is {local}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn premium_plan_keeps_ninety_days() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let services = folder.services(&platform, &[]).await;
    let mut state = State::new("a-lineage");
    advance_to(&platform, &services, 5, 30).await;
    write_state(&platform, &folder, &mut state).await;
    assert_eq!(run(&services).await.failed, 0);
    for (days, kept) in [(30, 2), (59, 3), (3, 3)] {
        advance(&platform, &services, days * DAY).await;
        write_state(&platform, &folder, &mut state).await;
        assert_eq!(run(&services).await.failed, 0);
        assert_eq!(
            listed(&platform, &services, RecordKind::Backup).await,
            kept,
            "after {days} days more"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_backup_is_reported_and_the_one_before_it_is_kept() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let services = folder.services(&platform, &[]).await;
    set_plan(&platform, Plan::Free).await;
    let mut state = State::new("a-lineage");
    advance_to(&platform, &services, 5, 30).await;
    for _ in 0..2 {
        write_state(&platform, &folder, &mut state).await;
        assert_eq!(run(&services).await.failed, 0);
        advance(&platform, &services, DAY).await;
    }
    remove_state(&folder);
    let (vault, server) = (vault(&services), server(&platform));
    let page = vault
        .list(server, RecordKind::Backup, 10, None, now(&services))
        .await
        .unwrap();
    let newest = page.records[0].object().unwrap();
    let path = folder.store().join(newest.as_str());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    advance(&platform, &services, 9 * DAY).await;
    assert_eq!(run(&services).await.failed, 0);
    let page = vault
        .list(server, RecordKind::Backup, 10, None, now(&services))
        .await
        .unwrap();
    let kept: Vec<u64> = page
        .records
        .iter()
        .map(|record| record.state.as_ref().unwrap().serial)
        .collect();
    assert!(kept.contains(&1), "{kept:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn premium_plan_is_copied_to_the_second_store_and_free_is_not() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let second = ("BACKUP_SECOND_STORE", format!("file://{}", folder.second().display()));
    let mut services = folder.services(&platform, &[second]).await;
    let store = vault(&services).store().clone();
    services.shadows = Some(ShadowStore::new(store));
    let mut leader = ConfigurationTasks::default();
    leader.run(&services, now(&services)).await.unwrap();
    let mut state = State::new("a-lineage");
    write_state(&platform, &folder, &mut state).await;
    set_plan(&platform, Plan::Free).await;
    advance_to(&platform, &services, 5, 30).await;
    assert_eq!(run(&services).await.failed, 0);
    assert!(!folder.second().exists());
    set_plan(&platform, Plan::Premium).await;
    advance(&platform, &services, Duration::from_secs(3_600)).await;
    assert_eq!(run(&services).await.failed, 0);
    let server = server(&platform);
    for (prefix, least) in [("state", 2), ("exports", 3), ("snapshots", 4), ("manifests", 2)] {
        let prefix = format!("{prefix}/{server}/");
        let (one, two) = (
            objects(&folder.store(), &prefix).await,
            objects(&folder.second(), &prefix).await,
        );
        assert!(one == two && one >= least, "{prefix}: {one} and {two}");
    }
    // The first store is lost: a vault on the copies lists them again.
    std::fs::remove_dir_all(folder.store()).unwrap();
    let lost = ("BACKUP_STORE", format!("file://{}", folder.second().display()));
    let recovered = folder.services(&platform, &[lost]).await;
    advance(&platform, &recovered, Duration::from_secs(2 * 3_600)).await;
    let report = vault(&recovered).recover(server, now(&recovered)).await.unwrap();
    assert_eq!((report.recovered.len(), report.damaged.len()), (3, 0), "{report:?}");
}
