use arrakis_db::ApiKeyScope::ApprovalsWrite;
use arrakis_db::{APPROVAL_VALIDITY, ApprovalActor, ApprovalSignature, ApprovalVia, NewApproval};
use arrakis_security::signing::{Algorithm, Signature};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{configure, plan, read, submitted};
use crate::support::TestApi;

async fn started() -> (TestApi, String) {
    let api = TestApi::start_with(|config| configure(config, None)).await;
    let key = api.key(None, &[ApprovalsWrite]).await;
    (api, key)
}

#[tokio::test]
async fn plan_is_submitted_once_with_an_audit_entry() {
    let (api, key) = started().await;
    let body = plan(59);
    let id = submitted(&api, &key, &body).await;
    assert_eq!(json!(id), body["request_id"]);
    submitted(&api, &key, &body).await;
    let mut other = body.clone();
    other["plan_sha256"] = json!("cd".repeat(32));
    api.post_as(&key, "/admin/approvals", &other)
        .await
        .assert_problem(409, "request-conflict");
    let view = read(&api, &key, &id).await;
    assert_eq!(
        (&view["needs_mfa"], &view["decision"], &view["signed"]),
        (&json!(false), &Value::Null, &Value::Null)
    );
    let high = submitted(&api, &key, &plan(60)).await;
    assert_eq!(read(&api, &key, &high).await["needs_mfa"], true);
    let mut tx = api.admin.database().global().await.unwrap();
    let entries = tx.platform_audit_entries(50).await.unwrap();
    let submissions = entries.iter().filter(|entry| entry.action == "approval.submit");
    assert_eq!(submissions.count(), 2, "{entries:#?}");
}

#[tokio::test]
async fn approval_that_somebody_stored_before_the_request_is_a_conflict() {
    let (api, key) = started().await;
    // The submission of another plan shows how the api names this key.
    let example = submitted(&api, &key, &plan(60)).await;
    let mut tx = api.database.global().await.unwrap();
    let example = tx.approvals().get(example.parse().unwrap()).await.unwrap().unwrap();
    let mut bodies = Vec::new();
    for (needs_mfa, summary) in [
        (false, example.summary.as_str()),
        (true, "no changes"),
        (true, example.summary.as_str()),
    ] {
        let body = plan(60);
        let stored = NewApproval {
            id: body["request_id"].as_str().unwrap().parse().unwrap(),
            title: &example.title,
            plan_digest: example.plan_digest,
            verdict: example.verdict,
            risk_score: example.risk_score,
            risk_reasons: &example.risk_reasons,
            summary,
            requester: &example.requester,
            submitted_by: &example.submitted_by,
            needs_mfa,
            validity: APPROVAL_VALIDITY,
        };
        assert!(tx.approvals().submit(&stored).await.unwrap());
        bodies.push(body);
    }
    tx.commit().await.unwrap();
    for body in &bodies[..2] {
        api.post_as(&key, "/admin/approvals", body)
            .await
            .assert_problem(409, "request-conflict");
    }
    submitted(&api, &key, &bodies[2]).await;
}

#[tokio::test]
async fn plan_that_the_policy_rejects_is_refused() {
    let (api, key) = started().await;
    let mut body = plan(5);
    body["verdict"] = json!("rejected");
    api.post_as(&key, "/admin/approvals", &body)
        .await
        .assert_problem(409, "plan-blocked");
    let id = body["request_id"].as_str().unwrap();
    api.get_as(&key, &format!("/admin/approvals/{id}"))
        .await
        .assert_problem(404, "unknown-approval");
}

#[tokio::test]
async fn invalid_fields_are_named() {
    let (api, key) = started().await;
    for (field, value) in [
        ("title", json!(" ")),
        ("title", json!("two\nlines")),
        ("title", json!("x".repeat(201))),
        ("title", json!("\u{200b}")),
        ("title", json!("Production: \u{202e}krowten")),
        ("plan_sha256", json!("ab")),
        ("plan_sha256", json!("xy".repeat(32))),
        ("risk_score", json!(101)),
        ("risk_reasons", json!(["x".repeat(301)])),
        ("risk_reasons", json!(vec!["x"; 51])),
        ("risk_reasons", json!(["+5 \u{2066}x"])),
        ("summary", json!("a\u{0}b")),
        ("summary", json!("a\u{feff}b")),
        ("summary", json!("x".repeat(8_001))),
        ("requester", json!("nobody")),
        ("verdict", json!("approved")),
        ("state", json!("approved")),
    ] {
        let mut body = plan(5);
        body[field] = value;
        let problem = api
            .post_as(&key, "/admin/approvals", &body)
            .await
            .assert_problem(400, "invalid-body");
        assert!(problem["detail"].as_str().unwrap().contains(field), "{problem}");
    }
}

#[tokio::test]
async fn without_people_nothing_is_submitted() {
    let api = TestApi::start().await;
    let key = api.key(None, &[ApprovalsWrite]).await;
    let problem = api
        .post_as(&key, "/admin/approvals", &plan(5))
        .await
        .assert_problem(503, "unavailable");
    assert!(
        problem["detail"].as_str().unwrap().contains("APPROVAL_PEOPLE"),
        "{problem}"
    );
    let answer = api.slack_raw("1", "v0=00", String::new()).await;
    answer.assert_problem(503, "unavailable");
}

#[tokio::test]
async fn waiting_ends_with_the_signed_decision() {
    let (api, key) = started().await;
    let id = submitted(&api, &key, &plan(5)).await;
    let database = api.database.clone();
    let approval: Uuid = id.parse().unwrap();
    let decided = tokio::spawn(async move {
        let mut tx = database.global().await.unwrap();
        let actor = ApprovalActor {
            name: "stilgar",
            via: ApprovalVia::Discord,
            account: "102",
        };
        assert!(tx.approvals().decide(approval, true, actor, false).await.unwrap());
        let record = tx.approvals().get(approval).await.unwrap().unwrap().record().unwrap();
        let signature = ApprovalSignature {
            record,
            signature: Signature {
                algorithm: Algorithm::Ed25519,
                key: "approvals".to_owned(),
                version: 3,
                value: "c2lnbmF0dXJl".to_owned(),
            },
        };
        assert!(tx.approvals().put_signature(approval, &signature).await.unwrap());
        tx.commit().await.unwrap();
    });
    let waited = api
        .get_as(&key, &format!("/admin/approvals/{id}?wait_seconds=10"))
        .await
        .ok();
    decided.await.unwrap();
    assert_eq!(
        (&waited["state"], &waited["decision"]["by"]),
        (&json!("approved"), &json!("stilgar"))
    );
    assert_eq!(waited["signed"]["version"], 3);
    let record: Value = serde_json::from_str(waited["signed"]["record"].as_str().unwrap()).unwrap();
    assert_eq!(record["plan_sha256"], waited["plan_sha256"]);
    for wait in ["11", "-1", "x"] {
        let path = format!("/admin/approvals/{id}?wait_seconds={wait}");
        api.get_as(&key, &path).await.assert_problem(400, "invalid-parameter");
    }
}
