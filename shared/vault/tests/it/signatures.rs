//! Objects that were changed together with their records and checksums: only the signature shows it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use arrakis_vault::{
    BackupRecord, Damage, Deployment, DeploymentAudit, Export, ExportsReport, LimitPolicy, LocalSigner, ObjectKey,
    RecordKind, Vault, VaultError, paths,
};
use flate2::Compression;
use flate2::read::GzEncoder;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::support::{LocalVault, NOW, SERVER, deployment, expected, new_backup, state};

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
    assert_eq!((report.whole, report.unusable.damaged.len()), (0, 1));
    // Without its signature it is named as unsigned, for the caller to decide.
    forged.signature = None;
    replace_record(vault, &forged).await;
    assert!(!forged.is_signed());
    vault.read_backup(&forged, &expected(SERVER)).await.unwrap();
    let report = vault.verify_all(SERVER, NOW, &mut |_, _| {}).await.unwrap();
    assert_eq!(
        (report.whole, report.unsigned, report.unusable.damaged.len()),
        (1, 1, 0)
    );
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
    let stranger = local.with_signer(LocalSigner::generate().unwrap());
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
    let trusting = local.with_signer(trusting);
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
    let workers = local.with_signer(LocalSigner::generate().unwrap());
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

#[tokio::test]
async fn signed_deployments_that_were_moved_or_repeated_are_damage() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    for number in 0..3 {
        local
            .vault
            .record_deployment(SERVER, &deployment(number))
            .await
            .unwrap();
    }
    // A clock that is late.
    local.vault.record_deployment(SERVER, &deployment(1)).await.unwrap();
    let registry = local.vault.theme_registry(SERVER).await.unwrap();
    assert_eq!(registry.deployments[3].time, registry.deployments[2].time);
    let path = local.path().join(format!("themes/{SERVER}/registry.json"));
    for order in [[0, 2, 1, 3].as_slice(), &[0, 1, 2, 3, 1]] {
        let mut changed = registry.clone();
        changed.deployments = order.iter().map(|at| registry.deployments[*at].clone()).collect();
        let content = serde_json::to_string(&changed).unwrap();
        let checksum = hex::encode(Sha256::digest(content.as_bytes()));
        fs::write(&path, format!("{{\"checksum\":\"{checksum}\",\"content\":{content}}}")).unwrap();
        let error = local.vault.theme_registry(SERVER).await.unwrap_err();
        assert!(
            error.is_damage() && error.to_string().contains("registry.json"),
            "{error}"
        );
        local.vault.rebuild_theme_registry(SERVER).await.unwrap();
        let mut rebuilt = local.vault.theme_registry(SERVER).await.unwrap();
        rebuilt.deployments.sort_by_key(|deployment| deployment.id);
        let mut expected = registry.clone();
        expected.deployments.sort_by_key(|deployment| deployment.id);
        assert_eq!(rebuilt, expected, "{order:?}");
    }
}

#[tokio::test]
async fn signed_deployment_is_preferred_to_an_unsigned_one_of_the_same_id() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    local.vault.record_deployment(SERVER, &deployment(1)).await.unwrap();
    let registry = local.vault.theme_registry(SERVER).await.unwrap();
    let themes = local.path().join(format!("themes/{SERVER}"));
    let usurper = Deployment {
        time: NOW,
        message: Some("usurper".to_owned()),
        signature: None,
        ..registry.deployments[0].clone()
    };
    let audit = DeploymentAudit {
        server: SERVER,
        deployment: usurper,
    };
    let content = serde_json::to_string(&audit).unwrap();
    let checksum = hex::encode(Sha256::digest(content.as_bytes()));
    // Its name is the first.
    let planted = themes.join("audit/20200101T000000.000Z.json");
    fs::write(
        planted,
        format!("{{\"checksum\":\"{checksum}\",\"content\":{content}}}"),
    )
    .unwrap();
    for present in ["whole", "damaged"] {
        if present == "damaged" {
            fs::write(themes.join("registry.json"), "x").unwrap();
        }
        let rebuilt = local.vault.rebuild_theme_registry(SERVER).await.unwrap();
        assert_eq!(rebuilt.registry, registry, "{present}");
        assert_damaged(&rebuilt.damaged, &["20200101T000000.000Z.json"]);
    }
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
    let stranger = local.with_signer(LocalSigner::generate().unwrap());
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
    assert!(
        report.unusable.damaged.is_empty() && report.registry.is_none(),
        "{report:?}"
    );
    // As an earlier version recorded it.
    let path = local.path().join(format!("themes/{SERVER}/registry.json"));
    let signature = registry.deployments[1].signature.clone();
    let field = format!(",\"signature\":{}", serde_json::to_string(&signature).unwrap());
    forge(&path, &field, "");
    let report = local.vault.verify_all(SERVER, NOW, &mut |_, _| {}).await.unwrap();
    assert_eq!((report.unsigned_deployments, report.unusable.damaged.len()), (1, 0));
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

