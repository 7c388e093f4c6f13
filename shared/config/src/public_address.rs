//! The public address of the api, checked. The api, the worker and the Telegram bot read it here, so that they accept the same values.

use std::str::FromStr;

use url::Url;

use crate::api_base::is_loopback;

/// Public address of the api (`VERIFY_BASE_URL`): scheme, host and port, without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicAddress(Url);

/// Why a text is not a public address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublicAddressError {
    /// Not a URL.
    #[error("not a URL: {0}")]
    Malformed(String),
    /// The scheme is neither `https` nor `http`.
    #[error("the URL must begin with https://, or with http:// for an address of this machine")]
    Scheme,
    /// `http` to another machine.
    #[error(
        "http:// is accepted for this machine only (127.0.0.1, [::1], localhost): wallets refuse to sign on a page without TLS"
    )]
    ClearText,
    /// A path, a query or a login.
    #[error("the URL must have a host and no path, query or login; did you mean {0} ?")]
    NotAnOrigin(String),
}

impl FromStr for PublicAddress {
    type Err = PublicAddressError;

    fn from_str(text: &str) -> Result<Self, PublicAddressError> {
        let url = Url::parse(text).map_err(|why| PublicAddressError::Malformed(why.to_string()))?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(PublicAddressError::Scheme);
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err(PublicAddressError::ClearText);
        }
        let has_login = !url.username().is_empty() || url.password().is_some();
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || has_login {
            return Err(PublicAddressError::NotAnOrigin(url.origin().ascii_serialization()));
        }
        Ok(Self(url))
    }
}

impl PublicAddress {
    /// The address as a URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// `https://host` or `https://host:port`, without a slash at the end.
    #[must_use]
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Whether browsers reach the api with TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_is_accepted_and_http_for_this_machine_only() {
        for text in [
            "https://verify.example.org",
            "https://a:8443/",
            "http://127.0.0.1:8070",
            "http://localhost:1",
        ] {
            assert!(text.parse::<PublicAddress>().is_ok(), "{text}");
        }
        for text in ["http://verify.example.org", "http://a.b/c", "http://10.0.0.1"] {
            assert_eq!(
                text.parse::<PublicAddress>(),
                Err(PublicAddressError::ClearText),
                "{text}"
            );
        }
    }

    #[test]
    fn every_other_part_is_refused_with_the_origin() {
        for part in ["/page", "/?x", "#x", "/page/"] {
            let text = format!("https://verify.example.org{part}");
            let origin = "https://verify.example.org".to_owned();
            assert_eq!(
                text.parse::<PublicAddress>(),
                Err(PublicAddressError::NotAnOrigin(origin)),
                "{text}"
            );
        }
        assert_eq!("ftp://a".parse::<PublicAddress>(), Err(PublicAddressError::Scheme));
        assert!(matches!(
            "a.b".parse::<PublicAddress>(),
            Err(PublicAddressError::Malformed(_))
        ));
    }
}
