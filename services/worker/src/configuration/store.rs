//! [`ShadowStore`]: `manifests/{server}/{version}.json.gz` for each version, and `manifests/{server}/latest.json`, which names the newest one.
//!
//! A version is written once and never changed. The pointer moves forwards only, after the version that it names. So a write that was
//! interrupted is repeated, and what is read is whole.

use std::sync::Arc;

use arrakis_db::{Checksum, ConfigurationVersion, GuildId, MAX_VERSION};
use arrakis_runtime::fail_point;
use arrakis_security::signing::SignError;
use arrakis_vault::{
    Condition, NewObject, ObjectKey, ObjectKeyError, ObjectStore, ServerId, Signer, StoreError, paths,
};

use super::shadow::{self, Shadow, Unreadable};

const LATEST: &str = "latest.json";
const SUFFIX: &str = ".json.gz";
/// Most foreign objects that are named.
const MAX_FOREIGN: usize = 20;
/// How often the write of a pointer is repeated when another process wrote it meanwhile.
const MAX_WRITES: u32 = 5;

/// Why an operation on a shadow failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShadowError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A shadow is damaged.
    #[error("{object} is damaged: {reason}")]
    Damaged {
        /// The object.
        object: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store has another configuration under the number of this version.
    #[error("{object} has another configuration than version {version} of the database")]
    Differs {
        /// The object.
        object: String,
        /// The version.
        version: u32,
    },
    /// The numbers of a server's versions are used up.
    #[error("no number is left for a version: {MAX_VERSION} is the largest one")]
    NoNumber,
    /// A version cannot be signed at present, or a signature not verified.
    #[error("{0}")]
    Signer(String),
    /// A version cannot be written as an object.
    #[error("version {version} of the configuration cannot be written: {reason}")]
    Encode {
        /// The version.
        version: u32,
        /// The reason.
        reason: String,
    },
}

impl ShadowError {
    /// Whether the store or the signer failed, as opposed to a shadow that is damaged or differs. An object that is too large is damaged: it must not
    /// stop the shadows of other servers.
    pub(crate) const fn is_of_store(&self) -> bool {
        match self {
            Self::Store(error) => !matches!(error, StoreError::TooLarge { .. }),
            Self::Signer(_) => true,
            _ => false,
        }
    }
}

/// The newest version, as its pointer names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pointer {
    /// Number of the version.
    pub(crate) version: u32,
    /// Checksum of its configuration.
    pub(crate) checksum: Checksum,
}

/// The shadows of all servers, in an object store.
#[derive(Clone, Debug)]
pub struct ShadowStore {
    store: Arc<dyn ObjectStore>,
    signer: Option<Arc<dyn Signer>>,
}

