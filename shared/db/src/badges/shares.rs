//! Shared badges: a member who holds one passes it on to one other. Each shared badge refers to the row that it comes from, so that
//! the lineage is a tree of rows: a badge that was revoked and given again begins a tree of its own.

use arrakis_domain::BadgeId;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Badges;
use crate::column::Column;
use crate::{DbError, UserId, named_query::named};

/// Most entries of a lineage that is read.
const MAX_LINEAGE: i64 = 2_000;

/// Result of [`Badges::share`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareOutcome {
    /// The receiver holds it now.
    Shared,
    /// The giver does not hold it.
    NotHeld,
    /// The giver has shared it with this member, who still holds it.
    SharedBefore(UserId),
    /// The receiver holds it already, and the giver's one share is not used up.
    HeldAlready,
}

/// One holder in the lineage of a shared badge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadgeLineageEntry {
    /// The holder.
    pub user: UserId,
    /// The holder's name; the id for a member without a profile.
    pub name: String,
    /// The member who shared it; `None` at the root.
    pub from: Option<UserId>,
    /// Number of shares between the root and this holder.
    pub depth: u32,
    /// When it was awarded.
    pub awarded_at: OffsetDateTime,
    /// Whether it was revoked since. Such an entry is there for those below it.
    pub revoked: bool,
}

