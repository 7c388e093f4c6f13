//! `GET /admin/approvals/{id}`: reads an approval, and waits for its decision.

use std::time::Duration;

use arrakis_contracts::approvals::ApprovalView;
use arrakis_db::{Approval, ApprovalState};
use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::approvals::view;
use crate::authentication::{Allowed, ApprovalsWrite};
use crate::body::{Params, invalid_parameter, number};
use crate::caller_tx::Act;
use crate::openapi::{AdminRoute, EveryRoute};
use crate::problem::{Problem, ProblemBody, ProblemKind};
use crate::services::{ApiState, Services};

/// Longest wait in seconds. A request may take 15 s.
const MAX_WAIT: u64 = 10;
/// Interval of the look-ups while nothing has changed.
const INTERVAL: Duration = Duration::from_millis(500);

/// The query.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WaitQuery {
    /// Seconds to wait for the decision and its signature
    #[param(minimum = 0, maximum = 10)]
    #[serde(default, deserialize_with = "number::<_, _, 0, MAX_WAIT>")]
    wait_seconds: Option<u64>,
}

/// Read an approval
///
/// With `wait_seconds`, the answer comes when the approval is decided and the record of the decision is signed, or at the end of that time.
/// Scope `approvals:write`.
#[utoipa::path(
    get,
    path = "/admin/approvals/{id}",
    tag = "approvals",
    params(("id" = Uuid, Path, description = "Id of the approval"), WaitQuery),
    responses(
        (status = 200, description = "The approval", body = ApprovalView),
        (status = 400, description = "A parameter is invalid", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such approval", body = ProblemBody, content_type = "application/problem+json"),
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn read_approval(
    Allowed(caller, _): Allowed<ApprovalsWrite>,
    State(services): State<ApiState>,
    Path(id): Path<String>,
    Params(query): Params<WaitQuery>,
) -> Result<Json<ApprovalView>, Problem> {
    let id: Uuid = id
        .parse()
        .map_err(|_| invalid_parameter("id", "the id of an approval is a UUID"))?;
    let subject = id.to_string();
    let act = Act {
        action: "approval.read",
        subject: &subject,
        reason: None,
        detail: json!({}),
    };
    let mut tx = services.database.global().await?;
    tx.audit(&act.entry(&caller)).await?;
    tx.commit().await?;
    let until = Instant::now() + Duration::from_secs(query.wait_seconds.unwrap_or_default());
    loop {
        let approval = find(&services, id).await?;
        let is_final = approval.state != ApprovalState::Pending && approval.signature.is_some();
        if is_final || Instant::now() >= until {
            return Ok(Json(view(approval)));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn find(services: &Services, id: Uuid) -> Result<Approval, Problem> {
    let mut tx = services.database.global().await?;
    let found = tx.approvals().get(id).await?;
    tx.commit().await?;
    found.ok_or_else(|| Problem::new(ProblemKind::UnknownApproval, "there is no approval of this id"))
}
