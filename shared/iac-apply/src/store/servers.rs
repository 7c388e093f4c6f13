//! Markers and locks of Discord servers.
//!
//! The lock of a state prevents two operations in one workspace, but not two workspaces with one server. [`ServerRecords`]
//! prevents that for all workspaces of a user on a machine: a folder for each server contains a lock of the operating system
//! (`lock`, with `lock.json` for readers) and a marker (`owner.json`). The record contains the path of a state
//! file. The caller checks whether that state still manages the server, so a deleted folder or an empty state manages no server.
//!
//! Not covered: workspaces of other users and machines. For those that share a store, [`super::RemoteServers`] keeps the same
//! records in it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::file::{self, failed};
use super::{LockRecord, StoreError};

/// The version of `owner.json` that this gaib writes.
const VERSION: u32 = 1;

/// The markers and locks of the servers of one Discord API.
#[derive(Clone, Debug)]
pub struct ServerRecords {
    root: PathBuf,
}

/// The marker of a server: the workspace that manages it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerMarker {
    /// Version of the format.
    pub version: u32,
    /// Name of the workspace.
    pub workspace: String,
    /// Absolute path of the state file; for a state in an object store, its name there: `s3://bucket/…/state.json`.
    pub state: PathBuf,
    /// For a state in an object store, the folder that contains `.gaib/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Lineage of the state.
    pub lineage: String,
    /// Time of the record.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
}

impl ServerMarker {
    /// A record with the current time.
    #[must_use]
    pub fn new(workspace: impl Into<String>, state: impl Into<PathBuf>, lineage: impl Into<String>) -> Self {
        Self {
            version: VERSION,
            workspace: workspace.into(),
            state: state.into(),
            folder: None,
            lineage: lineage.into(),
            since: OffsetDateTime::now_utc(),
        }
    }

    /// The same marker for a state in an object store, which a workspace of this folder uses.
    #[must_use]
    pub fn in_store_of(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// The folder that contains `.gaib/`; `None` if the state file has another path.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        // {folder}/.gaib/workspaces/{name}/state.json
        self.folder.as_deref().or_else(|| self.state.ancestors().nth(4))
    }

    /// Reads a marker; `path` is its name in errors.
    pub(super) fn from_bytes(guild: u64, path: &Path, bytes: &[u8]) -> Result<Self, StoreError> {
        let unreadable = |reason: String| StoreError::Owner {
            guild,
            path: path.to_owned(),
            reason,
        };
        let owner: Self = serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))?;
        match owner.version {
            VERSION => Ok(owner),
            version => Err(unreadable(format!(
                "it has version {version}, and this gaib reads version {VERSION}; use a newer gaib"
            ))),
        }
    }
}

/// The name of a folder for the servers of the Discord API at `discord` (host and port).
pub(super) fn folder_name(discord: &str) -> String {
    let plain = |sign: char| match sign {
        sign if sign.is_ascii_alphanumeric() => sign,
        '.' | '-' => sign,
        _ => '-',
    };
    let name: String = discord.trim_start_matches('.').chars().map(plain).collect();
    if name.is_empty() { "discord".to_owned() } else { name }
}

impl ServerRecords {
    /// Records in `root` for the servers of the Discord API at `discord` (host and port): an emulator has its own ids.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, discord: &str) -> Self {
        Self {
            root: root.into().join(folder_name(discord)),
        }
    }

    fn folder(&self, guild: u64) -> PathBuf {
        self.root.join(guild.to_string())
    }

    /// The marker of a server; `None` if there is none.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn marker(&self, guild: u64) -> Result<Option<ServerMarker>, StoreError> {
        read_marker(guild, &self.folder(guild).join("owner.json"))
    }

    /// The servers, of any Discord API, whose record contains this state file. Unreadable records are left out.
    #[must_use]
    pub fn servers_of(&self, state: &Path) -> Vec<u64> {
        let below = |folder: &Path| {
            fs::read_dir(folder)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
        };
        let servers = self
            .root
            .parent()
            .into_iter()
            .flat_map(below)
            .flat_map(|discord| below(&discord));
        let owned = servers.filter_map(|folder| {
            let guild = folder.file_name()?.to_str()?.parse().ok()?;
            let owner = read_marker(guild, &folder.join("owner.json")).ok()??;
            (owner.state == state).then_some(guild)
        });
        owned.collect()
    }

    /// Takes the lock of a server for an operation with this record, until the returned value is dropped or the process ends.
    ///
    /// # Errors
    /// [`StoreError::ServerLocked`], with the record of the holder.
    pub fn lock(&self, guild: u64, own: &LockRecord) -> Result<ServerLock, StoreError> {
        let folder = self.folder(guild);
        fs::create_dir_all(&folder).map_err(|source| failed("make", &folder, source))?;
        let record = folder.join("lock.json");
        let Some(system) = file::try_lock(&folder.join("lock"))? else {
            // The holder writes its record after it takes the lock, so there may be none for a moment.
            let held = file::read(&record)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            return Err(StoreError::ServerLocked {
                guild,
                record: held.map(Box::new),
                ends_with_process: true,
            });
        };
        let text = serde_json::to_vec_pretty(own).map_err(|error| failed("write", &record, error.into()))?;
        file::replace(&record, &text)?;
        Ok(ServerLock {
            guild,
            owner: folder.join("owner.json"),
            record,
            system,
        })
    }
}

/// A held lock of a server. Released when dropped.
#[derive(Debug)]
pub struct ServerLock {
    guild: u64,
    owner: PathBuf,
    record: PathBuf,
    system: File,
}

impl ServerLock {
    /// The marker of the server.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn marker(&self) -> Result<Option<ServerMarker>, StoreError> {
        read_marker(self.guild, &self.owner)
    }

    /// Removes the marker.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn release(&self) -> Result<(), StoreError> {
        file::remove(&self.owner)
    }

    /// Writes the marker.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn claim(&self, owner: &ServerMarker) -> Result<(), StoreError> {
        let text = serde_json::to_vec_pretty(owner).map_err(|error| failed("write", &self.owner, error.into()))?;
        file::replace(&self.owner, &text)
    }
}

impl Drop for ServerLock {
    /// The record is removed before the lock, so that the next holder does not find it.
    fn drop(&mut self) {
        let given_back = file::remove(&self.record).map(|()| self.system.unlock());
        if let Err(error) = given_back {
            tracing::warn!(%error, "the lock record of a server could not be removed");
        }
    }
}

fn read_marker(guild: u64, path: &Path) -> Result<Option<ServerMarker>, StoreError> {
    let bytes = file::read(path)?;
    bytes
        .map(|bytes| ServerMarker::from_bytes(guild, path, &bytes))
        .transpose()
}
