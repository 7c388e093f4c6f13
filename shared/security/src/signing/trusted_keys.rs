//! [`TrustedKeys`]: public keys of other signers.

use super::{PublicKey, PublicKeyError, SignError, Signature, SigningPurpose};

/// Public keys whose signatures are accepted beside those of the own key. A signature is trusted for the key that verifies it: the name and the
/// version of a key of a service are not part of the trust.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedKeys(Vec<PublicKey>);

impl TrustedKeys {
    /// Keys of 64 hexadecimal digits each.
    ///
    /// # Errors
    /// A text is not a public key.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, PublicKeyError> {
        texts.iter().map(|text| text.as_ref().parse::<PublicKey>()).collect()
    }

    /// Whether there is no key: no signature is accepted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks a signature of content for a purpose by one of these keys.
    ///
    /// # Errors
    /// [`SignError::Invalid`] for a wrong signature, [`SignError::UnknownKey`] for a key that is none of these.
    pub fn verify_for(&self, purpose: SigningPurpose, content: &[u8], signature: &Signature) -> Result<(), SignError> {
        self.verify(&purpose.message(content), signature)
    }

    /// Checks a signature by one of these keys. That of a local key has the id of the key, that of a service has a name, and any key may have
    /// made it.
    ///
    /// # Errors
    /// [`SignError::UnknownKey`] where none of the keys is that of the signature, [`SignError::Invalid`] where it has the key's id.
    pub(super) fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), SignError> {
        if self.0.iter().any(|key| key.has_signed(message, signature)) {
            return Ok(());
        }
        let key = signature.key.clone();
        if self.0.iter().any(|trusted| trusted.id() == key) {
            return Err(SignError::Invalid { key });
        }
        Err(SignError::UnknownKey {
            key,
            version: signature.version,
        })
    }
}

impl FromIterator<PublicKey> for TrustedKeys {
    fn from_iter<I: IntoIterator<Item = PublicKey>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

impl IntoIterator for TrustedKeys {
    type Item = PublicKey;
    type IntoIter = std::vec::IntoIter<PublicKey>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Extend<PublicKey> for TrustedKeys {
    fn extend<I: IntoIterator<Item = PublicKey>>(&mut self, keys: I) {
        self.0.extend(keys);
    }
}
