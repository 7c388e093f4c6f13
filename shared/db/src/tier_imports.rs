//! Imports of members from another tool: each keeps an equivalent tier until the member verifies a wallet, at the longest for some days.
//!
//! A preview stores an import with its members; applying it writes a row for each member whom it fits, and undoing it deletes these rows.
//! Each step changes nothing when it is repeated.

use arrakis_domain::TierId;
use serde_json::Value;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

use crate::column::Column;
use crate::{CommunityId, DbError, TenantTx, UserId, named_query::named};

/// State of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierImportState {
    /// Shown to an admin; no member has a tier of it.
    Previewed,
    /// Members have tiers of it.
    Applied,
    /// Its tiers were taken back.
    Undone,
}

impl TierImportState {
    const ALL: [Self; 3] = [Self::Previewed, Self::Applied, Self::Undone];

    /// The state as the column stores it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Previewed => "previewed",
            Self::Applied => "applied",
            Self::Undone => "undone",
        }
    }
}

/// An import of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierImport {
    /// The id of the interaction that previewed it.
    pub id: u64,
    /// Its state.
    pub state: TierImportState,
    /// Where the members come from, as the admin is shown it.
    pub source: String,
    /// For how many days the tiers count at the longest.
    pub days: u16,
    /// The members with their tiers.
    pub members: Vec<(UserId, TierId)>,
    /// The admin.
    pub created_by: UserId,
}

/// How many members of an import get a tier, and why the others do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierImportCounts {
    /// Members who get the tier.
    pub fitting: u32,
    /// Members with a verified wallet: the rules decide.
    pub verified: u32,
    /// Protected members.
    pub protected: u32,
    /// Members who have a tier of another import.
    pub imported: u32,
    /// Users who are no members of the community.
    pub unknown: u32,
}

/// The tier of an import that a member has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedTier {
    /// The member.
    pub user: UserId,
    /// The tier.
    pub tier: TierId,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

/// Queries about the imports of a community.
#[derive(Debug)]
pub struct TierImports<'a> {
    connection: &'a mut PgConnection,
    community: CommunityId,
}

impl TenantTx {
    /// Queries about the community's imports.
    pub fn tier_imports(&mut self) -> TierImports<'_> {
        TierImports {
            community: self.community,
            connection: &mut self.transaction,
        }
    }
}

