//! Settings from the command line and the environment.
//!
//! An option overrides an environment variable, which overrides `.gaib/config.yaml`. Only this module reads the environment,
//! through `arrakis-config`, where every variable is declared.

mod backups;
mod platform;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use arrakis_config::{Reader, Secret, Service, Source, is_loopback, variables};
use arrakis_iac::model::Snowflake;
use arrakis_iac_apply::is_of_discord;
use url::Url;

use crate::arguments::{GlobalArguments, GuildArgument, VariableArguments};
use crate::backend::{AwsEnvironment, BackendSettings};
use crate::error::{Failure, Result};

pub use self::platform::{API_KEY_HELP, PlatformAddress};

/// The environment variables of gaib.
#[derive(Clone, Debug)]
pub struct Environment {
    source: Source,
    variables: BTreeMap<String, String>,
}

/// The way in which requests reach Discord.
#[derive(Clone, Debug)]
pub enum Connection {
    /// Directly, with a token.
    Token {
        /// The bot's token.
        token: Secret,
        /// Base URL of Discord's REST API, which ends in `/api/v10`.
        api_base: Url,
    },
    /// Through a discord-proxy, which has the token and shares the rate limits among its callers.
    Proxy {
        /// Base URLs of its replicas.
        replicas: Vec<Url>,
        /// The credential of gaib at the proxy.
        credential: Secret,
    },
}

