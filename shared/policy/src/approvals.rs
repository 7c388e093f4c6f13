//! `arrakis-policy submit` and `wait`: a pipeline submits a plan that needs an approval, and waits for the decision of a person.
//!
//! Owns the requests to the api and their exit codes. Decides nothing: who may approve, and whether a code is needed, is the api's. What is submitted is
//! judged before, not taken from a file that somebody may have edited. An approval counts for the plan whose bytes were submitted, so `wait` reads the
//! plan again and compares its SHA-256; a pipeline applies this file. Only a record that a trusted key has signed approves.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arrakis_config::is_loopback;
use arrakis_contracts::approvals::{ApprovalStateName, ApprovalView, PlanVerdict, SubmitApproval};
use arrakis_security::signing::{PublicKey, TrustedKeys};
use clap::Args;
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::cli::InputArguments;
use crate::record::{check_approval, check_record};
use crate::report::{Report, Verdict, printable};

/// Exit code: the time given to wait is over, and nobody has decided.
const NEEDS_APPROVAL: u8 = 2;
/// Exit code: rejected, by the policy or by a person.
const REJECTED: u8 = 3;
/// Exit code: nobody has decided within 24 hours.
const LAPSED: u8 = 4;

/// Time limit of a request: longer than the wait of the api.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// Seconds for which the api holds a request while nothing has changed.
const WAIT_SECONDS: u8 = 10;
/// Pause after a request that failed for a reason that may pass.
const PAUSE: Duration = Duration::from_secs(2);
/// Attempts to submit.
const ATTEMPTS: u32 = 5;
/// Longest title, summary, reason, and most reasons that the api accepts.
const MAX_SUMMARY: usize = 8_000;
const MAX_REASON: usize = 300;
const MAX_REASONS: usize = 50;

/// Where the api is, and the key.
#[derive(Clone, Debug, Args)]
pub struct ApiArguments {
    /// Address of the api
    #[arg(long, value_name = "URL", env = "ARRAKIS_API_URL")]
    api_url: Url,
    /// API key with the scope approvals:write
    #[arg(long, value_name = "KEY", env = "ARRAKIS_API_KEY", hide_env_values = true)]
    api_key: ApiKey,
}

/// An API key, which is not printed.
#[derive(Clone)]
struct ApiKey(String);

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl std::str::FromStr for ApiKey {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// Arguments of `arrakis-policy submit`.
#[derive(Clone, Debug, Args)]
pub struct SubmitArguments {
    #[command(flatten)]
    pub(crate) input: InputArguments,
    /// Report of `arrakis-policy check --json` about this plan. It counts where it is stricter than the check that `submit` makes
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// What the plan is about, in a line
    #[arg(long)]
    title: String,
    /// Who wants the change: a name of `APPROVAL_PEOPLE`
    #[arg(long, value_name = "NAME")]
    requester: String,
    /// Id of the approval, so that a step that is run again submits nothing new; by default a new one
    #[arg(long, value_name = "UUID")]
    request_id: Option<Uuid>,
    /// Wait for the decision
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    waiting: WaitingArguments,
    #[command(flatten)]
    api: ApiArguments,
}

/// Arguments of `arrakis-policy wait`.
#[derive(Clone, Debug, Args)]
pub struct WaitArguments {
    /// Id of the approval, as `submit` prints it
    id: Uuid,
    /// The plan that is to be applied
    #[arg(long, value_name = "FILE")]
    plan: PathBuf,
    #[command(flatten)]
    waiting: WaitingArguments,
    #[command(flatten)]
    api: ApiArguments,
}

/// How to wait, and what to print.
#[derive(Clone, Debug, Args)]
struct WaitingArguments {
    /// Public key of the workers, as `arrakis-worker signing keys` prints it; can be repeated
    #[arg(
        long = "trusted-key",
        value_name = "KEY",
        env = "APPROVAL_TRUSTED_KEYS",
        value_delimiter = ','
    )]
    trusted_keys: Vec<PublicKey>,
    /// Longest wait in minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 1_450)]
    timeout_minutes: u32,
    /// Accept an approval whose record is not signed, in a deployment without a signing key
    #[arg(long)]
    unsigned: bool,
    /// Print the approval as JSON
    #[arg(long)]
    json: bool,
}

