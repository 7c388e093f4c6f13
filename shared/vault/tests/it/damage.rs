//! Every object is damaged at random: one byte changed, truncated, removed, and replaced by that of another server. Nothing is returned
//! that is not whole, the object is named, and nothing is written.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrakis_vault::store::MAX_OBJECT_BYTES;
use arrakis_vault::{
    BackupRecord, LimitPolicy, LocalSigner, NewSnapshot, ObjectKey, RecordKind, ServerId, Task, Vault, VaultError,
    VaultParts,
};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use uuid::Uuid;

use crate::support::{
    LocalVault, NOW, OTHER_SERVER, SERVER, deployment, expected, files, new_backup, new_snapshot, state,
};

/// Mutations of each file.
const MUTATIONS: usize = 12;

struct Content {
    backup: Uuid,
    snapshot: Uuid,
    export: ObjectKey,
}

async fn fill(vault: &Vault, server: ServerId) -> Content {
    let state = state(server, 1);
    let deployment = deployment(0);
    vault.record_deployment(server, &deployment).await.unwrap();
    vault.complete_run(server, Task::Backup, NOW).await.unwrap();
    let backup = vault.create_backup(new_backup(server, &state), NOW).await.unwrap();
    // What the servers' files have in common could be exchanged without damage.
    let yaml = format!("# {server}\n");
    let snapshot = NewSnapshot {
        config: yaml.as_bytes(),
        files: BTreeMap::from([("members.json".to_owned(), format!("{{\"{server}\":[]}}").into_bytes())]),
        ..new_snapshot(server, &state)
    };
    let snapshot = vault.create_snapshot(snapshot, NOW).await.unwrap();
    Content {
        backup: backup.id,
        snapshot: snapshot.id,
        export: vault.write_export(server, yaml.as_bytes(), NOW).await.unwrap(),
    }
}

/// Reads everything of the server; returns what failed.
async fn read_all(vault: &Vault, content: &Content) -> Vec<VaultError> {
    let backup = async {
        let record = vault.find(RecordKind::Backup, content.backup, SERVER, NOW).await?;
        vault.read_backup(&record, &expected(SERVER)).await.map(drop)
    };
    let snapshot = async {
        let record = vault.find(RecordKind::Snapshot, content.snapshot, SERVER, NOW).await?;
        vault.read_snapshot(&record, &expected(SERVER)).await.map(drop)
    };
    let mut failed: Vec<VaultError> = [
        backup.await.err(),
        snapshot.await.err(),
        vault.read_export(SERVER, &content.export).await.err(),
        vault.latest_export(SERVER).await.err(),
        vault.theme_registry(SERVER).await.err(),
        vault.schedule(SERVER).await.err(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let report = vault.verify_all(SERVER, NOW, &mut |_, _| {}).await.unwrap();
    failed.extend(report.unusable.damaged);
    failed.extend(report.registry);
    failed
}

/// The damaged forms of a file.
fn mutations(bytes: &[u8], of_other: &[u8], random: &mut ChaCha8Rng) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let mut mutated = vec![
        ("removed", None),
        ("emptied", Some(Vec::new())),
        ("of another server", Some(of_other.to_vec())),
    ];
    for _ in 0..MUTATIONS {
        let at = random.random_range(0..bytes.len());
        let mut changed = bytes.to_vec();
        let bit: u32 = random.random_range(0..8);
        changed[at] ^= 1_u8 << bit;
        mutated.push(("a changed bit", Some(changed)));
        mutated.push(("truncated", Some(bytes[..at].to_vec())));
        let more: u8 = random.random_range(0..=255);
        let longer = [bytes, &[more]].concat();
        mutated.push(("longer", Some(longer)));
    }
    mutated
}

/// The same object of the other server.
fn counterpart(name: &str, content: &Content, other: &Content) -> String {
    name.replace(&SERVER.to_string(), &OTHER_SERVER.to_string())
        .replace(&content.backup.to_string(), &other.backup.to_string())
        .replace(&content.snapshot.to_string(), &other.snapshot.to_string())
}

/// Files of the server that are read without the audit objects.
fn is_tested(name: &str) -> bool {
    let is_of_server = name.contains(&format!("/{SERVER}/"));
    // Descriptions of objects only repeat what the catalogue has; plans and uses are not this server's yet.
    is_of_server && !name.starts_with(".objects") && !name.contains("/audit/") && !name.contains("/uses/")
}

#[tokio::test]
async fn damaged_objects_are_named_and_nothing_is_written() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    let (vault, root) = (&local.vault, local.path());
    let content = fill(vault, SERVER).await;
    let other = fill(vault, OTHER_SERVER).await;
    assert!(read_all(vault, &content).await.is_empty());
    let all = files(root);
    let tested: Vec<&String> = all.keys().filter(|name| is_tested(name)).collect();
    // Backup, five files of the snapshot, two exports, registry, schedule, two records.
    assert_eq!(tested.len(), 12, "{tested:?}");
    let mut random = ChaCha8Rng::seed_from_u64(20_261_201);
    for name in tested {
        let of_other = &all[&counterpart(name, &content, &other)];
        for (what, damaged) in mutations(&all[name], of_other, &mut random) {
            check(vault, root, &content, &all, name, what, damaged).await;
        }
    }
}

