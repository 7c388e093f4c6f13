//! Imports of profiles from another database: their states, and the rows of members that they write (`docs/moving-in.md`).
//!
//! An import is written in pages, each in one transaction with a row for each of its members in `profile_import_members`. These rows
//! state which members are written, so that a further run continues, and what an undo restores. What is written is decided by the
//! caller; the admin's login is needed.

mod members;
mod undo;

use std::collections::BTreeSet;

use arrakis_domain::{Address, BadgeId, TierId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

pub use self::members::{MemberWrite, SharedBadge, WrittenMember};
pub use self::undo::{ChangedMember, MemberToUndo};

use crate::checksum::Checksum;
use crate::column::Column;
use crate::{CommunityId, DbError, TenantTx, UserId, named_query::named};

/// The columns of a profile that an import has. Serialised as the database's `jsonb` has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileRow {
    /// Discord user.
    pub user_id: UserId,
    /// Name in the community.
    pub display_name: String,
    /// The primary wallet of the user's identity.
    pub wallet: Option<Address>,
    /// When the member joined.
    #[serde(with = "time::serde::rfc3339")]
    pub joined_at: OffsetDateTime,
    /// When the member left; `None` while present.
    #[serde(with = "time::serde::rfc3339::option")]
    pub left_at: Option<OffsetDateTime>,
    /// Tier as of the last evaluation.
    pub tier: Option<TierId>,
    /// When that tier was reached.
    #[serde(with = "time::serde::rfc3339::option")]
    pub tier_since: Option<OffsetDateTime>,
    /// Best tier ever held.
    pub highest_tier: Option<TierId>,
    /// Roles of this member are not changed by rules.
    pub protected: bool,
    /// The member is not in the directory.
    pub hidden: bool,
    /// When the member joined the waitlist.
    #[serde(with = "time::serde::rfc3339::option")]
    pub waitlisted_at: Option<OffsetDateTime>,
    /// Total number of commands.
    pub commands: i64,
    /// Total number of messages.
    pub messages: i64,
    /// Latest message or command.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_active_at: Option<OffsetDateTime>,
    /// When the profile was created.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was changed last.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// When a member first reached a tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierReachedRow {
    /// The tier.
    pub tier: TierId,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub reached_at: OffsetDateTime,
}

/// What a member did on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityRow {
    /// The UTC day, `2026-11-30`.
    pub day: String,
    /// Number of commands.
    pub commands: i32,
    /// Number of messages.
    pub messages: i32,
}

/// A badge of a member, held or revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadgeRow {
    /// Its id.
    pub badge_id: Uuid,
    /// The badge.
    pub badge: BadgeId,
    /// `rule`, `admin` or `share`.
    pub source: String,
    /// Who gave or shared it.
    pub awarded_by: Option<UserId>,
    /// When it was awarded.
    #[serde(with = "time::serde::rfc3339")]
    pub awarded_at: OffsetDateTime,
    /// The reason, if one was given.
    pub reason: Option<String>,
    /// When it was revoked; `None` while it is held.
    #[serde(with = "time::serde::rfc3339::option")]
    pub revoked_at: Option<OffsetDateTime>,
    /// Who revoked it.
    pub revoked_by: Option<UserId>,
    /// Why it was revoked.
    pub revoke_reason: Option<String>,
}

/// The rows of a member in `profiles`, `tiers_reached`, `profile_activity` and `badges`. Which badge a shared one comes from is not
/// among them: that is stored once all badges exist ([`SharedBadge`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRows {
    /// The profile.
    pub profile: ProfileRow,
    /// Tiers that the member reached, in the order of their ids.
    pub tiers: Vec<TierReachedRow>,
    /// Days with activity, in order.
    pub days: Vec<ActivityRow>,
    /// Badges, in the order of their ids.
    pub badges: Vec<BadgeRow>,
}

impl MemberRows {
    /// The rows as JSON, the same for equal rows.
    #[must_use]
    pub fn canonical(&self) -> String {
        // An error is not possible with these types; if it were, unequal rows would still have unequal texts.
        serde_json::to_string(self).unwrap_or_else(|error| format!("{error}: {self:?}"))
    }

    /// SHA-256 of [`MemberRows::canonical`].
    #[must_use]
    pub fn checksum(&self) -> Checksum {
        Checksum::of_text(&self.canonical())
    }
}

/// State of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileImportState {
    /// Some of its members are written.
    Running,
    /// All of its members are written.
    Completed,
    /// Some of its members are as they were before it.
    Undoing,
    /// All of its members are as they were before it.
    Undone,
}

impl ProfileImportState {
    const ALL: [Self; 4] = [Self::Running, Self::Completed, Self::Undoing, Self::Undone];

    /// The state as the column stores it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
        }
    }

    fn stored(state: &str) -> Result<Self, DbError> {
        let known = Self::ALL.into_iter().find(|known| known.as_str() == state);
        known.ok_or_else(|| Column("profile_imports", "state").corrupt(state, "unknown state"))
    }

    /// Whether a further run has something left to do.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Running | Self::Undoing)
    }
}

/// An import as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileImport {
    /// Its id.
    pub id: Uuid,
    /// Its state.
    pub state: ProfileImportState,
    /// Checksum of what is imported.
    pub content: Checksum,
    /// Name of the file.
    pub file_name: String,
    /// Number of members in the file.
    pub members: u32,
    /// The operator who began it.
    pub started_by: String,
    /// When it began.
    pub started_at: OffsetDateTime,
    /// When it was completed or undone.
    pub finished_at: Option<OffsetDateTime>,
}

