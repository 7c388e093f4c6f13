//! `GET /internal/telegram/accounts/{id}`, `DELETE …/wallets/{address}` and `POST …/separate`.

use arrakis_contracts::telegram::{AccountStatus, LinkedWallet, SessionProgress, UnlinkOutcome, Unlinked};
use arrakis_db::registry::{Account, IdentityStatus, IdentityWallet, SignatureKind};
use arrakis_db::{SessionAccount, SessionNetwork};
use arrakis_domain::Address;
use arrakis_verification::{Unlinking, VerificationError};
use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::IntoParams;

use super::sessions::publish_all;
use super::{parse_telegram_user, problem, verification_account};
use crate::authentication::{Allowed, Telegram};
use crate::body::Params;
use crate::openapi::{AdminRoute, EveryRoute, InPath};
use crate::problem::Problem;
use crate::services::{ApiState, Services};

/// What is linked to a Telegram account
///
/// An account that never verified a wallet has an empty status. Scope `telegram`.
#[utoipa::path(
    get,
    path = "/internal/telegram/accounts/{id}",
    tag = "telegram",
    params(("id" = i64, Path, description = "Telegram's id of the user")),
    responses(
        (status = 200, description = "Wallets, and the session in progress", body = AccountStatus),
        InPath,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn account(
    Allowed(..): Allowed<Telegram>,
    State(services): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<AccountStatus>, Problem> {
    let user = parse_telegram_user(&id)?;
    let now = OffsetDateTime::now_utc();
    let mut tx = services.database.global().await?;
    let record = tx.registry().by_account(Account::Telegram(user)).await?;
    let account = SessionAccount {
        network: SessionNetwork::Telegram,
        id: user.get(),
    };
    let session = tx.verification_sessions().current_of(account, now).await?;
    tx.commit().await?;
    let mut status = AccountStatus {
        session: session.map(|session| SessionProgress {
            state: session.state.as_str().to_owned(),
            expires_at: session.expires_at,
        }),
        ..AccountStatus::default()
    };
    if let Some(record) = record {
        status.wallets = record.held().map(wallet).collect();
        status.discord = record.identity.discord_user.is_some();
        status.suspended = record.identity.is_suspended(now);
        status.suspended_until = match record.identity.status {
            IdentityStatus::Suspended { until } if status.suspended => until,
            _ => None,
        };
    }
    Ok(Json(status))
}

fn wallet(wallet: &IdentityWallet) -> LinkedWallet {
    let by_key = wallet
        .signature
        .is_none_or(|signature| signature.kind == SignatureKind::Eip191);
    LinkedWallet {
        address: wallet.address.to_string(),
        primary: wallet.is_primary,
        chain_id: (!by_key).then_some(wallet.chain_id),
        verified_event: wallet.verified_event,
    }
}

/// The query of the route.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UnlinkQuery {
    /// Sequence number of the event that verified the wallet. A wallet that was verified again by a later event stays.
    pub(crate) verified_event: Option<u64>,
}

/// Unlink a wallet of a Telegram account
///
/// With `verified_event`, a repetition changes nothing, also when the wallet was verified again meanwhile. Refused when a Discord account belongs to the same identity: then that one removes wallets. Scope `telegram`.
#[utoipa::path(
    delete,
    path = "/internal/telegram/accounts/{id}/wallets/{address}",
    tag = "telegram",
    params(
        ("id" = i64, Path, description = "Telegram's id of the user"),
        ("address" = String, Path, description = "Address of the wallet"),
        UnlinkQuery
    ),
    responses(
        (status = 200, description = "What became of it", body = Unlinked),
        InPath,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn unlink_wallet(
    Allowed(..): Allowed<Telegram>,
    State(services): State<ApiState>,
    Path((id, address)): Path<(String, String)>,
    Params(query): Params<UnlinkQuery>,
) -> Result<Json<Unlinked>, Problem> {
    let account = verification_account(parse_telegram_user(&id)?);
    let address = Address::parse_checked(&address)?;
    let now = OffsetDateTime::now_utc();
    let verified_event = query.verified_event;
    let unlinked = services
        .verification
        .unlink(account, address, verified_event, now)
        .await;
    finished(&services, unlinked).await
}

/// Separate the accounts of an identity
///
/// The Discord and the Telegram account that a signature has joined; the one that was linked later leaves. Scope `telegram`.
#[utoipa::path(
    post,
    path = "/internal/telegram/accounts/{id}/separate",
    tag = "telegram",
    params(("id" = i64, Path, description = "Telegram's id of the user")),
    responses(
        (status = 200, description = "What became of it", body = Unlinked),
        InPath,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn separate_accounts(
    Allowed(..): Allowed<Telegram>,
    State(services): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<Unlinked>, Problem> {
    let account = verification_account(parse_telegram_user(&id)?);
    let separated = services.verification.separate(account, OffsetDateTime::now_utc()).await;
    finished(&services, separated).await
}

async fn finished(
    services: &Services,
    result: Result<Unlinking, VerificationError>,
) -> Result<Json<Unlinked>, Problem> {
    let outcome = match result.map_err(problem)? {
        Unlinking::Done(job) => {
            publish_all(services, [job]).await;
            UnlinkOutcome::Done
        }
        Unlinking::Nothing => UnlinkOutcome::Already,
        Unlinking::Suspended => UnlinkOutcome::Suspended,
        Unlinking::InDiscord => UnlinkOutcome::InDiscord,
        Unlinking::VerifiedAgain => UnlinkOutcome::VerifiedAgain,
    };
    Ok(Json(Unlinked { outcome }))
}