/// Values of a configuration's variables and feature flags, in ascending order of precedence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// From the environment: `GAIB_VAR_name`.
    pub environment: BTreeMap<String, String>,
    /// Files with values, in the order of the command line.
    pub files: Vec<PathBuf>,
    /// `--var name=value`.
    pub variables: BTreeMap<String, String>,
    /// `--flag name=bool`.
    pub flags: BTreeMap<String, bool>,
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Self::from_source(Source::environment())
    }

    fn from_source(mut source: Source) -> Self {
        let variables = source.take_prefixed(variables::GAIB_VAR_PREFIX);
        Self { source, variables }
    }

    /// The proxy where `DISCORD_PROXY_URL` is set, else token and base URL.
    ///
    /// # Errors
    /// When a required variable is not set, or a value is invalid.
    pub fn connection(&self) -> Result<Connection> {
        self.read(|reader| {
            if reader.optional::<String>(&variables::DISCORD_PROXY_URL)?.is_some() {
                let replicas = reader.proxy_urls(&["http", "https"]);
                let credential = reader.secret(&variables::DISCORD_PROXY_CREDENTIAL);
                return Some(Connection::Proxy {
                    replicas: replicas?,
                    credential: credential?,
                });
            }
            let token = reader.secret(&variables::DISCORD_TOKEN);
            let api_base = reader.discord_api_base();
            Some(Connection::Token {
                token: token?,
                api_base: api_base?,
            })
        })
    }

    /// The host of `DISCORD_API_BASE`, with its port where it has one. It identifies the Discord to which a server's id
    /// belongs, also when requests go through a discord-proxy. All names of Discord are `discord.com`, those of this machine `127.0.0.1`: one
    /// server has one lock and one marker.
    ///
    /// # Errors
    /// When the value is invalid.
    pub fn discord(&self) -> Result<String> {
        self.read(|reader| {
            let base = reader.discord_api_base()?;
            let host = canonical_host(&base);
            Some(match base.port() {
                Some(port) => format!("{host}:{port}"),
                None => host,
            })
        })
    }

    /// `DISCORD_API_BASE`, also when requests go through a discord-proxy.
    ///
    /// # Errors
    /// When the value is invalid.
    pub fn api_base(&self) -> Result<Url> {
        self.read(Reader::discord_api_base)
    }

    /// `DISCORD_API_BASE`, where gaib sends its requests there and it is not Discord's own address.
    #[must_use]
    pub fn other_api_base(&self) -> Option<Url> {
        match self.connection() {
            Ok(Connection::Token { api_base, .. }) => Some(api_base).filter(|base| !is_of_discord(base)),
            _ => None,
        }
    }

    /// The folder for a user's records: `XDG_STATE_HOME`, else `.local/state` in the home folder. `None` where there is no home
    /// folder either.
    ///
    /// # Errors
    /// When the value is invalid.
    pub fn state_home(&self) -> Result<Option<PathBuf>> {
        let named = self.read(|reader| reader.optional::<PathBuf>(&variables::XDG_STATE_HOME))?;
        // A relative path is ignored: <https://specifications.freedesktop.org/basedir-spec/latest/>.
        let named = named.filter(|path| path.is_absolute());
        Ok(named.or_else(|| std::env::home_dir().map(|home| home.join(".local/state"))))
    }

    /// The backend of a folder: `GAIB_BACKEND`, else `configured` (that of `.gaib/config.yaml`). `GAIB_LOCK_TABLE` replaces the
    /// table of a bucket.
    ///
    /// # Errors
    /// When a value is invalid.
    pub fn backend(&self, configured: BackendSettings) -> Result<BackendSettings> {
        self.read(|reader| {
            let named = reader.optional::<BackendSettings>(&variables::GAIB_BACKEND)?;
            let table = reader.optional::<String>(&variables::GAIB_LOCK_TABLE)?;
            let mut backend = named.unwrap_or(configured);
            if let BackendSettings::S3(s3) = &mut backend {
                s3.lock_table = table.or_else(|| s3.lock_table.take());
            }
            Some(backend)
        })
    }

    /// Endpoint, region and profile for a backend in S3.
    ///
    /// # Errors
    /// When a value is invalid.
    pub fn aws(&self) -> Result<AwsEnvironment> {
        self.read(|reader| {
            let endpoint = reader.optional::<String>(&variables::AWS_ENDPOINT_URL)?;
            if endpoint.is_some() {
                reader.url(&variables::AWS_ENDPOINT_URL, &["https", "http"])?;
            }
            Some(AwsEnvironment {
                endpoint,
                region: reader.optional(&variables::AWS_REGION)?,
                profile: reader.optional(&variables::AWS_PROFILE)?,
            })
        })
    }

    /// `DISCORD_GUILD_ID`.
    ///
    /// # Errors
    /// When the value is not an id.
    pub fn guild(&self) -> Result<Option<Snowflake>> {
        self.read(|reader| {
            let Some(text) = reader.optional::<String>(&variables::DISCORD_GUILD_ID)? else {
                return Some(None);
            };
            match Snowflake::written(&text) {
                Ok(id) => Some(Some(id)),
                Err(error) => reader.refuse(&variables::DISCORD_GUILD_ID, error.to_string()),
            }
        })
    }

    /// `THEMES_DIR`.
    ///
    /// # Errors
    /// When the value is invalid.
    pub fn themes_dir(&self) -> Result<Option<PathBuf>> {
        self.read(|reader| reader.optional::<PathBuf>(&variables::THEMES_DIR))
    }

    /// The values of variables and feature flags, from the environment and the command line.
    ///
    /// # Errors
    /// When an argument is not `NAME=VALUE`, or a flag's value is not a boolean.
    pub fn values(&self, arguments: &VariableArguments) -> Result<Values> {
        let mut flags = BTreeMap::new();
        for (name, value) in pairs("--flag", &arguments.flag)? {
            let value = match value.as_str() {
                "true" | "on" | "yes" => true,
                "false" | "off" | "no" => false,
                other => {
                    return Err(
                        Failure::new(format!("--flag {name}={other}: `{other}` is neither true nor false"))
                            .help(format!("use --flag {name}=true or --flag {name}=false")),
                    );
                }
            };
            flags.insert(name, value);
        }
        Ok(Values {
            environment: self.variables.clone(),
            files: arguments.var_file.clone(),
            variables: pairs("--var", &arguments.var)?,
            flags,
        })
    }

    fn read<T>(&self, read: impl FnOnce(&mut Reader) -> Option<T>) -> Result<T> {
        Reader::load(Service::Gaib, self.source.clone(), read).map_err(|errors| {
            let missing_token = errors
                .problems
                .iter()
                .any(|problem| problem.key == variables::DISCORD_TOKEN.name);
            let failure = Failure::new(&errors);
            match missing_token {
                true => failure.help(
                    "copy the token from https://discord.com/developers/applications (your application, Bot) and `export \
                     DISCORD_TOKEN=…`",
                ),
                false => failure.help("correct the variable, or unset it"),
            }
        })
    }
}

