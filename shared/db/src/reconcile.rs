//! Reports of reconciles, and changes of the rule set with their grace periods.

use arrakis_domain::RuleSetId;
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::column::Column;
use crate::{CommunityId, DbError, TenantTx, UserId, named_query::named};

/// The report of a reconcile.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredReport {
    /// Id of the job.
    pub job: String,
    /// When the reconcile ended.
    pub finished_at: OffsetDateTime,
    /// The report, as JSON.
    pub report: Value,
}

/// A change of the rule set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleChange {
    /// Its id.
    pub id: Uuid,
    /// The rule set that it puts into force.
    pub rule_set: RuleSetId,
    /// The admin.
    pub requested_by: UserId,
    /// When the admin confirmed it.
    pub requested_at: OffsetDateTime,
    /// When it takes effect.
    pub effective_at: OffsetDateTime,
}

/// How a pending change of the rule set ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleChangeEnd {
    /// The rule set is in force.
    Applied,
    /// An admin cancelled it.
    Cancelled,
}

impl RuleChangeEnd {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Queries about a community's reports of reconciles.
#[derive(Debug)]
pub struct ReconcileReports<'a> {
    connection: &'a mut PgConnection,
    community: CommunityId,
}

/// Queries about a community's changes of the rule set.
#[derive(Debug)]
pub struct RuleChanges<'a> {
    connection: &'a mut PgConnection,
    community: CommunityId,
}

impl TenantTx {
    /// Queries about reports of reconciles.
    pub fn reconcile_reports(&mut self) -> ReconcileReports<'_> {
        ReconcileReports {
            community: self.community,
            connection: &mut self.transaction,
        }
    }

    /// Queries about changes of the rule set.
    pub fn rule_changes(&mut self) -> RuleChanges<'_> {
        RuleChanges {
            community: self.community,
            connection: &mut self.transaction,
        }
    }
}

impl ReconcileReports<'_> {
    /// Stores the report of a job, in place of one of an earlier attempt.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn put(&mut self, job: &str, finished_at: OffsetDateTime, report: &Value) -> Result<(), DbError> {
        named!(
            "reconcile_report.put",
            sqlx::query!(
                "insert into reconcile_reports (community_id, job_id, finished_at, report) values ($1, $2, $3, $4)
                 on conflict (community_id, job_id)
                 do update set finished_at = excluded.finished_at, report = excluded.report",
                self.community.uuid(),
                job,
                finished_at,
                report
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// The report of a job; `None` while it runs.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn get(&mut self, job: &str) -> Result<Option<StoredReport>, DbError> {
        named!(
            "reconcile_report.get",
            sqlx::query_as!(
                StoredReport,
                "select job_id as job, finished_at, report from reconcile_reports where community_id = $1 and job_id = $2",
                self.community.uuid(),
                job
            )
            .fetch_optional(&mut *self.connection)
        )
    }

    /// The latest report.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn latest(&mut self) -> Result<Option<StoredReport>, DbError> {
        named!(
            "reconcile_report.latest",
            sqlx::query_as!(
                StoredReport,
                "select job_id as job, finished_at, report from reconcile_reports
                  where community_id = $1 order by finished_at desc limit 1",
                self.community.uuid()
            )
            .fetch_optional(&mut *self.connection)
        )
    }

    /// Deletes reports of reconciles that ended before `before`; returns how many.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn prune(&mut self, before: OffsetDateTime) -> Result<u64, DbError> {
        let done = named!(
            "reconcile_report.prune",
            sqlx::query!(
                "delete from reconcile_reports where community_id = $1 and finished_at < $2",
                self.community.uuid(),
                before
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected())
    }
}

struct Row {
    change_id: Uuid,
    rule_set: String,
    requested_by: i64,
    requested_at: OffsetDateTime,
    effective_at: OffsetDateTime,
}

impl TryFrom<Row> for RuleChange {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let column = |name| Column("rule_changes", name);
        Ok(Self {
            id: row.change_id,
            rule_set: column("rule_set").parse(&row.rule_set)?,
            requested_by: UserId::try_from(row.requested_by)
                .map_err(|why| column("requested_by").corrupt(row.requested_by, why))?,
            requested_at: row.requested_at,
            effective_at: row.effective_at,
        })
    }
}

impl RuleChanges<'_> {
    /// Stores a change, which replaces a pending one.
    ///
    /// # Errors
    /// When the database is unavailable. A conflict for an id that exists, and when two are stored at the same time.
    pub async fn announce(&mut self, change: &RuleChange) -> Result<(), DbError> {
        named!(
            "rule_change.replace",
            sqlx::query!(
                "update rule_changes set state = 'replaced' where community_id = $1 and state = 'announced'",
                self.community.uuid()
            )
            .execute(&mut *self.connection)
        )?;
        named!(
            "rule_change.announce",
            sqlx::query!(
                "insert into rule_changes (community_id, change_id, rule_set, requested_by, requested_at, effective_at)
                 values ($1, $2, $3, $4, $5, $6)",
                self.community.uuid(),
                change.id,
                change.rule_set.as_str(),
                change.requested_by.stored(),
                change.requested_at,
                change.effective_at
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// The pending change; `None` if there is none.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn pending(&mut self) -> Result<Option<RuleChange>, DbError> {
        let row = named!(
            "rule_change.pending",
            sqlx::query_as!(
                Row,
                "select change_id, rule_set, requested_by, requested_at, effective_at from rule_changes
                  where community_id = $1 and state = 'announced'",
                self.community.uuid()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        row.map(RuleChange::try_from).transpose()
    }

    /// Ends a pending change. False when it is not pending.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn end(&mut self, change: Uuid, end: RuleChangeEnd) -> Result<bool, DbError> {
        let done = named!(
            "rule_change.end",
            sqlx::query!(
                "update rule_changes set state = $3
                  where community_id = $1 and change_id = $2 and state = 'announced'",
                self.community.uuid(),
                change,
                end.as_str()
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() == 1)
    }
}
