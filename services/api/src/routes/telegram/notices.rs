//! `POST /internal/telegram/notices/take` and `DELETE /internal/telegram/notices/{id}`.

use std::time::Duration;

use arrakis_contracts::telegram::{TakeNotices, TakenNotice, TakenNotices};
use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use crate::authentication::{Allowed, Telegram};
use crate::body::{JsonBody, invalid_parameter};
use crate::openapi::{AdminRoute, EveryRoute, InPath, WithBody};
use crate::problem::Problem;
use crate::services::{ApiState, Services};

/// Notices of one answer.
const BATCH: u32 = 20;
/// Longest wait for one. A request may take 15 s.
const MAX_WAIT_SECONDS: u8 = 10;
/// Interval of the look-ups while there is none.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long taken notices are the caller's: longer than it takes to show a batch.
const LEASE: time::Duration = time::Duration::minutes(1);

/// Take the notices that are to be shown in Telegram
///
/// Waits for the first one. A notice that is not deleted within a minute is taken again. Scope `telegram`.
#[utoipa::path(
    post,
    path = "/internal/telegram/notices/take",
    tag = "telegram",
    request_body = TakeNotices,
    responses(
        (status = 200, description = "The oldest notices, or none", body = TakenNotices),
        WithBody,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn take_notices(
    Allowed(..): Allowed<Telegram>,
    State(services): State<ApiState>,
    JsonBody(request): JsonBody<TakeNotices>,
) -> Result<Json<TakenNotices>, Problem> {
    if request.wait_seconds > MAX_WAIT_SECONDS {
        let reason = format_args!("it must be at most {MAX_WAIT_SECONDS}");
        return Err(invalid_parameter("wait_seconds", reason));
    }
    let until = Instant::now() + Duration::from_secs(request.wait_seconds.into());
    loop {
        let notices = take(&services).await?;
        if !notices.is_empty() || Instant::now() >= until {
            return Ok(Json(TakenNotices { notices }));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn take(services: &Services) -> Result<Vec<TakenNotice>, Problem> {
    let now = OffsetDateTime::now_utc();
    let mut tx = services.database.global().await?;
    let taken = tx.telegram_notices().take(BATCH, now, now + LEASE).await?;
    tx.commit().await?;
    let notice = |stored: arrakis_db::StoredTelegramNotice| TakenNotice {
        id: stored.id,
        telegram_user_id: stored.user.get(),
        notice: stored.payload,
    };
    Ok(taken.into_iter().map(notice).collect())
}

/// Delete a notice that was shown
///
/// Deleting it again changes nothing. Scope `telegram`.
#[utoipa::path(
    delete,
    path = "/internal/telegram/notices/{id}",
    tag = "telegram",
    params(("id" = Uuid, Path, description = "Id of the notice")),
    responses(
        (status = 204, description = "The notice is not there any more"),
        InPath,
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn delete_notice(
    Allowed(..): Allowed<Telegram>,
    State(services): State<ApiState>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id: Uuid = id
        .parse()
        .map_err(|_| invalid_parameter("id", "the id of a notice is a UUID"))?;
    let mut tx = services.database.global().await?;
    tx.telegram_notices().delete(id).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
