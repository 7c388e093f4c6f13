//! A lost catalogue, and the objects of interrupted processes.

use std::path::PathBuf;
use std::sync::Arc;

use arrakis_domain::Plan;
use arrakis_vault::store::MAX_OBJECT_BYTES;
use arrakis_vault::{BackupRecord, FileCatalogue, LimitPolicy, ObjectKey, RecordKind, Vault, VaultParts};
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};

use crate::support::{LocalVault, NOW, OTHER_SERVER, SERVER, files, new_backup, new_snapshot, state};

/// Objects have the time of the test's machine.
fn hours_from_now(hours: i64) -> OffsetDateTime {
    OffsetDateTime::now_utc() + Duration::hours(hours)
}

async fn all(vault: &Vault) -> Vec<BackupRecord> {
    let mut records = Vec::new();
    for kind in [RecordKind::Backup, RecordKind::Snapshot] {
        records.extend(vault.list(SERVER, kind, 100, None, NOW).await.unwrap().records);
    }
    records
}

/// The same store and key with an empty catalogue.
fn without_catalogue(vault: &Vault, signer: Arc<dyn arrakis_vault::Signer>) -> (tempfile::TempDir, Vault) {
    let folder = tempfile::tempdir().unwrap();
    let emptied = Vault::new(VaultParts {
        store: Arc::clone(vault.store()),
        catalogue: Arc::new(FileCatalogue::new(folder.path())),
        signer,
        limits: LimitPolicy::ByPlan,
    });
    (folder, emptied)
}

async fn fill(vault: &Vault) {
    vault.set_plan(SERVER, Plan::Premium).await.unwrap();
    for number in 0..3 {
        let state = state(SERVER, number);
        let mut new = new_backup(SERVER, &state);
        new.message = (number > 0).then_some("vor dem Sandsturm ◌");
        vault.create_backup(new, NOW).await.unwrap();
        vault.create_snapshot(new_snapshot(SERVER, &state), NOW).await.unwrap();
    }
    let other = state(OTHER_SERVER, 1);
    vault
        .create_backup(new_backup(OTHER_SERVER, &other), NOW)
        .await
        .unwrap();
}

/// The file of a record in the catalogue.
fn record_file(local: &LocalVault, record: &BackupRecord) -> PathBuf {
    let name = format!("{}.json", record.id);
    let records = local.path().join(format!(".catalogue/records/{SERVER}"));
    let path = files(&records).into_keys().find(|path| path.ends_with(&name)).unwrap();
    records.join(path)
}

/// A vault with one backup or snapshot.
async fn vault_with(kind: RecordKind) -> (LocalVault, BackupRecord) {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    let state = state(SERVER, 1);
    let created = match kind {
        RecordKind::Backup => local.vault.create_backup(new_backup(SERVER, &state), NOW).await,
        RecordKind::Snapshot => local.vault.create_snapshot(new_snapshot(SERVER, &state), NOW).await,
    };
    let record = created.unwrap();
    (local, record)
}

#[tokio::test]
async fn lost_catalogue_is_made_again_from_a_folder() {
    let local = LocalVault::new(LimitPolicy::ByPlan);
    fill(&local.vault).await;
    let before = all(&local.vault).await;
    let (_folder, emptied) = without_catalogue(&local.vault, local.signer.clone());
    let recovered = emptied.recover(SERVER, hours_from_now(2)).await.unwrap();
    assert_eq!((recovered.recovered.len(), recovered.damaged.len()), (6, 0));
    assert_eq!(all(&emptied).await, before);
    let again = emptied.recover(SERVER, hours_from_now(2)).await.unwrap();
    assert!(again.recovered.is_empty() && again.removed.is_empty());
}

