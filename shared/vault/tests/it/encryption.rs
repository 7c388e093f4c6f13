//! Objects that are encrypted on this machine.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;
use arrakis_vault::store::{EncryptedStore, Encryption};
use arrakis_vault::{
    Condition, LimitPolicy, NewObject, ObjectKey, RecordKind, Signer, StoreError, Vault, VaultError, VaultParts,
};
use time::{Duration, OffsetDateTime};

use crate::support::{LocalVault, NOW, SERVER, deployment, expected, new_backup, new_snapshot, state};

const BEGIN: &[u8] = b"age-encryption.org/v1\n";

/// Writes a new identity as `age-keygen` does. Returns its file, and the recipient.
fn key_file(folder: &Path, name: &str) -> (PathBuf, String) {
    let identity = Identity::generate();
    let recipient = identity.to_public().to_string();
    let path = folder.join(name);
    let secret = identity.to_string();
    let text = format!("# public key: {recipient}\n{}\n", secret.expose_secret());
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    (path, recipient)
}

/// The same vault with these keys.
fn with(local: &LocalVault, encryption: Encryption) -> Vault {
    Vault::new(VaultParts {
        store: Arc::new(EncryptedStore::new(Arc::clone(local.vault.store()), encryption)),
        catalogue: Arc::clone(local.vault.catalogue()),
        signer: local.signer.clone() as Arc<dyn Signer>,
        limits: LimitPolicy::Unlimited,
    })
}

/// Every object as it is stored.
async fn stored(local: &LocalVault) -> Vec<(ObjectKey, Vec<u8>)> {
    let mut found = Vec::new();
    for object in local.vault.store().list("").await.unwrap() {
        let read = local.vault.store().get(&object.key).await.unwrap();
        found.push((object.key, read.bytes));
    }
    found
}

