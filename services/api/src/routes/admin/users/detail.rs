//! `GET /admin/users/{id}`: one user with its history.

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::user::{User, UserEvent, find, parse_id};
use crate::authentication::{Allowed, UsersRead, View};
use crate::body::{Params, number};
use crate::caller_tx::{Act, CallerTx};
use crate::openapi::{AdminRoute, EveryRoute};
use crate::problem::{Problem, ProblemBody};
use crate::services::ApiState;

/// Events of one answer.
const HISTORY: u32 = 100;
/// Largest sequence number of an event.
const MAX_SEQUENCE: u64 = i64::MAX.unsigned_abs();

/// The query.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DetailQuery {
    /// Only events with a smaller sequence number: `history_before` of an earlier answer. Needs a key for all communities.
    #[serde(default, deserialize_with = "number::<_, _, 0, MAX_SEQUENCE>")]
    before: Option<u64>,
}

/// A user with its history.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserDetail {
    #[serde(flatten)]
    user: User,
    /// Events of the user, newest first, at most 100; none for a key of one community
    history: Vec<UserEvent>,
    /// Where the history continues: the parameter `before` of the next request; null at its end
    #[schema(required = true)]
    history_before: Option<u64>,
}

/// Read a user
///
/// With the wallets and the history. A key of one community sees no history. Scope `users:read`.
#[utoipa::path(
    get,
    path = "/admin/users/{id}",
    tag = "users",
    params(("id" = Uuid, Path, description = "Id of the user"), DetailQuery),
    responses(
        (status = 200, description = "The user", body = UserDetail),
        (status = 400, description = "A parameter is invalid", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such user, or none that the key may see", body = ProblemBody,
         content_type = "application/problem+json"),
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn detail(
    Allowed(caller, _): Allowed<UsersRead>,
    State(services): State<ApiState>,
    Path(id): Path<String>,
    Params(query): Params<DetailQuery>,
) -> Result<Json<UserDetail>, Problem> {
    let id = parse_id(&id)?;
    if query.before.is_some() {
        caller.require_all_communities("before")?;
    }
    let mut tx = CallerTx::begin(&services, &caller).await?;
    let record = find(&mut tx, id).await?;
    let mut events = match caller.view() {
        // One more shows whether the history continues.
        View::Platform => tx.registry().history(id, query.before, HISTORY + 1).await?,
        // An event has no community: it may name admins of other ones, and reasons that concern them.
        View::Community => Vec::new(),
    };
    let act = Act {
        action: "users.read",
        subject: &id.to_string(),
        reason: None,
        detail: json!({"before": query.before}),
    };
    tx.audit(&caller, act).await?;
    tx.commit().await?;
    let continues = events.len() > HISTORY as usize;
    events.truncate(HISTORY as usize);
    Ok(Json(UserDetail {
        user: User::new(record, caller.view(), OffsetDateTime::now_utc()),
        history_before: events.last().map(|event| event.sequence).filter(|_| continues),
        history: events.into_iter().map(UserEvent::from).collect(),
    }))
}
