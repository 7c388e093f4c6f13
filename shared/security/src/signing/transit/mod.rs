//! [`TransitSigner`]: an Ed25519 key in the Transit engine of HashiCorp Vault or OpenBao.
//!
//! The private key never leaves the server. What is sent is the SHA-256 of a message, as plain input: with `prehashed`, Vault and OpenBao differ.
//! Signatures are verified on this machine with the public keys that the server has listed, so verification needs no server once they are
//! known; each new signature is verified before it is returned. A key that is exportable, or is no Ed25519 key, is not used.
//!
//! | file | what |
//! |---|---|
//! | `client.rs` | one request |
//! | `breaker.rs` | refuses requests while the server does not respond |
//! | `login.rs` | login and renewal |
//! | `keys.rs` | the public keys of all versions |
//! | `revoker.rs` | takes the permission to sign from every process, for the kill switch |

mod breaker;
mod client;
mod keys;
mod login;
mod revoker;

use std::time::Duration;

use arrakis_config::TransitSettings;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::client::{Client, Failure};
use self::keys::{KeyData, Keys};
use self::login::Login;
use super::public_key::signed_bytes;
use super::{Algorithm, PublicKey, PublicKeyVersion, SignError, Signature, Signer, TrustedKeys};

pub use self::revoker::TransitRevoker;

/// Messages of one request. OpenBao permits 1,000 strings in the JSON of a request.
const BATCH: usize = 200;

/// Limits of the requests to Transit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransitOptions {
    /// Time limit of one request.
    pub request_timeout: Duration,
    /// Time limit of a connection attempt.
    pub connect_timeout: Duration,
    /// Failures in sequence after which no request is sent for [`TransitOptions::pause`].
    pub max_failures: u32,
    /// How long no request is sent then.
    pub pause: Duration,
}

impl Default for TransitOptions {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            max_failures: 5,
            pause: Duration::from_secs(10),
        }
    }
}

/// Signs with a key of Transit, and accepts signatures by all its versions and by trusted keys.
#[derive(Debug)]
pub struct TransitSigner {
    client: Client,
    login: Login,
    keys: Keys,
    /// When the last request for the list of keys began.
    requested: Mutex<Option<Instant>>,
    mount: String,
    key: String,
    trusted: TrustedKeys,
}

/// The envelope of a response.
#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Signed {
    signature: String,
}

#[derive(Deserialize)]
struct Batch {
    batch_results: Vec<BatchItem>,
}

#[derive(Deserialize)]
struct BatchItem {
    signature: Option<String>,
    error: Option<String>,
}

impl TransitSigner {
    /// A signer. Sends no request: the login is that of the first signature.
    ///
    /// # Errors
    /// The settings cannot be used, such as the file of the certificate authority.
    pub fn new(settings: &TransitSettings, options: &TransitOptions) -> Result<Self, SignError> {
        let client = Client::new(settings, options).map_err(|reason| SignError::Failed {
            key: settings.key.clone(),
            reason,
        })?;
        Ok(Self {
            client,
            login: Login::new(settings.login.clone()),
            keys: Keys::default(),
            requested: Mutex::default(),
            mount: settings.mount.clone(),
            key: settings.key.clone(),
            trusted: TrustedKeys::default(),
        })
    }

    /// Accepts signatures by these keys too, beside those of earlier calls.
    #[must_use]
    pub fn trusting(mut self, keys: impl IntoIterator<Item = PublicKey>) -> Self {
        self.trusted.extend(keys);
        self
    }

