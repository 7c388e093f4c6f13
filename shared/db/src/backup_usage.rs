//! Uses of backups, restores and snapshots on request, which the free plan limits.
//!
//! A use is counted under the lock of the community's row, so that two requests at the same time do not both take the last one, and a
//! change of the plan is before or after. The caller chooses its id: a repeated request counts once within the time of the limit.

use arrakis_domain::{BackupUse, Plan, UseLimit};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::column::Column;
use crate::{CommunityId, DbError, TenantTx, named_query::named};

/// A use to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewBackupUse<'a> {
    /// What is used.
    pub kind: BackupUse,
    /// Id that the caller chose.
    pub id: Uuid,
    /// Who uses it, for the audit log.
    pub by: &'a str,
}

/// Result of [`BackupUsage::count`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupUseOutcome {
    /// The use is counted, now or by an earlier request with this id.
    Counted {
        /// Uses that are left; `None` where the plan has no limit.
        left: Option<u32>,
    },
    /// The limit is reached; nothing is counted.
    Exhausted {
        /// When the next use is free.
        frees_at: OffsetDateTime,
    },
}

/// How much of a limit is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupUsageState {
    /// The operation.
    pub kind: BackupUse,
    /// The limit of the plan; `None` where it has none.
    pub limit: Option<UseLimit>,
    /// Uses within the time of the limit; 0 without a limit.
    pub used: u32,
    /// When the next use is free; `None` while one is left.
    pub frees_at: Option<OffsetDateTime>,
}

/// Queries about the uses of a community.
#[derive(Debug)]
pub struct BackupUsage<'a> {
    connection: &'a mut PgConnection,
    community: CommunityId,
}

impl TenantTx {
    /// Queries about the community's backups, restores and snapshots on request.
    pub fn backup_usage(&mut self) -> BackupUsage<'_> {
        BackupUsage {
            community: self.community,
            connection: &mut self.transaction,
        }
    }
}

