//! The base URL and the key of the score service, from `SCORE_API_URL` and `SCORE_API_KEY`, checked.

use url::Url;

use crate::api_base::is_loopback;
use crate::secret::Secret;

/// Where the score service is, and the key that it accepts.
#[derive(Debug, Clone)]
pub struct ScoreApi {
    /// Base URL, with a trailing slash: paths are appended to it.
    pub base: Url,
    /// The key, sent as a bearer token.
    pub key: Secret,
}

/// Why a base URL or a key of the score service is refused. Contains no part of the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScoreApiError {
    /// Not a URL.
    #[error("not a URL: {0}")]
    Malformed(String),
    /// The scheme is neither `https` nor `http`.
    #[error("the URL must begin with https:// or http://")]
    Scheme,
    /// `http` to another machine: the key would cross the network in clear text.
    #[error(
        "http:// would send SCORE_API_KEY to {host} in clear text; use https://, or an address of this machine (127.0.0.1, [::1] or \
         localhost)"
    )]
    ClearText {
        /// The host.
        host: String,
    },
    /// The URL has a user name, a password, a query or a fragment.
    #[error("the URL must have only a host, a port and a path; the key belongs in SCORE_API_KEY")]
    Parts,
    /// The key has a character that a header cannot hold.
    #[error("the key must consist of visible ASCII characters")]
    Key,
}

/// Parses and checks a value of `SCORE_API_URL`. The result ends in a slash.
///
/// # Errors
/// What is wrong.
///
/// ```
/// use arrakis_config::parse_score_api_url;
/// assert_eq!(parse_score_api_url("https://score.example/api").unwrap().path(), "/api/");
/// assert!(parse_score_api_url("http://score.example").is_err());
/// ```
pub fn parse_score_api_url(text: &str) -> Result<Url, ScoreApiError> {
    if !text.contains("://") {
        // The text before a colon would be parsed as a scheme.
        return Err(ScoreApiError::Malformed(
            "the value does not begin with https://".to_owned(),
        ));
    }
    let mut url = Url::parse(text).map_err(|why| ScoreApiError::Malformed(why.to_string()))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(ScoreApiError::Scheme);
    }
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    if has_credentials || url.query().is_some() || url.fragment().is_some() {
        return Err(ScoreApiError::Parts);
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        let host = url.host_str().unwrap_or_default().to_owned();
        return Err(ScoreApiError::ClearText { host });
    }
    let path = format!("{}/", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

/// Checks a key: it is sent in a header.
pub(crate) fn check_score_api_key(key: &str) -> Result<(), ScoreApiError> {
    let is_visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if is_visible { Ok(()) } else { Err(ScoreApiError::Key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_url_ends_in_one_slash() {
        for (text, read) in [
            ("https://score.example", "https://score.example/"),
            ("https://score.example/api//", "https://score.example/api/"),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000/"),
        ] {
            assert_eq!(parse_score_api_url(text).unwrap().as_str(), read);
        }
    }

    #[test]
    fn url_with_a_secret_or_in_clear_text_is_refused() {
        for (text, error) in [
            ("https://user:pw@score.example", ScoreApiError::Parts),
            ("https://score.example/?key=pw", ScoreApiError::Parts),
            ("ftp://score.example", ScoreApiError::Scheme),
            (
                "http://score.example",
                ScoreApiError::ClearText {
                    host: "score.example".to_owned(),
                },
            ),
        ] {
            assert_eq!(parse_score_api_url(text).unwrap_err(), error, "{text}");
        }
        assert!(matches!(
            parse_score_api_url("pw:score.example"),
            Err(ScoreApiError::Malformed(_))
        ));
    }

    #[test]
    fn key_with_a_line_break_is_refused() {
        assert_eq!(check_score_api_key("a\r\nb"), Err(ScoreApiError::Key));
        assert_eq!(check_score_api_key("a-b_c.1"), Ok(()));
    }
}
