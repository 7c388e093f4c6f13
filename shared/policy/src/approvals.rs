//! `arrakis-policy submit` and `wait`: a pipeline submits a plan that needs an approval, and waits for the decision of a person.
//!
//! Owns what is submitted, and the exit codes. Decides nothing: who may approve is the api's. Whether a second factor is needed follows from the risk
//! score here too, since the api is not trusted. What is submitted is judged before, not taken from a file that somebody may have edited. An approval counts for the plan whose bytes were submitted, so `wait` reads the
//! plan again and compares its SHA-256; a pipeline applies this file. Only a record that a trusted key has signed approves.

mod api;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arrakis_contracts::approvals::{ApprovalStateName, ApprovalView, PlanVerdict, SubmitApproval};
use arrakis_security::signing::{PublicKey, TrustedKeys};
use clap::Args;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use self::api::{Api, ApiArguments, Failure, PAUSE, note};
use crate::inputs::InputArguments;
use crate::record::{check_approval, check_record};
use crate::report::{Report, Verdict, printable};
use crate::risk;

/// Exit code: the time given to wait is over, and nobody has decided.
const NEEDS_APPROVAL: u8 = Verdict::NeedsApproval.exit_code();
/// Exit code: rejected, by the policy or by a person.
const REJECTED: u8 = Verdict::Rejected.exit_code();
/// Exit code: nobody has decided within 24 hours.
const LAPSED: u8 = 4;

/// Longest summary and reason, and most reasons that the api accepts.
const MAX_SUMMARY: usize = 8_000;
const MAX_REASON: usize = 300;
const MAX_REASONS: usize = 50;

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
    /// Risk score from which an approval counts with a second factor only, as at the api; 101: never
    #[arg(
        long,
        value_name = "SCORE",
        env = "APPROVAL_MFA_FROM_RISK",
        default_value_t = risk::HIGH,
        value_parser = clap::value_parser!(u8).range(0..=101)
    )]
    mfa_from_risk: u8,
    /// Print the approval as JSON
    #[arg(long)]
    json: bool,
}

impl WaitingArguments {
    /// Checks that an approval of this risk needs a second factor. Whoever writes the row of the approval chooses both.
    fn check_second_factor(&self, approval: &ApprovalView) -> Result<(), String> {
        if approval.risk_score >= self.mfa_from_risk && !approval.needs_mfa {
            return Err(format!(
                "the approval {} needs no second factor, although its risk score is {}: somebody else stored it, or APPROVAL_MFA_FROM_RISK of the api \
                 is higher than the {} of this command; submit the plan with a new request id",
                approval.id, approval.risk_score, self.mfa_from_risk
            ));
        }
        Ok(())
    }

