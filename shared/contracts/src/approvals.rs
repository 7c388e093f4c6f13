//! Bodies of the routes of approvals (`/admin/approvals`) between pipelines and the api.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// The verdict of the policy about a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PlanVerdict {
    /// The policy has no objection.
    Passed,
    /// The policy demands a decision by a person.
    NeedsApproval,
    /// The policy blocks the plan. Nobody can approve it.
    Rejected,
}

/// The state of an approval. All but the first are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ApprovalStateName {
    /// Nobody has decided.
    Pending,
    /// A person has approved the plan.
    Approved,
    /// A person has rejected the plan.
    Rejected,
    /// Nobody has decided in time.
    Lapsed,
}

/// `POST /admin/approvals`: submits a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SubmitApproval {
    /// Id of the approval, which the caller chooses: the same request sent again is the same approval.
    pub request_id: Uuid,
    /// What the plan is about, in a line of at most 200 characters.
    pub title: String,
    /// SHA-256 of the plan, 64 hexadecimal digits. The approval is for this plan only.
    pub plan_sha256: String,
    /// The verdict of the policy.
    pub verdict: PlanVerdict,
    /// Risk score, 0 to 100.
    pub risk_score: u8,
    /// Reasons of the score, at most 50 of at most 300 characters each.
    #[serde(default)]
    pub risk_reasons: Vec<String>,
    /// Summary of the plan without secrets, at most 8,000 characters.
    #[serde(default)]
    pub summary: String,
    /// Who wants the change: a name of `APPROVAL_PEOPLE`.
    pub requester: String,
}

/// An approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ApprovalView {
    /// Its id.
    pub id: Uuid,
    /// What the plan is about.
    pub title: String,
    /// SHA-256 of the plan.
    pub plan_sha256: String,
    /// The verdict of the policy.
    pub verdict: PlanVerdict,
    /// Risk score, 0 to 100.
    pub risk_score: u8,
    /// Reasons of the score.
    pub risk_reasons: Vec<String>,
    /// Who wants the change.
    pub requester: String,
    /// Whether approving it needs a second factor.
    pub needs_mfa: bool,
    /// Its state.
    pub state: ApprovalStateName,
    /// When it was submitted.
    #[serde(with = "time::serde::rfc3339")]
    pub submitted_at: OffsetDateTime,
    /// From when on it cannot be decided.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// The decision; null while there is none.
    pub decision: Option<ApprovalDecisionView>,
    /// The signed record of the decision; null until it is signed.
    pub signed: Option<SignedApproval>,
}

/// The decision about an approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ApprovalDecisionView {
    /// Who decided; `platform` for one that lapsed.
    pub by: String,
    /// Where: `slack`, `discord`, or `platform`.
    pub via: String,
    /// Whether a second factor was given.
    pub second_factor: bool,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// The record of a decision, and its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SignedApproval {
    /// The record, JSON, as it was signed.
    pub record: String,
    /// Algorithm of the signature.
    pub algorithm: String,
    /// Id of the key.
    pub key: String,
    /// Version of the key.
    pub version: u32,
    /// The signature, in base64.
    pub value: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn request_of_the_first_version_is_read_and_unknown_fields_are_refused() {
        let mut body = json!({
            "request_id": "0190b5a2-0000-7000-8000-000000000001", "title": "t", "plan_sha256": "00", "verdict": "needs_approval",
            "risk_score": 7, "requester": "chani",
        });
        let read: SubmitApproval = serde_json::from_value(body.clone()).unwrap();
        assert_eq!((read.verdict, read.risk_reasons.len()), (PlanVerdict::NeedsApproval, 0));
        body["approved"] = json!(true);
        assert!(serde_json::from_value::<SubmitApproval>(body).is_err());
    }
}
