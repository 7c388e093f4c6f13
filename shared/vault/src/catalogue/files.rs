//! [`FileCatalogue`]: a file for each record.
//!
//! | path | content |
//! |---|---|
//! | `records/{server}/{kind}/{time}.{id}.json` | a record |
//! | `plans/{server}.json` | plan of a server |
//! | `uses/{server}/{operation}.{begin of the period}.json` | ids of the counted uses |
//! | `.lock` | serialises the writes of all processes |
//!
//! Every file is sealed (`sealed.rs`), so a damaged one is detected. A symbolic link or a special file in place of one is damage; in place of
//! a folder it is refused (`files.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use arrakis_domain::Plan;
use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Catalogue, CatalogueError, Cursor, DamagedRecord, ListRequest, Page, to_second};
use crate::files::{self, FileFailure, LockWait};
use crate::limits::Use;
use crate::paths::time_text;
use crate::record::{BackupRecord, RecordKind, plan_name};
use crate::sealed;
use crate::server::ServerId;

/// A catalogue in a folder, also of several processes of one machine.
#[derive(Clone, Debug)]
pub struct FileCatalogue {
    folder: Folder,
}

impl FileCatalogue {
    /// A catalogue in this folder, which the first write creates.
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
        work: impl FnOnce(Folder) -> Result<T, CatalogueError> + Send + 'static,
    ) -> Result<T, CatalogueError> {
        let folder = self.folder.clone();
        let done = files::blocking(move || work(folder)).await;
        done.unwrap_or_else(|error| Err(failed("use", &self.folder.root, error)))
    }
}

#[async_trait]
impl Catalogue for FileCatalogue {
    fn describe(&self) -> String {
        self.folder.root.display().to_string()
    }

    async fn insert(&self, record: &BackupRecord) -> Result<(), CatalogueError> {
        let record = record.clone();
        self.blocking(move |folder| folder.insert(&record)).await
    }

    async fn get(&self, id: Uuid, server: Option<ServerId>) -> Result<Option<BackupRecord>, CatalogueError> {
        self.blocking(move |folder| folder.get(id, server)).await
    }

    async fn list(&self, request: &ListRequest) -> Result<Page, CatalogueError> {
        let request = request.clone();
        self.blocking(move |folder| folder.list(&request)).await
    }

    async fn delete(&self, record: &BackupRecord) -> Result<(), CatalogueError> {
        let record = record.clone();
        self.blocking(move |folder| folder.delete(&record)).await
    }

    async fn set_expiry(&self, record: &BackupRecord, expires: Option<OffsetDateTime>) -> Result<(), CatalogueError> {
        let record = record.clone();
        self.blocking(move |folder| folder.set_expiry(&record, expires)).await
    }

    async fn take(&self, wanted: &Use) -> Result<bool, CatalogueError> {
        let wanted = wanted.clone();
        self.blocking(move |folder| folder.take(&wanted)).await
    }

    async fn give_back(&self, taken: &Use) -> Result<(), CatalogueError> {
        let taken = taken.clone();
        self.blocking(move |folder| folder.give_back(&taken)).await
    }

    async fn plan(&self, server: ServerId) -> Result<Plan, CatalogueError> {
        self.blocking(move |folder| folder.plan(server)).await
    }

    async fn set_plan(&self, server: ServerId, plan: Plan) -> Result<(), CatalogueError> {
        self.blocking(move |folder| folder.set_plan(server, plan)).await
    }

    async fn servers(&self) -> Result<Vec<ServerId>, CatalogueError> {
        self.blocking(|folder| folder.servers()).await
    }
}

/// The file operations, which block.
#[derive(Clone, Debug)]
struct Folder {
    root: PathBuf,
    wait: LockWait,
}

/// Content of the file of a plan.
const PLAN: &str = "plan";

impl Folder {
    fn lock(&self) -> Result<files::FolderLock, CatalogueError> {
        files::lock(&self.root, &self.wait).map_err(|error| failed("lock", &self.root, error))
    }

    fn records(&self, server: ServerId, kind: RecordKind) -> PathBuf {
        self.root.join("records").join(server.to_string()).join(kind.as_str())
    }

