//! The webhook: Telegram delivers each update by a POST, and again until the response is a 200. The response is a 200 once the update was
//! handled. A delivery of an update that is still being handled, by any replica, is answered with 503.
//!
//! Updates of one chat are handled in the order of their deliveries only as far as Telegram waits for each response. Their number at a time
//! is limited.
//!
//! The header `X-Telegram-Bot-Api-Secret-Token` proves that a delivery is Telegram's. The secret follows from the bot token, so that all
//! replicas have the same one and a new token ends the old one.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrakis_runtime::HealthComponent;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::post;
use futures_util::{FutureExt as _, StreamExt as _};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::bot_api::Update;
use crate::handler;
use crate::message_claims::MessageClaim;
use crate::notices::pause;
use crate::services::{Handled, Services, Shared};

/// Largest update in bytes: a message has at most 4,096 characters, and its entities.
const MAX_BODY: usize = 1 << 20;
/// Bytes of a longer body that are received, so that Telegram has sent the body before it receives the response.
const MAX_RECEIVED: usize = 32 << 20;
/// Updates of one chat that this process handles at a time; further ones are answered with 503.
const MAX_OF_CHAT: usize = 8;
/// The header with the secret.
const SECRET_HEADER: &str = "x-telegram-bot-api-secret-token";

/// The secret of the webhook: 64 hexadecimal digits.
fn secret(services: &Services) -> String {
    let mut digest = Sha256::new();
    digest.update(b"arrakis-telegram-webhook\0");
    digest.update(services.bot_token.expose());
    hex::encode(digest.finalize())
}

/// The state of the route.
#[derive(Debug)]
struct Webhook {
    services: Shared,
    /// How many updates of a chat are being handled.
    chats: Mutex<HashMap<i64, usize>>,
}

impl Webhook {
    /// Counts an update of a chat; `None` when too many are being handled.
    fn start(self: &Arc<Self>, chat: i64) -> Option<InProgress> {
        let mut chats = self.chats.lock();
        let count = chats.entry(chat).or_default();
        if *count >= MAX_OF_CHAT {
            return None;
        }
        *count += 1;
        Some(InProgress {
            webhook: self.clone(),
            chat,
        })
    }

    /// Handles an update, unless another delivery of it is still being handled or too many of its chat are.
    async fn handle(self: Arc<Self>, update: Update) -> StatusCode {
        let services = &self.services;
        // Updates of other kinds are not handled, and have no chat.
        let _in_progress = match handler::chat(&update).map(|chat| self.start(chat)) {
            Some(None) => return StatusCode::SERVICE_UNAVAILABLE,
            Some(in_progress) => in_progress,
            None => None,
        };
        let claim = MessageClaim::Delivery(update.update_id);
        let Some(held) = services.message_claims.claim(claim).await else {
            return StatusCode::SERVICE_UNAVAILABLE;
        };
        let handled = AssertUnwindSafe(handler::handle(services, &update))
            .catch_unwind()
            .await;
        services.message_claims.release(held).await;
        match handled {
            Ok(Handled::Done) => StatusCode::OK,
            Ok(Handled::Stopped) => StatusCode::SERVICE_UNAVAILABLE,
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// An update that is being handled, by its chat.
#[derive(Debug)]
struct InProgress {
    webhook: Arc<Webhook>,
    chat: i64,
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let mut chats = self.webhook.chats.lock();
        let left = chats.get(&self.chat).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            chats.remove(&self.chat);
        } else {
            chats.insert(self.chat, left);
        }
    }
}

/// The route of the webhook, whose path is that of its public address.
pub(crate) fn router(services: Shared, url: &Url) -> Router {
    Router::new()
        // A segment may begin with `:` or `*`. A brace, which would begin a parameter, is encoded in a URL.
        .without_v07_checks()
        .route(url.path(), post(deliver))
        .with_state(Arc::new(Webhook {
            services,
            chats: Mutex::default(),
        }))
}

/// The body of a delivery; `None` when it has more than [`MAX_BODY`] bytes.
async fn receive(body: Body) -> Result<Option<Vec<u8>>, axum::Error> {
    let mut chunks = body.into_data_stream();
    let (mut received, mut length) = (Vec::new(), 0_usize);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        length += chunk.len();
        if length <= MAX_BODY {
            received.extend_from_slice(&chunk);
        } else if length > MAX_RECEIVED {
            break;
        }
    }
    Ok((length <= MAX_BODY).then_some(received))
}

/// Handles a delivery. Anything but a 200 makes Telegram deliver the update again, for a day: one that can never be handled is skipped.
async fn deliver(State(webhook): State<Arc<Webhook>>, headers: HeaderMap, body: Body) -> StatusCode {
    let services = &webhook.services;
    let given = headers.get(SECRET_HEADER).map_or(&b""[..], |value| value.as_bytes());
    if !bool::from(given.ct_eq(secret(services).as_bytes())) {
        services.metrics.refused_deliveries.inc();
        return StatusCode::UNAUTHORIZED;
    }
    let body = match receive(body).await {
        Ok(Some(body)) => body,
        Ok(None) => {
            services.metrics.update("malformed");
            tracing::warn!("a delivery to the webhook has more than {MAX_BODY} bytes, and is skipped");
            return StatusCode::OK;
        }
        Err(error) => {
            tracing::info!(%error, "a delivery to the webhook was cut off");
            return StatusCode::BAD_REQUEST;
        }
    };
    let raw = match serde_json::from_slice::<Box<RawValue>>(&body) {
        Ok(raw) => raw,
        Err(error) => {
            services.metrics.update("malformed");
            tracing::warn!(%error, bytes = body.len(), "a delivery to the webhook is not JSON, and is skipped");
            return StatusCode::OK;
        }
    };
    let Some(update) = handler::decode(services, &raw) else {
        return StatusCode::OK;
    };
    // It is completed although Telegram may close the connection.
    let handling = tokio::spawn(webhook.clone().handle(update));
    handling.await.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
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
        pause(error.pause(&services.tuning), &stop).await;
    }
}