impl ShadowStore {
    /// The shadows in this store, without signatures: what is read has the right checksums, and may come from whoever can write to the store.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, signer: None }
    }

    /// The same with signatures: what is written is signed, and what is read must be signed by this key or one that it trusts.
    #[must_use]
    pub fn signed_by(mut self, signer: Arc<dyn Signer>) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Whether signatures are verified.
    pub(crate) fn verifies_signatures(&self) -> bool {
        self.signer.is_some()
    }

    fn signer(&self) -> Option<&dyn Signer> {
        self.signer.as_deref()
    }

    /// Writes a version, and the pointer if it is the newest one. Safe to repeat.
    ///
    /// # Errors
    /// [`ShadowError::Differs`] when the store has another configuration under this number, [`ShadowError::Damaged`].
    pub(crate) async fn write(&self, server: GuildId, version: &ConfigurationVersion) -> Result<(), ShadowError> {
        let shadow = Shadow::of(version);
        let bytes = shadow
            .to_bytes(server, self.signer())
            .await
            .map_err(|error| encode(version.version, &error))?;
        let key = key(server, version.version)?;
        match self.store.put(&key, NewObject::new(bytes), &Condition::Absent).await {
            Ok(_) => {}
            Err(error) if error.is_condition_failed() => {
                if self.read(server, version.version).await?.content != version.content {
                    return Err(ShadowError::Differs {
                        object: self.store.describe(key.as_str()),
                        version: version.version,
                    });
                }
            }
            Err(error) => return Err(error.into()),
        }
        fail_point::hit("worker.shadow.written").await;
        self.point(server, &shadow).await?;
        fail_point::hit("worker.shadow.pointed").await;
        Ok(())
    }

    /// Lets the pointer name a version, unless it names a later one. A damaged pointer is replaced: it follows from the versions.
    async fn point(&self, server: GuildId, shadow: &Shadow) -> Result<(), ShadowError> {
        let key = pointer_key(server)?;
        let bytes = shadow::pointer_bytes(server, shadow.version, shadow.checksum(), self.signer())
            .await
            .map_err(|error| encode(shadow.version, &error))?;
        let mut writes = 0;
        loop {
            let condition = match self.store.get(&key).await {
                Ok(object) => {
                    match shadow::read_pointer(&object.bytes, server, self.signer()).await {
                        Ok((version, _)) if version >= shadow.version => return Ok(()),
                        Err(Unreadable::Unverified(reason)) => return Err(ShadowError::Signer(reason)),
                        Ok(_) | Err(Unreadable::Damaged(_)) => {}
                    }
                    Condition::Version(object.head.version)
                }
                Err(error) if error.is_not_found() => Condition::Absent,
                Err(error) => return Err(error.into()),
            };
            writes += 1;
            match self.store.put(&key, NewObject::new(bytes.clone()), &condition).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_condition_failed() && writes < MAX_WRITES => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads a version.
    ///
    /// # Errors
    /// [`ShadowError::Damaged`], also when there is none.
    pub(crate) async fn read(&self, server: GuildId, version: u32) -> Result<Shadow, ShadowError> {
        let key = key(server, version)?;
        let object = match self.store.get(&key).await {
            Ok(object) => object,
            Err(error) if error.is_not_found() => return Err(self.damaged(&key, "it does not exist")),
            Err(error) => return Err(error.into()),
        };
        let read = Shadow::from_bytes(&object.bytes, (server, version), self.signer()).await;
        read.map_err(|reason| self.unreadable(&key, reason))
    }

    /// The pointer to the newest version; `None` for a server without shadows.
    ///
    /// # Errors
    /// [`ShadowError::Damaged`].
    pub(crate) async fn pointer(&self, server: GuildId) -> Result<Option<Pointer>, ShadowError> {
        let key = pointer_key(server)?;
        let object = match self.store.get(&key).await {
            Ok(object) => object,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let read = shadow::read_pointer(&object.bytes, server, self.signer()).await;
        let (version, checksum) = read.map_err(|reason| self.unreadable(&key, reason))?;
        Ok(Some(Pointer { version, checksum }))
    }

    /// The newest version; `None` for a server without shadows.
    ///
    /// # Errors
    /// [`ShadowError::Damaged`], also when pointer and version differ.
    pub(crate) async fn latest(&self, server: GuildId) -> Result<Option<Shadow>, ShadowError> {
        let Some(pointer) = self.pointer(server).await? else {
            return Ok(None);
        };
        let shadow = self.read(server, pointer.version).await?;
        if shadow.checksum() != pointer.checksum {
            let reason = "its configuration has another checksum than latest.json names";
            return Err(self.damaged(&key(server, pointer.version)?, reason));
        }
        Ok(Some(shadow))
    }

    /// The numbers of a server's versions, the newest first. A name is no proof of a version: whoever can write to the store chooses names. An
    /// object whose name is not one that this module writes is left out.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn versions(&self, server: GuildId) -> Result<Vec<u32>, ShadowError> {
        let names = self.names(server).await?;
        let mut versions: Vec<u32> = names.iter().filter_map(|name| number(name)).collect();
        versions.sort_unstable_by(|one, other| other.cmp(one));
        Ok(versions)
    }

    /// The names of the objects in the folder of a server.
    async fn names(&self, server: GuildId) -> Result<Vec<String>, ShadowError> {
        let folder = folder(server);
        let objects = self.store.list(&folder).await?;
        let names = objects
            .iter()
            .filter_map(|object| object.key.as_str().strip_prefix(&folder));
        Ok(names.map(str::to_owned).collect())
    }

    /// The number for a version above `known`, above the one that the pointer names, and above all versions that can be read. An object that cannot be
    /// read counts for nothing, but its number is not used: a version is written once.
    ///
    /// # Errors
    /// The store cannot be read, or no number is left.
    pub(crate) async fn next_number(&self, server: GuildId, known: u32) -> Result<u32, ShadowError> {
        let listed = self.versions(server).await?;
        let named = match self.pointer(server).await {
            Ok(pointer) => pointer.map_or(0, |pointer| pointer.version),
            Err(error) if error.is_of_store() => return Err(error),
            // The write of the next version replaces a damaged pointer.
            Err(_) => 0,
        };
        let mut newest = known.max(named);
        for version in listed.iter().copied().filter(move |version| *version > newest) {
            if self.is_readable(server, version).await? {
                newest = version;
                break;
            }
        }
        let mut next = newest.saturating_add(1);
        for version in listed.iter().rev() {
            if *version == next {
                next = next.saturating_add(1);
            }
        }
        if next > MAX_VERSION {
            return Err(ShadowError::NoNumber);
        }
        Ok(next)
    }

    /// Objects in the folder of a server that are no versions of it, at most the first twenty: their names are not those of versions, or their numbers are above
    /// `known`, the newest one of the database, and above the pointer's, and they cannot be read.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn foreign(&self, server: GuildId, known: u32) -> Result<Vec<String>, ShadowError> {
        let named = match self.pointer(server).await {
            Ok(pointer) => pointer.map_or(0, |pointer| pointer.version),
            Err(error) if error.is_of_store() => return Err(error),
            Err(_) => 0,
        };
        let newest = known.max(named);
        let mut foreign = Vec::new();
        for name in self.names(server).await? {
            let is_foreign = match number(&name) {
                Some(version) => version > newest && !self.is_readable(server, version).await?,
                None => name != LATEST,
            };
            if is_foreign && foreign.len() < MAX_FOREIGN {
                foreign.push(self.store.describe(&format!("{}{name}", folder(server))));
            }
        }
        Ok(foreign)
    }

    /// Whether a version can be read, with its checksum and, where there is a key, its signature.
    async fn is_readable(&self, server: GuildId, version: u32) -> Result<bool, ShadowError> {
        match self.read(server, version).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_of_store() => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// The servers that have shadows.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn servers(&self) -> Result<Vec<GuildId>, ShadowError> {
        let objects = self.store.list(paths::ALL_SHADOWS).await?;
        let mut servers: Vec<GuildId> = objects
            .iter()
            .filter_map(|object| {
                object
                    .key
                    .as_str()
                    .strip_prefix(paths::ALL_SHADOWS)?
                    .split('/')
                    .next()?
                    .parse()
                    .ok()
            })
            .collect();
        servers.sort_unstable();
        servers.dedup();
        Ok(servers)
    }

    fn unreadable(&self, key: &ObjectKey, reason: Unreadable) -> ShadowError {
        match reason {
            Unreadable::Damaged(reason) => self.damaged(key, reason),
            Unreadable::Unverified(reason) => ShadowError::Signer(reason),
        }
    }

    fn damaged(&self, key: &ObjectKey, reason: impl Into<String>) -> ShadowError {
        ShadowError::Damaged {
            object: self.store.describe(key.as_str()),
            reason: reason.into(),
        }
    }
}