    /// The keys whose signatures count.
    fn keys(&self) -> Result<TrustedKeys, String> {
        if self.trusted_keys.is_empty() && !self.unsigned {
            return Err(
                "no key is trusted, so that no approval would count: set APPROVAL_TRUSTED_KEYS to the first column of `arrakis-worker signing keys`, or \
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
        return Ok(not_submitted(&judged));
    }
    let digest = digest(plan)?;
    if judged.plan.sha256.as_deref() != Some(digest.as_str()) {
        return Err("the plan changed during the check".to_owned());
    }
    let report = match &arguments.report {
        Some(path) => stricter(&judged, read_report(path)?)?,
        None => judged,
    };
    if report.verdict != Verdict::NeedsApproval {
        return Ok(not_submitted(&report));
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
        summary: shortened(&report.summary(), MAX_SUMMARY),
        requester: arguments.requester.clone(),
    };
    let api = Api::new(&arguments.api)?;
    block_on(async {
        let submitted = api.submit(&body).await?;
        check_submitted(&submitted, &body)?;
        arguments.waiting.check_second_factor(&submitted)?;
        if !arguments.wait {
            print(&submitted, arguments.waiting.json, || submitted.id.to_string())?;
            return Ok(NEEDS_APPROVAL);
        }
        let is_submitted = |approval: &ApprovalView| check_submitted(approval, &body);
        wait_for(&api, submitted.id, &arguments.waiting, is_submitted).await
    })
}

/// Prints why a plan that passed or is rejected was not submitted. Returns the exit code.
fn not_submitted(report: &Report) -> u8 {
    let mut stderr = std::io::stderr().lock();
    // The exit code is the result.
    let _ = match report.verdict.next_step() {
        Some(next) => writeln!(stderr, "{}Not submitted: {next}", report.to_text()),
        None => writeln!(
            stderr,
            "the policy passes the plan: it needs no approval and was not submitted"
        ),
    };
    report.verdict.exit_code()
}

/// Waits for the decision about a plan. Returns the exit code: 0 approved, 2 nobody has decided in the time given, 3 rejected, 4 lapsed.
///
/// # Errors
/// The plan cannot be read, the approval is of another plan, or the api refuses the request.
pub fn wait(arguments: &WaitArguments) -> Result<u8, String> {
    let digest = digest(&arguments.plan)?;
    let api = Api::new(&arguments.api)?;
    let is_of_plan = |approval: &ApprovalView| check_approval(approval, arguments.id, &digest);
    block_on(wait_for(&api, arguments.id, &arguments.waiting, is_of_plan))
}

/// Waits for the decision. `check` refuses an approval that is not the expected one, each time that it is read.
async fn wait_for(
    api: &Api,
    id: Uuid,
    waiting: &WaitingArguments,
    check: impl Fn(&ApprovalView) -> Result<(), String>,
) -> Result<u8, String> {
    let keys = waiting.keys()?;
    let until = Instant::now() + Duration::from_secs(u64::from(waiting.timeout_minutes) * 60);
    note(&format!(
        "waiting for a decision on the approval {id}, at most {} min",
        waiting.timeout_minutes
    ));
    let mut is_noted = false;
    loop {
        match api.read(id).await {
            Ok(approval) => {
                check(&approval)?;
                waiting.check_second_factor(&approval)?;
                let code = exit_code(&approval, waiting.unsigned, &keys)?;
                if code != NEEDS_APPROVAL || Instant::now() >= until {
                    print(&approval, waiting.json, || outcome(&approval, code))?;
                    return Ok(code);
                }
                if approval.state == ApprovalStateName::Approved && !is_noted {
                    note(&outcome(&approval, code));
                    is_noted = true;
                }
            }
            Err(Failure::Permanent(why)) => return Err(why),
            Err(Failure::Transient(why)) if Instant::now() >= until => return Err(why),
            Err(Failure::Transient(why)) => {
                note(&format!("{why}; trying again"));
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// What became of an approval, in a line that begins with its id.
fn outcome(approval: &ApprovalView, code: u8) -> String {
    let id = approval.id;
    let decision = approval.decision.as_ref().map(|decision| {
        let factor = if decision.second_factor {
            " with a second factor"
        } else {
            ""
        };
        let (by, via) = (printable(&decision.by), printable(&decision.via));
        format!(" by {by} ({via}{factor}) at {}", time_text(decision.at))
    });
    let decision = decision.unwrap_or_default();
    match approval.state {
        ApprovalStateName::Approved if code == 0 => format!("{id} approved{decision}"),
        ApprovalStateName::Approved => {
            format!("{id} approved{decision}; the record of the decision is not signed yet, so the plan is not passed")
        }
        ApprovalStateName::Rejected => format!("{id} rejected{decision}"),
        ApprovalStateName::Lapsed => format!("{id} lapsed: no decision before {}", time_text(approval.expires_at)),
        ApprovalStateName::Pending => format!(
            "{id} pending: no decision in the time given; `arrakis-policy wait {id} --plan FILE` waits again, until {}",
            time_text(approval.expires_at)
        ),
    }
}

/// A time in RFC 3339, to the second.
fn time_text(at: OffsetDateTime) -> String {
    let at = at.replace_nanosecond(0).unwrap_or(at);
    at.format(&Rfc3339).unwrap_or_else(|_| at.to_string())
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
        && approval.risk_reasons == body.risk_reasons
        && approval.verdict == body.verdict
        && approval.title.trim() == body.title.trim()
        && approval.requester.eq_ignore_ascii_case(&body.requester);
    if is_stored {
        Ok(())
    } else {
        Err("the api stored another title, risk, verdict or requester than was submitted".to_owned())
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

/// Prints an approval as JSON, or as this text.
fn print(approval: &ApprovalView, json: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    let text = if json {
        serde_json::to_string_pretty(approval).map_err(|error| error.to_string())?
    } else {
        text()
    };
    let mut output = std::io::stdout().lock();
    let written = writeln!(output, "{text}").and_then(|()| output.flush());
    written.map_err(|error| format!("the result cannot be written: {error}"))
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
