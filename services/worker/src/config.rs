//! The configuration that the worker reads from its environment.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use arrakis_broker::BrokerSettings;
use arrakis_chain::ChainsConfig;
use arrakis_config::{
    PublicAddress, Reader, ScoreApi, Secret, SigningRevocation, SigningSettings, Variable, variables,
};
use arrakis_discord::DiscordConfig;
use arrakis_kill_switch::KillSwitchSettings;
use arrakis_security::mfa::SecretCipher;
use twilight_model::id::Id;
use url::Url;

use crate::approval_settings::ApprovalConfig;
use crate::canary::WorkerGroup;
use crate::scheduled_backup::BackupConfig;

/// Lifetime of an interaction token: a command that takes longer cannot be replied to.
const TOKEN_SECONDS: u32 = 15 * 60;
/// RabbitMQ requeues a message that is unacknowledged for this long (`consumer_timeout`).
const CONSUMER_TIMEOUT_SECONDS: u32 = 30 * 60;
/// Longest age of the ranking that can be configured.
const MAX_STALE_HOURS: u32 = 366 * 24;

/// Configuration of a worker that serves.
#[derive(Debug, Clone)]
pub struct Config {
    /// Connection to RabbitMQ.
    pub broker: BrokerSettings,
    /// Postgres URL with the application's login.
    pub database_url: Secret,
    /// Redis URL.
    pub redis_url: Secret,
    /// Addresses of the discord-proxies, the worker's credential, and the application id.
    pub discord: DiscordConfig,
    /// Endpoints of chains.
    pub chains: ChainsConfig,
    /// The score service; `None` where none is configured.
    pub score: Option<ScoreApi>,
    /// Messages handled at once, by kind of queue.
    pub prefetch: Prefetch,
    /// Time limit of one attempt at a deferred command.
    pub command_limit: Duration,
    /// Time limit of one attempt at an event.
    pub event_limit: Duration,
    /// Grace period after SIGTERM in which messages in progress are finished.
    pub grace: Duration,
    /// Age of the ranking from which replies state that it is stale.
    pub stale_after: time::Duration,
    /// Folder of the operator's own themes.
    pub themes_dir: Option<PathBuf>,
    /// Address of the wallet page; `None`: wallets cannot be verified.
    pub verify_base_url: Option<Url>,
    /// Whether admin commands that need MFA run without it.
    pub admin_commands_without_mfa: bool,
    /// The key that signs; `None`: nothing is signed.
    pub signing: Option<SigningSettings>,
    /// Encryption of the secrets of second factors; `None`: commands that need one are refused.
    pub mfa: Option<SecretCipher>,
    /// The group of this worker: stable, or the canary.
    pub group: WorkerGroup,
    /// How freezes and the kill switch reach the discord-proxies.
    pub kill_switch: KillSwitchSettings,
    /// How the kill switch revokes the permission to sign; `None`: it does not.
    pub signing_revocation: Option<SigningRevocation>,
    /// Scheduled backups, whose store also has the shadows of configurations; `None`: there are neither.
    pub backups: Option<BackupConfig>,
    /// Who decides about plans of infrastructure, and in which channel.
    pub approvals: ApprovalConfig,
}

/// Prefetch of the consumers: messages handled at once, by kind of queue.
#[derive(Debug, Clone, Copy)]
pub struct Prefetch {
    /// Of the queue of interactions.
    pub interactions: u16,
    /// Of each queue of events.
    pub events: u16,
    /// Of each queue of jobs.
    pub jobs: u16,
}

