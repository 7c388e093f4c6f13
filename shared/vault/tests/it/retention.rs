//! Retention over days. The clock is an argument.

use arrakis_domain::Plan;
use arrakis_vault::{BackupRecord, LimitPolicy, LocalSigner, RecordKind, Vault, paths};
use time::{Duration, OffsetDateTime};

use crate::support::{LocalVault, NOW, SERVER, new_backup, new_snapshot, state};

async fn listed(vault: &Vault, kind: RecordKind, now: OffsetDateTime) -> Vec<BackupRecord> {
    vault.list(SERVER, kind, 1_000, None, now).await.unwrap().records
}

/// A backup, a snapshot and an export at this time.
async fn back_up(vault: &Vault, now: OffsetDateTime) -> BackupRecord {
    let state = state(SERVER, 1);
    vault.create_snapshot(new_snapshot(SERVER, &state), now).await.unwrap();
    vault.write_export(SERVER, b"version: '1.0'", now).await.unwrap();
    vault.create_backup(new_backup(SERVER, &state), now).await.unwrap()
}

#[tokio::test]
async fn a_week_is_kept_in_a_folder_and_the_newest_good_one_for_ever() {
    let local = LocalVault::new(LimitPolicy::ByPlan);
    days_of_retention(&local.vault, true).await;
}

#[cfg(feature = "aws")]
#[tokio::test]
async fn a_week_is_kept_in_s3_and_the_newest_good_one_for_ever() {
    let aws = crate::support::aws::Aws::start().await;
    days_of_retention(&aws.vault(LimitPolicy::ByPlan), false).await;
}

async fn days_of_retention(vault: &Vault, deletes: bool) {
    let mut records = Vec::new();
    for day in 0..10 {
        let now = NOW + Duration::days(day);
        records.push(back_up(vault, now).await);
        let report = vault.apply_retention(SERVER, now).await.unwrap();
        let expires_one = day >= 7;
        assert_eq!(report.expired.len(), if expires_one { 2 } else { 0 }, "day {day}");
        assert_eq!(report.exports.len(), usize::from(expires_one), "day {day}");
        let kept = usize::try_from(day + 1).unwrap().min(7);
        for kind in [RecordKind::Backup, RecordKind::Snapshot] {
            assert_eq!(listed(vault, kind, now).await.len(), kept, "day {day}, {kind}");
        }
    }
    // Nothing new for a hundred days.
    let now = NOW + Duration::days(110);
    let report = vault.apply_retention(SERVER, now).await.unwrap();
    assert_eq!(
        (report.expired.len(), report.kept.len(), report.damaged.len()),
        (12, 2, 0)
    );
    let again = vault.apply_retention(SERVER, now).await.unwrap();
    assert!(again.expired.is_empty() && again.exports.is_empty());
    let last = records.last().unwrap();
    assert_eq!(
        listed(vault, RecordKind::Backup, now).await,
        *std::slice::from_ref(last)
    );
    vault.verify(last).await.unwrap();
    let latest = vault.latest_export(SERVER).await.unwrap().unwrap();
    assert_eq!(latest.yaml, b"version: '1.0'");
    for record in &records[..9] {
        let key = record.object().unwrap();
        if deletes {
            assert!(vault.store().head(&key).await.unwrap_err().is_not_found(), "{key}");
        } else {
            assert_eq!(vault.store().tags(&key).await.unwrap()["Retain"], "expired", "{key}");
            let kept = vault.catalogue().get(record.id, Some(SERVER)).await.unwrap().unwrap();
            assert!(kept.is_expired(now), "{kept:?}");
        }
    }
    assert!(
        !vault
            .store()
            .tags(&last.object().unwrap())
            .await
            .unwrap()
            .contains_key("Retain")
    );
}

#[tokio::test]
async fn image_of_exports_expires_unless_the_newest_export_has_it() {
    let local = LocalVault::new(LimitPolicy::ByPlan);
    let vault = &local.vault;
    let images = ["emoji-a.png", "emoji-b.png"].map(|name| (name.to_owned(), vec![1_u8]));
    vault.write_export_images(SERVER, images.into()).await.unwrap();
    // The times of images are those of the store.
    let now = OffsetDateTime::now_utc();
    vault
        .write_export(SERVER, b"image: images/emoji-a.png", now)
        .await
        .unwrap();
    let report = vault.apply_retention(SERVER, now).await.unwrap();
    assert!(report.exports.is_empty());
    let report = vault.apply_retention(SERVER, now + Duration::days(8)).await.unwrap();
    assert_eq!(report.exports, [paths::export_image(SERVER, "emoji-b.png").unwrap()]);
    let kept = vault.store().list(&paths::export_images(SERVER)).await.unwrap();
    let kept: Vec<_> = kept.into_iter().map(|image| image.key).collect();
    assert_eq!(kept, [paths::export_image(SERVER, "emoji-a.png").unwrap()]);
}

#[tokio::test]
async fn premium_backups_are_kept_for_ninety_days() {
    let local = LocalVault::new(LimitPolicy::ByPlan);
    let vault = &local.vault;
    vault.set_plan(SERVER, Plan::Premium).await.unwrap();
    back_up(vault, NOW).await;
    back_up(vault, NOW + Duration::days(1)).await;
    // A record keeps the plan of its creation.
    vault.set_plan(SERVER, Plan::Free).await.unwrap();
    let before = vault
        .apply_retention(SERVER, NOW + Duration::days(90) - Duration::SECOND)
        .await
        .unwrap();
    assert!(before.expired.is_empty());
    let after = vault.apply_retention(SERVER, NOW + Duration::days(90)).await.unwrap();
    assert_eq!(after.expired.len(), 2);
}

