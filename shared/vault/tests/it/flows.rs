//! What a caller does with a vault: the same on a folder, and on S3 with DynamoDB.

use arrakis_domain::Plan;
use arrakis_vault::{
    Action, Deployment, LimitPolicy, NewBackup, Operation, RecordKind, RollbackTo, Task, ThemeVersion, Trigger, Vault,
    VaultError,
};
use time::Duration;
use uuid::Uuid;

use crate::support::{LocalVault, NOW, OTHER_SERVER, SERVER, deployment, expected, new_backup, new_snapshot, state};

#[tokio::test]
async fn vault_in_a_folder_works() {
    let local = LocalVault::new(LimitPolicy::ByPlan);
    run(&local.vault).await;
}

#[cfg(feature = "aws")]
#[tokio::test]
async fn vault_on_s3_and_dynamo_works() {
    let aws = crate::support::aws::Aws::start().await;
    run(&aws.vault(LimitPolicy::ByPlan)).await;
}

async fn run(vault: &Vault) {
    backups_are_read_as_written(vault).await;
    backup_of_another_state_is_refused(vault).await;
    snapshots_are_read_as_written(vault).await;
    deployments_are_recorded(vault).await;
    exports_are_kept_by_time(vault).await;
    schedule_is_kept(vault).await;
    limits_apply_on_demand(vault).await;
}

async fn backups_are_read_as_written(vault: &Vault) {
    let (first, second) = (state(SERVER, 1), state(SERVER, 2));
    let one = vault.create_backup(new_backup(SERVER, &first), NOW).await.unwrap();
    // Two of the same millisecond.
    let two = vault.create_backup(new_backup(SERVER, &second), NOW).await.unwrap();
    assert_eq!(two.created - one.created, Duration::MILLISECOND);
    assert_eq!(one.plan, Plan::Free);
    assert!(!one.is_large() && one.size > 0);
    let page = vault.list(SERVER, RecordKind::Backup, 20, None, NOW).await.unwrap();
    assert_eq!(page.records, [two.clone(), one.clone()]);
    for (record, content) in [(&one, first), (&two, second)] {
        let found = vault.find(RecordKind::Backup, record.id, SERVER, NOW).await.unwrap();
        assert_eq!(found, *record);
        assert_eq!(vault.read_backup(&found, &expected(SERVER)).await.unwrap(), content);
        assert_eq!(
            vault.store().tags(&record.object().unwrap()).await.unwrap()["Tier"],
            "free"
        );
    }
    // A deletion that is interrupted after its first step.
    vault.catalogue().set_expiry(&one, Some(NOW)).await.unwrap();
    let error = vault.find(RecordKind::Backup, one.id, SERVER, NOW).await.unwrap_err();
    assert!(matches!(error, VaultError::Expired { .. }), "{error:?}");
    let one = vault
        .find_even_expired(RecordKind::Backup, one.id, SERVER)
        .await
        .unwrap();
    vault.delete(&one, NOW).await.unwrap();
    let error = vault.find(RecordKind::Backup, one.id, SERVER, NOW).await.unwrap_err();
    assert!(matches!(error, VaultError::UnknownId { .. }), "{error:?}");
    assert!(
        vault
            .store()
            .get(&one.object().unwrap())
            .await
            .unwrap_err()
            .is_not_found()
    );
}

async fn backup_of_another_state_is_refused(vault: &Vault) {
    let of_other = state(OTHER_SERVER, 1);
    let refused = vault
        .create_backup(new_backup(SERVER, &of_other), NOW)
        .await
        .unwrap_err();
    assert!(matches!(refused, VaultError::NotAState { .. }), "{refused:?}");
    let refused = vault.create_backup(new_backup(SERVER, b"{}"), NOW).await.unwrap_err();
    assert!(refused.to_string().contains("lineage"), "{refused}");
    let record = vault
        .create_backup(new_backup(OTHER_SERVER, &of_other), NOW)
        .await
        .unwrap();
    let error = vault
        .find(RecordKind::Backup, record.id, SERVER, NOW)
        .await
        .unwrap_err();
    assert!(matches!(error, VaultError::OtherServer { .. }), "{error:?}");
    let error = vault.read_backup(&record, &expected(SERVER)).await.unwrap_err();
    assert!(matches!(error, VaultError::OtherServer { .. }), "{error:?}");
    let mut lineage = expected(OTHER_SERVER);
    lineage.lineage = Some("another".to_owned());
    let error = vault.read_backup(&record, &lineage).await.unwrap_err();
    assert!(matches!(error, VaultError::OtherLineage { .. }), "{error:?}");
    assert!(error.to_string().contains("state/"), "{error}");
}