#[cfg(feature = "aws")]
#[tokio::test]
async fn lost_catalogue_is_made_again_from_s3() {
    let aws = crate::support::aws::Aws::start().await;
    let signer = Arc::new(arrakis_vault::LocalSigner::generate().unwrap());
    let vault = Vault::new(VaultParts {
        store: Arc::new(aws.store()),
        catalogue: Arc::new(aws.catalogue()),
        signer: Arc::clone(&signer) as Arc<dyn arrakis_vault::Signer>,
        limits: LimitPolicy::ByPlan,
    });
    fill(&vault).await;
    let before = all(&vault).await;
    let (_folder, emptied) = without_catalogue(&vault, signer);
    emptied.recover(SERVER, hours_from_now(2)).await.unwrap();
    assert_eq!(all(&emptied).await, before);
}

#[tokio::test]
async fn young_objects_and_expired_ones_are_not_recovered() {
    let local = LocalVault::new(LimitPolicy::ByPlan);
    fill(&local.vault).await;
    let (_folder, emptied) = without_catalogue(&local.vault, local.signer.clone());
    let young = emptied.recover(SERVER, hours_from_now(0)).await.unwrap();
    assert!(young.recovered.is_empty());
    for record in all(&local.vault).await {
        let key = record.object().unwrap();
        let mut tags = local.vault.store().tags(&key).await.unwrap();
        tags.insert("Retain".to_owned(), "expired".to_owned());
        local.vault.store().set_tags(&key, &tags).await.unwrap();
    }
    let expired = emptied.recover(SERVER, hours_from_now(2)).await.unwrap();
    assert!(
        expired.recovered.is_empty() && expired.removed.is_empty(),
        "{expired:?}"
    );
}

#[tokio::test]
async fn damaged_and_incomplete_objects_are_not_recovered() {
    let local = LocalVault::new(LimitPolicy::ByPlan);
    fill(&local.vault).await;
    let records = all(&local.vault).await;
    let (backup, snapshot, incomplete) = (&records[0], &records[3], &records[4]);
    std::fs::write(local.path().join(backup.object().unwrap().as_str()), "x").unwrap();
    let file: ObjectKey = format!("snapshots/{SERVER}/{}/state.json.gz", snapshot.id)
        .parse()
        .unwrap();
    std::fs::write(local.path().join(file.as_str()), "x").unwrap();
    local
        .vault
        .store()
        .delete(&incomplete.object().unwrap(), None)
        .await
        .unwrap();
    let (_folder, emptied) = without_catalogue(&local.vault, local.signer.clone());
    let report = emptied.recover(SERVER, hours_from_now(2)).await.unwrap();
    assert_eq!(report.recovered.len(), 3);
    let damaged: Vec<_> = report.damaged.iter().map(ToString::to_string).collect();
    assert_eq!(damaged.len(), 2, "{damaged:?}");
    assert!(damaged[0].contains(backup.object().unwrap().as_str()), "{damaged:?}");
    assert!(damaged[1].contains(file.as_str()), "{damaged:?}");
    // Only the snapshot without a manifest is removed.
    assert_eq!(report.removed.len(), 4);
    assert!(
        report
            .removed
            .iter()
            .all(|key| key.as_str().contains(&incomplete.id.to_string()))
    );
    assert!(local.vault.store().head(&file).await.is_ok());
}

#[tokio::test]
async fn id_follows_from_the_name_where_the_metadata_are_lost() {
    let local = LocalVault::new(LimitPolicy::ByPlan);
    fill(&local.vault).await;
    std::fs::remove_dir_all(local.path().join(".objects")).unwrap();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let (_folder, emptied) = without_catalogue(&local.vault, local.signer.clone());
        emptied.recover(SERVER, hours_from_now(2)).await.unwrap();
        let backups = emptied
            .list(SERVER, RecordKind::Backup, 100, None, NOW)
            .await
            .unwrap()
            .records;
        assert!(
            backups
                .iter()
                .all(|record| record.plan == Plan::Free && record.message.is_none())
        );
        ids.push(backups.into_iter().map(|record| record.id).collect::<Vec<_>>());
    }
    assert_eq!(ids[0].len(), 3);
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn damaged_records_of_whole_objects_are_made_again() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    fill(&local.vault).await;
    let before = all(&local.vault).await;
    let records = local.path().join(format!(".catalogue/records/{SERVER}"));
    for name in files(&records).into_keys() {
        std::fs::write(records.join(name), "{}").unwrap();
    }
    assert!(all(&local.vault).await.is_empty());
    let report = local.vault.recover(SERVER, hours_from_now(2)).await.unwrap();
    assert_eq!((report.recovered.len(), report.damaged.len()), (6, 0));
    assert_eq!(all(&local.vault).await, before);
}

