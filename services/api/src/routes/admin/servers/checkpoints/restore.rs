//! `POST /admin/servers/{guild}/checkpoints/{id}/restore`.

use arrakis_contracts::servers::{RestoreCheckpoint, Restored};
use arrakis_db::{CheckpointPurpose, NewCheckpoint, StoredRestore};
use axum::Json;
use axum::extract::{Path, State};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::server::Server;
use super::{MAX_BODY, as_json, find, parse_id};
use crate::authentication::{Allowed, Caller, ServersWrite};
use crate::body::{JsonBody, check_reason};
use crate::caller_tx::Act;
use crate::jobs::{StoredJob, publish};
use crate::openapi::{AdminRoute, EveryRoute, OfServer, WithLists};
use crate::problem::{Problem, ProblemBody, ProblemKind};
use crate::restore::{PresentServer, RestoreInputs, RestoreRequest, carry_out};
use crate::services::{ApiState, Services};

/// Restore a checkpoint
///
/// Ids of roles and channels that were created again are mapped by their names; the response names what cannot be mapped. What is replaced is
/// stored as a checkpoint before, in the same transaction. A freeze that a teardown began ends, and a tier sync gives the members their
/// roles. Repeating the request with its id changes nothing and returns the first result. Scope `servers:write`.
#[utoipa::path(
    post,
    path = "/admin/servers/{guild}/checkpoints/{id}/restore",
    tag = "servers",
    params(
        ("guild" = String, Path, description = "Id of the Discord server"),
        ("id" = Uuid, Path, description = "Id of the checkpoint")
    ),
    request_body = RestoreCheckpoint,
    responses(
        (status = 200, description = "The checkpoint is restored", body = Restored),
        (status = 409, description = "The checkpoint cannot be read, or not be restored as things are, or the id of the request is used",
         body = ProblemBody, content_type = "application/problem+json"),
        OfServer,
        WithLists,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn restore_checkpoint(
    Allowed(caller, _): Allowed<ServersWrite>,
    State(services): State<ApiState>,
    Path((guild, id)): Path<(String, String)>,
    JsonBody(request): JsonBody<RestoreCheckpoint, MAX_BODY>,
) -> Result<Json<Restored>, Problem> {
    let id = parse_id(&id)?;
    if let Some(reason) = &request.reason {
        check_reason(reason)?;
    }
    let mut server = Server::find(&services, &caller, &guild).await?;
    // Two requests at the same time: the second one finds what the first has done.
    server.lock().await?;
    if let Some(before) = server.tx.checkpoints().restore_of_request(request.request_id).await? {
        server.commit().await?;
        return repeated(id, before).map(Json);
    }
    let (restored, jobs) = Box::pin(restore_new(&services, &caller, &mut server, id, &request)).await?;
    server.commit().await?;
    publish(&services, &jobs).await;
    Ok(Json(restored))
}

/// The result of an earlier request with the same id.
fn repeated(id: Uuid, before: StoredRestore) -> Result<Restored, Problem> {
    if before.checkpoint != id {
        let detail = format!(
            "request_id: it restored the checkpoint {}; use another id",
            before.checkpoint
        );
        return Err(Problem::new(ProblemKind::RequestConflict, detail));
    }
    let result = serde_json::from_value(before.result);
    let restored: Restored = result.map_err(|error| Problem::internal(format!("a stored result: {error}")))?;
    Ok(Restored {
        repeated: true,
        ..restored
    })
}

/// Restores the checkpoint within the transaction; returns the result, and the jobs to publish after the commit.
async fn restore_new(
    services: &Services,
    caller: &Caller,
    server: &mut Server,
    id: Uuid,
    request: &RestoreCheckpoint,
) -> Result<(Restored, Vec<StoredJob>), Problem> {
    let now = OffsetDateTime::now_utc();
    let by = caller.name();
    let present = PresentServer::read(&request.server, server.record.guild)?;
    let (summary, content) = find(server, id, now).await?;
    let inputs = RestoreInputs::read(&services.themes, &mut server.tx, &server.record, &present, &content).await?;
    let planned = inputs.plan();
    if !planned.obstacles.is_empty() {
        let detail = format!("{}; nothing was changed", planned.obstacles.join("; "));
        return Err(Problem::new(ProblemKind::RestoreRefused, detail));
    }
    let undo = NewCheckpoint {
        id: Uuid::now_v7(),
        request: Uuid::now_v7(),
        purpose: CheckpointPurpose::Restore,
        reason: request.reason.as_deref(),
        by: &by,
        at: now,
        content: inputs.present(),
    };
    let discarded = server.tx.checkpoints().make_room_for_undo(id, now).await?;
    server.tx.checkpoints().create(&undo).await?;
    let restore = RestoreRequest {
        id: request.request_id,
        by: &by,
        now,
    };
    let done = carry_out(&mut server.tx, &inputs, &planned, &restore).await?;
    let restored = Restored {
        checkpoint: as_json(summary),
        changes: planned.shown,
        undo_checkpoint: undo.id,
        unfrozen: done.unfrozen,
        jobs: done.jobs.iter().map(|job| job.id.clone()).collect(),
        repeated: false,
    };
    let result = serde_json::to_value(&restored).map_err(|error| Problem::internal(error.to_string()))?;
    let stored = StoredRestore {
        checkpoint: id,
        restored_at: now,
        result,
    };
    server
        .tx
        .checkpoints()
        .record_restore(request.request_id, &by, &stored)
        .await?;
    let act = Act {
        action: "checkpoints.restore",
        subject: &id.to_string(),
        reason: request.reason.as_deref(),
        detail: json!({
            "undo_checkpoint": undo.id, "changes": restored.changes.changes.len(),
            "mapped": restored.changes.mapped.len(), "unmapped": restored.changes.unmapped,
            "unfrozen": restored.unfrozen, "jobs": restored.jobs, "discarded_checkpoints": discarded,
        }),
    };
    server.audit(caller, act).await?;
    Ok((restored, done.jobs))
}