async fn check(
    vault: &Vault,
    root: &Path,
    content: &Content,
    all: &BTreeMap<String, Vec<u8>>,
    name: &str,
    what: &str,
    damaged: Option<Vec<u8>>,
) {
    let path = root.join(name);
    match &damaged {
        Some(bytes) => fs::write(&path, bytes).unwrap(),
        None => fs::remove_file(&path).unwrap(),
    }
    let before = files(root);
    let failed = read_all(vault, content).await;
    assert_eq!(files(root), before, "{name}, {what}: something was written");
    fs::write(&path, &all[name]).unwrap();
    // A removed record, registry, schedule or second name is one that was never there.
    let is_absent = damaged.is_none() && (is_document(name) || name.ends_with("config.latest.yaml"));
    if is_absent {
        return;
    }
    assert!(!failed.is_empty(), "{name}, {what}: not detected");
    let named = path.to_str().unwrap();
    let texts: Vec<String> = failed.iter().map(ToString::to_string).collect();
    assert!(
        texts.iter().any(|text| text.contains(named)),
        "{name}, {what}: {texts:?}"
    );
}

fn is_document(name: &str) -> bool {
    name.starts_with(".catalogue") || name.starts_with("themes") || name.starts_with("metadata")
}

#[tokio::test]
async fn damaged_registry_is_rebuilt_from_the_audit_objects_that_are_whole() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    let vault = &local.vault;
    for number in 0..3 {
        vault.record_deployment(SERVER, &deployment(number)).await.unwrap();
    }
    let registry = vault.theme_registry(SERVER).await.unwrap();
    let path = local.path().join(format!("themes/{SERVER}/registry.json"));
    fs::write(&path, "{}").unwrap();
    let report = vault.verify_all(SERVER, NOW, &mut |_, _| {}).await.unwrap();
    assert!(report.unusable.damaged.is_empty() && report.registry.is_some_and(|error| error.is_damage()));
    assert!(
        vault
            .record_deployment(SERVER, &deployment(3))
            .await
            .unwrap_err()
            .is_damage()
    );
    let rebuilt = vault.rebuild_theme_registry(SERVER).await.unwrap().registry;
    assert_eq!(rebuilt.deployments[..3], registry.deployments[..]);
    assert_eq!(rebuilt.deployments.len(), 4);
    let audits = format!("themes/{SERVER}/audit/");
    let audit = files(local.path()).into_keys().find(|name| name.starts_with(&audits));
    let audit = local.path().join(audit.unwrap());
    fs::write(&audit, "{}").unwrap();
    // The registry still has the deployment of the damaged object.
    let again = vault.rebuild_theme_registry(SERVER).await.unwrap();
    assert_eq!(again.registry, rebuilt);
    let [error] = again.damaged.as_slice() else {
        panic!("{:?}", again.damaged);
    };
    assert!(error.is_damage() && error.to_string().contains("/audit/"), "{error}");
    // Recording it again leaves the damaged object as it is.
    vault.record_deployment(SERVER, &rebuilt.deployments[0]).await.unwrap();
    assert_eq!(fs::read(&audit).unwrap(), b"{}");
    fs::remove_file(&path).unwrap();
    let without = vault.rebuild_theme_registry(SERVER).await.unwrap();
    assert_eq!(without.registry, rebuilt);
    assert_eq!(vault.theme_registry(SERVER).await.unwrap(), rebuilt);
}

#[tokio::test]
async fn damaged_record_does_not_hide_the_others() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    let vault = &local.vault;
    let state = state(SERVER, 1);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(vault.create_backup(new_backup(SERVER, &state), NOW).await.unwrap().id);
    }
    let damaged = files(local.path())
        .into_keys()
        .find(|name| name.ends_with(&format!("{}.json", ids[1])));
    let damaged = local.path().join(damaged.unwrap());
    fs::write(&damaged, "{}").unwrap();
    let page = vault.list(SERVER, RecordKind::Backup, 20, None, NOW).await.unwrap();
    assert_eq!(
        page.records.iter().map(|record| record.id).collect::<Vec<_>>(),
        [ids[2], ids[0]]
    );
    assert_eq!(page.damaged.len(), 1);
    assert_eq!(page.damaged[0].object, damaged.to_str().unwrap());
    let error = vault.find(RecordKind::Backup, ids[1], SERVER, NOW).await.unwrap_err();
    assert!(
        error.is_damage() && error.to_string().contains("nothing was changed"),
        "{error}"
    );
}

