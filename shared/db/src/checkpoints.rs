//! Checkpoints: configurations of a community that were stored for a restore, and the restores of them.
//!
//! A checkpoint never changes. Its checksum is verified whenever it is read: a row that was altered is an error, and is not restored. The
//! caller chooses the id of a request, so that a repeated one stores no second checkpoint and restores nothing twice.

use arrakis_domain::RoleBindings;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::column::Column;
use crate::{CommunityConfiguration, CommunityId, DbError, TenantTx, named_query::named};

/// How long a checkpoint is kept.
pub const CHECKPOINT_KEPT: Duration = Duration::days(30);
/// Most checkpoints of one purpose of a community at one time.
pub const MAX_CHECKPOINTS: u32 = 200;
/// Beginning of the reason of a freeze that a teardown begins and a restore ends.
pub const TEARDOWN_FREEZE: &str = "teardown of the server";

/// What a checkpoint was stored for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckpointPurpose {
    /// On request.
    Manual,
    /// Before a server is emptied.
    Teardown,
    /// What a restore replaced.
    Restore,
}

impl CheckpointPurpose {
    const ALL: [Self; 3] = [Self::Manual, Self::Teardown, Self::Restore];

    /// The purpose as the column stores it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Teardown => "teardown",
            Self::Restore => "restore",
        }
    }
}

/// A checkpoint to store.
#[derive(Clone, Debug)]
pub struct NewCheckpoint<'a> {
    /// Its id.
    pub id: Uuid,
    /// Id of the request, which the caller chose.
    pub request: Uuid,
    /// What it is stored for.
    pub purpose: CheckpointPurpose,
    /// The reason, if one was given.
    pub reason: Option<&'a str>,
    /// Who stores it.
    pub by: &'a str,
    /// The present time.
    pub at: OffsetDateTime,
    /// The configuration.
    pub content: &'a CommunityConfiguration,
}

/// A checkpoint without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointSummary {
    /// Its id.
    pub id: Uuid,
    /// What it was stored for.
    pub purpose: CheckpointPurpose,
    /// The reason, if one was given.
    pub reason: Option<String>,
    /// Who stored it.
    pub created_by: String,
    /// When it was stored.
    pub created_at: OffsetDateTime,
    /// From when on it does not exist.
    pub expires_at: OffsetDateTime,
    /// SHA-256 of its content.
    pub checksum: [u8; 32],
}

/// Result of [`Checkpoints::get`].
#[derive(Clone, Debug, PartialEq)]
pub enum StoredCheckpoint {
    /// The checkpoint with its content.
    Intact(CheckpointSummary, Box<CommunityConfiguration>),
    /// The content cannot be restored: it was altered, or a later build wrote it.
    Unusable(CheckpointSummary, String),
}

/// A restore that was carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRestore {
    /// The checkpoint.
    pub checkpoint: Uuid,
    /// When it was restored.
    pub restored_at: OffsetDateTime,
    /// The result, as JSON.
    pub result: Value,
}

/// Queries about the checkpoints of a community.
#[derive(Debug)]
pub struct Checkpoints<'a> {
    connection: &'a mut PgConnection,
    community: CommunityId,
}

impl TenantTx {
    /// Queries about the community's checkpoints.
    pub fn checkpoints(&mut self) -> Checkpoints<'_> {
        Checkpoints {
            community: self.community,
            connection: &mut self.transaction,
        }
    }

    /// Makes these the role bindings of the community, in place of all others. Returns how many changed.
    ///
    /// # Errors
    /// When the database is unavailable. A conflict when two keys have one role.
    pub async fn replace_role_bindings(&mut self, wanted: &RoleBindings) -> Result<usize, DbError> {
        let bound = self.communities().role_bindings().await?;
        let gone: Vec<_> = bound
            .iter()
            .filter(|(key, role)| wanted.get(*key) != Some(*role))
            .collect();
        // First, since a role of the server stands for one role of the theme.
        for (_, role) in &gone {
            self.communities().unbind_role(**role).await?;
        }
        let new: Vec<_> = wanted
            .iter()
            .filter(|(key, role)| bound.get(*key) != Some(*role))
            .collect();
        for (key, role) in &new {
            self.communities().bind_role(key, **role).await?;
        }
        let removed = gone.iter().filter(|(key, _)| !wanted.contains_key(*key)).count();
        Ok(new.len() + removed)
    }
}

