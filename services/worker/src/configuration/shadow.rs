//! The objects of shadows: a version, and the pointer to the newest one.
//!
//! An object is JSON: `{"checksum":"…","signature":{…},"content":{…}}`. The checksum is the SHA-256 of the bytes of `content`, so every field is
//! covered, and a build that does not know a field can check it. The signature is of the prefix of [`SigningPurpose::Shadow`] and these bytes: who can write to the store
//! can make a checksum, and no signature. It is absent where no key is configured. A version is compressed by gzip; its bytes follow from the
//! version and the key.

use std::fmt;
use std::io::{self, Read as _};

use arrakis_db::{Checksum, ConfigurationVersion, GuildId, MAX_VERSION};
use arrakis_security::signing::{Signature, Signer, SigningPurpose};
use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use time::OffsetDateTime;

/// Format of the objects that this build writes.
const FORMAT: u32 = 1;
/// Largest version that is decompressed, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// A version of a configuration, as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shadow {
    /// Number of the version.
    pub(crate) version: u32,
    /// What changed the configuration.
    pub(crate) cause: String,
    /// Who changed it.
    pub(crate) recorded_by: String,
    /// When.
    pub(crate) recorded_at: OffsetDateTime,
    /// The configuration, as the row of the version has it.
    pub(crate) content: String,
}

#[derive(Serialize)]
struct Sealed<'a> {
    checksum: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<Signature>,
    content: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opened<'a> {
    checksum: String,
    #[serde(default)]
    signature: Option<Signature>,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// Why an object cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// What is wrong with it.
    Damaged(String),
    /// Its signature cannot be verified at present: why the signer cannot be used.
    Unverified(String),
}

impl From<String> for Unreadable {
    fn from(reason: String) -> Self {
        Self::Damaged(reason)
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(reason) | Self::Unverified(reason) => f.write_str(reason),
        }
    }
}

/// A version in its object.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionObject {
    format: u32,
    server: String,
    version: u32,
    cause: String,
    recorded_by: String,
    #[serde(with = "time::serde::rfc3339")]
    recorded_at: OffsetDateTime,
    configuration: Box<RawValue>,
}

/// The pointer to the newest version, in its object.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PointerObject {
    format: u32,
    server: String,
    version: u32,
    /// Checksum of the configuration.
    configuration: String,
}

impl Shadow {
    /// The shadow of a version.
    pub(super) fn of(version: &ConfigurationVersion) -> Self {
        Self {
            version: version.version,
            cause: version.cause.clone(),
            recorded_by: version.recorded_by.clone(),
            recorded_at: version.recorded_at,
            content: version.content.clone(),
        }
    }

    /// Checksum of the configuration.
    pub(crate) fn checksum(&self) -> Checksum {
        Checksum::of_text(&self.content)
    }

    /// The bytes of the object, signed where there is a key.
    pub(super) async fn to_bytes(&self, server: GuildId, signer: Option<&dyn Signer>) -> io::Result<Vec<u8>> {
        let object = VersionObject {
            format: FORMAT,
            server: server.to_string(),
            version: self.version,
            cause: self.cause.clone(),
            recorded_by: self.recorded_by.clone(),
            recorded_at: self.recorded_at,
            configuration: RawValue::from_string(self.content.clone())?,
        };
        let text = seal(to_raw_value(&object)?, signer).await?;
        let mut bytes = Vec::new();
        GzEncoder::new(text.as_bytes(), Compression::default()).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads the bytes of an object, which must be signed where there is a key.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) async fn from_bytes(
        bytes: &[u8],
        (server, version): (GuildId, u32),
        signer: Option<&dyn Signer>,
    ) -> Result<Self, Unreadable> {
        let text = decompressed(bytes)?;
        let object: VersionObject = open(&text, signer).await?;
        check(object.format, &object.server, server)?;
        if object.version != version {
            let reason = format!("it is version {}, not version {version}", object.version);
            return Err(reason.into());
        }
        Ok(Self {
            version,
            cause: object.cause,
            recorded_by: object.recorded_by,
            recorded_at: object.recorded_at,
            content: object.configuration.get().to_owned(),
        })
    }
}

fn decompressed(bytes: &[u8]) -> Result<String, String> {
    let mut text = String::new();
    let mut limited = GzDecoder::new(bytes).take(MAX_BYTES + 1);
    limited
        .read_to_string(&mut text)
        .map_err(|error| format!("it is not valid gzip of a text: {error}"))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("it has more than {MAX_BYTES} bytes when decompressed"));
    }
    Ok(text)
}

