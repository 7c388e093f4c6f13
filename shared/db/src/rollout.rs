//! The share of servers whose events the stable workers hand over to the canary workers.

use time::OffsetDateTime;

use crate::column::Column;
use crate::{Database, DbError, GlobalTx, named_query::named};

/// The share of the canary, and whether a canary worker serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryShare {
    /// Percent of the servers, 0 to 100.
    pub percent: u8,
    /// Who changed it last.
    pub changed_by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub changed_at: OffsetDateTime,
    /// Whether a canary worker has reported within the last seconds.
    pub is_served: bool,
}

impl Database {
    /// The share of the canary.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn canary_share(&self) -> Result<CanaryShare, DbError> {
        let mut connection = self.connection("rollout.canary_share").await?;
        let row = named!(
            "rollout.canary_share",
            sqlx::query!(
                r#"select share, changed_by, reason, changed_at,
                          coalesce(seen_at > now() - interval '4 seconds', false) as "is_served!"
                     from rollouts join rollout_reports using (name) where name = 'canary'"#
            )
            .fetch_one(&mut *connection)
        )?;
        connection.release();
        Ok(CanaryShare {
            percent: Column("rollouts", "share").count(i64::from(row.share))?,
            changed_by: row.changed_by,
            reason: row.reason,
            changed_at: row.changed_at,
            is_served: row.is_served,
        })
    }

    /// Reports that a canary worker serves.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn report_canary(&self) -> Result<(), DbError> {
        let mut connection = self.connection("rollout.report_canary").await?;
        named!(
            "rollout.report_canary",
            sqlx::query!("update rollout_reports set seen_at = now() where name = 'canary'").execute(&mut *connection)
        )?;
        connection.release();
        Ok(())
    }
}

impl GlobalTx {
    /// Sets the share of the canary, in percent of the servers. The transaction must have the admin login.
    ///
    /// # Errors
    /// When the database is unavailable, or the percentage is above 100.
    pub async fn set_canary_share(&mut self, percent: u8, by: &str, reason: &str) -> Result<(), DbError> {
        named!(
            "rollout.set_canary_share",
            sqlx::query!(
                "update rollouts set share = $1, changed_by = $2, reason = $3, changed_at = now() where name = 'canary'",
                i16::from(percent),
                by,
                reason
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }

    /// As [`GlobalTx::set_canary_share`], unless the share was changed after it was read. Returns whether it was set.
    ///
    /// # Errors
    /// As [`GlobalTx::set_canary_share`].
    pub async fn replace_canary_share(
        &mut self,
        read: &CanaryShare,
        percent: u8,
        by: &str,
        reason: &str,
    ) -> Result<bool, DbError> {
        let done = named!(
            "rollout.replace_canary_share",
            sqlx::query!(
                "update rollouts set share = $1, changed_by = $2, reason = $3, changed_at = now()
                  where name = 'canary' and changed_at = $4",
                i16::from(percent),
                by,
                reason,
                read.changed_at
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(done.rows_affected() == 1)
    }
}