impl WaitingArguments {
    /// The keys whose signatures count.
    fn keys(&self) -> Result<TrustedKeys, String> {
        if self.trusted_keys.is_empty() && !self.unsigned {
            return Err(
                "no key is trusted, so that no approval would count: set APPROVAL_TRUSTED_KEYS to what `arrakis-worker signing keys` prints, or \
                 give --unsigned in a deployment without a signing key"
                    .to_owned(),
            );
        }
        Ok(self.trusted_keys.iter().copied().collect())
    }
}

/// Submits a plan, with the report of the check that this program has made of it. Returns the exit code: that of `check` for a plan that passed or is rejected, else 2, or with `--wait` that of [`wait`].
///
/// # Errors
/// The plan or the report cannot be read, or the api refuses the request.
pub fn submit(arguments: &SubmitArguments, judged: Report) -> Result<u8, String> {
    let plan = &arguments.input.plan;
    if plan == Path::new("-") {
        return Err("submit needs the plan in a file, not on standard input".to_owned());
    }
    // An approval overrides no block, also none that a given report does not have.
    if judged.verdict == Verdict::Rejected {
        return Ok(judged.verdict.exit_code());
    }
    let digest = digest(plan)?;
    if judged.plan.sha256.as_deref() != Some(digest.as_str()) {
        return Err("the plan changed during the check".to_owned());
    }
    let report = match &arguments.report {
        Some(path) => stricter(&judged, read_report(path)?)?,
        None => judged,
    };
    // A plan that passed needs none.
    if report.verdict != Verdict::NeedsApproval {
        return Ok(report.verdict.exit_code());
    }
    if arguments.wait {
        arguments.waiting.keys()?;
    }
    let body = SubmitApproval {
        request_id: arguments.request_id.unwrap_or_else(Uuid::new_v4),
        title: arguments.title.clone(),
        plan_sha256: digest.clone(),
        verdict: PlanVerdict::NeedsApproval,
        risk_score: report.risk.score.min(100),
        risk_reasons: reasons(&report),
        summary: shortened(&report.to_text(), MAX_SUMMARY),
        requester: arguments.requester.clone(),
    };
    let api = Api::new(&arguments.api)?;
    block_on(async {
        let submitted = api.submit(&body).await?;
        check_submitted(&submitted, &body)?;
        if !arguments.wait {
            print(&submitted, arguments.waiting.json)?;
            return Ok(NEEDS_APPROVAL);
        }
        let _ = writeln!(
            std::io::stderr(),
            "waiting for a decision on the approval {}",
            submitted.id
        );
        api.wait(submitted.id, &digest, &arguments.waiting).await
    })
}

/// Waits for the decision about a plan. Returns the exit code: 0 approved, 2 nobody has decided in the time given, 3 rejected, 4 lapsed.
///
/// # Errors
/// The plan cannot be read, the approval is of another plan, or the api refuses the request.
pub fn wait(arguments: &WaitArguments) -> Result<u8, String> {
    let digest = digest(&arguments.plan)?;
    let api = Api::new(&arguments.api)?;
    block_on(api.wait(arguments.id, &digest, &arguments.waiting))
}

fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime for requests: {error}"))?;
    runtime.block_on(work)
}

