//! [`PublicKey`], and [`PublicKeyVersion`] for keys that are rotated.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Algorithm, Signature};

/// An Ed25519 public key. As text: 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

/// The text is not a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a public key has 64 hexadecimal digits")]
pub struct PublicKeyError;

/// The public key of a version of a signing key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicKeyVersion {
    /// Id of the key, as [`Signature::key`].
    pub key: String,
    /// Version, from 1.
    pub version: u32,
    /// The public key.
    pub public_key: PublicKey,
}

impl PublicKey {
    /// A key from its 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The id of the key, as signatures of local keys contain it: the first 16 hexadecimal digits of its SHA-256.
    #[must_use]
    pub fn id(&self) -> String {
        hex::encode(&Sha256::digest(self.0)[..8])
    }

    /// Whether this key has made the signature of the message.
    #[must_use]
    pub fn has_signed(&self, message: &[u8], signature: &Signature) -> bool {
        let Ok(value) = STANDARD.decode(&signature.value) else {
            return false;
        };
        let signed = signed_bytes(signature.algorithm, message);
        UnparsedPublicKey::new(&ED25519, self.0).verify(&signed, &value).is_ok()
    }
}

/// What the algorithm signs of a message.
pub(super) fn signed_bytes(algorithm: Algorithm, message: &[u8]) -> Cow<'_, [u8]> {
    match algorithm {
        Algorithm::Ed25519 => Cow::Borrowed(message),
        Algorithm::Ed25519Sha256 => Cow::Owned(Sha256::digest(message).to_vec()),
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| PublicKeyError)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for PublicKey {
    type Error = PublicKeyError;

    fn try_from(text: String) -> Result<Self, PublicKeyError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests 1, 2, 3 and "SHA(abc)" of RFC 8032, section 7.1: public key, message, signature.
    const VECTORS: [(&str, &str, &str); 4] = [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ),
    ];

    fn signature(value: &[u8], algorithm: Algorithm) -> Signature {
        Signature {
            algorithm,
            key: "vector".to_owned(),
            version: 1,
            value: STANDARD.encode(value),
        }
    }

    #[test]
    fn signatures_of_rfc_8032_are_accepted_and_changed_ones_refused() {
        for (key, message, value) in VECTORS {
            let key: PublicKey = key.parse().unwrap();
            let (message, value) = (hex::decode(message).unwrap(), hex::decode(value).unwrap());
            assert!(key.has_signed(&message, &signature(&value, Algorithm::Ed25519)));
            let other = [&message[..], b"x"].concat();
            assert!(!key.has_signed(&other, &signature(&value, Algorithm::Ed25519)));
            assert!(!key.has_signed(&message, &signature(&value, Algorithm::Ed25519Sha256)));
            for at in [0, 31, 32, 63] {
                let mut changed = value.clone();
                changed[at] ^= 1;
                assert!(
                    !key.has_signed(&message, &signature(&changed, Algorithm::Ed25519)),
                    "byte {at}"
                );
            }
            assert!(!key.has_signed(&message, &signature(&value[..63], Algorithm::Ed25519)));
        }
    }

    #[test]
    fn key_is_its_hexadecimal_digits_in_json() {
        let version = PublicKeyVersion {
            key: "arrakis".to_owned(),
            version: 2,
            public_key: VECTORS[0].0.parse().unwrap(),
        };
        let json = serde_json::to_string(&version).unwrap();
        assert!(json.contains(VECTORS[0].0), "{json}");
        assert_eq!(serde_json::from_str::<PublicKeyVersion>(&json).unwrap(), version);
        assert!("00".parse::<PublicKey>().is_err());
    }
}
