//! `GET /admin/servers/{guild}/checkpoints/{id}`.

use arrakis_contracts::servers::CheckpointDetail;
use axum::Json;
use axum::extract::{Path, State};
use serde_json::json;
use time::OffsetDateTime;

use super::super::server::Server;
use super::{as_json, find, parse_id};
use crate::authentication::{Allowed, ServersRead};
use crate::caller_tx::Act;
use crate::openapi::{AdminRoute, EveryRoute, OfServer};
use crate::problem::{Problem, ProblemBody};
use crate::services::ApiState;

/// Read a checkpoint
///
/// With the configuration that it has. Scope `servers:read`.
#[utoipa::path(
    get,
    path = "/admin/servers/{guild}/checkpoints/{id}",
    tag = "servers",
    params(
        ("guild" = String, Path, description = "Id of the Discord server"),
        ("id" = Uuid, Path, description = "Id of the checkpoint")
    ),
    responses(
        (status = 200, description = "The checkpoint", body = CheckpointDetail),
        (status = 409, description = "The content of the checkpoint cannot be read", body = ProblemBody,
         content_type = "application/problem+json"),
        OfServer,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn read_checkpoint(
    Allowed(caller, _): Allowed<ServersRead>,
    State(services): State<ApiState>,
    Path((guild, id)): Path<(String, String)>,
) -> Result<Json<CheckpointDetail>, Problem> {
    let id = parse_id(&id)?;
    let mut server = Server::find(&services, &caller, &guild).await?;
    let (summary, content) = find(&mut server, id, OffsetDateTime::now_utc()).await?;
    let act = Act {
        action: "checkpoints.read",
        subject: &id.to_string(),
        reason: None,
        detail: json!({}),
    };
    server.audit(&caller, act).await?;
    server.commit().await?;
    Ok(Json(CheckpointDetail {
        checkpoint: as_json(summary),
        content: serde_json::to_value(&content).map_err(|error| Problem::internal(error.to_string()))?,
    }))
}
