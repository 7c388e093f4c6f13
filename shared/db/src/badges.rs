//! Badges that members hold: their source, and the lineage of shared ones.

use std::collections::BTreeSet;

use arrakis_domain::BadgeId;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::column::Column;
use crate::{CommunityId, DbError, TenantTx, UserId, named_query::named};

/// Name of the constraint that a member shares a badge at most once, for [`DbError::violates`].
pub const SHARED_ONCE_CONSTRAINT: &str = "badges_shared_once";

/// How a member came to hold a badge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadgeSource {
    /// Earned by a rule of the theme.
    Rule,
    /// Given by an admin.
    Admin(UserId),
    /// Shared by a member who holds it.
    Share(UserId),
}

/// A badge that a member holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBadge {
    /// The badge.
    pub badge: BadgeId,
    /// How the member came to hold it.
    pub source: BadgeSource,
    /// When it was awarded.
    pub awarded_at: OffsetDateTime,
    /// The reason, if one was given.
    pub reason: Option<String>,
}

/// One holder in the lineage of a shared badge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadgeLineageEntry {
    /// The holder.
    pub user: UserId,
    /// The member who shared it; `None` at the root.
    pub from: Option<UserId>,
    /// Number of shares between the root and this holder.
    pub depth: u32,
    /// When it was awarded.
    pub awarded_at: OffsetDateTime,
}

/// Queries about the badges of a community.
#[derive(Debug)]
pub struct Badges<'a> {
    connection: &'a mut PgConnection,
    community: CommunityId,
}

impl TenantTx {
    /// Queries about the community's badges.
    pub fn badges(&mut self) -> Badges<'_> {
        Badges {
            community: self.community,
            connection: &mut self.transaction,
        }
    }
}

impl Badges<'_> {
    /// The badges that a member holds, oldest first.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn of(&mut self, user: UserId) -> Result<Vec<HeldBadge>, DbError> {
        let rows = named!(
            "badge.of_member",
            sqlx::query!(
                "select badge, source, awarded_by, awarded_at, reason from badges
                  where community_id = $1 and user_id = $2 and revoked_at is null order by awarded_at, badge",
                self.community.uuid(),
                user.stored()
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter()
            .map(|row| {
                Ok(HeldBadge {
                    badge: Column("badges", "badge").parse(&row.badge)?,
                    source: source(&row.source, row.awarded_by)?,
                    awarded_at: row.awarded_at,
                    reason: row.reason,
                })
            })
            .collect()
    }

    /// Awards a badge to a member. False when the member holds it already.
    ///
    /// # Errors
    /// A conflict with [`SHARED_ONCE_CONSTRAINT`] when the giver has shared it before; a conflict when the member has no
    /// profile.
    pub async fn award(
        &mut self,
        user: UserId,
        badge: &BadgeId,
        source: BadgeSource,
        at: OffsetDateTime,
        reason: Option<&str>,
    ) -> Result<bool, DbError> {
        let (kind, by) = match source {
            BadgeSource::Rule => ("rule", None),
            BadgeSource::Admin(by) => ("admin", Some(by.stored())),
            BadgeSource::Share(by) => ("share", Some(by.stored())),
        };
        let done = named!(
            "badge.award",
            sqlx::query!(
                "insert into badges (community_id, badge_id, user_id, badge, source, awarded_by, awarded_at, reason)
                 values ($1, $2, $3, $4, $5, $6, $7, $8)
                 on conflict (community_id, user_id, badge) where revoked_at is null do nothing",
                self.community.uuid(),
                Uuid::now_v7(),
                user.stored(),
                badge.as_str(),
                kind,
                by,
                at,
                reason
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() > 0)
    }

    /// Revokes a member's badge. False when the member does not hold it.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn revoke(
        &mut self,
        user: UserId,
        badge: &BadgeId,
        by: Option<UserId>,
        reason: &str,
    ) -> Result<bool, DbError> {
        let done = named!(
            "badge.revoke",
            sqlx::query!(
                "update badges set revoked_at = now(), revoked_by = $4, revoke_reason = $5
                  where community_id = $1 and user_id = $2 and badge = $3 and revoked_at is null",
                self.community.uuid(),
                user.stored(),
                badge.as_str(),
                by.map(UserId::stored),
                reason
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() > 0)
    }

    /// Awards the badges of `earned` that a member lacks, and revokes badges of source [`BadgeSource::Rule`] that are not
    /// in `earned`. Given and shared badges do not change. Returns the number of changes.
    ///
    /// # Errors
    /// When the database is unavailable, or the member has no profile.
    pub async fn sync_earned(
        &mut self,
        user: UserId,
        earned: &BTreeSet<BadgeId>,
        at: OffsetDateTime,
    ) -> Result<u32, DbError> {
        let held = self.of(user).await?;
        let mut changed = 0;
        for badge in earned
            .iter()
            .filter(|badge| held.iter().all(|held| held.badge != **badge))
        {
            changed += u32::from(self.award(user, badge, BadgeSource::Rule, at, None).await?);
        }
        let lost = held
            .iter()
            .filter(|held| held.source == BadgeSource::Rule && !earned.contains(&held.badge));
        for held in lost {
            changed += u32::from(self.revoke(user, &held.badge, None, "no longer earned").await?);
        }
        Ok(changed)
    }

    /// All members who hold a shared badge from this member, directly or by further shares; the member itself is first.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn lineage(&mut self, root: UserId, badge: &BadgeId) -> Result<Vec<BadgeLineageEntry>, DbError> {
        let rows = named!(
            "badge.lineage",
            sqlx::query!(
                r#"with recursive branch as (
                       select user_id, null::bigint as came_from, 0 as depth, awarded_at, array[user_id] as path from badges
                        where community_id = $1 and user_id = $2 and badge = $3 and revoked_at is null
                       union all
                       select next.user_id, next.awarded_by, branch.depth + 1, next.awarded_at, branch.path || next.user_id
                         from branch
                         join badges next on next.community_id = $1 and next.badge = $3 and next.revoked_at is null
                                         and next.source = 'share' and next.awarded_by = branch.user_id
                        where next.user_id <> all (branch.path))
                   select user_id as "user_id!", came_from, depth as "depth!", awarded_at as "awarded_at!"
                     from branch order by depth, awarded_at, user_id"#,
                self.community.uuid(),
                root.stored(),
                badge.as_str()
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter()
            .map(|row| {
                Ok(BadgeLineageEntry {
                    user: Column("badges", "user_id").user(row.user_id)?,
                    from: row
                        .came_from
                        .map(|by| Column("badges", "awarded_by").user(by))
                        .transpose()?,
                    depth: Column("badges", "depth").count(i64::from(row.depth))?,
                    awarded_at: row.awarded_at,
                })
            })
            .collect()
    }
}

fn source(kind: &str, by: Option<i64>) -> Result<BadgeSource, DbError> {
    let column = Column("badges", "source");
    match (kind, by) {
        ("rule", None) => Ok(BadgeSource::Rule),
        ("admin", Some(by)) => Ok(BadgeSource::Admin(Column("badges", "awarded_by").user(by)?)),
        ("share", Some(by)) => Ok(BadgeSource::Share(Column("badges", "awarded_by").user(by)?)),
        _ => Err(column.corrupt(kind, "unknown source, or a source without its giver")),
    }
}
