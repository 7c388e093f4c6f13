//! The base URL of Discord's REST API, checked. Every service that sends a bot token there reads it here.

use url::{Host, Url};

/// End of the path: the only version of the API that is used.
const PATH: &str = "/api/v10";

/// Why a base URL is refused, with the URL that was probably meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiBaseError {
    /// Not a URL.
    #[error("not a URL: {0}")]
    Malformed(String),
    /// The scheme is neither `https` nor `http`.
    #[error("the URL begins with {0}:// and must begin with https:// or http://")]
    Scheme(String),
    /// The URL contains a user name or a password.
    #[error("the URL contains a user name or a password; the bot token is the only credential sent to Discord")]
    Credentials,
    /// `http` to another machine: the bot token would cross the network in clear text.
    #[error(
        "http:// would send the bot token to {host} in clear text; use https://, or an address of this machine (127.0.0.1, [::1] or \
         localhost) for an emulator"
    )]
    ClearText {
        /// The host.
        host: String,
    },
    /// The path does not end in `/api/v10`, or something follows it.
    #[error("the URL must end in {PATH}, the version of the API that is used; did you mean {corrected} ?")]
    Path {
        /// The same URL, corrected.
        corrected: String,
    },
}

/// Parses and checks a value of `DISCORD_API_BASE`. The result ends in `/api/v10` without a trailing slash.
///
/// # Errors
/// What is wrong, with the value that was probably meant.
///
/// ```
/// use arrakis_config::parse_discord_api_base;
/// assert!(parse_discord_api_base("https://discord.com/api/v10").is_ok());
/// let error = parse_discord_api_base("https://discord.com").unwrap_err().to_string();
/// assert!(error.contains("https://discord.com/api/v10"));
/// ```
pub fn parse_discord_api_base(text: &str) -> Result<Url, ApiBaseError> {
    if !text.contains("://") {
        // The text before a colon would be parsed as a scheme and printed; it may be a password.
        return Err(ApiBaseError::Malformed(
            "the value does not begin with https://".to_owned(),
        ));
    }
    let mut url = Url::parse(text).map_err(|why| ApiBaseError::Malformed(why.to_string()))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(ApiBaseError::Scheme(url.scheme().to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ApiBaseError::Credentials);
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        let host = url.host_str().unwrap_or_default().to_owned();
        return Err(ApiBaseError::ClearText { host });
    }
    let path = url.path().trim_end_matches('/').to_owned();
    if !path.ends_with(PATH) || url.query().is_some() || url.fragment().is_some() {
        return Err(ApiBaseError::Path {
            corrected: corrected(url),
        });
    }
    url.set_path(&path);
    Ok(url)
}

/// Whether the host of a URL is this machine: `localhost` or a loopback address.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

/// The URL with the right path: the part before `/api`, then `/api/v10`.
fn corrected(mut url: Url) -> String {
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/');
    let before = path.find("/api").map_or(path, |at| &path[..at]);
    let path = format!("{before}{PATH}");
    url.set_path(&path);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_and_http_to_this_machine_are_accepted() {
        for (text, read) in [
            ("https://discord.com/api/v10", "https://discord.com/api/v10"),
            ("https://discord.com/api/v10/", "https://discord.com/api/v10"),
            (
                "https://proxy.example/discord/api/v10",
                "https://proxy.example/discord/api/v10",
            ),
            ("http://127.0.0.1:3000/api/v10", "http://127.0.0.1:3000/api/v10"),
            ("http://127.8.9.1/api/v10", "http://127.8.9.1/api/v10"),
            ("http://localhost:3000/api/v10", "http://localhost:3000/api/v10"),
            ("http://[::1]:3000/api/v10", "http://[::1]:3000/api/v10"),
        ] {
            assert_eq!(
                parse_discord_api_base(text).map(String::from).as_deref(),
                Ok(read),
                "{text}"
            );
        }
    }

    #[test]
    fn http_to_another_machine_is_refused() {
        for text in [
            "http://discord.com/api/v10",
            "http://10.0.0.1/api/v10",
            "http://0.0.0.0:3000/api/v10",
            "http://[::]/api/v10",
            "http://localhost.example/api/v10",
            "http://127.0.0.1.example/api/v10",
            "HTTP://discord.com/api/v10",
        ] {
            let error = parse_discord_api_base(text).unwrap_err();
            assert!(matches!(error, ApiBaseError::ClearText { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn wrong_path_is_refused_with_the_corrected_url() {
        for (text, corrected) in [
            ("https://discord.com", "https://discord.com/api/v10"),
            ("https://discord.com/", "https://discord.com/api/v10"),
            ("https://discord.com/api", "https://discord.com/api/v10"),
            ("https://discord.com/api/", "https://discord.com/api/v10"),
            ("https://discord.com/api/v9", "https://discord.com/api/v10"),
            ("https://discord.com/api/v10/gateway", "https://discord.com/api/v10"),
            ("https://discord.com/api/v10?wait=true", "https://discord.com/api/v10"),
            ("https://discord.com/api/v10#top", "https://discord.com/api/v10"),
            (
                "http://127.0.0.1:3000/emulator/",
                "http://127.0.0.1:3000/emulator/api/v10",
            ),
        ] {
            let error = parse_discord_api_base(text).unwrap_err();
            assert_eq!(
                error,
                ApiBaseError::Path {
                    corrected: corrected.to_owned()
                },
                "{text}"
            );
            assert!(parse_discord_api_base(corrected).is_ok(), "{corrected}");
        }
    }

    #[test]
    fn malformed_url_scheme_and_credentials_are_refused() {
        for (text, reason) in [
            ("discord.com/api/v10", "not a URL"),
            ("ftp://discord.com/api/v10", "ftp://"),
            ("https://bot:secret@discord.com/api/v10", "password"),
        ] {
            let error = parse_discord_api_base(text).unwrap_err().to_string();
            assert!(error.contains(reason) && !error.contains("secret"), "{text}: {error}");
        }
    }
}
