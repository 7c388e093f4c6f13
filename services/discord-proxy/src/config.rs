//! Settings of the proxy: what the environment says, checked, and the figures that tests may change.

use std::net::SocketAddr;
use std::time::Duration;

use arrakis_config::{Reader, Secret, variables};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use url::Url;

use crate::allow_list::AllowLists;
use crate::callers::{Callers, Credential};

/// What the proxy needs to start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bot token, without the word `Bot`.
    pub token: Secret,
    /// The application that the token belongs to.
    pub application: u64,
    /// Base of Discord's API, ending in `/api/v10`, without a slash behind it.
    pub api_base: Url,
    /// Where callers are listened to.
    pub listen: SocketAddr,
    /// Who may ask, and for what.
    pub callers: Callers,
    /// Redis that the replicas share.
    pub redis_url: Secret,
    /// Largest number of replicas.
    pub max_replicas: u32,
    /// Figures that have one right value in production.
    pub tuning: Tuning,
}

/// Figures that operators have no reason to change; tests make some of them small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Calls in any window ([Discord: 50 a second for a bot](https://discord.com/developers/docs/topics/rate-limits#global-rate-limit)).
    pub global_limit: u32,
    /// Longest wait of a call for its turn.
    pub longest_wait: Duration,
    /// Longest wait for an answer to one attempt.
    pub attempt_timeout: Duration,
    /// Largest body of a call, in bytes: Discord takes 25 MiB.
    pub largest_body: usize,
    /// Calls that may wait at one replica, all together.
    pub most_waiting: usize,
    /// Calls of one tenant that may wait at one replica: what thirty seconds could serve if nobody else asked.
    pub most_waiting_of_a_tenant: usize,
    /// How long Redis must have reckoned with a replica's own places before it takes one: longer than the windows concerned.
    pub own_places_after: Duration,
    /// When causes of invalid requests are slowed and stopped.
    pub budget: BudgetTuning,
    /// When a dead token is checked again.
    pub token: TokenTuning,
    /// When a long pause is checked.
    pub pauses: PauseTuning,
}

/// Times between two checks of a pause of all calls; each costs an invalid request where the pause lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PauseTuning {
    /// Time to the first check; it doubles.
    pub first_check: Duration,
    /// Longest time between two.
    pub longest_interval: Duration,
}

impl Default for PauseTuning {
    fn default() -> Self {
        Self {
            first_check: Duration::from_secs(15),
            longest_interval: Duration::from_secs(120),
        }
    }
}

/// Times between two checks of a token that Discord refuses; each costs an invalid request where it is refused again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenTuning {
    /// Time to the first check; it doubles.
    pub first_check: Duration,
    /// Longest time between two.
    pub longest_interval: Duration,
}

impl Default for TokenTuning {
    fn default() -> Self {
        Self {
            first_check: Duration::from_secs(60),
            longest_interval: Duration::from_secs(900),
        }
    }
}

/// Steps of the invalid-request budget: counts of 401, 403 and 429 in ten minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetTuning {
    /// A cause (caller, route, tenant) with so many is slowed to one call a second.
    pub slow: u32,
    /// A cause with so many is stopped.
    pub stop: u32,
    /// With so many in all, a cause is slowed and stopped at a fifth of its own figures.
    pub tight: u32,
    /// With so many in all, every cause that has one is stopped.
    pub alarm: u32,
    /// With so many in all, nothing is sent: Discord bans the address at 10,000.
    pub end: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            global_limit: 50,
            longest_wait: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(15),
            largest_body: 25 << 20,
            most_waiting: 20_000,
            most_waiting_of_a_tenant: 2_000,
            own_places_after: Duration::from_secs(10),
            budget: BudgetTuning::default(),
            token: TokenTuning::default(),
            pauses: PauseTuning::default(),
        }
    }
}

impl Default for BudgetTuning {
    fn default() -> Self {
        Self {
            slow: 50,
            stop: 250,
            tight: 2_500,
            alarm: 6_000,
            end: 8_000,
        }
    }
}

impl Config {
    /// Reads and checks the environment.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let token = read_token(reader);
        let application = token.as_ref().and_then(|token| read_application(reader, token));
        let api_base = reader.discord_api_base();
        let listen = reader.defaulted::<SocketAddr>(&variables::PROXY_LISTEN_ADDR);
        let callers = read_callers(reader);
        let redis_url = reader.secret_url(&variables::REDIS_URL, &["redis", "rediss"]);
        let max_replicas = read_max_replicas(reader);
        Some(Self {
            token: token?,
            application: application?,
            api_base: api_base?,
            listen: listen?,
            callers: callers?,
            redis_url: redis_url?,
            max_replicas: max_replicas?,
            tuning: Tuning::default(),
        })
    }
}

pub(crate) fn read_token(reader: &mut Reader) -> Option<Secret> {
    let variable = &variables::DISCORD_TOKEN;
    let token = reader.secret(variable)?;
    let bare = token.expose().strip_prefix("Bot ").unwrap_or(token.expose());
    if bare.is_empty() || !bare.bytes().all(|byte| byte.is_ascii_graphic()) {
        return reader.refuse(
            variable,
            "a token has no spaces and no letters outside ASCII; was it copied whole?",
        );
    }
    Some(Secret::new(bare))
}

/// The application's id: as given, or as the token has it. A bot token begins with the id of its user in base64, which is the
/// application's id for every application made since 2016.
fn read_application(reader: &mut Reader, token: &Secret) -> Option<u64> {
    let variable = &variables::DISCORD_APPLICATION_ID;
    let given = reader.optional::<u64>(variable)?;
    match given.or_else(|| application_of(token.expose())) {
        Some(0) => reader.refuse(variable, "an id is not 0"),
        Some(id) => Some(id),
        None => reader.refuse(
            variable,
            "it is needed, since DISCORD_TOKEN does not begin with an id in base64: callers may use webhooks and commands of our \
             own application only",
        ),
    }
}

