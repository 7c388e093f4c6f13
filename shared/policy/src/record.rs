//! The signed record of a decision, and what an approval must be for a pipeline to continue.
//!
//! The api and the database that it reads are not trusted: only a record that a trusted key has signed approves a plan, and it must be of this approval
//! and this plan.

use arrakis_contracts::approvals::{ApprovalStateName, ApprovalView, PlanVerdict, SignedApproval};
use arrakis_security::signing::{Algorithm, SignError, Signature, SigningPurpose, TrustedKeys};
use serde::Deserialize;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// The version of the record.
const VERSION: &str = "arrakis-approval-v1";
/// Longest time in which a plan can be decided.
const VALIDITY: Duration = Duration::hours(24);

/// The fields of a record. A repeated or an unknown one is refused: programs differ in which one they read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    record: String,
    approval: Uuid,
    title: String,
    plan_sha256: String,
    verdict: PlanVerdict,
    risk_score: u8,
    requester: String,
    submitted_by: String,
    needs_mfa: bool,
    #[serde(with = "time::serde::rfc3339")]
    submitted_at: OffsetDateTime,
    state: ApprovalStateName,
    decided_by: String,
    via: String,
    account: String,
    second_factor: bool,
    #[serde(with = "time::serde::rfc3339")]
    decided_at: OffsetDateTime,
}

/// Checks that the api responded with the approval `id`, and that it is of the plan with this SHA-256.
///
/// # Errors
/// It is another approval or of another plan, or the policy rejects the plan.
pub(crate) fn check_approval(approval: &ApprovalView, id: Uuid, plan_sha256: &str) -> Result<(), String> {
    if approval.id != id {
        return Err(format!("the api answered with another approval: {}", approval.id));
    }
    if !approval.plan_sha256.eq_ignore_ascii_case(plan_sha256) {
        return Err("the approval is of another plan: its SHA-256 differs".to_owned());
    }
    if approval.verdict == PlanVerdict::Rejected {
        return Err("the policy rejects the plan of this approval, and no approval overrides that".to_owned());
    }
    Ok(())
}

/// Checks the signed record of an approved plan.
///
/// # Errors
/// No trusted key has signed it, or it is not the record of this approval.
pub(crate) fn check_record(approval: &ApprovalView, signed: &SignedApproval, keys: &TrustedKeys) -> Result<(), String> {
    let algorithm = Algorithm::from_name(&signed.algorithm)
        .ok_or_else(|| format!("the record is signed by an unknown algorithm: {}", signed.algorithm))?;
    let signature = Signature {
        algorithm,
        key: signed.key.clone(),
        version: signed.version,
        value: signed.value.clone(),
    };
    let verified = keys.verify_for(SigningPurpose::Approval, signed.record.as_bytes(), &signature);
    verified.map_err(|error| match error {
        SignError::UnknownKey { key, version } => format!(
            "no trusted key has signed the record, which names the key {key} in version {version}; public keys of the workers are the \
             first column of `arrakis-worker signing keys` and belong in APPROVAL_TRUSTED_KEYS"
        ),
        other => format!("the record is not authentic: {other}"),
    })?;
    let record: Record =
        serde_json::from_str(&signed.record).map_err(|error| format!("the signed record cannot be read: {error}"))?;
    match contradiction(&record, approval) {
        None => Ok(()),
        Some(field) => Err(format!("the signed record is not of this approval: {field} differs")),
    }
}

/// The first field by which the record does not approve this approval.
fn contradiction(record: &Record, approval: &ApprovalView) -> Option<&'static str> {
    let is_requester = record.decided_by.trim().eq_ignore_ascii_case(record.requester.trim());
    let in_time = record.decided_at >= record.submitted_at
        && record.decided_at < record.submitted_at + VALIDITY
        && record.decided_at < approval.expires_at;
    // What `wait` prints is of the api.
    let is_decision = approval.decision.as_ref().is_none_or(|decision| {
        decision.by == record.decided_by
            && decision.via == record.via
            && decision.second_factor == record.second_factor
            && decision.at == record.decided_at
    });
    let checks = [
        ("record", record.record == VERSION),
        ("approval", record.approval == approval.id),
        ("title", record.title == approval.title),
        (
            "plan_sha256",
            record.plan_sha256.eq_ignore_ascii_case(&approval.plan_sha256),
        ),
        (
            "verdict",
            record.verdict == approval.verdict && record.verdict != PlanVerdict::Rejected,
        ),
        ("risk_score", record.risk_score == approval.risk_score),
        ("requester", record.requester == approval.requester),
        ("submitted_by", !record.submitted_by.is_empty()),
        ("needs_mfa", record.needs_mfa == approval.needs_mfa),
        ("submitted_at", record.submitted_at == approval.submitted_at),
        ("state", record.state == ApprovalStateName::Approved),
        ("decided_by", !is_requester && !record.decided_by.trim().is_empty()),
        ("via", record.via == "slack" || record.via == "discord"),
        ("account", !record.account.is_empty()),
        ("second_factor", record.second_factor || !record.needs_mfa),
        ("decided_at", in_time),
        ("decision", is_decision),
    ];
    checks.into_iter().find(|(_, holds)| !holds).map(|(field, _)| field)
}

#[cfg(test)]
mod tests {
    use arrakis_security::signing::{LocalSigner, PublicKey, Signer as _};
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "00000000-0000-0000-0000-000000000007";