impl Config {
    /// Reads the configuration; `None` if `reader` recorded an error.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let broker = BrokerSettings::read(reader);
        let database_url = reader.secret_url(&variables::DATABASE_URL, &["postgres", "postgresql"]);
        let redis_url = reader.secret_url(&variables::REDIS_URL, &["redis", "rediss"]);
        let discord = discord(reader);
        let chains = ChainsConfig::read(reader);
        let score = reader.score_api();
        let prefetch = Prefetch::read(reader);
        let command_limit = within(reader, &variables::WORKER_COMMAND_SECONDS, 1..=TOKEN_SECONDS);
        let event_limit = within(reader, &variables::WORKER_EVENT_SECONDS, 1..=CONSUMER_TIMEOUT_SECONDS);
        let grace = within(reader, &variables::WORKER_GRACE_SECONDS, 0..=CONSUMER_TIMEOUT_SECONDS);
        let stale_hours = within(reader, &variables::WORKER_STALE_SYNC_HOURS, 1..=MAX_STALE_HOURS);
        let themes_dir = reader.optional(&variables::THEMES_DIR);
        let verify_base_url = reader.optional::<PublicAddress>(&variables::VERIFY_BASE_URL);
        let without_mfa = admin_commands_without_mfa(reader, database_url.as_ref());
        let signing = reader.signing();
        let mfa = reader.optional::<SecretCipher>(&variables::MFA_ENCRYPTION_KEY);
        let kill_switch = KillSwitchSettings::read(reader);
        let signing_revocation = reader.signing_revocation(signing.as_ref());
        let backups = BackupConfig::read_with(reader, signing.as_ref());
        let approvals = ApprovalConfig::read(reader);
        let group = reader.defaulted::<WorkerGroup>(&variables::WORKER_GROUP);
        Some(Self {
            broker: broker?,
            database_url: database_url?,
            redis_url: redis_url?,
            discord: discord?,
            chains: chains?,
            score: score?,
            prefetch: prefetch?,
            command_limit: Duration::from_secs(command_limit?.into()),
            event_limit: Duration::from_secs(event_limit?.into()),
            grace: Duration::from_secs(grace?.into()),
            stale_after: time::Duration::hours(stale_hours?.into()),
            themes_dir: themes_dir?,
            verify_base_url: verify_base_url?.map(|address| address.url().clone()),
            admin_commands_without_mfa: without_mfa?,
            signing: signing?,
            mfa: mfa?,
            kill_switch: kill_switch?,
            signing_revocation: signing_revocation?,
            backups: backups?,
            approvals: approvals?,
            group: group?,
        })
    }
}

impl Prefetch {
    fn read(reader: &mut Reader) -> Option<Self> {
        let mut positive = |variable| match reader.defaulted::<u16>(variable) {
            Some(0) => reader.refuse(variable, "it must be at least 1: with 0 no message would be handled"),
            other => other,
        };
        let interactions = positive(&variables::WORKER_PREFETCH);
        let events = positive(&variables::WORKER_EVENT_PREFETCH);
        let jobs = positive(&variables::WORKER_JOB_PREFETCH);
        Some(Self {
            interactions: interactions?,
            events: events?,
            jobs: jobs?,
        })
    }
}

/// Reads whether admin commands run without MFA: only in a development deployment, whose database is on this machine.
fn admin_commands_without_mfa(reader: &mut Reader, database_url: Option<&Secret>) -> Option<bool> {
    let variable = &variables::ADMIN_COMMANDS_WITHOUT_MFA;
    match reader.optional::<String>(variable)?.as_deref() {
        None | Some("no") => Some(false),
        Some("yes") if database_url.is_none_or(is_on_this_machine) => Some(true),
        Some("yes") => reader.refuse(
            variable,
            "it is for development, and DATABASE_URL is not on this machine",
        ),
        Some(_) => reader.refuse(variable, "it must be yes or no"),
    }
}

/// Whether the URL of a database has a loopback address, or none (a socket).
fn is_on_this_machine(url: &Secret) -> bool {
    let Ok(url) = Url::parse(url.expose()) else {
        return false;
    };
    match url.host_str() {
        None | Some("" | "localhost") => true,
        // The path of a socket.
        Some(host) if host.to_ascii_lowercase().starts_with("%2f") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
    }
}

