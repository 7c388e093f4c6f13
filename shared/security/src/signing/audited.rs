//! [`AuditedSigner`]: logs and counts each signature of another signer.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};

use super::{PublicKeyVersion, SignError, Signature, Signer, SigningPurpose};

/// How a request for a signature ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SigningOutcome {
    /// It was signed.
    Signed,
    /// No response, or the service is sealed, limits the rate, or the circuit breaker is open.
    Unavailable,
    /// The service refused this process.
    Refused,
    /// The key could not be used for another reason.
    Failed,
}

impl SigningOutcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Signed, Self::Unavailable, Self::Refused, Self::Failed];

    /// Its name, for metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    const fn of(error: &SignError) -> Self {
        match error {
            SignError::Unavailable { .. } => Self::Unavailable,
            SignError::Refused { .. } => Self::Refused,
            _ => Self::Failed,
        }
    }
}

/// Counts requests for signatures.
pub trait SigningObserver: Send + Sync {
    /// A request to sign a message of a purpose has ended; `None` for a message without a purpose.
    fn finished(&self, purpose: Option<SigningPurpose>, outcome: SigningOutcome);
}

/// For programs without metrics.
impl SigningObserver for () {
    fn finished(&self, _purpose: Option<SigningPurpose>, _outcome: SigningOutcome) {}
}

/// Logs every signing request, successes at INFO and failures at WARN: the program that requested it, its purpose, the SHA-256 of the message, and
/// the version of the key. Verification is not logged.
pub struct AuditedSigner {
    inner: Arc<dyn Signer>,
    who: String,
    observer: Arc<dyn SigningObserver>,
}

impl fmt::Debug for AuditedSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditedSigner")
            .field("inner", &self.inner)
            .field("who", &self.who)
            .finish_non_exhaustive()
    }
}

impl AuditedSigner {
    /// Logs and counts the signatures of `inner` as requested by `who`: the name of a program.
    #[must_use]
    pub fn new(inner: Arc<dyn Signer>, who: impl Into<String>, observer: Arc<dyn SigningObserver>) -> Self {
        Self {
            inner,
            who: who.into(),
            observer,
        }
    }

    fn record(&self, messages: &[&[u8]], result: Result<&[Signature], &SignError>) {
        let outcome = result.map_or_else(SigningOutcome::of, |_| SigningOutcome::Signed);
        for (number, message) in messages.iter().enumerate() {
            let purpose = SigningPurpose::of(message);
            self.observer.finished(purpose, outcome);
            let digest = hex::encode(Sha256::digest(message));
            let purpose = purpose.map_or("none", SigningPurpose::name);
            match result.map(|signatures| signatures.get(number)) {
                Ok(signature) => tracing::info!(
                    who = self.who,
                    purpose,
                    sha256 = digest,
                    key = signature.map(|signature| signature.key.as_str()),
                    key_version = signature.map(|signature| signature.version),
                    "message signed"
                ),
                Err(error) => tracing::warn!(
                    who = self.who,
                    purpose,
                    sha256 = digest,
                    %error,
                    "signing failed"
                ),
            }
        }
    }
}

#[async_trait]
impl Signer for AuditedSigner {
    async fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        let result = self.inner.sign(message).await;
        self.record(&[message], result.as_ref().map(std::slice::from_ref));
        result
    }

    async fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), SignError> {
        self.inner.verify(message, signature).await
    }

    async fn sign_batch(&self, messages: &[&[u8]]) -> Result<Vec<Signature>, SignError> {
        let result = self.inner.sign_batch(messages).await;
        self.record(messages, result.as_deref());
        result
    }

    async fn rotate(&self) -> Result<u32, SignError> {
        let result = self.inner.rotate().await;
        match &result {
            Ok(version) => tracing::info!(who = self.who, key_version = version, "the signing key was rotated"),
            Err(error) => tracing::warn!(who = self.who, %error, "the signing key was not rotated"),
        }
        result
    }

    async fn public_keys(&self) -> Result<Vec<PublicKeyVersion>, SignError> {
        self.inner.public_keys().await
    }

    fn remember(&self, keys: &[PublicKeyVersion]) {
        self.inner.remember(keys);
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::signing::LocalSigner;

    #[derive(Default)]
    struct Counted(Mutex<Vec<(Option<SigningPurpose>, SigningOutcome)>>);

    impl SigningObserver for Counted {
        fn finished(&self, purpose: Option<SigningPurpose>, outcome: SigningOutcome) {
            self.0.lock().push((purpose, outcome));
        }
    }

    #[tokio::test]
    async fn each_signature_is_counted_with_its_purpose() {
        let counted = Arc::new(Counted::default());
        let inner = Arc::new(LocalSigner::generate().unwrap());
        let signer = AuditedSigner::new(inner, "test", Arc::clone(&counted) as Arc<dyn SigningObserver>);
        let signature = signer.sign_for(SigningPurpose::Approval, b"content").await.unwrap();
        signer
            .verify_for(SigningPurpose::Approval, b"content", &signature)
            .await
            .unwrap();
        let other = signer
            .verify_for(SigningPurpose::Manifest, b"content", &signature)
            .await;
        assert!(matches!(other, Err(SignError::Invalid { .. })), "{other:?}");
        let head = SigningPurpose::ChainHead.message(b"head");
        signer.sign_batch(&[&head, b"no purpose"]).await.unwrap();
        let signed = |purpose| (purpose, SigningOutcome::Signed);
        assert_eq!(
            *counted.0.lock(),
            [
                signed(Some(SigningPurpose::Approval)),
                signed(Some(SigningPurpose::ChainHead)),
                signed(None)
            ]
        );
    }
}
