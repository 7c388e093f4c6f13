//! [`LocalSigner`]: an Ed25519 key in a file.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::str::FromStr;

use async_trait::async_trait;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::{Algorithm, SignError, Signature, Signer};

/// The only version of a local key.
const VERSION: u32 = 1;
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// An Ed25519 public key. As text: 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

/// The text is not a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a public key has 64 hexadecimal digits")]
pub struct PublicKeyError;

impl PublicKey {
    /// The id of the key, as signatures contain it: the first 16 hexadecimal digits of its SHA-256.
    #[must_use]
    pub fn id(&self) -> String {
        hex::encode(&Sha256::digest(self.0)[..8])
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0)
            .verify(message, signature)
            .is_ok()
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

/// Signs with an Ed25519 key of this machine, and accepts signatures by it and by trusted keys.
pub struct LocalSigner {
    pair: Ed25519KeyPair,
    own: PublicKey,
    trusted: Vec<PublicKey>,
}

impl fmt::Debug for LocalSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSigner")
            .field("own", &self.own)
            .field("trusted", &self.trusted)
            .finish_non_exhaustive()
    }
}

impl LocalSigner {
    /// The key in a file (PKCS #8, PEM). Where there is none, a new key is created, readable by its owner only.
    ///
    /// # Errors
    /// The file cannot be read or written, has another content, or can be read by other users.
    pub fn open(path: &Path) -> Result<Self, SignError> {
        let failed = |reason: String| SignError::KeyFile {
            path: path.display().to_string(),
            reason,
        };
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(path).map_err(|error| failed(error.to_string()))?;
                // Another process may have created it meanwhile: its key counts.
                fs::read_to_string(path)
            }
            read => read,
        };
        let text = text.map_err(|error| failed(error.to_string()))?;
        check_permissions(path).map_err(failed)?;
        parse(&text).map_err(|reason| failed(reason.to_owned()))
    }

    /// A new key that is in no file.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn generate() -> Result<Self, SignError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| SignError::Failed {
            key: "new".to_owned(),
            reason: "the key cannot be generated".to_owned(),
        })?;
        Self::new(pair).map_err(|reason| SignError::Failed {
            key: "new".to_owned(),
            reason: reason.to_owned(),
        })
    }

    fn new(pair: Ed25519KeyPair) -> Result<Self, &'static str> {
        let bytes: &[u8] = pair.public_key().as_ref();
        let own: [u8; 32] = bytes.try_into().map_err(|_| "the public key has not 32 bytes")?;
        Ok(Self {
            pair,
            own: PublicKey(own),
            trusted: Vec::new(),
        })
    }

    /// Accepts signatures by these keys too.
    #[must_use]
    pub fn trusting(mut self, keys: impl IntoIterator<Item = PublicKey>) -> Self {
        self.trusted.extend(keys);
        self
    }

    /// The public key, by which others check signatures.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.own
    }
}

#[async_trait]
impl Signer for LocalSigner {
    async fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        let key = self.own.id();
        let signature = self.pair.try_sign(message).map_err(|_| SignError::Failed {
            key: key.clone(),
            reason: "the key is not usable".to_owned(),
        })?;
        Ok(Signature {
            algorithm: Algorithm::Ed25519,
            key,
            version: VERSION,
            value: STANDARD.encode(signature.as_ref()),
        })
    }

    async fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), SignError> {
        let mut keys = std::iter::once(&self.own).chain(&self.trusted);
        let key = keys.find(|key| key.id() == signature.key && signature.version == VERSION);
        let key = key.ok_or_else(|| SignError::UnknownKey {
            key: signature.key.clone(),
            version: signature.version,
        })?;
        let value = STANDARD.decode(&signature.value).unwrap_or_default();
        if key.verify(message, &value) {
            Ok(())
        } else {
            Err(SignError::Invalid {
                key: signature.key.clone(),
            })
        }
    }
}

/// Writes a new key, unless there is a file already.
fn create(path: &Path) -> io::Result<()> {
    let unusable = |_| io::Error::other("the key cannot be generated");
    let pair = Ed25519KeyPair::generate().map_err(unusable)?;
    let document = pair.to_pkcs8v1().map_err(unusable)?;
    let text = format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(document.as_ref()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // A temporary file is readable by its owner only.
    let mut file = tempfile::Builder::new().prefix(".key-").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}

fn parse(text: &str) -> Result<LocalSigner, &'static str> {
    let body = text
        .trim()
        .strip_prefix(BEGIN)
        .and_then(|rest| rest.strip_suffix(END))
        .ok_or("it is not a private key in PEM (PKCS #8)")?;
    let body: String = body.split_whitespace().collect();
    let document = STANDARD.decode(body).map_err(|_| "its base64 is invalid")?;
    let pair = Ed25519KeyPair::from_pkcs8(&document).or_else(|_| Ed25519KeyPair::from_pkcs8_maybe_unchecked(&document));
    LocalSigner::new(pair.map_err(|_| "it is not an Ed25519 key")?)
}

/// Refuses the file of a key that other users can read or write.
#[cfg(unix)]
pub(crate) fn check_permissions(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)
        .map_err(|error| error.to_string())?
        .permissions()
        .mode()
        & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(format!(
        "its mode is {mode:03o}, so that other users can use it; run: chmod 600 {}",
        path.display()
    ))
}

#[cfg(not(unix))]
pub(crate) fn check_permissions(_path: &Path) -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn key_file_is_created_once_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/backup.pem");
        let first = LocalSigner::open(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let second = LocalSigner::open(&path).unwrap();
        assert_eq!(first.public_key(), second.public_key());
        let signature = first.sign(b"message").await.unwrap();
        second.verify(b"message", &signature).await.unwrap();
        let other = second.verify(b"other message", &signature).await;
        assert!(matches!(other, Err(SignError::Invalid { .. })));
    }

    #[tokio::test]
    async fn signature_of_another_machine_needs_its_public_key() {
        let (one, other) = (LocalSigner::generate().unwrap(), LocalSigner::generate().unwrap());
        let signature = one.sign(b"message").await.unwrap();
        let refused = other.verify(b"message", &signature).await.unwrap_err();
        assert!(refused.to_string().contains("BACKUP_TRUSTED_KEYS"), "{refused}");
        let text = one.public_key().to_string();
        let trusting = other.trusting([text.parse().unwrap()]);
        trusting.verify(b"message", &signature).await.unwrap();
        let mut rotated = signature;
        rotated.version = 2;
        let refused = trusting.verify(b"message", &rotated).await;
        assert!(matches!(refused, Err(SignError::UnknownKey { version: 2, .. })));
    }

    #[test]
    fn readable_or_damaged_key_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup.pem");
        LocalSigner::open(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = LocalSigner::open(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        fs::write(&path, "not a key").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let error = LocalSigner::open(&path).unwrap_err().to_string();
        assert!(error.contains("backup.pem") && error.contains("PEM"), "{error}");
        assert!("00".parse::<PublicKey>().is_err());
    }
}
