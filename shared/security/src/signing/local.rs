//! [`LocalSigner`]: an Ed25519 key in a file.
//!
//! For development, and for gaib on an operator's machine. A rotation replaces the file and appends the earlier public key to a second file
//! beside it, `FILE.retired`, whose keys still verify. Processes that have opened the file earlier read both files again when they meet a
//! signature by a key that they do not have, and before they rotate.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::RwLock;

use super::{Algorithm, PublicKey, PublicKeyVersion, SignError, Signature, Signer, TrustedKeys};

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// Signs with an Ed25519 key of this machine, and accepts signatures by it, by its earlier versions and by trusted keys.
pub struct LocalSigner {
    /// The file; `None` for a key that is in no file.
    path: Option<PathBuf>,
    keys: RwLock<Arc<Keys>>,
    trusted: TrustedKeys,
}

/// The versions of the key.
struct Keys {
    pair: Ed25519KeyPair,
    own: PublicKey,
    /// Earlier versions, the oldest first: the first one is version 1.
    retired: Vec<PublicKey>,
}

impl fmt::Debug for LocalSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSigner")
            .field("own", &self.public_key())
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
        if !path.exists() {
            // Another process may create it meanwhile: its key counts.
            create(path).map_err(|error| key_file(path, error.to_string()))?;
        }
        Ok(Self::with(Keys::read(path)?, Some(path.to_owned())))
    }

    /// A new key that is in no file.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn generate() -> Result<Self, SignError> {
        Ok(Self::with(Keys::generate(Vec::new())?, None))
    }

    fn with(keys: Keys, path: Option<PathBuf>) -> Self {
        Self {
            path,
            keys: RwLock::new(Arc::new(keys)),
            trusted: TrustedKeys::default(),
        }
    }

    /// Accepts signatures by these keys too, beside those of earlier calls.
    #[must_use]
    pub fn trusting(mut self, keys: impl IntoIterator<Item = PublicKey>) -> Self {
        self.trusted.extend(keys);
        self
    }

    /// The public key, by which others check signatures.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.keys.read().own
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read())
    }

    /// The public key of this id and version, where another process may have rotated the key.
    fn own_key(&self, signature: &Signature) -> Option<PublicKey> {
        let found = self.keys().find(signature);
        let Some(path) = self.path.as_deref().filter(|_| found.is_none()) else {
            return found;
        };
        // A file that cannot be read any more leaves the keys that this process has.
        let keys = Arc::new(Keys::read(path).ok()?);
        let found = keys.find(signature);
        if found.is_some() {
            *self.keys.write() = keys;
        }
        found
    }
}

#[async_trait]
impl Signer for LocalSigner {
    async fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        self.keys().sign(message)
    }

    async fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), SignError> {
        match self.own_key(signature) {
            Some(key) if key.has_signed(message, signature) => Ok(()),
            Some(_) => Err(SignError::Invalid {
                key: signature.key.clone(),
            }),
            None => self.trusted.verify(message, signature),
        }
    }

    async fn sign_batch(&self, messages: &[&[u8]]) -> Result<Vec<Signature>, SignError> {
        let keys = self.keys();
        messages.iter().map(|message| keys.sign(message)).collect()
    }

    async fn rotate(&self) -> Result<u32, SignError> {
        let rotated = match &self.path {
            Some(path) => rotate_file(path)?,
            None => {
                let keys = self.keys();
                Keys::generate(keys.retired.iter().copied().chain([keys.own]).collect())?
            }
        };
        let version = rotated.version();
        *self.keys.write() = Arc::new(rotated);
        Ok(version)
    }

    async fn public_keys(&self) -> Result<Vec<PublicKeyVersion>, SignError> {
        Ok(self.keys().all())
    }
}

