//! The audit log: who changed what, and why. Append-only: the schema refuses updates and deletes to every login.

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::column::Column;
use crate::{DbError, GlobalTx, TenantTx, UserId, named_query::named};

/// Who made a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A member of the community, which may be an admin.
    Member(UserId),
    /// An operator of the platform, by name.
    Operator(String),
    /// A part of the platform: `tier-sync`.
    System(String),
}

impl Actor {
    fn columns(&self) -> (&'static str, String) {
        match self {
            Self::Member(user) => ("member", user.to_string()),
            Self::Operator(name) => ("operator", name.clone()),
            Self::System(part) => ("system", part.clone()),
        }
    }

    fn parse(kind: &str, actor: String) -> Result<Self, DbError> {
        match kind {
            "member" => Column("audit_log", "actor").parse(&actor).map(Self::Member),
            "operator" => Ok(Self::Operator(actor)),
            "system" => Ok(Self::System(actor)),
            _ => Err(Column("audit_log", "actor_kind").corrupt(kind, "unknown kind of actor")),
        }
    }
}

/// An audit entry to write.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAuditEntry<'a> {
    /// Who made the change.
    pub actor: Actor,
    /// The action, in dotted lower case: `badge.revoke`.
    pub action: &'a str,
    /// What was changed: a user id, a job id.
    pub subject: &'a str,
    /// The reason, if one was given.
    pub reason: Option<&'a str>,
    /// Further details, a JSON object.
    pub detail: Value,
}

/// An audit entry as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// When the change was made.
    pub at: OffsetDateTime,
    /// Who made the change.
    pub actor: Actor,
    /// The action.
    pub action: String,
    /// What was changed.
    pub subject: String,
    /// The reason, if one was given.
    pub reason: Option<String>,
    /// Further details, a JSON object.
    pub detail: Value,
}

/// A row of `audit_log` or `platform_audit_log`.
struct AuditRow {
    at: OffsetDateTime,
    actor_kind: String,
    actor: String,
    action: String,
    subject: String,
    reason: Option<String>,
    detail: Value,
}

impl TryFrom<AuditRow> for AuditEntry {
    type Error = DbError;

    fn try_from(row: AuditRow) -> Result<Self, DbError> {
        Ok(Self {
            at: row.at,
            actor: Actor::parse(&row.actor_kind, row.actor)?,
            action: row.action,
            subject: row.subject,
            reason: row.reason,
            detail: row.detail,
        })
    }
}

impl TenantTx {
    /// Writes an audit entry, in the transaction of the change.
    ///
    /// # Errors
    /// When the database is unavailable, or the action is not in dotted lower case.
    pub async fn audit(&mut self, entry: &NewAuditEntry<'_>) -> Result<(), DbError> {
        let (kind, actor) = entry.actor.columns();
        named!(
            "audit.record",
            sqlx::query!(
                "insert into audit_log (community_id, entry_id, actor_kind, actor, action, subject, reason, detail)
                 values ($1, $2, $3, $4, $5, $6, $7, $8)",
                self.community.uuid(),
                Uuid::now_v7(),
                kind,
                actor,
                entry.action,
                entry.subject,
                entry.reason,
                entry.detail
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }

    /// The latest audit entries, newest first.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn audit_entries(&mut self, limit: u32) -> Result<Vec<AuditEntry>, DbError> {
        let rows = named!(
            "audit.list",
            sqlx::query_as!(
                AuditRow,
                "select at, actor_kind, actor, action, subject, reason, detail from audit_log
                  where community_id = $1 order by at desc, entry_id desc limit $2",
                self.community.uuid(),
                i64::from(limit)
            )
            .fetch_all(&mut *self.transaction)
        )?;
        rows.into_iter().map(AuditEntry::try_from).collect()
    }
}

impl GlobalTx {
    /// The latest audit entries without a community, newest first.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn platform_audit_entries(&mut self, limit: u32) -> Result<Vec<AuditEntry>, DbError> {
        let rows = named!(
            "platform_audit.list",
            sqlx::query_as!(
                AuditRow,
                "select at, actor_kind, actor, action, subject, reason, detail from platform_audit_log
                  order by at desc, entry_id desc limit $1",
                i64::from(limit)
            )
            .fetch_all(&mut *self.transaction)
        )?;
        rows.into_iter().map(AuditEntry::try_from).collect()
    }

    /// Writes an audit entry about a change without a community.
    ///
    /// # Errors
    /// As [`TenantTx::audit`].
    pub async fn audit(&mut self, entry: &NewAuditEntry<'_>) -> Result<(), DbError> {
        let (kind, actor) = entry.actor.columns();
        named!(
            "platform_audit.record",
            sqlx::query!(
                "insert into platform_audit_log (entry_id, actor_kind, actor, action, subject, reason, detail)
                 values ($1, $2, $3, $4, $5, $6, $7)",
                Uuid::now_v7(),
                kind,
                actor,
                entry.action,
                entry.subject,
                entry.reason,
                entry.detail
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }
}