/// The report that was given, if it is one of this plan and judges no less strictly than the check of this program.
fn stricter(judged: &Report, given: Report) -> Result<Report, String> {
    if given.plan.sha256 != judged.plan.sha256 {
        return Err("the report is not of this plan: its SHA-256 differs; check the plan again".to_owned());
    }
    given
        .check_consistency()
        .map_err(|why| format!("the report cannot be used: {why}; check the plan again"))?;
    if given.verdict < judged.verdict || given.risk.score < judged.risk.score {
        return Err(
            "the report judges the plan less strictly than this program does: it is of other options or was edited; check the plan again".to_owned(),
        );
    }
    Ok(given)
}

/// Checks that the api stored what was submitted.
fn check_submitted(approval: &ApprovalView, body: &SubmitApproval) -> Result<(), String> {
    check_approval(approval, body.request_id, &body.plan_sha256)?;
    let is_stored = approval.risk_score == body.risk_score
        && approval.verdict == body.verdict
        && approval.requester.eq_ignore_ascii_case(&body.requester);
    if is_stored {
        Ok(())
    } else {
        Err("the api stored another risk, verdict or requester than was submitted".to_owned())
    }
}

fn read_report(path: &Path) -> Result<Report, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{} is no report of a check: {error}", path.display()))
}