#[tokio::test]
async fn damaged_record_of_a_young_object_is_made_again_by_its_id() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    fill(&local.vault).await;
    let before = all(&local.vault).await;
    for record in &before {
        std::fs::write(record_file(&local, record), "{}").unwrap();
        let other = match record.kind {
            RecordKind::Backup => RecordKind::Snapshot,
            RecordKind::Snapshot => RecordKind::Backup,
        };
        assert_eq!(
            local.vault.recover_record(other, record.id, SERVER).await.unwrap(),
            None
        );
        let report = local.vault.verify_all(SERVER, NOW, &mut |_, _| {}).await.unwrap();
        assert_eq!(
            (report.whole, report.unusable.damaged.len(), report.records.len()),
            (5, 0, 1)
        );
        assert_eq!(
            (report.records[0].kind, report.records[0].id),
            (record.kind, Some(record.id))
        );
        let made = local
            .vault
            .recover_record(record.kind, record.id, SERVER)
            .await
            .unwrap();
        assert_eq!(made.as_ref(), Some(record));
        assert_eq!(
            local.vault.find(record.kind, record.id, SERVER, NOW).await.unwrap(),
            *record
        );
    }
    // Also of one that states another kind than its place.
    let backup = &before[0];
    let path = record_file(&local, backup);
    let text = std::fs::read_to_string(&path).unwrap();
    let (_, content) = text.split_once("\"content\":").unwrap();
    let content = content.strip_suffix('}').unwrap();
    let other = match backup.kind {
        RecordKind::Backup => content.replacen("\"backup\"", "\"snapshot\"", 1),
        RecordKind::Snapshot => content.replacen("\"snapshot\"", "\"backup\"", 1),
    };
    assert_ne!(other, content);
    let checksum = hex::encode(Sha256::digest(other.as_bytes()));
    std::fs::write(&path, format!("{{\"checksum\":\"{checksum}\",\"content\":{other}}}")).unwrap();
    let made = local
        .vault
        .recover_record(backup.kind, backup.id, SERVER)
        .await
        .unwrap();
    assert_eq!(made.as_ref(), Some(backup));
    // Where the object is damaged too, there is no record to make.
    let backup = &before[0];
    std::fs::write(local.path().join(backup.object().unwrap().as_str()), "x").unwrap();
    local.vault.catalogue().delete(backup).await.unwrap();
    let refused = local
        .vault
        .recover_record(backup.kind, backup.id, SERVER)
        .await
        .unwrap_err();
    assert!(refused.is_damage(), "{refused:?}");
}

#[tokio::test]
async fn snapshot_whose_manifest_the_store_does_not_return_stays() {
    let (local, record) = vault_with(RecordKind::Snapshot).await;
    // The manifest is younger than the files, so it is not among the old objects, and the store refuses to return it.
    let manifest = local.path().join(record.object().unwrap().as_str());
    let file = std::fs::File::options().write(true).open(&manifest).unwrap();
    file.set_len(MAX_OBJECT_BYTES + 1).unwrap();
    file.set_modified(hours_from_now(3).into()).unwrap();
    let before = local.vault.store().list("snapshots/").await.unwrap();
    let (_folder, emptied) = without_catalogue(&local.vault, local.signer.clone());
    let report = emptied.recover(SERVER, hours_from_now(2)).await.unwrap();
    assert!(report.removed.is_empty() && report.deleted.is_empty(), "{report:?}");
    let damaged: Vec<_> = report.damaged.iter().map(ToString::to_string).collect();
    assert_eq!(damaged.len(), 1, "{damaged:?}");
    assert!(damaged[0].contains("manifest.json"), "{damaged:?}");
    assert_eq!(local.vault.store().list("snapshots/").await.unwrap(), before);
}

