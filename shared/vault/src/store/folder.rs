//! [`FolderStore`]: objects as files of a folder.
//!
//! An object is the file of its key. `.objects/{key}.json` has its metadata and tags (`description.rs`), `.lock` serialises writes of all
//! processes. A write makes a temporary file, syncs it and renames it, so an object is whole or absent. Names that begin with a dot are no
//! keys, so none of these files is listed. Symbolic links, named pipes, sockets and devices are no objects: they are not listed, and every
//! other operation on them is refused ([`StoreError::Foreign`]).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use async_trait::async_trait;
use time::OffsetDateTime;

use super::description::{Description, Descriptions};
use super::error::StoreError;
use super::{Condition, ListedObject, MAX_OBJECT_BYTES, NewObject, Object, ObjectHead, ObjectStore, Tags, Version};
use crate::checksum::checksum;
use crate::files::{self, FileFailure, FolderLock, LockWait};
use crate::key::ObjectKey;

/// A store in a folder, also of several processes of one machine.
#[derive(Clone, Debug)]
pub struct FolderStore {
    folder: Folder,
}

impl FolderStore {
    /// A store in this folder, which the first write creates.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            folder: Folder {
                root: root.into(),
                wait: LockWait::default(),
            },
        }
    }

    /// Waits for the lock of its writes in this way.
    #[must_use]
    pub fn waiting(mut self, wait: LockWait) -> Self {
        self.folder.wait = wait;
        self
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(Folder) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let folder = self.folder.clone();
        let done = files::blocking(move || work(folder)).await;
        done.unwrap_or_else(|error| Err(failed("use", &self.folder.root, error)))
    }
}

#[async_trait]
impl ObjectStore for FolderStore {
    fn describe(&self, key: &str) -> String {
        self.folder.root.join(key).display().to_string()
    }

    fn deletes_tagged(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.blocking(|folder| folder.check_writable()).await
    }