#[tokio::test]
async fn objects_are_encrypted_in_the_store_and_verified_with_the_identity() {
    let (local, keys) = (LocalVault::new(LimitPolicy::Unlimited), tempfile::tempdir().unwrap());
    let (own, _) = key_file(keys.path(), "own.txt");
    let vault = with(&local, Encryption::open(&own, &[]).unwrap());
    let state = state(SERVER, 1);
    let record = vault.create_backup(new_backup(SERVER, &state), NOW).await.unwrap();
    let snapshot = vault.create_snapshot(new_snapshot(SERVER, &state), NOW).await.unwrap();
    let export = vault.write_export(SERVER, b"version: '1.0'", NOW).await.unwrap();
    for number in 0..3 {
        vault.record_deployment(SERVER, &deployment(number)).await.unwrap();
    }
    let objects = stored(&local).await;
    assert!(objects.len() > 8, "{}", objects.len());
    for (key, bytes) in objects {
        assert!(bytes.starts_with(BEGIN), "{key} is not encrypted");
    }
    assert_eq!(vault.read_backup(&record, &expected(SERVER)).await.unwrap(), state);
    let read = vault.read_snapshot(&snapshot, &expected(SERVER)).await.unwrap();
    assert_eq!(read.state(), Some(state.as_slice()));
    let export = vault.read_export(SERVER, &export).await.unwrap();
    assert!(export.is_signed() && export.yaml == b"version: '1.0'", "{export:?}");
    assert_eq!(vault.theme_registry(SERVER).await.unwrap().deployments.len(), 3);
    let report = vault.verify_all(SERVER, NOW, &mut |_, _| {}).await.unwrap();
    assert_eq!((report.whole, report.unusable.damaged.len()), (2, 0));
    // The sizes of a list are those of the stored bytes.
    for record in [&record, &snapshot] {
        let inspected = vault.inspect(SERVER, std::slice::from_ref(record)).await;
        assert!(inspected.unwrap().remove(0).is_ok());
    }
    // What is read of one object is the same by both calls.
    let key = record.object().unwrap();
    let (whole, head) = (
        vault.store().get(&key).await.unwrap(),
        vault.store().head(&key).await.unwrap(),
    );
    assert_eq!((whole.head, whole.bytes.len() as u64), (head, record.size));
    vault.delete(&record, NOW).await.unwrap();
    assert!(vault.store().get(&key).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn object_without_its_identity_is_refused_and_not_damaged() {
    let (local, keys) = (LocalVault::new(LimitPolicy::Unlimited), tempfile::tempdir().unwrap());
    let (own, _) = key_file(keys.path(), "own.txt");
    let (other, recovery) = key_file(keys.path(), "other.txt");
    let state = state(SERVER, 1);
    let vault = with(&local, Encryption::open(&own, &[]).unwrap());
    let record = vault.create_backup(new_backup(SERVER, &state), NOW).await.unwrap();
    let others = Encryption::open(&other, &[]).unwrap();
    for (encryption, reason) in [
        (Encryption::default(), "set BACKUP_AGE_IDENTITY"),
        (others.clone(), "another identity"),
    ] {
        let error = with(&local, encryption).verify(&record).await.unwrap_err();
        assert!(
            matches!(error, VaultError::Store(StoreError::Encrypted { .. })) && !error.is_damage(),
            "{error:?}"
        );
        assert!(error.to_string().contains(reason), "{error}");
    }
    // A further recipient reads what is encrypted for it.
    let vault = with(&local, Encryption::open(&own, &[recovery]).unwrap());
    let record = vault.create_backup(new_backup(SERVER, &state), NOW).await.unwrap();
    for encryption in [others, Encryption::open(&own, &[]).unwrap()] {
        with(&local, encryption).verify(&record).await.unwrap();
    }
}

/// One object of another identity, or a file that may not be read, is named, and the others are used.
#[tokio::test]
async fn object_of_another_identity_blocks_no_other_one() {
    let (local, keys) = (LocalVault::new(LimitPolicy::Unlimited), tempfile::tempdir().unwrap());
    let (own, _) = key_file(keys.path(), "own.txt");
    let (other, _) = key_file(keys.path(), "other.txt");
    let own = with(&local, Encryption::open(&own, &[]).unwrap());
    let other = with(&local, Encryption::open(&other, &[]).unwrap());
    let state = state(SERVER, 1);
    let foreign = other.create_backup(new_backup(SERVER, &state), NOW).await.unwrap();
    own.create_backup(new_backup(SERVER, &state), NOW + Duration::SECOND)
        .await
        .unwrap();
    own.record_deployment(SERVER, &deployment(1)).await.unwrap();
    let audit = local
        .vault
        .store()
        .list(&format!("themes/{SERVER}/audit/"))
        .await
        .unwrap()
        .remove(0);
    let report = own.verify_all(SERVER, NOW, &mut |_, _| {}).await.unwrap();
    assert_eq!(
        (
            report.whole,
            report.unusable.encrypted.len(),
            report.unusable.damaged.len()
        ),
        (1, 1, 0),
        "{report:?}"
    );
    // Without a record, it is what an interrupted creation left.
    let object = foreign.object().unwrap();
    local.vault.catalogue().delete(&foreign).await.unwrap();
    let later = OffsetDateTime::now_utc().max(NOW) + Duration::hours(2);
    let recovered = own.recover(SERVER, later).await.unwrap();
    assert!(recovered.damaged[0].is_encrypted_for_others(), "{recovered:?}");
    let bytes = local.vault.store().get(&object).await.unwrap().bytes;
    let planted = ObjectKey::new(format!("themes/{SERVER}/audit/20200101T000000.000Z.json")).unwrap();
    local
        .vault
        .store()
        .put(&planted, NewObject::new(bytes), &Condition::Absent)
        .await
        .unwrap();
    local
        .vault
        .store()
        .delete(&ObjectKey::new(format!("themes/{SERVER}/registry.json")).unwrap(), None)
        .await
        .unwrap();
    let rebuilt = own.rebuild_theme_registry(SERVER).await.unwrap();
    assert_eq!(rebuilt.registry.deployments.len(), 1);
    let named = rebuilt.damaged[0].to_string();
    assert!(
        named.contains(planted.as_str()) && !named.contains(audit.key.as_str()),
        "{named}"
    );
}

#[tokio::test]
async fn damage_of_stored_bytes_is_named() {
    let (local, keys) = (LocalVault::new(LimitPolicy::Unlimited), tempfile::tempdir().unwrap());
    let (own, _) = key_file(keys.path(), "own.txt");
    let vault = with(&local, Encryption::open(&own, &[]).unwrap());
    let state = state(SERVER, 1);
    let record = vault.create_backup(new_backup(SERVER, &state), NOW).await.unwrap();
    let path = local.path().join(record.object().unwrap().as_str());
    let whole = fs::read(&path).unwrap();
    for at in [0, BEGIN.len() + 3, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = vault.verify(&record).await.unwrap_err();
        let text = error.to_string();
        assert!(
            error.is_damage() && text.contains(path.to_str().unwrap()),
            "{at}: {text}"
        );
        assert!(text.contains("SHA-256"), "{at}: {text}");
    }
    // Also where the metadata are lost.
    fs::remove_dir_all(local.path().join(".objects")).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let error = vault.verify(&record).await.unwrap_err();
    assert!(error.is_damage() && error.to_string().contains("decrypted"), "{error}");
    fs::write(&path, whole).unwrap();
    vault.verify(&record).await.unwrap();
}

#[tokio::test]
async fn backups_without_encryption_stay_readable() {
    let (local, keys) = (LocalVault::new(LimitPolicy::Unlimited), tempfile::tempdir().unwrap());
    let state = state(SERVER, 1);
    let plain = local
        .vault
        .create_backup(new_backup(SERVER, &state), NOW)
        .await
        .unwrap();
    local.vault.record_deployment(SERVER, &deployment(0)).await.unwrap();
    let (own, _) = key_file(keys.path(), "own.txt");
    let vault = with(&local, Encryption::open(&own, &[]).unwrap());
    vault.verify(&plain).await.unwrap();
    // The registry is replaced by an encrypted one.
    vault.record_deployment(SERVER, &deployment(1)).await.unwrap();
    assert_eq!(vault.theme_registry(SERVER).await.unwrap().deployments.len(), 2);
    let page = vault.list(SERVER, RecordKind::Backup, 20, None, NOW).await.unwrap();
    assert_eq!(page.records, [plain]);
}

#[tokio::test]
async fn nothing_is_stored_in_plain_text_beside_encrypted_objects_unless_intended() {
    let (local, keys) = (LocalVault::new(LimitPolicy::Unlimited), tempfile::tempdir().unwrap());
    let (own, _) = key_file(keys.path(), "own.txt");
    let own = with(&local, Encryption::open(&own, &[]).unwrap());
    let state = state(SERVER, 1);
    let encrypted = own.create_backup(new_backup(SERVER, &state), NOW).await.unwrap();
    assert!(!own.is_plain(&encrypted).await.unwrap());
    let before = stored(&local).await;
    let forgotten = with(&local, Encryption::default());
    let later = NOW + Duration::SECOND;
    for refused in [
        forgotten
            .create_backup(new_backup(SERVER, &state), later)
            .await
            .map(drop),
        forgotten
            .create_snapshot(new_snapshot(SERVER, &state), later)
            .await
            .map(drop),
        forgotten.write_export(SERVER, b"version: '1.0'", later).await.map(drop),
        forgotten.record_deployment(SERVER, &deployment(1)).await,
    ] {
        let text = refused.unwrap_err().to_string();
        assert!(
            text.contains("BACKUP_AGE_IDENTITY") && text.contains("is encrypted with age"),
            "{text}"
        );
    }
    assert_eq!(stored(&local).await, before);
    let intended = with(&local, Encryption::intentionally_none());
    let plain = intended.create_backup(new_backup(SERVER, &state), later).await.unwrap();
    assert!(own.is_plain(&plain).await.unwrap());
    let report = own.verify_all(SERVER, NOW, &mut |_, _| {}).await.unwrap();
    assert_eq!((report.whole, report.plain), (2, 1), "{report:?}");
}

#[test]
fn unusable_identity_and_recipient_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (path, recipient) = key_file(folder.path(), "identity.txt");
    let refused = |further: &[&str]| {
        let further: Vec<String> = further.iter().map(|text| (*text).to_owned()).collect();
        Encryption::open(&path, &further).unwrap_err().to_string()
    };
    assert!(refused(&["age1x"]).contains("\"age1x\" is not an age recipient"));
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert!(refused(&[]).contains("chmod 600"), "{}", refused(&[]));
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    for (text, reason) in [("# nothing\n", "no identity"), (recipient.as_str(), "AGE-SECRET-KEY-1")] {
        fs::write(&path, text).unwrap();
        assert!(refused(&[]).contains(reason), "{}", refused(&[]));
    }
    fs::remove_file(&path).unwrap();
    assert!(refused(&[]).contains("identity.txt"), "{}", refused(&[]));
}
