//! The client of Telegram's Bot API (<https://core.telegram.org/bots/api>): the few methods that the service calls.
//!
//! The token is a part of each URL. No error, log or `Debug` of this module contains a URL.
//!
//! A call is repeated when Telegram certainly did not execute it (no connection, 429). A call with an unknown outcome (a cut connection,
//! a timeout, a 5xx) is repeated only when its repetition changes nothing: a message that was sent is not sent again.

mod error;
mod types;

use std::fmt;
use std::time::Duration;

use arrakis_config::Secret;
use reqwest::Client;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::Instant;
use url::Url;

pub(crate) use self::error::CallError;
pub(crate) use self::types::{CallbackQuery, Keyboard, Message, Update, UpdateHead, User};
use crate::config::Tuning;
use crate::metrics::Metrics;

/// Pause before a call without a connection or with an unknown outcome is repeated.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest text in UTF-16 units (<https://core.telegram.org/bots/api#sendmessage>).
const MAX_TEXT: usize = 4096;
/// Which updates Telegram delivers.
const ALLOWED_UPDATES: [&str; 2] = ["message", "callback_query"];

/// The client. Cheap to clone.
#[derive(Clone)]
pub(crate) struct BotApi {
    client: Client,
    /// Base URL with `/bot{token}/`.
    methods: Secret,
    tuning: Tuning,
    metrics: Metrics,
}

impl fmt::Debug for BotApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BotApi").finish_non_exhaustive()
    }
}

/// Whether a call with an unknown outcome is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    /// Its repetition changes nothing.
    Always,
    /// Only when Telegram certainly did not execute it.
    UnlessUnknown,
}

