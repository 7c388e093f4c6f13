//! Slack's Web API, as far as approvals need it: <https://docs.slack.dev/apis/web-api>.
//!
//! `chat.update` needs the token of the bot and works at any time; the `response_url` of a click is valid for 30 minutes only, and an approval
//! for 24 hours.

use std::fmt;
use std::time::Duration;

use arrakis_causes::causes_below;
use arrakis_config::Secret;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::config::SlackConfig;

/// Time limit of a call. A modal must be opened within three seconds of the click.
const LIMIT: Duration = Duration::from_secs(2);
/// Errors after which the same call may succeed later.
const TRANSIENT: [&str; 6] = [
    "ratelimited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
];

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SlackError {
    /// No response, or one of an outage or a rate limit. The call may have taken effect, and may succeed later.
    #[error("Slack is unavailable: {0}")]
    Unavailable(String),
    /// Slack refuses the call, by the error code of its response. The same call fails again.
    #[error("Slack refuses the call: {0}")]
    Refused(String),
}

/// The Slack app.
pub(crate) struct Slack {
    client: reqwest::Client,
    config: SlackConfig,
}

impl fmt::Debug for Slack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slack")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Slack {
    /// A client of the app.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub(crate) fn new(config: SlackConfig) -> Result<Self, reqwest::Error> {
        let mut builder = reqwest::Client::builder();
        if config.base.starts_with("http://") {
            builder = builder.no_proxy();
        }
        let client = builder
            .timeout(LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .build()?;
        Ok(Self { client, config })
    }

    /// The secret by which Slack signs the requests that it sends to the api.
    pub(crate) fn signing_secret(&self) -> &Secret {
        &self.config.signing_secret
    }

    /// The channel of approvals.
    pub(crate) fn channel(&self) -> &str {
        &self.config.channel
    }

    /// Sends a message to the channel of approvals. Returns the id of the message (`ts`).
    pub(crate) async fn post(&self, mut message: Value) -> Result<String, SlackError> {
        message["channel"] = json!(self.channel());
        message["unfurl_links"] = json!(false);
        let response = self.call("chat.postMessage", &message).await?;
        let sent = response["ts"].as_str();
        sent.map(str::to_owned)
            .ok_or_else(|| SlackError::Refused("the response to chat.postMessage has no ts".to_owned()))
    }

    /// Replaces a message. A second call has no further effect.
    pub(crate) async fn update(&self, channel: &str, ts: &str, mut message: Value) -> Result<(), SlackError> {
        message["channel"] = json!(channel);
        message["ts"] = json!(ts);
        self.call("chat.update", &message).await.map(drop)
    }

    /// Shows a text to one user, in the channel.
    pub(crate) async fn tell(&self, user: &str, text: &str) -> Result<(), SlackError> {
        let message = json!({
            "channel": self.channel(), "user": user, "text": escaped(text),
            "blocks": [{"type": "section", "text": {"type": "plain_text", "text": text, "emoji": false}}],
        });
        self.call("chat.postEphemeral", &message).await.map(drop)
    }

    /// Opens a modal for the user of `trigger`, the id of a click, which Slack accepts for three seconds.
    pub(crate) async fn open(&self, trigger: &str, view: &Value) -> Result<(), SlackError> {
        let request = json!({"trigger_id": trigger, "view": view});
        self.call("views.open", &request).await.map(drop)
    }

    async fn call(&self, method: &str, body: &Value) -> Result<Value, SlackError> {
        let url = format!("{}/{method}", self.config.base);
        let request = self
            .client
            .post(url)
            .bearer_auth(self.config.bot_token.expose())
            .json(body);
        // Without the URL: a proxy's error could contain it.
        let lost = |error: reqwest::Error| {
            let reason = causes_below(&error).unwrap_or_else(|| "the request failed".to_owned());
            SlackError::Unavailable(format!("{method}: {reason}"))
        };
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            return Err(SlackError::Unavailable(format!("{method}: status {}", status.as_u16())));
        }
        if !status.is_success() {
            return Err(SlackError::Refused(format!("{method}: status {}", status.as_u16())));
        }
        let response: Value = response.json().await.map_err(lost)?;
        if response["ok"] == json!(true) {
            return Ok(response);
        }
        let error = response["error"].as_str().unwrap_or("no error is stated");
        let error_text = format!("{method}: {error}");
        Err(match TRANSIENT.contains(&error) {
            true => SlackError::Unavailable(error_text),
            false => SlackError::Refused(error_text),
        })
    }
}

/// A text as Slack's markup shows it unchanged: <https://docs.slack.dev/messaging/formatting-message-text#escaping>.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
