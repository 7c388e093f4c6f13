//! `GET` and `POST /admin/kill-switch`, `POST /admin/kill-switch/off`.
//!
//! The end needs a code of the person to whom the API key belongs, and that person must be one of `KILL_SWITCH_OPERATORS`.

use arrakis_db::Actor;
use arrakis_db::mfa::MfaOutcome;
use arrakis_kill_switch::{Report, TurnOff, TurnOffError};
use arrakis_security::kill_switch::KillSwitchScope;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::authentication::{Allowed, Emergency};
use crate::body::{JsonBody, check_reason};
use crate::caller_tx::{Act, CallerTx};
use crate::openapi::{AdminRoute, EveryRoute, WithBody};
use crate::problem::{Problem, ProblemKind};
use crate::services::ApiState;

/// The kill switch.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KillSwitch)]
pub(crate) struct KillSwitchView {
    /// Whether it is on: no write is sent to Discord
    is_on: bool,
    /// Who changed it last; empty when it was never on
    by: String,
    /// Why
    reason: String,
    /// Communities that are frozen
    frozen_communities: usize,
}

/// Turns the kill switch on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TurnOnKillSwitch {
    /// Why
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// Turns the kill switch off.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TurnOffKillSwitch {
    /// Why
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// A code of the second factor of the person to whom the API key belongs
    code: String,
}

/// A change of the kill switch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KillSwitchReport {
    /// Whether no step failed; the workers repeat a failed one
    is_complete: bool,
    /// The steps
    steps: Vec<KillSwitchStep>,
}

/// A step of the change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KillSwitchStep {
    /// What it does
    name: String,
    /// `done`, `skipped` or `failed`
    outcome: &'static str,
    /// What was done, or why it failed
    detail: String,
    /// When it ended, in milliseconds from the beginning of the change
    ended_ms: u64,
}

impl From<Report> for KillSwitchReport {
    fn from(report: Report) -> Self {
        let is_complete = report.is_complete();
        let steps = report.steps.into_iter().map(|step| KillSwitchStep {
            name: step.name,
            outcome: step.outcome.name(),
            detail: step.detail,
            ended_ms: step.ended_ms,
        });
        Self {
            is_complete,
            steps: steps.collect(),
        }
    }
}

/// Read the kill switch
///
/// As PostgreSQL has it. `arrakis-worker kill-switch status` reads every place. Scope `emergency`.
#[utoipa::path(
    get,
    path = "/admin/kill-switch",
    tag = "emergency",
    responses((status = 200, description = "The kill switch", body = KillSwitchView), AdminRoute, EveryRoute),
    security(("api_key" = []))
)]
pub(crate) async fn read_kill_switch(
    Allowed(caller, _): Allowed<Emergency>,
    State(services): State<ApiState>,
) -> Result<Json<KillSwitchView>, Problem> {
    let mut tx = CallerTx::begin(&services, &caller).await?;
    let act = Act {
        action: "kill_switch.read",
        subject: "platform",
        reason: None,
        detail: json!({}),
    };
    tx.audit(&caller, act).await?;
    let CallerTx::Platform(mut tx) = tx else {
        return Err(Problem::internal(
            "the scope emergency requires a key for all communities",
        ));
    };
    let state = tx.kill_switches().list(services.kill_switch.end_key()).await?;
    tx.commit().await?;
    let platform = state.get(KillSwitchScope::Platform);
    Ok(Json(KillSwitchView {
        is_on: state.is_on(KillSwitchScope::Platform),
        by: platform.map_or_else(String::new, |platform| platform.by.clone()),
        reason: platform.map_or_else(String::new, |platform| platform.reason.clone()),
        frozen_communities: state.frozen(),
    }))
}

/// Turn the kill switch on
///
/// Within five seconds no write is sent to Discord, all sessions have ended, and no permission to sign is left. While PostgreSQL is unavailable
/// no API key can be checked: `arrakis-worker kill-switch on` works then. Scope `emergency`, which needs a key for all communities.
#[utoipa::path(
    post,
    path = "/admin/kill-switch",
    tag = "emergency",
    request_body = TurnOnKillSwitch,
    responses(
        (status = 200, description = "It is on; a step may have failed", body = KillSwitchReport),
        WithBody,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn turn_on_kill_switch(
    Allowed(caller, _): Allowed<Emergency>,
    State(services): State<ApiState>,
    JsonBody(request): JsonBody<TurnOnKillSwitch>,
) -> Result<Json<KillSwitchReport>, Problem> {
    check_reason(&request.reason)?;
    let actor = Actor::Operator(caller.name());
    let report = Box::pin(services.kill_switch.turn_on(actor, &request.reason)).await;
    Ok(Json(report.into()))
}

/// Turn the kill switch off
///
/// With a code of the person to whom the API key belongs, who must be one of `KILL_SWITCH_OPERATORS`. Every community is reconciled then. Scope
/// `emergency`, which needs a key for all communities.
#[utoipa::path(
    post,
    path = "/admin/kill-switch/off",
    tag = "emergency",
    request_body = TurnOffKillSwitch,
    responses(
        (status = 200, description = "It is off; a step may have failed", body = KillSwitchReport),
        WithBody,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn turn_off_kill_switch(
    Allowed(caller, _): Allowed<Emergency>,
    State(services): State<ApiState>,
    JsonBody(request): JsonBody<TurnOffKillSwitch>,
) -> Result<Json<KillSwitchReport>, Problem> {
    check_reason(&request.reason)?;
    let user = caller.user().ok_or_else(|| {
        let detail = "the API key belongs to no Discord user, whose code could be checked; create one that does: arrakis-worker api-key create --user USER_ID";
        Problem::new(ProblemKind::MfaNotEnrolled, detail)
    })?;
    let _check = services.code_checks.begin(user).await;
    let off = TurnOff {
        user,
        code: request.code.trim(),
        reason: &request.reason,
    };
    let turned_off = Box::pin(services.kill_switch.turn_off(services.mfa.as_ref(), off)).await;
    let report = turned_off.map_err(problem_of)?;
    Ok(Json(report.into()))
}

fn problem_of(error: TurnOffError) -> Problem {
    let detail = error.to_string();
    match error {
        TurnOffError::NotPermitted(_)
        | TurnOffError::NoCredential
        | TurnOffError::TurnedOnAgain { .. }
        | TurnOffError::TurnedOffMeanwhile { .. } => Problem::new(ProblemKind::KillSwitchRefused, detail),
        TurnOffError::NoSecondFactors => Problem::new(ProblemKind::MfaNotConfigured, detail),
        TurnOffError::NoDatabase => Problem::unavailable(detail),
        TurnOffError::Database(error) => error.into(),
        TurnOffError::Refused(MfaOutcome::NotEnrolled) => Problem::new(ProblemKind::MfaNotEnrolled, detail),
        TurnOffError::Refused(MfaOutcome::Throttled { until }) => {
            let wait = std::time::Duration::try_from(until - OffsetDateTime::now_utc()).unwrap_or_default();
            Problem::new(ProblemKind::MfaThrottled, detail).retry_after(wait)
        }
        TurnOffError::Refused(_) => Problem::new(ProblemKind::MfaRefused, detail),
    }
}
