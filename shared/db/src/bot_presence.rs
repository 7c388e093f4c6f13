//! Whether the bot is in the server of a community.
//!
//! Events of the gateway and responses of the API show it, in any order: each has its time, and an older one changes nothing. Without a
//! row the bot is in the server.

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::{CommunityId, DbError, TenantTx, named_query::named};

/// The bot is not in the server of a community.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BotAbsence {
    /// Since when, as far as it is known.
    pub since: OffsetDateTime,
    /// When an event or a response showed it last.
    pub seen_at: OffsetDateTime,
}

/// Queries about the bot in the server of a community.
#[derive(Debug)]
pub struct BotPresence<'a> {
    connection: &'a mut PgConnection,
    community: CommunityId,
}

impl TenantTx {
    /// Queries about the bot in the community's server.
    pub fn bot_presence(&mut self) -> BotPresence<'_> {
        BotPresence {
            community: self.community,
            connection: &mut self.transaction,
        }
    }
}

impl BotPresence<'_> {
    /// The absence of the bot; `None` while it is in the server.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn absence(&mut self) -> Result<Option<BotAbsence>, DbError> {
        let row = named!(
            "bot_presence.absence",
            sqlx::query!(
                r#"select absent_since as "absent_since!", seen_at
                     from bot_presence where community_id = $1 and absent_since is not null"#,
                self.community.uuid()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        Ok(row.map(|row| BotAbsence {
            since: row.absent_since,
            seen_at: row.seen_at,
        }))
    }

    /// Records that the bot was not in the server at this time. True when it was before, as far as it was known.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn record_absent(&mut self, at: OffsetDateTime) -> Result<bool, DbError> {
        let is_new = named!(
            "bot_presence.record_absent",
            sqlx::query_scalar!(
                r#"insert into bot_presence as known (community_id, absent_since, seen_at) values ($1, $2, $2)
                   on conflict (community_id) do update
                      set absent_since = coalesce(known.absent_since, excluded.absent_since), seen_at = excluded.seen_at
                    where known.seen_at < excluded.seen_at
                   returning known.absent_since = known.seen_at as "is_new!""#,
                self.community.uuid(),
                at
            )
            .fetch_optional(&mut *self.connection)
        )?;
        Ok(is_new.unwrap_or(false))
    }

    /// Records that the bot was in the server at this time.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn record_present(&mut self, at: OffsetDateTime) -> Result<(), DbError> {
        named!(
            "bot_presence.record_present",
            sqlx::query!(
                "insert into bot_presence as known (community_id, absent_since, seen_at) values ($1, null, $2)
                 on conflict (community_id) do update set absent_since = null, seen_at = excluded.seen_at
                  where known.seen_at < excluded.seen_at",
                self.community.uuid(),
                at
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }
}