    fn path(&self, record: &BackupRecord) -> PathBuf {
        let name = format!("{}.json", Cursor::of(record));
        self.records(record.server, record.kind).join(name)
    }

    fn insert(&self, record: &BackupRecord) -> Result<(), CatalogueError> {
        let _lock = self.lock()?;
        let path = self.path(record);
        // One that is not of this kind, server and id is damaged, and no other record.
        match self.read_record(&path, record.server, record.kind)? {
            None => self.write(&path, record),
            Some(present) if present == *record => Ok(()),
            Some(_) => Err(CatalogueError::Exists { item: name(&path) }),
        }
    }

    fn get(&self, id: Uuid, server: Option<ServerId>) -> Result<Option<BackupRecord>, CatalogueError> {
        let end = format!(".{id}.json");
        let servers = match server {
            Some(server) => vec![server],
            None => self.servers()?,
        };
        for server in servers {
            for kind in [RecordKind::Backup, RecordKind::Snapshot] {
                let folder = self.records(server, kind);
                let found = self.names(&folder)?.into_iter().find(|file| file.ends_with(&end));
                if let Some(file) = found {
                    return self.read_record(&folder.join(file), server, kind);
                }
            }
        }
        Ok(None)
    }

    fn list(&self, request: &ListRequest) -> Result<Page, CatalogueError> {
        let folder = self.records(request.server, request.kind);
        let mut page = Page::default();
        for file in self.names(&folder)?.into_iter().rev() {
            let Some(position) = file.strip_suffix(".json") else {
                continue;
            };
            let is_after = request.after.as_ref().is_none_or(|after| position < after.as_str());
            if !is_after {
                continue;
            }
            match self.read_record(&folder.join(&file), request.server, request.kind) {
                // Deleted meanwhile.
                Ok(None) => {}
                Ok(Some(record)) if request.now.is_some_and(|now| record.is_expired(now)) => {}
                Ok(Some(_)) if page.records.len() >= request.limit => {
                    page.next = page.records.last().map(Cursor::of);
                    return Ok(page);
                }
                Ok(Some(record)) => page.records.push(record),
                Err(CatalogueError::Damaged { item, reason }) => {
                    page.damaged.push(DamagedRecord {
                        kind: request.kind,
                        id: position.rsplit_once('.').and_then(|(_, id)| id.parse().ok()),
                        object: item,
                        reason,
                    });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(page)
    }

    fn delete(&self, record: &BackupRecord) -> Result<(), CatalogueError> {
        let _lock = self.lock()?;
        let path = self.path(record);
        files::remove(&self.root, &path).map_err(|error| failed("delete", &path, error))
    }

    fn set_expiry(&self, record: &BackupRecord, expires: Option<OffsetDateTime>) -> Result<(), CatalogueError> {
        let _lock = self.lock()?;
        let path = self.path(record);
        let present = self.read_record(&path, record.server, record.kind)?;
        let mut present = present.ok_or_else(|| CatalogueError::NotFound { item: name(&path) })?;
        present.expires = expires.map(to_second);
        self.write(&path, &present)
    }

    fn uses_path(&self, counted: &Use) -> PathBuf {
        let name = format!("{}.{}.json", counted.operation.as_str(), time_text(counted.begin));
        self.root.join("uses").join(counted.server.to_string()).join(name)
    }

    fn take(&self, wanted: &Use) -> Result<bool, CatalogueError> {
        let _lock = self.lock()?;
        let path = self.uses_path(wanted);
        let mut uses: BTreeSet<Uuid> = self.read(&path)?.unwrap_or_default();
        if uses.contains(&wanted.id) {
            return Ok(true);
        }
        if uses.len() >= wanted.limit.uses as usize {
            return Ok(false);
        }
        uses.insert(wanted.id);
        self.write(&path, &uses)?;
        Ok(true)
    }

    fn give_back(&self, taken: &Use) -> Result<(), CatalogueError> {
        let _lock = self.lock()?;
        let path = self.uses_path(taken);
        let mut uses: BTreeSet<Uuid> = self.read(&path)?.unwrap_or_default();
        if uses.remove(&taken.id) {
            self.write(&path, &uses)
        } else {
            Ok(())
        }
    }

    fn plan_path(&self, server: ServerId) -> PathBuf {
        self.root.join("plans").join(format!("{server}.json"))
    }

    fn plan(&self, server: ServerId) -> Result<Plan, CatalogueError> {
        let path = self.plan_path(server);
        let Some(content) = self.read::<BTreeMap<String, String>>(&path)? else {
            return Ok(Plan::Free);
        };
        let plan = content.get(PLAN).and_then(|plan| plan_name::parse(plan));
        plan.ok_or_else(|| damaged(&path, "it names no plan"))
    }

    fn set_plan(&self, server: ServerId, plan: Plan) -> Result<(), CatalogueError> {
        let _lock = self.lock()?;
        self.write(&self.plan_path(server), &BTreeMap::from([(PLAN, plan.as_str())]))
    }

    fn servers(&self) -> Result<Vec<ServerId>, CatalogueError> {
        let folder = self.root.join("records");
        let mut servers = Vec::new();
        for server in self
            .names(&folder)?
            .iter()
            .filter_map(|name| name.parse::<ServerId>().ok())
        {
            for kind in [RecordKind::Backup, RecordKind::Snapshot] {
                if !self.names(&self.records(server, kind))?.is_empty() {
                    servers.push(server);
                    break;
                }
            }
        }
        servers.sort_unstable();
        Ok(servers)
    }

    /// The names in a folder, sorted, without those that begin with a dot.
    fn names(&self, folder: &Path) -> Result<Vec<String>, CatalogueError> {
        files::check(&self.root, folder).map_err(|error| failed("list", folder, error))?;
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if files::is_absent(&error) => return Ok(Vec::new()),
            Err(error) => return Err(failed("list", folder, error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| failed("list", folder, error))?;
            let name = entry.file_name().into_string().ok();
            names.extend(name.filter(|name| !name.starts_with('.')));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// A sealed file; `None` where there is none.
    fn read<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, CatalogueError> {
        if let Err(error) = files::check(&self.root, path) {
            return Err(match files::foreign(&error) {
                Some(foreign) => damaged(path, &foreign.to_string()),
                None => failed("read", path, error),
            });
        }
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if files::is_absent(&error) => return Ok(None),
            Err(error) => return Err(failed("read", path, error)),
        };
        match sealed::open(&bytes) {
            Ok(content) => Ok(Some(content)),
            Err(damage) => Err(damaged(path, &damage.to_string())),
        }
    }

    /// A record, which must be the one that its path names.
    fn read_record(
        &self,
        path: &Path,
        server: ServerId,
        kind: RecordKind,
    ) -> Result<Option<BackupRecord>, CatalogueError> {
        let Some(record) = self.read::<BackupRecord>(path)? else {
            return Ok(None);
        };
        let is_named = path
            .file_stem()
            .is_some_and(|stem| stem == Cursor::of(&record).as_str());
        if record.server == server && record.kind == kind && is_named {
            return Ok(Some(record));
        }
        let reason = format!(
            "it is the record of the {} {} of server {}",
            record.kind, record.id, record.server
        );
        Err(damaged(path, &reason))
    }

    fn write<T: Serialize>(&self, path: &Path, content: &T) -> Result<(), CatalogueError> {
        let bytes = sealed::seal(content).map_err(|error| CatalogueError::Refused {
            operation: "write",
            item: name(path),
            reason: error.to_string(),
        })?;
        files::replace(&self.root, path, &bytes).map_err(|error| failed("write", path, error))
    }
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

fn damaged(path: &Path, reason: &str) -> CatalogueError {
    CatalogueError::Damaged {
        item: name(path),
        reason: reason.to_owned(),
    }
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> CatalogueError {
    let item = name(path);
    match FileFailure::from(source) {
        FileFailure::LockHeld(reason) => CatalogueError::LockHeld { item, reason },
        FileFailure::Foreign(reason) => CatalogueError::Refused {
            operation,
            item,
            reason,
        },
        FileFailure::Io(source) => CatalogueError::Io {
            operation,
            item,
            source,
        },
    }
}
