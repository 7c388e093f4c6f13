//! The record of a decided approval, and its signature.

use arrakis_security::signing::Signature;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::{Approval, Approvals};
use crate::{DbError, named_query::named};

/// A record with its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalSignature {
    /// The record, as it was signed.
    pub record: Vec<u8>,
    /// The signature.
    pub signature: Signature,
}

/// The fields of a record, in their order. A new version has another `record`.
#[derive(Serialize)]
struct Record<'a> {
    record: &'static str,
    approval: Uuid,
    title: &'a str,
    plan_sha256: String,
    verdict: &'static str,
    risk_score: u8,
    requester: &'a str,
    submitted_by: &'a str,
    needs_mfa: bool,
    submitted_at: String,
    state: &'static str,
    decided_by: &'a str,
    via: &'static str,
    account: &'a str,
    second_factor: bool,
    decided_at: String,
}

impl Approval {
    /// The record of the decision, whose bytes are signed: JSON. `None` while it is pending; a lapsed approval has a record too.
    #[must_use]
    pub fn record(&self) -> Option<Vec<u8>> {
        let decision = self.decision.as_ref()?;
        let time = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_else(|_| at.to_string());
        let record = Record {
            record: "arrakis-approval-v1",
            approval: self.id,
            title: &self.title,
            plan_sha256: self.plan_digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            verdict: self.verdict.as_str(),
            risk_score: self.risk_score,
            requester: &self.requester,
            submitted_by: &self.submitted_by,
            needs_mfa: self.needs_mfa,
            submitted_at: time(self.created_at),
            state: self.state.as_str(),
            decided_by: &decision.actor,
            via: decision.via.as_str(),
            account: &decision.account,
            second_factor: decision.second_factor,
            decided_at: time(decision.at),
        };
        // Texts, numbers and booleans always serialise.
        serde_json::to_vec(&record).ok()
    }
}

impl Approvals<'_> {
    /// Decided approvals without a signature, the oldest first, at most `limit`. A decision without its entry in the platform's audit log is none of
    /// them: [`GlobalTx::attempt_decision`](crate::GlobalTx::attempt_decision) writes both in one transaction, so somebody has written the event alone.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn unsigned(&mut self, limit: u32) -> Result<Vec<Uuid>, DbError> {
        named!(
            "approval.unsigned",
            sqlx::query_scalar!(
                "select a.approval_id from approvals a
                   join approval_events e
                     on e.approval_id = a.approval_id and e.event_type in ('APPROVED', 'REJECTED', 'LAPSED')
                  where a.state <> 'pending'
                    and not exists (select from approval_signatures s where s.approval_id = a.approval_id)
                    and (e.event_type = 'LAPSED' or exists (
                        select from platform_audit_log l
                         where l.at between e.occurred_at - interval '15 minutes' and e.occurred_at
                           and l.subject = a.approval_id::text
                           and l.action = case e.event_type when 'APPROVED' then 'approval.approve' else 'approval.reject' end
                           and l.actor_kind = 'operator' and l.actor = e.actor
                           and l.detail ->> 'account' = e.account and l.detail ->> 'via' = e.via
                           and l.detail -> 'mfa' = to_jsonb(e.second_factor)))
                  order by a.created_at, a.approval_id limit $1",
                i64::from(limit)
            )
            .fetch_all(&mut *self.connection)
        )
    }

    /// Stores the signature of the record of an approval. False when there is one: it stays.
    ///
    /// # Errors
    /// When the database is unavailable, or the approval is not decided.
    pub async fn put_signature(&mut self, id: Uuid, signed: &ApprovalSignature) -> Result<bool, DbError> {
        let ApprovalSignature { record, signature } = signed;
        let version = i32::try_from(signature.version).unwrap_or(i32::MAX);
        let stored = named!(
            "approval.put_signature",
            sqlx::query!(
                "insert into approval_signatures (approval_id, record, algorithm, key_id, key_version, signature)
                 values ($1, $2, $3, $4, $5, $6) on conflict (approval_id) do nothing",
                id,
                record.as_slice(),
                signature.algorithm.name(),
                signature.key,
                version,
                signature.value
            )
            .execute(&mut *self.connection)
        )?;
        Ok(stored.rows_affected() == 1)
    }
}