fn folder(server: GuildId) -> String {
    paths::shadows(ServerId::new(server.get()))
}

fn key(server: GuildId, version: u32) -> Result<ObjectKey, ShadowError> {
    ObjectKey::new(format!("{}{version}{SUFFIX}", folder(server))).map_err(|error| invalid(version, &error))
}

/// The number in the name of a version's object; `None` for any other name, such as `07.json.gz`.
fn number(name: &str) -> Option<u32> {
    let text = name.strip_suffix(SUFFIX)?;
    let number: u32 = text.parse().ok()?;
    (number > 0 && number <= MAX_VERSION && number.to_string() == text).then_some(number)
}

fn pointer_key(server: GuildId) -> Result<ObjectKey, ShadowError> {
    ObjectKey::new(format!("{}{LATEST}", folder(server))).map_err(|error| invalid(0, &error))
}

/// Never in practice: numbers are valid in keys.
fn invalid(version: u32, error: &ObjectKeyError) -> ShadowError {
    ShadowError::Encode {
        version,
        reason: error.to_string(),
    }
}

fn encode(version: u32, error: &std::io::Error) -> ShadowError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<SignError>());
    if inner.is_some() {
        return ShadowError::Signer(error.to_string());
    }
    ShadowError::Encode {
        version,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use arrakis_vault::FolderStore;
    use tempfile::TempDir;
    use time::macros::datetime;

    use super::*;

    fn server() -> GuildId {
        GuildId::new(7).unwrap()
    }

    fn version(number: u32, content: &str) -> ConfigurationVersion {
        ConfigurationVersion {
            version: number,
            cause: "theme".to_owned(),
            recorded_by: "liet".to_owned(),
            recorded_at: datetime!(2026-12-01 12:00 UTC),
            content: content.to_owned(),
            checksum: Checksum::of_text(content),
            shadowed_at: None,
        }
    }

    fn shadows(folder: &TempDir) -> ShadowStore {
        ShadowStore::new(Arc::new(FolderStore::new(folder.path())))
    }

    #[tokio::test]
    async fn versions_are_written_once_and_the_pointer_moves_forwards() {
        let folder = TempDir::new().unwrap();
        let shadows = shadows(&folder);
        assert_eq!(shadows.latest(server()).await.unwrap(), None);
        for number in [2, 10, 1, 10] {
            shadows.write(server(), &version(number, "{\"a\":1}")).await.unwrap();
        }
        assert_eq!(shadows.versions(server()).await.unwrap(), [10, 2, 1]);
        assert_eq!(shadows.latest(server()).await.unwrap().unwrap().version, 10);
        assert_eq!(shadows.servers().await.unwrap(), [server()]);
        let other = shadows.write(server(), &version(2, "{\"a\":2}")).await.unwrap_err();
        assert!(matches!(other, ShadowError::Differs { version: 2, .. }), "{other}");
    }

    #[tokio::test]
    async fn object_that_is_no_version_chooses_no_number() {
        let folder = TempDir::new().unwrap();
        let shadows = shadows(&folder);
        assert_eq!(shadows.next_number(server(), 0).await.unwrap(), 1);
        shadows.write(server(), &version(3, "{\"a\":1}")).await.unwrap();
        let at = |name: &str| folder.path().join("manifests/7").join(name);
        let names = [
            "4294967294.json.gz",
            "4294967295.json.gz",
            "4294967296.json.gz",
            "2147483646.json.gz",
            "1000000000.json.gz",
            "05.json.gz",
            "0.json.gz",
            "notes.txt",
        ];
        for name in names {
            std::fs::write(at(name), "x").unwrap();
        }
        assert_eq!(shadows.versions(server()).await.unwrap(), [1_000_000_000, 3]);
        assert_eq!(shadows.next_number(server(), 0).await.unwrap(), 4);
        assert_eq!(shadows.next_number(server(), 7).await.unwrap(), 8);
        let foreign = shadows.foreign(server(), 3).await.unwrap();
        assert_eq!(foreign.len(), names.len(), "{foreign:?}");
        for name in names {
            assert!(
                foreign.iter().any(|object| object.ends_with(name)),
                "{name}: {foreign:?}"
            );
        }
        // Numbers that objects have are not used.
        std::fs::write(at("4.json.gz"), "x").unwrap();
        std::fs::write(at("5.json.gz"), "x").unwrap();
        assert_eq!(shadows.next_number(server(), 0).await.unwrap(), 6);
        let last = shadows.next_number(server(), MAX_VERSION).await;
        assert!(matches!(last, Err(ShadowError::NoNumber)), "{last:?}");
    }

    #[tokio::test]
    async fn damaged_objects_are_named() {
        let folder = TempDir::new().unwrap();
        let shadows = shadows(&folder);
        shadows.write(server(), &version(1, "{\"a\":1}")).await.unwrap();
        shadows.write(server(), &version(2, "{\"a\":2}")).await.unwrap();
        let at = |name: &str| folder.path().join("manifests/7").join(name);
        // Another version's bytes under this name.
        std::fs::copy(at("1.json.gz"), at("2.json.gz")).unwrap();
        let error = shadows.latest(server()).await.unwrap_err().to_string();
        assert!(
            error.contains("manifests/7/2.json.gz is damaged: it is version 1"),
            "{error}"
        );
        std::fs::remove_file(at("2.json.gz")).unwrap();
        let error = shadows.latest(server()).await.unwrap_err().to_string();
        assert!(error.contains("2.json.gz is damaged: it does not exist"), "{error}");
        let large = std::fs::File::create(at("2.json.gz")).unwrap();
        large.set_len(arrakis_vault::store::MAX_OBJECT_BYTES + 1).unwrap();
        let error = shadows.latest(server()).await.unwrap_err();
        assert!(!error.is_of_store(), "{error}");
        std::fs::remove_file(at("2.json.gz")).unwrap();
        std::fs::write(at(LATEST), "{}").unwrap();
        assert!(shadows.pointer(server()).await.is_err());
        // A pointer follows from the versions.
        shadows.write(server(), &version(2, "{\"a\":2}")).await.unwrap();
        assert_eq!(shadows.latest(server()).await.unwrap().unwrap().version, 2);
    }
}