/// Reads a number and refuses one outside of `range`.
fn within(reader: &mut Reader, variable: &Variable, range: RangeInclusive<u32>) -> Option<u32> {
    let number = reader.defaulted::<u32>(variable)?;
    if range.contains(&number) {
        return Some(number);
    }
    let (min, max) = (range.start(), range.end());
    reader.refuse(variable, format!("it must be from {min} to {max}"))
}

/// Reads what a client of the discord-proxies needs; `None` if `reader` recorded an error.
pub fn discord(reader: &mut Reader) -> Option<DiscordConfig> {
    let proxies = reader.proxy_urls(&["http"]);
    let credential = reader.secret(&variables::DISCORD_PROXY_CREDENTIAL);
    let application = match reader.required::<u64>(&variables::DISCORD_APPLICATION_ID) {
        Some(number) => match Id::new_checked(number) {
            Some(id) => Some(id),
            None => reader.refuse(&variables::DISCORD_APPLICATION_ID, "it must not be 0"),
        },
        None => None,
    };
    Some(DiscordConfig {
        proxies: proxies?,
        credential: credential?,
        application: application?,
    })
}

#[cfg(test)]
mod tests {
    use arrakis_config::{Service, Source};

    use super::*;

    const GOOD: [(&str, &str); 6] = [
        ("AMQP_URL", "amqp://h/%2f"),
        ("DATABASE_URL", "postgres://u:p@h/d"),
        ("REDIS_URL", "redis://h"),
        ("DISCORD_PROXY_URL", "http://a:1, http://b:2"),
        ("DISCORD_PROXY_CREDENTIAL", "c"),
        ("DISCORD_APPLICATION_ID", "7"),
    ];

    fn load(changes: &[(&str, &str)]) -> Result<Config, String> {
        let pairs = GOOD.iter().chain(changes).map(|(name, value)| (*name, *value));
        Reader::load(Service::Worker, Source::pairs(pairs), Config::read).map_err(|error| error.to_string())
    }

    #[test]
    fn required_variables_suffice() {
        let config = load(&[]).unwrap();
        assert_eq!(config.discord.proxies.len(), 2);
        assert_eq!(config.prefetch.interactions, 30);
        assert_eq!(config.grace, Duration::from_secs(20));
    }

    #[test]
    fn times_out_of_range_are_refused() {
        for (name, value, range) in [
            ("WORKER_COMMAND_SECONDS", "901", "from 1 to 900"),
            ("WORKER_EVENT_SECONDS", "0", "from 1 to 1800"),
            ("WORKER_GRACE_SECONDS", "1801", "from 0 to 1800"),
            ("WORKER_STALE_SYNC_HOURS", "4294967295", "from 1 to 8784"),
        ] {
            let error = load(&[(name, value)]).unwrap_err();
            assert!(error.contains(name) && error.contains(range), "{error}");
        }
    }

    #[test]
    fn address_of_the_wallet_page_is_optional() {
        assert_eq!(load(&[]).unwrap().verify_base_url, None);
        let config = load(&[("VERIFY_BASE_URL", "https://verify.example.org")]).unwrap();
        assert_eq!(config.verify_base_url.unwrap().as_str(), "https://verify.example.org/");
        for invalid in [
            "verify.example.org",
            "ftp://verify.example.org",
            "http://verify.example.org",
            "https://verify.example.org/page",
        ] {
            let error = load(&[("VERIFY_BASE_URL", invalid)]).unwrap_err();
            assert!(error.contains("VERIFY_BASE_URL"), "{error}");
        }
    }

    #[test]
    fn admin_commands_run_without_mfa_only_with_a_database_on_this_machine() {
        let without = |url: &str, value: &str| {
            let pairs = [("DATABASE_URL", url), ("ADMIN_COMMANDS_WITHOUT_MFA", value)];
            load(&pairs).map(|config| config.admin_commands_without_mfa)
        };
        assert!(!load(&[]).unwrap().admin_commands_without_mfa);
        for local in [
            "postgres://u:p@127.0.0.1:5432/d",
            "postgres://u:p@[::1]/d",
            "postgres://u:p@localhost/d",
            "postgres://u:p@%2Fvar%2Frun%2Fpostgresql/d",
        ] {
            assert_eq!(without(local, "yes"), Ok(true), "{local}");
            assert_eq!(without(local, "no"), Ok(false), "{local}");
        }
        let error = without("postgres://u:SEKRET@db.example.org/d", "yes").unwrap_err();
        assert!(
            error.contains("is not on this machine") && !error.contains("SEKRET"),
            "{error}"
        );
        let error = without("postgres://u:p@localhost/d", "true").unwrap_err();
        assert!(error.contains("it must be yes or no"), "{error}");
    }

