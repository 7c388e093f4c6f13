//! Configuration from environment variables.

use std::net::SocketAddr;

use arrakis_broker::BrokerSettings;
use arrakis_config::{Reader, variables};

use crate::signature::PublicKey;

/// Configuration of the service.
#[derive(Debug, Clone)]
pub struct Config {
    /// Public key of the application, which checks Discord's signatures.
    pub public_key: PublicKey,
    /// Address for Discord's requests.
    pub listen: SocketAddr,
    /// Broker connection.
    pub broker: BrokerSettings,
}

impl Config {
    /// Reads the configuration. Invalid variables are reported to `reader`.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let public_key = reader.required::<PublicKey>(&variables::DISCORD_PUBLIC_KEY);
        let listen = reader.defaulted::<SocketAddr>(&variables::INTERACTIONS_ADDR);
        let broker = BrokerSettings::read(reader);
        Some(Self {
            public_key: public_key?,
            listen: listen?,
            broker: broker?,
        })
    }
}

#[cfg(test)]
mod tests {
    use arrakis_config::{Service, Source};

    use super::*;

    const KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    fn load(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let source = Source::pairs(pairs.iter().copied());
        Reader::load(Service::Interactions, source, Config::read).map_err(|error| error.to_string())
    }

    #[test]
    fn required_variables_suffice() {
        let config = load(&[("DISCORD_PUBLIC_KEY", KEY), ("AMQP_URL", "amqp://h/%2f")]).unwrap();
        assert_eq!(config.listen.port(), 8050);
    }

    #[test]
    fn every_invalid_variable_is_named() {
        let error = load(&[
            ("DISCORD_PUBLIC_KEY", &KEY[1..]),
            ("INTERACTIONS_ADDR", "8050"),
            ("INTERACTIONS_PORT", "8050"),
        ])
        .unwrap_err();
        for words in [
            "DISCORD_PUBLIC_KEY",
            "64 hexadecimal digits",
            "INTERACTIONS_ADDR=8050",
            "AMQP_URL is not set",
            "INTERACTIONS_PORT",
        ] {
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}
