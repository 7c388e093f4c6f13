//! What the tasks share.

use std::sync::Arc;

use arrakis_cache::Cache;
use arrakis_config::Secret;
use url::Url;

use crate::api::Api;
use crate::bot_api::{BotApi, CallError, Keyboard, Message};
use crate::config::Tuning;
use crate::metrics::Metrics;
use crate::once::Once;

/// What the tasks share.
#[derive(Debug)]
pub(crate) struct Services {
    /// Telegram.
    pub(crate) bot: BotApi,
    /// The api.
    pub(crate) api: Api,
    /// What was sent.
    pub(crate) once: Once,
    /// Redis.
    pub(crate) cache: Cache,
    /// The bot's name, without `@`.
    pub(crate) username: String,
    /// Public address of the wallet page.
    pub(crate) wallet_page: Url,
    /// The token, from which the webhook's secret follows.
    pub(crate) bot_token: Secret,
    pub(crate) metrics: Metrics,
    pub(crate) tuning: Tuning,
}

/// The tasks share them in an [`Arc`].
pub(crate) type Shared = Arc<Services>;

impl Services {
    /// Answers an update by a message, unless it was answered before. `None` when nothing was sent.
    pub(crate) async fn answer(&self, update: i64, chat: i64, text: &str, keyboard: &Keyboard) -> Option<Message> {
        if !self.once.claim_answer(update).await {
            self.metrics.repeated.inc();
            return None;
        }
        match self.bot.send(chat, text, keyboard).await {
            Ok(message) => Some(message),
            Err(error) => {
                log_unsent(&error, "an answer");
                None
            }
        }
    }
}

/// Logs a message that was not sent.
pub(crate) fn log_unsent(error: &CallError, what: &'static str) {
    match error {
        // The user's choice.
        CallError::Forbidden(_) => tracing::info!(%error, what, "a message was not sent"),
        CallError::Unknown(_) => {
            tracing::warn!(%error, what, "a message may not have been sent; it is not repeated, since Telegram may have it");
        }
        error => tracing::warn!(%error, what, "a message was not sent"),
    }
}
