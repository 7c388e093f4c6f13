//! The api of the platform: its address and the key for it.

use arrakis_config::{Secret, is_loopback, variables};
use url::Url;

use super::Environment;
use crate::arguments::platform::PlatformArguments;
use crate::error::{Failure, Result};

/// How to get an API key for gaib.
pub const API_KEY_HELP: &str = "an operator of the platform creates a key with `arrakis-worker api-key create --guild ID --scope \
                                servers:read,servers:write --name gaib --by NAME`; set ARRAKIS_API_KEY to it, and \
                                ARRAKIS_API_URL to the address of the api";

/// The api of the platform, and the key for it.
#[derive(Clone, Debug)]
pub struct PlatformAddress {
    /// Its address.
    pub base: Url,
    /// The API key.
    pub key: Secret,
}

impl Environment {
    /// The api of the platform: the options, else `ARRAKIS_API_URL` and `ARRAKIS_API_KEY`. `None` where neither is given.
    ///
    /// # Errors
    /// When one of the two is missing, or the address is invalid.
    pub fn platform(&self, arguments: &PlatformArguments) -> Result<Option<PlatformAddress>> {
        let url = match &arguments.api_url {
            Some(url) => Some((url.clone(), "--api-url")),
            None => {
                let url = self.read(|reader| reader.optional::<String>(&variables::ARRAKIS_API_URL))?;
                url.map(|url| (url, variables::ARRAKIS_API_URL.name))
            }
        };
        let key = match &arguments.api_key {
            Some(key) => Some(key.clone()),
            None => self.read(|reader| reader.optional::<String>(&variables::ARRAKIS_API_KEY))?,
        };
        let missing = |what: &str| Failure::new(format!("{what} is not set")).help(API_KEY_HELP);
        match (url, key) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(missing("ARRAKIS_API_URL")),
            (Some(_), None) => Err(missing("ARRAKIS_API_KEY")),
            (Some((url, name)), Some(key)) => {
                let base = parse(&url).map_err(|why| {
                    Failure::new(format!("{name}: `{url}` is not an address of the api: {why}"))
                        .help("write the address of the platform's api, for example https://api.example.org")
                })?;
                Ok(Some(PlatformAddress {
                    base,
                    key: Secret::new(key),
                }))
            }
        }
    }
}

/// The address of the platform's api. The API key is sent there.
fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err("http:// would send the API key in clear text; use https://".to_owned()),
        _ => return Err("it must begin with https://, or with http:// for an address of this machine".to_owned()),
    }
    let has_login = !url.username().is_empty() || url.password().is_some();
    if has_login || url.query().is_some() || url.fragment().is_some() {
        return Err("it must have no login, no query and no fragment".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use arrakis_config::Source;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::from_source(Source::pairs(pairs.iter().copied()))
    }

    #[test]
    fn platform_has_an_address_and_a_key_and_options_precede_variables() {
        let none = PlatformArguments::default();
        assert!(environment(&[]).platform(&none).unwrap().is_none());
        let both = [
            ("ARRAKIS_API_URL", "https://api.example.org/x"),
            ("ARRAKIS_API_KEY", "k"),
        ];
        let given = PlatformArguments {
            api_url: Some("http://127.0.0.1:8080".to_owned()),
            api_key: None,
        };
        let address = environment(&both).platform(&given).unwrap().unwrap();
        assert_eq!(
            (address.base.as_str(), address.key.expose()),
            ("http://127.0.0.1:8080/", "k")
        );
        for one in both {
            let refused = environment(&[one]).platform(&none).unwrap_err();
            assert!(refused.summary().ends_with("is not set"), "{refused:?}");
            let help = refused.what_to_do().unwrap();
            assert!(help.contains("api-key create"), "{help}");
        }
    }

    #[test]
    fn address_that_is_not_safe_is_refused() {
        for (url, why) in [
            ("http://api.example.org", "clear text"),
            ("ftp://api.example.org", "https://"),
            ("https://user:x@api.example.org", "no login"),
            ("https://api.example.org?x=y", "no query"),
            ("api", "relative URL"),
        ] {
            let given = PlatformArguments {
                api_url: Some(url.to_owned()),
                api_key: Some("k".to_owned()),
            };
            let refused = environment(&[]).platform(&given).unwrap_err();
            assert!(refused.summary().contains(why), "{url}: {refused:?}");
        }
    }
}
