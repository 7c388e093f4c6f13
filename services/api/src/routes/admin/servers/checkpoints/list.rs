//! `GET /admin/servers/{guild}/checkpoints`.

use arrakis_contracts::servers::CheckpointList;
use axum::Json;
use axum::extract::{Path, State};
use serde_json::json;
use time::OffsetDateTime;

use super::super::server::Server;
use super::as_json;
use crate::authentication::{Allowed, ServersRead};
use crate::caller_tx::Act;
use crate::openapi::{AdminRoute, EveryRoute, OfServer};
use crate::problem::Problem;
use crate::services::ApiState;

/// List the checkpoints of a server
///
/// The newest first. Scope `servers:read`.
#[utoipa::path(
    get,
    path = "/admin/servers/{guild}/checkpoints",
    tag = "servers",
    params(("guild" = String, Path, description = "Id of the Discord server")),
    responses((status = 200, description = "The checkpoints", body = CheckpointList), OfServer, AdminRoute, EveryRoute),
    security(("api_key" = []))
)]
pub(crate) async fn list_checkpoints(
    Allowed(caller, _): Allowed<ServersRead>,
    State(services): State<ApiState>,
    Path(guild): Path<String>,
) -> Result<Json<CheckpointList>, Problem> {
    let mut server = Server::find(&services, &caller, &guild).await?;
    let stored = server.tx.checkpoints().list(OffsetDateTime::now_utc()).await?;
    let act = Act {
        action: "checkpoints.list",
        subject: &guild,
        reason: None,
        detail: json!({"count": stored.len()}),
    };
    server.audit(&caller, act).await?;
    server.commit().await?;
    Ok(Json(CheckpointList {
        checkpoints: stored.into_iter().map(as_json).collect(),
    }))
}
