//! `POST /admin/servers/{guild}/checkpoints/{id}/preview`.

use arrakis_contracts::servers::{PreviewRestore, RestorePreview};
use axum::Json;
use axum::extract::{Path, State};
use serde_json::json;
use time::OffsetDateTime;

use super::super::server::Server;
use super::{MAX_BODY, as_json, find, parse_id};
use crate::authentication::{Allowed, ServersRead};
use crate::body::JsonBody;
use crate::caller_tx::Act;
use crate::openapi::{AdminRoute, EveryRoute, OfServer, WithLists};
use crate::problem::{Problem, ProblemBody};
use crate::restore::{PresentServer, RestoreInputs};
use crate::services::ApiState;

/// Preview the restore of a checkpoint
///
/// The fields that would change, the ids of roles and channels that were mapped by their names, and those that cannot be mapped. Changes
/// nothing. Scope `servers:read`.
#[utoipa::path(
    post,
    path = "/admin/servers/{guild}/checkpoints/{id}/preview",
    tag = "servers",
    params(
        ("guild" = String, Path, description = "Id of the Discord server"),
        ("id" = Uuid, Path, description = "Id of the checkpoint")
    ),
    request_body = PreviewRestore,
    responses(
        (status = 200, description = "What a restore would change", body = RestorePreview),
        (status = 409, description = "The content of the checkpoint cannot be read", body = ProblemBody,
         content_type = "application/problem+json"),
        OfServer,
        WithLists,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn preview_restore(
    Allowed(caller, _): Allowed<ServersRead>,
    State(services): State<ApiState>,
    Path((guild, id)): Path<(String, String)>,
    JsonBody(request): JsonBody<PreviewRestore, MAX_BODY>,
) -> Result<Json<RestorePreview>, Problem> {
    let id = parse_id(&id)?;
    let mut server = Server::find(&services, &caller, &guild).await?;
    let present = PresentServer::read(&request.server, server.record.guild)?;
    let (summary, content) = find(&mut server, id, OffsetDateTime::now_utc()).await?;
    let inputs = RestoreInputs::read(&services.themes, &mut server.tx, &server.record, &present, &content).await?;
    let planned = inputs.plan();
    let act = Act {
        action: "checkpoints.preview",
        subject: &id.to_string(),
        reason: None,
        detail: json!({"changes": planned.shown.changes.len(), "unmapped": planned.shown.unmapped.len()}),
    };
    server.audit(&caller, act).await?;
    server.commit().await?;
    Ok(Json(RestorePreview {
        checkpoint: as_json(summary),
        changes: planned.shown,
        obstacles: planned.obstacles,
    }))
}