/// SHA-256 of a file, in hexadecimal.
fn digest(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = File::open(path).map_err(failed)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            return Ok(hex::encode(hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}

fn reasons(report: &Report) -> Vec<String> {
    let reasons = report.risk.reasons.iter();
    reasons
        .map(|reason| shortened(&printable(&format!("+{} {}", reason.points, reason.text)), MAX_REASON))
        .take(MAX_REASONS)
        .collect()
}

fn shortened(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(max - 1).collect();
    short.push('…');
    short
}

fn print(approval: &ApprovalView, json: bool) -> Result<(), String> {
    let text = if json {
        serde_json::to_string_pretty(approval).map_err(|error| error.to_string())?
    } else {
        approval.id.to_string()
    };
    let mut output = std::io::stdout().lock();
    let written = writeln!(output, "{text}").and_then(|()| output.flush());
    written.map_err(|error| format!("the result cannot be written: {error}"))
}

/// Why a request failed.
enum Failure {
    /// A later request may succeed.
    Transient(String),
    /// The api refuses the request.
    Permanent(String),
}

/// The api.
struct Api {
    client: Client,
    base: String,
    key: ApiKey,
}

impl Api {
    fn new(arguments: &ApiArguments) -> Result<Self, String> {
        let url = &arguments.api_url;
        let is_local = is_loopback(url);
        if url.scheme() != "https" && !(url.scheme() == "http" && is_local) {
            return Err(
                "--api-url: it must begin with https://, or with http:// for an address of this machine".to_owned(),
            );
        }
        let mut builder = Client::builder();
        if is_local {
            builder = builder.no_proxy();
        }
        let client = builder
            .timeout(REQUEST_LIMIT)
            // The key is for this host alone.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| format!("no client for requests: {error}"))?;
        Ok(Self {
            client,
            base: url.as_str().trim_end_matches('/').to_owned(),
            key: arguments.api_key.clone(),
        })
    }

    /// Submits, and repeats a request whose outcome is unknown: its id makes it the same approval.
    async fn submit(&self, body: &SubmitApproval) -> Result<ApprovalView, String> {
        let body = serde_json::to_value(body).map_err(|error| error.to_string())?;
        let mut attempt = 1;
        loop {
            match self.request(Method::POST, "/admin/approvals", Some(&body)).await {
                Ok(approval) => return Ok(approval),
                Err(Failure::Transient(why)) if attempt < ATTEMPTS => note(&why),
                Err(Failure::Transient(why) | Failure::Permanent(why)) => return Err(why),
            }
            attempt += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits for the decision about the plan with this SHA-256.
    async fn wait(&self, id: Uuid, digest: &str, waiting: &WaitingArguments) -> Result<u8, String> {
        let keys = waiting.keys()?;
        let until = Instant::now() + Duration::from_secs(u64::from(waiting.timeout_minutes) * 60);
        let path = format!("/admin/approvals/{id}?wait_seconds={WAIT_SECONDS}");
        loop {
            match self.request(Method::GET, &path, None).await {
                Ok(approval) => {
                    check_approval(&approval, id, digest)?;
                    let code = exit_code(&approval, waiting.unsigned, &keys)?;
                    if code != NEEDS_APPROVAL || Instant::now() >= until {
                        print(&approval, waiting.json)?;
                        return Ok(code);
                    }
                }
                Err(Failure::Permanent(why)) => return Err(why),
                Err(Failure::Transient(why)) if Instant::now() >= until => return Err(why),
                Err(Failure::Transient(why)) => {
                    note(&why);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<ApprovalView, Failure> {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.key.0);
        if let Some(body) = body {
            request = request.json(body);
        }
        let lost = |error: reqwest::Error| Failure::Transient(format!("the api cannot be reached: {error}"));
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        if status.is_success() {
            let text = response.text().await.map_err(lost)?;
            let unreadable = |error| Failure::Permanent(format!("the answer of the api is no approval: {error}"));
            return serde_json::from_str(&text).map_err(unreadable);
        }
        let text = response.text().await.unwrap_or_default();
        let problem: Value = serde_json::from_str(&text).unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or("no reason is stated");
        let why = format!(
            "the api answered with status {}: {}",
            status.as_u16(),
            printable(detail)
        );
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            Err(Failure::Transient(why))
        } else {
            Err(Failure::Permanent(why))
        }
    }
}

fn note(why: &str) {
    let _ = writeln!(std::io::stderr(), "{}; trying again", printable(why));
}

/// The exit code of an approval: 2 while it has no decision, or one that is not signed.
fn exit_code(approval: &ApprovalView, unsigned: bool, keys: &TrustedKeys) -> Result<u8, String> {
    Ok(match (approval.state, &approval.signed) {
        (ApprovalStateName::Rejected, _) => REJECTED,
        (ApprovalStateName::Lapsed, _) => LAPSED,
        (ApprovalStateName::Pending, _) => NEEDS_APPROVAL,
        // Without a key to check it by, a signature says nothing.
        (ApprovalStateName::Approved, _) if unsigned && keys.is_empty() => 0,
        (ApprovalStateName::Approved, None) if unsigned => 0,
        (ApprovalStateName::Approved, None) => NEEDS_APPROVAL,
        (ApprovalStateName::Approved, Some(signed)) => {
            check_record(approval, signed, keys)?;
            0
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::BufRead as _;
    use std::net::{SocketAddr, TcpListener};
    use std::sync::{Arc, Mutex};

    use arrakis_security::signing::{LocalSigner, Signer as _, SigningPurpose};
    use serde_json::json;

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
                api_key: ApiKey("arrakis_test".to_owned()),
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
        })
        .to_string();
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

    #[test]
    fn plan_that_needs_an_approval_is_submitted_with_its_digest() {
        let (_folder, path, digest) = plan();
        let report = report(&digest, Vec::new(), vec![finding()]);
        let mut stored = approval("pending", &digest, &Value::Null);
        stored["risk_score"] = json!(report.risk.score);
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
            ("requester", json!("duncan")),
        ] {
            let mut stored = approval("pending", &digest, &Value::Null);
            stored["risk_score"] = json!(report.risk.score);
            stored[field] = value;
            let api = ApiDouble::start(vec![(200, stored)]);
            assert!(submit(&submission(&api, &path), report.clone()).is_err(), "{field}");
        }
    }

    #[test]
    fn key_is_not_sent_in_clear_text_and_not_printed() {
        let arguments = ApiArguments {
            api_url: "http://api.example.org".parse().unwrap(),
            api_key: ApiKey("arrakis_SEKRET".to_owned()),
        };
        assert!(!format!("{arguments:?}").contains("SEKRET"));
        assert!(Api::new(&arguments).is_err());
    }
}