/// The bytes of the pointer to a version, signed where there is a key.
pub(super) async fn pointer_bytes(
    server: GuildId,
    version: u32,
    configuration: Checksum,
    signer: Option<&dyn Signer>,
) -> io::Result<Vec<u8>> {
    let object = PointerObject {
        format: FORMAT,
        server: server.to_string(),
        version,
        configuration: configuration.to_string(),
    };
    Ok(seal(to_raw_value(&object)?, signer).await?.into_bytes())
}

/// Reads a pointer, which must be signed where there is a key: number and checksum of the newest version.
pub(super) async fn read_pointer(
    bytes: &[u8],
    server: GuildId,
    signer: Option<&dyn Signer>,
) -> Result<(u32, Checksum), Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let object: PointerObject = open(text, signer).await?;
    check(object.format, &object.server, server)?;
    if object.version > MAX_VERSION {
        let reason = format!(
            "it names version {}, and {MAX_VERSION} is the largest number",
            object.version
        );
        return Err(reason.into());
    }
    let checksum = object.configuration.parse();
    Ok((
        object.version,
        checksum.map_err(|error: arrakis_db::ChecksumError| error.to_string())?,
    ))
}

fn check(format: u32, server: &str, wanted: GuildId) -> Result<(), String> {
    if format != FORMAT {
        return Err(format!("it has the format {format}, and this build reads {FORMAT}"));
    }
    if server != wanted.to_string() {
        return Err(format!("it is of server {server}, not of server {wanted}"));
    }
    Ok(())
}

async fn seal(content: Box<RawValue>, signer: Option<&dyn Signer>) -> io::Result<String> {
    let signature = match signer {
        Some(signer) => Some(
            signer
                .sign_for(SigningPurpose::Shadow, content.get().as_bytes())
                .await
                .map_err(io::Error::other)?,
        ),
        None => None,
    };
    let sealed = Sealed {
        checksum: Checksum::of_text(content.get()).to_string(),
        signature,
        content: &content,
    };
    Ok(serde_json::to_string(&sealed)?)
}

async fn open<T: DeserializeOwned>(text: &str, signer: Option<&dyn Signer>) -> Result<T, Unreadable> {
    let opened: Opened<'_> = serde_json::from_str(text).map_err(|error| format!("its content is invalid: {error}"))?;
    let found = Checksum::of_text(opened.content.get()).to_string();
    if found != opened.checksum {
        return Err(format!("its SHA-256 is {found}, and {} is recorded", opened.checksum).into());
    }
    if let Some(signer) = signer {
        let signature = opened.signature.ok_or_else(|| "it has no signature".to_owned())?;
        let content = opened.content.get().as_bytes();
        let verified = signer.verify_for(SigningPurpose::Shadow, content, &signature).await;
        verified.map_err(|error| match error.is_about_the_signature() {
            true => Unreadable::Damaged(error.to_string()),
            false => Unreadable::Unverified(error.to_string()),
        })?;
    }
    let content = serde_json::from_str(opened.content.get());
    content.map_err(|error| format!("its content is invalid: {error}").into())
}

#[cfg(test)]
mod tests {
    use arrakis_vault::LocalSigner;
    use time::macros::datetime;

    use super::*;

    fn server() -> GuildId {
        GuildId::new(1_200_000_000_000_000_007).unwrap()
    }

    fn shadow() -> Shadow {
        Shadow {
            version: 7,
            cause: "theme".to_owned(),
            recorded_by: "liet".to_owned(),
            recorded_at: datetime!(2026-12-01 12:00:00.123456 UTC),
            content: "{\"name\":\"Sietch 沙\",\"b\":1.50,\"a\":[1, 2]}".to_owned(),
        }
    }

    #[tokio::test]
    async fn shadow_round_trips_with_the_same_bytes_of_the_configuration() {
        let bytes = shadow().to_bytes(server(), None).await.unwrap();
        assert_eq!(bytes, shadow().to_bytes(server(), None).await.unwrap());
        assert_eq!(Shadow::from_bytes(&bytes, (server(), 7), None).await, Ok(shadow()));
    }

