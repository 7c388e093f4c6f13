//! `GET` and `POST /admin/servers/{guild}/backup-usage`.

use arrakis_contracts::servers::{BackupKind, BackupUsage, BackupUsageEntry, BackupUseCounted, CountBackupUse};
use arrakis_db::{BackupUsageState, BackupUseOutcome, NewBackupUse};
use arrakis_domain::BackupUse;
use axum::Json;
use axum::extract::{Path, State};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::server::{Server, plan_name};
use crate::authentication::{Allowed, Caller, ServersRead, ServersWrite};
use crate::body::JsonBody;
use crate::caller_tx::Act;
use crate::openapi::{AdminRoute, EveryRoute, OfServer, WithBody};
use crate::problem::Problem;
use crate::services::ApiState;

/// Seconds of an hour.
const HOUR: u64 = 3_600;
/// Time within which a use can be given back.
const GIVEN_BACK_WITHIN: Duration = Duration::HOUR;

/// Read the limits of a server
///
/// Of backups, restores and snapshots on request, and what is used of them. Scope `servers:read`.
#[utoipa::path(
    get,
    path = "/admin/servers/{guild}/backup-usage",
    tag = "servers",
    params(("guild" = String, Path, description = "Id of the Discord server")),
    responses((status = 200, description = "The limits", body = BackupUsage), OfServer, AdminRoute, EveryRoute),
    security(("api_key" = []))
)]
pub(crate) async fn read_usage(
    Allowed(caller, _): Allowed<ServersRead>,
    State(services): State<ApiState>,
    Path(guild): Path<String>,
) -> Result<Json<BackupUsage>, Problem> {
    let mut server = Server::find(&services, &caller, &guild).await?;
    let plan = server.record.plan;
    let states = server.tx.backup_usage().states(plan, OffsetDateTime::now_utc()).await?;
    let act = Act {
        action: "servers.usage_read",
        subject: &guild,
        reason: None,
        detail: json!({}),
    };
    server.audit(&caller, act).await?;
    server.commit().await?;
    Ok(Json(BackupUsage {
        plan: plan_name(plan),
        usage: states.into_iter().map(entry).collect(),
    }))
}

/// Count a backup, restore or snapshot on request
///
/// Before it begins. Beyond the limit of the plan it is 429 `usage-limit`, and `frees_at` is when it works again. Repeating a request with
/// its id counts once. With `give_back`, the use of that id is returned: the operation failed and changed nothing. Scope `servers:write`.
#[utoipa::path(
    post,
    path = "/admin/servers/{guild}/backup-usage",
    tag = "servers",
    params(("guild" = String, Path, description = "Id of the Discord server")),
    request_body = CountBackupUse,
    responses(
        (status = 200, description = "It is counted", body = BackupUseCounted),
        OfServer,
        WithBody,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn count_use(
    Allowed(caller, _): Allowed<ServersWrite>,
    State(services): State<ApiState>,
    Path(guild): Path<String>,
    JsonBody(request): JsonBody<CountBackupUse>,
) -> Result<Json<BackupUseCounted>, Problem> {
    let mut server = Server::find(&services, &caller, &guild).await?;
    if request.give_back {
        return give_back(server, &caller, &request).await.map(Json);
    }
    let now = OffsetDateTime::now_utc();
    let by = caller.name();
    let new = NewBackupUse {
        kind: of_json(request.kind),
        id: request.request_id,
        by: &by,
    };
    let outcome = server.tx.backup_usage().count(&new, now).await?;
    let left = match outcome {
        Some(BackupUseOutcome::Counted { left }) => left,
        Some(BackupUseOutcome::Exhausted { frees_at }) => {
            let what = format!(
                "the plan {} permits no further {} at the moment",
                server.record.plan,
                request.kind.name()
            );
            return Err(Problem::usage_limit(what, frees_at, now));
        }
        None => return Err(Problem::internal("the community was deleted within a request")),
    };
    let act = Act {
        action: "servers.backup_use",
        subject: request.kind.name(),
        reason: None,
        detail: json!({"id": request.request_id, "left": left}),
    };
    server.audit(&caller, act).await?;
    server.commit().await?;
    Ok(Json(BackupUseCounted {
        kind: request.kind,
        left,
    }))
}

/// Returns a use. Repeated, it changes nothing.
async fn give_back(mut server: Server, caller: &Caller, request: &CountBackupUse) -> Result<BackupUseCounted, Problem> {
    let (kind, now) = (of_json(request.kind), OffsetDateTime::now_utc());
    server.lock().await?;
    let since = now - GIVEN_BACK_WITHIN;
    let mut uses = server.tx.backup_usage();
    let is_given_back = uses.give_back(kind, request.request_id, since).await?;
    let states = uses.states(server.record.plan, now).await?;
    let state = states.into_iter().find(|state| state.kind == kind);
    let left = state.and_then(|state| Some(state.limit?.uses.saturating_sub(state.used)));
    let act = Act {
        action: "servers.backup_use_returned",
        subject: request.kind.name(),
        reason: None,
        detail: json!({"id": request.request_id, "left": left, "returned": is_given_back}),
    };
    server.audit(caller, act).await?;
    server.commit().await?;
    Ok(BackupUseCounted {
        kind: request.kind,
        left,
    })
}

fn entry(state: BackupUsageState) -> BackupUsageEntry {
    BackupUsageEntry {
        kind: as_json(state.kind),
        limit: state.limit.map(|limit| limit.uses),
        within_hours: state.limit.map(|limit| limit.within.as_secs() / HOUR),
        used: state.used,
        frees_at: state.frees_at,
    }
}

const fn of_json(kind: BackupKind) -> BackupUse {
    match kind {
        BackupKind::Backup => BackupUse::Backup,
        BackupKind::Restore => BackupUse::Restore,
        BackupKind::Snapshot => BackupUse::Snapshot,
        BackupKind::SnapshotRestore => BackupUse::SnapshotRestore,
    }
}

const fn as_json(kind: BackupUse) -> BackupKind {
    match kind {
        BackupUse::Backup => BackupKind::Backup,
        BackupUse::Restore => BackupKind::Restore,
        BackupUse::Snapshot => BackupKind::Snapshot,
        BackupUse::SnapshotRestore => BackupKind::SnapshotRestore,
    }
}
