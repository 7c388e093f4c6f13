//! The one REST call of the ingestor: `GET /gateway/bot`.
//! <https://discord.com/developers/docs/events/gateway#get-gateway-bot>

use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::Backoff;
use arrakis_causes::causes;
use arrakis_config::{Secret, is_loopback};
use arrakis_runtime::Fatal;
use http::{HeaderMap, HeaderValue, header};
use twilight_http::error::ErrorType;
use url::Url;

use crate::clock::{ClockOffset, now_ms};
use crate::config::ApiBase;

/// As Discord asks of REST calls and of the gateway's handshake (<https://discord.com/developers/docs/reference#user-agent>).
pub(crate) const USER_AGENT: &str = concat!(
    "DiscordBot (",
    env!("CARGO_PKG_REPOSITORY"),
    ", ",
    env!("CARGO_PKG_VERSION"),
    ")"
);
/// How long the call may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What Discord says of its gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GatewayInfo {
    /// Address, without a slash at its end.
    pub(crate) url: String,
    /// Recommended number of shards.
    pub(crate) shards: u32,
    /// Identifies that may go at once.
    pub(crate) max_concurrency: u32,
    /// Identifies left until the limit is renewed.
    pub(crate) remaining: u32,
    /// Identifies in a period.
    pub(crate) total: u32,
    /// Until the limit is renewed.
    pub(crate) reset_after: Duration,
}

/// Why Discord did not say it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AskError {
    #[error("Discord refuses the bot token (401)")]
    Unauthorized,
    #[error("{0}")]
    Away(String),
}

/// Where to ask, and with what.
#[derive(Debug, Clone)]
pub(crate) struct Discord {
    token: Secret,
    api: ApiBase,
    clock: Arc<ClockOffset>,
}

impl Discord {
    pub(crate) fn new(token: Secret, api: ApiBase, clock: Arc<ClockOffset>) -> Self {
        Self { token, api, clock }
    }

    /// Asks once, and learns Discord's clock from the answer.
    pub(crate) async fn ask(&self) -> Result<GatewayInfo, AskError> {
        // Made for each call and dropped after it: calls are hours apart, and an idle client holds memory.
        let client = twilight_http::Client::builder()
            .token(self.token.expose().to_owned())
            .proxy(self.api.authority.clone(), self.api.plain)
            .timeout(TIMEOUT)
            .default_headers(HeaderMap::from_iter([(
                header::USER_AGENT,
                HeaderValue::from_static(USER_AGENT),
            )]))
            .build();
        let asked_ms = now_ms();
        let answer = client.gateway().authed().await.map_err(|error| self.explain(&error))?;
        let received_ms = now_ms();
        if let Some((_, date)) = answer.headers().find(|(name, _)| *name == "date") {
            self.clock.learn(&String::from_utf8_lossy(date), asked_ms, received_ms);
        }
        let info = answer.model().await.map_err(|error| {
            AskError::Away(format!(
                "GET {}/gateway/bot: the answer cannot be read: {error}",
                self.api
            ))
        })?;
        Ok(GatewayInfo {
            url: gateway_url(&info.url)
                .map_err(|why| AskError::Away(format!("GET {}/gateway/bot: {why}", self.api)))?,
            shards: info.shards.max(1),
            max_concurrency: u32::from(info.session_start_limit.max_concurrency).max(1),
            remaining: info.session_start_limit.remaining,
            total: info.session_start_limit.total,
            reset_after: Duration::from_millis(info.session_start_limit.reset_after),
        })
    }

