//! `POST /admin/servers/{guild}/checkpoints`.

use arrakis_contracts::servers::{CheckpointCreated, CreateCheckpoint, NewCheckpointPurpose};
use arrakis_db::{CheckpointPurpose, CheckpointSummary, MAX_CHECKPOINTS, NewCheckpoint, TEARDOWN_FREEZE};
use axum::Json;
use axum::extract::{Path, State};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::server::Server;
use super::{MAX_BODY, as_json};
use crate::authentication::{Allowed, Caller, ServersWrite};
use crate::body::{JsonBody, check_reason};
use crate::caller_tx::Act;
use crate::openapi::{AdminRoute, EveryRoute, OfServer, WithLists};
use crate::problem::{Problem, ProblemBody, ProblemKind};
use crate::restore::PresentServer;
use crate::services::{ApiState, Services};

/// Store a checkpoint of a server
///
/// Of the configuration of its community: theme with rules, role bindings, feature gates, token profile, posts, manifest. It is kept for 30
/// days. With the purpose `teardown` the community is frozen, until a checkpoint is restored: no role is assigned or removed, and no role and
/// no channel is created. Repeating the request with its id stores no second one. Beyond 200 checkpoints of the purpose it is 429 `usage-limit`.
/// Scope `servers:write`.
#[utoipa::path(
    post,
    path = "/admin/servers/{guild}/checkpoints",
    tag = "servers",
    params(("guild" = String, Path, description = "Id of the Discord server")),
    request_body = CreateCheckpoint,
    responses(
        (status = 200, description = "The checkpoint is stored", body = CheckpointCreated),
        (status = 409, description = "The id of the request is used for another purpose", body = ProblemBody,
         content_type = "application/problem+json"),
        OfServer,
        WithLists,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn create_checkpoint(
    Allowed(caller, _): Allowed<ServersWrite>,
    State(services): State<ApiState>,
    Path(guild): Path<String>,
    JsonBody(request): JsonBody<CreateCheckpoint, MAX_BODY>,
) -> Result<Json<CheckpointCreated>, Problem> {
    if let Some(reason) = &request.reason {
        check_reason(reason)?;
    }
    let mut server = Server::find(&services, &caller, &guild).await?;
    let present = match &request.server {
        Some(lists) => PresentServer::read(lists, server.record.guild)?,
        None => PresentServer::default(),
    };
    server.lock().await?;
    let stored = server.tx.checkpoints().of_request(request.request_id).await?;
    let stored = match stored {
        Some(stored) if stored.purpose != purpose_of(&request) => return Err(used_otherwise(&stored)),
        Some(stored) => stored,
        None => store(&services, &caller, &mut server, &request, &present).await?,
    };
    let frozen = server
        .tx
        .communities()
        .get()
        .await?
        .is_some_and(|now| now.frozen.is_some());
    server.commit().await?;
    Ok(Json(CheckpointCreated {
        checkpoint: as_json(stored),
        frozen,
    }))
}

const fn purpose_of(request: &CreateCheckpoint) -> CheckpointPurpose {
    match request.purpose {
        NewCheckpointPurpose::Manual => CheckpointPurpose::Manual,
        NewCheckpointPurpose::Teardown => CheckpointPurpose::Teardown,
    }
}

/// The id of a request for another purpose: a teardown must not continue with a checkpoint that has frozen nothing.
fn used_otherwise(stored: &CheckpointSummary) -> Problem {
    let purpose = stored.purpose.as_str();
    let detail = format!("request_id: it stored a checkpoint with the purpose {purpose}; use another id");
    Problem::new(ProblemKind::RequestConflict, detail)
}

async fn store(
    services: &Services,
    caller: &Caller,
    server: &mut Server,
    request: &CreateCheckpoint,
    present: &PresentServer,
) -> Result<CheckpointSummary, Problem> {
    let now = OffsetDateTime::now_utc();
    let purpose = purpose_of(request);
    refuse_too_many(server, purpose, now).await?;
    let theme = services.themes.theme(server.record.theme.as_str()).ok();
    let names = present.names();
    let content = server
        .tx
        .configuration(&server.record, theme.map(|theme| &**theme), &names)
        .await?;
    let by = caller.name();
    let new = NewCheckpoint {
        id: Uuid::now_v7(),
        request: request.request_id,
        purpose,
        reason: request.reason.as_deref(),
        by: &by,
        at: now,
        content: &content,
    };
    let stored = server.tx.checkpoints().create(&new).await?;
    if purpose == CheckpointPurpose::Teardown {
        freeze(server, stored.id).await?;
    }
    let act = Act {
        action: "checkpoints.create",
        subject: &stored.id.to_string(),
        reason: request.reason.as_deref(),
        detail: json!({"purpose": purpose.as_str(), "expires_at": stored.expires_at.unix_timestamp()}),
    };
    server.audit(caller, act).await?;
    Ok(stored)
}

/// Freezes the community for a teardown. A freeze for another reason stays.
async fn freeze(server: &mut Server, checkpoint: Uuid) -> Result<(), Problem> {
    if server.record.frozen.is_none() || server.record.is_frozen_by_teardown() {
        let reason = format!("{TEARDOWN_FREEZE}; the restore of the checkpoint {checkpoint} ends the freeze");
        server.tx.communities().set_frozen(Some(&reason)).await?;
    }
    Ok(())
}

/// Checkpoints of other purposes do not count: those on request and those of restores must not prevent a teardown's.
async fn refuse_too_many(server: &mut Server, purpose: CheckpointPurpose, now: OffsetDateTime) -> Result<(), Problem> {
    let mut stored = server.tx.checkpoints().list(now).await?;
    stored.retain(|stored| stored.purpose == purpose);
    let is_full = u32::try_from(stored.len()).unwrap_or(u32::MAX) >= MAX_CHECKPOINTS;
    match stored.last() {
        Some(oldest) if is_full => {
            let purpose = purpose.as_str();
            let what = format!("a community has at most {MAX_CHECKPOINTS} checkpoints of the purpose {purpose}");
            Err(Problem::usage_limit(what, oldest.expires_at, now))
        }
        _ => Ok(()),
    }
}
