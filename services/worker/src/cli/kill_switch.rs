//! `arrakis-worker kill-switch on|off|status|drill`: emergencies.
//!
//! `on` needs the discord-proxies and nothing else: while PostgreSQL or Redis is unavailable it states so, and continues. `off` needs PostgreSQL,
//! and a code of the second factor of a user in `KILL_SWITCH_OPERATORS`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use arrakis_cache::{Cache, CacheOptions};
use arrakis_config::{Reader, Secret, SigningRevocation, variables};
use arrakis_db::{Actor, Database, GuildId, UserId};
use arrakis_kill_switch::{KillSwitchControl, KillSwitchSettings, KillSwitchStatus, Report, TurnOff};
use arrakis_security::kill_switch::{KillSwitchScope, KillSwitchState};
use arrakis_security::mfa::SecretCipher;
use arrakis_security::signing;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::database::{community_of, connect, database_url};
use super::output::{print, print_json, printable, report};
use super::with_config;

/// How long `on` waits for a connection to PostgreSQL. The proxies are written after that, and must be within five seconds.
const CONNECT_LIMIT: Duration = Duration::from_millis(1_000);

/// The subcommands of `kill-switch`.
#[derive(Debug, Subcommand)]
pub(super) enum KillSwitchTask {
    /// Stops every write to Discord, ends all sessions and revokes the permissions to sign, within five seconds
    ///
    /// Works while PostgreSQL or Redis is unavailable. Exit code 1: a step failed; the workers repeat it until it succeeds.
    On(On),
    /// Ends the kill switch, with a code of your second factor
    Off(Off),
    /// Prints the state in PostgreSQL, in Redis and at each discord-proxy; exit code 1 while it is on, a replica differs or does not respond, or
    /// what follows has not succeeded
    Status {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Freezes a test server, measures every step, and ends the freeze
    ///
    /// Exit code 1: a step failed, or took longer than five seconds.
    Drill(Drill),
}

#[derive(Debug, Args)]
pub(super) struct On {
    /// Why
    #[arg(long, value_name = "WHY")]
    reason: String,
    /// Who you are, for the audit log
    #[arg(long, value_name = "NAME")]
    by: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Off {
    /// Your Discord user id
    #[arg(long, value_name = "USER_ID")]
    user: UserId,
    /// Why
    #[arg(long, value_name = "WHY")]
    reason: String,
    /// Code of your second factor; without it, the command reads it from standard input
    #[arg(long, value_name = "CODE")]
    mfa: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Drill {
    /// Id of a Discord server for tests, which has a community
    #[arg(value_name = "SERVER_ID")]
    guild: GuildId,
    /// Who you are, for the audit log
    #[arg(long, value_name = "NAME")]
    by: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The configuration of every subcommand.
struct CommandConfig {
    settings: KillSwitchSettings,
    /// `None`: the permission to sign is not revoked.
    signing_revocation: Option<SigningRevocation>,
    /// `None`: the kill switch can be turned on, and not off.
    database_url: Option<Secret>,
    redis_url: Secret,
    cipher: Option<SecretCipher>,
}

impl CommandConfig {
    fn read(reader: &mut Reader) -> Option<Self> {
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

    /// With the credential of the worker at the proxies, for the write of a drill.
    fn read_for_drill(reader: &mut Reader) -> Option<(Self, Secret)> {
        let config = Self::read(reader);
        let credential = reader.secret(&variables::DISCORD_PROXY_CREDENTIAL);
        Some((config?, credential?))
    }

    fn control(&self, database: Option<Database>) -> anyhow::Result<KillSwitchControl> {
        let cache = Cache::new(&self.redis_url, CacheOptions::default())?;
        let revoker = self.signing_revocation.as_ref().map(signing::open_revoker).transpose();
        let revoker = revoker.context("VAULT_SIGNING_POLICIES")?;
        KillSwitchControl::new(&self.settings, database, cache, revoker).map_err(anyhow::Error::msg)
    }

    /// The database, if it responds soon.
    async fn database_soon(&self) -> Option<Database> {
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

    async fn database(&self) -> anyhow::Result<Database> {
        let url = self.database_url.as_ref();
        let url = url.context("DATABASE_URL is not set: PostgreSQL has the second factors and the communities")?;
        Ok(connect(url).await?)
    }
}

impl KillSwitchTask {
    pub(super) fn run(self) -> ExitCode {
        match self {
            Self::On(task) => with_config(CommandConfig::read, |config| task.run(config)),
            Self::Off(task) => with_config(CommandConfig::read, |config| task.run(config)),
            Self::Status { json } => with_config(CommandConfig::read, move |config: CommandConfig| async move {
                let control = config.control(config.database_soon().await)?;
                print_status(&control.status().await, json)
            }),
            Self::Drill(task) => with_config(CommandConfig::read_for_drill, |(config, credential)| {
                task.run(config, credential)
            }),
        }
    }
}

impl On {
    async fn run(self, config: CommandConfig) -> anyhow::Result<ExitCode> {
        let control = config.control(config.database_soon().await)?;
        let result = Box::pin(control.turn_on(Actor::Operator(self.by), &self.reason)).await;
        print_report(&result, self.json)
    }
}

impl Off {
    async fn run(self, config: CommandConfig) -> anyhow::Result<ExitCode> {
        let control = config.control(Some(config.database().await?))?;
        let code = match self.mfa {
            Some(code) => code,
            None => read_code()?,
        };
        let request = TurnOff {
            user: self.user,
            code: code.trim(),
            reason: &self.reason,
        };
        let result = Box::pin(control.turn_off(config.cipher.as_ref(), request)).await?;
        print_report(&result, self.json)
    }
}

impl Drill {
    async fn run(self, config: CommandConfig, credential: Secret) -> anyhow::Result<ExitCode> {
        let database = config.database().await?;
        let community = community_of(&database, self.guild).await?;
        let control = config.control(Some(database))?;
        let result = Box::pin(control.drill(community, self.guild, &credential, &self.by)).await?;
        print_report(&result, self.json)
    }
}

fn read_code() -> anyhow::Result<String> {
    report("Code of your second factor:");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("reading the code")?;
    Ok(line)
}

fn print_report(result: &Report, as_json: bool) -> anyhow::Result<ExitCode> {
    match as_json {
        true => print_json(result)?,
        // The text has lines of its own; only what others wrote is escaped.
        false => {
            for step in &result.steps {
                print(printable(&step.to_string()))?;
            }
        }
    }
    Ok(exit_code(result.is_complete()))
}

fn print_status(status: &KillSwitchStatus, as_json: bool) -> anyhow::Result<ExitCode> {
    let (is_on, is_consistent) = (status.is_on(), status.is_consistent());
    let mut places = vec![
        ("PostgreSQL".to_owned(), &status.database),
        ("Redis".to_owned(), &status.redis),
    ];
    for replica in &status.replicas {
        places.push((format!("discord-proxy {}", replica.address), &replica.state));
    }
    if as_json {
        let places: Vec<Value> = places.iter().map(|(name, state)| place_json(name, state)).collect();
        let pending = &status.pending;
        print_json(&json!({"is_on": is_on, "is_consistent": is_consistent, "pending": pending, "places": places}))?;
    } else {
        print(if is_on {
            "the kill switch is ON"
        } else {
            "the kill switch is off"
        })?;
        for (name, state) in places {
            print(format_args!("{name}: {}", printable(&describe(state))))?;
        }
        for pending in &status.pending {
            print(format_args!("pending: {pending}; the workers repeat it"))?;
        }
    }
    Ok(exit_code(!is_on && is_consistent && status.pending.is_empty()))
}

fn place_json(name: &str, state: &Result<KillSwitchState, String>) -> Value {
    match state {
        Ok(state) => json!({"place": name, "platform": state.get(KillSwitchScope::Platform), "frozen": state.frozen()}),
        Err(error) => json!({"place": name, "error": error}),
    }
}

fn describe(state: &Result<KillSwitchState, String>) -> String {
    let state = match state {
        Ok(state) => state,
        Err(error) => return format!("no state: {error}"),
    };
    let platform = match state.get(KillSwitchScope::Platform) {
        Some(switch) if switch.is_on => format!("on, by {} ({})", switch.by, switch.reason),
        Some(_) => "off".to_owned(),
        None => "never on".to_owned(),
    };
    format!("{platform}; {} communities are frozen", state.frozen())
}

fn exit_code(is_success: bool) -> ExitCode {
    if is_success {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
