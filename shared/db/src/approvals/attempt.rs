//! An attempt of a person to decide: what is refused is refused for every service alike. The own request and a code that is not accepted are recorded
//! as `REFUSED`; [`DecisionOutcome::Ended`], [`DecisionOutcome::NeedsCode`] and [`DecisionOutcome::Unknown`] are not.

use arrakis_security::mfa::{ProtectedOperation, SecretCipher};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Approval, ApprovalActor, ApprovalState};
use crate::mfa::{self, MfaOutcome};
use crate::{Actor, DbError, GlobalTx, NewAuditEntry, UserId};

/// What a person wants to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionAttempt<'a> {
    /// The approval.
    pub approval: Uuid,
    /// Whether the person approves it; else rejects.
    pub approves: bool,
    /// Who decides.
    pub actor: ApprovalActor<'a>,
}

/// A code of a second factor, as the person typed it.
#[derive(Clone, Copy, Debug)]
pub struct DecisionCode<'a> {
    /// Opens the secrets of enrolments.
    pub cipher: &'a SecretCipher,
    /// The Discord account whose second factor it is.
    pub user: UserId,
    /// The typed text.
    pub code: &'a str,
    /// The present time.
    pub now: OffsetDateTime,
}

/// What an attempt led to.
#[derive(Clone, Debug, PartialEq)]
pub enum DecisionOutcome {
    /// This attempt decided.
    Decided(Box<Approval>),
    /// The approval was decided before, or its time is over.
    Ended(Box<Approval>),
    /// The person is the requester.
    OwnRequest(Box<Approval>),
    /// The approval needs a second factor, and the attempt had none.
    NeedsCode(Box<Approval>),
    /// The code was not accepted.
    CodeRefused(MfaOutcome),
    /// There is no such approval.
    Unknown,
}

impl GlobalTx {
    /// Decides about an approval, with an entry in the audit log. A repeated attempt changes nothing. Commit it whatever the outcome is: the
    /// refusal is recorded, and so is the use of a code.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn attempt_decision(
        &mut self,
        attempt: DecisionAttempt<'_>,
        code: Option<DecisionCode<'_>>,
    ) -> Result<DecisionOutcome, DbError> {
        let Some(approval) = self.approvals().get(attempt.approval).await? else {
            return Ok(DecisionOutcome::Unknown);
        };
        if approval.state != ApprovalState::Pending {
            return Ok(DecisionOutcome::Ended(Box::new(approval)));
        }
        if approval.requester.eq_ignore_ascii_case(attempt.actor.name) {
            self.refuse(&attempt, "own request").await?;
            return Ok(DecisionOutcome::OwnRequest(Box::new(approval)));
        }
        let needs_code = attempt.approves && approval.needs_mfa;
        let second_factor = match code {
            _ if !needs_code => false,
            None => return Ok(DecisionOutcome::NeedsCode(Box::new(approval))),
            Some(code) => match self.check_code(&code).await? {
                MfaOutcome::Accepted => true,
                refused => {
                    self.refuse(&attempt, "second factor").await?;
                    return Ok(DecisionOutcome::CodeRefused(refused));
                }
            },
        };
        let decided = self
            .approvals()
            .decide(attempt.approval, attempt.approves, attempt.actor, second_factor)
            .await?;
        let Some(approval) = self.approvals().get(attempt.approval).await? else {
            return Ok(DecisionOutcome::Unknown);
        };
        if !decided {
            return Ok(DecisionOutcome::Ended(Box::new(approval)));
        }
        self.audit(&NewAuditEntry {
            actor: Actor::Operator(attempt.actor.name.to_owned()),
            action: if attempt.approves {
                "approval.approve"
            } else {
                "approval.reject"
            },
            subject: &attempt.approval.to_string(),
            reason: None,
            detail: json!({
                "via": attempt.actor.via.as_str(), "account": attempt.actor.account, "mfa": second_factor,
                "requester": approval.requester, "risk_score": approval.risk_score,
            }),
        })
        .await?;
        Ok(DecisionOutcome::Decided(Box::new(approval)))
    }

    async fn check_code(&mut self, code: &DecisionCode<'_>) -> Result<MfaOutcome, DbError> {
        let operation = ProtectedOperation::HighRiskApproval;
        mfa::verify(self, code.cipher, code.user, code.code, operation, code.now).await
    }

    async fn refuse(&mut self, attempt: &DecisionAttempt<'_>, reason: &str) -> Result<(), DbError> {
        self.approvals()
            .record_refusal(attempt.approval, attempt.actor, reason)
            .await
    }
}
