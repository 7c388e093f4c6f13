//! Objects that were changed together with their records and checksums: only the signature shows it.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use arrakis_vault::{
    BackupRecord, Damage, LimitPolicy, LocalSigner, RecordKind, Signer, Vault, VaultError, VaultParts,
};
use flate2::Compression;
use flate2::read::GzEncoder;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::support::{LocalVault, NOW, SERVER, deployment, expected, new_backup, state};

/// The same store and catalogue with another key.
fn with_signer(local: &LocalVault, signer: LocalSigner) -> Vault {
    Vault::new(VaultParts {
        store: Arc::clone(local.vault.store()),
        catalogue: Arc::clone(local.vault.catalogue()),
        signer: Arc::new(signer) as Arc<dyn Signer>,
        limits: local.vault.limits(),
    })
}

/// Replaces text of a sealed document, and its checksum.
fn forge(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    let (_, content) = text.split_once("\"content\":").unwrap();
    let content = content.strip_suffix('}').unwrap();
    assert!(content.contains(from), "{content}");
    let content = content.replace(from, to);
    let checksum = hex::encode(Sha256::digest(content.as_bytes()));
    fs::write(path, format!("{{\"checksum\":\"{checksum}\",\"content\":{content}}}")).unwrap();
}

async fn replace_record(vault: &Vault, record: &BackupRecord) {
    vault.catalogue().delete(record).await.unwrap();
    vault.catalogue().insert(record).await.unwrap();
}

#[tokio::test]
async fn backup_that_was_changed_with_its_record_is_damaged() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    let vault = &local.vault;
    let whole = state(SERVER, 7);
    let record = vault.create_backup(new_backup(SERVER, &whole), NOW).await.unwrap();
    assert!(record.is_signed());
    let text = String::from_utf8(whole).unwrap();
    let changed = text.replace("\"resources\":{}", "\"resources\":{\"role.naib\":{\"id\":\"666\"}}");
    let mut bytes = Vec::new();
    GzEncoder::new(changed.as_bytes(), Compression::default())
        .read_to_end(&mut bytes)
        .unwrap();
    fs::write(local.path().join(record.object().unwrap().as_str()), &bytes).unwrap();
    let mut forged = record.clone();
    forged.checksum = hex::encode(Sha256::digest(&bytes));
    forged.size = bytes.len() as u64;
    replace_record(vault, &forged).await;
    let error = vault.read_backup(&forged, &expected(SERVER)).await.unwrap_err();
    assert!(
        matches!(
            error,
            VaultError::Damaged {
                damage: Damage::Signature(_),
                ..
            }
        ),
        "{error:?}"
    );
    let report = vault.verify_all(SERVER, NOW, &mut |_, _| {}).await.unwrap();
    assert_eq!((report.whole, report.damaged.len()), (0, 1));
    // Without its signature it is named as unsigned, for the caller to decide.
    forged.signature = None;
    replace_record(vault, &forged).await;
    assert!(!forged.is_signed());
    vault.read_backup(&forged, &expected(SERVER)).await.unwrap();
    let report = vault.verify_all(SERVER, NOW, &mut |_, _| {}).await.unwrap();
    assert_eq!((report.whole, report.unsigned, report.damaged.len()), (1, 1, 0));
}

#[tokio::test]
async fn each_field_of_a_backup_that_is_signed_is_checked() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    let vault = &local.vault;
    let state = state(SERVER, 7);
    let record = vault.create_backup(new_backup(SERVER, &state), NOW).await.unwrap();
    let other = vault.create_backup(new_backup(SERVER, &state), NOW).await.unwrap();
    // The same bytes at another time, under another id, and with the signature of the other.
    let mut forged = [record.clone(), record.clone(), record.clone()];
    forged[0].created = other.created;
    forged[1].id = Uuid::from_u128(7);
    forged[2].signature = other.signature;
    for forged in forged {
        let refused = vault.read_backup(&forged, &expected(SERVER)).await.unwrap_err();
        assert!(refused.to_string().contains("signature"), "{refused}");
    }
    // Neither the message nor the expiry is signed.
    let mut expired = record;
    (expired.message, expired.expires) = (None, Some(NOW));
    vault.read_backup(&expired, &expected(SERVER)).await.unwrap();
}

#[tokio::test]
async fn backup_of_another_key_is_listed_again_and_restored_when_the_key_is_trusted() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    let state = state(SERVER, 7);
    let record = local
        .vault
        .create_backup(new_backup(SERVER, &state), NOW)
        .await
        .unwrap();
    let stranger = with_signer(&local, LocalSigner::generate().unwrap());
    let refused = stranger.read_backup(&record, &expected(SERVER)).await.unwrap_err();
    assert!(
        refused.is_of_unknown_key() && refused.to_string().contains("which is not trusted here"),
        "{refused}"
    );
    stranger.catalogue().delete(&record).await.unwrap();
    let later = OffsetDateTime::now_utc() + time::Duration::hours(2);
    let report = stranger.recover(SERVER, later).await.unwrap();
    assert_eq!(report.recovered, std::slice::from_ref(&record));
    let trusting = LocalSigner::generate().unwrap().trusting([local.signer.public_key()]);
    let trusting = with_signer(&local, trusting);
    let found = trusting.find(RecordKind::Backup, record.id, SERVER, NOW).await.unwrap();
    trusting.read_backup(&found, &expected(SERVER)).await.unwrap();
}

