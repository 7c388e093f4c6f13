//! Stores states in an object store that several machines share: `workspaces/{name}/state.json`, with `state.json.backup` and
//! `workspace.json` beside it, and markers and locks of servers below `servers/`.
//!
//! A lock is a record that is created only where there is none ([`LockTable`]). It does not end with its process: one that was
//! left is removed by `force-unlock` and by nothing else. Should it be removed too early, two operations still do not both
//! succeed: each write of a state requires the version that was read under the lock. An apply writes the state before each
//! creation, so the operation that lost stops before it creates anything.

#[cfg(feature = "aws")]
mod dynamo;
mod guard;
mod locks;
mod servers;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrakis_vault::store::{ListedObject, ObjectHead, Version};
use arrakis_vault::{Condition, NewObject, Object, ObjectKey, ObjectStore, StoreError as ObjectError};
use async_trait::async_trait;
use serde_json::json;
use tokio::sync::OnceCell;

use super::{Backend, HeldLock, LockHolder, LockRecord, StateLock, StoreError, WorkspaceName, selection};
use guard::RemoteLock;

#[cfg(feature = "aws")]
pub use dynamo::DynamoLocks;
pub use locks::{LockTable, ObjectLocks};
pub use servers::{RemoteServerLock, RemoteServers};

const WORKSPACES: &str = "workspaces/";
/// How often a lock is requested whose holder releases it between a request and the read of its record.
const LOCK_ATTEMPTS: u32 = 3;

/// The store in an object store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RemoteStore {
    objects: Arc<dyn ObjectStore>,
    locks: Arc<dyn LockTable>,
    /// `.gaib` of this folder: the selected workspace, and locks of the operating system by which running operations are found.
    folder: PathBuf,
    host: String,
    checked: Arc<OnceCell<()>>,
}

impl RemoteStore {
    /// A store in `objects`, in which locks are objects, too. `folder` is `.gaib` in the folder of the configuration, `host` the
    /// name of this machine.
    #[must_use]
    pub fn new(objects: Arc<dyn ObjectStore>, folder: impl Into<PathBuf>, host: impl Into<String>) -> Self {
        Self {
            locks: Arc::new(ObjectLocks::new(Arc::clone(&objects))),
            objects,
            folder: folder.into(),
            host: host.into(),
            checked: Arc::default(),
        }
    }

    /// The same store with the locks of its workspaces in another table.
    #[must_use]
    pub fn with_locks(mut self, locks: Arc<dyn LockTable>) -> Self {
        self.locks = locks;
        self
    }

    /// Markers and locks of the servers of the Discord API at `discord` (host and port), in the same store.
    #[must_use]
    pub fn servers(&self, discord: &str) -> RemoteServers {
        RemoteServers::new(self.clone(), discord)
    }

    /// Verifies once that the store honours conditions: on one that ignores them, a lock has no effect.
    async fn check(&self) -> Result<(), StoreError> {
        self.checked.get_or_try_init(|| self.objects.check()).await?;
        Ok(())
    }

    /// Refuses a workspace that has no objects.
    async fn require(&self, workspace: &WorkspaceName) -> Result<(), StoreError> {
        if *workspace == WorkspaceName::default() || !self.objects_of(workspace).await?.is_empty() {
            Ok(())
        } else {
            Err(StoreError::NoWorkspace(workspace.clone()))
        }
    }

    async fn objects_of(&self, workspace: &WorkspaceName) -> Result<Vec<ListedObject>, StoreError> {
        Ok(self.objects.list(&format!("{WORKSPACES}{workspace}/")).await?)
    }

    /// Takes the lock, and reads the version of the state under it.
    async fn acquire(&self, workspace: &WorkspaceName, record: LockRecord) -> Result<RemoteLock, StoreError> {
        self.require(workspace).await?;
        self.check().await?;
        let name = lock_name(workspace);
        let mut attempt = 1;
        loop {
            match self.locks.create(&name, &record).await {
                Ok(true) => break,
                Ok(false) => match self.locked(workspace).await? {
                    // The holder has released it meanwhile.
                    None if attempt < LOCK_ATTEMPTS => attempt += 1,
                    None => return Err(StoreError::LockWithoutRecord(workspace.clone())),
                    Some(locked) => return Err(locked),
                },
                Err(error) => {
                    let removed = self.locks.remove(&name, &record.id).await;
                    return Err(not_taken(
                        error,
                        removed.is_ok(),
                        &format!("workspace {workspace}"),
                        &record,
                    ));
                }
            }
        }
        match self.version(workspace).await {
            Ok(version) => Ok(RemoteLock::new(self.clone(), workspace.clone(), record, version)),
            Err(error) => {
                self.locks.remove(&name, &record.id).await?;
                Err(error)
            }
        }
    }

