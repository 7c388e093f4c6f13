//! Badges that members hold, and their source. Sharing and lineage are in `badges/shares.rs`.

mod shares;

use std::collections::BTreeSet;

use arrakis_domain::BadgeId;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

pub use shares::{BadgeLineageEntry, ShareOutcome};

use crate::column::Column;
use crate::{CommunityId, DbError, TenantTx, UserId, named_query::named};

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

    /// Awards a badge to a member. False when the member holds it already, or the giver of a shared one does not hold it or has
    /// shared it before; [`Badges::share`] distinguishes them.
    ///
    /// # Errors
    /// A conflict when the member has no profile.
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
            BadgeSource::Share(giver) => return Ok(self.share(giver, user, badge, at).await? == ShareOutcome::Shared),
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