fn application_of(token: &str) -> Option<u64> {
    let first = token.split('.').next()?.trim_end_matches('=');
    let decoded = STANDARD_NO_PAD
        .decode(first)
        .or_else(|_| URL_SAFE_NO_PAD.decode(first))
        .ok()?;
    let digits = std::str::from_utf8(&decoded).ok()?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

fn read_max_replicas(reader: &mut Reader) -> Option<u32> {
    let variable = &variables::PROXY_MAX_REPLICAS;
    let replicas = reader.defaulted::<u32>(variable)?;
    if (1..=50).contains(&replicas) {
        Some(replicas)
    } else {
        reader.refuse(
            variable,
            "it is between 1 and 50: each replica needs a share of 50 calls a second",
        )
    }
}

fn read_callers(reader: &mut Reader) -> Option<Callers> {
    let variable = &variables::PROXY_CREDENTIALS;
    let credentials = reader.list::<Credential>(variable)?;
    let lists = match AllowLists::built_in() {
        Ok(lists) => lists,
        Err(error) => return reader.refuse(variable, error.to_string()),
    };
    match Callers::new(credentials, &lists) {
        Ok(callers) => Some(callers),
        Err(error) => reader.refuse(variable, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use arrakis_config::{Service, Source};

    use super::*;

    fn read(changed: &[(&str, &str)]) -> Result<Config, String> {
        let good = [
            ("DISCORD_TOKEN", "MTIz.abc.def"),
            ("PROXY_CREDENTIALS", "worker=0123456789abcdef"),
            ("REDIS_URL", "redis://127.0.0.1:6379/0"),
        ];
        let pairs = good.iter().chain(changed).copied();
        Reader::load(Service::DiscordProxy, Source::pairs(pairs), Config::read).map_err(|errors| errors.to_string())
    }

    #[test]
    fn three_variables_are_enough() {
        let config = read(&[]).unwrap();
        assert_eq!(config.api_base.as_str(), "https://discord.com/api/v10");
        assert_eq!(config.max_replicas, 4);
        assert_eq!(config.application, 123, "MTIz is 123 in base64");
    }

    #[test]
    fn the_application_is_the_one_given_or_the_tokens() {
        assert_eq!(read(&[("DISCORD_APPLICATION_ID", "77")]).unwrap().application, 77);
        assert_eq!(
            application_of("MTIzNDU2Nzg5MDEyMzQ1Njc4.a.b"),
            Some(123_456_789_012_345_678)
        );
        assert_eq!(application_of("MTIzNA==.a.b"), Some(1_234));
        for other in ["abc.def", "", ".a.b", "KzE.a.b", "LTE.a.b"] {
            assert_eq!(application_of(other), None, "{other}");
        }
    }

    #[test]
    fn the_word_bot_is_taken_off_the_token() {
        assert_eq!(
            read(&[("DISCORD_TOKEN", "Bot MTIz.abc")]).unwrap().token.expose(),
            "MTIz.abc"
        );
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_a_reason() {
        for (name, value, word) in [
            ("DISCORD_TOKEN", "two words", "copied whole"),
            ("DISCORD_APPLICATION_ID", "0", "not 0"),
            (
                "DISCORD_API_BASE",
                "https://discord.com/api",
                "https://discord.com/api/v10",
            ),
            ("DISCORD_API_BASE", "http://discord.com/api/v10", "clear text"),
            ("DISCORD_API_BASE", "ftp://discord.com/api/v10", "http://"),
            ("PROXY_MAX_REPLICAS", "0", "between 1 and 50"),
            ("PROXY_CREDENTIALS", "worker", "name=credential"),
            ("PROXY_CREDENTIALS", "worker=short", "16"),
            ("PROXY_CREDENTIALS", "nobody=0123456789abcdef", "no allow-list"),
            (
                "PROXY_CREDENTIALS",
                "worker=0123456789abcdef,gaib=0123456789abcdef",
                "same credential",
            ),
            ("REDIS_URL", "http://127.0.0.1", "redis://"),
            ("PROXY_LISTEN_ADDR", "everywhere", "PROXY_LISTEN_ADDR"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.contains(name) && error.contains(word), "{name}={value}: {error}");
            assert!(!error.contains("0123456789abcdef"), "{error}");
        }
    }

    #[test]
    fn no_error_shows_a_secret() {
        for (name, value) in [
            ("DISCORD_TOKEN", "SEKRET with a space"),
            ("PROXY_CREDENTIALS", "worker=SEKRET"),
            ("PROXY_CREDENTIALS", "SEKRET"),
            ("PROXY_CREDENTIALS", "worker=0123456789abcdef,SEKRET"),
            ("PROXY_CREDENTIALS", "SEKRET0123456789=0123456789abcdef"),
            ("PROXY_CREDENTIALS", "=SEKRET0123456789"),
            ("REDIS_URL", "SEKRET@h"),
            ("REDIS_URL", "sekret:x@h"),
            ("REDIS_URL", "http://:SEKRET@h"),
            ("DISCORD_API_BASE", "https://discord.com/api/v10?x=SEKRET"),
            ("DISCORD_API_BASE", "https://discord.com/api/v10#SEKRET"),
            ("DISCORD_API_BASE", "https://bot:SEKRET@discord.com/api/v10"),
            ("DISCORD_API_BASE", "bot:SEKRET@discord.com"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.contains(name), "{name}={value}: {error}");
            assert!(!error.to_uppercase().contains("SEKRET"), "{name}={value}: {error}");
        }
    }
}