struct Row {
    checkpoint_id: Uuid,
    purpose: String,
    reason: Option<String>,
    created_by: String,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    checksum: Vec<u8>,
}

impl TryFrom<Row> for CheckpointSummary {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let column = |name| Column("checkpoints", name);
        let purpose = CheckpointPurpose::ALL
            .into_iter()
            .find(|purpose| purpose.as_str() == row.purpose)
            .ok_or_else(|| column("purpose").corrupt(&row.purpose, "unknown purpose"))?;
        let checksum: Result<[u8; 32], _> = row.checksum.as_slice().try_into();
        Ok(Self {
            id: row.checkpoint_id,
            purpose,
            reason: row.reason,
            created_by: row.created_by,
            created_at: row.created_at,
            expires_at: row.expires_at,
            checksum: checksum.map_err(|_| column("checksum").corrupt(hex::encode(&row.checksum), "not 32 bytes"))?,
        })
    }
}

impl Checkpoints<'_> {
    /// Stores a checkpoint and returns it. A repeated request returns the one that the first has stored.
    ///
    /// # Errors
    /// When the database is unavailable, or the community does not exist (a conflict).
    pub async fn create(&mut self, new: &NewCheckpoint<'_>) -> Result<CheckpointSummary, DbError> {
        let content = new.content.to_json();
        let digest = checksum(&content);
        named!(
            "checkpoint.create",
            sqlx::query!(
                "insert into checkpoints
                        (community_id, checkpoint_id, request_id, purpose, reason, created_by, created_at, expires_at, content,
                         checksum)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                 on conflict (community_id, request_id) do nothing",
                self.community.uuid(),
                new.id,
                new.request,
                new.purpose.as_str(),
                new.reason,
                new.by,
                new.at,
                new.at + CHECKPOINT_KEPT,
                content,
                digest.as_slice()
            )
            .execute(&mut *self.connection)
        )?;
        let stored = self.of_request(new.request).await?;
        stored.ok_or_else(|| DbError::new("checkpoint.of_request", sqlx::Error::RowNotFound))
    }

    /// The checkpoint that a request has stored; `None` before it.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn of_request(&mut self, request: Uuid) -> Result<Option<CheckpointSummary>, DbError> {
        let row = named!(
            "checkpoint.of_request",
            sqlx::query_as!(
                Row,
                "select checkpoint_id, purpose, reason, created_by, created_at, expires_at, checksum from checkpoints
                  where community_id = $1 and request_id = $2",
                self.community.uuid(),
                request
            )
            .fetch_optional(&mut *self.connection)
        )?;
        row.map(CheckpointSummary::try_from).transpose()
    }

    /// The checkpoints that have not expired, the newest first.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn list(&mut self, now: OffsetDateTime) -> Result<Vec<CheckpointSummary>, DbError> {
        let rows = named!(
            "checkpoint.list",
            sqlx::query_as!(
                Row,
                "select checkpoint_id, purpose, reason, created_by, created_at, expires_at, checksum from checkpoints
                  where community_id = $1 and expires_at > $2 order by created_at desc, checkpoint_id desc",
                self.community.uuid(),
                now
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter().map(CheckpointSummary::try_from).collect()
    }

    /// The checkpoint of this id with its content; `None` when there is none, or it has expired.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt. A content that was altered is no error: [`StoredCheckpoint::Unusable`].
    pub async fn get(&mut self, id: Uuid, now: OffsetDateTime) -> Result<Option<StoredCheckpoint>, DbError> {
        let row = named!(
            "checkpoint.get",
            sqlx::query!(
                "select checkpoint_id, purpose, reason, created_by, created_at, expires_at, checksum, content from checkpoints
                  where community_id = $1 and checkpoint_id = $2 and expires_at > $3",
                self.community.uuid(),
                id,
                now
            )
            .fetch_optional(&mut *self.connection)
        )?;
        let Some(row) = row else { return Ok(None) };
        let content = row.content;
        let summary = CheckpointSummary::try_from(Row {
            checkpoint_id: row.checkpoint_id,
            purpose: row.purpose,
            reason: row.reason,
            created_by: row.created_by,
            created_at: row.created_at,
            expires_at: row.expires_at,
            checksum: row.checksum,
        })?;
        if checksum(&content) != summary.checksum {
            let reason = "its content does not have the checksum that was stored with it".to_owned();
            return Ok(Some(StoredCheckpoint::Unusable(summary, reason)));
        }
        Ok(Some(match CommunityConfiguration::from_json(&content) {
            Ok(content) => StoredCheckpoint::Intact(summary, Box::new(content)),
            Err(error) => StoredCheckpoint::Unusable(summary, error.to_string()),
        }))
    }

    /// Deletes the oldest checkpoints of what restores replaced, with their restores, so that a further one is within [`MAX_CHECKPOINTS`].
    /// `except` stays: the checkpoint that is restored. Returns the deleted ids.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn make_room_for_undo(&mut self, except: Uuid, now: OffsetDateTime) -> Result<Vec<Uuid>, DbError> {
        let kept = usize::try_from(MAX_CHECKPOINTS).unwrap_or(usize::MAX).saturating_sub(1);
        let stored = self.list(now).await?;
        let excess: Vec<Uuid> = stored
            .iter()
            .filter(|stored| stored.purpose == CheckpointPurpose::Restore)
            .skip(kept)
            .map(|stored| stored.id)
            .filter(|id| *id != except)
            .collect();
        if excess.is_empty() {
            return Ok(excess);
        }
        named!(
            "checkpoint.delete",
            sqlx::query!(
                "delete from checkpoints where community_id = $1 and checkpoint_id = any($2)",
                self.community.uuid(),
                &excess
            )
            .execute(&mut *self.connection)
        )?;
        Ok(excess)
    }

    /// Deletes the checkpoints that have expired, with their restores; returns their ids.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn prune(&mut self, now: OffsetDateTime) -> Result<Vec<Uuid>, DbError> {
        named!(
            "checkpoint.prune",
            sqlx::query_scalar!(
                "delete from checkpoints where community_id = $1 and expires_at <= $2 returning checkpoint_id",
                self.community.uuid(),
                now
            )
            .fetch_all(&mut *self.connection)
        )
    }

    /// The restore that a request has carried out; `None` before it.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn restore_of_request(&mut self, request: Uuid) -> Result<Option<StoredRestore>, DbError> {
        named!(
            "checkpoint_restore.of_request",
            sqlx::query_as!(
                StoredRestore,
                "select checkpoint_id as checkpoint, restored_at, result from checkpoint_restores
                  where community_id = $1 and request_id = $2",
                self.community.uuid(),
                request
            )
            .fetch_optional(&mut *self.connection)
        )
    }

    /// Records a restore, in its transaction.
    ///
    /// # Errors
    /// When the database is unavailable. A conflict when the request has restored already.
    pub async fn record_restore(&mut self, request: Uuid, by: &str, restore: &StoredRestore) -> Result<(), DbError> {
        named!(
            "checkpoint_restore.record",
            sqlx::query!(
                "insert into checkpoint_restores (community_id, request_id, checkpoint_id, restored_by, restored_at, result)
                 values ($1, $2, $3, $4, $5, $6)",
                self.community.uuid(),
                request,
                restore.checkpoint,
                by,
                restore.restored_at,
                restore.result
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }
}

fn checksum(content: &str) -> [u8; 32] {
    Sha256::digest(content.as_bytes()).into()
}
