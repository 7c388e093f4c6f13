//! Exit codes, and what is sent, against a double of the api.

use std::collections::VecDeque;
use std::io::BufRead as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use arrakis_config::Secret;
use arrakis_security::signing::{LocalSigner, Signer as _, SigningPurpose};
use serde_json::{Value, json};

use super::*;
use crate::finding::Finding;
use crate::report::PlanSummary;

const ID: Uuid = Uuid::from_u128(7);

/// A server that answers requests with these statuses and bodies in turn, and keeps the requests.
struct ApiDouble {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<(String, Value)>>>,
}

impl ApiDouble {
    fn start(answers: Vec<(u16, Value)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<(String, Value)>>>::default();
        let kept = Arc::clone(&requests);
        let mut answers = VecDeque::from(answers);
        std::thread::spawn(move || {
            while let (Some((status, body)), Ok((stream, _))) = (answers.pop_front(), listener.accept()) {
                let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
                let (mut head, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
                        break;
                    }
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                        length = value.trim().parse().unwrap();
                    }
                    head.push_str(&line);
                }
                let mut content = vec![0; length];
                reader.read_exact(&mut content).unwrap();
                let content = serde_json::from_slice(&content).unwrap_or_default();
                kept.lock().unwrap().push((head, content));
                let body = body.to_string();
                let mut stream = stream;
                write!(
                    stream,
                    "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                )
                .unwrap();
            }
        });
        Self { address, requests }
    }

    fn arguments(&self) -> ApiArguments {
        ApiArguments {
            api_url: format!("http://{}", self.address).parse().unwrap(),
            api_key: Secret::new("arrakis_test"),
        }
    }

    fn requests(&self) -> Vec<(String, Value)> {
        self.requests.lock().unwrap().clone()
    }
}

/// A wait that ends at once, for approvals that this key has signed.
fn waiting(signer: &LocalSigner) -> WaitingArguments {
    WaitingArguments {
        trusted_keys: vec![signer.public_key()],
        timeout_minutes: 0,
        unsigned: false,
        mfa_from_risk: risk::HIGH,
        json: true,
    }
}

fn signer() -> LocalSigner {
    LocalSigner::generate().unwrap()
}

fn approval(state: &str, digest: &str, signed: &Value) -> Value {
    json!({
        "id": ID, "title": "t", "plan_sha256": digest, "verdict": "needs_approval", "risk_score": 40, "risk_reasons": [],
        "requester": "chani", "needs_mfa": false, "state": state, "submitted_at": "2026-12-01T10:00:00Z",
        "expires_at": "2026-12-02T10:00:00Z", "decision": null, "signed": signed,
    })
}

fn signed(signer: &LocalSigner, digest: &str) -> Value {
    let record = json!({
        "record": "arrakis-approval-v1", "approval": ID, "title": "t", "plan_sha256": digest, "verdict": "needs_approval",
        "risk_score": 40, "requester": "chani", "submitted_by": "api-key:1", "needs_mfa": false,
        "submitted_at": "2026-12-01T10:00:00Z", "state": "approved", "decided_by": "stilgar", "via": "slack", "account": "U1",
        "second_factor": false, "decided_at": "2026-12-01T11:00:00Z",
    });
    signed_record(signer, &record.to_string())
}

fn signed_record(signer: &LocalSigner, record: &str) -> Value {
    let signature = block_on(async {
        let signature = signer.sign_for(SigningPurpose::Approval, record.as_bytes()).await;
        signature.map_err(|error| error.to_string())
    })
    .unwrap();
    json!({"record": record, "algorithm": signature.algorithm.name(), "key": signature.key, "version": signature.version,
        "value": signature.value})
}

fn plan() -> (tempfile::TempDir, PathBuf, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.json");
    std::fs::write(&path, b"{}").unwrap();
    let digest = digest(&path).unwrap();
    (folder, path, digest)
}

fn wait_for(answers: Vec<(u16, Value)>, plan: &Path, waiting: WaitingArguments) -> Result<u8, String> {
    let api = ApiDouble::start(answers);
    wait(&WaitArguments {
        id: ID,
        plan: plan.to_owned(),
        waiting,
        api: api.arguments(),
    })
}