/// The names of the images of a test's configuration: one a line.
fn references(yaml: &[u8]) -> Result<BTreeSet<String>, String> {
    let text = std::str::from_utf8(yaml).map_err(|error| error.to_string())?;
    let names = text.lines().filter_map(|line| line.strip_prefix("image: images/"));
    Ok(names.map(str::to_owned).collect())
}

/// The verdicts of all exports of the server, newest first, and the report.
async fn verify_exports(vault: &Vault) -> (Vec<(ObjectKey, bool)>, ExportsReport) {
    let mut verdicts = Vec::new();
    let mut note =
        |key: &ObjectKey, checked: Result<&Export, &VaultError>| verdicts.push((key.clone(), checked.is_ok()));
    let report = vault.verify_exports(SERVER, &references, &mut note).await.unwrap();
    (verdicts, report)
}

/// Changes what the store records about an object beside its content.
fn describe(local: &LocalVault, key: &ObjectKey, change: impl FnOnce(&mut serde_json::Value)) {
    let path = local.path().join(format!(".objects/{key}.json"));
    let mut described: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut described[0]);
    fs::write(&path, described.to_string()).unwrap();
}

#[tokio::test]
async fn export_that_was_changed_with_its_checksum_is_damaged() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    let vault = &local.vault;
    let key = vault.write_export(SERVER, b"name: Sietch Tabr", NOW).await.unwrap();
    let later = NOW + time::Duration::HOUR;
    let other = vault.write_export(SERVER, b"name: Sietch Tabr", later).await.unwrap();
    let (verdicts, report) = verify_exports(vault).await;
    assert_eq!(verdicts, [(other.clone(), true), (key.clone(), true)]);
    assert_eq!((report.whole, report.unsigned), (2, 0));
    // As one who can write to the store: the content with its checksum.
    let forged = b"name: Carthag";
    fs::write(local.path().join(key.as_str()), forged).unwrap();
    let checksum = hex::encode(Sha256::digest(forged));
    describe(&local, &key, |described| {
        described["content"] = checksum.clone().into();
        described["metadata"]["checksum"] = checksum.clone().into();
    });
    let error = vault.read_export(SERVER, &key).await.unwrap_err();
    assert!(
        error.is_damage() && error.to_string().contains(key.as_str()) && error.to_string().contains("signature"),
        "{error}"
    );
    let (verdicts, report) = verify_exports(vault).await;
    assert_eq!(verdicts, [(other.clone(), true), (key.clone(), false)]);
    assert_eq!((report.whole, report.unusable.damaged.len()), (1, 1));
    // Without its signature it is named as unsigned, for the caller to decide.
    describe(&local, &key, |described| {
        described["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("signature")
            .unwrap();
    });
    assert!(!vault.read_export(SERVER, &key).await.unwrap().is_signed());
    let (_, report) = verify_exports(vault).await;
    assert_eq!(
        (report.whole, report.unsigned, report.unusable.damaged.len()),
        (2, 1, 0)
    );
    // An export under the time of another one has another time than the signed one.
    let whole = fs::read(local.path().join(format!(".objects/{other}.json"))).unwrap();
    fs::copy(local.path().join(other.as_str()), local.path().join(key.as_str())).unwrap();
    fs::write(local.path().join(format!(".objects/{key}.json")), whole).unwrap();
    let error = vault.read_export(SERVER, &key).await.unwrap_err();
    assert!(error.is_damage() && error.to_string().contains("signature"), "{error}");
}

#[tokio::test]
async fn second_name_of_the_newest_export_is_verified_with_its_own_time() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    let vault = &local.vault;
    vault.write_export(SERVER, b"version: '1.0'", NOW).await.unwrap();
    let latest = paths::latest_export(SERVER);
    assert!(vault.latest_export(SERVER).await.unwrap().unwrap().is_signed());
    describe(&local, &latest, |described| {
        described["metadata"]["created"] = "20261201T025001.123Z".into();
    });
    let (verdicts, report) = verify_exports(vault).await;
    assert_eq!((report.whole, report.unusable.damaged.len()), (1, 1));
    assert_eq!(verdicts[1], (latest, false));
}

