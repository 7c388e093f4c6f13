//! The base address of Discord's REST API, checked: every service that sends a bot token there reads it here.

use std::fmt;

use url::{Host, Url};

/// End of the path: the one version of the API that is used.
const PATH: &str = "/api/v10";

/// Why a base address is refused, with the address that was probably meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadApiBase {
    /// Not a URL.
    Malformed(String),
    /// Neither `https` nor `http`.
    Scheme(String),
    /// It names a user or a password.
    Credentials,
    /// `http` to another machine: the bot token would cross the network in clear text.
    ClearText {
        /// The host.
        host: String,
    },
    /// The path does not end in `/api/v10`, or something follows it.
    Path {
        /// The same address, corrected.
        corrected: String,
    },
}

impl fmt::Display for BadApiBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "not a URL: {why}"),
            Self::Scheme(scheme) => write!(f, "it begins with {scheme}://, and https:// or http:// is needed"),
            Self::Credentials => {
                f.write_str("it holds a user name or a password; the bot token is the only credential sent to Discord")
            }
            Self::ClearText { host } => write!(
                f,
                "http:// would send the bot token to {host} in clear text; use https://, or an address of this machine (127.0.0.1, \
                 [::1] or localhost) for an emulator"
            ),
            Self::Path { corrected } => write!(
                f,
                "it must end in {PATH}, the version of the API that is used here; did you mean {corrected} ?"
            ),
        }
    }
}

impl std::error::Error for BadApiBase {}

/// Reads and checks a value of `DISCORD_API_BASE`. The answer ends in `/api/v10`, without a slash behind it.
///
/// # Errors
/// What is wrong, and the value that was probably meant.
///
/// ```
/// use arrakis_config::discord_api_base;
/// assert!(discord_api_base("https://discord.com/api/v10").is_ok());
/// let error = discord_api_base("https://discord.com").unwrap_err().to_string();
/// assert!(error.contains("https://discord.com/api/v10"));
/// ```
pub fn discord_api_base(text: &str) -> Result<Url, BadApiBase> {
    if !text.contains("://") {
        // What stands before a colon would be taken for a scheme, and shown: it may be a password.
        return Err(BadApiBase::Malformed("it does not begin with https://".to_owned()));
    }
    let mut url = Url::parse(text).map_err(|why| BadApiBase::Malformed(why.to_string()))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(BadApiBase::Scheme(url.scheme().to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BadApiBase::Credentials);
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        let host = url.host_str().unwrap_or_default().to_owned();
        return Err(BadApiBase::ClearText { host });
    }
    let path = url.path().trim_end_matches('/').to_owned();
    if !path.ends_with(PATH) || url.query().is_some() || url.fragment().is_some() {
        return Err(BadApiBase::Path {
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

/// The address with the path that it should have: what stands before `/api`, then `/api/v10`.
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
    fn https_anywhere_and_http_on_this_machine_are_accepted() {
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
            assert_eq!(discord_api_base(text).map(String::from).as_deref(), Ok(read), "{text}");
        }
    }

    #[test]
    fn clear_text_to_another_machine_is_refused() {
        for text in [
            "http://discord.com/api/v10",
            "http://10.0.0.1/api/v10",
            "http://0.0.0.0:3000/api/v10",
            "http://[::]/api/v10",
            "http://localhost.example/api/v10",
            "http://127.0.0.1.example/api/v10",
            "HTTP://discord.com/api/v10",
        ] {
            let error = discord_api_base(text).unwrap_err();
            assert!(matches!(error, BadApiBase::ClearText { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn a_wrong_path_is_answered_with_the_right_one() {
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
            let error = discord_api_base(text).unwrap_err();
            assert_eq!(
                error,
                BadApiBase::Path {
                    corrected: corrected.to_owned()
                },
                "{text}"
            );
            assert!(discord_api_base(corrected).is_ok(), "{corrected}");
        }
    }

    #[test]
    fn other_mistakes_are_named() {
        for (text, word) in [
            ("discord.com/api/v10", "not a URL"),
            ("ftp://discord.com/api/v10", "ftp://"),
            ("https://bot:secret@discord.com/api/v10", "password"),
        ] {
            let error = discord_api_base(text).unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains("secret"), "{text}: {error}");
        }
    }
}