    async fn put(&self, key: &ObjectKey, object: NewObject, condition: &Condition) -> Result<Version, StoreError> {
        let (key, condition) = (key.clone(), condition.clone());
        self.blocking(move |folder| folder.put(&key, &object, &condition)).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Object, StoreError> {
        let key = key.clone();
        self.blocking(move |folder| folder.get(&key)).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectHead, StoreError> {
        Ok(self.get(key).await?.head)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ListedObject>, StoreError> {
        let prefix = prefix.to_owned();
        self.blocking(move |folder| folder.list(&prefix)).await
    }

    async fn delete(&self, key: &ObjectKey, only: Option<&Version>) -> Result<(), StoreError> {
        let (key, only) = (key.clone(), only.cloned());
        self.blocking(move |folder| folder.delete(&key, only.as_ref())).await
    }

    async fn tags(&self, key: &ObjectKey) -> Result<Tags, StoreError> {
        let key = key.clone();
        self.blocking(move |folder| Ok(folder.description(&key)?.tags)).await
    }

    async fn set_tags(&self, key: &ObjectKey, tags: &Tags) -> Result<(), StoreError> {
        let (key, tags) = (key.clone(), tags.clone());
        self.blocking(move |folder| folder.set_tags(&key, tags)).await
    }
}

/// The file operations, which block.
#[derive(Clone, Debug)]
struct Folder {
    root: PathBuf,
    wait: LockWait,
}

impl Folder {
    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(key.as_str())
    }

    fn descriptions_path(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(".objects").join(format!("{key}.json"))
    }

    /// Takes the lock of writes, which is held until the value is dropped.
    fn lock(&self) -> Result<FolderLock, StoreError> {
        files::lock(&self.root, &self.wait).map_err(|error| failed("lock", &self.root, error))
    }

    /// Writes a temporary file and removes it: the lock can be taken in a folder that permits no new files. Removes those of processes that were
    /// killed.
    fn check_writable(&self) -> Result<(), StoreError> {
        let _lock = self.lock()?;
        files::remove_abandoned(&self.root);
        let written = tempfile::Builder::new().prefix(files::CHECK).tempfile_in(&self.root);
        written.map(drop).map_err(|error| failed("write", &self.root, error))
    }

    fn put(&self, key: &ObjectKey, object: &NewObject, condition: &Condition) -> Result<Version, StoreError> {
        let path = self.path(key);
        check_size(&path, object.bytes.len() as u64)?;
        let _lock = self.lock()?;
        let present = self.version(&path)?;
        let holds = match condition {
            Condition::Any => true,
            Condition::Absent => present.is_none(),
            Condition::Version(wanted) => present.as_ref() == Some(wanted),
        };
        if !holds {
            return Err(condition_failed("write", &path));
        }
        let version = checksum(&object.bytes);
        let described = self.descriptions_path(key);
        let description = Description::new(&version, object);
        // Before the object: a process that ends between the two writes leaves both descriptions, and each content has its own.
        let mut descriptions = self.descriptions(key)?;
        let is_first = descriptions.add(description.clone());
        self.replace(&described, &descriptions.to_bytes(&described)?)?;
        self.replace(&path, &object.bytes)?;
        if !is_first {
            let only = Descriptions::of(description);
            self.replace(&described, &only.to_bytes(&described)?)?;
        }
        Ok(Version::new(version))
    }

    fn get(&self, key: &ObjectKey) -> Result<Object, StoreError> {
        let path = self.path(key);
        let (bytes, modified) = self.read(&path)?;
        let version = checksum(&bytes);
        let description = self.descriptions(key)?.of_content(&version);
        Ok(Object {
            head: ObjectHead {
                size: bytes.len() as u64,
                modified: modified.into(),
                metadata: description.metadata,
                version: Version::new(version),
            },
            bytes,
        })
    }

    /// The description of an object that exists.
    fn description(&self, key: &ObjectKey) -> Result<Description, StoreError> {
        let (bytes, _) = self.read(&self.path(key))?;
        Ok(self.descriptions(key)?.of_content(&checksum(&bytes)))
    }

    /// What is recorded about an object. Unreadable records count as missing: they only repeat what the catalogue has.
    fn descriptions(&self, key: &ObjectKey) -> Result<Descriptions, StoreError> {
        let path = self.descriptions_path(key);
        self.check("read", &path)?;
        match Descriptions::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(failed("read", &path, error)),
            read => Ok(read.unwrap_or_default()),
        }
    }

    fn set_tags(&self, key: &ObjectKey, tags: Tags) -> Result<(), StoreError> {
        let _lock = self.lock()?;
        let mut description = self.description(key)?;
        description.tags = tags;
        let path = self.descriptions_path(key);
        self.replace(&path, &Descriptions::of(description).to_bytes(&path)?)
    }

    fn delete(&self, key: &ObjectKey, only: Option<&Version>) -> Result<(), StoreError> {
        let path = self.path(key);
        let _lock = self.lock()?;
        let present = self.version(&path)?;
        if let (Some(present), Some(only)) = (present, only)
            && present != *only
        {
            return Err(condition_failed("delete", &path));
        }
        // The object first: without its description it is still an object.
        for path in [path, self.descriptions_path(key)] {
            files::remove(&self.root, &path).map_err(|error| failed("delete", &path, error))?;
            self.remove_empty_folders(&path);
        }
        Ok(())
    }

    /// Refuses a path that leaves the folder of the store, or that cannot be opened.
    fn check(&self, operation: &'static str, path: &Path) -> Result<(), StoreError> {
        files::check(&self.root, path).map_err(|error| failed(operation, path, error))
    }

    /// The content of a file and the time of its last change.
    fn read(&self, path: &Path) -> Result<(Vec<u8>, SystemTime), StoreError> {
        self.check("read", path)?;
        read(path)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        files::replace(&self.root, path, bytes).map_err(|error| failed("write", path, error))
    }

    fn version(&self, path: &Path) -> Result<Option<Version>, StoreError> {
        match self.read(path) {
            Ok((bytes, _)) => Ok(Some(Version::new(checksum(&bytes)))),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes the folders above a file as far as they are empty. The lock of writes is held, so no write needs them.
    fn remove_empty_folders(&self, path: &Path) {
        let above = path.ancestors().skip(1);
        for folder in above.take_while(|folder| folder.starts_with(&self.root) && *folder != self.root) {
            if fs::remove_dir(folder).is_err() {
                return;
            }
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<ListedObject>, StoreError> {
        let begin = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut listed = Vec::new();
        // A prefix that is no key's begin has no objects, and must not leave the folder.
        if begin.is_empty() || ObjectKey::new(begin).is_ok() {
            self.check("list", &self.root.join(begin))?;
            self.walk(begin, &mut listed)?;
        }
        listed.retain(|object| object.key.as_str().starts_with(prefix));
        listed.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(listed)
    }

    /// Adds the objects below a folder, given relative to the root.
    fn walk(&self, folder: &str, listed: &mut Vec<ListedObject>) -> Result<(), StoreError> {
        let path = self.root.join(folder);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if files::is_absent(&error) => return Ok(()),
            Err(error) => return Err(failed("list", &path, error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| failed("list", &path, error))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let relative = if folder.is_empty() {
                name.to_owned()
            } else {
                format!("{folder}/{name}")
            };
            let Ok(key) = ObjectKey::new(relative) else { continue };
            // Of a link itself, not of what it refers to.
            let about = match fs::symlink_metadata(entry.path()) {
                Ok(about) => about,
                // Deleted meanwhile.
                Err(error) if files::is_absent(&error) => continue,
                Err(error) => return Err(failed("list", &entry.path(), error)),
            };
            if about.is_dir() {
                self.walk(key.as_str(), listed)?;
            } else if about.is_file() {
                listed.push(ListedObject {
                    key,
                    size: about.len(),
                    modified: modified(&about),
                });
            }
        }
        Ok(())
    }
}

fn modified(about: &fs::Metadata) -> OffsetDateTime {
    about.modified().unwrap_or(SystemTime::UNIX_EPOCH).into()
}

/// The content of a file and the time of its last change.
fn read(path: &Path) -> Result<(Vec<u8>, SystemTime), StoreError> {
    let content = || -> io::Result<(u64, SystemTime, Option<Vec<u8>>)> {
        let about = fs::metadata(path)?;
        if about.is_dir() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let bytes = (about.len() <= MAX_OBJECT_BYTES).then(|| fs::read(path)).transpose()?;
        Ok((about.len(), about.modified()?, bytes))
    };
    match content() {
        Ok((_, modified, Some(bytes))) => Ok((bytes, modified)),
        Ok((size, _, None)) => Err(too_large(path, size)),
        Err(error) if files::is_absent(&error) => Err(StoreError::NotFound {
            object: path.display().to_string(),
        }),
        Err(error) => Err(failed("read", path, error)),
    }
}

fn check_size(path: &Path, size: u64) -> Result<(), StoreError> {
    if size <= MAX_OBJECT_BYTES {
        Ok(())
    } else {
        Err(too_large(path, size))
    }
}

fn too_large(path: &Path, size: u64) -> StoreError {
    StoreError::TooLarge {
        object: path.display().to_string(),
        size,
    }
}

fn condition_failed(operation: &'static str, path: &Path) -> StoreError {
    StoreError::ConditionFailed {
        operation,
        object: path.display().to_string(),
    }
}

pub(super) fn failed(operation: &'static str, path: &Path, source: io::Error) -> StoreError {
    let object = path.display().to_string();
    match FileFailure::from(source) {
        FileFailure::LockHeld(reason) => StoreError::LockHeld { object, reason },
        FileFailure::Foreign(reason) => StoreError::Foreign {
            operation,
            object,
            reason,
        },
        FileFailure::Io(source) => StoreError::Io {
            operation,
            object,
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ObjectKey {
        ObjectKey::new(text).unwrap()
    }

    #[tokio::test]
    async fn files_of_the_store_and_of_others_are_not_listed() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::new(folder.path());
        let object = NewObject::new("x").tagged("Tier", "free");
        store.put(&key("a/b"), object, &Condition::Any).await.unwrap();
        for foreign in [".write-abc", "a/.write-abc", "a/has space"] {
            fs::write(folder.path().join(foreign), "partial").unwrap();
        }
        let keys: Vec<_> = store
            .list("")
            .await
            .unwrap()
            .into_iter()
            .map(|object| object.key)
            .collect();
        assert_eq!(keys, [key("a/b")]);
        for outside in ["../", "/", "a/../", ".objects/"] {
            assert_eq!(store.list(outside).await.unwrap(), [], "{outside}");
        }
    }

    /// A store with an object `a/b`, a folder outside of it with a file, and a link to that folder in each place below the store where one can
    /// be: as an object, and as a folder.
    fn store_with_links() -> (tempfile::TempDir, FolderStore, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("store"), folder.path().join("outside"));
        fs::create_dir_all(root.join("a")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "of another").unwrap();
        fs::write(root.join("a/b"), "x").unwrap();
        std::os::unix::fs::symlink(outside.join("file"), root.join("a/link")).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("a/folder")).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("begin")).unwrap();
        std::os::unix::fs::symlink(root.join("a/loop"), root.join("a/loop")).unwrap();
        (folder, FolderStore::new(root), outside)
    }

    fn assert_foreign<T: std::fmt::Debug>(result: Result<T, StoreError>, path: &str) {
        let error = result.unwrap_err();
        assert!(
            matches!(error, StoreError::Foreign { .. }) && error.to_string().contains(path),
            "{error}"
        );
    }

    #[tokio::test]
    async fn symbolic_links_are_not_listed_and_not_followed() {
        let (_folder, store, outside) = store_with_links();
        let listed: Vec<_> = store.list("a/").await.unwrap();
        let keys: Vec<_> = listed.into_iter().map(|object| object.key).collect();
        assert_eq!(keys, [key("a/b")]);
        assert_foreign(store.list("begin/").await, "begin is a symbolic link");
        let new = || NewObject::new("new").tagged("Tier", "free");
        for text in ["a/link", "a/folder/file", "a/folder/new", "begin/file", "a/loop"] {
            let key = key(text);
            assert_foreign(
                store.get(&key).await,
                text.split("/file").next().unwrap().trim_end_matches("/new"),
            );
            assert_foreign(store.head(&key).await, "is a symbolic link");
            assert_foreign(store.put(&key, new(), &Condition::Any).await, "is a symbolic link");
            assert_foreign(store.tags(&key).await, "is a symbolic link");
            assert_foreign(store.set_tags(&key, &Tags::new()).await, "is a symbolic link");
            assert_foreign(store.delete(&key, None).await, "is a symbolic link");
        }
        let left: Vec<_> = fs::read_dir(&outside)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["file"]);
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"of another");
    }

    #[tokio::test]
    async fn links_in_place_of_the_files_of_the_store_itself_are_refused() {
        let (_folder, store, outside) = store_with_links();
        std::os::unix::fs::symlink(&outside, store.folder.root.join(".objects")).unwrap();
        let put = store.put(&key("a/b"), NewObject::new("new"), &Condition::Any).await;
        assert_foreign(put, ".objects is a symbolic link");
        fs::remove_file(store.folder.root.join(".lock")).unwrap();
        std::os::unix::fs::symlink(outside.join("file"), store.folder.root.join(".lock")).unwrap();
        assert_foreign(store.delete(&key("a/b"), None).await, ".lock is a symbolic link");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn store_whose_folder_is_a_link_is_used() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("disk")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("disk"), folder.path().join("store")).unwrap();
        let store = FolderStore::new(folder.path().join("store"));
        store
            .put(&key("a/b"), NewObject::new("x"), &Condition::Any)
            .await
            .unwrap();
        assert_eq!(store.get(&key("a/b")).await.unwrap().bytes, b"x");
        assert_eq!(store.list("a/").await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn special_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::new(folder.path());
        // A socket takes the place of a named pipe, whose opening would wait for a writer.
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
        assert_eq!(store.list("").await.unwrap(), []);
        assert_foreign(
            store.get(&key("socket")).await,
            "socket is a named pipe, a socket or a device",
        );
    }

    #[tokio::test]
    async fn deletion_leaves_no_empty_folder_and_no_description() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::new(folder.path());
        store
            .put(&key("a/b/c"), NewObject::new("x"), &Condition::Any)
            .await
            .unwrap();
        store
            .put(&key("a/d"), NewObject::new("x"), &Condition::Any)
            .await
            .unwrap();
        store.delete(&key("a/b/c"), None).await.unwrap();
        assert!(!folder.path().join("a/b").exists() && folder.path().join("a/d").exists());
        store.delete(&key("a/d"), None).await.unwrap();
        let left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, [".lock"]);
    }

    #[tokio::test]
    async fn damaged_object_keeps_the_description_that_names_its_checksum() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::new(folder.path());
        let object = NewObject::new("x").described("checksum", "of x");
        store.put(&key("a"), object, &Condition::Any).await.unwrap();
        fs::write(folder.path().join("a"), "y").unwrap();
        let read = store.get(&key("a")).await.unwrap();
        assert_eq!(read.head.metadata.get("checksum").map(String::as_str), Some("of x"));
    }

    #[tokio::test]
    async fn interrupted_replacement_leaves_each_content_with_its_own_description() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::new(folder.path());
        let old = NewObject::new("old").tagged("Tier", "free");
        store.put(&key("a"), old, &Condition::Any).await.unwrap();
        // The process ends after it wrote both descriptions and before it replaced the object.
        let path = folder.path().join(".objects/a.json");
        let mut descriptions = Descriptions::read(&path).unwrap();
        let new = NewObject::new("new").tagged("Tier", "premium");
        descriptions.add(Description::new(&checksum(b"new"), &new));
        fs::write(&path, descriptions.to_bytes(&path).unwrap()).unwrap();
        assert_eq!(store.tags(&key("a")).await.unwrap()["Tier"], "free");
        fs::write(folder.path().join("a"), "new").unwrap();
        assert_eq!(store.tags(&key("a")).await.unwrap()["Tier"], "premium");
    }

    #[tokio::test]
    async fn file_operation_that_fails_names_path_and_reason() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let store = FolderStore::new(folder.path().join("file"));
        let error = store
            .put(&key("a"), NewObject::new("x"), &Condition::Any)
            .await
            .unwrap_err();
        assert!(
            matches!(error, StoreError::Io { .. }) && error.to_string().contains("file"),
            "{error}"
        );
        assert!(store.get(&key("a")).await.unwrap_err().is_not_found());
    }
}
