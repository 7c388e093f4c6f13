//! `GET /status/dead-letters` and `POST …/replay`: for operators of the platform.
//!
//! A replay repeats what has failed, with its effects. It needs a code of the operator's second factor, and its audit entry is committed
//! before anything is published. Replaying twice is safe: the id of the message stays, and the letter is gone after the first replay.

use std::time::Duration;

use arrakis_broker::{DeadLetterError, DeadLetterSelection, DeadLetters, ReplayReport, queue_counts};
use arrakis_contracts::{DeadLetter, names, redact};
use arrakis_db::mfa::{MfaOutcome, verify};
use arrakis_db::{Actor, NewAuditEntry};
use arrakis_security::mfa::ProtectedOperation;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use time::OffsetDateTime;

use super::form::Form;
use super::overview::{head, minute, shortened};
use super::refusal::Refusal;
use super::served;
use super::session::Viewer;
use crate::services::{ApiState, Services};

/// Most dead letters that are shown, the oldest first.
const SHOWN: usize = 100;
/// Time limit of publishing a replay. The whole request has 15 s.
const PUBLISH_LIMIT: Duration = Duration::from_secs(5);

/// The dead letters.
pub(super) async fn list(State(services): State<ApiState>, headers: HeaderMap) -> Result<Response, Refusal> {
    let viewer = operator(&services, &headers).await?;
    let letters = DeadLetters::new(services.publisher.clone()).list(SHOWN).await;
    let letters = letters.map_err(|error| broken(&error))?;
    let mut html = head(&viewer, "Dead letters");
    html.markup("<main>");
    if letters.is_empty() {
        html.markup("<p class=\"good\">There are none.</p></main>");
        return Ok(served(html.end()));
    }
    html.markup("<p>The oldest first, at most 100. A replay publishes the message to its queue again; it needs a code of your second factor.</p>");
    html.markup(
        "<section><table><thead><tr><th scope=\"col\">Id</th><th scope=\"col\">Kind</th><th scope=\"col\">Queue</th>",
    )
    .markup(
        "<th scope=\"col\">Since</th><th scope=\"col\">Error</th><th scope=\"col\">Replay</th></tr></thead><tbody>",
    );
    for letter in &letters {
        html.markup("<tr><td>")
            .text(&letter.id)
            .markup("</td><td>")
            .text(&letter.kind);
        html.markup("</td><td>")
            .text(&letter.origin_queue)
            .markup("</td><td>")
            .text(since(letter));
        let error = shortened(&redact::text(&letter.error));
        html.markup("</td><td>").text(error).markup("</td><td>");
        html.markup("<form class=\"inline\" method=\"post\" action=\"/status/dead-letters/replay\">")
            .markup("<input type=\"hidden\" name=\"form_token\" value=\"")
            .text(&viewer.form_token)
            .markup("\"><input type=\"hidden\" name=\"id\" value=\"")
            .text(&letter.id)
            .markup("\"><input name=\"code\" aria-label=\"Code of your second factor\" placeholder=\"Code\" autocomplete=\"one-time-code\" required>")
            .markup("<button>Replay</button></form></td></tr>");
    }
    html.markup("</tbody></table></section></main>");
    Ok(served(html.end()))
}

fn since(letter: &DeadLetter) -> String {
    let seconds = i64::try_from(letter.dead_at_ms / 1_000).unwrap_or_default();
    OffsetDateTime::from_unix_timestamp(seconds).map_or_else(|_| String::new(), minute)
}

/// Replays a dead letter.
pub(super) async fn replay(State(services): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let viewer = operator(&services, request.headers()).await?;
    let form = Form::read(&services, request).await?;
    viewer.check(&form)?;
    let id = form.field("id");
    // PostgreSQL stores no NUL.
    if id.is_empty() || id.contains('\0') {
        return Err(Refusal::unreadable());
    }
    // A code is not used up for what cannot be replayed.
    if queue_counts(services.publisher.connection(), names::DEAD_LETTERS)
        .await
        .is_none()
    {
        return Err(Refusal::unavailable("the broker does not respond"));
    }
    {
        let _check = services.code_checks.begin(viewer.user).await;
        permit(&services, &viewer, id, form.field("code")).await?;
    }
    let letters = DeadLetters::new(services.publisher.clone().with_limit(PUBLISH_LIMIT));
    let report = letters.replay(&DeadLetterSelection::Id(id.to_owned())).await;
    let report = report.map_err(|error| interrupted(&error))?;
    tracing::info!(user = %viewer.user, id, replayed = report.replayed, "an operator replayed a dead letter from the status page");
    let mut html = head(&viewer, "Dead letters");
    html.markup("<main><p>")
        .text(outcome(&report))
        .markup("</p><p><a href=\"/status/dead-letters\">All dead letters</a></p></main>");
    Ok(served(html.end()))
}