#[tokio::test]
async fn backups_of_another_key_expire_as_any_other() {
    let local = LocalVault::new(LimitPolicy::ByPlan);
    let state = state(SERVER, 7);
    let mut records = Vec::new();
    for day in 0..3 {
        let time = NOW + time::Duration::days(day);
        let created = local.vault.create_backup(new_backup(SERVER, &state), time).await;
        records.push(created.unwrap());
    }
    // The older one of the two that would expire is damaged too.
    fs::write(local.path().join(records[0].object().unwrap().as_str()), "x").unwrap();
    let workers = with_signer(&local, LocalSigner::generate().unwrap());
    let report = workers
        .apply_retention(SERVER, NOW + time::Duration::days(50))
        .await
        .unwrap();
    assert_eq!(report.kept, [records[2].clone()]);
    assert_eq!(report.expired, [records[1].clone()]);
    assert_eq!(report.damaged.len(), 1, "{report:?}");
}

#[tokio::test]
async fn deployment_that_was_changed_in_the_registry_or_its_audit_object_is_damaged() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    let vault = &local.vault;
    let (before, after) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let mut recorded = deployment(0);
    (recorded.snapshot_before, recorded.snapshot) = (Some(before), Some(after));
    vault.record_deployment(SERVER, &recorded).await.unwrap();
    let registry = vault.theme_registry(SERVER).await.unwrap();
    vault.verify_deployment(SERVER, &registry.deployments[0]).await.unwrap();
    let themes = local.path().join(format!("themes/{SERVER}"));
    forge(&themes.join("registry.json"), &after.to_string(), &before.to_string());
    let error = vault.theme_registry(SERVER).await.unwrap_err();
    assert!(
        error.is_damage() && error.to_string().contains("registry.json") && error.to_string().contains("signed"),
        "{error}"
    );
    vault.rebuild_theme_registry(SERVER).await.unwrap();
    assert_eq!(vault.theme_registry(SERVER).await.unwrap(), registry);
    let audit = fs::read_dir(themes.join("audit")).unwrap().next().unwrap().unwrap();
    forge(&audit.path(), "sietch", "basic");
    // The registry has the deployment as it was signed.
    let rebuilt = vault.rebuild_theme_registry(SERVER).await.unwrap();
    assert_eq!(rebuilt.registry, registry);
    assert_damaged(&rebuilt.damaged, &["/audit/"]);
    // Where both are changed, neither is used.
    forge(&themes.join("registry.json"), &after.to_string(), &before.to_string());
    let rebuilt = vault.rebuild_theme_registry(SERVER).await.unwrap();
    assert!(rebuilt.registry.deployments.is_empty(), "{rebuilt:?}");
    assert_damaged(&rebuilt.damaged, &["/audit/", "registry.json"]);
    assert_eq!(vault.theme_registry(SERVER).await.unwrap(), rebuilt.registry);
}

/// Checks which objects were found to be damaged.
fn assert_damaged(found: &[VaultError], objects: &[&str]) {
    assert_eq!(found.len(), objects.len(), "{found:?}");
    for (error, object) in found.iter().zip(objects) {
        assert!(error.is_damage() && error.to_string().contains(object), "{error}");
    }
}

#[tokio::test]
async fn deployments_of_other_keys_and_without_signatures_are_listed_and_not_verified() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    local.vault.record_deployment(SERVER, &deployment(0)).await.unwrap();
    let stranger = with_signer(&local, LocalSigner::generate().unwrap());
    stranger.record_deployment(SERVER, &deployment(1)).await.unwrap();
    let registry = local.vault.theme_registry(SERVER).await.unwrap();
    assert_eq!(registry.deployments.len(), 2);
    let of_stranger = local.vault.verify_deployment(SERVER, &registry.deployments[1]).await;
    assert!(of_stranger.unwrap_err().is_of_unknown_key());
    let report = local.vault.verify_all(SERVER, NOW, &mut |_, _| {}).await.unwrap();
    assert_eq!(
        (report.deployments_not_trusted.len(), report.unsigned_deployments),
        (1, 0)
    );
    assert!(report.damaged.is_empty() && report.registry.is_none(), "{report:?}");
    // As an earlier version recorded it.
    let path = local.path().join(format!("themes/{SERVER}/registry.json"));
    let signature = registry.deployments[1].signature.clone();
    let field = format!(",\"signature\":{}", serde_json::to_string(&signature).unwrap());
    forge(&path, &field, "");
    let report = local.vault.verify_all(SERVER, NOW, &mut |_, _| {}).await.unwrap();
    assert_eq!((report.unsigned_deployments, report.damaged.len()), (1, 0));
    // What is recorded later does not sign it.
    local.vault.record_deployment(SERVER, &deployment(2)).await.unwrap();
    let registry = local.vault.theme_registry(SERVER).await.unwrap();
    let signed: Vec<bool> = registry
        .deployments
        .iter()
        .map(|deployment| deployment.signature.is_some())
        .collect();
    assert_eq!(signed, [true, false, true]);
}
