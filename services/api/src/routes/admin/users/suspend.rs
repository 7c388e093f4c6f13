//! `POST /admin/users/{id}/suspend`.

use arrakis_db::registry::{Cause, EventSource, Suspension};
use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::json;
use time::{OffsetDateTime, UtcOffset};
use utoipa::ToSchema;

use super::roles::{ChangedUser, problem_of, store_jobs};
use super::user::{User, find, parse_id, unknown_user};
use crate::authentication::{Allowed, UsersWrite};
use crate::body::{JsonBody, check_reason};
use crate::caller_tx::{Act, CallerTx};
use crate::jobs::publish;
use crate::openapi::{AdminRoute, EveryRoute, WithBody};
use crate::problem::{Problem, ProblemBody, ProblemKind};
use crate::services::ApiState;

/// A suspension.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SuspendRequest {
    /// Why; it is stored in the user's history
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// When the suspension ends by itself; without it, it ends when the user is restored
    #[serde(default, with = "time::serde::rfc3339::option")]
    until: Option<OffsetDateTime>,
}

/// The time in UTC, which has no year after 9999.
fn in_utc(at: OffsetDateTime) -> Result<OffsetDateTime, Problem> {
    let invalid = || Problem::new(ProblemKind::InvalidBody, "until: the year must be at most 9999 in UTC");
    at.checked_to_offset(UtcOffset::UTC).ok_or_else(invalid)
}

/// Suspend a user
///
/// The user's roles are removed in every community within seconds, and the user can change no account and no wallet. A user that is
/// suspended already gets the new reason and end. Scope `users:write`.
#[utoipa::path(
    post,
    path = "/admin/users/{id}/suspend",
    tag = "users",
    params(("id" = Uuid, Path, description = "Id of the user")),
    request_body = SuspendRequest,
    responses(
        (status = 200, description = "The user is suspended", body = ChangedUser),
        (status = 404, description = "No such user", body = ProblemBody, content_type = "application/problem+json"),
        WithBody,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn suspend(
    Allowed(caller, _): Allowed<UsersWrite>,
    State(services): State<ApiState>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<SuspendRequest>,
) -> Result<Json<ChangedUser>, Problem> {
    let id = parse_id(&id)?;
    check_reason(&request.reason)?;
    let until = request.until.map(in_utc).transpose()?;
    let now = OffsetDateTime::now_utc();
    let by = caller.name();
    let suspension = Suspension {
        reason: &request.reason,
        by: &by,
        until,
    };
    let cause = Cause {
        source: EventSource::Admin,
        at: now,
    };
    let mut tx = CallerTx::begin(&services, &caller).await?;
    tx.registry()
        .suspend(id, &suspension, cause)
        .await
        .map_err(problem_of)?;
    let record = find(&mut tx, id).await?;
    let act = Act {
        action: "users.suspend",
        subject: &id.to_string(),
        reason: Some(&request.reason),
        detail: json!({"until": until.map(OffsetDateTime::unix_timestamp)}),
    };
    tx.audit(&caller, act).await?;
    let CallerTx::Platform(mut tx) = tx else {
        // The scope requires a key for all communities.
        return Err(unknown_user());
    };
    let jobs = store_jobs(&mut tx, &record, "suspended").await?;
    tx.commit().await?;
    publish(&services, &jobs).await;
    Ok(Json(ChangedUser {
        communities: jobs.len(),
        user: User::new(record, caller.view(), now),
    }))
}
