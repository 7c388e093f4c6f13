//! Notices for Telegram accounts: what happened outside of their chats. Written in the transaction of what they report, taken by
//! `arrakis-telegram` by way of the api, and deleted once they are shown.
//!
//! `take` leases a notice to its caller: no other call returns it until the lease ends. A notice of a process that ends is taken again
//! after that.

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::column::Column;
use crate::registry::TelegramUserId;
use crate::{DbError, GlobalTx, TenantTx, named_query::named};

/// A notice to store.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTelegramNotice {
    /// Its id: a second notice with the same id is not stored.
    pub id: Uuid,
    /// The Telegram account to which it is shown.
    pub user: TelegramUserId,
    /// What happened: JSON of `arrakis_contracts::telegram::TelegramNotice`.
    pub payload: Value,
    /// When it happened.
    pub created_at: OffsetDateTime,
    /// It is not shown later than this.
    pub expires_at: OffsetDateTime,
}

/// A notice that [`TelegramNotices::take`] has leased to the caller.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTelegramNotice {
    /// Its id.
    pub id: Uuid,
    /// The Telegram account to which it is shown.
    pub user: TelegramUserId,
    /// What happened: JSON of `arrakis_contracts::telegram::TelegramNotice`.
    pub payload: Value,
}

/// Queries about notices for Telegram accounts.
#[derive(Debug)]
pub struct TelegramNotices<'a> {
    connection: &'a mut PgConnection,
}

impl TenantTx {
    /// Queries about notices for Telegram accounts.
    pub fn telegram_notices(&mut self) -> TelegramNotices<'_> {
        TelegramNotices {
            connection: &mut self.transaction,
        }
    }
}

impl GlobalTx {
    /// Queries about notices for Telegram accounts.
    pub fn telegram_notices(&mut self) -> TelegramNotices<'_> {
        TelegramNotices {
            connection: &mut self.transaction,
        }
    }
}

impl TelegramNotices<'_> {
    /// Stores a notice. False when one with this id exists.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn add(&mut self, notice: &NewTelegramNotice) -> Result<bool, DbError> {
        let added = named!(
            "telegram_notice.add",
            sqlx::query!(
                "insert into telegram_notices (notice_id, telegram_user_id, payload, created_at, expires_at)
                 values ($1, $2, $3, $4, $5) on conflict (notice_id) do nothing",
                notice.id,
                notice.user.get(),
                notice.payload,
                notice.created_at,
                notice.expires_at
            )
            .execute(&mut *self.connection)
        )?;
        Ok(added.rows_affected() == 1)
    }

    /// Leases the oldest notices that are not leased, at most `limit`, until `leased_until`. Deletes those that have expired. Of the
    /// notices about one session for one account, a later one is leased only after the earlier one was deleted or has expired.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn take(
        &mut self,
        limit: u32,
        now: OffsetDateTime,
        leased_until: OffsetDateTime,
    ) -> Result<Vec<StoredTelegramNotice>, DbError> {
        named!(
            "telegram_notice.prune",
            sqlx::query!("delete from telegram_notices where expires_at <= $1", now).execute(&mut *self.connection)
        )?;
        let rows = named!(
            "telegram_notice.take",
            sqlx::query!(
                r#"with next as (
                       select n.notice_id from telegram_notices n
                        where n.expires_at > $1 and (n.taken_until is null or n.taken_until <= $1)
                          and not exists (
                              select from telegram_notices e
                               where e.telegram_user_id = n.telegram_user_id
                                 and e.payload->>'session' = n.payload->>'session'
                                 and e.created_at < n.created_at and e.expires_at > $1)
                        order by n.created_at, n.notice_id limit $2 for update of n skip locked),
                   taken as (
                       update telegram_notices n set taken_until = $3 from next where n.notice_id = next.notice_id
                       returning n.notice_id, n.telegram_user_id, n.payload, n.created_at)
                   select notice_id as "notice_id!", telegram_user_id as "telegram_user_id!", payload as "payload!"
                     from taken order by created_at, notice_id"#,
                now,
                i64::from(limit),
                leased_until
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter()
            .map(|row| {
                let column = Column("telegram_notices", "telegram_user_id");
                let user = TelegramUserId::new(row.telegram_user_id)
                    .map_err(|why| column.corrupt(row.telegram_user_id, why))?;
                Ok(StoredTelegramNotice {
                    id: row.notice_id,
                    user,
                    payload: row.payload,
                })
            })
            .collect()
    }

    /// Deletes a notice that was shown. False when it is not there.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn delete(&mut self, notice: Uuid) -> Result<bool, DbError> {
        let deleted = named!(
            "telegram_notice.delete",
            sqlx::query!("delete from telegram_notices where notice_id = $1", notice).execute(&mut *self.connection)
        )?;
        Ok(deleted.rows_affected() == 1)
    }
}
