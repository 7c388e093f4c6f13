//! The lock of a workspace in an object store.

use std::fs::{self, File};
use std::time::Duration;

use arrakis_vault::store::Version;
use arrakis_vault::{Condition, NewObject, Object, StoreError as ObjectError};
use async_trait::async_trait;
use time::OffsetDateTime;

use super::{RemoteStore, key, lock_name};
use crate::store::lock::time_stamp;
use crate::store::{Backend as _, LockRecord, SetAside, StateLock, StoreError, WorkspaceName, file};

/// How often the lock of the operating system is tried. A command that checks whether an operation runs holds it for a moment.
const SYSTEM_LOCK_ATTEMPTS: u32 = 5;

/// A held lock. Every write of the state requires the version that was read under it.
#[derive(Debug)]
pub(super) struct RemoteLock {
    store: RemoteStore,
    workspace: WorkspaceName,
    record: LockRecord,
    /// Version of the state; `None` if there is none.
    version: Option<Version>,
    /// The lock of the operating system, until the file is closed.
    system: Option<File>,
    kept_previous: bool,
    given_back: bool,
}

impl RemoteLock {
    pub(super) fn new(
        store: RemoteStore,
        workspace: WorkspaceName,
        record: LockRecord,
        version: Option<Version>,
    ) -> Self {
        Self {
            store,
            workspace,
            record,
            version,
            system: None,
            kept_previous: false,
            given_back: false,
        }
    }

    /// Takes the lock of the operating system, by which another command of this folder finds that the operation is running. In a
    /// folder that cannot be written, it is not found.
    pub(super) async fn hold_system_lock(&mut self) {
        let path = self.store.system_lock(&self.workspace);
        let _ = path.parent().map(fs::create_dir_all);
        for _ in 0..SYSTEM_LOCK_ATTEMPTS {
            match file::try_lock(&path) {
                Ok(None) => tokio::time::sleep(Duration::from_millis(10)).await,
                other => {
                    self.system = other.ok().flatten();
                    return;
                }
            }
        }
    }

    /// Keeps the lock after the value is dropped.
    pub(super) fn keep(mut self) -> LockRecord {
        self.given_back = true;
        self.record.clone()
    }

    fn changed(&self) -> StoreError {
        StoreError::StateChanged {
            state: self.store.describe(&self.workspace),
        }
    }

    /// The state in the version that was read under the lock.
    async fn current(&self) -> Result<Option<Object>, StoreError> {
        let object = self.store.get(&self.workspace, "state.json").await?;
        match object.as_ref().map(|object| &object.head.version) == self.version.as_ref() {
            true => Ok(object),
            false => Err(self.changed()),
        }
    }

    /// Saves the current state as the backup, once for each operation: the backup is the state before an apply, not before its
    /// last step.
    async fn keep_previous(&mut self) -> Result<(), StoreError> {
        if self.kept_previous {
            return Ok(());
        }
        if let Some(object) = self.current().await? {
            let backup = key(&self.workspace, "state.json.backup")?;
            let copy = NewObject::new(object.bytes);
            self.store.objects.put(&backup, copy, &Condition::Any).await?;
        }
        self.kept_previous = true;
        Ok(())
    }

    fn refused(&self, error: ObjectError) -> StoreError {
        match error.is_condition_failed() {
            true => self.changed(),
            false => error.into(),
        }
    }

    async fn release_lock(&mut self) -> Result<(), StoreError> {
        if self.given_back {
            return Ok(());
        }
        self.given_back = true;
        let removed = self
            .store
            .locks
            .remove(&lock_name(&self.workspace), &self.record.id)
            .await;
        self.system = None;
        match removed? {
            true => Ok(()),
            false => Err(StoreError::LockLost {
                workspace: self.workspace.clone(),
                id: self.record.id.clone(),
            }),
        }
    }
}

impl Drop for RemoteLock {
    /// Removes the record in the background, where a runtime is left for it. Callers release the lock themselves.
    fn drop(&mut self) {
        if self.given_back {
            return;
        }
        let (locks, name, id) = (
            self.store.locks.clone(),
            lock_name(&self.workspace),
            self.record.id.clone(),
        );
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move {
                if let Err(error) = locks.remove(&name, &id).await {
                    tracing::warn!(%error, lock.id = %id, "a lock could not be released");
                }
            })),
            Err(_) => tracing::warn!(lock.id = %id, "a lock was not released"),
        }
    }
}

#[async_trait]
impl StateLock for RemoteLock {
    fn record(&self) -> &LockRecord {
        &self.record
    }

    fn left_behind(&self) -> Option<&LockRecord> {
        None
    }

    async fn set_aside(&mut self, reason: SetAside) -> Result<Option<String>, StoreError> {
        let Some(object) = self.current().await? else {
            return Ok(None);
        };
        let name = format!("state.json.{reason}-{}", time_stamp(OffsetDateTime::now_utc()));
        let aside = key(&self.workspace, &name)?;
        let objects = &self.store.objects;
        objects
            .put(&aside, NewObject::new(object.bytes), &Condition::Absent)
            .await?;
        let state = key(&self.workspace, "state.json")?;
        let deleted = objects.delete(&state, Some(&object.head.version)).await;
        deleted.map_err(|error| self.refused(error))?;
        let name = objects.describe(aside.as_str());
        self.version = None;
        Ok(Some(name))
    }

    async fn write(&mut self, state: &[u8]) -> Result<(), StoreError> {
        self.keep_previous().await?;
        let condition = self.version.clone().map_or(Condition::Absent, Condition::Version);
        let key = key(&self.workspace, "state.json")?;
        let written = self.store.objects.put(&key, NewObject::new(state), &condition).await;
        self.version = Some(written.map_err(|error| self.refused(error))?);
        Ok(())
    }

    async fn release(mut self: Box<Self>) -> Result<(), StoreError> {
        self.release_lock().await
    }
}
