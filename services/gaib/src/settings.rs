//! What a command needs, made from the command line and the environment.
//!
//! Owns which wins: an option, then the environment, then what `init` wrote down. Reads the environment through
//! `arrakis-config`, where every variable is declared; nothing else in gaib does.

use std::collections::BTreeMap;
use std::path::PathBuf;

use arrakis_config::{Reader, Secret, Service, Source, variables};
use url::Url;

use crate::arguments::{GlobalArguments, VariableArguments};
use crate::error::{Failure, Result};

/// The environment, as far as gaib knows it.
#[derive(Clone, Debug)]
pub struct Environment {
    source: Source,
    variables: BTreeMap<String, String>,
}

/// What it takes to speak to Discord.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The bot's token.
    pub token: Secret,
    /// Base of REST, ending in `/api/v10`.
    pub api_base: Url,
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
        let variables = source.take_family(variables::GAIB_VAR_PREFIX);
        Self { source, variables }
    }

    /// Token and address.
    ///
    /// # Errors
    /// When there is no token, or a value cannot be used.
    pub fn connection(&self) -> Result<Connection> {
        self.read(|reader| {
            let token = reader.secret(&variables::DISCORD_TOKEN);
            let api_base = reader.url(&variables::DISCORD_API_BASE, &["http", "https"]);
            Some(Connection {
                token: token?,
                api_base: api_base?,
            })
        })
    }

    /// `DISCORD_GUILD_ID`.
    ///
    /// # Errors
    /// When it is no id.
    pub fn guild(&self) -> Result<Option<u64>> {
        self.read(|reader| {
            let Some(text) = reader.optional::<String>(&variables::DISCORD_GUILD_ID)? else {
                return Some(None);
            };
            match text.parse::<u64>() {
                Ok(id) if id > 0 => Some(Some(id)),
                _ => reader.refuse(
                    &variables::DISCORD_GUILD_ID,
                    "a server's id is a number of 17 to 20 digits",
                ),
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

/// Reads `--guild`.
///
/// # Errors
/// When it is no id.
pub fn guild_id(text: &str) -> Result<u64> {
    text.parse::<u64>().ok().filter(|id| *id > 0).ok_or_else(|| {
        Failure::new(format!("--guild {text}: not a server's id"))
            .help("an id is a number of 17 to 20 digits: in Discord, right-click the server's name, Copy Server ID (Developer Mode)")
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
    std::env::set_current_dir(directory)
        .map_err(|error| Failure::new(format!("could not work in {}: {error}", directory.display())))
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
        assert_eq!(connection.token.expose(), "t");
        assert_eq!(connection.api_base.as_str(), "https://discord.com/api/v10");
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
        assert_eq!(guild_id("1200000000000000000").unwrap(), 1_200_000_000_000_000_000);
        assert!(guild_id("Sietch").is_err() && guild_id("0").is_err());
    }
}