#[test]
fn exit_codes_say_what_was_decided() {
    let (_folder, path, digest) = plan();
    let signer = signer();
    for (state, signed, code) in [
        ("pending", Value::Null, 2),
        ("approved", signed(&signer, &digest), 0),
        ("approved", Value::Null, 2),
        ("rejected", Value::Null, 3),
        ("lapsed", Value::Null, 4),
    ] {
        let answer = vec![(200, approval(state, &digest, &signed))];
        assert_eq!(wait_for(answer, &path, waiting(&signer)), Ok(code), "{state} {signed}");
    }
}

#[test]
fn only_a_trusted_signature_passes() {
    let (_folder, path, digest) = plan();
    let (signer, other) = (signer(), signer());
    let answer = |signed: Value| vec![(200, approval("approved", &digest, &signed))];
    let good = signed(&signer, &digest);
    assert!(wait_for(answer(good.clone()), &path, waiting(&other)).is_err());
    let mut garbage = good.clone();
    garbage["value"] = json!("garbage");
    assert!(wait_for(answer(garbage), &path, waiting(&signer)).is_err());
    let mut untrusted = waiting(&signer);
    untrusted.trusted_keys.clear();
    let error = wait_for(answer(good.clone()), &path, untrusted.clone()).unwrap_err();
    assert!(error.contains("APPROVAL_TRUSTED_KEYS"), "{error}");
    untrusted.unsigned = true;
    assert_eq!(wait_for(answer(Value::Null), &path, untrusted), Ok(0));
    // A signature that is wrong is no missing one.
    let mut unsigned = waiting(&other);
    unsigned.unsigned = true;
    assert!(wait_for(answer(good), &path, unsigned).is_err());
}

#[test]
fn answer_about_another_approval_or_a_rejected_plan_is_no_pass() {
    let (_folder, path, digest) = plan();
    let signer = signer();
    let good = approval("approved", &digest, &signed(&signer, &digest));
    for (field, value) in [
        ("id", json!(Uuid::from_u128(8))),
        ("verdict", json!("rejected")),
        ("needs_mfa", json!(true)),
        ("risk_score", json!(100)),
        ("expires_at", json!("2020-01-01T00:00:00Z")),
    ] {
        let mut other = good.clone();
        other[field] = value;
        assert!(
            wait_for(vec![(200, other)], &path, waiting(&signer)).is_err(),
            "{field}"
        );
    }
}

#[test]
fn approval_of_another_plan_is_no_pass() {
    let (_folder, path, digest) = plan();
    let signer = signer();
    let other = "ab".repeat(32);
    let wait = |digest: &str| {
        let answer = approval("approved", digest, &signed(&signer, &other));
        wait_for(vec![(200, answer)], &path, waiting(&signer))
    };
    let error = wait(&other).unwrap_err();
    assert!(error.contains("another plan"), "{error}");
    let error = wait(&digest).unwrap_err();
    assert!(error.contains("signed record"), "{error}");
}

#[test]
fn refusals_are_errors_with_their_reason() {
    let (_folder, path, _) = plan();
    let signer = signer();
    for status in [401, 403, 404] {
        let answer = vec![(status, json!({"detail": "no such approval \u{202e}"}))];
        let error = wait_for(answer, &path, waiting(&signer)).unwrap_err();
        assert!(
            error.contains(&format!("status {status}: no such approval \\u{{202e}}")),
            "{error}"
        );
    }
    let error = wait_for(vec![(200, json!({"state": "approved"}))], &path, waiting(&signer)).unwrap_err();
    assert!(error.contains("no approval"), "{error}");
    // After a failure that may pass, the time given decides.
    let error = wait_for(vec![(503, json!({}))], &path, waiting(&signer)).unwrap_err();
    assert!(error.contains("status 503"), "{error}");
}

fn submission(api: &ApiDouble, plan: &Path) -> SubmitArguments {
    SubmitArguments {
        input: InputArguments::of_plan(plan),
        report: None,
        title: "Production".to_owned(),
        requester: "chani".to_owned(),
        request_id: Some(ID),
        wait: false,
        waiting: waiting(&signer()),
        api: api.arguments(),
    }
}

fn report(digest: &str, blocks: Vec<Finding>, warnings: Vec<Finding>) -> Report {
    let plan = PlanSummary {
        sha256: Some(digest.to_owned()),
        ..PlanSummary::default()
    };
    Report::new(plan, blocks, warnings, None)
}

fn finding() -> Finding {
    Finding {
        rule: "public".to_owned(),
        source: "arrakis".to_owned(),
        address: Some("aws_s3_bucket.web".to_owned()),
        message: "the bucket is public".to_owned(),
        risk: 20,
    }
}

