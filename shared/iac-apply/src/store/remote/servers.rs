//! Markers and locks of Discord servers in an object store: `servers/{Discord's host}/{server}/owner.json` and `lock.json`.
//!
//! They cover all machines that use the store, as [`crate::store::ServerRecords`] covers the folders of a user on one machine.

use std::path::Path;

use arrakis_vault::{Condition, NewObject, ObjectKey};

use super::{LockTable as _, ObjectLocks, RemoteStore, found, not_taken, object_key};
use crate::store::servers::folder_name;
use crate::store::{LockRecord, ServerMarker, StoreError};

const SERVERS: &str = "servers/";
const OWNER: &str = "owner.json";
const LOCK: &str = "lock.json";

/// The markers and locks of the servers of one Discord API.
#[derive(Clone, Debug)]
pub struct RemoteServers {
    store: RemoteStore,
    discord: String,
}

impl RemoteServers {
    pub(super) fn new(store: RemoteStore, discord: &str) -> Self {
        Self {
            store,
            discord: folder_name(discord),
        }
    }

    fn key(&self, guild: u64, file: &str) -> Result<ObjectKey, StoreError> {
        object_key(format!("{SERVERS}{}/{guild}/{file}", self.discord))
    }

    /// The marker of a server; `None` if there is none.
    ///
    /// # Errors
    /// The store or the marker cannot be read.
    pub async fn marker(&self, guild: u64) -> Result<Option<ServerMarker>, StoreError> {
        let key = self.key(guild, OWNER)?;
        let object = found(self.store.objects.get(&key).await)?;
        object
            .map(|object| ServerMarker::from_bytes(guild, &self.store.path_of(key.as_str()), &object.bytes))
            .transpose()
    }

    /// The servers of this Discord API whose marker contains this state. Unreadable markers are left out.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn servers_of(&self, state: &Path) -> Result<Vec<u64>, StoreError> {
        let prefix = format!("{SERVERS}{}/", self.discord);
        let mut servers = Vec::new();
        for object in self.store.objects.list(&prefix).await? {
            let below = object.key.as_str().strip_prefix(&prefix);
            let server = below.and_then(|below| below.strip_suffix(OWNER)?.strip_suffix('/'));
            let Some(guild) = server.and_then(|server| server.parse().ok()) else {
                continue;
            };
            let marker = self.marker(guild).await.ok().flatten();
            servers.extend(marker.filter(|marker| marker.state == state).map(|_| guild));
        }
        Ok(servers)
    }

    /// Takes the lock of a server for the operation that holds this lock of its workspace.
    ///
    /// # Errors
    /// [`StoreError::ServerLocked`], with the record of the holder.
    pub async fn lock(&self, guild: u64, record: &LockRecord) -> Result<RemoteServerLock, StoreError> {
        self.store.check().await?;
        let locks = ObjectLocks::new(self.store.objects.clone());
        let name = self.key(guild, LOCK)?.as_str().to_owned();
        match locks.create(&name, record).await {
            Ok(true) => Ok(RemoteServerLock {
                servers: self.clone(),
                guild,
                name,
                id: record.id.clone(),
            }),
            Ok(false) => Err(StoreError::ServerLocked {
                guild,
                record: locks.read(&name).await?.map(Box::new),
                ends_with_process: false,
            }),
            Err(error) => {
                let removed = locks.remove(&name, &record.id).await;
                Err(not_taken(error, removed.is_ok(), &format!("server {guild}"), record))
            }
        }
    }
}

/// A held lock of a server. [`RemoteServerLock::unlock`] releases it.
#[derive(Debug)]
#[must_use]
pub struct RemoteServerLock {
    servers: RemoteServers,
    guild: u64,
    name: String,
    id: String,
}

impl RemoteServerLock {
    /// The marker of the server.
    ///
    /// # Errors
    /// The store or the marker cannot be read.
    pub async fn marker(&self) -> Result<Option<ServerMarker>, StoreError> {
        self.servers.marker(self.guild).await
    }

    /// Removes the marker.
    ///
    /// # Errors
    /// The object cannot be deleted.
    pub async fn release(&self) -> Result<(), StoreError> {
        let key = self.servers.key(self.guild, OWNER)?;
        Ok(self.servers.store.objects.delete(&key, None).await?)
    }

    /// Writes the marker.
    ///
    /// # Errors
    /// The object cannot be written.
    pub async fn claim(&self, owner: &ServerMarker) -> Result<(), StoreError> {
        let key = self.servers.key(self.guild, OWNER)?;
        let text = serde_json::to_vec_pretty(owner).map_err(|error| StoreError::Backend(error.to_string()))?;
        let objects = &self.servers.store.objects;
        objects.put(&key, NewObject::new(text), &Condition::Any).await?;
        Ok(())
    }

    /// Releases the lock. One that `force-unlock` has removed is left as it is.
    ///
    /// # Errors
    /// The object cannot be deleted.
    pub async fn unlock(self) -> Result<(), StoreError> {
        let locks = ObjectLocks::new(self.servers.store.objects.clone());
        locks.remove(&self.name, &self.id).await?;
        Ok(())
    }
}

/// Removes the records of locks of servers that cannot be read. Returns their names.
pub(super) async fn remove_unreadable_locks(store: &RemoteStore) -> Result<Vec<String>, StoreError> {
    let locks = ObjectLocks::new(store.objects.clone());
    let mut removed = Vec::new();
    for object in store.objects.list(SERVERS).await? {
        let name = object.key.as_str();
        if name.ends_with(&format!("/{LOCK}")) && locks.remove_unreadable(name).await? {
            removed.push(name.to_owned());
        }
    }
    Ok(removed)
}

/// Removes the locks of servers with this id. Returns the record of one.
pub(super) async fn remove_locks(store: &RemoteStore, id: &str) -> Result<Option<LockRecord>, StoreError> {
    let locks = ObjectLocks::new(store.objects.clone());
    let mut removed = None;
    for object in store.objects.list(SERVERS).await? {
        let name = object.key.as_str();
        if !name.ends_with(&format!("/{LOCK}")) {
            continue;
        }
        // A damaged record is reported to the command that needs the lock.
        let Ok(Some(record)) = locks.read(name).await else {
            continue;
        };
        if record.id == id && locks.remove(name, id).await? {
            removed = Some(record);
        }
    }
    Ok(removed)
}
