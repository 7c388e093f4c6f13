//! What a command needs, made from the command line and the environment.
//!
//! Owns which wins: an option, then the environment, then what `init` wrote down. Reads the environment through
//! `arrakis-config`, where every variable is declared; nothing else in gaib does.

use std::collections::BTreeMap;
use std::path::PathBuf;

use arrakis_config::{Reader, Secret, Service, Source, variables};
use arrakis_iac::model::Snowflake;
use url::Url;

use crate::arguments::{GlobalArguments, VariableArguments};
use crate::error::{Failure, Result};

/// The environment, as far as gaib knows it.
#[derive(Clone, Debug)]
pub struct Environment {
    source: Source,
    variables: BTreeMap<String, String>,
}

/// How Discord is reached.
#[derive(Clone, Debug)]
pub enum Connection {
    /// Directly, with a token.
    Token {
        /// The bot's token.
        token: Secret,
        /// Base of REST, ending in `/api/v10`.
        api_base: Url,
    },
    /// Through the discord-proxy, which has the token and the rate limits that the platform shares.
    Proxy {
        /// Addresses of its replicas.
        replicas: Vec<Url>,
        /// gaib's credential there.
        credential: Secret,
    },
}

/// Values for a configuration's variables and flags, with the strongest last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// From the environment: `GAIB_VAR_name`.
    pub environment: BTreeMap<String, String>,
    /// Files with values, in the order given.
    pub files: Vec<PathBuf>,
    /// `--var name=value`.
    pub variables: BTreeMap<String, String>,
    /// `--flag name=bool`.
    pub flags: BTreeMap<String, bool>,
}

impl Environment {
    /// Of this process.
    pub fn of_process() -> Self {
        Self::from_source(Source::environment())
    }

    fn from_source(mut source: Source) -> Self {
        let variables = source.take_prefixed(variables::GAIB_VAR_PREFIX);
        Self { source, variables }
    }

    /// The proxy where `DISCORD_PROXY_URL` is set, else token and address.
    ///
    /// # Errors
    /// When there is no token, or a value cannot be used.
    pub fn connection(&self) -> Result<Connection> {
        self.read(|reader| {
            if reader.optional::<String>(&variables::DISCORD_PROXY_URL)?.is_some() {
                let replicas = proxy_replicas(reader);
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

    /// The host of `DISCORD_API_BASE`, with its port where it has one: which Discord a server's id belongs to. Behind a
    /// discord-proxy, too.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn discord(&self) -> Result<String> {
        self.read(|reader| {
            let base = reader.discord_api_base()?;
            let host = base.host_str().unwrap_or_default().to_owned();
            Some(base.port().map_or(host.clone(), |port| format!("{host}:{port}")))
        })
    }

    /// `DISCORD_API_BASE`. Behind a discord-proxy, too.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn api_base(&self) -> Result<Url> {
        self.read(Reader::discord_api_base)
    }

    /// The folder for records that are kept for a user: `XDG_STATE_HOME`, else `.local/state` in the home folder. `None`
    /// where there is no home folder either.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn state_home(&self) -> Result<Option<PathBuf>> {
        let named = self.read(|reader| reader.optional::<PathBuf>(&variables::XDG_STATE_HOME))?;
        // The XDG base directory specification: a relative path is to be ignored.
        let named = named.filter(|path| path.is_absolute());
        Ok(named.or_else(|| std::env::home_dir().map(|home| home.join(".local/state"))))
    }

    /// `DISCORD_GUILD_ID`.
    ///
    /// # Errors
    /// When it is no id.
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
    /// When it cannot be used.
    pub fn themes_dir(&self) -> Result<Option<PathBuf>> {
        self.read(|reader| reader.optional::<PathBuf>(&variables::THEMES_DIR))
    }

    /// Puts the values together that a configuration may use.
    ///
    /// # Errors
    /// When one is not `NAME=VALUE`.
    pub fn values(&self, arguments: &VariableArguments) -> Result<Values> {
        let mut flags = BTreeMap::new();
        for (name, value) in pairs("--flag", &arguments.flag)? {
            let value = match value.as_str() {
                "true" | "on" | "yes" => true,
                "false" | "off" | "no" => false,
                other => {
                    return Err(
                        Failure::new(format!("--flag {name}={other}: `{other}` is neither true nor false"))
                            .help(format!("write --flag {name}=true or --flag {name}=false")),
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
                    "take the token from https://discord.com/developers/applications (your application, Bot) and \
                     `export DISCORD_TOKEN=…`",
                ),
                false => failure.help("correct the variable, or unset it"),
            }
        })
    }
}

fn proxy_replicas(reader: &mut Reader) -> Option<Vec<Url>> {
    reader.proxy_urls(&["http", "https"])
}

/// Reads the id of a server that `option` names.
///
/// # Errors
/// When it is no id.
pub fn guild_id(option: &str, text: &str) -> Result<Snowflake> {
    Snowflake::written(text).map_err(|error| {
        Failure::new(format!("{option}: {error}"))
            .help("copy it in Discord: right-click the server's name, Copy Server ID (Developer Mode)")
    })
}

fn pairs(option: &str, given: &[String]) -> Result<BTreeMap<String, String>> {
    let mut pairs = BTreeMap::new();
    for text in given {
        match text.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => pairs.insert(name.trim().to_owned(), value.to_owned()),
            _ => {
                return Err(Failure::new(format!("{option} {text}: not NAME=VALUE"))
                    .help(format!("write it as in {option} community_name=\"Sietch Tabr\"")));
            }
        };
    }
    Ok(pairs)
}

