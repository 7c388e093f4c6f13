//! What the worker reads from its environment.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use arrakis_broker::BrokerSettings;
use arrakis_config::{Reader, Secret, Variable, variables};
use arrakis_discord::DiscordConfig;
use twilight_model::id::Id;

/// An interaction's token lives this long; a try of a command that takes longer can be answered to nobody.
const TOKEN_SECONDS: u32 = 15 * 60;
/// RabbitMQ takes a message back that nobody acknowledged for this long (`consumer_timeout`).
const HELD_SECONDS: u32 = 30 * 60;
/// Nobody means a ranking that is older.
const YEAR_HOURS: u32 = 366 * 24;

/// Configuration of the running worker.
#[derive(Debug, Clone)]
pub struct Config {
    /// Broker.
    pub broker: BrokerSettings,
    /// Postgres, login of the application.
    pub database_url: Secret,
    /// Redis.
    pub redis_url: Secret,
    /// Where the proxies are and who asks.
    pub discord: DiscordConfig,
    /// How many of what are handled at once.
    pub prefetch: Prefetch,
    /// How long one try of a deferred command may take.
    pub command_limit: Duration,
    /// How long one try of an event may take.
    pub event_limit: Duration,
    /// How long it may take to finish what it holds after SIGTERM.
    pub grace: Duration,
    /// From what age on answers say that the ranking is old.
    pub stale_after: time::Duration,
    /// An operator's own themes.
    pub themes_dir: Option<PathBuf>,
}

/// Messages handled at once, by kind.
#[derive(Debug, Clone, Copy)]
pub struct Prefetch {
    /// Interactions.
    pub interactions: u16,
    /// Member and server events.
    pub events: u16,
    /// Jobs of each kind.
    pub jobs: u16,
}

impl Config {
    /// Reads all of it.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let broker = BrokerSettings::read(reader);
        let database_url = reader.secret_url(&variables::DATABASE_URL, &["postgres", "postgresql"]);
        let redis_url = reader.secret_url(&variables::REDIS_URL, &["redis", "rediss"]);
        let discord = discord(reader);
        let prefetch = Prefetch::read(reader);
        let command_limit = within(reader, &variables::WORKER_COMMAND_SECONDS, 1..=TOKEN_SECONDS);
        let event_limit = within(reader, &variables::WORKER_EVENT_SECONDS, 1..=HELD_SECONDS);
        let grace = within(reader, &variables::WORKER_GRACE_SECONDS, 0..=HELD_SECONDS);
        let stale_hours = within(reader, &variables::WORKER_STALE_SYNC_HOURS, 1..=YEAR_HOURS);
        let themes_dir = reader.optional(&variables::THEMES_DIR);
        Some(Self {
            broker: broker?,
            database_url: database_url?,
            redis_url: redis_url?,
            discord: discord?,
            prefetch: prefetch?,
            command_limit: Duration::from_secs(command_limit?.into()),
            event_limit: Duration::from_secs(event_limit?.into()),
            grace: Duration::from_secs(grace?.into()),
            stale_after: time::Duration::hours(stale_hours?.into()),
            themes_dir: themes_dir?,
        })
    }
}

impl Prefetch {
    fn read(reader: &mut Reader) -> Option<Self> {
        let mut positive = |variable| match reader.defaulted::<u16>(variable) {
            Some(0) => reader.refuse(variable, "with 0 nothing would be handled"),
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

/// A number that makes sense, or a word on which ones do.
fn within(reader: &mut Reader, variable: &Variable, sensible: RangeInclusive<u32>) -> Option<u32> {
    let number = reader.defaulted::<u32>(variable)?;
    if sensible.contains(&number) {
        return Some(number);
    }
    let (least, most) = (sensible.start(), sensible.end());
    reader.refuse(variable, format!("it must be from {least} to {most}"))
}

/// What a caller of the proxies needs.
pub fn discord(reader: &mut Reader) -> Option<DiscordConfig> {
    let proxies = reader.proxy_urls(&["http"]);
    let credential = reader.secret(&variables::DISCORD_PROXY_CREDENTIAL);
    let application = match reader.required::<u64>(&variables::DISCORD_APPLICATION_ID) {
        Some(number) => match Id::new_checked(number) {
            Some(id) => Some(id),
            None => reader.refuse(&variables::DISCORD_APPLICATION_ID, "an id is not 0"),
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
    fn what_is_marked_for_the_worker_is_enough() {
        let config = load(&[]).unwrap();
        assert_eq!(config.discord.proxies.len(), 2);
        assert_eq!(config.prefetch.interactions, 30);
        assert_eq!(config.grace, Duration::from_secs(20));
    }

    #[test]
    fn times_that_make_no_sense_are_refused() {
        for (name, value, sensible) in [
            ("WORKER_COMMAND_SECONDS", "901", "from 1 to 900"),
            ("WORKER_EVENT_SECONDS", "0", "from 1 to 1800"),
            ("WORKER_GRACE_SECONDS", "1801", "from 0 to 1800"),
            ("WORKER_STALE_SYNC_HOURS", "4294967295", "from 1 to 8784"),
        ] {
            let error = load(&[(name, value)]).unwrap_err();
            assert!(error.contains(name) && error.contains(sensible), "{error}");
        }
    }

    #[test]
    fn no_error_shows_a_secret() {
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
        ] {
            let error = load(&[(name, value)]).unwrap_err();
            assert!(error.contains(name), "{name}={value}: {error}");
            assert!(!error.to_uppercase().contains("SEKRET"), "{name}={value}: {error}");
        }
        let error = load(&[("DISCORD_PROXY_URL", "http://a:1/api/v10")]).unwrap_err();
        assert!(error.contains("give http://host:port alone"), "{error}");
    }

    #[test]
    fn each_wrong_value_is_named() {
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