/// The value of `--guild`.
///
/// # Errors
/// When it is not an id.
pub fn guild_option(argument: &GuildArgument) -> Result<Option<Snowflake>> {
    let id = |text: &String| {
        Snowflake::written(text).map_err(|error| {
            Failure::new(format!("--guild: {error}"))
                .help("copy it in Discord: right-click the server's name, Copy Server ID (Developer Mode)")
        })
    };
    argument.guild.as_ref().map(id).transpose()
}

fn pairs(option: &str, given: &[String]) -> Result<BTreeMap<String, String>> {
    let mut pairs = BTreeMap::new();
    for text in given {
        match text.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => pairs.insert(name.trim().to_owned(), value.to_owned()),
            _ => {
                return Err(Failure::new(format!("{option} {text}: not NAME=VALUE")).help(format!(
                    "use NAME=VALUE, for example {option} community_name=\"Sietch Tabr\""
                )));
            }
        };
    }
    Ok(pairs)
}

/// The host of an address, the same for all names of one Discord.
fn canonical_host(base: &Url) -> String {
    if is_of_discord(base) {
        return "discord.com".to_owned();
    }
    match is_loopback(base) {
        true => Ipv4Addr::LOCALHOST.to_string(),
        false => base.host_str().unwrap_or_default().to_owned(),
    }
}

