//! `POST /admin/approvals`: submits a plan.

use arrakis_contracts::approvals::{ApprovalView, PlanVerdict, SubmitApproval};
use arrakis_db::{Approval, ApprovalVerdict, DbError, NewApproval};
use axum::Json;
use axum::extract::State;
use serde_json::json;

use crate::approvals::view;
use crate::authentication::{Allowed, ApprovalsWrite, Caller};
use crate::body::JsonBody;
use crate::caller_tx::Act;
use crate::openapi::{AdminRoute, EveryRoute};
use crate::problem::{Problem, ProblemBody, ProblemKind};
use crate::services::{ApiState, Services};

/// Largest body in bytes: a summary of 8,000 characters and 50 reasons.
const MAX_BODY: usize = 128 << 10;
/// Longest title, in characters.
const MAX_TITLE: usize = 200;
/// Longest summary, in characters.
const MAX_SUMMARY: usize = 8_000;
/// Most reasons.
const MAX_REASONS: usize = 50;
/// Longest reason, in characters.
const MAX_REASON: usize = 300;

/// Submit a plan for approval
///
/// The people of `APPROVAL_PEOPLE` see it at Slack and Discord, and one of them decides within 24 hours. The requester cannot. A plan that the
/// policy rejects is refused: nobody can approve it. Repeating the request with its id is the same approval. Scope `approvals:write`, which needs
/// a key for all communities.
#[utoipa::path(
    post,
    path = "/admin/approvals",
    tag = "approvals",
    request_body = SubmitApproval,
    responses(
        (status = 200, description = "The plan is submitted", body = ApprovalView),
        (status = 400, description = "The body is invalid, or the requester is not in APPROVAL_PEOPLE", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "The policy rejects the plan, or the id of the request is used for another one", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 413, description = "The body is larger than 128 KiB", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "The body is not JSON", body = ProblemBody, content_type = "application/problem+json"),
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn submit_approval(
    Allowed(caller, _): Allowed<ApprovalsWrite>,
    State(services): State<ApiState>,
    JsonBody(request): JsonBody<SubmitApproval, MAX_BODY>,
) -> Result<Json<ApprovalView>, Problem> {
    if services.approvals.people.is_empty() {
        let detail = "approvals are not configured: APPROVAL_PEOPLE of the api is not set";
        return Err(Problem::new(ProblemKind::Unavailable, detail));
    }
    let plan_digest = check(&request)?;
    services.metrics.plan_submitted(request.verdict);
    let verdict = match request.verdict {
        PlanVerdict::Passed => ApprovalVerdict::Passed,
        PlanVerdict::NeedsApproval => ApprovalVerdict::NeedsApproval,
        PlanVerdict::Rejected => {
            let detail = "the policy rejects the plan, and nobody can approve it; change the plan";
            return Err(Problem::new(ProblemKind::PlanBlocked, detail));
        }
    };
    let Some(requester) = services.approvals.people.by_name(&request.requester) else {
        return Err(invalid("requester: APPROVAL_PEOPLE has no person of this name"));
    };
    let submitted_by = caller.name();
    let new = NewApproval {
        id: request.request_id,
        title: request.title.trim(),
        plan_digest,
        verdict,
        risk_score: request.risk_score,
        risk_reasons: &request.risk_reasons,
        summary: &request.summary,
        requester: &requester.name,
        submitted_by: &submitted_by,
        needs_mfa: request.risk_score >= services.approvals.mfa_from_risk,
        validity: services.tuning.approval_validity,
    };
    let stored = store(&services, &caller, &new).await?;
    let Some(stored) = stored.filter(|stored| is_same(stored, &new)) else {
        let detail = "request_id: it is used for another plan; send a new one";
        return Err(Problem::new(ProblemKind::RequestConflict, detail));
    };
    Ok(Json(view(stored)))
}

/// Stores the approval, unless there is one of this id, and reads it.
async fn store(services: &Services, caller: &Caller, new: &NewApproval<'_>) -> Result<Option<Approval>, DbError> {
    let mut tx = services.database.global().await?;
    if tx.approvals().submit(new).await? {
        let id = new.id.to_string();
        let act = Act {
            action: "approval.submit",
            subject: &id,
            reason: None,
            detail: json!({
                "title": new.title, "requester": new.requester, "verdict": new.verdict.as_str(), "risk_score": new.risk_score,
                "needs_mfa": new.needs_mfa,
            }),
        };
        tx.audit(&act.entry(caller)).await?;
    }
    let stored = tx.approvals().get(new.id).await?;
    tx.commit().await?;
    Ok(stored)
}

/// Whether a stored approval is of this request. Whoever has the login of the database can store one before the request: what people read of it, and
/// whether it needs a second factor, must be what this request stores.
fn is_same(stored: &Approval, new: &NewApproval<'_>) -> bool {
    stored.plan_digest == new.plan_digest
        && stored.verdict == new.verdict
        && stored.risk_score == new.risk_score
        && stored.risk_reasons == new.risk_reasons
        && stored.summary == new.summary
        && (stored.needs_mfa || !new.needs_mfa)
        && stored.requester == new.requester
        && stored.title == new.title
        && stored.submitted_by == new.submitted_by
}

fn invalid(detail: &str) -> Problem {
    Problem::new(ProblemKind::InvalidBody, detail)
}

/// Checks the fields; returns the digest of the plan.
fn check(request: &SubmitApproval) -> Result<[u8; 32], Problem> {
    let is_line =
        |text: &str, max: usize| !text.trim().is_empty() && text.chars().count() <= max && !text.chars().any(is_hidden);
    if !is_line(&request.title, MAX_TITLE) {
        return Err(invalid(&format!(
            "title: it must have 1 to {MAX_TITLE} characters, and none that is invisible or changes the direction of text"
        )));
    }
    if request.risk_score > 100 {
        return Err(invalid("risk_score: it must be from 0 to 100"));
    }
    if request.risk_reasons.len() > MAX_REASONS
        || !request.risk_reasons.iter().all(|reason| is_line(reason, MAX_REASON))
    {
        return Err(invalid(&format!(
            "risk_reasons: at most {MAX_REASONS} lines of 1 to {MAX_REASON} characters, none of them invisible"
        )));
    }
    let is_text = |character: char| character == '\n' || character == '\t' || !is_hidden(character);
    if request.summary.chars().count() > MAX_SUMMARY || !request.summary.chars().all(is_text) {
        return Err(invalid(&format!(
            "summary: it must have at most {MAX_SUMMARY} characters, and no invisible ones but line breaks and tabs"
        )));
    }
    digest(&request.plan_sha256).ok_or_else(|| invalid("plan_sha256: it must have 64 hexadecimal digits"))
}

/// Control characters, characters without a glyph, and those that change the direction of text (Unicode Technical Report 36): whoever decides must see
/// what the pipeline sent. `arrakis-policy` escapes them.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn digest(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_read_from_64_digits_only() {
        assert_eq!(digest(&"0aF".repeat(21)), None);
        assert_eq!(digest(&"+1".repeat(32)), None);
        let mut expected = [0xab; 32];
        expected[0] = 0x01;
        assert_eq!(digest(&format!("01{}", "aB".repeat(31))), Some(expected));
    }
}
