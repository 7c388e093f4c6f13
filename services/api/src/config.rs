//! Configuration of the api: the environment, checked, and figures that only tests change.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use arrakis_broker::BrokerSettings;
use arrakis_cache::Bucket;
use arrakis_chain::ChainsConfig;
use arrakis_config::{PublicAddress, Reader, Secret, SigningRevocation, SigningSettings, variables};
use arrakis_db::APPROVAL_VALIDITY;
use arrakis_kill_switch::KillSwitchSettings;
use arrakis_runtime::HttpLimits;
use arrakis_security::mfa::SecretCipher;

use crate::approvals::ApprovalConfig;
use crate::client_address::TrustedProxies;

/// Longest age of the ranking that can be configured, in hours.
const MAX_STALE_HOURS: u32 = 366 * 24;

/// Configuration from the environment.
#[derive(Debug, Clone)]
pub struct Config {
    /// Connection to RabbitMQ (`AMQP_URL`, `AMQP_CA_FILE`, `AMQP_PRIORITIES`).
    pub broker: BrokerSettings,
    /// PostgreSQL URL with the application's login.
    pub database_url: Secret,
    /// PostgreSQL URL with the admin login.
    pub database_admin_url: Secret,
    /// URL of Redis (`REDIS_URL`).
    pub redis_url: Secret,
    /// Endpoints of the chains, on which signatures of contract wallets are checked.
    pub chains: ChainsConfig,
    /// Address on which the api listens.
    pub listen: SocketAddr,
    /// Public address of the api (`VERIFY_BASE_URL`).
    pub public_address: PublicAddress,
    /// Reverse proxies whose `X-Forwarded-For` is read.
    pub trusted_proxies: TrustedProxies,
    /// Age from which the ranking is stale.
    pub stale_after: time::Duration,
    /// Folder with an operator's own themes (`THEMES_DIR`).
    pub themes_dir: Option<PathBuf>,
    /// The key that signs; `None`: links are neither signed nor verified.
    pub signing: Option<SigningSettings>,
    /// Encryption of the secrets of second factors (`MFA_ENCRYPTION_KEY`); `None`: no code can be checked.
    pub mfa: Option<SecretCipher>,
    /// How the kill switch reaches the discord-proxies, and who may turn it off.
    pub kill_switch: KillSwitchSettings,
    /// How the kill switch revokes the permission to sign; `None`: the workers alone do.
    pub signing_revocation: Option<SigningRevocation>,
    /// Who requests and decides about plans, and where.
    pub approvals: ApprovalConfig,
    /// Limits and intervals that no environment variable sets.
    pub tuning: Tuning,
}

/// Limits and intervals that no environment variable sets; tests change some of them. [`Tuning::default`] has the values in use.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// Limits of the HTTP listener at `API_ADDR`.
    pub http: HttpLimits,
    /// Longest time from a request's head to the head of its response.
    pub request_time: Duration,
    /// Requests of one client address. A page load takes six; members behind one mobile carrier share an address.
    pub per_address: Bucket,
    /// Requests of one IPv6 network of 48 bits: those of eight addresses.
    pub per_network: Bucket,
    /// Requests with one API key.
    pub per_key: Bucket,
    /// Interval at which a streamed answer checks that its API key is still valid.
    pub key_check: Duration,
    /// Length of the time window whose refused requests are written as one audit entry for each key or address.
    pub refusal_window: Duration,
    /// Requests of a service of the platform, from its address and with its key: one for each message of a member.
    pub per_service: Bucket,
    /// In which time an approval can be decided; the database permits at most 24 hours.
    pub approval_validity: time::Duration,
    /// Interval at which messages of approvals are sent and edited.
    pub approval_delivery: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        let callers = HttpLimits::for_callers();
        Self {
            http: HttpLimits {
                body_time: Duration::from_secs(10),
                header_bytes: 16 << 10,
                ..callers
            },
            request_time: Duration::from_secs(15),
            per_address: Bucket::per_minute(240, 120),
            per_network: Bucket::per_minute(1_920, 960),
            per_key: Bucket::per_minute(300, 60),
            key_check: Duration::from_secs(1),
            refusal_window: Duration::from_secs(60),
            per_service: Bucket::per_minute(6_000, 600),
            approval_validity: APPROVAL_VALIDITY,
            approval_delivery: Duration::from_secs(2),
        }
    }
}