/// The viewer, who must be an operator.
async fn operator(services: &Services, headers: &HeaderMap) -> Result<Viewer, Refusal> {
    let viewer = Viewer::of(services, headers).await?;
    if viewer.is_operator {
        Ok(viewer)
    } else {
        Err(Refusal::operators_only())
    }
}

/// Checks the code and writes the audit entry, in one transaction.
async fn permit(services: &Services, viewer: &Viewer, id: &str, code: &str) -> Result<(), Refusal> {
    let Some(cipher) = &services.mfa else {
        let text = "MFA_ENCRYPTION_KEY of the api is not set, so no code can be checked. Nothing was replayed; use arrakis-worker dead-letters replay.";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        return Err(Refusal::new(
            status,
            "mfa-not-configured",
            "No code can be checked",
            text,
        ));
    };
    let operation = ProtectedOperation::ReplayDeadLetter;
    let mut tx = services.database.global().await?;
    let now = OffsetDateTime::now_utc();
    let checked = verify(&mut tx, cipher, viewer.user, code, operation, now).await?;
    if checked == MfaOutcome::Accepted {
        let entry = NewAuditEntry {
            actor: Actor::Member(viewer.user),
            action: "dead_letter.replay",
            subject: id,
            reason: None,
            detail: json!({"via": "status page"}),
        };
        tx.audit(&entry).await?;
    }
    // A failure that is rolled back is not counted.
    tx.commit().await?;
    let why = match checked {
        MfaOutcome::Accepted => return Ok(()),
        MfaOutcome::NotEnrolled => {
            "You have no second factor. Set one up by /mfa enrol in a server, and try again.".to_owned()
        }
        MfaOutcome::Wrong { attempts_left } => format!("The code is wrong; {attempts_left} attempts are left."),
        MfaOutcome::Replayed => "The code was used already. Wait for the next one.".to_owned(),
        MfaOutcome::Throttled { until } => format!(
            "Too many codes were wrong. Codes are checked again from {} UTC on.",
            minute(until)
        ),
    };
    let text = format!("{why} Nothing was replayed.");
    Err(Refusal::new(StatusCode::FORBIDDEN, "mfa-refused", "Not replayed", text))
}

fn outcome(report: &ReplayReport) -> &'static str {
    if report.replayed > 0 {
        "Replayed: the message is in its queue again."
    } else if !report.too_old.is_empty() {
        "Not replayed: the event is older than 7 days, when the records of its effects may be deleted."
    } else if !report.reply_expired.is_empty() {
        "Not replayed: the interaction is older than 15 minutes, and Discord accepts no reply to it."
    } else if !report.queue_missing.is_empty() {
        "Not replayed: its queue does not exist."
    } else if !report.not_replayable.is_empty() {
        "Not replayed: its queue is not one of events, jobs or interactions."
    } else {
        "Not replayed: no dead letter of this id was found. It was replayed or deleted meanwhile, or somebody else reads the list at this moment; look at the list again."
    }
}

/// A replay that failed after its code was accepted.
fn interrupted(error: &DeadLetterError) -> Refusal {
    tracing::warn!(%error, "a dead letter was not replayed, or its confirmation was lost");
    let text = "The broker does not respond, so it is unknown whether the message was replayed. The code is used up. Look at the list again in a minute: what is in it was not replayed.";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Refusal::new(status, "unavailable", "Temporarily unavailable", text)
}

fn broken(error: &DeadLetterError) -> Refusal {
    Refusal::unavailable(&error.to_string())
}