    #[test]
    fn key_of_second_factors_is_optional_and_checked() {
        assert!(load(&[]).unwrap().mfa.is_none());
        let key = SecretCipher::generate_key("2026").unwrap();
        let config = load(&[("MFA_ENCRYPTION_KEY", &key)]).unwrap();
        assert_eq!(config.mfa.as_ref().unwrap().current_key_id(), "2026");
        assert!(!format!("{config:?}").contains(&key));
        let error = load(&[("MFA_ENCRYPTION_KEY", "SEKRET")]).unwrap_err();
        assert!(
            error.contains("MFA_ENCRYPTION_KEY") && !error.contains("SEKRET"),
            "{error}"
        );
    }

    #[test]
    fn errors_contain_no_secret() {
        for (name, value) in [
            ("AMQP_URL", "SEKRET:SEKRET@h"),
            ("AMQP_URL", "http://u:SEKRET@h"),
            ("DATABASE_URL", "SEKRET"),
            ("DATABASE_URL", "sekret://u:SEKRET@h/d"),
            ("REDIS_URL", "SEKRET:x@h"),
            ("DISCORD_PROXY_URL", "http://user:SEKRET@a:1"),
            ("DISCORD_PROXY_URL", "http://b:1,http://SEKRET@a:1"),
            ("DISCORD_PROXY_URL", "http://a:1/?key=SEKRET"),
            ("DISCORD_PROXY_URL", "user:SEKRET@a:1"),
            ("SCORE_API_URL", "https://user:SEKRET@score.example"),
            ("SCORE_API_URL", "https://score.example/?key=SEKRET"),
        ] {
            let error = load(&[(name, value)]).unwrap_err();
            assert!(error.contains(name), "{name}={value}: {error}");
            assert!(!error.to_uppercase().contains("SEKRET"), "{name}={value}: {error}");
        }
        let error = load(&[("DISCORD_PROXY_URL", "http://a:1/api/v10")]).unwrap_err();
        assert!(error.contains("set http://host:port only"), "{error}");
    }

    #[test]
    fn score_service_needs_its_key() {
        let url = ("SCORE_API_URL", "https://score.example/api");
        assert!(load(&[url]).unwrap_err().contains("SCORE_API_KEY is not set"));
        let error = load(&[url, ("SCORE_API_KEY", "SEKRET SEKRET")]).unwrap_err();
        assert!(error.contains("visible ASCII") && !error.contains("SEKRET"), "{error}");
        let config = load(&[url, ("SCORE_API_KEY", "SEKRET")]).unwrap();
        assert!(!format!("{config:?}").contains("SEKRET"));
        assert_eq!(config.score.unwrap().base.as_str(), "https://score.example/api/");
        assert!(load(&[("SCORE_API_KEY", "unused")]).unwrap().score.is_none());
    }

    #[test]
    fn each_invalid_value_is_named() {
        let error = load(&[
            ("WORKER_PREFETCH", "0"),
            ("DISCORD_PROXY_URL", "https://a"),
            ("DISCORD_APPLICATION_ID", "0"),
            ("DATABASE_URL", "mysql://x"),
        ])
        .unwrap_err();
        for name in [
            "WORKER_PREFETCH",
            "DISCORD_PROXY_URL",
            "DISCORD_APPLICATION_ID",
            "DATABASE_URL",
        ] {
            assert!(error.contains(name), "{name} is missing in {error}");
        }
    }
}