    /// Asks until Discord answers. `away` is told why it did not.
    ///
    /// # Errors
    /// When Discord refuses the token: asking again would only count against the limit of invalid requests.
    pub(crate) async fn ask_until_answered(&self, away: impl Fn(&str)) -> Result<GatewayInfo, Fatal> {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(30));
        loop {
            match self.ask().await {
                Ok(info) => return Ok(info),
                Err(AskError::Unauthorized) => return Err(refused_token("GET /gateway/bot answers 401")),
                Err(AskError::Away(why)) => {
                    tracing::warn!(why, "Discord cannot be asked for its gateway; trying on");
                    away(&why);
                    tokio::time::sleep(backoff.next_wait()).await;
                }
            }
        }
    }

    fn explain(&self, error: &twilight_http::Error) -> AskError {
        let call = format!("GET {}/gateway/bot", self.api);
        match error.kind() {
            ErrorType::Unauthorized => AskError::Unauthorized,
            ErrorType::Response { status, .. } if status.get() == 401 => AskError::Unauthorized,
            ErrorType::Response { status, .. } => AskError::Away(format!("{call} answers {status}")),
            ErrorType::RequestTimedOut => AskError::Away(format!("{call}: no answer within {} s", TIMEOUT.as_secs())),
            _ => AskError::Away(format!("{call}: {}", causes(error))),
        }
    }
}

/// The same words whether REST or the gateway refuses.
pub(crate) fn refused_token(how: &str) -> Fatal {
    Fatal::configuration(format!(
        "Discord refuses the bot token ({how}). Copy the token from the Developer Portal, page Bot, into DISCORD_TOKEN; if it \
         was reset, discord-proxy needs the new one too"
    ))
}

/// Longest gateway address.
const LONGEST_URL: usize = 1_024;

/// A gateway address that is safe to connect to: twilight panics at a malformed one. It reads more strictly than browsers
/// do, which take `wss:host` and tabs inside of a name, so both readings must agree.
pub(crate) fn gateway_url(text: &str) -> Result<String, String> {
    let shown = &text[..text.floor_char_boundary(100)];
    let url = Url::parse(text).map_err(|why| format!("\"{shown}\" is no gateway address: {why}"))?;
    let base = text.split(['?', '#']).next().unwrap_or(text).trim_end_matches('/');
    let read_by_twilight = format!("{base}/?v=10").parse::<http::Uri>();
    let hosts_agree = read_by_twilight.is_ok_and(|uri| {
        uri.host()
            .is_some_and(|host| url.host_str().is_some_and(|known| known.eq_ignore_ascii_case(host)))
    });
    if !matches!(url.scheme(), "ws" | "wss") || !hosts_agree || base.len() > LONGEST_URL {
        return Err(format!(
            "\"{shown}\" is no gateway address (ws:// or wss://, a host, nothing that must be escaped)"
        ));
    }
    if url.scheme() == "ws" && !is_loopback(&url) {
        return Err(format!(
            "the gateway address \"{shown}\" is refused: ws:// sends the bot token unencrypted, so it is accepted only for this \
             machine (127.0.0.1, ::1, localhost); wss:// is needed"
        ));
    }
    Ok(base.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_address_is_checked_before_anything_connects_to_it() {
        assert_eq!(
            gateway_url("wss://gateway.discord.gg/").as_deref(),
            Ok("wss://gateway.discord.gg")
        );
        assert_eq!(
            gateway_url("ws://127.0.0.1:9/x/?v=10").as_deref(),
            Ok("ws://127.0.0.1:9/x")
        );
        for wrong in [
            "",
            "gateway.discord.gg",
            "https://gateway.discord.gg",
            "wss://",
            "wss://a b",
        ] {
            assert!(gateway_url(wrong).is_err(), "{wrong}");
        }
        assert!(gateway_url("ws://localhost:9").is_ok() && gateway_url("ws://[::1]:9").is_ok());
        for unencrypted in [
            "ws://gateway.discord.gg",
            "ws://10.0.0.1:9/",
            "ws://localhost.example.org",
            "ws://127.0.0.1.example.org",
        ] {
            assert!(
                gateway_url(unencrypted).unwrap_err().contains("unencrypted"),
                "{unencrypted}"
            );
        }
    }
}