/// An import to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewProfileImport<'a> {
    /// Its id.
    pub id: Uuid,
    /// Checksum of what is imported.
    pub content: Checksum,
    /// Name of the file.
    pub file_name: &'a str,
    /// Number of members in the file.
    pub members: u32,
    /// The operator who begins it.
    pub started_by: &'a str,
    /// When it begins.
    pub started_at: OffsetDateTime,
}

/// Queries about the imports of profiles of a community. Writing needs the admin's login.
#[derive(Debug)]
pub struct ProfileImports<'a> {
    connection: &'a mut PgConnection,
    community: CommunityId,
}

impl TenantTx {
    /// Queries about the community's imports of profiles.
    pub fn profile_imports(&mut self) -> ProfileImports<'_> {
        ProfileImports {
            community: self.community,
            connection: &mut self.transaction,
        }
    }
}

impl ProfileImports<'_> {
    /// Of the imports that are not undone, the one that began last; where all are undone, the last of them. `None` without one.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn latest(&mut self) -> Result<Option<ProfileImport>, DbError> {
        let row = named!(
            "profile_import.latest",
            sqlx::query!(
                "select import_id, state, content, file_name, members, started_by, started_at, finished_at
                   from profile_imports where community_id = $1
                  order by state = 'undone', started_at desc, import_id desc limit 1",
                self.community.uuid()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        let column = |name| Column("profile_imports", name);
        row.map(|row| {
            Ok(ProfileImport {
                id: row.import_id,
                state: ProfileImportState::stored(&row.state)?,
                content: Checksum::stored(column("content"), &row.content)?,
                file_name: row.file_name,
                members: column("members").count(i64::from(row.members))?,
                started_by: row.started_by,
                started_at: row.started_at,
                finished_at: row.finished_at,
            })
        })
        .transpose()
    }

    /// Begins an import.
    ///
    /// # Errors
    /// A conflict with `profile_imports_open_once` when another one is running or being undone.
    pub async fn begin(&mut self, new: &NewProfileImport<'_>) -> Result<(), DbError> {
        named!(
            "profile_import.begin",
            sqlx::query!(
                "insert into profile_imports (community_id, import_id, content, file_name, members, started_by, started_at)
                 values ($1, $2, $3, $4, $5, $6, $7)",
                self.community.uuid(),
                new.id,
                new.content.as_bytes(),
                new.file_name,
                i32::try_from(new.members).unwrap_or(i32::MAX),
                new.started_by,
                new.started_at
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Changes the state of an import. False when it is not in the state `from`.
    ///
    /// # Errors
    /// When the database is unavailable; a conflict with `profile_imports_open_once` when another one is running or being undone.
    pub async fn advance(
        &mut self,
        import: Uuid,
        (from, to): (ProfileImportState, ProfileImportState),
        now: OffsetDateTime,
    ) -> Result<bool, DbError> {
        let done = named!(
            "profile_import.advance",
            sqlx::query!(
                "update profile_imports set state = $4, finished_at = $5
                  where community_id = $1 and import_id = $2 and state = $3",
                self.community.uuid(),
                import,
                from.as_str(),
                to.as_str(),
                (!to.is_open()).then_some(now)
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() > 0)
    }

    /// The state of an import, whose row stays locked until the transaction ends: [`ProfileImports::advance`] of another transaction waits. `None`
    /// without the import. Whoever writes or restores members calls it first, before any other lock: a page that was written after the
    /// last page of an undo would stay.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn lock(&mut self, import: Uuid) -> Result<Option<ProfileImportState>, DbError> {
        let state = named!(
            "profile_import.lock",
            sqlx::query_scalar!(
                "select state from profile_imports where community_id = $1 and import_id = $2 for no key update",
                self.community.uuid(),
                import
            )
            .fetch_optional(&mut *self.connection)
        )?;
        state.map(|state| ProfileImportState::stored(&state)).transpose()
    }

    /// The members that an import has written, with the checksums of their rows, in the order of their ids.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn written(&mut self, import: Uuid) -> Result<Vec<(UserId, Checksum)>, DbError> {
        let rows = named!(
            "profile_import.written",
            sqlx::query!(
                "select user_id, checksum from profile_import_members
                  where community_id = $1 and import_id = $2 order by user_id",
                self.community.uuid(),
                import
            )
            .fetch_all(&mut *self.connection)
        )?;
        let column = |name| Column("profile_import_members", name);
        rows.into_iter()
            .map(|row| {
                Ok((
                    column("user_id").user(row.user_id)?,
                    Checksum::stored(column("checksum"), &row.checksum)?,
                ))
            })
            .collect()
    }

    /// Of these members, those that another import has written and that are not undone.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn written_by_others(
        &mut self,
        import: Option<Uuid>,
        users: &[UserId],
    ) -> Result<BTreeSet<UserId>, DbError> {
        let rows = named!(
            "profile_import.written_by_others",
            sqlx::query_scalar!(
                "select user_id from profile_import_members
                  where community_id = $1 and import_id is distinct from $2 and user_id = any($3)",
                self.community.uuid(),
                import,
                &stored(users)
            )
            .fetch_all(&mut *self.connection)
        )?;
        let column = Column("profile_import_members", "user_id");
        rows.into_iter().map(|user| column.user(user)).collect()
    }
}

/// Rows as JSON, which a statement reads as a table.
fn json(rows: &impl Serialize) -> Result<Value, DbError> {
    serde_json::to_value(rows).map_err(|error| DbError::new("profile_import.encode", sqlx::Error::Encode(error.into())))
}

/// Ids as a column stores them.
fn stored(users: &[UserId]) -> Vec<i64> {
    users.iter().map(|user| user.stored()).collect()
}
