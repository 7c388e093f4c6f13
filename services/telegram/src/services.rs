//! The clients and settings that the tasks share.

use std::sync::Arc;

use arrakis_cache::Cache;
use arrakis_config::Secret;
use url::Url;

use crate::api::Api;
use crate::bot_api::{BotApi, CallError, Keyboard, Message};
use crate::config::Tuning;
use crate::message_claims::MessageClaims;
use crate::metrics::Metrics;

/// The clients and settings that the tasks share.
#[derive(Debug)]
pub(crate) struct Services {
    /// Client of Telegram's Bot API.
    pub(crate) bot: BotApi,
    /// Client of `arrakis-api`.
    pub(crate) api: Api,
    /// Claims of messages, which prevent that one is sent twice.
    pub(crate) message_claims: MessageClaims,
    /// Redis: rate limits of users; `message_claims` uses it as well.
    pub(crate) cache: Cache,
    /// The bot's name, without `@`.
    pub(crate) username: String,
    /// Public address of the wallet page.
    pub(crate) wallet_page: Url,
    /// The bot token, from which the webhook's secret is derived.
    pub(crate) bot_token: Secret,
    pub(crate) metrics: Metrics,
    pub(crate) tuning: Tuning,
}

/// The tasks share them in an [`Arc`].
pub(crate) type Shared = Arc<Services>;

impl Services {
    /// Sends a message in reply to an update, unless that was claimed before. `None` when no message is known to be sent. Errors are
    /// logged.
    pub(crate) async fn answer(&self, update: i64, chat: i64, text: &str, keyboard: &Keyboard) -> Option<Message> {
        if !self.message_claims.claim_answer(update).await {
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

/// Logs that a message was not sent or has an unknown outcome; `what` names the message.
pub(crate) fn log_unsent(error: &CallError, what: &'static str) {
    match error {
        // The user's choice.
        CallError::Forbidden(_) => tracing::info!(%error, what, "a message was not sent"),
        CallError::Unknown(_) => {
            tracing::warn!(%error, what, "a message has an unknown outcome; it is not sent again, since Telegram may have sent it");
        }
        error => tracing::warn!(%error, what, "a message was not sent"),
    }
}