impl BotApi {
    /// A client of the Bot API at `base` (`TELEGRAM_API_BASE`). Sends nothing.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub(crate) fn new(base: &Url, token: &Secret, tuning: Tuning, metrics: Metrics) -> anyhow::Result<Self> {
        let client = Client::builder()
            .connect_timeout(Duration::from_secs(5))
            // A redirect would send the token to another host.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("arrakis-telegram/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(reqwest::Error::without_url)?;
        let base = base.as_str().trim_end_matches('/');
        Ok(Self {
            client,
            methods: Secret::new(format!("{base}/bot{}/", token.expose())),
            tuning,
            metrics,
        })
    }

    /// The bot's own user (`getMe`).
    pub(crate) async fn me(&self) -> Result<User, CallError> {
        self.call("getMe", &json!({}), self.tuning.call_limit).await
    }

    /// Updates from the id `offset` on, undecoded (`getUpdates`). Confirms those before it. Telegram waits up to `wait` for the first one.
    pub(crate) async fn updates(&self, offset: Option<i64>, wait: Duration) -> Result<Vec<Box<RawValue>>, CallError> {
        let mut body = json!({"timeout": wait.as_secs(), "limit": 100, "allowed_updates": ALLOWED_UPDATES});
        if let Some(offset) = offset {
            body["offset"] = offset.into();
        }
        self.call("getUpdates", &body, wait + self.tuning.call_limit).await
    }

    /// Makes Telegram deliver updates to a webhook.
    pub(crate) async fn set_webhook(&self, url: &Url, secret: &str) -> Result<(), CallError> {
        let body = json!({
            "url": url, "secret_token": secret, "allowed_updates": ALLOWED_UPDATES, "max_connections": 20,
        });
        self.ignoring("setWebhook", &body, Repeat::Always).await
    }

    /// Ends the delivery to a webhook; the updates that wait are kept.
    pub(crate) async fn delete_webhook(&self) -> Result<(), CallError> {
        let body = json!({"drop_pending_updates": false});
        self.ignoring("deleteWebhook", &body, Repeat::Always).await
    }

    /// Sets the menu of commands in private chats.
    pub(crate) async fn set_commands(&self, commands: &[(&str, &str)]) -> Result<(), CallError> {
        let commands: Vec<_> = commands
            .iter()
            .map(|(name, description)| json!({"command": name, "description": description}))
            .collect();
        let body = json!({"commands": commands, "scope": {"type": "all_private_chats"}});
        self.ignoring("setMyCommands", &body, Repeat::Always).await
    }

    /// Sends a message. An unknown outcome is an error, and the message may have been sent.
    pub(crate) async fn send(&self, chat: i64, text: &str, keyboard: &Keyboard) -> Result<Message, CallError> {
        let body = json!({
            "chat_id": chat, "text": shortened(text), "link_preview_options": {"is_disabled": true}, "reply_markup": keyboard,
        });
        self.repeating("sendMessage", &body, Repeat::UnlessUnknown).await
    }

    /// Replaces text and buttons of a message of the bot. Repeating it changes nothing.
    pub(crate) async fn edit(&self, chat: i64, message: i64, text: &str, keyboard: &Keyboard) -> Result<(), CallError> {
        let body = json!({
            "chat_id": chat, "message_id": message, "text": shortened(text),
            "link_preview_options": {"is_disabled": true}, "reply_markup": keyboard,
        });
        match self.ignoring("editMessageText", &body, Repeat::Always).await {
            // An earlier attempt did it.
            Err(CallError::Refused { description, .. }) if description.contains("message is not modified") => Ok(()),
            other => other,
        }
    }

    /// Ends the waiting state of a button, with a text that is shown for a moment.
    pub(crate) async fn answer_callback(&self, id: &str, text: &str) -> Result<(), CallError> {
        let body = json!({"callback_query_id": id, "text": text});
        self.ignoring("answerCallbackQuery", &body, Repeat::Always).await
    }

    async fn ignoring<B: Serialize + Sync>(
        &self,
        method: &'static str,
        body: &B,
        repeat: Repeat,
    ) -> Result<(), CallError> {
        self.repeating::<IgnoredAny, B>(method, body, repeat).await.map(drop)
    }

    async fn repeating<T: DeserializeOwned, B: Serialize + Sync>(
        &self,
        method: &'static str,
        body: &B,
        repeat: Repeat,
    ) -> Result<T, CallError> {
        let until = Instant::now() + self.tuning.retry_limit;
        loop {
            let error = match self.call(method, body, self.tuning.call_limit).await {
                Ok(result) => return Ok(result),
                Err(error) => error,
            };
            let pause = match &error {
                CallError::NotSent(_) => PAUSE,
                CallError::Limited(pause) => *pause,
                CallError::Unknown(_) if repeat == Repeat::Always => PAUSE,
                _ => return Err(error),
            };
            if Instant::now() + pause > until {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// One attempt.
    async fn call<T: DeserializeOwned, B: Serialize + Sync>(
        &self,
        method: &'static str,
        body: &B,
        limit: Duration,
    ) -> Result<T, CallError> {
        let result = self.attempt(method, body, limit).await;
        self.metrics
            .called(method, result.as_ref().err().map_or("ok", CallError::outcome));
        result
    }

    async fn attempt<T: DeserializeOwned, B: Serialize + Sync>(
        &self,
        method: &'static str,
        body: &B,
        limit: Duration,
    ) -> Result<T, CallError> {
        let url = format!("{}{method}", self.methods.expose());
        let sent = self.client.post(url).json(body).timeout(limit).send().await;
        let response = sent.map_err(CallError::of_transport)?;
        let status = response.status();
        let bytes = response
            .bytes()
            .await
            .map_err(|error| CallError::Unknown(arrakis_causes::causes(&error.without_url())))?;
        error::result(status, &bytes)
    }
}

/// The text, cut off where Telegram would refuse it.
fn shortened(text: &str) -> String {
    let mut units = 0;
    let fits = |letter: &char| {
        units += letter.len_utf16();
        units <= MAX_TEXT
    };
    text.chars().take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_off_between_characters() {
        assert_eq!(shortened("Chani"), "Chani");
        assert_eq!(shortened(&"a".repeat(5000)).len(), 4096);
        let text = shortened(&"🏜".repeat(3000));
        assert_eq!(text.encode_utf16().count(), 4096);
    }
}
