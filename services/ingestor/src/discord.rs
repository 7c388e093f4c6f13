//! The one REST call of the ingestor: `GET /gateway/bot`.
//! <https://discord.com/developers/docs/events/gateway#get-gateway-bot>

use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::Backoff;
use arrakis_causes::causes;
use arrakis_config::{Secret, is_loopback};
use arrakis_runtime::Fatal;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
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
/// Longest answer that is read; Discord's have some 200 bytes.
const LONGEST_BODY: usize = 64 << 10;
/// Longest wait that a 429 is granted: one request an hour does no harm, and a nonsense value costs no more than that.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3_600);

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
    #[error("{why}")]
    RateLimited {
        why: String,
        /// How long Discord wants us to wait, bounded.
        retry_after: Duration,
    },
    #[error("{0}")]
    Away(String),
}

impl AskError {
    /// How long to wait at least before the next attempt.
    pub(crate) fn retry_after(&self) -> Duration {
        match self {
            Self::RateLimited { retry_after, .. } => *retry_after,
            Self::Unauthorized | Self::Away(_) => Duration::ZERO,
        }
    }
}

/// Where to ask, and with what.
#[derive(Debug, Clone)]
pub(crate) struct Discord {
    token: Secret,
    api: ApiBase,
    clock: Arc<ClockOffset>,
}

/// What is read of the answer. Numbers beyond what they can mean are cut, and refused where they are used.
/// <https://discord.com/developers/docs/events/gateway#get-gateway-bot>
#[derive(Deserialize)]
struct Answer {
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

/// The body of a 429. <https://discord.com/developers/docs/topics/rate-limits#exceeding-a-rate-limit>
#[derive(Deserialize)]
struct TooMany {
    retry_after: f64,
}

impl Discord {
    pub(crate) fn new(token: Secret, api: ApiBase, clock: Arc<ClockOffset>) -> Self {
        Self { token, api, clock }
    }

    /// Sends one request, and learns Discord's clock from the answer. Repeating it is the caller's matter: a client that
    /// repeats a 429 by itself (as twilight-http does) would do so against the pace below.
    pub(crate) async fn ask(&self) -> Result<GatewayInfo, AskError> {
        let call = format!("GET {}/gateway/bot", self.api);
        let away = |why: String| AskError::Away(format!("{call}: {why}"));
        let asked_ms = now_ms();
        let response = match self.request().await {
            Ok(response) => response,
            Err(error) if error.is_timeout() => return Err(away(format!("no answer within {} s", TIMEOUT.as_secs()))),
            Err(error) => return Err(away(causes(&error.without_url()))),
        };
        let received_ms = now_ms();
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Err(AskError::Unauthorized),
            StatusCode::TOO_MANY_REQUESTS => return Err(too_many(&call, response).await),
            status => return Err(AskError::Away(format!("{call} answers {status}"))),
        }
        if let Some(date) = response.headers().get(header::DATE) {
            let date = String::from_utf8_lossy(date.as_bytes());
            self.clock.learn(&date, asked_ms, received_ms);
        }
        let body = body(response).await.map_err(away)?;
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|error| AskError::Away(format!("{call}: the answer cannot be read: {error}")))?;
        GatewayInfo::read(&answer).map_err(|why| AskError::Away(format!("{call}: {why}")))
    }

    async fn request(&self) -> reqwest::Result<reqwest::Response> {
        // Made for each call and dropped after it: calls are hours apart, and an idle client holds memory.
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .user_agent(USER_AGENT)
            .build()?;
        let token = self.token.expose().trim_start_matches("Bot ");
        let mut request = client.get(format!("{}/gateway/bot", self.api));
        if let Ok(mut value) = HeaderValue::from_str(&format!("Bot {token}")) {
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        request.send().await
    }

    /// Asks until Discord answers. `away` is told why it did not.
    ///
    /// # Errors
    /// When Discord refuses the token: asking again would only count against the limit of invalid requests.
    pub(crate) async fn ask_until_answered(&self, away: impl Fn(&str)) -> Result<GatewayInfo, Fatal> {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(30));
        let mut logged = None;
        loop {
            let error = match self.ask().await {
                Ok(info) => return Ok(info),
                Err(AskError::Unauthorized) => return Err(refused_token("GET /gateway/bot answers 401")),
                Err(error) => error,
            };
            let why = error.to_string();
            let wait = backoff.next_wait().max(error.retry_after());
            away(&format!("{why}; next attempt in {} s", wait.as_secs_f64().ceil()));
            // Logged once for each new reason; health has it for as long as it lasts.
            if logged.as_ref() != Some(&why) {
                tracing::warn!(
                    why,
                    wait_ms = wait.as_millis(),
                    "the gateway's address cannot be read from Discord; trying on"
                );
                logged = Some(why);
            }
            tokio::time::sleep(wait).await;
        }
    }
}

impl GatewayInfo {
    fn read(answer: &Answer) -> Result<Self, String> {
        let cut = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let limit = &answer.session_start_limit;
        Ok(Self {
            url: gateway_url(&answer.url)?,
            shards: cut(answer.shards).max(1),
            max_concurrency: cut(limit.max_concurrency).max(1),
            remaining: cut(limit.remaining),
            total: cut(limit.total),
            reset_after: Duration::from_millis(limit.reset_after),
        })
    }
}

/// The body, if it is no longer than an answer can be.
async fn body(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > LONGEST_BODY => {
                return Err(format!("the answer is longer than {LONGEST_BODY} bytes"));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(causes(&error.without_url())),
        }
    }
}

/// A 429 of Discord (JSON, with a scope) or of Cloudflare in front of it (HTML, often for hours).
async fn too_many(call: &str, response: reqwest::Response) -> AskError {
    let text = |name: &str| {
        let value = response.headers().get(name).and_then(|value| value.to_str().ok());
        value.map(|value| value[..value.floor_char_boundary(20)].to_owned())
    };
    let of_header = text("retry-after").and_then(|value| value.parse::<f64>().ok());
    let scope = text("x-ratelimit-scope");
    let body = body(response).await.unwrap_or_default();
    let of_body = serde_json::from_slice::<TooMany>(&body).ok();
    let limit = match (&scope, &of_body) {
        (Some(scope), _) => format!("rate limit of scope {scope}"),
        (None, Some(_)) => "rate limit of Discord".to_owned(),
        (None, None) => "rate limit, not by Discord's API: Cloudflare blocks this address for some time".to_owned(),
    };
    let seconds = of_header
        .unwrap_or(0.0)
        .max(of_body.map_or(0.0, |body| body.retry_after));
    let wanted = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_RETRY_AFTER);
    let retry_after = wanted.min(LONGEST_RETRY_AFTER);
    AskError::RateLimited {
        why: format!("{call} answers 429 ({limit})"),
        retry_after,
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
