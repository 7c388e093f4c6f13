//! The configuration of the service.

use std::net::SocketAddr;
use std::time::Duration;

use arrakis_config::{PublicAddress, Reader, Secret, is_loopback, parse_proxy_url, variables};
use url::Url;

/// Ports to which Telegram delivers updates (<https://core.telegram.org/bots/api#setwebhook>).
const WEBHOOK_PORTS: [u16; 4] = [443, 80, 88, 8443];

/// The configuration, read from the environment.
#[derive(Debug, Clone)]
pub struct Config {
    /// Token of the bot (`TELEGRAM_BOT_TOKEN`).
    pub bot_token: Secret,
    /// Base URL of the Bot API (`TELEGRAM_API_BASE`).
    pub telegram_base: Url,
    /// How updates arrive (`TELEGRAM_WEBHOOK_URL`, `TELEGRAM_WEBHOOK_ADDR`).
    pub delivery: Delivery,
    /// Address of the api (`API_URL`).
    pub api_url: Url,
    /// API key with the scope `telegram` (`API_CREDENTIAL`).
    pub api_credential: Secret,
    /// URL of Redis (`REDIS_URL`).
    pub redis_url: Secret,
    /// Public address of the wallet page (`VERIFY_BASE_URL`). A link to another website is not shown.
    pub wallet_page: Url,
    /// Time limits, which tests shorten. No environment variable sets them.
    pub tuning: Tuning,
}

/// How updates arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Long polling: the service requests them (`getUpdates`).
    Polling,
    /// Telegram delivers them by a POST (`setWebhook`).
    Webhook {
        /// Public address, `https://`.
        url: Url,
        /// Address on which the service listens for the reverse proxy, without TLS.
        listen: SocketAddr,
    },
}

/// Time limits, which tests shorten. [`Tuning::default`] has the values in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// How long Telegram waits for an update before it answers a poll.
    pub poll_wait: Duration,
    /// How long the api waits for a notice.
    pub notice_wait: Duration,
    /// Pause after a poll or a request failed.
    pub pause: Duration,
    /// Time limit of one call of Telegram, besides the wait of a poll.
    pub call_limit: Duration,
    /// How long the oldest update is waited for while a poll returns only updates that were received before. After that, all are confirmed.
    pub stalled: Duration,
    /// Time within which a call is repeated; a longer pause that Telegram demands ends the attempts.
    pub retry_limit: Duration,
    /// Longest pause before another poll or another attempt to set the webhook, also when Telegram demands a longer one.
    pub max_pause: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            poll_wait: Duration::from_secs(25),
            notice_wait: Duration::from_secs(10),
            pause: Duration::from_secs(2),
            call_limit: Duration::from_secs(10),
            stalled: Duration::from_secs(5),
            retry_limit: Duration::from_secs(15),
            max_pause: Duration::from_secs(600),
        }
    }
}

impl Config {
    /// Reads and checks the environment; `None` if `reader` recorded an error.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let bot_token = read_token(reader);
        let telegram_base = read_telegram_base(reader);
        let delivery = read_delivery(reader);
        let api_url = read_api_url(reader);
        let api_credential = reader.secret(&variables::API_CREDENTIAL);
        let redis_url = reader.secret_url(&variables::REDIS_URL, &["redis", "rediss"]);
        let wallet_page = reader.required::<PublicAddress>(&variables::VERIFY_BASE_URL);
        Some(Self {
            bot_token: bot_token?,
            telegram_base: telegram_base?,
            delivery: delivery?,
            api_url: api_url?,
            api_credential: api_credential?,
            redis_url: redis_url?,
            wallet_page: wallet_page?.url().clone(),
            tuning: Tuning::default(),
        })
    }

    /// The id of the bot: the part of its token before the colon. It is no secret.
    pub(crate) fn bot_id(&self) -> &str {
        let token = self.bot_token.expose();
        token.split_once(':').map_or("", |(id, _)| id)
    }
}

/// The token is a part of a path: other characters would change the path.
fn read_token(reader: &mut Reader) -> Option<Secret> {
    let variable = &variables::TELEGRAM_BOT_TOKEN;
    let token = reader.secret(variable)?;
    let is_key = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let has_form = token.expose().split_once(':').is_some_and(|(id, key)| {
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()) && !key.is_empty() && key.bytes().all(is_key)
    });
    if has_form {
        Some(token)
    } else {
        reader.refuse(
            variable,
            "a bot token is a number, a colon, and letters, digits, - and _",
        )
    }
}

fn read_telegram_base(reader: &mut Reader) -> Option<Url> {
    let variable = &variables::TELEGRAM_API_BASE;
    let url = reader.url(variable, &["https", "http"])?;
    if url.scheme() == "http" && !is_loopback(&url) {
        let reason = "http:// would send the bot token in clear text; use https://, or an address of this machine";
        return reader.refuse(variable, reason);
    }
    if has_more_than_a_path(&url) {
        return reader.refuse(variable, "the URL must have only a host, a port and a path");
    }
    Some(url)
}

fn has_more_than_a_path(url: &Url) -> bool {
    let has_login = !url.username().is_empty() || url.password().is_some();
    has_login || url.query().is_some() || url.fragment().is_some()
}