impl TierImports<'_> {
    /// Stores the preview of an import. A repeated call replaces it, so that what was shown last is applied; one that was applied stays.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn preview(&mut self, import: &TierImport) -> Result<(), DbError> {
        let members: Vec<Value> = import
            .members
            .iter()
            .map(|(user, tier)| Value::from(vec![user.to_string(), tier.to_string()]))
            .collect();
        named!(
            "tier_import.preview",
            sqlx::query!(
                "insert into tier_imports as known (community_id, import_id, source, days, members, created_by)
                 values ($1, $2, $3, $4, $5, $6)
                 on conflict (community_id, import_id)
                 do update set source = excluded.source, days = excluded.days, members = excluded.members
                  where known.state = 'previewed'",
                self.community.uuid(),
                import.id.cast_signed(),
                import.source,
                i32::from(import.days),
                Value::from(members),
                import.created_by.stored()
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// The import of this id.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn get(&mut self, id: u64) -> Result<Option<TierImport>, DbError> {
        let row = named!(
            "tier_import.get",
            sqlx::query!(
                "select state, source, days, members, created_by from tier_imports
                  where community_id = $1 and import_id = $2",
                self.community.uuid(),
                id.cast_signed()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        let Some(row) = row else { return Ok(None) };
        let column = |name| Column("tier_imports", name);
        let state = TierImportState::ALL
            .into_iter()
            .find(|state| state.as_str() == row.state);
        Ok(Some(TierImport {
            id,
            state: state.ok_or_else(|| column("state").corrupt(&row.state, "unknown state"))?,
            source: row.source,
            days: column("days").count(i64::from(row.days))?,
            members: parse_members(&row.members)?,
            created_by: column("created_by").user(row.created_by)?,
        }))
    }

    /// Counts which of these users would get a tier, as of `now`.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn counts(&mut self, users: &[UserId], now: OffsetDateTime) -> Result<TierImportCounts, DbError> {
        let users: Vec<i64> = users.iter().map(|user| user.stored()).collect();
        let row = named!(
            "tier_import.counts",
            sqlx::query!(
                r#"select count(*) filter (where p.user_id is null) as "unknown!",
                          count(*) filter (where p.wallet is not null) as "verified!",
                          count(*) filter (where p.wallet is null and p.protected) as "protected!",
                          count(*) filter (where p.wallet is null and not p.protected and i.user_id is not null) as "imported!",
                          count(*) filter (where p.wallet is null and not p.protected and i.user_id is null) as "fitting!"
                     from unnest($2::int8[]) as listed (user_id)
                     left join profiles p
                       on p.community_id = $1 and p.user_id = listed.user_id and p.left_at is null
                     left join imported_tiers i
                       on i.community_id = $1 and i.user_id = listed.user_id and i.expires_at > $3"#,
                self.community.uuid(),
                &users,
                now
            )
            .fetch_one(&mut *self.connection)
        )?;
        let count = |number: i64| Column("tier_imports", "members").count(number);
        Ok(TierImportCounts {
            fitting: count(row.fitting)?,
            verified: count(row.verified)?,
            protected: count(row.protected)?,
            imported: count(row.imported)?,
            unknown: count(row.unknown)?,
        })
    }

    /// Applies a previewed import: stores a tier for each listed member of the community, valid for [`TierImport::days`] days from `now` on.
    /// Left out are users who are no members, members with a verified wallet, protected members, and those with a tier of another import
    /// that has not expired.
    ///
    /// Returns the members whose tier was stored; the list is empty, and nothing is changed, for an import that was applied or undone
    /// before. Roles follow by a tier sync, which the caller enqueues.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn apply(&mut self, import: &TierImport, now: OffsetDateTime) -> Result<Vec<UserId>, DbError> {
        if !self
            .advance(import.id, TierImportState::Previewed, TierImportState::Applied)
            .await?
        {
            return Ok(Vec::new());
        }
        let users: Vec<i64> = import.members.iter().map(|(user, _)| user.stored()).collect();
        let tiers: Vec<&str> = import.members.iter().map(|(_, tier)| tier.as_str()).collect();
        let given = named!(
            "tier_import.apply",
            sqlx::query_scalar!(
                "insert into imported_tiers as known (community_id, user_id, import_id, tier, expires_at)
                 select $1, p.user_id, $2, listed.tier, $5::timestamptz
                   from unnest($3::int8[], $4::text[]) as listed (user_id, tier)
                   join profiles p on p.community_id = $1 and p.user_id = listed.user_id
                  where p.left_at is null and p.wallet is null and not p.protected
                 on conflict (community_id, user_id)
                 do update set import_id = excluded.import_id, tier = excluded.tier, expires_at = excluded.expires_at
                  where known.expires_at <= $6
                 returning user_id",
                self.community.uuid(),
                import.id.cast_signed(),
                &users,
                &tiers as &[&str],
                now + Duration::days(i64::from(import.days)),
                now
            )
            .fetch_all(&mut *self.connection)
        )?;
        given
            .into_iter()
            .map(|user| Column("imported_tiers", "user_id").user(user))
            .collect()
    }

    /// The tiers that members have of this import.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn tiers_of(&mut self, id: u64) -> Result<Vec<ImportedTier>, DbError> {
        let rows = named!(
            "tier_import.tiers",
            sqlx::query!(
                "select user_id, tier, expires_at from imported_tiers
                  where community_id = $1 and import_id = $2 order by user_id",
                self.community.uuid(),
                id.cast_signed()
            )
            .fetch_all(&mut *self.connection)
        )?;
        let column = |name| Column("imported_tiers", name);
        rows.into_iter()
            .map(|row| {
                Ok(ImportedTier {
                    user: column("user_id").user(row.user_id)?,
                    tier: column("tier").parse(&row.tier)?,
                    expires_at: row.expires_at,
                })
            })
            .collect()
    }

    /// Takes the tiers of an applied import back. Returns who had one; nobody for an import in another state.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn undo(&mut self, id: u64) -> Result<Vec<UserId>, DbError> {
        if !self
            .advance(id, TierImportState::Applied, TierImportState::Undone)
            .await?
        {
            return Ok(Vec::new());
        }
        let taken = named!(
            "tier_import.undo",
            sqlx::query_scalar!(
                "delete from imported_tiers where community_id = $1 and import_id = $2 returning user_id",
                self.community.uuid(),
                id.cast_signed()
            )
            .fetch_all(&mut *self.connection)
        )?;
        taken
            .into_iter()
            .map(|user| Column("imported_tiers", "user_id").user(user))
            .collect()
    }

    /// Deletes the imports of this community that were previewed before `before` and never applied, or that were undone. Applied ones stay,
    /// since members have tiers of them. Returns the number of deleted imports.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn prune(&mut self, before: OffsetDateTime) -> Result<u64, DbError> {
        let done = named!(
            "tier_import.prune",
            sqlx::query!(
                "delete from tier_imports where community_id = $1 and state <> 'applied' and created_at < $2",
                self.community.uuid(),
                before
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected())
    }

    /// Changes the state. False when the import is not in the state `from`.
    async fn advance(&mut self, id: u64, from: TierImportState, to: TierImportState) -> Result<bool, DbError> {
        let done = named!(
            "tier_import.advance",
            sqlx::query!(
                "update tier_imports set state = $4 where community_id = $1 and import_id = $2 and state = $3",
                self.community.uuid(),
                id.cast_signed(),
                from.as_str(),
                to.as_str()
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() > 0)
    }
}

fn parse_members(stored: &Value) -> Result<Vec<(UserId, TierId)>, DbError> {
    let column = Column("tier_imports", "members");
    let parse = |pair: &Value| -> Result<(UserId, TierId), DbError> {
        let text = |index: usize| pair.get(index).and_then(Value::as_str).unwrap_or_default();
        Ok((column.parse(text(0))?, column.parse(text(1))?))
    };
    stored.as_array().into_iter().flatten().map(parse).collect()
}