/// Goes to `--chdir`.
///
/// # Errors
/// When there is no such directory.
pub fn enter_directory(global: &GlobalArguments) -> Result<()> {
    let Some(directory) = &global.chdir else {
        return Ok(());
    };
    std::env::set_current_dir(directory).map_err(|error| {
        Failure::new(format!("could not work in {}: {error}", directory.display()))
            .help("--chdir names a folder that exists and can be entered")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::from_source(Source::pairs(pairs.iter().copied()))
    }

    #[test]
    fn the_older_name_of_the_token_is_accepted_and_discord_is_the_default() {
        let connection = environment(&[("DISCORD_BOT_TOKEN", "t")]).connection().unwrap();
        let Connection::Token { token, api_base } = connection else {
            panic!("{connection:?}");
        };
        assert_eq!(token.expose(), "t");
        assert_eq!(api_base.as_str(), "https://discord.com/api/v10");
    }

    #[test]
    fn proxy_needs_no_token_and_a_credential() {
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
    fn api_base_is_checked_by_the_shared_reader() {
        for (given, word) in [
            ("https://discord.com/api/v9", "https://discord.com/api/v10"),
            ("http://discord.com/api/v10", "https"),
        ] {
            let refused = environment(&[("DISCORD_TOKEN", "t"), ("DISCORD_API_BASE", given)]);
            let refused = refused.connection().unwrap_err();
            assert!(refused.summary().contains(word), "{given}: {refused:?}");
        }
    }

    #[test]
    fn records_are_kept_in_the_state_home_and_told_apart_by_discord() {
        let named = environment(&[("XDG_STATE_HOME", "/srv/state")]);
        assert_eq!(named.state_home().unwrap(), Some(PathBuf::from("/srv/state")));
        let relative = environment(&[("XDG_STATE_HOME", "state")]).state_home().unwrap();
        assert!(relative.is_none_or(|path| path.is_absolute()));
        assert_eq!(environment(&[]).discord().unwrap(), "discord.com");
        let emulator = environment(&[("DISCORD_API_BASE", "http://127.0.0.1:4010/api/v10")]);
        assert_eq!(emulator.discord().unwrap(), "127.0.0.1:4010");
    }

    #[test]
    fn a_missing_token_says_where_to_get_one() {
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
    fn values_come_from_the_environment_and_the_command_line() {
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
    fn a_server_is_named_by_a_number() {
        let id = guild_id("--guild", "1200000000000000000").unwrap();
        assert_eq!(id.get(), 1_200_000_000_000_000_000);
        for wrong in ["Sietch", "0", "1234567890"] {
            let refused = guild_id("--guild", wrong).unwrap_err();
            assert!(refused.summary().contains("17 to 20 digits"), "{refused:?}");
        }
    }
}
