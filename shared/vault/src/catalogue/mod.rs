//! Catalogues: [`Catalogue`] and its implementations.
//!
//! A catalogue lists backups and snapshots, holds the plan of each server, and counts the uses of limited operations.
//! [`FileCatalogue`] keeps a file for each record, `DynamoCatalogue` an item in a table. A new catalogue implements the trait and runs
//! the conformance suite in `tests/it/conformance/catalogue.rs`.

#[cfg(feature = "aws")]
mod dynamo;
mod error;
mod files;
mod hooked;

use std::fmt::{self, Debug};
use std::str::FromStr;

use arrakis_domain::Plan;
use async_trait::async_trait;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::limits::Use;
use crate::paths::time_text;
use crate::record::{BackupRecord, RecordKind};
use crate::server::ServerId;

#[cfg(feature = "aws")]
pub use dynamo::DynamoCatalogue;
pub use error::CatalogueError;
pub use files::FileCatalogue;
pub use hooked::{CatalogueHook, HookedCatalogue, RecordWrite};

/// A position in a list: the record after which the next page begins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(String);

/// The text is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a position in a list; use the one that the list before it ended with")]
pub struct CursorError;

impl Cursor {
    /// The position of a record.
    #[must_use]
    pub fn of(record: &BackupRecord) -> Self {
        Self(position(record.created, record.id))
    }

    /// The text, `{time}.{id}`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let good = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
        if good && !text.is_empty() && text.len() <= 100 {
            Ok(Self(text.to_owned()))
        } else {
            Err(CursorError)
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Time and id of a record: sorts records by time, and those of one millisecond by id.
fn position(created: OffsetDateTime, id: Uuid) -> String {
    format!("{}.{id}", time_text(created))
}

/// A catalogue keeps the expiry of a record to the second, as DynamoDB's TTL does.
fn to_second(time: OffsetDateTime) -> OffsetDateTime {
    time - Duration::nanoseconds(i64::from(time.nanosecond()))
}

/// A request for a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRequest {
    /// The server.
    pub server: ServerId,
    /// Backups or snapshots.
    pub kind: RecordKind,
    /// Largest number of records.
    pub limit: usize,
    /// The list begins after this position, with older records; `None` for the newest.
    pub after: Option<Cursor>,
    /// The current time: expired records are left out. `None` includes them.
    pub now: Option<OffsetDateTime>,
}

/// A record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRecord {
    /// Backup or snapshot.
    pub kind: RecordKind,
    /// The id, as its name has it; `None` where the name has none.
    pub id: Option<Uuid>,
    /// Where it is: a path, or table and key.
    pub object: String,
    /// Why it cannot be read.
    pub reason: String,
}

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The records, newest first.
    pub records: Vec<BackupRecord>,
    /// Records of this part that cannot be read. They do not count towards the limit.
    pub damaged: Vec<DamagedRecord>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<Cursor>,
}

/// A catalogue of backups and snapshots.
///
/// Every call retries transient failures within bounds, and may be repeated by the caller: inserting the same record, counting the same
/// use, or deleting twice changes nothing more.
#[async_trait]
pub trait Catalogue: Debug + Send + Sync {
    /// The name for messages: `dynamodb://table`, or a path.
    fn describe(&self) -> String;

    /// Inserts a record.
    ///
    /// # Errors
    /// [`CatalogueError::Exists`] where another record of the server has the same time and id.
    async fn insert(&self, record: &BackupRecord) -> Result<(), CatalogueError>;

    /// The record with this id. With `server`, only of this server.
    ///
    /// DynamoDB finds an id alone by an index, which is eventually consistent: a record that was inserted just now may be missing. With
    /// `server`, the table itself is searched where the index has no such id.
    ///
    /// # Errors
    /// [`CatalogueError::Damaged`] where the record cannot be read.
    async fn get(&self, id: Uuid, server: Option<ServerId>) -> Result<Option<BackupRecord>, CatalogueError>;

    /// A part of the records of a server, newest first.
    ///
    /// # Errors
    /// The catalogue cannot be read. A single damaged record is no error: see [`Page::damaged`].
    async fn list(&self, request: &ListRequest) -> Result<Page, CatalogueError>;

    /// Deletes a record. No error where there is none.
    ///
    /// # Errors
    /// The catalogue cannot be written.
    async fn delete(&self, record: &BackupRecord) -> Result<(), CatalogueError>;

    /// Sets the time from which a record is expired, DynamoDB's TTL, or removes it. DynamoDB deletes expired items within days, a
    /// [`FileCatalogue`] never.
    ///
    /// # Errors
    /// [`CatalogueError::NotFound`] where there is no such record.
    async fn set_expiry(&self, record: &BackupRecord, expires: Option<OffsetDateTime>) -> Result<(), CatalogueError>;

    /// Counts a use, in one atomic step, if its period has fewer uses than the limit or has this use already. Returns whether it is
    /// counted.
    ///
    /// # Errors
    /// The catalogue cannot be written.
    async fn take(&self, wanted: &Use) -> Result<bool, CatalogueError>;

    /// Removes a use from its period, for an operation that failed.
    ///
    /// # Errors
    /// The catalogue cannot be written.
    async fn give_back(&self, taken: &Use) -> Result<(), CatalogueError>;

    /// The plan of a server: free, unless another one was set.
    ///
    /// # Errors
    /// The catalogue cannot be read.
    async fn plan(&self, server: ServerId) -> Result<Plan, CatalogueError>;

    /// Sets the plan of a server.
    ///
    /// # Errors
    /// The catalogue cannot be written.
    async fn set_plan(&self, server: ServerId, plan: Plan) -> Result<(), CatalogueError>;

    /// The servers with at least one record, in ascending order. Reads the whole catalogue: for operators' tools.
    ///
    /// # Errors
    /// The catalogue cannot be read.
    async fn servers(&self) -> Result<Vec<ServerId>, CatalogueError>;
}
