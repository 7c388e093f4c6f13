//! Sealed documents: JSON with the checksum of its content, and a signature where the document has one.
//!
//! `{"checksum":"…","signature":{…},"content":…}`. The checksum is the SHA-256 of the bytes of `content` as they are, so that a reader that
//! does not have all fields can check it. The signature is of the prefix of a [`SigningPurpose`] and these bytes.
//!
//! What is signed and no document of its own (the record of a backup, a deployment in the registry, an export) has a [`Statement`].

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::checksum::checksum;
use crate::damage::Damage;
use crate::sign::{SignError, Signature, Signer, SigningPurpose};

/// What a signature states about something. Its JSON is the signed message, so a field that is added needs another purpose.
pub(crate) trait Statement: Serialize {
    /// What it is about.
    const PURPOSE: SigningPurpose;
}

/// Signs a statement.
pub(crate) async fn sign<T: Statement + Sync>(statement: &T, signer: &dyn Signer) -> Result<Signature, SealError> {
    let content = to_raw_value(statement)?;
    Ok(signer.sign_for(T::PURPOSE, content.get().as_bytes()).await?)
}

/// Checks the signature of a statement.
pub(crate) async fn verify<T: Statement + Sync>(
    statement: &T,
    signature: &Signature,
    signer: &dyn Signer,
) -> Result<(), Damage> {
    let content = to_raw_value(statement).map_err(|error| Damage::Content(error.to_string()))?;
    let checked = signer.verify_for(T::PURPOSE, content.get().as_bytes(), signature).await;
    checked.map_err(Damage::Signature)
}

#[derive(Serialize)]
struct Written<'a> {
    checksum: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<Signature>,
    content: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parsed<'a> {
    checksum: String,
    #[serde(default)]
    signature: Option<Signature>,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// A document cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    /// It cannot be serialized as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// It cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// A document with a checksum.
pub(crate) fn seal<T: Serialize>(content: &T) -> Result<Vec<u8>, SealError> {
    bytes_of(&to_raw_value(content)?, None)
}

/// A document with a checksum and a signature.
pub(crate) async fn seal_signed<T: Serialize>(
    content: &T,
    purpose: SigningPurpose,
    signer: &dyn Signer,
) -> Result<Vec<u8>, SealError> {
    let content = to_raw_value(content)?;
    let signature = signer.sign_for(purpose, content.get().as_bytes()).await?;
    bytes_of(&content, Some(signature))
}

/// The content of a document.
pub(crate) fn open<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Damage> {
    content(&parse(bytes)?)
}

/// The content of a signed document. One without a signature is refused.
pub(crate) async fn open_signed<T: DeserializeOwned>(
    bytes: &[u8],
    purpose: SigningPurpose,
    signer: &dyn Signer,
) -> Result<T, Damage> {
    let parsed = parse(bytes)?;
    let Some(signature) = &parsed.signature else {
        return Err(Damage::Content("it has no signature".to_owned()));
    };
    let content_bytes = parsed.content.get().as_bytes();
    let checked = signer.verify_for(purpose, content_bytes, signature).await;
    checked.map_err(Damage::Signature)?;
    content(&parsed)
}

fn bytes_of(content: &RawValue, signature: Option<Signature>) -> Result<Vec<u8>, SealError> {
    let written = Written {
        checksum: checksum(content.get().as_bytes()),
        signature,
        content,
    };
    Ok(serde_json::to_vec(&written)?)
}

fn parse(bytes: &[u8]) -> Result<Parsed<'_>, Damage> {
    let parsed: Parsed<'_> = serde_json::from_slice(bytes).map_err(|error| Damage::Content(error.to_string()))?;
    let found = checksum(parsed.content.get().as_bytes());
    if found != parsed.checksum {
        return Err(Damage::Checksum {
            found,
            wanted: parsed.checksum,
        });
    }
    // White space and escapes outside of the content have no checksum.
    let written = bytes_of(parsed.content, parsed.signature.clone());
    match written {
        Ok(written) if written == bytes => Ok(parsed),
        _ => Err(Damage::Content("the document is not in canonical form".to_owned())),
    }
}

fn content<T: DeserializeOwned>(parsed: &Parsed<'_>) -> Result<T, Damage> {
    serde_json::from_str(parsed.content.get()).map_err(|error| Damage::Content(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::sign::LocalSigner;

    fn document() -> BTreeMap<String, u32> {
        BTreeMap::from([("serial".to_owned(), 7), ("version".to_owned(), 1)])
    }

    #[test]
    fn each_changed_byte_is_detected() {
        let bytes = seal(&document()).unwrap();
        assert_eq!(open::<BTreeMap<String, u32>>(&bytes).unwrap(), document());
        for at in 0..bytes.len() {
            for changed in [bytes[at] ^ 1, bytes[at].wrapping_add(1), b' ', b'0'] {
                let mut damaged = bytes.clone();
                damaged[at] = changed;
                if changed != bytes[at] {
                    assert!(
                        open::<BTreeMap<String, u32>>(&damaged).is_err(),
                        "byte {at} is {changed}"
                    );
                }
            }
        }
        for length in 0..bytes.len() {
            assert!(open::<BTreeMap<String, u32>>(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[tokio::test]
    async fn signature_is_required_and_checked() {
        let (one, other) = (LocalSigner::generate().unwrap(), LocalSigner::generate().unwrap());
        let signed = seal_signed(&document(), SigningPurpose::Manifest, &one).await.unwrap();
        let content: BTreeMap<String, u32> = open_signed(&signed, SigningPurpose::Manifest, &one).await.unwrap();
        assert_eq!(content, document());
        let other_purpose = open_signed::<BTreeMap<String, u32>>(&signed, SigningPurpose::ChainHead, &one).await;
        assert!(matches!(other_purpose, Err(Damage::Signature(_))), "{other_purpose:?}");
        let unknown = open_signed::<BTreeMap<String, u32>>(&signed, SigningPurpose::Manifest, &other).await;
        assert!(matches!(unknown, Err(Damage::Signature(_))), "{unknown:?}");
        let unsigned = seal(&document()).unwrap();
        let refused = open_signed::<BTreeMap<String, u32>>(&unsigned, SigningPurpose::Manifest, &one).await;
        assert!(matches!(refused, Err(Damage::Content(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn content_with_a_new_checksum_and_the_old_signature_is_refused() {
        let signer = LocalSigner::generate().unwrap();
        let signed = seal_signed(&document(), SigningPurpose::Manifest, &signer)
            .await
            .unwrap();
        let text = String::from_utf8(signed).unwrap();
        let forged = text.replace("\"serial\":7", "\"serial\":8");
        let content = forged
            .split_once("\"content\":")
            .unwrap()
            .1
            .trim_end_matches('}')
            .to_owned()
            + "}";
        let old = text.split('"').nth(3).unwrap();
        let forged = forged.replace(old, &checksum(content.as_bytes()));
        let refused = open_signed::<BTreeMap<String, u32>>(forged.as_bytes(), SigningPurpose::Manifest, &signer).await;
        assert!(matches!(refused, Err(Damage::Signature(_))), "{refused:?}");
    }
}
