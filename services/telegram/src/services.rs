//! The clients and settings that the tasks share.

use std::sync::Arc;
use std::time::Duration;

use arrakis_cache::Cache;
use arrakis_config::Secret;
use tokio::time::Instant;
use url::Url;

use crate::api::Api;
use crate::bot_api::{BotApi, CallError, Keyboard, Message, PAUSE};
use crate::config::Tuning;
use crate::message_claims::{HeldClaim, MessageClaim, MessageClaims};
use crate::metrics::Metrics;
use crate::rate_limits::RateLimits;

/// Interval at which the end of another handling of an update is looked up.
const HANDLING_INTERVAL: Duration = Duration::from_millis(250);
/// For how long the end of another handling is waited for: longer than its claim is valid.
const MAX_HANDLING: Duration = Duration::from_secs(90);

/// The clients and settings that the tasks share.
#[derive(Debug)]
pub(crate) struct Services {
    /// Client of Telegram's Bot API.
    pub(crate) bot: BotApi,
    /// Client of `arrakis-api`.
    pub(crate) api: Api,
    /// Claims of messages, which prevent that one is sent twice.
    pub(crate) message_claims: MessageClaims,
    /// The limits of users and groups.
    pub(crate) rate_limits: RateLimits,
    /// Redis, which `message_claims` and `rate_limits` use as well.
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

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// It was sent.
    Sent(Message),
    /// It was claimed before, so it may have been sent.
    Claimed,
    /// It was not sent, or its outcome is unknown.
    Failed(CallError),
    /// The service stops before the message was sent. It is not claimed.
    Stopped,
}

/// Whether an update was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handled {
    /// It may be confirmed at Telegram.
    Done,
    /// The service stops before the answer was sent. Telegram delivers the update again.
    Stopped,
}

impl Services {
    /// Sends a message. Only an attempt in progress, or one that may have sent the message, holds the claim. Attempts that certainly did
    /// not send it are repeated for `retry_limit`, until the service stops.
    pub(crate) async fn deliver(&self, claim: MessageClaim, chat: i64, text: &str, keyboard: &Keyboard) -> Delivery {
        let until = Instant::now() + self.tuning.retry_limit;
        loop {
            // Other messages of the chat have shown that Telegram demands a pause.
            if let Some(pause) = self.bot.pause_of(chat)
                && !self.bot.wait(pause, until).await
            {
                return self.ended(CallError::Limited(pause));
            }
            let Some(held) = self.message_claims.claim(claim).await else {
                return Delivery::Claimed;
            };
            let error = match self.bot.send(chat, text, keyboard).await {
                Ok(message) => return Delivery::Sent(message),
                Err(error) => error,
            };
            if !error.is_not_executed() {
                return Delivery::Failed(error);
            }
            self.message_claims.release(held).await;
            let pause = match &error {
                CallError::NotSent(_) => PAUSE,
                CallError::Limited(pause) => *pause,
                _ => return Delivery::Failed(error),
            };
            if !self.bot.wait(pause, until).await {
                return self.ended(error);
            }
        }
    }

    /// The end of the attempts after this error, which certainly sent nothing.
    fn ended(&self, error: CallError) -> Delivery {
        if self.bot.is_stopping() {
            Delivery::Stopped
        } else {
            Delivery::Failed(error)
        }
    }

    /// Claims the handling of an update, so that of several deliveries at once one takes effect. The caller handles the update and
    /// releases the claim; `None` when the claim of another delivery was waited for too long.
    ///
    /// # Errors
    /// The update is not to be handled: another delivery has answered it, or the service stops.
    pub(crate) async fn claim_handling(&self, update: i64) -> Result<Option<HeldClaim>, Handled> {
        let until = Instant::now() + MAX_HANDLING;
        loop {
            let held = self.message_claims.claim(MessageClaim::Handling(update)).await;
            if self.is_answered(update).await {
                if let Some(held) = held {
                    self.message_claims.release(held).await;
                }
                return Err(Handled::Done);
            }
            if held.is_some() {
                return Ok(held);
            }
            if !self.bot.wait(HANDLING_INTERVAL, until).await {
                return if self.bot.is_stopping() {
                    Err(Handled::Stopped)
                } else {
                    Ok(None)
                };
            }
        }
    }

    /// Whether an update was answered, or its answer was about to be sent. It is then counted as repeated.
    pub(crate) async fn is_answered(&self, update: i64) -> bool {
        let is_answered = self.message_claims.is_answered(update).await;
        if is_answered {
            self.metrics.repeated.inc();
        }
        is_answered
    }

    /// Sends a message in reply to an update, unless that was claimed before. The message is `None` when none is known to be sent.
    /// Errors are logged.
    pub(crate) async fn answer(
        &self,
        update: i64,
        chat: i64,
        text: &str,
        keyboard: &Keyboard,
    ) -> (Handled, Option<Message>) {
        let delivery = self.deliver(MessageClaim::Answer(update), chat, text, keyboard).await;
        self.answered(delivery)
    }

    /// What the delivery of an answer means for its update, and the message that was sent. Errors are logged.
    pub(crate) fn answered(&self, delivery: Delivery) -> (Handled, Option<Message>) {
        match delivery {
            Delivery::Sent(message) => (Handled::Done, Some(message)),
            Delivery::Claimed => {
                self.metrics.repeated.inc();
                (Handled::Done, None)
            }
            Delivery::Failed(error) => {
                log_unsent(&error, "an answer");
                (Handled::Done, None)
            }
            Delivery::Stopped => (Handled::Stopped, None),
        }
    }
}

/// Logs that a message was not sent or has an unknown outcome; `what` names the message.
pub(crate) fn log_unsent(error: &CallError, what: &'static str) {
    match error {
        // The user's choice.
        CallError::Forbidden(_) => tracing::info!(%error, what, "a message was not sent"),
        error if error.is_unknown() => {
            tracing::warn!(%error, what, "a message has an unknown outcome; it is not sent again, since Telegram may have sent it");
        }
        error => tracing::warn!(%error, what, "a message was not sent"),
    }
}