impl Keys {
    /// Reads the files of a key.
    fn read(path: &Path) -> Result<Self, SignError> {
        let failed = |reason: String| key_file(path, reason);
        let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        check_permissions(path).map_err(failed)?;
        let mut keys = Self::parse(&text).map_err(|reason| failed(reason.to_owned()))?;
        keys.retired = read_retired(&retired_path(path), keys.own)?;
        Ok(keys)
    }

    fn generate(retired: Vec<PublicKey>) -> Result<Self, SignError> {
        let failed = |reason: &str| SignError::Failed {
            key: "new".to_owned(),
            reason: reason.to_owned(),
        };
        let pair = Ed25519KeyPair::generate().map_err(|_| failed("the key cannot be generated"))?;
        let mut keys = Self::new(pair).map_err(failed)?;
        keys.retired = retired;
        Ok(keys)
    }

    fn new(pair: Ed25519KeyPair) -> Result<Self, &'static str> {
        let bytes: &[u8] = pair.public_key().as_ref();
        let own: [u8; 32] = bytes.try_into().map_err(|_| "the public key has not 32 bytes")?;
        Ok(Self {
            pair,
            own: PublicKey::from_bytes(own),
            retired: Vec::new(),
        })
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let body = text
            .trim()
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.strip_suffix(END))
            .ok_or("it is not a private key in PEM (PKCS #8)")?;
        let body: String = body.split_whitespace().collect();
        let document = STANDARD.decode(body).map_err(|_| "its base64 is invalid")?;
        let pair =
            Ed25519KeyPair::from_pkcs8(&document).or_else(|_| Ed25519KeyPair::from_pkcs8_maybe_unchecked(&document));
        Self::new(pair.map_err(|_| "it is not an Ed25519 key")?)
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        let key = self.own.id();
        let signature = self.pair.try_sign(message).map_err(|_| SignError::Failed {
            key: key.clone(),
            reason: "the key is not usable".to_owned(),
        })?;
        Ok(Signature {
            algorithm: Algorithm::Ed25519,
            key,
            version: self.version(),
            value: STANDARD.encode(signature.as_ref()),
        })
    }

    /// The version that signs.
    fn version(&self) -> u32 {
        u32::try_from(self.retired.len()).unwrap_or(u32::MAX - 1) + 1
    }

    /// Every version, the oldest first.
    fn all(&self) -> Vec<PublicKeyVersion> {
        let keys = self.retired.iter().copied().chain([self.own]);
        (1..)
            .zip(keys)
            .map(|(version, public_key)| PublicKeyVersion {
                key: public_key.id(),
                version,
                public_key,
            })
            .collect()
    }

    fn find(&self, signature: &Signature) -> Option<PublicKey> {
        let mut all = self.all().into_iter();
        let found = all.find(|key| key.key == signature.key && key.version == signature.version);
        found.map(|found| found.public_key)
    }
}

fn key_file(path: &Path, reason: String) -> SignError {
    SignError::KeyFile {
        path: path.display().to_string(),
        reason,
    }
}

/// The file with the public keys of earlier versions.
fn retired_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".retired");
    PathBuf::from(name)
}

/// The public keys of earlier versions, one a line. The key in use is in this file after an interrupted rotation, and is not one of them.
fn read_retired(path: &Path, own: PublicKey) -> Result<Vec<PublicKey>, SignError> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|error| key_file(path, error.to_string()))?,
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys: Result<Vec<PublicKey>, _> = lines.map(str::parse::<PublicKey>).collect();
    let keys = keys.map_err(|error| key_file(path, error.to_string()))?;
    Ok(keys.into_iter().filter(|key| *key != own).collect())
}

