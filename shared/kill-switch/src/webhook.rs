//! The notice to operators: one message to `NOTIFY_WEBHOOK_URL`, sent directly, since the discord-proxies send nothing then.

use std::fmt;
use std::time::Duration;

use arrakis_causes::causes_below;
use arrakis_config::{Secret, is_loopback};
use serde_json::json;
use url::Url;

use crate::report::Report;

/// Time limit of the request.
const LIMIT: Duration = Duration::from_secs(3);
/// Colours of an embed: red, green.
const COLORS: (u32, u32) = (0x00b2_2222, 0x002e_8b57);
/// Longest description of an embed that is sent, in characters; Discord permits 4,096.
const MAX_DESCRIPTION: usize = 3_500;

/// The webhook.
#[derive(Clone)]
pub(crate) struct Webhook {
    client: reqwest::Client,
    url: Secret,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").finish_non_exhaustive()
    }
}

/// What a notice is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notice<'a> {
    pub(crate) title: &'a str,
    pub(crate) is_alarm: bool,
    pub(crate) by: &'a str,
    pub(crate) reason: &'a str,
}

impl Webhook {
    pub(crate) fn new(url: &Secret) -> Result<Self, reqwest::Error> {
        let mut builder = reqwest::Client::builder();
        if Url::parse(url.expose()).is_ok_and(|url| is_loopback(&url)) {
            builder = builder.no_proxy();
        }
        let client = builder
            .timeout(LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .build()?;
        Ok(Self {
            client,
            url: url.clone(),
        })
    }

    /// Sends a notice with the steps so far. The error contains no part of the URL.
    pub(crate) async fn send(&self, notice: Notice<'_>, report: &Report) -> Result<(), String> {
        let text = format!("By {}: {}\n{report}", plain(notice.by), plain(notice.reason));
        let message = json!({
            "allowed_mentions": {"parse": []},
            "embeds": [{
                "title": notice.title,
                "description": text.chars().take(MAX_DESCRIPTION).collect::<String>(),
                "color": if notice.is_alarm { COLORS.0 } else { COLORS.1 },
            }],
        });
        let sent = self.client.post(self.url.expose()).json(&message).send().await;
        let response = sent.map_err(|error| causes_below(&error).unwrap_or_else(|| "the request failed".to_owned()))?;
        let status = response.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(format!("the webhook responded with status {}", status.as_u16()))
        }
    }
}

/// A text that another person wrote, as inline code without control characters and backticks, so that it cannot change the form of the message.
pub(crate) fn plain(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control() && *c != '`').collect();
    format!("`{plain}`")
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
