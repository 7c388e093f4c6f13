//! Encryption of secrets at rest: AES-256-GCM with a random nonce. The person's id and the id of the key are authenticated, so that a
//! row cannot be put in place of another one.
//!
//! `MFA_ENCRYPTION_KEY` has one key or several: `ID:BASE64,ID:BASE64`. The first one encrypts; all decrypt. To rotate: put a new key in
//! front of the others, restart, run `arrakis-worker mfa rotate-key`, and remove the old one.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt as _;

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Longest id of a key, in characters.
const MAX_ID: usize = 32;

/// An encrypted secret: what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSecret {
    /// Id of the key that encrypted it.
    pub key_id: String,
    /// Nonce, ciphertext, tag.
    pub bytes: Vec<u8>,
}

/// The keys that encrypt secrets. `Debug` prints their ids only.
#[derive(Clone)]
pub struct SecretCipher {
    current: Key,
    older: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: String,
    bytes: [u8; KEY_BYTES],
}

/// Why a secret cannot be encrypted or decrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// No configured key has this id.
    #[error("it was encrypted by the key `{0}`, which MFA_ENCRYPTION_KEY does not have")]
    UnknownKey(String),
    /// The bytes are not those that the key encrypted for this person.
    #[error("it cannot be decrypted by the key `{0}`: it was changed, or the key is another one of the same id")]
    Damaged(String),
    /// The cryptographic library failed.
    #[error("it cannot be encrypted")]
    Failed,
}

/// A text that is not a list of keys. It contains nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it must be ID:BASE64, or several of them with commas: an id has 1 to {MAX_ID} lower-case letters, digits and dashes and is used once, a key has {KEY_BYTES} bytes; `arrakis-worker mfa new-key` prints one"
)]
pub struct CipherKeysError;

impl SecretCipher {
    /// A new random key with this id, as `MFA_ENCRYPTION_KEY` has it.
    ///
    /// # Errors
    /// When the text is no id.
    pub fn generate_key(id: &str) -> Result<String, CipherKeysError> {
        if !is_id(id) {
            return Err(CipherKeysError);
        }
        let bytes: [u8; KEY_BYTES] = rand::rng().random();
        Ok(format!("{id}:{}", STANDARD.encode(bytes)))
    }

    /// Id of the key that encrypts.
    #[must_use]
    pub fn current_key_id(&self) -> &str {
        &self.current.id
    }

    /// Encrypts a secret of this person.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn seal(&self, user: u64, secret: &[u8]) -> Result<SealedSecret, CipherError> {
        let mut sealed = secret.to_vec();
        let nonce = self
            .current
            .cipher()?
            .seal_in_place_append_tag(aad(user, &self.current.id), &mut sealed)
            .map_err(|_| CipherError::Failed)?;
        let nonce: &[u8; NONCE_LEN] = nonce.as_ref();
        let mut bytes = nonce.to_vec();
        bytes.append(&mut sealed);
        Ok(SealedSecret {
            key_id: self.current.id.clone(),
            bytes,
        })
    }

    /// Decrypts a secret of this person.
    ///
    /// # Errors
    /// When the key is not configured, or the bytes were changed.
    pub fn open(&self, user: u64, sealed: &SealedSecret) -> Result<Vec<u8>, CipherError> {
        let damaged = || CipherError::Damaged(sealed.key_id.clone());
        let key = std::iter::once(&self.current)
            .chain(&self.older)
            .find(|key| key.id == sealed.key_id)
            .ok_or_else(|| CipherError::UnknownKey(sealed.key_id.clone()))?;
        let (nonce, rest) = sealed.bytes.split_at_checked(NONCE_LEN).ok_or_else(damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let mut in_out = rest.to_vec();
        let opened = key
            .cipher()?
            .open_in_place(nonce, aad(user, &key.id), &mut in_out)
            .map_err(|_| damaged())?;
        Ok(opened.to_vec())
    }
}

impl Key {
    fn cipher(&self) -> Result<RandomizedNonceKey, CipherError> {
        RandomizedNonceKey::new(&AES_256_GCM, &self.bytes).map_err(|_| CipherError::Failed)
    }
}

