//! The address of one replica of the discord-proxy, checked: every caller of the proxy reads it here.

use std::fmt;

use url::Url;

/// Why an address of a replica is refused. No text of it holds a part of the address: that may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadProxyUrl {
    /// Not a URL, or without a host.
    Malformed,
    /// Another scheme than callers use.
    Scheme,
    /// It names a user or a password.
    Credentials,
    /// A path, a query or a fragment.
    Path,
}

impl fmt::Display for BadProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a URL with a host; a replica is given as http://host:port",
            Self::Scheme => "a replica is reached inside the private network, by http://host:port",
            Self::Credentials => {
                "it holds a user name or a password, which the proxy does not read; give http://host:port here and the credential in \
                 DISCORD_PROXY_CREDENTIAL"
            }
            Self::Path => {
                "it has a path, a query or a fragment; give http://host:port alone, since the caller adds the path of each call"
            }
        })
    }
}

impl std::error::Error for BadProxyUrl {}

/// Reads and checks one address of `DISCORD_PROXY_URL`, with one of these schemes.
///
/// # Errors
/// What is wrong.
///
/// ```
/// use arrakis_config::proxy_url;
/// assert!(proxy_url("http://10.0.0.1:8090", &["http"]).is_ok());
/// assert!(proxy_url("http://10.0.0.1:8090/api/v10", &["http"]).is_err());
/// ```
pub fn proxy_url(text: &str, schemes: &[&str]) -> Result<Url, BadProxyUrl> {
    let url = Url::parse(text).map_err(|_| BadProxyUrl::Malformed)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BadProxyUrl::Credentials);
    }
    if !schemes.contains(&url.scheme()) {
        return Err(BadProxyUrl::Scheme);
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(BadProxyUrl::Malformed);
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(BadProxyUrl::Path);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_accepted() {
        for text in [
            "http://a:1",
            "http://10.0.0.1:8090/",
            "http://[::1]:8090",
            "http://proxy",
        ] {
            assert!(proxy_url(text, &["http"]).is_ok(), "{text}");
        }
    }

    #[test]
    fn every_other_part_is_refused_by_name() {
        for (text, wanted) in [
            ("10.0.0.1:8090", BadProxyUrl::Malformed),
            ("http://", BadProxyUrl::Malformed),
            ("localhost:8090", BadProxyUrl::Scheme),
            ("https://a", BadProxyUrl::Scheme),
            ("http://user:PW@a:1", BadProxyUrl::Credentials),
            ("http://user@a:1", BadProxyUrl::Credentials),
            ("ftp://user:PW@a:1", BadProxyUrl::Credentials),
            ("http://a:1/api/v10", BadProxyUrl::Path),
            ("http://a:1/?x=SEKRET", BadProxyUrl::Path),
            ("http://a:1#x", BadProxyUrl::Path),
        ] {
            let error = proxy_url(text, &["http"]).unwrap_err();
            assert_eq!(error, wanted, "{text}");
            let words = error.to_string();
            assert!(!words.contains("PW") && !words.contains("SEKRET"), "{words}");
        }
        assert!(proxy_url("https://a", &["http", "https"]).is_ok());
    }
}
