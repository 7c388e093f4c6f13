//! The variables of the kill switch.

use arrakis_config::{Reader, Secret, Variable, is_loopback, variables};
use arrakis_security::kill_switch::{EndKey, MIN_CREDENTIAL};
use url::Url;

/// The addresses, credentials and users with which a service turns the kill switch on and off.
#[derive(Debug, Clone, Default)]
pub struct KillSwitchSettings {
    /// Addresses of the replicas of the discord-proxy, with the credential for their endpoints; `None`: they are not written directly.
    pub proxies: Option<(Vec<Url>, Secret)>,
    /// The previous credential (`KILL_SWITCH_CREDENTIAL_PREVIOUS`), while the credential is changed: an end that it proves still counts.
    pub previous: Option<Secret>,
    /// Ids of the Discord users who may turn it off.
    pub operators: Vec<u64>,
    /// URL of the webhook for notices.
    pub webhook: Option<Secret>,
}

impl KillSwitchSettings {
    /// Reads the variables; `None` if `reader` recorded an error.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let credential = read_credential(reader, &variables::KILL_SWITCH_CREDENTIAL);
        let previous = read_credential(reader, &variables::KILL_SWITCH_CREDENTIAL_PREVIOUS);
        let operators = match reader.optional::<String>(&variables::KILL_SWITCH_OPERATORS) {
            Some(Some(_)) => reader.list::<u64>(&variables::KILL_SWITCH_OPERATORS),
            Some(None) => Some(Vec::new()),
            None => None,
        };
        let webhook = read_webhook(reader);
        let proxies = match credential? {
            Some(credential) => Some((reader.proxy_urls(&["http"])?, credential)),
            None => None,
        };
        Some(Self {
            proxies,
            previous: previous?,
            operators: operators?,
            webhook: webhook?,
        })
    }

    /// The key that proves an end of the kill switch, and checks the proofs.
    #[must_use]
    pub fn end_key(&self) -> Option<EndKey> {
        let (_, credential) = self.proxies.as_ref()?;
        let key = EndKey::new(credential.expose());
        Some(match &self.previous {
            Some(previous) => key.with_previous(previous.expose()),
            None => key,
        })
    }

    /// As [`KillSwitchSettings::read`], for a command that turns the kill switch on or off: the credential is required.
    pub fn read_for_command(reader: &mut Reader) -> Option<Self> {
        let settings = Self::read(reader)?;
        if settings.proxies.is_none() {
            return reader.refuse(
                &variables::KILL_SWITCH_CREDENTIAL,
                "it is required: without it the kill switch cannot be turned on at the replicas of the discord-proxy",
            );
        }
        Some(settings)
    }
}

fn read_credential(reader: &mut Reader, variable: &Variable) -> Option<Option<Secret>> {
    match reader.optional::<String>(variable)? {
        Some(credential) if credential.len() < MIN_CREDENTIAL => reader.refuse(
            variable,
            format!("it has at least {MIN_CREDENTIAL} characters; `openssl rand -hex 32` generates one"),
        ),
        credential => Some(credential.map(Secret::new)),
    }
}

fn read_webhook(reader: &mut Reader) -> Option<Option<Secret>> {
    let variable = &variables::NOTIFY_WEBHOOK_URL;
    let Some(text) = reader.optional::<String>(variable)? else {
        return Some(None);
    };
    match Url::parse(&text) {
        Ok(url) if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) => {
            Some(Some(Secret::new(text)))
        }
        _ => reader.refuse(variable, "it must be a URL with https://, or http:// to this machine"),
    }
}

#[cfg(test)]
mod tests {
    use arrakis_config::{Service, Source};

    use super::*;

    fn load(pairs: &[(&str, &str)]) -> Result<KillSwitchSettings, String> {
        let source = Source::pairs(pairs.iter().copied());
        Reader::load(Service::Worker, source, KillSwitchSettings::read).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_required_of_a_service_that_serves() {
        let settings = load(&[]).unwrap();
        assert!(settings.proxies.is_none() && settings.operators.is_empty() && settings.webhook.is_none());
    }

    #[test]
    fn credential_needs_the_addresses_of_the_proxies() {
        let credential = ("KILL_SWITCH_CREDENTIAL", "0123456789abcdef");
        let error = load(&[credential]).unwrap_err();
        assert!(error.contains("DISCORD_PROXY_URL is not set"), "{error}");
        let settings = load(&[credential, ("DISCORD_PROXY_URL", "http://a:1,http://b:2")]).unwrap();
        assert_eq!(settings.proxies.unwrap().0.len(), 2);
        let source = Source::pairs([("DISCORD_PROXY_URL", "http://a:1")]);
        let error = Reader::load(Service::Worker, source, KillSwitchSettings::read_for_command).unwrap_err();
        assert!(error.to_string().contains("KILL_SWITCH_CREDENTIAL"), "{error}");
    }

    #[test]
    fn invalid_value_is_refused_without_its_secret() {
        for (name, value) in [
            ("KILL_SWITCH_CREDENTIAL", "SEKRET"),
            ("KILL_SWITCH_CREDENTIAL_PREVIOUS", "SEKRET"),
            ("KILL_SWITCH_OPERATORS", "stilgar"),
            ("NOTIFY_WEBHOOK_URL", "http://example.org/SEKRET"),
        ] {
            let error = load(&[(name, value)]).unwrap_err();
            assert!(error.contains(name) && !error.contains("SEKRET"), "{error}");
        }
    }
}
