//! The webhook: Telegram delivers each update by a POST, and confirms it to itself by the 200 of the answer, which is given after the
//! update was handled.
//!
//! The header `X-Telegram-Bot-Api-Secret-Token` proves that a delivery is Telegram's. The secret follows from the bot token, so that all
//! replicas have the same one and a new token ends the old one.

use arrakis_runtime::HealthComponent;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::bot_api::CallError;
use crate::handler;
use crate::notices::pause;
use crate::services::{Handled, Services, Shared};

/// Largest update in bytes: a message has at most 4,096 characters, and its entities.
const MAX_BODY: usize = 1 << 20;
/// The header with the secret.
const SECRET_HEADER: &str = "x-telegram-bot-api-secret-token";

/// The secret of the webhook: 64 hexadecimal digits.
fn secret(services: &Services) -> String {
    let mut digest = Sha256::new();
    digest.update(b"arrakis-telegram-webhook\0");
    digest.update(services.bot_token.expose());
    hex::encode(digest.finalize())
}

/// The route of the webhook, whose path is that of its public address.
pub(crate) fn router(services: Shared, url: &Url) -> Router {
    Router::new()
        .route(url.path(), post(deliver))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(services)
}

/// Handles a delivery. Anything but a 200 makes Telegram deliver the update again.
async fn deliver(State(services): State<Shared>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let given = headers.get(SECRET_HEADER).map_or(&b""[..], |value| value.as_bytes());
    if !bool::from(given.ct_eq(secret(&services).as_bytes())) {
        services.metrics.refused_deliveries.inc();
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(raw) = serde_json::from_slice::<Box<RawValue>>(&body) else {
        // Telegram would deliver it again for a day.
        services.metrics.update("malformed");
        return StatusCode::OK;
    };
    if let Some(update) = handler::decode(&services, &raw) {
        // It is completed although Telegram may close the connection.
        let handling = tokio::spawn(async move { handler::handle(&services, &update).await });
        match handling.await {
            Ok(Handled::Done) => {}
            Ok(Handled::Stopped) => return StatusCode::SERVICE_UNAVAILABLE,
            Err(_) => return StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
    StatusCode::OK
}

/// Sets the webhook at Telegram, again until it succeeds.
pub(crate) async fn register(services: &Services, url: &Url, health: &HealthComponent, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let error = match services.bot.set_webhook(url, &secret(services)).await {
            Ok(()) => {
                health.up();
                tracing::info!(%url, "webhook set");
                return;
            }
            Err(error) => error,
        };
        let reason = format!("the webhook at TELEGRAM_WEBHOOK_URL={url} is not set: {error}");
        tracing::warn!(reason, "cannot set the webhook; retrying");
        health.degraded(reason);
        let time = match error {
            CallError::Limited(time) => time,
            _ => services.tuning.pause,
        };
        pause(time, &stop).await;
    }
}