    /// The error for a lock that another operation holds; `None` where there is none any more.
    async fn locked(&self, workspace: &WorkspaceName) -> Result<Option<StoreError>, StoreError> {
        let held = self.locks.read(&lock_name(workspace)).await?;
        Ok(held.map(|record| StoreError::Locked {
            workspace: workspace.clone(),
            alive: self.is_running(workspace, &record),
            record: Box::new(record),
        }))
    }

    /// Whether the holder of a lock is running in this folder on this machine. It is not known for others.
    fn is_running(&self, workspace: &WorkspaceName, record: &LockRecord) -> bool {
        let is_of_this_machine = record.host == self.host && record.process.is_some();
        is_of_this_machine && matches!(super::file::try_lock(&self.system_lock(workspace)), Ok(None))
    }

    /// The file with the lock of the operating system that a running operation of this folder holds.
    fn system_lock(&self, workspace: &WorkspaceName) -> PathBuf {
        self.folder.join("locks").join(workspace.as_str())
    }

    /// The version of the state; `None` if there is none.
    async fn version(&self, workspace: &WorkspaceName) -> Result<Option<Version>, StoreError> {
        let head = self.objects.head(&key(workspace, "state.json")?).await;
        Ok(found(head)?.map(|head: ObjectHead| head.version))
    }

    async fn get(&self, workspace: &WorkspaceName, file: &str) -> Result<Option<Object>, StoreError> {
        found(self.objects.get(&key(workspace, file)?).await)
    }
}