#[tokio::test]
async fn damaged_backup_does_not_count_as_the_newest_good_one() {
    let local = LocalVault::new(LimitPolicy::ByPlan);
    let vault = &local.vault;
    let mut records = Vec::new();
    for day in 0..4 {
        let state = state(SERVER, 1);
        let created = vault
            .create_backup(new_backup(SERVER, &state), NOW + Duration::days(day))
            .await;
        records.push(created.unwrap());
    }
    for damaged in &records[2..] {
        std::fs::write(local.path().join(damaged.object().unwrap().as_str()), "x").unwrap();
    }
    let now = NOW + Duration::days(50);
    let report = vault.apply_retention(SERVER, now).await.unwrap();
    assert_eq!(report.kept, [records[1].clone()]);
    assert_eq!(report.damaged.len(), 2);
    // The damaged ones stay.
    assert_eq!(report.expired, [records[0].clone()]);
    vault.verify(&records[1]).await.unwrap();
    // Where none is good, all stay.
    std::fs::write(local.path().join(records[1].object().unwrap().as_str()), "x").unwrap();
    let report = vault.apply_retention(SERVER, now).await.unwrap();
    assert_eq!((report.expired.len(), report.damaged.len()), (0, 3));
    assert_eq!(listed(vault, RecordKind::Backup, now).await.len(), 3);
}

#[tokio::test]
async fn damaged_backup_that_is_older_than_the_newest_good_one_stays_and_is_reported() {
    let local = LocalVault::new(LimitPolicy::ByPlan);
    let vault = &local.vault;
    let mut records = Vec::new();
    for day in 0..3 {
        records.push(back_up(vault, NOW + Duration::days(day)).await);
    }
    let damaged = records[0].object().unwrap();
    std::fs::write(local.path().join(damaged.as_str()), "x").unwrap();
    let now = NOW + Duration::days(50);
    for run in 0..2 {
        let report = vault.apply_retention(SERVER, now).await.unwrap();
        assert_eq!(report.damaged.len(), 1, "run {run}");
        assert!(report.damaged[0].to_string().contains(damaged.as_str()), "run {run}");
    }
    let left: Vec<_> = listed(vault, RecordKind::Backup, now).await;
    assert_eq!(left, [records[2].clone(), records[0].clone()]);
}

#[tokio::test]
async fn newest_export_that_is_whole_stays_and_damaged_ones_stay_too() {
    let local = LocalVault::new(LimitPolicy::ByPlan);
    let vault = &local.vault;
    let mut keys = Vec::new();
    for day in 0..3 {
        let written = vault.write_export(SERVER, b"version: '1.0'", NOW + Duration::days(day));
        keys.push(written.await.unwrap());
    }
    std::fs::write(local.path().join(keys[2].as_str()), "x").unwrap();
    let now = NOW + Duration::days(50);
    let report = vault.apply_retention(SERVER, now).await.unwrap();
    assert_eq!((report.exports, report.damaged.len()), (vec![keys[0].clone()], 1));
    let left = vault.exports(SERVER).await.unwrap();
    let left: Vec<_> = left.into_iter().map(|export| export.key).collect();
    assert_eq!(left, [keys[2].clone(), keys[1].clone()]);
    vault.read_export(SERVER, &keys[1]).await.unwrap();
    // Where none is whole, all stay.
    std::fs::write(local.path().join(keys[1].as_str()), "x").unwrap();
    let report = vault.apply_retention(SERVER, now).await.unwrap();
    assert_eq!((report.exports.len(), report.damaged.len()), (0, 2));
    assert_eq!(vault.exports(SERVER).await.unwrap().len(), 2);
}

#[tokio::test]
async fn exports_of_another_key_expire_as_any_other() {
    let local = LocalVault::new(LimitPolicy::ByPlan);
    let mut keys = Vec::new();
    for day in 0..2 {
        let written = local
            .vault
            .write_export(SERVER, b"version: '1.0'", NOW + Duration::days(day));
        keys.push(written.await.unwrap());
    }
    let workers = local.with_signer(LocalSigner::generate().unwrap());
    let report = workers.apply_retention(SERVER, NOW + Duration::days(50)).await.unwrap();
    assert_eq!((report.exports, report.damaged.len()), (vec![keys[0].clone()], 0));
    let left = workers.exports(SERVER).await.unwrap();
    assert_eq!(left.len(), 1);
    assert!(
        workers
            .read_export(SERVER, &keys[1])
            .await
            .unwrap_err()
            .is_of_unknown_key()
    );
}

#[tokio::test]
async fn each_workspace_keeps_its_newest_good_backup() {
    let local = LocalVault::new(LimitPolicy::ByPlan);
    let vault = &local.vault;
    let state = state(SERVER, 1);
    for (workspace, day) in [("default", 0), ("default", 1), ("staging", 0)] {
        let mut new = new_backup(SERVER, &state);
        new.workspace = workspace;
        vault.create_backup(new, NOW + Duration::days(day)).await.unwrap();
    }
    let now = NOW + Duration::days(50);
    let report = vault.apply_retention(SERVER, now).await.unwrap();
    assert_eq!((report.expired.len(), report.kept.len()), (1, 2));
}
