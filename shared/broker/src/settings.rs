//! What the environment says of the broker.

use std::path::PathBuf;
use std::str::FromStr;

use arrakis_config::{Reader, Secret, variables};

/// How interactions are ordered (`AMQP_PRIORITIES`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Priorities {
    /// One classic queue with ten levels.
    #[default]
    Classic,
    /// One quorum queue per class.
    Classes,
}

impl FromStr for Priorities {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "classic" => Ok(Self::Classic),
            "classes" => Ok(Self::Classes),
            _ => Err("it is classic or classes"),
        }
    }
}

/// Where the broker is and how to reach it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `amqp://` or `amqps://`.
    pub url: Secret,
    /// PEM with the authority that signed the broker's certificate; its text, read at start.
    pub ca: Option<String>,
    /// How interactions are ordered.
    pub priorities: Priorities,
}

impl Settings {
    /// Plain settings for a URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Secret::new(url),
            ca: None,
            priorities: Priorities::Classic,
        }
    }

    /// Reads `AMQP_URL`, `AMQP_CA_FILE` and `AMQP_PRIORITIES`.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let url = reader.secret_url(&variables::AMQP_URL, &["amqp", "amqps"]);
        let url = url.and_then(|url| match url.expose().parse::<lapin::uri::AMQPUri>() {
            Ok(_) => Some(url),
            Err(why) => reader.refuse(&variables::AMQP_URL, format!("not an AMQP address: {why}")),
        });
        let ca = reader.optional::<PathBuf>(&variables::AMQP_CA_FILE);
        let ca = match ca {
            Some(Some(path)) => match std::fs::read_to_string(&path) {
                Ok(pem) if pem.contains("-----BEGIN CERTIFICATE-----") => Some(Some(pem)),
                Ok(_) => reader.refuse(&variables::AMQP_CA_FILE, "the file holds no PEM certificate"),
                Err(why) => reader.refuse(&variables::AMQP_CA_FILE, format!("cannot be read: {why}")),
            },
            Some(None) => Some(None),
            None => None,
        };
        let priorities = reader.defaulted(&variables::AMQP_PRIORITIES);
        Some(Self {
            url: url?,
            ca: ca?,
            priorities: priorities?,
        })
    }
}

#[cfg(test)]
mod tests {
    use arrakis_config::{Service, Source};

    use super::*;

    fn load(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        Reader::load(Service::Ingestor, Source::pairs(pairs.iter().copied()), Settings::read)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_default_is_one_classic_queue() {
        let settings = load(&[("AMQP_URL", "amqp://u:p@h/%2f")]).unwrap();
        assert_eq!(settings.priorities, Priorities::Classic);
        assert_eq!(format!("{:?}", settings.url), "[redacted]");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = load(&[("AMQP_URL", "amqp://h"), ("AMQP_PRIORITIES", "quorum")]).unwrap_err();
        assert!(
            error.contains("AMQP_PRIORITIES=quorum") && error.contains("classic or classes"),
            "{error}"
        );
        let error = load(&[("AMQP_URL", "amqps://h"), ("AMQP_CA_FILE", "/nowhere.pem")]).unwrap_err();
        assert!(
            error.contains("AMQP_CA_FILE=/nowhere.pem") && error.contains("cannot be read"),
            "{error}"
        );
        let error = load(&[("AMQP_URL", "amqps://h"), ("AMQP_CA_FILE", "/dev/null")]).unwrap_err();
        assert!(error.contains("no PEM certificate"), "{error}");
    }
}