async fn snapshots_are_read_as_written(vault: &Vault) {
    let state = state(SERVER, 3);
    let new = new_snapshot(SERVER, &state);
    let config = new.config;
    let record = vault.create_snapshot(new, NOW).await.unwrap();
    let found = vault.find(RecordKind::Snapshot, record.id, SERVER, NOW).await.unwrap();
    assert_eq!(found, record);
    let snapshot = vault.read_snapshot(&found, &expected(SERVER)).await.unwrap();
    assert_eq!(snapshot.state(), Some(state.as_slice()));
    assert_eq!(snapshot.config(), config);
    assert_eq!(snapshot.manifest.counts.categories, 3);
    let names: Vec<_> = snapshot.manifest.files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["config.yaml", "members.json", "state.json", "theme-registry.json"]
    );
    let listed = vault.store().list(&format!("snapshots/{SERVER}/")).await.unwrap();
    assert_eq!(listed.iter().map(|object| object.size).sum::<u64>(), record.size);
    let mut without_state = new_snapshot(SERVER, &state);
    without_state.state = None;
    let record = vault.create_snapshot(without_state, NOW).await.unwrap();
    let snapshot = vault.read_snapshot(&record, &expected(SERVER)).await.unwrap();
    assert_eq!((snapshot.state(), record.state.as_ref()), (None, None));
    // A backup is not read as a snapshot.
    assert!(
        vault
            .read_backup(&record, &expected(SERVER))
            .await
            .unwrap_err()
            .is_damage()
    );
    vault.delete(&record, NOW).await.unwrap();
    let left = vault
        .store()
        .list(&format!("snapshots/{SERVER}/{}", record.id))
        .await
        .unwrap();
    assert_eq!(left, []);
    let mut progress = Vec::new();
    let mut note = |record: &arrakis_vault::BackupRecord, result: Result<(), &VaultError>| {
        progress.push((record.id, result.is_ok()));
    };
    let report = vault.verify_all(SERVER, NOW, &mut note).await.unwrap();
    assert_eq!((report.whole, report.unusable.damaged.len()), (2, 0));
    assert!(progress.len() == 2 && progress.iter().all(|(_, is_whole)| *is_whole));
}

async fn deployments_are_recorded(vault: &Vault) {
    assert_eq!(vault.theme_registry(SERVER).await.unwrap().current(), None);
    let mut deployments: Vec<_> = (0..7).map(|number| deployment(number / 2)).collect();
    deployments[3].snapshot = Some(Uuid::new_v4());
    for deployment in &deployments {
        vault.record_deployment(SERVER, deployment).await.unwrap();
        vault.record_deployment(SERVER, deployment).await.unwrap();
    }
    let registry = vault.theme_registry(SERVER).await.unwrap();
    assert!(registry.deployments.iter().all(|one| one.signature.is_some()));
    let without = |one: &Deployment| Deployment {
        signature: None,
        ..one.clone()
    };
    assert_eq!(
        registry.deployments.iter().map(without).collect::<Vec<_>>(),
        deployments
    );
    assert_eq!(registry.current(), registry.deployments.last());
    let history = vault.theme_history(SERVER).await.unwrap();
    assert_eq!(history, 5);
    let (target, snapshot) = registry.target(RollbackTo::Steps(3), history).unwrap();
    assert_eq!(
        (target.id, Some(snapshot)),
        (deployments[3].id, deployments[3].snapshot)
    );
    let mut rollback = deployment(9);
    rollback.action = Action::Rollback;
    rollback.restored = Some(target.id);
    rollback.theme = ThemeVersion::clone(&target.theme);
    vault.record_deployment(SERVER, &rollback).await.unwrap();
    let rebuilt = vault.rebuild_theme_registry(SERVER).await.unwrap().registry;
    assert_eq!(rebuilt.deployments.len(), 8);
    assert_eq!(rebuilt, vault.theme_registry(SERVER).await.unwrap());
}