/// The answer of the api to the submission of a report.
fn stored(report: &Report, digest: &str) -> Value {
    let mut stored = approval("pending", digest, &Value::Null);
    stored["title"] = json!("Production");
    stored["risk_score"] = json!(report.risk.score);
    stored["risk_reasons"] = json!(reasons(report));
    stored["needs_mfa"] = json!(report.risk.score >= risk::HIGH);
    stored
}

#[test]
fn plan_that_needs_an_approval_is_submitted_with_its_digest() {
    let (_folder, path, digest) = plan();
    let report = report(&digest, Vec::new(), vec![finding()]);
    let stored = stored(&report, &digest);
    let api = ApiDouble::start(vec![(503, json!({})), (200, stored)]);
    let code = submit(&submission(&api, &path), report);
    assert_eq!(code, Ok(2));
    let requests = api.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(
        requests[0].1, requests[1].1,
        "the request that failed is sent again with its id"
    );
    let (head, body) = &requests[1];
    assert!(head.starts_with("POST /admin/approvals HTTP/1.1\r\n"), "{head}");
    assert!(
        head.to_ascii_lowercase().contains("authorization: bearer arrakis_test"),
        "{head}"
    );
    assert_eq!(
        (&body["plan_sha256"], &body["request_id"]),
        (&json!(digest), &json!(ID))
    );
    assert!(
        body["summary"].as_str().unwrap().contains("the bucket is public"),
        "{body}"
    );
}

#[test]
fn rejected_and_passed_plans_are_not_submitted() {
    let (_folder, path, digest) = plan();
    let api = ApiDouble::start(Vec::new());
    let submission = submission(&api, &path);
    let blocked = report(&digest, vec![finding()], Vec::new());
    assert_eq!(submit(&submission, blocked), Ok(3));
    let passed = report(&digest, Vec::new(), Vec::new());
    assert_eq!(submit(&submission, passed), Ok(0));
    let other = report(&"ab".repeat(32), Vec::new(), vec![finding()]);
    assert!(
        submit(&submission, other)
            .unwrap_err()
            .contains("changed during the check")
    );
    assert!(api.requests().is_empty());
}

#[test]
fn given_report_never_makes_the_verdict_milder() {
    let (folder, path, digest) = plan();
    let api = ApiDouble::start(Vec::new());
    let file = folder.path().join("report.json");
    let with_report = |judged: &Report, given: &Value| {
        std::fs::write(&file, given.to_string()).unwrap();
        let mut submission = submission(&api, &path);
        submission.report = Some(file.clone());
        submit(&submission, judged.clone())
    };
    let json = |report: &Report| serde_json::to_value(report).unwrap();
    let blocked = report(&digest, vec![finding()], Vec::new());
    let warned = report(&digest, Vec::new(), vec![finding()]);
    let passed = report(&digest, Vec::new(), Vec::new());
    // What this program blocks stays blocked, whatever the file says, and a stricter file counts.
    for given in [&passed, &warned, &blocked] {
        assert_eq!(with_report(&blocked, &json(given)), Ok(3));
    }
    assert_eq!(with_report(&passed, &json(&blocked)), Ok(3));
    assert!(
        with_report(&warned, &json(&passed))
            .unwrap_err()
            .contains("less strictly")
    );
    let other = report(&"ab".repeat(32), Vec::new(), vec![finding()]);
    assert!(
        with_report(&warned, &json(&other))
            .unwrap_err()
            .contains("not of this plan")
    );
    let edited = |report: &Report, field: &str, value: Value| {
        let mut report = json(report);
        report[field] = value;
        report
    };
    for given in [
        edited(&blocked, "verdict", json!("passed")),
        edited(&blocked, "verdict", json!("needs_approval")),
        edited(&warned, "verdict", json!("passed")),
        edited(&warned, "version", json!(99)),
        edited(&warned, "risk", json!({"score": 0, "level": "low", "reasons": []})),
        edited(&warned, "warnings", json!([])),
    ] {
        assert!(with_report(&passed, &given).is_err(), "{given}");
    }
    assert!(api.requests().is_empty());
}

