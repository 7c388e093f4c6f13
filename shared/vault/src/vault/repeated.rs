//! Creations of snapshots that are repeated with the same id, after an interruption.
//!
//! The snapshot of the interrupted one may be whole, and in no list. It is listed then. It is the result of the repeated creation only where
//! it has the same content and is young: else the server may have changed since, and another snapshot is created, with an id of its own.

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Expected, NewSnapshot, Snapshot, Vault};
use crate::catalogue::CatalogueError;
use crate::error::VaultError;
use crate::manifest::{CONFIG_FILE, STATE_FILE, THEME_REGISTRY_FILE};
use crate::paths;
use crate::record::{BackupRecord, RecordKind, StateVersion};
use crate::server::ServerId;

/// Age up to which the snapshot of an interrupted creation can be the result of a repeated one.
const REPEATED_WITHIN: Duration = Duration::HOUR;

/// The result of a creation with an id that an interrupted one may have had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedSnapshot {
    /// The snapshot.
    pub record: BackupRecord,
    /// Whether an interrupted creation stored it, at the time of the record. The server has not changed since.
    pub is_finished: bool,
    /// Snapshots of interrupted creations with another content, or older ones, that were in no list, and are listed now.
    pub listed: Vec<BackupRecord>,
}

/// What interrupted creations with an id left.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// An id that no snapshot has; `None` for a random one.
    pub(super) id: Option<Uuid>,
    /// The snapshot that the repeated creation would create.
    pub(super) same: Option<BackupRecord>,
    /// [`CreatedSnapshot::listed`].
    pub(super) listed: Vec<BackupRecord>,
}

/// What a store has with the id of a snapshot.
enum Stored {
    Nothing,
    Whole {
        record: Box<BackupRecord>,
        is_listed_now: bool,
    },
    /// It is deleted, damaged, or cannot be read with the keys of this machine. It stays as it is.
    Unusable,
}

impl Vault {
    /// What interrupted creations with the id of a new snapshot left. Lists what is whole and in no list.
    pub(super) async fn earlier_snapshots(
        &self,
        new: &NewSnapshot<'_>,
        state: Option<&StateVersion>,
        now: OffsetDateTime,
    ) -> Result<Earlier, VaultError> {
        let mut earlier = Earlier::default();
        let Some(mut id) = new.id else {
            return Ok(earlier);
        };
        loop {
            match self.stored_snapshot(new.server, id, now).await? {
                Stored::Nothing => {
                    earlier.id = Some(id);
                    return Ok(earlier);
                }
                Stored::Whole { record, is_listed_now } => {
                    let is_young = (now - record.created).abs() < REPEATED_WITHIN;
                    if is_young && self.has_content(&record, new, state).await? {
                        earlier.same = Some(*record);
                        return Ok(earlier);
                    }
                    if is_listed_now {
                        earlier.listed.push(*record);
                    }
                }
                Stored::Unusable => {}
            }
            // It follows from the id, so that a further repetition finds this one as well.
            id = Uuid::new_v5(&id, b"again");
        }
    }

    async fn stored_snapshot(&self, server: ServerId, id: Uuid, now: OffsetDateTime) -> Result<Stored, VaultError> {
        match self.parts.catalogue.get(id, Some(server)).await {
            Ok(Some(record)) if record.kind == RecordKind::Snapshot && !record.is_expired(now) => {
                return Ok(Stored::Whole {
                    record: Box::new(record),
                    is_listed_now: false,
                });
            }
            Ok(Some(_)) | Err(CatalogueError::Damaged { .. }) => return Ok(Stored::Unusable),
            Ok(None) => {}
            Err(error) => return Err(error.into()),
        }
        let manifest = paths::manifest(server, id);
        match self.parts.store.head(&manifest).await {
            Ok(_) if self.is_retired(&manifest).await? => return Ok(Stored::Unusable),
            Ok(_) => {}
            Err(error) if error.is_not_found() => return Ok(Stored::Nothing),
            Err(error) => return unusable(error.into()),
        }
        match self.record_of_snapshot(server, id).await {
            Ok(record) => {
                self.insert_whole(&record).await?;
                Ok(Stored::Whole {
                    record: Box::new(record),
                    is_listed_now: true,
                })
            }
            Err(error) => unusable(error),
        }
    }

    /// Whether a snapshot has the content of a new one.
    async fn has_content(
        &self,
        record: &BackupRecord,
        new: &NewSnapshot<'_>,
        state: Option<&StateVersion>,
    ) -> Result<bool, VaultError> {
        let expected = Expected {
            server: new.server,
            lineage: None,
        };
        match self.read_snapshot(record, &expected).await {
            Ok(found) => Ok(is_same(&found, new, state)),
            Err(error) if error.is_unusable() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn unusable(error: VaultError) -> Result<Stored, VaultError> {
    match error.is_unusable() {
        true => Ok(Stored::Unusable),
        false => Err(error),
    }
}

/// Whether a snapshot differs from a new one in nothing but its time and the theme registry.
fn is_same(found: &Snapshot, new: &NewSnapshot<'_>, state: Option<&StateVersion>) -> bool {
    let manifest = &found.manifest;
    let about = (&manifest.state, &manifest.message, &manifest.theme, manifest.counts);
    let wanted = (&state.cloned(), &new.message.map(str::to_owned), &new.theme, new.counts);
    let own = [CONFIG_FILE, STATE_FILE, THEME_REGISTRY_FILE];
    let further = found.files.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    about == wanted
        && manifest.workspace == new.workspace
        && found.state() == new.state
        && further.eq(new.files.iter())
        && without_comments(found.config()).eq(without_comments(new.config))
}

/// The lines of a configuration. Its comments have the time.
fn without_comments(config: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = config.split(|byte| *byte == b'\n');
    lines.filter(|line| !line.starts_with(b"#"))
}