#[tokio::test]
async fn what_a_key_signed_that_is_not_trusted_is_not_damaged() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    let content = fill(&local.vault, SERVER).await;
    let other = Vault::new(VaultParts {
        store: Arc::clone(local.vault.store()),
        catalogue: Arc::clone(local.vault.catalogue()),
        signer: Arc::new(LocalSigner::generate().unwrap()),
        limits: LimitPolicy::Unlimited,
    });
    let report = other.verify_all(SERVER, NOW, &mut |_, _| {}).await.unwrap();
    assert_eq!(
        (
            report.whole,
            report.unusable.damaged.len(),
            report.unusable.not_trusted.len()
        ),
        (0, 0, 2)
    );
    assert!(
        report.registry.is_none() && report.deployments_not_trusted.len() == 1,
        "{report:?}"
    );
    let own = local.signer.public_key().id();
    for (kind, id) in [
        (RecordKind::Backup, content.backup),
        (RecordKind::Snapshot, content.snapshot),
    ] {
        let record = other.find(kind, id, SERVER, NOW).await.unwrap();
        let error = other.verify(&record).await.unwrap_err();
        assert!(
            matches!(&error, VaultError::NotTrusted { key, .. } if *key == own),
            "{error:?}"
        );
        assert!(error.is_unusable() && !error.is_damage());
    }
}

#[tokio::test]
async fn object_beyond_the_largest_size_is_damaged_and_does_not_end_the_verification() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    let content = fill(&local.vault, SERVER).await;
    let record = local.vault.find(RecordKind::Backup, content.backup, SERVER, NOW).await;
    let object = record.unwrap().object().unwrap();
    let file = fs::File::options()
        .write(true)
        .open(local.path().join(object.as_str()))
        .unwrap();
    file.set_len(MAX_OBJECT_BYTES + 1).unwrap();
    let report = local.vault.verify_all(SERVER, NOW, &mut |_, _| {}).await.unwrap();
    assert_eq!((report.whole, report.unusable.damaged.len()), (1, 1));
    assert!(report.unusable.damaged[0].to_string().contains(object.as_str()));
}

/// What an inspection finds in each record.
async fn inspect(vault: &Vault, records: &[BackupRecord]) -> Vec<Option<String>> {
    let inspected = vault.inspect(SERVER, records).await.unwrap();
    let damage = inspected.into_iter().map(Result::err);
    damage.map(|error| error.map(|error| error.to_string())).collect()
}

#[tokio::test]
async fn inspection_finds_missing_objects_other_sizes_and_forged_records_and_reads_no_state() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    let vault = &local.vault;
    let state = state(SERVER, 1);
    let mut backups = Vec::new();
    let mut snapshots = Vec::new();
    for _ in 0..3 {
        backups.push(vault.create_backup(new_backup(SERVER, &state), NOW).await.unwrap());
        snapshots.push(vault.create_snapshot(new_snapshot(SERVER, &state), NOW).await.unwrap());
    }
    for records in [&backups, &snapshots] {
        for count in [3, 1, 0] {
            assert_eq!(inspect(vault, &records[..count]).await, vec![None; count]);
        }
    }
    let path = |record: &BackupRecord| local.path().join(record.object().unwrap().as_str());
    fs::remove_file(path(&backups[0])).unwrap();
    fs::write(path(&backups[1]), "x").unwrap();
    backups[2].state.as_mut().unwrap().serial = 2;
    let found = inspect(vault, &backups).await;
    for (error, part) in found.iter().zip(["does not exist", "it has 1 bytes", "signature"]) {
        assert!(
            error.as_ref().is_some_and(|error| error.contains(part)),
            "{part}: {found:?}"
        );
    }
    fs::write(path(&snapshots[0]), "{}").unwrap();
    let folder = path(&snapshots[1]).with_file_name("state.json.gz");
    fs::write(&folder, "x").unwrap();
    let file = path(&snapshots[2]).with_file_name("config.yaml.gz");
    fs::remove_file(&file).unwrap();
    let found = inspect(vault, &snapshots).await;
    for (error, part) in found.iter().zip(["manifest.json", "state.json.gz", "config.yaml.gz"]) {
        assert!(
            error.as_ref().is_some_and(|error| error.contains(part)),
            "{part}: {found:?}"
        );
    }
    // The same of one alone.
    let alone = inspect(vault, &snapshots[2..]).await;
    assert_eq!(alone, found[2..]);
}
