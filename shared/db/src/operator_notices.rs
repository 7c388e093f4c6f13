//! Notices to the operators of the platform, until they are sent.
//!
//! A notice is stored in the transaction of what it is about, once for each destination. A process takes it before it sends it, and deletes
//! it afterwards. One that was taken is not taken again, since the process may have sent it before it was killed: it is sent at most once.

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::{CommunityId, DbError, TenantTx, named_query::named};

/// A notice that this process has taken, and sends.
#[derive(Clone, Debug, PartialEq)]
pub struct TakenNotice {
    /// Its id.
    pub id: String,
    /// The notice, as JSON.
    pub notice: Value,
}

/// A notice that was deleted without a known end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostNotice {
    /// Its id.
    pub id: String,
    /// Whether a process had taken it, and may have sent it.
    pub was_taken: bool,
}

/// Queries about the notices of a community.
#[derive(Debug)]
pub struct OperatorNotices<'a> {
    connection: &'a mut PgConnection,
    community: CommunityId,
}

impl TenantTx {
    /// Queries about the notices to operators about this community.
    pub fn operator_notices(&mut self) -> OperatorNotices<'_> {
        OperatorNotices {
            community: self.community,
            connection: &mut self.transaction,
        }
    }
}

impl OperatorNotices<'_> {
    /// Stores a notice to send. One with this id and destination that is not sent yet stays as it is.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn put(
        &mut self,
        id: &str,
        destination: &str,
        notice: &Value,
        now: OffsetDateTime,
    ) -> Result<(), DbError> {
        named!(
            "operator_notice.put",
            sqlx::query!(
                "insert into operator_notices (community_id, notice_id, destination, notice, created_at)
                 values ($1, $2, $3, $4, $5) on conflict do nothing",
                self.community.uuid(),
                id,
                destination,
                notice,
                now
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Takes notices to send, the oldest ones, at most `limit`. To be committed before they are sent.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn take(
        &mut self,
        destination: &str,
        limit: u32,
        now: OffsetDateTime,
    ) -> Result<Vec<TakenNotice>, DbError> {
        let rows = named!(
            "operator_notice.take",
            sqlx::query!(
                r#"with next as (
                       select notice_id from operator_notices
                        where community_id = $1 and destination = $2 and taken_at is null
                        order by created_at, notice_id limit $3 for update skip locked)
                   update operator_notices n set taken_at = $4 from next
                    where n.community_id = $1 and n.destination = $2 and n.notice_id = next.notice_id
                   returning n.notice_id as "notice_id!", n.notice as "notice!""#,
                self.community.uuid(),
                destination,
                i64::from(limit),
                now
            )
            .fetch_all(&mut *self.connection)
        )?;
        Ok(rows
            .into_iter()
            .map(|row| TakenNotice {
                id: row.notice_id,
                notice: row.notice,
            })
            .collect())
    }

    /// Gives notices back that this process has taken and that were certainly not sent.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn give_back(&mut self, destination: &str, ids: &[String]) -> Result<(), DbError> {
        named!(
            "operator_notice.give_back",
            sqlx::query!(
                "update operator_notices set taken_at = null
                  where community_id = $1 and destination = $2 and notice_id = any($3)",
                self.community.uuid(),
                destination,
                ids
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Deletes notices that were sent, or never will be.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn delete(&mut self, destination: &str, ids: &[String]) -> Result<(), DbError> {
        named!(
            "operator_notice.delete",
            sqlx::query!(
                "delete from operator_notices where community_id = $1 and destination = $2 and notice_id = any($3)",
                self.community.uuid(),
                destination,
                ids
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Deletes notices to a destination that were stored before `stored_before`, or taken before `taken_before`; returns them.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn prune(
        &mut self,
        destination: &str,
        stored_before: OffsetDateTime,
        taken_before: OffsetDateTime,
    ) -> Result<Vec<LostNotice>, DbError> {
        let rows = named!(
            "operator_notice.prune",
            sqlx::query!(
                r#"delete from operator_notices
                    where community_id = $1 and destination = $2 and (created_at < $3 or taken_at < $4)
                   returning notice_id, taken_at is not null as "was_taken!""#,
                self.community.uuid(),
                destination,
                stored_before,
                taken_before
            )
            .fetch_all(&mut *self.connection)
        )?;
        Ok(rows
            .into_iter()
            .map(|row| LostNotice {
                id: row.notice_id,
                was_taken: row.was_taken,
            })
            .collect())
    }
}