/// The value; `None` if there is no such object.
fn found<T>(result: Result<T, ObjectError>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn object_key(text: String) -> Result<ObjectKey, StoreError> {
    ObjectKey::new(text).map_err(|error| StoreError::Backend(error.to_string()))
}

/// The key of a file of a workspace. Names of workspaces are valid in keys.
fn key(workspace: &WorkspaceName, file: &str) -> Result<ObjectKey, StoreError> {
    object_key(format!("{WORKSPACES}{workspace}/{file}"))
}

/// The name of the lock of a workspace in a [`LockTable`].
fn lock_name(workspace: &WorkspaceName) -> String {
    format!("{WORKSPACES}{workspace}/lock.json")
}

/// The error of a request for a lock, after the attempt to remove the record: the request may have taken effect.
fn not_taken(error: StoreError, is_removed: bool, of: &str, record: &LockRecord) -> StoreError {
    if is_removed || !error.is_outcome_unknown() {
        return error;
    }
    StoreError::LockMayStay {
        of: of.to_owned(),
        id: record.id.clone(),
        reason: error.to_string(),
    }
}

/// The error for a lock with another id than the given one.
fn other_lock(workspace: &WorkspaceName, held: LockRecord, asked: &str) -> StoreError {
    StoreError::OtherLock {
        workspace: workspace.clone(),
        held: held.id,
        asked: asked.to_owned(),
    }
}

#[async_trait]
impl Backend for RemoteStore {
    fn describe(&self, workspace: &WorkspaceName) -> String {
        self.objects.describe(&format!("{WORKSPACES}{workspace}/state.json"))
    }

    async fn read(&self, workspace: &WorkspaceName) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.get(workspace, "state.json").await?.map(|object| object.bytes))
    }

    async fn read_previous(&self, workspace: &WorkspaceName) -> Result<Option<Vec<u8>>, StoreError> {
        let previous = self.get(workspace, "state.json.backup").await?;
        Ok(previous.map(|object| object.bytes))
    }

    async fn lock_as(&self, workspace: &WorkspaceName, record: LockRecord) -> Result<Box<dyn StateLock>, StoreError> {
        let mut lock = self.acquire(workspace, record).await?;
        lock.hold_system_lock().await;
        Ok(Box::new(lock))
    }

    async fn lock_permanently(&self, workspace: &WorkspaceName, holder: &LockHolder) -> Result<LockRecord, StoreError> {
        Ok(self.acquire(workspace, LockRecord::permanent(holder)).await?.keep())
    }

    async fn held(&self, workspace: &WorkspaceName) -> Result<Option<HeldLock>, StoreError> {
        let record = self.locks.read(&lock_name(workspace)).await?;
        Ok(record.map(|record| HeldLock {
            alive: self.is_running(workspace, &record),
            record,
        }))
    }

    async fn unlock(&self, workspace: &WorkspaceName, id: &str, force: bool) -> Result<LockRecord, StoreError> {
        let name = lock_name(workspace);
        let held = self.locks.read(&name).await?;
        let Some(record) = held.clone().filter(|record| record.id == id) else {
            // An operation of another workspace may have left the lock of a server.
            if force && let Some(record) = servers::remove_locks(self, id).await? {
                return Ok(record);
            }
            return Err(match held {
                Some(held) => other_lock(workspace, held, id),
                None => StoreError::NotLocked(workspace.clone()),
            });
        };
        if self.is_running(workspace, &record) {
            return Err(StoreError::Alive(Box::new(record)));
        }
        if record.process.is_some() && !force {
            return Err(StoreError::OfAnOperation(Box::new(record)));
        }
        if force {
            servers::remove_locks(self, id).await?;
        }
        match self.locks.remove(&name, id).await? {
            true => Ok(record),
            false => Err(StoreError::NotLocked(workspace.clone())),
        }
    }

    async fn remove_unreadable_locks(&self, workspace: &WorkspaceName) -> Result<Vec<String>, StoreError> {
        let name = lock_name(workspace);
        let mut removed = servers::remove_unreadable_locks(self).await?;
        if self.locks.remove_unreadable(&name).await? {
            removed.push(name);
        }
        Ok(removed)
    }

    async fn workspaces(&self) -> Result<Vec<WorkspaceName>, StoreError> {
        let mut names = BTreeSet::from([WorkspaceName::default()]);
        for object in self.objects.list(WORKSPACES).await? {
            let below = object.key.as_str().strip_prefix(WORKSPACES);
            let name = below.and_then(|below| below.split_once('/')).map(|(name, _)| name);
            names.extend(name.and_then(|name| name.parse().ok()));
        }
        Ok(names.into_iter().collect())
    }

    async fn create_workspace(&self, workspace: &WorkspaceName) -> Result<(), StoreError> {
        self.check().await?;
        if !self.objects_of(workspace).await?.is_empty() {
            return Err(StoreError::WorkspaceExists(workspace.clone()));
        }
        // An object store has no folders: this object makes the workspace exist before it has a state.
        let text = json!({ "version": 1, "name": workspace.as_str() }).to_string();
        let created = self
            .objects
            .put(
                &key(workspace, "workspace.json")?,
                NewObject::new(text.into_bytes()),
                &Condition::Absent,
            )
            .await;
        match created {
            Ok(_) => Ok(()),
            Err(error) if error.is_condition_failed() => Err(StoreError::WorkspaceExists(workspace.clone())),
            Err(error) => Err(error.into()),
        }
    }

    async fn delete_workspace(&self, workspace: &WorkspaceName) -> Result<(), StoreError> {
        if self.objects_of(workspace).await?.is_empty() {
            return Err(StoreError::NoWorkspace(workspace.clone()));
        }
        let holder = LockHolder {
            who: "gaib".to_owned(),
            host: self.host.clone(),
            operation: "workspace delete".to_owned(),
        };
        let lock = self.acquire(workspace, LockRecord::of_this_process(&holder)).await?;
        let deleted = self.delete_objects(workspace).await;
        let released = Box::new(lock).release().await;
        deleted.and(released)
    }

    async fn chosen(&self) -> Result<Option<WorkspaceName>, StoreError> {
        selection::chosen(&self.folder)
    }

    async fn select(&self, workspace: &WorkspaceName) -> Result<(), StoreError> {
        self.require(workspace).await?;
        selection::select(&self.folder, workspace)
    }
}

impl RemoteStore {
    /// Removes a workspace that has been created and not used: it has neither a state nor a lock. Any other workspace stays.
    pub async fn remove_unused(&self, workspace: &WorkspaceName) {
        let Ok(own) = key(workspace, "workspace.json") else {
            return;
        };
        let is_unused = match (
            self.objects_of(workspace).await,
            self.locks.read(&lock_name(workspace)).await,
        ) {
            (Ok(objects), Ok(None)) => objects.iter().all(|object| object.key == own),
            _ => false,
        };
        if is_unused {
            let _ = self.objects.delete(&own, None).await;
        }
    }

    /// Deletes all objects of a workspace but its lock, which the caller holds and releases.
    async fn delete_objects(&self, workspace: &WorkspaceName) -> Result<(), StoreError> {
        let lock = lock_name(workspace);
        for object in self.objects_of(workspace).await? {
            if object.key.as_str() != lock {
                self.objects.delete(&object.key, None).await?;
            }
        }
        Ok(())
    }

    /// The name of an object as a path, for errors and markers.
    fn path_of(&self, key: &str) -> PathBuf {
        Path::new(&self.objects.describe(key)).to_owned()
    }
}
