//! `GET` and `PUT /admin/servers/{guild}/plan`.

use arrakis_contracts::JobKind;
use arrakis_contracts::job::theme_grace_begins;
use arrakis_contracts::servers::{PlanName, ServerPlan, SetPlan};
use arrakis_db::{Actor, Community, NewJob, PlanChange};
use arrakis_domain::{Plan, Theme};
use axum::Json;
use axum::extract::{Path, State};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::server::{Server, plan_name};
use crate::authentication::{Allowed, PlansWrite, ServersRead};
use crate::body::{JsonBody, check_reason};
use crate::caller_tx::Act;
use crate::jobs::{StoredJob, publish};
use crate::openapi::{AdminRoute, EveryRoute, OfServer, WithBody};
use crate::problem::{Problem, ProblemKind};
use crate::services::ApiState;

/// Most days of a grace period.
const MAX_GRACE_DAYS: u16 = 366;

/// Read the plan of a server
///
/// With the theme of its community, and whether the community is frozen. Scope `servers:read`.
#[utoipa::path(
    get,
    path = "/admin/servers/{guild}/plan",
    tag = "servers",
    params(("guild" = String, Path, description = "Id of the Discord server")),
    responses((status = 200, description = "The plan", body = ServerPlan), OfServer, AdminRoute, EveryRoute),
    security(("api_key" = []))
)]
pub(crate) async fn read_plan(
    Allowed(caller, _): Allowed<ServersRead>,
    State(services): State<ApiState>,
    Path(guild): Path<String>,
) -> Result<Json<ServerPlan>, Problem> {
    let mut server = Server::find(&services, &caller, &guild).await?;
    let act = Act {
        action: "servers.plan_read",
        subject: &guild,
        reason: None,
        detail: json!({}),
    };
    server.audit(&caller, act).await?;
    let plan = server_plan(&server.record);
    server.commit().await?;
    Ok(Json(plan))
}

/// Set the plan of a server
///
/// A theme that the plan does not include stays in use for a grace period, about which the admins get a message; then another one takes its
/// place. Repeating the request changes nothing, but with `grace_days` the grace period begins again. Scope `plans:write`, which needs a key for
/// all communities.
#[utoipa::path(
    put,
    path = "/admin/servers/{guild}/plan",
    tag = "servers",
    params(("guild" = String, Path, description = "Id of the Discord server")),
    request_body = SetPlan,
    responses(
        (status = 200, description = "The plan is set", body = ServerPlan),
        OfServer,
        WithBody,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn set_plan(
    Allowed(caller, _): Allowed<PlansWrite>,
    State(services): State<ApiState>,
    Path(guild): Path<String>,
    JsonBody(request): JsonBody<SetPlan>,
) -> Result<Json<ServerPlan>, Problem> {
    if let Some(reason) = &request.reason {
        check_reason(reason)?;
    }
    if request.grace_days.is_some_and(|days| days > MAX_GRACE_DAYS) {
        let detail = format!("grace_days: it must be at most {MAX_GRACE_DAYS}");
        return Err(Problem::new(ProblemKind::InvalidBody, detail));
    }
    let mut server = Server::find(&services, &caller, &guild).await?;
    // The leader of the workers may replace the theme.
    server.lock().await?;
    let theme = services.themes.theme(server.record.theme.as_str());
    // The workers have it: the THEMES_DIR of the api differs.
    let theme = theme.map_err(|error| Problem::internal(format!("THEMES_DIR of the api: {error}")))?;
    let change = PlanChange {
        plan: match request.plan {
            PlanName::Free => Plan::Free,
            PlanName::Premium => Plan::Premium,
        },
        theme,
        grace: request.grace_days.map(|days| Duration::days(days.into())),
        actor: Actor::Operator(caller.name()),
        reason: request.reason.as_deref(),
        now: OffsetDateTime::now_utc(),
    };
    let plan = change.plan;
    let changed = server.tx.change_plan(change).await?;
    let messages = match changed.theme_until {
        Some(until) => vec![tell_admins(&mut server, theme, until).await?],
        None => Vec::new(),
    };
    server.record.plan = plan;
    server.record.theme_grace_until = changed.theme_until;
    let plan = server_plan(&server.record);
    server.commit().await?;
    publish(&services, &messages).await;
    Ok(Json(plan))
}

/// Stores the job that tells the admins of the community about a grace period, once for each end of one.
async fn tell_admins(server: &mut Server, theme: &Theme, until: OffsetDateTime) -> Result<StoredJob, Problem> {
    let (id, payload) = theme_grace_begins(theme.id.as_str(), until.unix_timestamp());
    let new = NewJob {
        id: &id,
        kind: JobKind::Reconcile.name(),
        payload,
        due_at: OffsetDateTime::now_utc(),
    };
    server.tx.jobs().enqueue(&new).await?;
    Ok(StoredJob {
        id,
        kind: JobKind::Reconcile,
        community: Some(server.record.id),
    })
}

fn server_plan(record: &Community) -> ServerPlan {
    ServerPlan {
        guild_id: record.guild.to_string(),
        name: record.name.clone(),
        plan: plan_name(record.plan),
        theme: record.theme.to_string(),
        theme_until: record.theme_grace_until,
        frozen: record.frozen.as_ref().map(|frozen| frozen.reason.clone()),
    }
}