#[test]
fn answer_that_is_not_what_was_submitted_is_an_error() {
    let (_folder, path, digest) = plan();
    let report = report(&digest, Vec::new(), vec![finding()]);
    for (field, value) in [
        ("plan_sha256", json!("00".repeat(32))),
        ("id", json!(Uuid::from_u128(8))),
        ("risk_score", json!(0)),
        ("risk_reasons", json!(["+5 less"])),
        ("title", json!("Test")),
        ("requester", json!("duncan")),
    ] {
        let mut stored = stored(&report, &digest);
        stored[field] = value;
        let api = ApiDouble::start(vec![(200, stored)]);
        assert!(submit(&submission(&api, &path), report.clone()).is_err(), "{field}");
    }
}

#[test]
fn approval_of_high_risk_without_a_second_factor_is_no_pass() {
    let (_folder, path, digest) = plan();
    let severe = Finding { risk: 80, ..finding() };
    let high = report(&digest, Vec::new(), vec![severe]);
    assert!(high.risk.score >= risk::HIGH, "{:?}", high.risk);
    // Somebody stored the approval before it was submitted.
    let mut weak = stored(&high, &digest);
    weak["needs_mfa"] = json!(false);
    let api = ApiDouble::start(vec![(200, weak)]);
    let error = submit(&submission(&api, &path), high.clone()).unwrap_err();
    assert!(error.contains("second factor"), "{error}");
    let api = ApiDouble::start(vec![(200, stored(&high, &digest))]);
    assert_eq!(submit(&submission(&api, &path), high), Ok(2));
    // What is signed does not make up for it.
    let signer = signer();
    let mut record: Value = serde_json::from_str(signed(&signer, &digest)["record"].as_str().unwrap()).unwrap();
    record["risk_score"] = json!(80);
    let mut answer = approval("approved", &digest, &signed_record(&signer, &record.to_string()));
    answer["risk_score"] = json!(80);
    let error = wait_for(vec![(200, answer.clone())], &path, waiting(&signer)).unwrap_err();
    assert!(error.contains("second factor"), "{error}");
    let mut never = waiting(&signer);
    never.mfa_from_risk = 101;
    assert_eq!(wait_for(vec![(200, answer)], &path, never), Ok(0));
}

#[test]
fn decision_about_another_risk_than_was_submitted_is_no_pass() {
    let (_folder, path, digest) = plan();
    let severe = Finding { risk: 80, ..finding() };
    let high = report(&digest, Vec::new(), vec![severe]);
    let signer = signer();
    // The approval that is read after the submission has a risk of 40.
    let mut record: Value = serde_json::from_str(signed(&signer, &digest)["record"].as_str().unwrap()).unwrap();
    record["title"] = json!("Production");
    let mut other = approval("approved", &digest, &signed_record(&signer, &record.to_string()));
    other["title"] = json!("Production");
    let api = ApiDouble::start(vec![(200, stored(&high, &digest)), (200, other)]);
    let mut submission = submission(&api, &path);
    submission.wait = true;
    submission.waiting = waiting(&signer);
    let error = submit(&submission, high).unwrap_err();
    assert!(error.contains("another title, risk"), "{error}");
}

#[test]
fn key_is_not_sent_in_clear_text_and_not_printed() {
    let arguments = ApiArguments {
        api_url: "http://api.example.org".parse().unwrap(),
        api_key: Secret::new("arrakis_SEKRET"),
    };
    assert!(!format!("{arguments:?}").contains("SEKRET"));
    assert!(Api::new(&arguments).is_err());
}

#[test]
fn outcome_names_person_place_and_time() {
    let view = |state: &str, decision: Value| -> ApprovalView {
        let mut view = approval(state, "ab", &Value::Null);
        view["decision"] = decision;
        serde_json::from_value(view).unwrap()
    };
    let decision = json!({"by": "stilgar", "via": "discord", "second_factor": true, "at": "2026-12-01T11:00:00.25Z"});
    let approved = view("approved", decision.clone());
    let expected = format!("{ID} approved by stilgar (discord with a second factor) at 2026-12-01T11:00:00Z");
    assert_eq!(outcome(&approved, 0), expected);
    assert!(outcome(&approved, NEEDS_APPROVAL).contains("is not signed yet"));
    let rejected = outcome(&view("rejected", decision), REJECTED);
    assert!(rejected.contains("rejected by stilgar"), "{rejected}");
    let lapsed = outcome(&view("lapsed", Value::Null), LAPSED);
    assert!(lapsed.contains("before 2026-12-02T10:00:00Z"), "{lapsed}");
    let pending = outcome(&view("pending", Value::Null), NEEDS_APPROVAL);
    assert!(pending.starts_with(&format!("{ID} pending")), "{pending}");
}