impl Badges<'_> {
    /// Shares a badge that `giver` holds with `receiver`. Two shares of one giver at once take place one after the other.
    ///
    /// # Errors
    /// A conflict when the receiver has no profile or is the giver.
    pub async fn share(
        &mut self,
        giver: UserId,
        receiver: UserId,
        badge: &BadgeId,
        at: OffsetDateTime,
    ) -> Result<ShareOutcome, DbError> {
        let held = named!(
            "badge.lock",
            sqlx::query_scalar!(
                "select badge_id from badges
                  where community_id = $1 and user_id = $2 and badge = $3 and revoked_at is null for update",
                self.community.uuid(),
                giver.stored(),
                badge.as_str()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        let Some(held) = held else {
            return Ok(ShareOutcome::NotHeld);
        };
        if let Some(before) = self.shared_with(giver, badge).await? {
            return Ok(ShareOutcome::SharedBefore(before));
        }
        let done = named!(
            "badge.share",
            sqlx::query!(
                "insert into badges (community_id, badge_id, user_id, badge, source, awarded_by, awarded_at, shared_from)
                 values ($1, $2, $3, $4, 'share', $5, $6, $7)
                 on conflict (community_id, user_id, badge) where revoked_at is null do nothing",
                self.community.uuid(),
                Uuid::now_v7(),
                receiver.stored(),
                badge.as_str(),
                giver.stored(),
                at,
                held
            )
            .execute(&mut *self.connection)
        )?;
        Ok(if done.rows_affected() > 0 {
            ShareOutcome::Shared
        } else {
            ShareOutcome::HeldAlready
        })
    }

    /// The member with whom `giver` has shared a badge, and who still holds it.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn shared_with(&mut self, giver: UserId, badge: &BadgeId) -> Result<Option<UserId>, DbError> {
        let user = named!(
            "badge.shared_with",
            sqlx::query_scalar!(
                "select user_id from badges
                  where community_id = $1 and awarded_by = $2 and badge = $3 and source = 'share' and revoked_at is null",
                self.community.uuid(),
                giver.stored(),
                badge.as_str()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        user.map(|user| Column("badges", "user_id").user(user)).transpose()
    }

    /// The lineage of a badge below the badge that `root` holds, or of all that an admin gave: depth first, so that each holder is
    /// followed by those below. Revoked badges are contained where one below them is held.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn lineage(&mut self, root: Option<UserId>, badge: &BadgeId) -> Result<Vec<BadgeLineageEntry>, DbError> {
        // The ids are UUIDs of version 7: their order is that of time.
        let rows = named!(
            "badge.lineage",
            sqlx::query!(
                r#"with recursive branch as (
                       select badge_id, user_id, null::bigint as came_from, 0 as depth, awarded_at, revoked_at,
                              array[badge_id] as path
                         from badges
                        where community_id = $1 and badge = $3
                          and (user_id = $2 and revoked_at is null or $2 is null and source = 'admin')
                       union all
                       select next.badge_id, next.user_id, next.awarded_by, branch.depth + 1, next.awarded_at,
                              next.revoked_at, branch.path || next.badge_id
                         from branch join badges next on next.community_id = $1 and next.shared_from = branch.badge_id
                        where branch.depth < $4::bigint)
                   select branch.user_id as "user_id!", came_from, depth as "depth!", branch.awarded_at as "awarded_at!",
                          revoked_at is not null as "revoked!", coalesce(display_name, branch.user_id::text) as "name!"
                     from branch left join profiles on profiles.community_id = $1 and profiles.user_id = branch.user_id
                    order by path limit $4"#,
                self.community.uuid(),
                root.map(UserId::stored),
                badge.as_str(),
                MAX_LINEAGE
            )
            .fetch_all(&mut *self.connection)
        )?;
        let entries = rows.into_iter().map(|row| {
            Ok(BadgeLineageEntry {
                user: Column("badges", "user_id").user(row.user_id)?,
                name: row.name,
                from: row
                    .came_from
                    .map(|by| Column("badges", "awarded_by").user(by))
                    .transpose()?,
                depth: Column("badges", "depth").count(i64::from(row.depth))?,
                awarded_at: row.awarded_at,
                revoked: row.revoked,
            })
        });
        Ok(with_holders_below(entries.collect::<Result<_, DbError>>()?))
    }

    /// Revokes the badge of a member and every badge that was shared from it. Returns the members who lost it.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn revoke_branch(
        &mut self,
        member: UserId,
        badge: &BadgeId,
        by: UserId,
        reason: &str,
    ) -> Result<Vec<UserId>, DbError> {
        // A share locks the badge that it comes from: the next statement sees the badges of every share before this one.
        named!(
            "badge.lock_held",
            sqlx::query!(
                "select badge_id from badges where community_id = $1 and badge = $2 and revoked_at is null
                  order by badge_id for update",
                self.community.uuid(),
                badge.as_str()
            )
            .fetch_all(&mut *self.connection)
        )?;
        let users = named!(
            "badge.revoke_branch",
            sqlx::query_scalar!(
                "with recursive branch as (
                     select badge_id from badges
                      where community_id = $1 and user_id = $2 and badge = $3 and revoked_at is null
                     union all
                     select next.badge_id
                       from branch join badges next on next.community_id = $1 and next.shared_from = branch.badge_id)
                 update badges set revoked_at = now(), revoked_by = $4, revoke_reason = $5 from branch
                  where badges.community_id = $1 and badges.badge_id = branch.badge_id and badges.revoked_at is null
                 returning badges.user_id",
                self.community.uuid(),
                member.stored(),
                badge.as_str(),
                by.stored(),
                reason
            )
            .fetch_all(&mut *self.connection)
        )?;
        users
            .into_iter()
            .map(|user| Column("badges", "user_id").user(user))
            .collect()
    }
}

/// Removes revoked entries that have no holder below them. `entries` are depth first.
fn with_holders_below(entries: Vec<BadgeLineageEntry>) -> Vec<BadgeLineageEntry> {
    let mut kept: Vec<BadgeLineageEntry> = Vec::with_capacity(entries.len());
    // From the end: the entry that was kept last is below this one if it is deeper, since all entries above a kept one are kept.
    for entry in entries.into_iter().rev() {
        let has_holder_below = kept.last().is_some_and(|next| next.depth > entry.depth);
        if !entry.revoked || has_holder_below {
            kept.push(entry);
        }
    }
    kept.reverse();
    kept
}