/// Changes the current directory to `--chdir`.
///
/// # Errors
/// When the directory does not exist or cannot be entered.
pub fn enter_directory(global: &GlobalArguments) -> Result<()> {
    let Some(directory) = &global.chdir else {
        return Ok(());
    };
    std::env::set_current_dir(directory).map_err(|error| {
        Failure::new(format!(
            "could not change to the directory {}: {error}",
            directory.display()
        ))
        .help("--chdir takes an existing directory that this user can enter")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::from_source(Source::pairs(pairs.iter().copied()))
    }

    #[test]
    fn discord_bot_token_is_accepted_and_the_default_base_url_is_discord() {
        let connection = environment(&[("DISCORD_BOT_TOKEN", "t")]).connection().unwrap();
        let Connection::Token { token, api_base } = connection else {
            panic!("{connection:?}");
        };
        assert_eq!(token.expose(), "t");
        assert_eq!(api_base.as_str(), "https://discord.com/api/v10");
    }

    #[test]
    fn proxy_requires_a_credential_and_no_token() {
        let urls = ("DISCORD_PROXY_URL", "http://10.0.0.1:8090, http://10.0.0.2:8090");
        let connection = environment(&[urls, ("DISCORD_PROXY_CREDENTIAL", "c")])
            .connection()
            .unwrap();
        let Connection::Proxy { replicas, credential } = connection else {
            panic!("{connection:?}");
        };
        assert_eq!((replicas.len(), credential.expose()), (2, "c"));
        let missing = environment(&[urls]).connection().unwrap_err();
        assert!(
            missing.summary().contains("DISCORD_PROXY_CREDENTIAL is not set"),
            "{missing:?}"
        );
        let wrong = environment(&[("DISCORD_PROXY_URL", "ftp://x"), ("DISCORD_PROXY_CREDENTIAL", "c")]);
        assert!(wrong.connection().unwrap_err().summary().contains("http://"));
    }

    #[test]
    fn invalid_api_base_is_refused() {
        for (given, expected) in [
            ("https://discord.com/api/v9", "https://discord.com/api/v10"),
            ("http://discord.com/api/v10", "https"),
        ] {
            let refused = environment(&[("DISCORD_TOKEN", "t"), ("DISCORD_API_BASE", given)]);
            let refused = refused.connection().unwrap_err();
            assert!(refused.summary().contains(expected), "{given}: {refused:?}");
        }
    }

    #[test]
    fn state_home_defaults_to_the_home_folder_and_discord_is_host_and_port() {
        let named = environment(&[("XDG_STATE_HOME", "/srv/state")]);
        assert_eq!(named.state_home().unwrap(), Some(PathBuf::from("/srv/state")));
        let relative = environment(&[("XDG_STATE_HOME", "state")]).state_home().unwrap();
        assert!(relative.is_none_or(|path| path.is_absolute()));
        assert_eq!(environment(&[]).discord().unwrap(), "discord.com");
        let emulator = environment(&[("DISCORD_API_BASE", "http://127.0.0.1:4010/api/v10")]);
        assert_eq!(emulator.discord().unwrap(), "127.0.0.1:4010");
        for (base, discord) in [
            ("https://canary.discord.com/api/v10", "discord.com"),
            ("https://ptb.discord.com/api/v10", "discord.com"),
            ("https://discordapp.com:443/api/v10", "discord.com"),
            ("https://notdiscord.com/api/v10", "notdiscord.com"),
            ("http://localhost:4010/api/v10", "127.0.0.1:4010"),
            ("http://[::1]:4010/api/v10", "127.0.0.1:4010"),
        ] {
            let environment = environment(&[("DISCORD_API_BASE", base)]);
            assert_eq!(environment.discord().unwrap(), discord, "{base}");
        }
        let token = ("DISCORD_TOKEN", "t");
        assert_eq!(environment(&[token]).other_api_base(), None);
        let emulator = environment(&[token, ("DISCORD_API_BASE", "http://127.0.0.1:4010/api/v10")]);
        assert_eq!(
            emulator.other_api_base().unwrap().as_str(),
            "http://127.0.0.1:4010/api/v10"
        );
    }

    #[test]
    fn missing_token_is_refused_with_the_page_that_shows_it() {
        let failure = environment(&[]).connection().unwrap_err();
        assert!(
            failure.summary().contains("DISCORD_TOKEN is not set"),
            "{}",
            failure.summary()
        );
        assert!(
            failure
                .what_to_do()
                .is_some_and(|text| text.contains("developers/applications"))
        );
    }

    #[test]
    fn values_are_read_from_the_environment_and_the_command_line() {
        let arguments = VariableArguments {
            var: vec!["name=a=b".to_owned()],
            flag: vec!["enable_voice=off".to_owned()],
            ..VariableArguments::default()
        };
        let values = environment(&[("GAIB_VAR_color", "#FFFFFF")])
            .values(&arguments)
            .unwrap();
        assert_eq!(values.variables["name"], "a=b");
        assert_eq!(values.environment["color"], "#FFFFFF");
        assert!(!values.flags["enable_voice"]);
        let broken = VariableArguments {
            var: vec!["name".to_owned()],
            ..VariableArguments::default()
        };
        assert!(
            environment(&[])
                .values(&broken)
                .unwrap_err()
                .summary()
                .contains("not NAME=VALUE")
        );
    }

    #[test]
    fn backend_of_the_environment_replaces_the_configured_one() {
        let configured: BackendSettings = "s3://states/gaib".parse().unwrap();
        let of = |pairs: &[(&str, &str)]| environment(pairs).backend(configured.clone());
        assert_eq!(of(&[]).unwrap(), configured);
        assert_eq!(of(&[("GAIB_BACKEND", "local")]).unwrap(), BackendSettings::Local);
        let Ok(BackendSettings::S3(s3)) = of(&[("GAIB_LOCK_TABLE", "locks")]) else {
            panic!("the backend is a bucket");
        };
        assert_eq!(
            (s3.bucket.as_str(), s3.lock_table.as_deref()),
            ("states", Some("locks"))
        );
        let refused = of(&[("GAIB_BACKEND", "https://states")]).unwrap_err();
        assert!(refused.summary().contains("s3://BUCKET/PREFIX"), "{refused:?}");
    }

    #[test]
    fn guild_option_that_is_not_an_id_is_refused() {
        let option = |text: &str| {
            guild_option(&GuildArgument {
                guild: Some(text.to_owned()),
            })
        };
        let id = option("1200000000000000000").unwrap();
        assert_eq!(id.map(Snowflake::get), Some(1_200_000_000_000_000_000));
        for wrong in ["Sietch", "0", "1234567890"] {
            let refused = option(wrong).unwrap_err();
            assert!(refused.summary().contains("17 to 20 digits"), "{refused:?}");
        }
    }
}
