//! One request to Vault or OpenBao, within limits on time and size, without retries and redirects.

use std::fs;
use std::time::Duration;

use arrakis_causes::{causes, causes_below};
use arrakis_config::{Secret, TransitSettings, is_loopback};
use reqwest::header::HeaderValue;
use reqwest::{Certificate, Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::TransitOptions;
use super::breaker::Breaker;
use crate::signing::SignError;

/// Largest response, in bytes: a list of keys has some hundred bytes for each version.
const MAX_RESPONSE: usize = 4 << 20;
const TOKEN: &str = "x-vault-token";
const NAMESPACE: &str = "x-vault-namespace";
/// Required by agents in front of a server, against requests that a browser was made to send.
const REQUEST: &str = "x-vault-request";

/// Why a request was not answered as wanted. No text contains a token.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The server does not respond, or is not ready: sealed, without an active node, over its limits.
    Unavailable(String),
    /// The token is refused: it has expired, was revoked, or permits something else.
    Forbidden(String),
    /// The login is refused, or its credential cannot be read.
    LoginRefused(String),
    /// The request is refused for another reason.
    Rejected(String),
}

impl Failure {
    /// The error of a request that uses this key.
    pub(super) fn into_error(self, key: &str) -> SignError {
        let key = key.to_owned();
        match self {
            Self::Unavailable(reason) => SignError::Unavailable { key, reason },
            Self::Forbidden(reason) | Self::LoginRefused(reason) => SignError::Refused { key, reason },
            Self::Rejected(reason) => SignError::Failed { key, reason },
        }
    }

    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Unavailable(reason)
            | Self::Forbidden(reason)
            | Self::LoginRefused(reason)
            | Self::Rejected(reason) => reason,
        }
    }
}

/// The client of a server.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    address: Url,
    namespace: Option<HeaderValue>,
    timeout: Duration,
    breaker: Breaker,
}

/// The body of a refusal.
#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<String>,
}

impl Client {
    /// A client. Sends nothing.
    ///
    /// # Errors
    /// The file of the certificate authority cannot be used, or the client cannot be built.
    pub(super) fn new(settings: &TransitSettings, options: &TransitOptions) -> Result<Self, String> {
        let namespace = settings.namespace.as_deref().map(HeaderValue::from_str).transpose();
        Ok(Self {
            http: http_client(settings, options)?,
            address: settings.address.clone(),
            namespace: namespace.map_err(|_| "VAULT_NAMESPACE cannot be sent in a header".to_owned())?,
            timeout: options.request_timeout,
            breaker: Breaker::new(options.max_failures, options.pause),
        })
    }

    /// Sends a request to a path below `/v1/`, and returns the JSON of the response; `null` where it has none.
    ///
    /// # Errors
    /// [`Failure`]: no response within the time limit, while the circuit breaker is open, or a refusal.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: Option<&Secret>,
        body: Option<&Value>,
    ) -> Result<T, Failure> {
        self.breaker.permit().map_err(Failure::Unavailable)?;
        let exchanged = tokio::time::timeout(self.timeout, self.exchange(method, path, token, body)).await;
        let exchanged = exchanged.unwrap_or_else(|_| {
            let limit = self.timeout.as_millis();
            Err(Failure::Unavailable(format!("no response within {limit} ms")))
        });
        match &exchanged {
            Err(Failure::Unavailable(reason)) => self.breaker.failed(reason),
            _ => self.breaker.succeeded(),
        }
        exchanged
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: Option<&Secret>,
        body: Option<&Value>,
    ) -> Result<T, Failure> {
        let url = self.address.join(&format!("/v1/{path}"));
        let url = url.map_err(|error| Failure::Rejected(error.to_string()))?;
        let mut request = self.http.request(method, url).header(REQUEST, "true");
        if let Some(namespace) = &self.namespace {
            request = request.header(NAMESPACE, namespace.clone());
        }
        if let Some(token) = token {
            request = request.header(TOKEN, token_header(token)?);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| transport(&error))?;
        let status = response.status();
        let bytes = read(response).await?;
        if status.is_success() {
            let json: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
            return serde_json::from_slice(json)
                .map_err(|error| Failure::Unavailable(format!("the response cannot be read: {error}")));
        }
        let refused: Option<Errors> = serde_json::from_slice(&bytes).ok();
        let texts = refused.map_or_else(Vec::new, |refused| refused.errors);
        Err(failure(status, &texts))
    }
}

/// What a status with these errors means.
fn failure(status: StatusCode, texts: &[String]) -> Failure {
    let text = texts.join("; ");
    let reason = match text.trim() {
        "" => format!("status {}", status.as_u16()),
        text => format!("status {}: {}", status.as_u16(), text.replace(['\n', '\t'], " ")),
    };
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Forbidden(reason),
        StatusCode::TOO_MANY_REQUESTS => Failure::Unavailable(reason),
        status if status.is_client_error() => Failure::Rejected(reason),
        _ => Failure::Unavailable(reason),
    }
}

fn token_header(token: &Secret) -> Result<HeaderValue, Failure> {
    let header = HeaderValue::from_str(token.expose());
    let mut header = header.map_err(|_| Failure::Rejected("the token cannot be sent in a header".to_owned()))?;
    header.set_sensitive(true);
    Ok(header)
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| transport(&error))? {
        if bytes.len() + chunk.len() > MAX_RESPONSE {
            return Err(Failure::Unavailable(format!(
                "the response has more than {MAX_RESPONSE} bytes"
            )));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn transport(error: &reqwest::Error) -> Failure {
    let reason = causes_below(error).unwrap_or_else(|| "the request failed".to_owned());
    Failure::Unavailable(reason)
}

/// Certificates are always verified. Without redirects, which would send the token to another host. Proxies that the environment names are not
/// used for an address of this machine.
fn http_client(settings: &TransitSettings, options: &TransitOptions) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("arrakis/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        .pool_idle_timeout(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never());
    if is_loopback(&settings.address) {
        builder = builder.no_proxy();
    }
    if let Some(path) = &settings.ca_file {
        let failed = |reason: String| format!("VAULT_CACERT: {}: {reason}", path.display());
        let pem = fs::read(path).map_err(|error| failed(error.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| failed(causes(&error)))?;
        if certificates.is_empty() {
            return Err(failed("it has no certificate in PEM".to_owned()));
        }
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().map_err(|error| causes(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_decides_whether_a_later_attempt_may_succeed() {
        let class = |status: u16| match failure(StatusCode::from_u16(status).unwrap(), &["why".to_owned()]) {
            Failure::Unavailable(_) => "unavailable",
            Failure::Forbidden(_) => "forbidden",
            Failure::LoginRefused(_) => "login refused",
            Failure::Rejected(_) => "rejected",
        };
        for (status, wanted) in [
            (307, "unavailable"),
            (400, "rejected"),
            (401, "forbidden"),
            (403, "forbidden"),
            (404, "rejected"),
            (413, "rejected"),
            (429, "unavailable"),
            (500, "unavailable"),
            (503, "unavailable"),
        ] {
            assert_eq!(class(status), wanted, "{status}");
        }
        let sealed = failure(StatusCode::SERVICE_UNAVAILABLE, &["Vault is sealed".to_owned()]);
        assert_eq!(sealed.reason(), "status 503: Vault is sealed");
        assert_eq!(failure(StatusCode::BAD_GATEWAY, &[]).reason(), "status 502");
    }
}