impl Config {
    /// Reads and checks the environment.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let broker = BrokerSettings::read(reader);
        let database_url = reader.secret_url(&variables::DATABASE_URL, &["postgres", "postgresql"]);
        let database_admin_url = reader.secret_url(&variables::DATABASE_ADMIN_URL, &["postgres", "postgresql"]);
        let redis_url = reader.secret_url(&variables::REDIS_URL, &["redis", "rediss"]);
        let chains = ChainsConfig::read(reader);
        let listen = reader.defaulted::<SocketAddr>(&variables::API_ADDR);
        let public_address = reader.required::<PublicAddress>(&variables::VERIFY_BASE_URL);
        let trusted_proxies = reader.optional::<TrustedProxies>(&variables::API_TRUSTED_PROXIES);
        let stale_hours = read_stale_hours(reader);
        let themes_dir = reader.optional::<PathBuf>(&variables::THEMES_DIR);
        let signing = reader.signing();
        let mfa = reader.optional::<SecretCipher>(&variables::MFA_ENCRYPTION_KEY);
        let kill_switch = KillSwitchSettings::read(reader);
        let signing_revocation = reader.signing_revocation(signing.as_ref());
        let approvals = ApprovalConfig::read(reader);
        Some(Self {
            broker: broker?,
            database_url: database_url?,
            database_admin_url: database_admin_url?,
            redis_url: redis_url?,
            chains: chains?,
            listen: listen?,
            public_address: public_address?,
            trusted_proxies: trusted_proxies?.unwrap_or_default(),
            stale_after: time::Duration::hours(stale_hours?.into()),
            themes_dir: themes_dir?,
            signing: signing?,
            mfa: mfa?,
            kill_switch: kill_switch?,
            signing_revocation: signing_revocation?,
            approvals: approvals?,
            tuning: Tuning::default(),
        })
    }
}

fn read_stale_hours(reader: &mut Reader) -> Option<u32> {
    let variable = &variables::API_STALE_SYNC_HOURS;
    let hours = reader.defaulted::<u32>(variable)?;
    if (1..=MAX_STALE_HOURS).contains(&hours) {
        Some(hours)
    } else {
        reader.refuse(variable, format!("it must be from 1 to {MAX_STALE_HOURS}"))
    }
}

#[cfg(test)]
mod tests {
    use arrakis_config::{Service, Source};

    use super::*;

    const GOOD: [(&str, &str); 5] = [
        ("AMQP_URL", "amqp://h/%2f"),
        ("DATABASE_URL", "postgres://u:p@h/d"),
        ("DATABASE_ADMIN_URL", "postgres://a:p@h/d"),
        ("REDIS_URL", "redis://h"),
        ("VERIFY_BASE_URL", "https://verify.example.org"),
    ];

    fn load(changes: &[(&str, &str)]) -> Result<Config, String> {
        let pairs = GOOD.iter().chain(changes).copied();
        Reader::load(Service::Api, Source::pairs(pairs), Config::read).map_err(|error| error.to_string())
    }

    #[test]
    fn required_variables_suffice() {
        let config = load(&[]).unwrap();
        assert_eq!(config.listen.port(), 8070);
        assert_eq!(config.public_address.origin(), "https://verify.example.org");
        assert!(config.public_address.is_https());
        assert_eq!(config.trusted_proxies, TrustedProxies::default());
    }

    #[test]
    fn every_missing_variable_is_named() {
        let nothing: [(&str, &str); 0] = [];
        let error = Reader::load(Service::Api, Source::pairs(nothing), Config::read)
            .unwrap_err()
            .to_string();
        for (name, _) in GOOD {
            assert!(error.contains(&format!("{name} is not set")), "{error}");
        }
    }

    #[test]
    fn http_is_accepted_for_this_machine_only() {
        for text in ["http://127.0.0.1:8070", "http://localhost:1", "http://[::1]:9/"] {
            let config = load(&[("VERIFY_BASE_URL", text)]).unwrap();
            assert!(!config.public_address.is_https(), "{text}");
            assert!(!config.public_address.origin().ends_with('/'));
        }
    }

    #[test]
    fn invalid_value_is_refused_with_a_reason() {
        for (name, value, reason) in [
            ("VERIFY_BASE_URL", "verify.example.org", "not a URL"),
            ("VERIFY_BASE_URL", "http://verify.example.org", "without TLS"),
            ("VERIFY_BASE_URL", "ftp://verify.example.org", "https://"),
            (
                "VERIFY_BASE_URL",
                "https://verify.example.org/page",
                "did you mean https://verify.example.org ?",
            ),
            ("VERIFY_BASE_URL", "https://u:p@verify.example.org", "login"),
            ("API_TRUSTED_PROXIES", "10.0.0.0/8,everyone", "everyone"),
            ("API_ADDR", "8070", "API_ADDR"),
            ("API_STALE_SYNC_HOURS", "0", "from 1 to"),
            ("DATABASE_ADMIN_URL", "mysql://u:SEKRET@h", "postgres://"),
            ("API_PORT", "80", "no variable of this name"),
        ] {
            let error = load(&[(name, value)]).unwrap_err();
            assert!(
                error.contains(name) && error.contains(reason),
                "{name}={value}: {error}"
            );
            assert!(!error.contains("SEKRET"), "{error}");
        }
    }
}
