//! The one REST call of the ingestor: `GET /gateway/bot`.
//! <https://discord.com/developers/docs/events/gateway#get-gateway-bot>

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_broker::Backoff;
use arrakis_config::{Secret, is_loopback};
use arrakis_discord_http::client::{SendError, client_builder, exchange};
use arrakis_discord_http::{RateLimitScope, RateLimited, Response};
use arrakis_runtime::Fatal;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use url::Url;

use crate::clock::ClockOffset;
use crate::config::ApiBase;

pub(crate) use arrakis_discord_http::USER_AGENT;

/// How long the call may take, and how long its connection may take to open.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest response that is read; Discord's have some 200 bytes.
const MAX_BODY: usize = 64 << 10;

/// Discord's response: where the gateway is, and how many sessions may be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GatewayInfo {
    /// Address, without a slash at its end.
    pub(crate) url: String,
    /// Recommended number of shards.
    pub(crate) shards: u32,
    /// Identifies that may be sent at once.
    pub(crate) max_concurrency: u32,
    /// Identifies left until the limit is renewed.
    pub(crate) remaining: u32,
    /// Identifies in a period.
    pub(crate) total: u32,
    /// Until the limit is renewed.
    pub(crate) reset_after: Duration,
}

/// Why no [`GatewayInfo`] was received.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GatewayInfoError {
    #[error("Discord refuses the bot token (401)")]
    Unauthorized,
    #[error("{reason}")]
    RateLimited {
        reason: String,
        /// How long to wait, bounded; zero where Discord states no time.
        retry_after: Duration,
    },
    #[error("{0}")]
    Unavailable(String),
}

impl GatewayInfoError {
    /// How long to wait at least before the next attempt.
    pub(crate) fn retry_after(&self) -> Duration {
        match self {
            Self::RateLimited { retry_after, .. } => *retry_after,
            Self::Unauthorized | Self::Unavailable(_) => Duration::ZERO,
        }
    }
}

/// The client of this one call.
#[derive(Debug, Clone)]
pub(crate) struct Discord {
    token: Secret,
    api: ApiBase,
    clock: Arc<ClockOffset>,
}

/// The body of the response. Numbers are bounded when they are read, and checked where they are used.
#[derive(Deserialize)]
struct GatewayBot {
    url: String,
    shards: u64,
    session_start_limit: SessionStartLimit,
}

#[derive(Deserialize)]
struct SessionStartLimit {
    max_concurrency: u64,
    remaining: u64,
    total: u64,
    reset_after: u64,
}

impl Discord {
    pub(crate) fn new(token: Secret, api: ApiBase, clock: Arc<ClockOffset>) -> Self {
        Self { token, api, clock }
    }

