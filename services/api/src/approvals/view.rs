//! An approval as the api returns it.

use arrakis_contracts::approvals::{
    ApprovalDecisionView, ApprovalStateName, ApprovalView, PlanVerdict, SignedApproval,
};
use arrakis_db::{Approval, ApprovalState, ApprovalVerdict};

/// The body of an approval.
pub(crate) fn view(approval: Approval) -> ApprovalView {
    ApprovalView {
        id: approval.id,
        plan_sha256: approval.plan_digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        verdict: match approval.verdict {
            ApprovalVerdict::Passed => PlanVerdict::Passed,
            ApprovalVerdict::NeedsApproval => PlanVerdict::NeedsApproval,
        },
        risk_score: approval.risk_score,
        needs_mfa: approval.needs_mfa,
        state: match approval.state {
            ApprovalState::Pending => ApprovalStateName::Pending,
            ApprovalState::Approved => ApprovalStateName::Approved,
            ApprovalState::Rejected => ApprovalStateName::Rejected,
            ApprovalState::Lapsed => ApprovalStateName::Lapsed,
        },
        submitted_at: approval.created_at,
        expires_at: approval.expires_at,
        decision: approval.decision.map(|decision| ApprovalDecisionView {
            by: decision.actor,
            via: decision.via.to_string(),
            second_factor: decision.second_factor,
            at: decision.at,
        }),
        signed: approval.signature.map(|signed| SignedApproval {
            record: String::from_utf8_lossy(&signed.record).into_owned(),
            algorithm: signed.signature.algorithm.name().to_owned(),
            key: signed.signature.key,
            version: signed.signature.version,
            value: signed.signature.value,
        }),
        title: approval.title,
        risk_reasons: approval.risk_reasons,
        requester: approval.requester,
    }
}
