//! What changed in a week, for the digest.

use arrakis_domain::BadgeId;
use serde_json::Value;
use time::OffsetDateTime;

use super::{Posts, count};
use crate::column::Column;
use crate::{AlertEvent, DbError, named_query::named};

/// A member whose rank changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankMove {
    /// The member's name.
    pub display_name: String,
    /// The rank before the first change; `None` without one.
    pub before: Option<u32>,
    /// The rank after the last change; `None` without one.
    pub after: Option<u32>,
}

/// A badge that members were awarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwardedBadge {
    /// The badge.
    pub badge: BadgeId,
    /// Names of those who were awarded it and do not hide, the earliest first; at most ten.
    pub names: Vec<String>,
    /// Number of members who were awarded it.
    pub count: u32,
}

impl Posts<'_> {
    /// The present members who do not hide and whose rank changed from `from` on and before `to`, by name.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn rank_moves(&mut self, from: OffsetDateTime, to: OffsetDateTime) -> Result<Vec<RankMove>, DbError> {
        let rows = named!(
            "digest.rank_moves",
            sqlx::query!(
                "select p.display_name,
                        (array_agg(e.payload -> 'before' order by e.created_at, e.event_id))[1] as before,
                        (array_agg(e.payload -> 'after' order by e.created_at desc, e.event_id desc))[1] as after
                   from notification_events e
                   join profiles p on p.community_id = e.community_id and p.user_id = e.user_id and p.left_at is null
                         and not p.hidden
                  where e.community_id = $1 and e.kind = 'rank' and e.created_at >= $2 and e.created_at < $3
                  group by p.user_id, p.display_name order by p.display_name, p.user_id",
                self.community.uuid(),
                from,
                to
            )
            .fetch_all(&mut *self.connection)
        )?;
        let moves = rows.into_iter().map(|row| RankMove {
            display_name: row.display_name,
            before: rank(row.before.as_ref()),
            after: rank(row.after.as_ref()),
        });
        Ok(moves.filter(|found| found.before != found.after).collect())
    }

    /// The changes of the entry threshold from `from` on and before `to`, oldest first.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn threshold_changes(
        &mut self,
        from: OffsetDateTime,
        to: OffsetDateTime,
    ) -> Result<Vec<AlertEvent>, DbError> {
        let rows = named!(
            "digest.threshold_changes",
            sqlx::query!(
                "select payload, created_at from notification_events
                  where community_id = $1 and kind = 'threshold' and created_at >= $2 and created_at < $3
                  order by created_at, event_id",
                self.community.uuid(),
                from,
                to
            )
            .fetch_all(&mut *self.connection)
        )?;
        let events = rows.into_iter().map(|row| AlertEvent {
            kind: arrakis_domain::AlertKind::Threshold,
            payload: row.payload,
            at: row.created_at,
        });
        Ok(events.collect())
    }

    /// The badges that present members were awarded from `from` on and before `to` and still hold, those of most members first.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn awarded_badges(
        &mut self,
        from: OffsetDateTime,
        to: OffsetDateTime,
    ) -> Result<Vec<AwardedBadge>, DbError> {
        let rows = named!(
            "digest.awarded_badges",
            sqlx::query!(
                r#"select b.badge, count(*) as "number!",
                          coalesce((array_agg(p.display_name order by b.awarded_at, p.user_id)
                                     filter (where not p.hidden))[1:10], '{}') as "names!"
                     from badges b
                     join profiles p on p.community_id = b.community_id and p.user_id = b.user_id and p.left_at is null
                    where b.community_id = $1 and b.revoked_at is null and b.awarded_at >= $2 and b.awarded_at < $3
                    group by b.badge order by count(*) desc, b.badge"#,
                self.community.uuid(),
                from,
                to
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter()
            .map(|row| {
                Ok(AwardedBadge {
                    badge: Column("badges", "badge").parse(&row.badge)?,
                    names: row.names,
                    count: count("badges", row.number)?,
                })
            })
            .collect()
    }
}

/// The rank of a place as notification events have it.
fn rank(place: Option<&Value>) -> Option<u32> {
    let rank = place?.get("rank")?.as_u64()?;
    u32::try_from(rank).ok()
}