fn read_api_url(reader: &mut Reader) -> Option<Url> {
    let variable = &variables::API_URL;
    let text = reader.required::<String>(variable)?;
    match parse_proxy_url(&text, &["http", "https"]) {
        Ok(url) => Some(url),
        Err(_) => reader.refuse(
            variable,
            "it must be http://host:port or https://host, without login and path",
        ),
    }
}

fn read_delivery(reader: &mut Reader) -> Option<Delivery> {
    let listen = reader.defaulted::<SocketAddr>(&variables::TELEGRAM_WEBHOOK_ADDR);
    let variable = &variables::TELEGRAM_WEBHOOK_URL;
    let Some(url) = reader.optional::<Url>(variable)? else {
        return listen.map(|_| Delivery::Polling);
    };
    // A Bot API server on this machine delivers to any port, and by http.
    if !is_loopback(&url) {
        if url.scheme() != "https" {
            return reader.refuse(variable, "Telegram delivers updates to https:// only");
        }
        let port = url.port_or_known_default();
        if port.is_none_or(|port| !WEBHOOK_PORTS.contains(&port)) {
            return reader.refuse(variable, "Telegram delivers updates to port 443, 80, 88 or 8443 only");
        }
    }
    if has_more_than_a_path(&url) {
        return reader.refuse(variable, "the URL must have only a host, a port and a path");
    }
    Some(Delivery::Webhook { url, listen: listen? })
}

#[cfg(test)]
mod tests {
    use arrakis_config::{Service, Source};

    use super::*;

    const GOOD: [(&str, &str); 5] = [
        ("TELEGRAM_BOT_TOKEN", "123:SEKRET_token-x"),
        ("API_URL", "http://api:8070"),
        ("API_CREDENTIAL", "arrakis_SEKRET"),
        ("REDIS_URL", "redis://h"),
        ("VERIFY_BASE_URL", "https://verify.example.org"),
    ];

    fn load(changes: &[(&str, &str)]) -> Result<Config, String> {
        let pairs = GOOD.iter().chain(changes).copied();
        Reader::load(Service::Telegram, Source::pairs(pairs), Config::read).map_err(|error| error.to_string())
    }

    #[test]
    fn required_variables_suffice() {
        let config = load(&[]).unwrap();
        assert_eq!(config.delivery, Delivery::Polling);
        assert_eq!(config.telegram_base.as_str(), "https://api.telegram.org/");
        assert_eq!(config.bot_id(), "123");
        assert!(!format!("{config:?}").contains("SEKRET"));
    }

    #[test]
    fn every_missing_variable_is_named() {
        let nothing: [(&str, &str); 0] = [];
        let error = Reader::load(Service::Telegram, Source::pairs(nothing), Config::read)
            .unwrap_err()
            .to_string();
        for (name, _) in GOOD {
            assert!(error.contains(&format!("{name} is not set")), "{error}");
        }
    }

    #[test]
    fn webhook_has_an_address_and_a_listener() {
        let config = load(&[("TELEGRAM_WEBHOOK_URL", "https://bot.example.org/telegram")]).unwrap();
        assert!(matches!(config.delivery, Delivery::Webhook { listen, .. } if listen.port() == 8060));
    }

    #[test]
    fn port_of_the_webhook_is_one_to_which_telegram_delivers() {
        for url in [
            "https://bot.example.org:8443/telegram",
            "https://bot.example.org:88",
            "https://bot.example.org:80/*hook/:bot",
            "http://127.0.0.1:8060/telegram",
        ] {
            assert!(load(&[("TELEGRAM_WEBHOOK_URL", url)]).is_ok(), "{url}");
        }
        for url in ["https://bot.example.org:8080/telegram", "https://bot.example.org:1"] {
            let error = load(&[("TELEGRAM_WEBHOOK_URL", url)]).unwrap_err();
            assert!(error.contains("port 443, 80, 88 or 8443"), "{url}: {error}");
        }
    }

    #[test]
    fn invalid_value_is_refused_with_a_reason() {
        for (name, value, reason) in [
            ("TELEGRAM_BOT_TOKEN", "SEKRET", "a number, a colon"),
            ("TELEGRAM_BOT_TOKEN", "1:SEKRET/../x", "a number, a colon"),
            ("TELEGRAM_API_BASE", "http://api.telegram.org", "clear text"),
            ("TELEGRAM_API_BASE", "https://u:SEKRET@api.telegram.org", "only a host"),
            ("TELEGRAM_WEBHOOK_URL", "http://bot.example.org", "https:// only"),
            ("TELEGRAM_WEBHOOK_ADDR", "8060", "TELEGRAM_WEBHOOK_ADDR"),
            ("API_URL", "http://u:SEKRET@api:8070", "without login"),
            ("VERIFY_BASE_URL", "http://verify.example.org", "this machine only"),
            (
                "VERIFY_BASE_URL",
                "https://verify.example.org/page",
                "did you mean https://verify.example.org ?",
            ),
            ("TELEGRAM_TOKEN", "x", "no variable of this name"),
        ] {
            let error = load(&[(name, value)]).unwrap_err();
            assert!(
                error.contains(name) && error.contains(reason),
                "{name}={value}: {error}"
            );
            if name == "TELEGRAM_BOT_TOKEN" || name == "API_URL" {
                assert!(!error.contains("SEKRET"), "{error}");
            }
        }
    }
}
