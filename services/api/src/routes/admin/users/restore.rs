//! `POST /admin/users/{id}/restore`.

use arrakis_db::registry::{Cause, EventSource};
use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::roles::{ChangedUser, problem_of, store_jobs};
use super::user::{User, find, parse_id, unknown_user};
use crate::authentication::{Allowed, UsersWrite};
use crate::body::{JsonBody, check_reason};
use crate::caller_tx::{Act, CallerTx};
use crate::jobs::publish;
use crate::openapi::{AdminRoute, EveryRoute, WithBody};
use crate::problem::{Problem, ProblemBody};
use crate::services::ApiState;

/// The end of a suspension.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestoreRequest {
    /// Why; it is stored in the user's history
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// End the suspension of a user
///
/// The user gets the roles of the present tier in every community. Scope `users:write`.
#[utoipa::path(
    post,
    path = "/admin/users/{id}/restore",
    tag = "users",
    params(("id" = Uuid, Path, description = "Id of the user")),
    request_body = RestoreRequest,
    responses(
        (status = 200, description = "The user is active", body = ChangedUser),
        (status = 404, description = "No such user", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The user is not suspended", body = ProblemBody, content_type = "application/problem+json"),
        WithBody,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn restore(
    Allowed(caller, _): Allowed<UsersWrite>,
    State(services): State<ApiState>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<RestoreRequest>,
) -> Result<Json<ChangedUser>, Problem> {
    let id = parse_id(&id)?;
    check_reason(&request.reason)?;
    let now = OffsetDateTime::now_utc();
    let cause = Cause {
        source: EventSource::Admin,
        at: now,
    };
    let mut tx = CallerTx::begin(&services, &caller).await?;
    let restored = tx.registry().restore(id, &request.reason, &caller.name(), cause).await;
    restored.map_err(problem_of)?;
    let record = find(&mut tx, id).await?;
    let act = Act {
        action: "users.restore",
        subject: &id.to_string(),
        reason: Some(&request.reason),
        detail: json!({}),
    };
    tx.audit(&caller, act).await?;
    let CallerTx::Platform(mut tx) = tx else {
        // The scope requires a key for all communities.
        return Err(unknown_user());
    };
    let jobs = store_jobs(&mut tx, &record, "restored").await?;
    tx.commit().await?;
    publish(&services, &jobs).await;
    Ok(Json(ChangedUser {
        communities: jobs.len(),
        user: User::new(record, caller.view(), now),
    }))
}