    fn record() -> Value {
        json!({
            "record": VERSION, "approval": ID, "title": "t", "plan_sha256": "ab".repeat(32), "verdict": "needs_approval",
            "risk_score": 80, "requester": "chani", "submitted_by": "api-key:1", "needs_mfa": true,
            "submitted_at": "2026-12-01T10:00:00.5Z", "state": "approved", "decided_by": "stilgar", "via": "slack", "account": "U1",
            "second_factor": true, "decided_at": "2026-12-01T11:00:00Z",
        })
    }

    fn approval() -> ApprovalView {
        serde_json::from_value(json!({
            "id": ID, "title": "t", "plan_sha256": "ab".repeat(32), "verdict": "needs_approval", "risk_score": 80, "risk_reasons": [],
            "requester": "chani", "needs_mfa": true, "state": "approved", "submitted_at": "2026-12-01T10:00:00.5Z",
            "expires_at": "2026-12-02T10:00:00Z", "decision": null, "signed": null,
        }))
        .unwrap()
    }

    async fn signed(signer: &LocalSigner, record: &str) -> SignedApproval {
        let signature = signer
            .sign_for(SigningPurpose::Approval, record.as_bytes())
            .await
            .unwrap();
        SignedApproval {
            record: record.to_owned(),
            algorithm: signature.algorithm.name().to_owned(),
            key: signature.key,
            version: signature.version,
            value: signature.value,
        }
    }

    fn keys(key: PublicKey) -> TrustedKeys {
        TrustedKeys::from_iter([key])
    }

    #[tokio::test]
    async fn record_of_a_trusted_key_is_accepted() {
        let signer = LocalSigner::generate().unwrap();
        let signed = signed(&signer, &record().to_string()).await;
        assert_eq!(check_record(&approval(), &signed, &keys(signer.public_key())), Ok(()));
    }

    #[tokio::test]
    async fn record_without_the_signature_of_a_trusted_key_is_refused() {
        let (signer, other) = (LocalSigner::generate().unwrap(), LocalSigner::generate().unwrap());
        let good = signed(&signer, &record().to_string()).await;
        let trusted = keys(signer.public_key());
        let error = check_record(&approval(), &good, &keys(other.public_key())).unwrap_err();
        assert!(error.contains("APPROVAL_TRUSTED_KEYS"), "{error}");
        assert!(check_record(&approval(), &good, &TrustedKeys::default()).is_err());
        for (field, value) in [
            ("value", "garbage"),
            ("algorithm", "none"),
            ("algorithm", "ed25519-sha256"),
        ] {
            let mut forged = good.clone();
            match field {
                "value" => forged.value = value.to_owned(),
                _ => forged.algorithm = value.to_owned(),
            }
            assert!(check_record(&approval(), &forged, &trusted).is_err(), "{field} {value}");
        }
        let mut changed = good;
        changed.record = changed.record.replace("stilgar", "duncan");
        assert!(check_record(&approval(), &changed, &trusted).is_err());
    }

    #[tokio::test]
    async fn every_field_of_the_record_is_bound() {
        let signer = LocalSigner::generate().unwrap();
        let trusted = keys(signer.public_key());
        for (field, value) in [
            ("record", json!("arrakis-approval-v2")),
            ("approval", json!("00000000-0000-0000-0000-000000000008")),
            ("title", json!("other")),
            ("plan_sha256", json!("cd".repeat(32))),
            ("verdict", json!("rejected")),
            ("verdict", json!("passed")),
            ("risk_score", json!(10)),
            ("requester", json!("duncan")),
            ("submitted_by", json!("")),
            ("needs_mfa", json!(false)),
            ("submitted_at", json!("2026-12-01T10:00:00Z")),
            ("state", json!("rejected")),
            ("state", json!("lapsed")),
            ("decided_by", json!("Chani ")),
            ("decided_by", json!("")),
            ("via", json!("api")),
            ("account", json!("")),
            ("second_factor", json!(false)),
            ("decided_at", json!("2026-12-01T09:00:00Z")),
            ("decided_at", json!("2026-12-02T10:00:00.6Z")),
            ("decided_at", json!("2020-01-01T00:00:00Z")),
            ("unknown", json!(true)),
        ] {
            let mut other = record();
            other[field] = value.clone();
            let signed = signed(&signer, &other.to_string()).await;
            assert!(check_record(&approval(), &signed, &trusted).is_err(), "{field} {value}");
        }
        let twice = record().to_string().replacen('{', "{\"state\":\"rejected\",", 1);
        assert!(check_record(&approval(), &signed(&signer, &twice).await, &trusted).is_err());
        let mut expired = approval();
        expired.expires_at = expired.submitted_at;
        let signed = signed(&signer, &record().to_string()).await;
        assert!(check_record(&expired, &signed, &trusted).is_err());
    }

    #[test]
    fn approval_must_be_the_requested_one() {
        let (id, digest) = (ID.parse().unwrap(), "ab".repeat(32));
        assert_eq!(check_approval(&approval(), id, &digest), Ok(()));
        assert!(check_approval(&approval(), Uuid::from_u128(8), &digest).is_err());
        assert!(check_approval(&approval(), id, &"cd".repeat(32)).is_err());
        let mut rejected = approval();
        rejected.verdict = PlanVerdict::Rejected;
        assert!(check_approval(&rejected, id, &digest).is_err());
    }
}