impl BackupUsage<'_> {
    /// Counts a use, unless the plan's limit is reached. `None` when the community does not exist. The row of the community is locked until
    /// the transaction ends.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn count(
        &mut self,
        new: &NewBackupUse<'_>,
        now: OffsetDateTime,
    ) -> Result<Option<BackupUseOutcome>, DbError> {
        let Some(plan) = self.locked_plan().await? else {
            return Ok(None);
        };
        let Some(limit) = new.kind.limit(plan) else {
            return Ok(Some(BackupUseOutcome::Counted { left: None }));
        };
        self.forget(new.kind, new.id, now - duration(limit)).await?;
        let uses = self.within(new.kind, limit, now).await?;
        if let Some(frees_at) = frees_at(&uses, limit) {
            let is_counted = self.is_counted(new.kind, new.id).await?;
            return Ok(Some(match is_counted {
                true => BackupUseOutcome::Counted { left: Some(0) },
                false => BackupUseOutcome::Exhausted { frees_at },
            }));
        }
        let is_new = self.insert(new, now).await?;
        let used = count(&uses) + u32::from(is_new);
        Ok(Some(BackupUseOutcome::Counted {
            left: Some(limit.uses.saturating_sub(used)),
        }))
    }

    /// Removes a use that was counted after `since`, for an operation that has failed. False when there is none.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn give_back(&mut self, kind: BackupUse, id: Uuid, since: OffsetDateTime) -> Result<bool, DbError> {
        let done = named!(
            "backup_use.give_back",
            sqlx::query!(
                "delete from backup_uses where community_id = $1 and kind = $2 and use_id = $3 and used_at > $4",
                self.community.uuid(),
                kind.as_str(),
                id,
                since
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() > 0)
    }

    /// How much of each limit of a plan is used.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn states(&mut self, plan: Plan, now: OffsetDateTime) -> Result<Vec<BackupUsageState>, DbError> {
        let mut states = Vec::new();
        for kind in BackupUse::ALL {
            let limit = kind.limit(plan);
            let uses = match limit {
                Some(limit) => self.within(kind, limit, now).await?,
                None => Vec::new(),
            };
            states.push(BackupUsageState {
                kind,
                limit,
                used: count(&uses),
                frees_at: limit.and_then(|limit| frees_at(&uses, limit)),
            });
        }
        Ok(states)
    }

    /// Deletes uses before `before`; returns how many.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn prune(&mut self, before: OffsetDateTime) -> Result<u64, DbError> {
        let done = named!(
            "backup_use.prune",
            sqlx::query!(
                "delete from backup_uses where community_id = $1 and used_at < $2",
                self.community.uuid(),
                before
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected())
    }

    async fn locked_plan(&mut self) -> Result<Option<Plan>, DbError> {
        let plan = named!(
            "backup_use.lock",
            sqlx::query_scalar!(
                "select plan from communities where community_id = $1 for no key update",
                self.community.uuid()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        plan.map(|plan| Column("communities", "plan").parse(&plan)).transpose()
    }

    /// Times of the uses that count towards a limit, the oldest first.
    async fn within(
        &mut self,
        kind: BackupUse,
        limit: UseLimit,
        now: OffsetDateTime,
    ) -> Result<Vec<OffsetDateTime>, DbError> {
        named!(
            "backup_use.within",
            sqlx::query_scalar!(
                "select used_at from backup_uses where community_id = $1 and kind = $2 and used_at > $3 order by used_at",
                self.community.uuid(),
                kind.as_str(),
                now - duration(limit)
            )
            .fetch_all(&mut *self.connection)
        )
    }

    /// Deletes a use of this id that counts no more. Left in place, it would permit every further request with its id without a count.
    async fn forget(&mut self, kind: BackupUse, id: Uuid, until: OffsetDateTime) -> Result<(), DbError> {
        named!(
            "backup_use.forget",
            sqlx::query!(
                "delete from backup_uses where community_id = $1 and kind = $2 and use_id = $3 and used_at <= $4",
                self.community.uuid(),
                kind.as_str(),
                id,
                until
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    async fn is_counted(&mut self, kind: BackupUse, id: Uuid) -> Result<bool, DbError> {
        named!(
            "backup_use.is_counted",
            sqlx::query_scalar!(
                r#"select exists (select from backup_uses where community_id = $1 and kind = $2 and use_id = $3) as "counted!""#,
                self.community.uuid(),
                kind.as_str(),
                id
            )
            .fetch_one(&mut *self.connection)
        )
    }

    /// False when a use of this id is counted already.
    async fn insert(&mut self, new: &NewBackupUse<'_>, now: OffsetDateTime) -> Result<bool, DbError> {
        let done = named!(
            "backup_use.count",
            sqlx::query!(
                "insert into backup_uses (community_id, kind, use_id, used_by, used_at) values ($1, $2, $3, $4, $5)
                 on conflict do nothing",
                self.community.uuid(),
                new.kind.as_str(),
                new.id,
                new.by,
                now
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() > 0)
    }
}

fn count(uses: &[OffsetDateTime]) -> u32 {
    u32::try_from(uses.len()).unwrap_or(u32::MAX)
}

fn duration(limit: UseLimit) -> Duration {
    Duration::seconds(i64::try_from(limit.within.as_secs()).unwrap_or(i64::MAX))
}

/// When the next use is free: `None` while the limit is not reached.
fn frees_at(uses: &[OffsetDateTime], limit: UseLimit) -> Option<OffsetDateTime> {
    let limit_uses = usize::try_from(limit.uses).unwrap_or(usize::MAX);
    let oldest = uses.len().checked_sub(limit_uses)?;
    uses.get(oldest).map(|at| *at + duration(limit))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn next_use_is_free_when_the_oldest_counted_one_leaves_the_window() {
        let limit = BackupUse::Restore.limit(Plan::Free).unwrap();
        let at = |hour| datetime!(2026-11-21 00:00 UTC) + Duration::hours(hour);
        assert_eq!(frees_at(&[], limit), None);
        assert_eq!(frees_at(&[at(1), at(2)], limit), None);
        assert_eq!(frees_at(&[at(1), at(2), at(3)], limit), Some(at(25)));
        // After a downgrade there may be more.
        assert_eq!(frees_at(&[at(1), at(2), at(3), at(4)], limit), Some(at(26)));
    }
}