/// What is authenticated with a secret.
fn aad(user: u64, key_id: &str) -> Aad<String> {
    Aad::from(format!("arrakis mfa secret {user} {key_id}"))
}

fn is_id(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(is_letter)
}

impl FromStr for SecretCipher {
    type Err = CipherKeysError;

    fn from_str(text: &str) -> Result<Self, CipherKeysError> {
        let mut keys: Vec<Key> = Vec::new();
        for part in text.split(',') {
            let (id, key) = part.trim().split_once(':').ok_or(CipherKeysError)?;
            let decoded = STANDARD.decode(key).map_err(|_| CipherKeysError)?;
            let bytes = decoded.try_into().map_err(|_| CipherKeysError)?;
            if !is_id(id) || keys.iter().any(|known| known.id == id) {
                return Err(CipherKeysError);
            }
            keys.push(Key {
                id: id.to_owned(),
                bytes,
            });
        }
        let mut keys = keys.into_iter();
        let current = keys.next().ok_or(CipherKeysError)?;
        Ok(Self {
            current,
            older: keys.collect(),
        })
    }
}

impl fmt::Debug for SecretCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let older: Vec<&str> = self.older.iter().map(|key| key.id.as_str()).collect();
        f.debug_struct("SecretCipher")
            .field("current", &self.current.id)
            .field("older", &older)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> String {
        SecretCipher::generate_key(id).unwrap()
    }

    fn cipher(keys: &str) -> SecretCipher {
        keys.parse().unwrap()
    }

    #[test]
    fn secret_is_read_again_and_two_encryptions_differ() {
        let cipher = cipher(&key("one"));
        let (sealed, again) = (cipher.seal(7, b"secret").unwrap(), cipher.seal(7, b"secret").unwrap());
        assert_ne!(sealed, again);
        assert_eq!(sealed.key_id, "one");
        assert_eq!(cipher.open(7, &sealed).unwrap(), b"secret");
        assert!(!sealed.bytes.windows(6).any(|window| window == b"secret"));
    }

    #[test]
    fn older_key_decrypts_until_it_is_removed() {
        let (old, new) = (key("old"), key("new"));
        let sealed = cipher(&old).seal(7, b"secret").unwrap();
        let both = cipher(&format!("{new}, {old}"));
        assert_eq!(both.current_key_id(), "new");
        assert_eq!(both.open(7, &sealed).unwrap(), b"secret");
        let resealed = both.seal(7, b"secret").unwrap();
        assert_eq!(cipher(&new).open(7, &resealed).unwrap(), b"secret");
        let gone = cipher(&new).open(7, &sealed);
        assert_eq!(gone, Err(CipherError::UnknownKey("old".to_owned())));
    }

    #[test]
    fn changed_secret_another_person_and_another_key_are_refused() {
        let cipher = cipher(&key("one"));
        let sealed = cipher.seal(7, b"secret").unwrap();
        let damaged = Err(CipherError::Damaged("one".to_owned()));
        assert_eq!(cipher.open(8, &sealed), damaged);
        for index in 0..sealed.bytes.len() {
            let mut changed = sealed.clone();
            changed.bytes[index] ^= 1;
            assert_eq!(cipher.open(7, &changed), damaged, "byte {index}");
            changed.bytes.truncate(index);
            assert_eq!(cipher.open(7, &changed), damaged, "{index} bytes");
        }
        let other: SecretCipher = key("one").parse().unwrap();
        assert_eq!(other.open(7, &sealed), damaged);
    }

    #[test]
    fn other_texts_are_no_keys_and_debug_has_none() {
        let one = key("one");
        let bytes = one.split_once(':').unwrap().1;
        for wrong in [
            String::new(),
            bytes.to_owned(),
            format!("One:{bytes}"),
            format!(":{bytes}"),
            "one:c2hvcnQ=".to_owned(),
            format!("{one},{one}"),
            format!("{one},"),
        ] {
            let error = wrong.parse::<SecretCipher>().err();
            assert_eq!(error, Some(CipherKeysError), "{wrong}");
        }
        assert!(SecretCipher::generate_key("").is_err());
        assert!(!format!("{:?}", cipher(&one)).contains(bytes));
    }
}
