//! The address of one replica of the discord-proxy, checked. Every caller of the proxy reads it here.

use url::Url;

/// Why the address of a replica is refused. No message contains a part of the address, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyUrlError {
    /// The address is not a URL, or has no host.
    #[error("not a URL with a host; a replica is given as http://host:port")]
    Malformed,
    /// The scheme is not one that the caller supports.
    #[error("the scheme is not supported; a replica is reached inside the private network by http://host:port")]
    Scheme,
    /// The address contains a user name or a password.
    #[error(
        "the address contains a user name or a password, which the proxy ignores; set http://host:port here and the credential in \
         DISCORD_PROXY_CREDENTIAL"
    )]
    Credentials,
    /// The address has a path, a query or a fragment.
    #[error(
        "the address has a path, a query or a fragment; set http://host:port only, because the caller adds the path of each call"
    )]
    Path,
}

/// Parses and checks one address of `DISCORD_PROXY_URL` with one of these schemes.
///
/// # Errors
/// What is wrong.
///
/// ```
/// use arrakis_config::parse_proxy_url;
/// assert!(parse_proxy_url("http://10.0.0.1:8090", &["http"]).is_ok());
/// assert!(parse_proxy_url("http://10.0.0.1:8090/api/v10", &["http"]).is_err());
/// ```
pub fn parse_proxy_url(text: &str, schemes: &[&str]) -> Result<Url, ProxyUrlError> {
    let url = Url::parse(text).map_err(|_| ProxyUrlError::Malformed)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ProxyUrlError::Credentials);
    }
    if !schemes.contains(&url.scheme()) {
        return Err(ProxyUrlError::Scheme);
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(ProxyUrlError::Malformed);
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(ProxyUrlError::Path);
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
            assert!(parse_proxy_url(text, &["http"]).is_ok(), "{text}");
        }
    }

    #[test]
    fn every_other_part_is_refused() {
        for (text, wanted) in [
            ("10.0.0.1:8090", ProxyUrlError::Malformed),
            ("http://", ProxyUrlError::Malformed),
            ("localhost:8090", ProxyUrlError::Scheme),
            ("https://a", ProxyUrlError::Scheme),
            ("http://user:PW@a:1", ProxyUrlError::Credentials),
            ("http://user@a:1", ProxyUrlError::Credentials),
            ("ftp://user:PW@a:1", ProxyUrlError::Credentials),
            ("http://a:1/api/v10", ProxyUrlError::Path),
            ("http://a:1/?x=SEKRET", ProxyUrlError::Path),
            ("http://a:1#x", ProxyUrlError::Path),
        ] {
            let error = parse_proxy_url(text, &["http"]).unwrap_err();
            assert_eq!(error, wanted, "{text}");
            let message = error.to_string();
            assert!(!message.contains("PW") && !message.contains("SEKRET"), "{message}");
        }
        assert!(parse_proxy_url("https://a", &["http", "https"]).is_ok());
    }
}