    /// Sends one request, and measures Discord's clock by the response. The caller decides about retries.
    pub(crate) async fn fetch(&self) -> Result<GatewayInfo, GatewayInfoError> {
        let call = format!("GET {}/gateway/bot", self.api);
        let unavailable = |reason: String| GatewayInfoError::Unavailable(format!("{call}: {reason}"));
        let sent = Instant::now();
        let response = self.send().await.map_err(|error| unavailable(error.to_string()))?;
        match response.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Err(GatewayInfoError::Unauthorized),
            StatusCode::TOO_MANY_REQUESTS => return Err(rate_limited(&call, &response)),
            status => return Err(GatewayInfoError::Unavailable(format!("{call} returned {status}"))),
        }
        if let Some(date) = response.headers.get(header::DATE) {
            self.clock
                .observe(&String::from_utf8_lossy(date.as_bytes()), sent, Instant::now());
        }
        let body: GatewayBot = serde_json::from_slice(&response.body)
            .map_err(|error| unavailable(format!("the response cannot be read: {error}")))?;
        GatewayInfo::read(&body).map_err(unavailable)
    }

    async fn send(&self) -> Result<Response, SendError> {
        // The client is built for each call and dropped after it: calls are hours apart, and an idle client holds memory.
        let client = client_builder(&[], TIMEOUT)
            .build()
            .map_err(|error| SendError::NotSent(format!("the HTTP client cannot be built: {error}")))?;
        let token = self.token.expose().trim_start_matches("Bot ");
        let mut request = client.get(format!("{}/gateway/bot", self.api));
        if let Ok(mut value) = HeaderValue::from_str(&format!("Bot {token}")) {
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        exchange(request, TIMEOUT, MAX_BODY).await
    }

    /// Repeats the call until it succeeds. `report` receives the reason of each failure.
    ///
    /// # Errors
    /// When Discord refuses the token: another attempt would only count against the limit of invalid requests.
    pub(crate) async fn fetch_until_success(&self, report: impl Fn(&str)) -> Result<GatewayInfo, Fatal> {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(30));
        let mut logged = None;
        loop {
            let error = match self.fetch().await {
                Ok(info) => return Ok(info),
                Err(GatewayInfoError::Unauthorized) => return Err(refused_token("GET /gateway/bot returned 401")),
                Err(error) => error,
            };
            let reason = error.to_string();
            let wait = backoff.next_wait().max(error.retry_after());
            report(&format!("{reason}; next attempt in {} s", wait.as_secs_f64().ceil()));
            // Logged once for each new reason; /health shows it for as long as it lasts.
            if logged.as_ref() != Some(&reason) {
                tracing::warn!(
                    reason,
                    wait_ms = wait.as_millis(),
                    "GET /gateway/bot failed; it is retried"
                );
                logged = Some(reason);
            }
            tokio::time::sleep(wait).await;
        }
    }
}

impl GatewayInfo {
    fn read(body: &GatewayBot) -> Result<Self, String> {
        let bounded = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let limit = &body.session_start_limit;
        Ok(Self {
            url: gateway_url(&body.url)?,
            shards: bounded(body.shards).max(1),
            max_concurrency: bounded(limit.max_concurrency).max(1),
            remaining: bounded(limit.remaining),
            total: bounded(limit.total),
            reset_after: Duration::from_millis(limit.reset_after),
        })
    }
}

/// The error of a 429 by Discord (JSON) or by Cloudflare in front of it (HTML).
fn rate_limited(call: &str, response: &Response) -> GatewayInfoError {
    let limit = RateLimited::read(&response.headers, &response.body);
    let limited_by = match limit.scope {
        RateLimitScope::Edge => "by Cloudflare, which blocks this address for some time".to_owned(),
        scope => format!("rate limit of scope {}", scope.name()),
    };
    GatewayInfoError::RateLimited {
        reason: format!("{call} returned 429 ({limited_by})"),
        retry_after: limit.retry_after.unwrap_or_default(),
    }
}

/// The fatal error when REST or the gateway refuses the token; `how` names the refusal.
pub(crate) fn refused_token(how: &str) -> Fatal {
    Fatal::configuration(format!(
        "Discord refuses the bot token ({how}). Copy the token from the Developer Portal, page Bot, into DISCORD_TOKEN; if it \
         was reset, discord-proxy needs the new one too"
    ))
}

/// Longest gateway address.
const LONGEST_URL: usize = 1_024;

/// A gateway address that is safe to connect to: twilight panics at a malformed one. Its parser is stricter than the URL standard,
/// which accepts `wss:host` and tabs in a name, so both must read the same host.
pub(crate) fn gateway_url(text: &str) -> Result<String, String> {
    let shown = &text[..text.floor_char_boundary(100)];
    let url = Url::parse(text).map_err(|error| format!("\"{shown}\" is not a gateway address: {error}"))?;
    let base = text.split(['?', '#']).next().unwrap_or(text).trim_end_matches('/');
    let twilight_uri = format!("{base}/?v=10").parse::<http::Uri>();
    let hosts_agree = twilight_uri.is_ok_and(|uri| {
        uri.host()
            .is_some_and(|host| url.host_str().is_some_and(|known| known.eq_ignore_ascii_case(host)))
    });
    if !matches!(url.scheme(), "ws" | "wss") || !hosts_agree || base.len() > LONGEST_URL {
        return Err(format!(
            "\"{shown}\" is not a gateway address (ws:// or wss://, a host, no character that must be escaped)"
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
    fn unsafe_gateway_address_is_refused() {
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