#[tokio::test]
async fn export_of_another_key_is_not_trusted_until_the_key_is() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    let key = local.vault.write_export(SERVER, b"version: '1.0'", NOW).await.unwrap();
    let stranger = local.with_signer(LocalSigner::generate().unwrap());
    let refused = stranger.read_export(SERVER, &key).await.unwrap_err();
    assert!(refused.is_of_unknown_key() && !refused.is_damage(), "{refused}");
    let (_, report) = verify_exports(&stranger).await;
    // Also the second name.
    assert_eq!(
        (
            report.whole,
            report.unusable.damaged.len(),
            report.unusable.not_trusted.len()
        ),
        (0, 0, 2)
    );
    let trusting = LocalSigner::generate().unwrap().trusting([local.signer.public_key()]);
    local.with_signer(trusting).read_export(SERVER, &key).await.unwrap();
}

#[tokio::test]
async fn missing_changed_and_misnamed_images_of_an_export_are_named() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    let vault = &local.vault;
    let name = format!("{}.png", hex::encode(Sha256::digest(b"worm")));
    let image = paths::export_image(SERVER, &name).unwrap();
    vault
        .write_export_images(SERVER, [(name.clone(), b"worm".to_vec())].into())
        .await
        .unwrap();
    let yaml = format!("image: images/{name}\n");
    let key = vault.write_export(SERVER, yaml.as_bytes(), NOW).await.unwrap();
    vault.verify_export(SERVER, &key, &references).await.unwrap();
    fs::write(local.path().join(image.as_str()), "storm").unwrap();
    let error = vault.verify_export(SERVER, &key, &references).await.unwrap_err();
    assert!(error.is_damage() && error.to_string().contains(&name), "{error}");
    fs::remove_file(local.path().join(image.as_str())).unwrap();
    let error = vault.verify_export(SERVER, &key, &references).await.unwrap_err();
    assert!(
        error.is_damage() && error.to_string().contains("does not exist"),
        "{error}"
    );
    // The name of an image of an earlier version is not a checksum.
    vault
        .write_export_images(SERVER, [("emoji-1.png".to_owned(), b"worm".to_vec())].into())
        .await
        .unwrap();
    let later = NOW + time::Duration::HOUR;
    let key = vault
        .write_export(SERVER, b"image: images/emoji-1.png\n", later)
        .await
        .unwrap();
    let error = vault.verify_export(SERVER, &key, &references).await.unwrap_err();
    assert!(
        error.is_damage() && error.to_string().contains("emoji-1.png"),
        "{error}"
    );
    describe(&local, &key, |described| {
        described["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("signature")
            .unwrap();
    });
    assert!(
        !vault
            .verify_export(SERVER, &key, &references)
            .await
            .unwrap()
            .is_signed()
    );
}

#[tokio::test]
async fn deleted_export_takes_its_own_images_along_and_the_newest_good_one_stays() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    let vault = &local.vault;
    let [own, shared] = [b"own", b"all"].map(|content| format!("{}.png", hex::encode(Sha256::digest(content))));
    let images = [(own.clone(), b"own".to_vec()), (shared.clone(), b"all".to_vec())];
    vault.write_export_images(SERVER, images.into()).await.unwrap();
    let mut keys = Vec::new();
    for (hours, names) in [(0, vec![&own, &shared]), (1, vec![&shared]), (2, vec![&shared])] {
        let lines: Vec<String> = names.iter().map(|name| format!("image: images/{name}\n")).collect();
        let yaml = lines.concat();
        let written = vault.write_export(SERVER, yaml.as_bytes(), NOW + time::Duration::hours(hours));
        keys.push(written.await.unwrap());
    }
    // The newest one is damaged: the one before it is the newest that is whole.
    fs::write(local.path().join(keys[2].as_str()), "x").unwrap();
    let soon = OffsetDateTime::now_utc();
    let refused = vault.delete_export(SERVER, &keys[1], soon).await.unwrap_err();
    assert!(
        matches!(&refused, VaultError::NewestExport { object } if object.contains(keys[1].as_str())),
        "{refused}"
    );
    vault.delete_export(SERVER, &keys[2], soon).await.unwrap();
    // The images are young: an export that is being stored may have written them.
    vault.delete_export(SERVER, &keys[0], soon).await.unwrap();
    let stored = async || {
        let listed = vault.store().list(&paths::export_images(SERVER)).await.unwrap();
        listed.into_iter().map(|image| image.key).collect::<Vec<_>>()
    };
    assert_eq!(stored().await.len(), 2);
    let again = format!("image: images/{own}\n");
    let key = vault.write_export(SERVER, again.as_bytes(), NOW).await.unwrap();
    let newest = format!("image: images/{shared}\n");
    let later = NOW + time::Duration::hours(3);
    vault.write_export(SERVER, newest.as_bytes(), later).await.unwrap();
    vault
        .delete_export(SERVER, &key, soon + time::Duration::hours(2))
        .await
        .unwrap();
    assert_eq!(stored().await, [paths::export_image(SERVER, &shared).unwrap()]);
}
