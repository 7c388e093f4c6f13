//! `POST /internal/telegram/sessions` and `POST /internal/telegram/sessions/{id}/answer`.

use std::collections::BTreeMap;

use arrakis_contracts::JobKind;
use arrakis_contracts::telegram::{ConsentAnswer, ConsentOutcome, SessionStarted, StartSession};
use arrakis_verification::{MoveAnswer, NewSession, RecordRefusal, Refusal, Started, VerificationError};
use axum::Json;
use axum::extract::{Path, State};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{problem, telegram_user, verification_account};
use crate::authentication::{Allowed, Telegram};
use crate::body::{JsonBody, invalid_parameter};
use crate::jobs::{StoredJob, publish};
use crate::openapi::{AdminRoute, EveryRoute, WithBody};
use crate::problem::Problem;
use crate::services::{ApiState, Services};

/// Chain on which contract wallets are checked while there is no token profile.
const DEFAULT_CHAIN: u64 = 1;

/// Begin a verification session of a Telegram account
///
/// An earlier open session of the account ends. The link is a secret of the account. Scope `telegram`.
#[utoipa::path(
    post,
    path = "/internal/telegram/sessions",
    tag = "telegram",
    request_body = StartSession,
    responses(
        (status = 200, description = "The session, or that there were too many or the account is suspended", body = SessionStarted),
        WithBody,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn start_session(
    Allowed(..): Allowed<Telegram>,
    State(services): State<ApiState>,
    JsonBody(request): JsonBody<StartSession>,
) -> Result<Json<SessionStarted>, Problem> {
    let user = telegram_user(request.telegram_user_id)?;
    let new = NewSession {
        account: verification_account(user),
        account_name: request.name,
        community: None,
        interaction: None,
        chain_id: chain(&services).await?,
    };
    let started = services.verification.start(&new, OffsetDateTime::now_utc()).await;
    if let Err(VerificationError::Refused(Refusal::Registry(RecordRefusal::Suspended { until }))) = started {
        return Ok(Json(SessionStarted::Suspended { until }));
    }
    Ok(Json(match started.map_err(problem)? {
        Started::Session {
            id,
            link,
            expires_at,
            replaced,
        } => SessionStarted::Started {
            session: id,
            link: link.expose().to_owned(),
            expires_at,
            replaced,
        },
        Started::TooMany { next_at } => SessionStarted::TooMany { next_at },
    }))
}

/// The chain that most token profiles are on: a Telegram account has no community that would name one.
async fn chain(services: &Services) -> Result<u64, Problem> {
    let mut tx = services.database.global().await?;
    let profiles = tx.eligibility().token_profiles().await?;
    tx.commit().await?;
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for profile in profiles {
        *counts.entry(profile.chain_id).or_default() += 1;
    }
    // Of several, the lowest id.
    let most = counts.into_iter().rev().max_by_key(|(_, count)| *count);
    Ok(most.map_or(DEFAULT_CHAIN, |(chain, _)| chain))
}

/// Answer a request for a wallet
///
/// The account that holds a wallet gives it to the account that has signed with it, or keeps it. Repeating an answer gives the same
/// response. Scope `telegram`.
#[utoipa::path(
    post,
    path = "/internal/telegram/sessions/{id}/answer",
    tag = "telegram",
    params(("id" = Uuid, Path, description = "Id of the session that requests the wallet")),
    request_body = ConsentAnswer,
    responses(
        (status = 200, description = "What became of the answer", body = ConsentOutcome),
        WithBody,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn answer_request(
    Allowed(..): Allowed<Telegram>,
    State(services): State<ApiState>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<ConsentAnswer>,
) -> Result<Json<ConsentOutcome>, Problem> {
    let session: Uuid = id
        .parse()
        .map_err(|_| invalid_parameter("id", "the id of a session is a UUID"))?;
    let holder = verification_account(telegram_user(request.telegram_user_id)?);
    let now = OffsetDateTime::now_utc();
    let (verification, consents) = (&services.verification, request.consents);
    let answer = match verification.answer_move(session, holder, consents, now).await {
        Ok(MoveAnswer::NotRequested) => verification.earlier_answer(session, holder, consents, now).await,
        other => other,
    };
    Ok(Json(match answer {
        Ok(MoveAnswer::Moved(progress)) => {
            publish_all(&services, progress.job).await;
            let address = progress.address;
            ConsentOutcome::Moved { address }
        }
        Ok(MoveAnswer::Kept) => ConsentOutcome::Kept,
        Ok(MoveAnswer::NotRequested) => ConsentOutcome::Ended,
        Err(VerificationError::Refused(refusal)) => ConsentOutcome::Refused {
            message: refusal.to_string(),
        },
        Err(error) => return Err(problem(error)),
    }))
}

/// Publishes the message of a job that the verification has stored.
pub(super) async fn publish_all(services: &Services, job: impl IntoIterator<Item = arrakis_verification::StoredJob>) {
    let jobs: Vec<_> = job
        .into_iter()
        .map(|job| StoredJob {
            id: job.id,
            kind: JobKind::Verification,
            community: job.community,
        })
        .collect();
    publish(services, &jobs).await;
}
