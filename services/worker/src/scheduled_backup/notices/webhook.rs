//! A webhook of Discord, in a channel of the operators: <https://discord.com/developers/docs/resources/webhook#execute-webhook>.
//!
//! Its URL is its own credential, so that the call needs neither the bot's token nor the discord-proxy. After a 404 the webhook is
//! deleted, and nothing more is sent to it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrakis_causes::causes_below;
use arrakis_config::{Secret, is_loopback};
use reqwest::StatusCode;
use serde_json::Value;
use url::Url;

use super::SendError;

/// Time limit of an attempt.
const LIMIT: Duration = Duration::from_secs(10);
/// Time limit of a connection: its end is known to precede the request.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Pauses before the second and the third attempt; a 429 states its own.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// Longest pause that a response may request.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// The webhook.
pub(super) struct Webhook {
    client: reqwest::Client,
    url: Secret,
    is_deleted: AtomicBool,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("is_deleted", &self.is_deleted)
            .finish_non_exhaustive()
    }
}

/// Why an attempt failed.
enum AttemptError {
    /// A further attempt may succeed, after this pause if one was stated.
    Transient(String, Option<Duration>),
    Permanent(String),
    /// The request was sent, and may or may not have taken effect.
    Unknown(String),
}

impl Webhook {
    /// A client of the webhook with this URL.
    pub(super) fn new(url: &Secret) -> Result<Self, reqwest::Error> {
        let is_local = Url::parse(url.expose()).is_ok_and(|url| is_loopback(&url));
        let mut builder = reqwest::Client::builder();
        if is_local {
            builder = builder.no_proxy();
        }
        let client = builder
            .user_agent(concat!(
                "DiscordBot (https://github.com/arrakis-community/arrakis, ",
                env!("CARGO_PKG_VERSION"),
                ")"
            ))
            .timeout(LIMIT)
            .connect_timeout(CONNECT_LIMIT)
            // An idle connection that the server closes as it is used would leave the outcome unknown.
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .build()?;
        Ok(Self {
            client,
            url: url.clone(),
            is_deleted: AtomicBool::new(false),
        })
    }

    /// Sends a message, in three attempts. None follows one whose outcome is unknown: Discord cannot recognise a message that it has. The error contains no part of the URL.
    pub(super) async fn send(&self, message: &Value) -> Result<(), SendError> {
        if self.is_deleted.load(Ordering::Relaxed) {
            let error = "the webhook was deleted; set NOTIFY_WEBHOOK_URL to another one";
            return Err(SendError::Permanent(error.to_owned()));
        }
        let mut pauses = PAUSES.into_iter();
        loop {
            match self.attempt(message).await {
                Ok(()) => return Ok(()),
                Err(AttemptError::Permanent(error)) => return Err(SendError::Permanent(error)),
                Err(AttemptError::Unknown(error)) => return Err(SendError::Unknown(error)),
                Err(AttemptError::Transient(error, stated)) => match pauses.next() {
                    Some(pause) => tokio::time::sleep(stated.unwrap_or(pause).min(MAX_PAUSE)).await,
                    None => return Err(SendError::Transient(error)),
                },
            }
        }
    }

    async fn attempt(&self, message: &Value) -> Result<(), AttemptError> {
        let sent = self.client.post(self.url.expose()).json(message).send().await;
        let response = sent.map_err(|error| {
            let reason = causes_below(&error).unwrap_or_else(|| "the request failed".to_owned());
            if error.is_connect() || error.is_builder() {
                AttemptError::Transient(reason, None)
            } else {
                AttemptError::Unknown(reason)
            }
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let error = format!("the webhook responded with status {}", status.as_u16());
        if status == StatusCode::NOT_FOUND {
            self.is_deleted.store(true, Ordering::Relaxed);
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            let header = response.headers().get(reqwest::header::RETRY_AFTER);
            let seconds = header.and_then(|value| value.to_str().ok()?.parse::<f64>().ok());
            let stated = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            return Err(AttemptError::Transient(error, stated));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return Err(AttemptError::Transient(error, None));
        }
        // An error behind a gateway, or while the message was stored.
        if status.is_server_error() {
            return Err(AttemptError::Unknown(error));
        }
        Err(AttemptError::Permanent(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_not_printed() {
        let webhook = Webhook::new(&Secret::new("http://127.0.0.1:1/SEKRET")).unwrap();
        assert!(!format!("{webhook:?}").contains("SEKRET"));
    }
}