    #[tokio::test]
    async fn each_changed_byte_is_detected_and_so_is_each_truncation() {
        let bytes = shadow().to_bytes(server(), None).await.unwrap();
        for at in 0..bytes.len() {
            for changed in [bytes[at] ^ 1, bytes[at].wrapping_add(7)] {
                let mut damaged = bytes.clone();
                damaged[at] = changed;
                // The header of gzip has bytes without a meaning for the content: time, system, level.
                let read = Shadow::from_bytes(&damaged, (server(), 7), None).await;
                assert!(read.is_err() || read == Ok(shadow()), "byte {at} is {changed}");
            }
        }
        for length in 0..bytes.len() {
            assert!(
                Shadow::from_bytes(&bytes[..length], (server(), 7), None).await.is_err(),
                "{length}"
            );
        }
    }

    #[tokio::test]
    async fn shadow_of_another_server_or_version_is_refused() {
        let bytes = shadow().to_bytes(server(), None).await.unwrap();
        let other = GuildId::new(8).unwrap();
        let error = Shadow::from_bytes(&bytes, (other, 7), None)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("not of server 8"), "{error}");
        assert_eq!(
            Shadow::from_bytes(&bytes, (server(), 8), None)
                .await
                .unwrap_err()
                .to_string(),
            "it is version 7, not version 8"
        );
    }

    #[tokio::test]
    async fn pointer_round_trips_and_each_changed_byte_is_detected() {
        let checksum = shadow().checksum();
        let bytes = pointer_bytes(server(), 7, checksum, None).await.unwrap();
        assert_eq!(read_pointer(&bytes, server(), None).await, Ok((7, checksum)));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(read_pointer(&damaged, server(), None).await.is_err(), "byte {at}");
        }
    }

    /// A build before recorded a version above a foreign object of the store, and signed the pointer to it.
    #[tokio::test]
    async fn pointer_above_the_largest_number_is_damaged() {
        let own = LocalSigner::generate().unwrap();
        let checksum = shadow().checksum();
        for (number, is_read) in [(MAX_VERSION, true), (MAX_VERSION + 1, false), (2_147_483_647, false)] {
            let bytes = pointer_bytes(server(), number, checksum, Some(&own)).await.unwrap();
            let read = read_pointer(&bytes, server(), Some(&own)).await;
            assert_eq!(read.is_ok(), is_read, "{number}: {read:?}");
        }
    }

    #[tokio::test]
    async fn signature_by_another_key_and_none_are_refused_where_there_is_a_key() {
        let (own, other) = (LocalSigner::generate().unwrap(), LocalSigner::generate().unwrap());
        let signed = shadow().to_bytes(server(), Some(&own)).await.unwrap();
        let version = (server(), 7);
        assert_eq!(Shadow::from_bytes(&signed, version, Some(&own)).await, Ok(shadow()));
        // Without a key, the checksum alone is verified.
        assert_eq!(Shadow::from_bytes(&signed, version, None).await, Ok(shadow()));
        let refused = Shadow::from_bytes(&signed, version, Some(&other))
            .await
            .unwrap_err()
            .to_string();
        assert!(refused.contains("not trusted"), "{refused}");
        let trusting = LocalSigner::generate().unwrap().trusting([own.public_key()]);
        assert_eq!(
            Shadow::from_bytes(&signed, version, Some(&trusting)).await,
            Ok(shadow())
        );
        let unsigned = shadow().to_bytes(server(), None).await.unwrap();
        let refused = Shadow::from_bytes(&unsigned, version, Some(&own)).await.unwrap_err();
        assert_eq!(refused.to_string(), "it has no signature");

        let checksum = shadow().checksum();
        let pointer = pointer_bytes(server(), 7, checksum, Some(&own)).await.unwrap();
        assert_eq!(read_pointer(&pointer, server(), Some(&own)).await, Ok((7, checksum)));
        assert!(read_pointer(&pointer, server(), Some(&other)).await.is_err());
        // The signature of a pointer under another content.
        let text = String::from_utf8(pointer).unwrap();
        let content = text.split_once("\"content\":").unwrap().1.strip_suffix('}').unwrap();
        let forged = content.replace("\"version\":7", "\"version\":8");
        let checksum_of = |content: &str| Checksum::of_text(content).to_string();
        let text = text
            .replace(content, &forged)
            .replace(&checksum_of(content), &checksum_of(&forged));
        assert!(read_pointer(text.as_bytes(), server(), None).await.is_ok());
        let refused = read_pointer(text.as_bytes(), server(), Some(&own)).await.unwrap_err();
        assert!(refused.to_string().contains("is invalid"), "{refused}");
    }
}
