//! Vaults of tests, and states to back up.

#[cfg(feature = "aws")]
pub(crate) mod aws;
#[cfg(feature = "aws")]
pub(crate) mod middleman;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrakis_vault::{
    Action, Deployment, Expected, FileCatalogue, FolderStore, LimitPolicy, LocalSigner, NewBackup, NewSnapshot,
    ResourceCounts, ServerId, Signer, ThemeVersion, Trigger, Vault, VaultParts,
};
use tempfile::TempDir;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

pub(crate) const SERVER: ServerId = ServerId::new(1_200_000_000_000_000_001);
pub(crate) const OTHER_SERVER: ServerId = ServerId::new(1_200_000_000_000_000_002);
/// A Tuesday.
pub(crate) const NOW: OffsetDateTime = datetime!(2026-12-01 02:50:00.123 UTC);

/// A vault in a folder of its own.
pub(crate) struct LocalVault {
    pub(crate) folder: TempDir,
    pub(crate) signer: Arc<LocalSigner>,
    pub(crate) vault: Vault,
}

/// A folder without a disk where the machine has such: every write of a vault is synced, and tests make thousands.
fn folder_in_memory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    folder.unwrap()
}

impl LocalVault {
    pub(crate) fn new(limits: LimitPolicy) -> Self {
        Self::over(folder_in_memory(), Arc::new(LocalSigner::generate().unwrap()), limits)
    }

    /// A vault with the same key and a copy of everything that is stored.
    pub(crate) fn copy(&self) -> Self {
        let folder = folder_in_memory();
        for (name, bytes) in files(self.path()) {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        Self::over(folder, Arc::clone(&self.signer), self.vault.limits())
    }

    fn over(folder: TempDir, signer: Arc<LocalSigner>, limits: LimitPolicy) -> Self {
        let vault = Vault::new(VaultParts {
            store: Arc::new(FolderStore::new(folder.path())),
            catalogue: Arc::new(FileCatalogue::new(folder.path().join(".catalogue"))),
            signer: Arc::clone(&signer) as Arc<dyn Signer>,
            limits,
        });
        Self { folder, signer, vault }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The same store and catalogue with another key.
    pub(crate) fn with_signer(&self, signer: LocalSigner) -> Vault {
        Vault::new(VaultParts {
            store: Arc::clone(self.vault.store()),
            catalogue: Arc::clone(self.vault.catalogue()),
            signer: Arc::new(signer),
            limits: self.vault.limits(),
        })
    }
}

#[cfg(feature = "aws")]
pub(crate) fn vault(
    store: Arc<dyn arrakis_vault::ObjectStore>,
    catalogue: Arc<dyn arrakis_vault::Catalogue>,
    limits: LimitPolicy,
) -> Vault {
    Vault::new(VaultParts {
        store,
        catalogue,
        signer: Arc::new(LocalSigner::generate().unwrap()),
        limits,
    })
}

/// A state as gaib writes it, as far as the vault reads it.
pub(crate) fn state(server: ServerId, serial: u64) -> Vec<u8> {
    let text = format!(
        "{{\"version\":1,\"serial\":{serial},\"lineage\":\"lineage-of-{server}\",\"guild_id\":\"{server}\",\"resources\":{{}}}}"
    );
    text.into_bytes()
}

pub(crate) fn expected(server: ServerId) -> Expected {
    Expected {
        server,
        lineage: Some(format!("lineage-of-{server}")),
    }
}

pub(crate) fn new_backup(server: ServerId, state: &[u8]) -> NewBackup<'_> {
    NewBackup {
        server,
        workspace: "default",
        state,
        message: Some("before the sandstorm"),
        trigger: Trigger::Automatic,
    }
}

pub(crate) fn new_snapshot(server: ServerId, state: &[u8]) -> NewSnapshot<'_> {
    NewSnapshot {
        id: None,
        server,
        workspace: "default",
        state: Some(state),
        config: b"version: '1.0'\nserver:\n  name: Sietch Tabr\n",
        files: BTreeMap::from([("members.json".to_owned(), b"{}".to_vec())]),
        counts: ResourceCounts {
            roles: 1,
            channels: 2,
            categories: 3,
        },
        theme: Some(ThemeVersion {
            name: "sietch".to_owned(),
            version: "1.0.0".to_owned(),
        }),
        message: None,
        trigger: Trigger::Automatic,
    }
}

pub(crate) fn deployment(number: i64) -> Deployment {
    Deployment {
        id: Uuid::new_v4(),
        time: NOW + Duration::seconds(number),
        workspace: "default".to_owned(),
        theme: ThemeVersion {
            name: "sietch".to_owned(),
            version: format!("1.0.{number}"),
        },
        serial: 1,
        action: Action::Apply,
        snapshot_before: None,
        snapshot: None,
        restored: None,
        message: None,
        signature: None,
    }
}

/// Every file below a folder with its content, except locks.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name != ".lock") {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}
