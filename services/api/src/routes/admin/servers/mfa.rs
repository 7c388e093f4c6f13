//! `POST /admin/servers/{guild}/mfa` and `…/mfa/use`: codes of a second factor for what gaib deletes with a bot token of its own.
//!
//! The code is that of the person to whom the API key belongs, so a stolen key alone permits nothing, and neither does a second factor that
//! somebody has set up for another account.

use arrakis_contracts::servers::{GrantUsed, Granted, RequestGrant, ServerOperation, UseGrant};
use arrakis_db::UserId;
use arrakis_db::mfa::{MfaOutcome, NewGrant, verify};
use arrakis_security::mfa::{GrantToken, ProtectedOperation};
use axum::Json;
use axum::extract::{Path, State};
use serde_json::json;
use time::OffsetDateTime;

use super::server::Server;
use crate::authentication::{Allowed, Caller, ServersWrite};
use crate::body::JsonBody;
use crate::caller_tx::Act;
use crate::openapi::{AdminRoute, EveryRoute, OfServer, WithBody};
use crate::problem::{Problem, ProblemKind};
use crate::services::ApiState;

/// Request a grant for a protected operation
///
/// For a code of the Discord user to whom the API key belongs (`arrakis-worker api-key create --user`). A code is accepted once; after five wrong
/// ones none is checked for a time. The grant permits one operation with one plan once, within five minutes. Scope `servers:write`.
#[utoipa::path(
    post,
    path = "/admin/servers/{guild}/mfa",
    tag = "servers",
    params(("guild" = String, Path, description = "Id of the Discord server")),
    request_body = RequestGrant,
    responses(
        (status = 200, description = "The code was accepted", body = Granted),
        OfServer,
        WithBody,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn request_grant(
    Allowed(caller, _): Allowed<ServersWrite>,
    State(services): State<ApiState>,
    Path(guild): Path<String>,
    JsonBody(request): JsonBody<RequestGrant>,
) -> Result<Json<Granted>, Problem> {
    let (operation, plan_digest) = (protected(request.operation), digest(&request.plan_digest)?);
    let _check = match caller.user() {
        Some(user) => Some(services.code_checks.begin(user).await),
        None => None,
    };
    let mut server = Server::find(&services, &caller, &guild).await?;
    let cipher = services.mfa.as_ref().ok_or_else(not_configured)?;
    let user = user_of(&caller)?;
    let now = OffsetDateTime::now_utc();
    let outcome = verify(&mut server.tx, cipher, user, &request.code, operation, now).await?;
    if outcome != MfaOutcome::Accepted {
        // A failure that is rolled back is not counted.
        server.commit().await?;
        return Err(refused(outcome, now));
    }
    let token = GrantToken::generate();
    let grant = NewGrant {
        hash: token.hash(),
        user,
        operation,
        plan_digest,
        created_at: now,
    };
    let expires_at = server.tx.store_mfa_grant(&grant).await?;
    let act = Act {
        action: "mfa.grant",
        subject: operation.as_str(),
        reason: None,
        detail: json!({"user": user, "plan_digest": request.plan_digest}),
    };
    server.audit(&caller, act).await?;
    server.commit().await?;
    Ok(Json(Granted {
        grant: token.expose().to_owned(),
        expires_at,
    }))
}

/// Use a grant
///
/// Right before the operation: of concurrent requests with one grant, one succeeds. Scope `servers:write`.
#[utoipa::path(
    post,
    path = "/admin/servers/{guild}/mfa/use",
    tag = "servers",
    params(("guild" = String, Path, description = "Id of the Discord server")),
    request_body = UseGrant,
    responses(
        (status = 200, description = "The operation may begin", body = GrantUsed),
        OfServer,
        WithBody,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn use_grant(
    Allowed(caller, _): Allowed<ServersWrite>,
    State(services): State<ApiState>,
    Path(guild): Path<String>,
    JsonBody(request): JsonBody<UseGrant>,
) -> Result<Json<GrantUsed>, Problem> {
    let (operation, plan_digest) = (protected(request.operation), digest(&request.plan_digest)?);
    let mut server = Server::find(&services, &caller, &guild).await?;
    let user = user_of(&caller)?;
    let now = OffsetDateTime::now_utc();
    let is_used = match GrantToken::parse(&request.grant) {
        Some(token) => {
            let hash = token.hash();
            server.tx.use_mfa_grant(hash, user, operation, plan_digest, now).await?
        }
        None => false,
    };
    if !is_used {
        let detail = "the grant is not one for this operation and this plan, has expired, or was used; request another one with a new code";
        return Err(Problem::new(ProblemKind::GrantRefused, detail));
    }
    let act = Act {
        action: "mfa.grant_use",
        subject: operation.as_str(),
        reason: None,
        detail: json!({"user": user, "plan_digest": request.plan_digest}),
    };
    server.audit(&caller, act).await?;
    server.commit().await?;
    Ok(Json(GrantUsed {
        operation: request.operation,
    }))
}

const fn protected(operation: ServerOperation) -> ProtectedOperation {
    match operation {
        ServerOperation::DeleteChannels => ProtectedOperation::DeleteChannels,
        ServerOperation::DeleteRoles => ProtectedOperation::DeleteRoles,
        ServerOperation::Teardown => ProtectedOperation::Teardown,
    }
}

fn digest(text: &str) -> Result<[u8; 32], Problem> {
    let mut bytes = [0; 32];
    match hex::decode_to_slice(text, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(Problem::new(
            ProblemKind::InvalidBody,
            "plan_digest: it must have 64 hexadecimal digits",
        )),
    }
}

fn user_of(caller: &Caller) -> Result<UserId, Problem> {
    caller.user().ok_or_else(|| {
        let detail = "the API key belongs to no Discord user, whose code could be checked; create one that does: arrakis-worker api-key create --user USER_ID";
        Problem::new(ProblemKind::MfaNotEnrolled, detail)
    })
}

fn not_configured() -> Problem {
    Problem::new(
        ProblemKind::MfaNotConfigured,
        "MFA_ENCRYPTION_KEY of the api is not set, so no code can be checked",
    )
}

fn refused(outcome: MfaOutcome, now: OffsetDateTime) -> Problem {
    let wrong = |detail: String| Problem::new(ProblemKind::MfaRefused, detail);
    match outcome {
        MfaOutcome::Accepted => Problem::internal("an accepted code was refused"),
        MfaOutcome::NotEnrolled => Problem::new(
            ProblemKind::MfaNotEnrolled,
            "the person to whom the API key belongs has no second factor; /mfa enrol in the Discord server sets one up",
        ),
        MfaOutcome::Wrong { attempts_left } => wrong(format!("code: it is wrong; attempts left: {attempts_left}")),
        MfaOutcome::Replayed => {
            wrong("code: it was used already; wait for the next one, at most 30 seconds".to_owned())
        }
        MfaOutcome::Throttled { until } => {
            let wait = std::time::Duration::try_from(until - now).unwrap_or_default();
            let detail = "too many codes were wrong; none is checked until the time in Retry-After";
            Problem::new(ProblemKind::MfaThrottled, detail).retry_after(wait)
        }
    }
}
