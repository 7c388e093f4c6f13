//! Discord's signature of a request: Ed25519 over the timestamp and the body, as they were sent.
//! <https://discord.com/developers/docs/interactions/overview#setting-up-an-endpoint-validating-security-request-headers>

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

/// Bytes of an Ed25519 signature.
const SIGNATURE_BYTES: usize = 64;

/// The public key of the application. As text: 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// The text does not consist of 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a public key has 64 hexadecimal digits; copy it from the Developer Portal, page General Information")]
pub struct PublicKeyError;

impl PublicKey {
    /// Whether the owner of this key has signed these bytes: the timestamp, and the body behind it. `signature` is the value of the
    /// header, hexadecimal.
    #[must_use]
    pub fn has_signed(&self, signed: &[u8], signature: &[u8]) -> bool {
        let mut value = [0_u8; SIGNATURE_BYTES];
        if hex::decode_to_slice(signature, &mut value).is_err() {
            return false;
        }
        UnparsedPublicKey::new(&ED25519, self.0).verify(signed, &value).is_ok()
    }
}

/// Whether a value of the header has the form of a signature: 128 hexadecimal digits.
pub(crate) fn is_well_formed(signature: &[u8]) -> bool {
    signature.len() == 2 * SIGNATURE_BYTES && signature.iter().all(u8::is_ascii_hexdigit)
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0_u8; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| PublicKeyError)?;
        Ok(Self(bytes))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first two test vectors of [RFC 8032](https://www.rfc-editor.org/rfc/rfc8032#section-7.1).
    const VECTORS: [(&str, &[u8], &str); 2] = [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            b"",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            b"\x72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ];

    #[test]
    fn vectors_of_the_rfc_are_accepted() {
        for (key, message, signature) in VECTORS {
            let key: PublicKey = key.parse().unwrap();
            assert!(key.has_signed(message, signature.as_bytes()), "{key:?}");
        }
    }

    #[test]
    fn other_key_message_or_signature_is_refused() {
        let [(first, _, first_signature), (second, message, signature)] = VECTORS;
        let (first, second): (PublicKey, PublicKey) = (first.parse().unwrap(), second.parse().unwrap());
        assert!(!first.has_signed(message, signature.as_bytes()));
        assert!(!second.has_signed(b"\x73", signature.as_bytes()));
        assert!(!second.has_signed(message, first_signature.as_bytes()));
        let cut = &signature.as_bytes()[..126];
        let long = format!("{signature}00");
        for malformed in [b"".as_slice(), b"zz", cut, long.as_bytes(), &[0xff; 128]] {
            assert!(!second.has_signed(message, malformed), "{malformed:?}");
        }
    }

    #[test]
    fn text_that_is_no_key_is_refused() {
        for text in ["", "d7", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64)] {
            assert_eq!(text.parse::<PublicKey>(), Err(PublicKeyError), "{text}");
        }
    }
}