    /// Sends a request with the token. One that is refused is sent once more after a new login: tokens expire, and are revoked.
    async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<&Value>) -> Result<T, Failure> {
        let token = self.login.token(&self.client).await?;
        let first = self.client.send::<T>(method.clone(), path, Some(&token), body).await;
        if !matches!(first, Err(Failure::Forbidden(_))) {
            return first;
        }
        self.login.discard(&token).await;
        let token = self.login.token(&self.client).await?;
        self.client.send::<T>(method, path, Some(&token), body).await
    }

    async fn request_signatures<T: DeserializeOwned>(&self, body: &Value) -> Result<T, SignError> {
        let path = format!("{}/sign/{}", self.mount, self.key);
        let result = self.call::<Answer<T>>(Method::POST, &path, Some(body)).await;
        if let Err(Failure::Forbidden(reason)) = &result {
            self.login.pause(reason).await;
        }
        Ok(result.map_err(|failure| self.error(failure))?.data)
    }

    /// The signature in a response, after its verification.
    async fn checked(&self, message: &[u8], text: &str) -> Result<Signature, SignError> {
        let failed = |reason: &str| SignError::Failed {
            key: self.key.clone(),
            reason: reason.to_owned(),
        };
        let parsed = parse_signature(text);
        let (version, value) = parsed.ok_or_else(|| failed("the server returned a signature of another form"))?;
        let signature = Signature {
            algorithm: Algorithm::Ed25519Sha256,
            key: self.key.clone(),
            version,
            value: value.to_owned(),
        };
        match self.version(version).await? {
            Some(key) if key.has_signed(message, &signature) => Ok(signature),
            Some(_) => Err(failed(
                "the server returned a signature that its own public key does not verify",
            )),
            None => Err(failed("the server does not list the public key of its signature")),
        }
    }

    /// The public key of a version, from the server where it is not known here; `None` where the server does not list it.
    async fn version(&self, version: u32) -> Result<Option<PublicKey>, SignError> {
        if let Some(key) = self.keys.get(version) {
            return Ok(Some(key));
        }
        let began = Instant::now();
        let mut requested = self.requested.lock().await;
        // A list that was requested after this call began has what this call would find: callers that wait share it.
        if requested.is_none_or(|at| at < began) {
            let now = Instant::now();
            self.load().await?;
            *requested = Some(now);
        }
        Ok(self.keys.get(version))
    }

    /// Reads the public keys where none is known, so that a key that must not be used is recognised before it signs.
    async fn load_once(&self) -> Result<(), SignError> {
        if self.keys.is_empty() {
            // Which version is asked for does not matter: all are read, by one request for callers that wait.
            self.version(1).await?;
        }
        Ok(())
    }

    /// Reads the public keys of all versions. Returns the version that signs.
    async fn load(&self) -> Result<u32, SignError> {
        let path = format!("{}/keys/{}", self.mount, self.key);
        let answer = self.call::<Answer<KeyData>>(Method::GET, &path, None).await;
        let data = answer.map_err(|failure| self.error(failure))?.data;
        self.keys.add(&data).map_err(|reason| SignError::Failed {
            key: self.key.clone(),
            reason,
        })
    }

    fn error(&self, failure: Failure) -> SignError {
        failure.into_error(&self.key)
    }
}

#[async_trait]
impl Signer for TransitSigner {
    async fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        self.load_once().await?;
        let signed: Signed = self.request_signatures(&json!({"input": input(message)})).await?;
        self.checked(message, &signed.signature).await
    }

    async fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), SignError> {
        if signature.key != self.key {
            return self.trusted.verify(message, signature);
        }
        match self.version(signature.version).await {
            Ok(Some(key)) if key.has_signed(message, signature) => Ok(()),
            Ok(Some(_)) => Err(SignError::Invalid {
                key: signature.key.clone(),
            }),
            Ok(None) => self.trusted.verify(message, signature),
            Err(error) => self.trusted.verify(message, signature).map_err(|_| error),
        }
    }

    async fn sign_batch(&self, messages: &[&[u8]]) -> Result<Vec<Signature>, SignError> {
        if !messages.is_empty() {
            self.load_once().await?;
        }
        let mut signatures = Vec::with_capacity(messages.len());
        for part in messages.chunks(BATCH) {
            let inputs: Vec<Value> = part.iter().map(|message| json!({"input": input(message)})).collect();
            let batch: Batch = self.request_signatures(&json!({"batch_input": inputs})).await?;
            if batch.batch_results.len() != part.len() {
                return Err(SignError::Failed {
                    key: self.key.clone(),
                    reason: format!(
                        "the server returned {} signatures for {} messages",
                        batch.batch_results.len(),
                        part.len()
                    ),
                });
            }
            for (message, item) in part.iter().zip(batch.batch_results) {
                let text = item.signature.ok_or_else(|| SignError::Failed {
                    key: self.key.clone(),
                    reason: item
                        .error
                        .unwrap_or_else(|| "the server returned no signature".to_owned()),
                })?;
                signatures.push(self.checked(message, &text).await?);
            }
        }
        Ok(signatures)
    }

    async fn rotate(&self) -> Result<u32, SignError> {
        let path = format!("{}/keys/{}/rotate", self.mount, self.key);
        let rotated = self.call::<Value>(Method::POST, &path, Some(&json!({}))).await;
        rotated.map_err(|failure| self.error(failure))?;
        self.load().await
    }

    async fn public_keys(&self) -> Result<Vec<PublicKeyVersion>, SignError> {
        self.load().await?;
        Ok(self.keys.all(&self.key))
    }

    fn remember(&self, keys: &[PublicKeyVersion]) {
        self.keys.remember(keys.iter().filter(|key| key.key == self.key));
    }
}

/// The SHA-256 of a message, as the API takes it.
fn input(message: &[u8]) -> String {
    STANDARD.encode(signed_bytes(Algorithm::Ed25519Sha256, message))
}

/// Version and value of `vault:v3:BASE64`.
fn parse_signature(text: &str) -> Option<(u32, &str)> {
    let (version, value) = text.strip_prefix("vault:v")?.split_once(':')?;
    Some((version.parse().ok()?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_of_transit_is_version_and_value() {
        assert_eq!(parse_signature("vault:v12:QUJD"), Some((12, "QUJD")));
        for other in [
            "",
            "vault:12:QUJD",
            "vault:v:QUJD",
            "vault:v1",
            "bao:v1:QUJD",
            "vault:v-1:QUJD",
        ] {
            assert_eq!(parse_signature(other), None, "{other}");
        }
    }

    #[test]
    fn input_is_the_digest_of_the_message() {
        assert_eq!(input(b"hello"), "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=");
    }
}
