//! Environment variables of the broker connection.

use std::path::PathBuf;
use std::str::FromStr;

use arrakis_config::{Reader, Secret, variables};

/// Order of interactions in the broker (`AMQP_PRIORITIES`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Priorities {
    /// One classic queue with ten priorities.
    #[default]
    Classic,
    /// One quorum queue for each class of interactions (command, autocomplete, component), without priorities.
    Classes,
}

impl FromStr for Priorities {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "classic" => Ok(Self::Classic),
            "classes" => Ok(Self::Classes),
            _ => Err("expected classic or classes"),
        }
    }
}

/// Address of the broker and how to connect to it.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// `amqp://` or `amqps://`.
    pub url: Secret,
    /// Certificate of the authority that signed the broker's certificate, as PEM text. `None` uses the system's authorities.
    pub ca_pem: Option<String>,
    /// Order of interactions.
    pub priorities: Priorities,
}

impl BrokerSettings {
    /// Settings for a URL, without a certificate of an authority and with [`Priorities::Classic`].
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Secret::new(url),
            ca_pem: None,
            priorities: Priorities::Classic,
        }
    }

    /// Reads `AMQP_URL`, `AMQP_CA_FILE` and `AMQP_PRIORITIES`.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let url = reader.secret_url(&variables::AMQP_URL, &["amqp", "amqps"]);
        let url = url.and_then(|url| match url.expose().parse::<lapin::uri::AMQPUri>() {
            Ok(_) => Some(url),
            Err(why) => reader.refuse(&variables::AMQP_URL, format!("not an AMQP URL: {why}")),
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
            ca_pem: ca?,
            priorities: priorities?,
        })
    }
}

#[cfg(test)]
mod tests {
    use arrakis_config::{Service, Source};

    use super::*;

    fn load(pairs: &[(&str, &str)]) -> Result<BrokerSettings, String> {
        Reader::load(
            Service::Ingestor,
            Source::pairs(pairs.iter().copied()),
            BrokerSettings::read,
        )
        .map_err(|error| error.to_string())
    }

    #[test]
    fn priorities_are_classic_by_default() {
        let settings = load(&[("AMQP_URL", "amqp://u:p@h/%2f")]).unwrap();
        assert_eq!(settings.priorities, Priorities::Classic);
        assert_eq!(format!("{:?}", settings.url), "[redacted]");
    }

    #[test]
    fn invalid_variables_are_named() {
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