/// Replaces the key in a file. The earlier public key is written first, so that an interruption at any point leaves a key that signs, and every
/// signature verifiable. One process at a time.
fn rotate_file(path: &Path) -> Result<Keys, SignError> {
    let retired = retired_path(path);
    let failed = |error: io::Error| key_file(&retired, error.to_string());
    let mut list = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&retired)
        .map_err(failed)?;
    list.lock().map_err(failed)?;
    let keys = Keys::read(path)?;
    let text = fs::read_to_string(&retired).map_err(failed)?;
    if !text.lines().any(|line| line.trim() == keys.own.to_string()) {
        writeln!(list, "{}", keys.own).map_err(failed)?;
    }
    list.sync_all().map_err(failed)?;
    let replaced = new_document(path).and_then(|file| file.persist(path).map_err(|error| error.error));
    replaced.map_err(|error| key_file(path, error.to_string()))?;
    Keys::read(path)
}

/// Writes a new key, unless there is a file already.
fn create(path: &Path) -> io::Result<()> {
    match new_document(path)?.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}

/// A new key in a temporary file beside its path.
fn new_document(path: &Path) -> io::Result<tempfile::NamedTempFile> {
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
    Ok(file)
}

/// Refuses the file of a key that other users can read or write.
///
/// # Errors
/// The reason, with the command that corrects it.
#[cfg(unix)]
pub fn check_permissions(path: &Path) -> Result<(), String> {
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

/// Refuses the file of a key that other users can read or write; here, permissions are not checked.
///
/// # Errors
/// Never.
#[cfg(not(unix))]
pub fn check_permissions(_path: &Path) -> Result<(), String> {
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
        let changed = trusting.verify(b"other message", &signature).await;
        assert!(matches!(changed, Err(SignError::Invalid { .. })));
        let mut rotated = signature;
        rotated.version = 2;
        let refused = one.verify(b"message", &rotated).await;
        assert!(matches!(refused, Err(SignError::UnknownKey { version: 2, .. })));
    }

    #[tokio::test]
    async fn earlier_versions_verify_after_rotations_also_in_other_processes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup.pem");
        let (one, other) = (LocalSigner::open(&path).unwrap(), LocalSigner::open(&path).unwrap());
        let mut signatures = vec![one.sign(b"message").await.unwrap()];
        for version in 2..=4 {
            // Each process rotates what the other one has left.
            let rotating = if version % 2 == 0 { &one } else { &other };
            assert_eq!(rotating.rotate().await.unwrap(), version);
            let batch = rotating.sign_batch(&[b"message", b"other"]).await.unwrap();
            assert_eq!((batch.len(), batch[1].version), (2, version));
            signatures.push(batch[0].clone());
        }
        let reopened = LocalSigner::open(&path).unwrap();
        for signature in &signatures {
            for signer in [&one, &other, &reopened] {
                signer.verify(b"message", signature).await.unwrap();
            }
        }
        let keys = reopened.public_keys().await.unwrap();
        assert_eq!(keys.len(), 4);
        assert_eq!(keys[3].public_key, reopened.public_key());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn interrupted_rotation_leaves_the_key_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup.pem");
        let signer = LocalSigner::open(&path).unwrap();
        let signature = signer.sign(b"message").await.unwrap();
        fs::write(retired_path(&path), format!("{}\n", signer.public_key())).unwrap();
        let reopened = LocalSigner::open(&path).unwrap();
        reopened.verify(b"message", &signature).await.unwrap();
        assert_eq!(reopened.sign(b"message").await.unwrap().version, 1);
        assert_eq!(reopened.rotate().await.unwrap(), 2);
        reopened.verify(b"message", &signature).await.unwrap();
    }

    /// Test 1 of RFC 8032, section 7.1.
    #[tokio::test]
    async fn key_of_rfc_8032_signs_as_published() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let document = hex::decode(format!("302e020100300506032b657004220420{seed}")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vector.pem");
        fs::write(&path, format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(document))).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let signer = LocalSigner::open(&path).unwrap();
        assert_eq!(
            signer.public_key().to_string(),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
        let signature = signer.sign(b"").await.unwrap();
        assert_eq!(
            hex::encode(STANDARD.decode(signature.value).unwrap()),
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        );
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
