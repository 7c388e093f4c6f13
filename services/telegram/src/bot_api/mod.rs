//! The client of Telegram's Bot API (<https://core.telegram.org/bots/api>): the few methods that the service calls.
//!
//! The token is a part of each URL. No error, log or `Debug` of this module contains a URL.
//!
//! A call whose repetition changes nothing is repeated for a while, unless it is refused. A message is sent once: the caller claims each
//! attempt (`Services::deliver`).

mod error;
mod pauses;
mod types;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrakis_config::Secret;
use parking_lot::Mutex;
use reqwest::Client;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

pub(crate) use self::error::CallError;
use self::pauses::Pauses;
pub(crate) use self::types::{CallbackQuery, Keyboard, Message, Update, UpdateHead, User};
use crate::config::Tuning;
use crate::metrics::Metrics;
use crate::response_body;

/// Pause before a call without a connection or with an unknown outcome is repeated.
pub(crate) const PAUSE: Duration = Duration::from_millis(500);
/// Longest text in UTF-16 units (<https://core.telegram.org/bots/api#sendmessage>).
const MAX_TEXT: usize = 4096;
/// Longest response that is read, in bytes. 100 messages with the longest text, each in reply to such a message, are about 5 MiB.
const MAX_RESPONSE: usize = 8 << 20;
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
    /// The pauses of chats.
    pauses: Arc<Mutex<Pauses>>,
    /// Cancelled when the service stops: no pause is waited for any more.
    stop: CancellationToken,
}

impl fmt::Debug for BotApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BotApi").finish_non_exhaustive()
    }
}

impl BotApi {
    /// A client of the Bot API at `base` (`TELEGRAM_API_BASE`). Sends nothing. Once `stop` is cancelled, no call is repeated.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub(crate) fn new(
        base: &Url,
        token: &Secret,
        tuning: Tuning,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
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
            pauses: Arc::default(),
            stop,
        })
    }

    /// The bot's own user (`getMe`).
    pub(crate) async fn me(&self) -> Result<User, CallError> {
        self.call("getMe", &json!({}), self.tuning.call_limit).await
    }

    /// At most `limit` updates from the id `offset` on, undecoded (`getUpdates`). Confirms those before it. Telegram waits up to `wait`
    /// for the first one.
    pub(crate) async fn updates(
        &self,
        offset: Option<i64>,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<Box<RawValue>>, CallError> {
        let mut body = json!({"timeout": wait.as_secs(), "limit": limit, "allowed_updates": ALLOWED_UPDATES});
        if let Some(offset) = offset {
            body["offset"] = offset.into();
        }
        self.call("getUpdates", &body, wait + self.tuning.call_limit).await
    }

    /// Makes Telegram deliver updates to a webhook.
    pub(crate) async fn set_webhook(&self, url: &Url, secret: &str) -> Result<(), CallError> {
        let body = json!({
            "url": url, "secret_token": secret, "allowed_updates": ALLOWED_UPDATES, "max_connections": 100,
        });
        self.repeating("setWebhook", &body, None).await
    }

    /// Ends the delivery to a webhook; the updates that wait are kept.
    pub(crate) async fn delete_webhook(&self) -> Result<(), CallError> {
        let body = json!({"drop_pending_updates": false});
        self.repeating("deleteWebhook", &body, None).await
    }

    /// Sets the menu of commands in private chats.
    pub(crate) async fn set_commands(&self, commands: &[(&str, &str)]) -> Result<(), CallError> {
        let commands: Vec<_> = commands
            .iter()
            .map(|(name, description)| json!({"command": name, "description": description}))
            .collect();
        let body = json!({"commands": commands, "scope": {"type": "all_private_chats"}});
        self.repeating("setMyCommands", &body, None).await
    }

    /// Sends a message: one attempt. An unknown outcome is an error, and the message may have been sent.
    pub(crate) async fn send(&self, chat: i64, text: &str, keyboard: &Keyboard) -> Result<Message, CallError> {
        let body = json!({
            "chat_id": chat, "text": shortened(text), "link_preview_options": {"is_disabled": true}, "reply_markup": keyboard,
        });
        let started = Instant::now();
        let result = self.call("sendMessage", &body, self.tuning.call_limit).await;
        match &result {
            Ok(_) => self.pauses.lock().executed(started),
            Err(CallError::Limited(pause)) => self.pauses.lock().add(chat, *pause, Instant::now()),
            Err(_) => {}
        }
        result
    }

    /// Replaces text and buttons of a message of the bot. Repeating it changes nothing.
    pub(crate) async fn edit(&self, chat: i64, message: i64, text: &str, keyboard: &Keyboard) -> Result<(), CallError> {
        let body = json!({
            "chat_id": chat, "message_id": message, "text": shortened(text),
            "link_preview_options": {"is_disabled": true}, "reply_markup": keyboard,
        });
        match self.repeating("editMessageText", &body, Some(chat)).await {
            // An earlier attempt did it.
            Err(CallError::Refused { description, .. }) if description.contains("message is not modified") => Ok(()),
            other => other,
        }
    }

    /// Ends the waiting state of a button, with a text that is shown for a moment.
    pub(crate) async fn answer_callback(&self, id: &str, text: &str) -> Result<(), CallError> {
        let body = json!({"callback_query_id": id, "text": text});
        self.repeating("answerCallbackQuery", &body, None).await
    }

    /// For how long Telegram demands that no message is sent to this chat.
    pub(crate) fn pause_of(&self, chat: i64) -> Option<Duration> {
        self.pauses.lock().of(chat, Instant::now())
    }

    /// Waits before another attempt. False when the service stops, or when the wait would exceed `until`: there is no other attempt.
    pub(crate) async fn wait(&self, pause: Duration, until: Instant) -> bool {
        let has_time = Instant::now().checked_add(pause).is_some_and(|end| end <= until);
        if !has_time || self.stop.is_cancelled() {
            return false;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = self.stop.cancelled() => false,
        }
    }

    /// Whether the service stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// A call whose repetition changes nothing, repeated until it is executed or refused, or the time is over.
    async fn repeating<B: Serialize + Sync>(
        &self,
        method: &'static str,
        body: &B,
        chat: Option<i64>,
    ) -> Result<(), CallError> {
        let until = Instant::now() + self.tuning.retry_limit;
        loop {
            if let Some(pause) = chat.and_then(|chat| self.pause_of(chat))
                && !self.wait(pause, until).await
            {
                return Err(CallError::Limited(pause));
            }
            let started = Instant::now();
            let error = match self.call::<IgnoredAny, B>(method, body, self.tuning.call_limit).await {
                Ok(IgnoredAny) => {
                    if chat.is_some() {
                        self.pauses.lock().executed(started);
                    }
                    return Ok(());
                }
                Err(error) => error,
            };
            if let (CallError::Limited(pause), Some(chat)) = (&error, chat) {
                self.pauses.lock().add(chat, *pause, Instant::now());
            }
            let pause = match &error {
                CallError::NotSent(_) | CallError::Unknown(_) | CallError::Oversized(_) => PAUSE,
                CallError::Limited(pause) => *pause,
                _ => return Err(error),
            };
            if !self.wait(pause, until).await {
                return Err(error);
            }
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
        let body = response_body::read(response, MAX_RESPONSE)
            .await
            .map_err(|error| CallError::Unknown(arrakis_causes::causes(&error.without_url())))?;
        match body {
            Some(body) => error::result(status, &body),
            None if status.is_success() => Err(CallError::Oversized(method)),
            // The status is the error.
            None => error::result(status, &[]),
        }
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