async fn exports_are_kept_by_time(vault: &Vault) {
    assert_eq!(vault.latest_export(SERVER).await.unwrap(), None);
    let first = vault.write_export(SERVER, b"version: '1.0'", NOW).await.unwrap();
    let second = vault.write_export(SERVER, b"version: '1.1'", NOW).await.unwrap();
    let latest = vault.latest_export(SERVER).await.unwrap().unwrap();
    assert!(latest.is_signed() && latest.yaml == b"version: '1.1'", "{latest:?}");
    // The second one of the same millisecond is named by the next.
    assert_eq!(latest.created - NOW, Duration::MILLISECOND);
    let keys: Vec<_> = vault
        .exports(SERVER)
        .await
        .unwrap()
        .into_iter()
        .map(|object| object.key)
        .collect();
    assert_eq!(keys, [second.clone(), first.clone()]);
    let read = vault.read_export(SERVER, &first).await.unwrap();
    assert!(read.is_signed() && read.yaml == b"version: '1.0'", "{read:?}");
    assert_eq!(read.created, NOW);
    let error = vault.read_export(OTHER_SERVER, &first).await.unwrap_err();
    assert!(matches!(error, VaultError::OtherServer { .. }), "{error:?}");
    let error = vault.delete_export(SERVER, &second, NOW).await.unwrap_err();
    assert!(matches!(error, VaultError::NewestExport { .. }), "{error:?}");
    vault.delete_export(SERVER, &first, NOW).await.unwrap();
    let left = vault.exports(SERVER).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].key, second);
}

async fn schedule_is_kept(vault: &Vault) {
    let schedule = vault.schedule(SERVER).await.unwrap();
    let slot = schedule.due(Task::Backup, Plan::Free, NOW).unwrap();
    vault.complete_run(SERVER, Task::Backup, slot).await.unwrap();
    vault.complete_run(SERVER, Task::Backup, slot).await.unwrap();
    vault.complete_run(SERVER, Task::Retention, slot).await.unwrap();
    let schedule = vault.schedule(SERVER).await.unwrap();
    assert_eq!(schedule.due(Task::Backup, Plan::Free, NOW), None);
    assert!(schedule.due(Task::Backup, Plan::Free, NOW + Duration::DAY).is_some());
}

async fn limits_apply_on_demand(vault: &Vault) {
    let content = state(OTHER_SERVER, 7);
    let new = NewBackup {
        trigger: Trigger::OnDemand,
        ..new_backup(OTHER_SERVER, &content)
    };
    vault.create_backup(new, NOW).await.unwrap();
    let refused = vault.create_backup(new, NOW).await.unwrap_err();
    assert!(matches!(refused, VaultError::Limit(_)), "{refused:?}");
    assert!(
        refused
            .to_string()
            .contains("permitted again from 2026-12-02 00:00 UTC"),
        "{refused}"
    );
    // What the schedule does is not limited, and the next day is another one.
    vault
        .create_backup(new_backup(OTHER_SERVER, &content), NOW)
        .await
        .unwrap();
    vault.create_backup(new, NOW + Duration::DAY).await.unwrap();
    for _ in 0..3 {
        vault.take_use(OTHER_SERVER, Operation::Restore, NOW).await.unwrap();
    }
    assert!(vault.take_use(OTHER_SERVER, Operation::Restore, NOW).await.is_err());
    vault.set_plan(OTHER_SERVER, Plan::Premium).await.unwrap();
    assert_eq!(
        vault.take_use(OTHER_SERVER, Operation::Restore, NOW).await.unwrap(),
        None
    );
    let premium = vault.create_backup(new, NOW).await.unwrap();
    assert_eq!(premium.plan, Plan::Premium);
    assert_eq!(vault.theme_history(OTHER_SERVER).await.unwrap(), usize::MAX);
    vault.set_plan(OTHER_SERVER, Plan::Free).await.unwrap();
}

#[tokio::test]
async fn failed_creation_gives_its_use_back() {
    let local = LocalVault::new(LimitPolicy::ByPlan);
    let content = state(SERVER, 1);
    let new = NewBackup {
        trigger: Trigger::OnDemand,
        ..new_backup(SERVER, &content)
    };
    let in_no_folder = NewBackup {
        workspace: "../outside",
        ..new
    };
    let error = local.vault.create_backup(in_no_folder, NOW).await.unwrap_err();
    assert!(matches!(error, VaultError::Key(_)), "{error:?}");
    local.vault.create_backup(new, NOW).await.unwrap();
}

#[tokio::test]
async fn local_vault_has_no_limits() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    let content = state(SERVER, 1);
    let new = NewBackup {
        trigger: Trigger::OnDemand,
        ..new_backup(SERVER, &content)
    };
    for _ in 0..3 {
        local.vault.create_backup(new, NOW).await.unwrap();
    }
    let report = local
        .vault
        .apply_retention(SERVER, NOW + Duration::days(400))
        .await
        .unwrap();
    assert!(report.expired.is_empty());
    assert_eq!(local.vault.theme_history(SERVER).await.unwrap(), usize::MAX);
}
