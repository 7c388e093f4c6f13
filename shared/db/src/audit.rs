//! Who did what and why. Append-only: the schema refuses everything else, to every login.

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::row::Column;
use crate::{DbError, GlobalTx, TenantTx, UserId, measure::named};

/// Who acted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A member of the community, admins among them.
    Member(UserId),
    /// Somebody who runs the platform, by name.
    Operator(String),
    /// A part of the platform by itself: `tier-sync`.
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
            _ => Err(Column("audit_log", "actor_kind").corrupt(kind, "no such kind of actor")),
        }
    }
}

/// An entry to write.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAuditEntry<'a> {
    /// Who acted.
    pub actor: Actor,
    /// What was done, in dotted lower case: `badge.revoke`.
    pub action: &'a str,
    /// To whom or what: a user id, a job id.
    pub subject: &'a str,
    /// Why, where somebody said so.
    pub reason: Option<&'a str>,
    /// What else is worth knowing; an object.
    pub detail: Value,
}

/// An entry as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// When.
    pub at: OffsetDateTime,
    /// Who acted.
    pub actor: Actor,
    /// What was done.
    pub action: String,
    /// To whom or what.
    pub subject: String,
    /// Why.
    pub reason: Option<String>,
    /// What else is worth knowing.
    pub detail: Value,
}

impl TenantTx {
    /// Writes an entry in the transaction of what it tells of.
    ///
    /// # Errors
    /// When the database is away, or the action is not written as it should be.
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

    /// The latest entries, the newest first.
    ///
    /// # Errors
    /// When the database is away or a row is corrupt.
    pub async fn audit_entries(&mut self, limit: u32) -> Result<Vec<AuditEntry>, DbError> {
        let rows = named!(
            "audit.list",
            sqlx::query!(
                "select at, actor_kind, actor, action, subject, reason, detail from audit_log
                  where community_id = $1 order by at desc, entry_id desc limit $2",
                self.community.uuid(),
                i64::from(limit)
            )
            .fetch_all(&mut *self.transaction)
        )?;
        rows.into_iter()
            .map(|row| {
                Ok(AuditEntry {
                    at: row.at,
                    actor: Actor::parse(&row.actor_kind, row.actor)?,
                    action: row.action,
                    subject: row.subject,
                    reason: row.reason,
                    detail: row.detail,
                })
            })
            .collect()
    }
}

impl GlobalTx {
    /// Writes an entry about what belongs to no community.
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
