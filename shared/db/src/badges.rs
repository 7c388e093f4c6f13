//! Badges that members hold, where they came from, and who passed them on.

use std::collections::BTreeSet;

use arrakis_domain::BadgeId;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::row::Column;
use crate::{CommunityId, DbError, TenantTx, UserId, measure::named};

/// The rule that a member shares a badge once; ask [`DbError::violates`] for it.
pub const SHARED_ALREADY: &str = "badges_shared_once";

/// Where a badge comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadgeSource {
    /// Earned by a rule of the theme.
    Rule,
    /// Given by an admin.
    Admin(UserId),
    /// Passed on by a member who holds it.
    Share(UserId),
}

/// A badge that a member holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBadge {
    /// Which.
    pub badge: BadgeId,
    /// Where it comes from.
    pub source: BadgeSource,
    /// Since when.
    pub awarded_at: OffsetDateTime,
    /// Why, where somebody said so.
    pub reason: Option<String>,
}

/// One holder in the lineage of a shared badge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineageEntry {
    /// Who holds it.
    pub user: UserId,
    /// Who passed it on; `None` at the root.
    pub from: Option<UserId>,
    /// Steps from the root.
    pub depth: u32,
    /// Since when.
    pub awarded_at: OffsetDateTime,
}

/// Queries about the badges of a community.
#[derive(Debug)]
pub struct Badges<'a> {
    connection: &'a mut PgConnection,
    community: CommunityId,
}

impl TenantTx {
    /// The community's badges.
    pub fn badges(&mut self) -> Badges<'_> {
        Badges {
            community: self.community,
            connection: &mut self.transaction,
        }
    }
}

impl Badges<'_> {
    /// What a member holds, the oldest first.
    ///
    /// # Errors
    /// When the database is away or a row is corrupt.
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

    /// Gives a member a badge. False when they hold it already.
    ///
    /// # Errors
    /// A conflict with [`SHARED_ALREADY`] when the giver has shared it before, or when the member is not known.
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

    /// Takes a badge from a member. False when they do not hold it.
    ///
    /// # Errors
    /// When the database is away.
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

    /// Makes a member's earned badges what `earned` says: missing ones are awarded, others of source rule taken. Badges that
    /// somebody gave are not touched. Answers how many changed.
    ///
    /// # Errors
    /// When the database is away, or the member is not known.
    pub async fn settle(
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

    /// Everybody who has a shared badge from this member, directly or by others, the member first.
    ///
    /// # Errors
    /// When the database is away or a row is corrupt.
    pub async fn lineage(&mut self, root: UserId, badge: &BadgeId) -> Result<Vec<LineageEntry>, DbError> {
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
                Ok(LineageEntry {
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
        _ => Err(column.corrupt(kind, "no such source, or one without its giver")),
    }
}
