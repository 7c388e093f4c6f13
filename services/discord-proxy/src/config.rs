//! Configuration of the proxy: the environment, checked, and figures that only tests change.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use arrakis_config::{Reader, Secret, Variable, variables};
use arrakis_security::kill_switch::MIN_CREDENTIAL;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use url::Url;

use crate::allow_list::AllowLists;
use crate::callers::{Callers, Credential};

/// Configuration from the environment.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bot token, without the prefix `Bot `.
    pub token: Secret,
    /// Id of the bot's application.
    pub application: u64,
    /// Base of Discord's API, which ends in `/api/v10`.
    pub api_base: Url,
    /// Address of the port for callers.
    pub listen: SocketAddr,
    /// The callers, with their credentials and allow-lists.
    pub callers: Callers,
    /// URL of the Redis that the replicas share.
    pub redis_url: Secret,
    /// Largest number of replicas.
    pub max_replicas: u32,
    /// Credential with which workers and the api read and write the kill switch; `None`: they cannot.
    pub kill_switch_credential: Option<Secret>,
    /// The credential before, while it is changed: it is accepted as well.
    pub kill_switch_previous: Option<Secret>,
    /// File in which the state of the kill switch is kept.
    pub kill_switch_file: Option<PathBuf>,
    /// Figures with one right value in production.
    pub tuning: Tuning,
}

/// Figures that operators have no reason to change; tests reduce some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Calls in any 1.1 s ([Discord: 50 a second for a bot](https://discord.com/developers/docs/topics/rate-limits#global-rate-limit)).
    pub global_limit: u32,
    /// Longest wait of a call for its permit.
    pub max_wait: Duration,
    /// Longest wait for the response to one attempt.
    pub attempt_timeout: Duration,
    /// Largest body of a call in bytes: Discord accepts 25 MiB.
    pub max_body: usize,
    /// Calls that may wait at one replica.
    pub max_waiting: usize,
    /// Calls of one tenant that may wait at one replica: as many as could be sent in 30 s without other tenants.
    pub max_waiting_per_tenant: usize,
    /// How long after Redis began to reserve calls for a replica the replica uses one without a query. Longer than the windows
    /// of the buckets, so that every window that began before has ended.
    pub reserved_after: Duration,
    /// Figures of the invalid-request budget.
    pub budget: BudgetTuning,
    /// When a refused token is checked again.
    pub token: TokenTuning,
    /// When a long pause of all calls is checked.
    pub pauses: PauseTuning,
}

/// Times between two checks of a pause of all calls; each is an invalid request while the pause lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PauseTuning {
    /// Time until the first check; it doubles with each.
    pub first_check: Duration,
    /// Longest time between two checks.
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

/// Times between two checks of a refused token; each is an invalid request while Discord refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenTuning {
    /// Time until the first check; it doubles with each.
    pub first_check: Duration,
    /// Longest time between two checks.
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

/// Figures of the invalid-request budget: counts of 401, 403 and 429 in ten minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetTuning {
    /// At this count of invalid requests, a cause (caller, route and tenant) may send one call a second.
    pub slow: u32,
    /// At this count of invalid requests, a cause may send no calls.
    pub stop: u32,
    /// At this total over all causes, a fifth of `slow` and of `stop` is enough to slow and stop a cause.
    pub tight: u32,
    /// At this total over all causes, every cause with an invalid request may send no calls.
    pub alarm: u32,
    /// At this total over all causes, no calls are sent: Discord bans the address at 10,000.
    pub end: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            global_limit: 50,
            max_wait: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(15),
            max_body: 25 << 20,
            max_waiting: 20_000,
            max_waiting_per_tenant: 2_000,
            reserved_after: Duration::from_secs(10),
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
        let kill_switch_credential = read_kill_switch_credential(reader, &variables::KILL_SWITCH_CREDENTIAL);
        let kill_switch_previous = read_kill_switch_credential(reader, &variables::KILL_SWITCH_CREDENTIAL_PREVIOUS);
        let kill_switch_file = reader.optional::<PathBuf>(&variables::KILL_SWITCH_FILE);
        Some(Self {
            token: token?,
            application: application?,
            api_base: api_base?,
            listen: listen?,
            callers: callers?,
            redis_url: redis_url?,
            max_replicas: max_replicas?,
            kill_switch_credential: kill_switch_credential?,
            kill_switch_previous: kill_switch_previous?,
            kill_switch_file: kill_switch_file?,
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
            "a token has no spaces and only ASCII characters; check that it was copied completely",
        );
    }
    Some(Secret::new(bare))
}

/// Id of the application: `DISCORD_APPLICATION_ID`, or the id in the token. A bot token begins with the id of its user in base64, which
/// is the application's id for every application created since 2016.
fn read_application(reader: &mut Reader, token: &Secret) -> Option<u64> {
    let variable = &variables::DISCORD_APPLICATION_ID;
    let given = reader.optional::<u64>(variable)?;
    match given.or_else(|| application_of(token.expose())) {
        Some(0) => reader.refuse(variable, "an id cannot be 0"),
        Some(id) => Some(id),
        None => reader.refuse(
            variable,
            "it is required, since DISCORD_TOKEN does not begin with an id in base64: callers may use the webhooks and commands of \
             the bot's application only",
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

fn read_kill_switch_credential(reader: &mut Reader, variable: &Variable) -> Option<Option<Secret>> {
    match reader.optional::<String>(variable)? {
        Some(credential) if credential.len() < MIN_CREDENTIAL => reader.refuse(
            variable,
            format!("it has at least {MIN_CREDENTIAL} characters; `openssl rand -hex 32` generates one"),
        ),
        credential => Some(credential.map(Secret::new)),
    }
}

fn read_max_replicas(reader: &mut Reader) -> Option<u32> {
    let variable = &variables::PROXY_MAX_REPLICAS;
    let replicas = reader.defaulted::<u32>(variable)?;
    if (1..=50).contains(&replicas) {
        Some(replicas)
    } else {
        reader.refuse(
            variable,
            "it must be between 1 and 50: each replica needs a share of 50 calls a second",
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
    fn three_variables_suffice() {
        let config = read(&[]).unwrap();
        assert_eq!(config.api_base.as_str(), "https://discord.com/api/v10");
        assert_eq!(config.max_replicas, 4);
        assert_eq!(config.application, 123, "MTIz is 123 in base64");
    }

    #[test]
    fn application_is_the_given_one_or_that_of_the_token() {
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
    fn prefix_bot_of_the_token_is_removed() {
        assert_eq!(
            read(&[("DISCORD_TOKEN", "Bot MTIz.abc")]).unwrap().token.expose(),
            "MTIz.abc"
        );
    }

    #[test]
    fn invalid_value_is_refused_with_a_reason() {
        for (name, value, word) in [
            ("DISCORD_TOKEN", "two words", "copied completely"),
            ("DISCORD_APPLICATION_ID", "0", "cannot be 0"),
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
            ("KILL_SWITCH_CREDENTIAL", "short", "at least 16"),
            ("KILL_SWITCH_CREDENTIAL_PREVIOUS", "short", "at least 16"),
            ("REDIS_URL", "http://127.0.0.1", "redis://"),
            ("PROXY_LISTEN_ADDR", "everywhere", "PROXY_LISTEN_ADDR"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.contains(name) && error.contains(word), "{name}={value}: {error}");
            assert!(!error.contains("0123456789abcdef"), "{error}");
        }
    }

    #[test]
    fn no_error_contains_a_secret() {
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
