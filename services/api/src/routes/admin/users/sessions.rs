//! `GET /admin/users/{id}/sessions` and `POST …/sessions/revoke`: what one person can act by at the moment, and the end of all of it.
//!
//! Verifications of wallets, API keys that belong to the person, and dialogs in Redis. `arrakis-worker sessions` does the same.

use arrakis_db::registry::IdentityRecord;
use arrakis_db::{SessionAccount, SessionNetwork};
use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::user::{find, parse_id, unknown_user};
use crate::authentication::{Allowed, UsersWrite};
use crate::body::{JsonBody, check_reason};
use crate::caller_tx::{Act, CallerTx};
use crate::openapi::{AdminRoute, EveryRoute, InPath, WithBody};
use crate::problem::{Problem, ProblemBody};
use crate::services::ApiState;

/// Kind of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SessionKind {
    /// Verification of a wallet
    Verification,
    /// Key of this api that belongs to the person
    ApiKey,
    /// Dialog of several messages, such as `/onboard`
    Dialog,
}

/// A session of a person.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserSession {
    /// Its kind
    kind: SessionKind,
    /// Its id
    id: Uuid,
    /// What it is, for people
    what: String,
    /// When it ends by itself; null where that is not known
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    ends_at: Option<OffsetDateTime>,
}

/// The sessions of a person.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserSessions {
    /// All of them
    sessions: Vec<UserSession>,
}

/// The end of all sessions of a person.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeSessions {
    /// Why; it is stored in the audit log
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// How many sessions were ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevokedSessions {
    /// Verifications of wallets
    verifications: u64,
    /// Keys of this api
    api_keys: u64,
    /// Dialogs
    dialogs: usize,
}

/// List the sessions of a user
///
/// Verifications of wallets, API keys that belong to the person, and dialogs. Scope `users:write`.
#[utoipa::path(
    get,
    path = "/admin/users/{id}/sessions",
    tag = "users",
    params(("id" = Uuid, Path, description = "Id of the user")),
    responses(
        (status = 200, description = "The sessions", body = UserSessions),
        (status = 404, description = "No such user", body = ProblemBody, content_type = "application/problem+json"),
        InPath,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn list_sessions(
    Allowed(caller, _): Allowed<UsersWrite>,
    State(services): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<UserSessions>, Problem> {
    let id = parse_id(&id)?;
    let now = OffsetDateTime::now_utc();
    let mut tx = CallerTx::begin(&services, &caller).await?;
    let record = find(&mut tx, id).await?;
    let act = Act {
        action: "users.sessions_read",
        subject: &id.to_string(),
        reason: None,
        detail: json!({}),
    };
    tx.audit(&caller, act).await?;
    tx.commit().await?;
    let mut sessions = Vec::new();
    let mut tx = services.database.global().await?;
    for account in accounts(&record)? {
        let found = tx.verification_sessions().current_of(account, now).await?;
        sessions.extend(found.map(|session| UserSession {
            kind: SessionKind::Verification,
            id: session.id,
            what: session.state.as_str().to_owned(),
            ends_at: Some(session.expires_at),
        }));
    }
    tx.commit().await?;
    if let Some(user) = record.identity.discord_user {
        let keys = services.admin.api_keys_of(user).await?;
        sessions.extend(keys.into_iter().map(|key| UserSession {
            kind: SessionKind::ApiKey,
            id: key.id,
            what: format!("{} {}", key.prefix, key.name),
            ends_at: Some(key.expires_at),
        }));
        let dialogs = services.cache.sessions_of(user.get()).await;
        let dialogs = dialogs.map_err(|error| Problem::unavailable(error.to_string()))?;
        sessions.extend(dialogs.into_iter().map(|dialog| UserSession {
            kind: SessionKind::Dialog,
            id: dialog.id,
            what: format!("/{} in {}", dialog.kind, dialog.tenant),
            ends_at: None,
        }));
    }
    Ok(Json(UserSessions { sessions }))
}

/// End all sessions of a user
///
/// An API key that belongs to the person is refused from the next request on, also the one of this request. Can be repeated. While Redis is
/// unavailable it is 503, and everything but the dialogs has ended. Scope `users:write`.
#[utoipa::path(
    post,
    path = "/admin/users/{id}/sessions/revoke",
    tag = "users",
    params(("id" = Uuid, Path, description = "Id of the user")),
    request_body = RevokeSessions,
    responses(
        (status = 200, description = "The sessions have ended", body = RevokedSessions),
        (status = 404, description = "No such user", body = ProblemBody, content_type = "application/problem+json"),
        WithBody,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn revoke_sessions(
    Allowed(caller, _): Allowed<UsersWrite>,
    State(services): State<ApiState>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<RevokeSessions>,
) -> Result<Json<RevokedSessions>, Problem> {
    let id = parse_id(&id)?;
    check_reason(&request.reason)?;
    let mut tx = CallerTx::begin(&services, &caller).await?;
    let record = find(&mut tx, id).await?;
    let CallerTx::Platform(mut tx) = tx else {
        // The scope requires a key for all communities.
        return Err(unknown_user());
    };
    let api_keys = match record.identity.discord_user {
        Some(user) => tx.revoke_api_keys_of(user, &caller.name()).await?,
        None => 0,
    };
    let mut tx = CallerTx::Platform(tx);
    let act = Act {
        action: "users.sessions_revoke",
        subject: &id.to_string(),
        reason: Some(&request.reason),
        detail: json!({"api_keys": api_keys}),
    };
    tx.audit(&caller, act).await?;
    tx.commit().await?;
    let mut tx = services.database.global().await?;
    let mut verifications = 0;
    for account in accounts(&record)? {
        verifications += tx
            .verification_sessions()
            .end_all_of(account, OffsetDateTime::now_utc())
            .await?;
    }
    tx.commit().await?;
    let dialogs = match record.identity.discord_user {
        Some(user) => services.cache.end_sessions_of(user.get()).await,
        None => Ok(0),
    };
    Ok(Json(RevokedSessions {
        verifications,
        api_keys,
        dialogs: dialogs.map_err(|error| Problem::unavailable(error.to_string()))?,
    }))
}

/// The accounts of an identity, by which verifications are found.
fn accounts(record: &IdentityRecord) -> Result<Vec<SessionAccount>, Problem> {
    let discord = record
        .identity
        .discord_user
        .map(|user| (SessionNetwork::Discord, i64::try_from(user.get())));
    let telegram = record
        .identity
        .telegram_user
        .map(|user| (SessionNetwork::Telegram, Ok(user.get())));
    discord
        .into_iter()
        .chain(telegram)
        .map(|(network, id)| {
            let id = id.map_err(|error| Problem::internal(error.to_string()))?;
            Ok(SessionAccount { network, id })
        })
        .collect()
}
