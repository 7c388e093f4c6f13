//! What the subcommands of `kill-switch` read from the environment.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arrakis_cache::{Cache, CacheOptions};
use arrakis_config::{ConfigErrors, Reader, Secret, SigningRevocation, Source, variables};
use arrakis_db::Database;
use arrakis_kill_switch::{KillSwitchControl, KillSwitchSettings};
use arrakis_security::kill_switch::RevokeSigning;
use arrakis_security::mfa::SecretCipher;
use arrakis_security::signing;

use super::super::database::{connect, database_url};
use super::super::output::report;
use super::super::{Loaded, load};

/// How long `on` waits for a connection to PostgreSQL. The proxies are written after that, and must be within five seconds.
const CONNECT_LIMIT: Duration = Duration::from_millis(1_000);
/// The variables of the signing service begin so. A problem of one may be that another one is missing.
const SIGNING: [&str; 2] = ["VAULT_", "SIGNER"];

/// The configuration of every subcommand.
pub(super) struct CommandConfig {
    settings: KillSwitchSettings,
    /// `None`: the permission to sign is not revoked.
    signing_revocation: Option<SigningRevocation>,
    /// `None`: the kill switch can be turned on, and not off.
    database_url: Option<Secret>,
    redis_url: Secret,
    pub(super) cipher: Option<SecretCipher>,
}

/// The configuration for an emergency. A variable with a problem is left out where the proxies can be written without it.
pub(super) struct EmergencyConfig {
    pub(super) config: CommandConfig,
    /// The problems of the variables that are left out.
    pub(super) problems: Option<ConfigErrors>,
}

impl CommandConfig {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let settings = KillSwitchSettings::read_for_command(reader);
        let signing = reader.signing();
        let signing_revocation = reader.signing_revocation(signing.as_ref());
        let database_url = match reader.optional::<String>(&variables::DATABASE_URL)? {
            Some(_) => Some(database_url(reader)?),
            None => None,
        };
        let redis_url = reader.secret_url(&variables::REDIS_URL, &["redis", "rediss"]);
        let cipher = reader.optional::<SecretCipher>(&variables::MFA_ENCRYPTION_KEY);
        Some(Self {
            settings: settings?,
            signing_revocation: signing_revocation?,
            database_url,
            redis_url: redis_url?,
            cipher: cipher?,
        })
    }

    /// With what checks a code.
    pub(super) fn read_for_off(reader: &mut Reader) -> Option<Self> {
        let config = Self::read(reader);
        let url = reader.required::<String>(&variables::DATABASE_URL);
        let key = reader.required::<String>(&variables::MFA_ENCRYPTION_KEY);
        url.and(key).and(config)
    }

    /// With the credential of the worker at the proxies, for the write of a drill.
    pub(super) fn read_for_drill(reader: &mut Reader) -> Option<(Self, Secret)> {
        let config = Self::read(reader);
        let url = reader.required::<String>(&variables::DATABASE_URL);
        let credential = reader.secret(&variables::DISCORD_PROXY_CREDENTIAL);
        url.and(Some((config?, credential?)))
    }

    /// Whether the kill switch revokes the permissions to sign.
    pub(super) const fn revokes_signing(&self) -> bool {
        self.signing_revocation.is_some()
    }

    /// Whether `DATABASE_URL` is set.
    pub(super) const fn has_database(&self) -> bool {
        self.database_url.is_some()
    }

    /// What revokes the permissions to sign; `None` where nothing does.
    pub(super) fn revoker(&self) -> anyhow::Result<Option<Arc<dyn RevokeSigning>>> {
        let revoker = self.signing_revocation.as_ref().map(signing::open_revoker).transpose();
        revoker.context("VAULT_SIGNING_POLICIES")
    }

    pub(super) fn control(
        &self,
        database: Option<Database>,
        revoker: Option<Arc<dyn RevokeSigning>>,
    ) -> anyhow::Result<KillSwitchControl> {
        let cache = Cache::new(&self.redis_url, CacheOptions::default())?;
        KillSwitchControl::new(&self.settings, database, cache, revoker).map_err(anyhow::Error::msg)
    }

    /// The database, if it responds soon.
    pub(super) async fn database_soon(&self) -> Option<Database> {
        let url = self.database_url.as_ref()?;
        match tokio::time::timeout(CONNECT_LIMIT, connect(url)).await {
            Ok(Ok(database)) => Some(database),
            Ok(Err(error)) => {
                report(format_args!("PostgreSQL cannot be used: {error}"));
                None
            }
            Err(_) => {
                report("PostgreSQL does not respond");
                None
            }
        }
    }

    pub(super) async fn database(&self) -> anyhow::Result<Database> {
        let url = self.database_url.as_ref();
        let url = url.context("DATABASE_URL is not set: PostgreSQL has the second factors and the communities")?;
        Ok(connect(url).await?)
    }
}

impl EmergencyConfig {
    /// Reads the environment.
    ///
    /// # Errors
    /// The proxies cannot be written.
    pub(super) fn load() -> Result<Loaded<Self>, ConfigErrors> {
        let errors = match load(Source::environment(), CommandConfig::read) {
            Ok((config, fail_points)) => return Ok((Self { config, problems: None }, fail_points)),
            Err(errors) => errors,
        };
        let attempts: [&[&str]; 2] = [&[], &SIGNING];
        for further in attempts {
            let mut source = Source::environment();
            let invalid = errors.problems.iter().map(|problem| problem.key.as_str());
            for name in invalid.chain(further.iter().copied()) {
                source.take_prefixed(name);
            }
            if let Ok((config, fail_points)) = load(source, CommandConfig::read) {
                let problems = Some(errors);
                return Ok((Self { config, problems }, fail_points));
            }
        }
        Err(errors)
    }

    /// Whether the permissions to sign were to be revoked, and a problem prevents it.
    pub(super) fn lacks_revoker(&self) -> bool {
        let policies = || Source::environment().take_prefixed(variables::VAULT_SIGNING_POLICIES.name);
        self.problems.is_some()
            && !self.config.revokes_signing()
            && policies().values().any(|value| !value.trim().is_empty())
    }
}