#[tokio::test]
async fn links_are_never_followed_out_of_the_store() {
    let (local, record) = vault_with(RecordKind::Snapshot).await;
    let outside = tempfile::tempdir().unwrap();
    for name in ["manifest.txt", "photo.png"] {
        std::fs::write(outside.path().join(name), "of another").unwrap();
    }
    let before = files(outside.path());
    let snapshots = local.path().join(format!("snapshots/{SERVER}"));
    let link = |to: &std::path::Path, name: String| std::os::unix::fs::symlink(to, snapshots.join(name)).unwrap();
    // A folder of a snapshot, a folder inside of one, and the manifest of one.
    link(outside.path(), uuid::Uuid::from_u128(1).to_string());
    link(outside.path(), format!("{}/images", record.id));
    let linked = uuid::Uuid::from_u128(2);
    std::fs::create_dir(snapshots.join(linked.to_string())).unwrap();
    std::fs::write(snapshots.join(format!("{linked}/state.json.gz")), "x").unwrap();
    link(&outside.path().join("manifest.txt"), format!("{linked}/manifest.json"));
    let report = local.vault.recover(SERVER, hours_from_now(2)).await.unwrap();
    assert!(report.removed.is_empty() && report.deleted.is_empty(), "{report:?}");
    let damaged: Vec<_> = report.damaged.iter().map(ToString::to_string).collect();
    assert_eq!(damaged.len(), 1, "{damaged:?}");
    assert!(damaged[0].contains("manifest.json is a symbolic link"), "{damaged:?}");
    local.vault.delete(&record, NOW).await.unwrap();
    assert!(!snapshots.join(format!("{}/manifest.json", record.id)).exists());
    assert_eq!(files(outside.path()), before);
}

#[tokio::test]
async fn linked_record_is_damaged_and_is_made_again() {
    let (local, record) = vault_with(RecordKind::Backup).await;
    let file = record_file(&local, &record);
    let outside = tempfile::tempdir().unwrap();
    // A vault of tests may be on another file system.
    std::fs::copy(&file, outside.path().join("record")).unwrap();
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(outside.path().join("record"), &file).unwrap();
    let before = files(outside.path());
    let page = local
        .vault
        .list(SERVER, RecordKind::Backup, 9, None, NOW)
        .await
        .unwrap();
    assert!(page.records.is_empty(), "{page:?}");
    assert!(page.damaged[0].reason.contains("is a symbolic link"), "{page:?}");
    local.vault.recover(SERVER, hours_from_now(2)).await.unwrap();
    assert_eq!(all(&local.vault).await, [record]);
    assert_eq!(files(outside.path()), before);
}

#[tokio::test]
async fn files_of_a_snapshot_with_a_damaged_record_are_damaged_and_stay() {
    let (local, record) = vault_with(RecordKind::Snapshot).await;
    std::fs::write(record_file(&local, &record), "{").unwrap();
    std::fs::remove_file(local.path().join(record.object().unwrap().as_str())).unwrap();
    let before = files(local.path());
    let report = local.vault.recover(SERVER, hours_from_now(2)).await.unwrap();
    assert!(report.removed.is_empty(), "{report:?}");
    let damaged: Vec<_> = report.damaged.iter().map(ToString::to_string).collect();
    assert_eq!(damaged.len(), 1, "{damaged:?}");
    assert!(
        damaged[0].contains(record.object().unwrap().as_str()) && damaged[0].contains("does not exist"),
        "{damaged:?}"
    );
    assert_eq!(files(local.path()), before);
}
