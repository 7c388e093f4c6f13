//! [`EncryptedStore`]: objects of another store, encrypted on this machine with age (<https://age-encryption.org/v1>).
//!
//! The contents are encrypted; keys, tags and metadata are not. The metadata of an object have the SHA-256 of its stored bytes, by which
//! damage is distinguished from a missing identity, and the size of its content, since that of the stored bytes is larger. An object that was
//! stored without encryption is returned as it is. Without keys, nothing is written beside encrypted objects of the same server, unless that is
//! intended ([`Encryption::intentionally_none`]): a variable that is forgotten would store everything in plain text.

use std::collections::HashSet;
use std::fmt::{self, Debug};
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use age::x25519::{Identity, Recipient};
use age::{DecryptError, Decryptor, Encryptor};
use async_trait::async_trait;

use super::{Condition, ListedObject, NewObject, Object, ObjectHead, ObjectStore, StoreError, Tags, Version};
use crate::checksum::checksum;
use crate::key::ObjectKey;
use crate::sign::check_permissions;

/// Begin of every encrypted object.
const BEGIN: &[u8] = b"age-encryption.org/v1\n";
/// Name of the checksum of the stored bytes in the metadata.
const CHECKSUM: &str = "age-sha256";
/// Name of the size of the content in the metadata.
const SIZE: &str = "age-size";

/// Folders with objects of servers: `FOLDER/SERVER/…`.
const FOLDERS: [&str; 4] = ["state", "snapshots", "exports", "themes"];

/// Why encryption cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EncryptionError {
    /// The file of the identity cannot be used.
    #[error("the age identity {path} cannot be used: {reason}")]
    Identity {
        /// Path of the file.
        path: String,
        /// The reason.
        reason: String,
    },
    /// A recipient is invalid.
    #[error("{recipient:?} is not an age recipient, which begins with age1: {reason}")]
    Recipient {
        /// The text.
        recipient: String,
        /// The reason.
        reason: &'static str,
    },
}

/// Keys of age: the identities decrypt, and everything is encrypted to the recipients. The default has none, and encrypts nothing.
#[derive(Clone, Default)]
pub struct Encryption {
    identities: Vec<Identity>,
    recipients: Vec<Recipient>,
    is_intentionally_none: bool,
}

impl Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryption")
            .field("recipients", &self.recipients)
            .finish_non_exhaustive()
    }
}

impl Encryption {
    /// No keys, on purpose: objects are written in plain text also beside encrypted ones.
    #[must_use]
    pub fn intentionally_none() -> Self {
        Self {
            is_intentionally_none: true,
            ..Self::default()
        }
    }

    /// The identities of a file as `age-keygen` writes it. Objects are encrypted to them, and to further recipients.
    ///
    /// # Errors
    /// The file cannot be read, has no identity, or can be read by other users; a recipient is invalid.
    pub fn open(path: &Path, further: &[String]) -> Result<Self, EncryptionError> {
        let failed = |reason: String| EncryptionError::Identity {
            path: path.display().to_string(),
            reason,
        };
        let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        check_permissions(path).map_err(failed)?;
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let identities: Result<Vec<Identity>, &str> = lines.map(str::parse::<Identity>).collect();
        let identities = identities.map_err(|reason| {
            failed(format!(
                "a line is neither a comment nor an identity (AGE-SECRET-KEY-1…): {reason}"
            ))
        })?;
        if identities.is_empty() {
            return Err(failed("it has no identity; `age-keygen -o FILE` writes one".to_owned()));
        }
        let mut recipients: Vec<Recipient> = identities.iter().map(Identity::to_public).collect();
        for text in further {
            let recipient = text.parse::<Recipient>().map_err(|reason| EncryptionError::Recipient {
                recipient: text.clone(),
                reason,
            })?;
            if !recipients.contains(&recipient) {
                recipients.push(recipient);
            }
        }
        Ok(Self {
            identities,
            recipients,
            is_intentionally_none: false,
        })
    }

    fn encrypt(&self, content: &[u8]) -> Result<Vec<u8>, String> {
        let recipients = self.recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(recipients).map_err(|error| error.to_string())?;
        let mut encrypted = Vec::new();
        let written = encryptor.wrap_output(&mut encrypted).and_then(|mut writer| {
            writer.write_all(content)?;
            writer.finish().map(|_| ())
        });
        written.map_err(|error| error.to_string())?;
        Ok(encrypted)
    }

    fn decrypt(&self, encrypted: &[u8]) -> Result<Vec<u8>, DecryptError> {
        let identities = self.identities.iter().map(|identity| identity as &dyn age::Identity);
        let mut reader = Decryptor::new_buffered(encrypted)?.decrypt(identities)?;
        let mut content = Vec::new();
        reader.read_to_end(&mut content)?;
        Ok(content)
    }
}

/// A store that encrypts the objects of another one.
#[derive(Clone, Debug)]
pub struct EncryptedStore {
    inner: Arc<dyn ObjectStore>,
    encryption: Encryption,
    /// Servers that have no encrypted objects, as their names in keys.
    plain_servers: Arc<Mutex<HashSet<String>>>,
}

impl EncryptedStore {
    /// The store with encrypted contents.
    #[must_use]
    pub fn new(inner: Arc<dyn ObjectStore>, encryption: Encryption) -> Self {
        Self {
            inner,
            encryption,
            plain_servers: Arc::default(),
        }
    }

    /// Refuses to write an object in plain text beside encrypted ones of its server. The newest object of each folder decides.
    async fn refuse_plain(&self, key: &ObjectKey) -> Result<(), StoreError> {
        let server = match key.as_str().split_once('/') {
            Some((folder, rest)) if FOLDERS.contains(&folder) => rest.split('/').next().unwrap_or_default().to_owned(),
            _ => return Ok(()),
        };
        if self.encryption.is_intentionally_none || self.plain_servers().contains(&server) {
            return Ok(());
        }
        for folder in FOLDERS {
            let listed = self.inner.list(&format!("{folder}/{server}/")).await?;
            let Some(newest) = listed.into_iter().max_by_key(|object| object.modified) else {
                continue;
            };
            let is_encrypted = match self.inner.head(&newest.key).await {
                Ok(head) => head.metadata.contains_key(CHECKSUM),
                // Deleted meanwhile.
                Err(error) if error.is_not_found() => false,
                Err(error) => return Err(error),
            };
            if is_encrypted {
                return Err(StoreError::Refused {
                    operation: "write",
                    object: self.describe(key.as_str()),
                    reason: format!(
                        "{} is encrypted with age, and this would be stored without encryption: set BACKUP_AGE_IDENTITY to the file with the \
                         identity; BACKUP_AGE_IDENTITY=none stores without encryption",
                        self.describe(newest.key.as_str())
                    ),
                });
            }
        }
        self.plain_servers().insert(server);
        Ok(())
    }

    fn plain_servers(&self) -> MutexGuard<'_, HashSet<String>> {
        // A set of names is whole after a panic as well.
        self.plain_servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn damaged(&self, key: &ObjectKey, reason: String) -> StoreError {
        StoreError::Damaged {
            object: self.describe(key.as_str()),
            reason,
        }
    }

    /// The content of an encrypted object.
    fn decrypt(&self, key: &ObjectKey, bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.encryption.decrypt(bytes).map_err(|error| match error {
            DecryptError::NoMatchingKeys => StoreError::Encrypted {
                object: self.describe(key.as_str()),
                reason: match self.encryption.identities.is_empty() {
                    true => "it is encrypted with age; set BACKUP_AGE_IDENTITY to the file with its identity",
                    false => "it is encrypted for another identity than those of BACKUP_AGE_IDENTITY",
                }
                .to_owned(),
            },
            other => self.damaged(key, format!("it cannot be decrypted: {other}")),
        })
    }
}

#[async_trait]
impl ObjectStore for EncryptedStore {
    fn describe(&self, key: &str) -> String {
        self.inner.describe(key)
    }

    fn deletes_tagged(&self) -> bool {
        self.inner.deletes_tagged()
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.inner.check().await
    }

    async fn put(&self, key: &ObjectKey, object: NewObject, condition: &Condition) -> Result<Version, StoreError> {
        if self.encryption.recipients.is_empty() {
            self.refuse_plain(key).await?;
            return self.inner.put(key, object, condition).await;
        }
        let size = object.bytes.len();
        let bytes = self.encryption.encrypt(&object.bytes);
        let bytes = bytes.map_err(|reason| StoreError::Refused {
            operation: "encrypt",
            object: self.describe(key.as_str()),
            reason,
        })?;
        let stored = checksum(&bytes);
        let object = NewObject { bytes, ..object };
        let object = object.described(CHECKSUM, stored).described(SIZE, size.to_string());
        self.inner.put(key, object, condition).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Object, StoreError> {
        let mut object = self.inner.get(key).await?;
        let wanted = object.head.metadata.remove(CHECKSUM);
        object.head.metadata.remove(SIZE);
        if wanted.is_none() && !object.bytes.starts_with(BEGIN) {
            return Ok(object);
        }
        let found = checksum(&object.bytes);
        if let Some(wanted) = wanted
            && wanted != found
        {
            return Err(self.damaged(
                key,
                format!("the SHA-256 of its stored bytes is {found}, and {wanted} is recorded"),
            ));
        }
        object.bytes = self.decrypt(key, &object.bytes)?;
        object.head.size = object.bytes.len() as u64;
        Ok(object)
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectHead, StoreError> {
        let mut head = self.inner.head(key).await?;
        head.metadata.remove(CHECKSUM);
        let size = head.metadata.remove(SIZE).and_then(|size| size.parse().ok());
        head.size = size.unwrap_or(head.size);
        Ok(head)
    }

    /// The sizes are those of the stored bytes.
    async fn list(&self, prefix: &str) -> Result<Vec<ListedObject>, StoreError> {
        self.inner.list(prefix).await
    }

    async fn delete(&self, key: &ObjectKey, only: Option<&Version>) -> Result<(), StoreError> {
        self.inner.delete(key, only).await
    }

    async fn is_plain(&self, key: &ObjectKey) -> Result<bool, StoreError> {
        if self.encryption.recipients.is_empty() {
            return Ok(false);
        }
        let object = self.inner.get(key).await?;
        Ok(!object.head.metadata.contains_key(CHECKSUM) && !object.bytes.starts_with(BEGIN))
    }

    async fn tags(&self, key: &ObjectKey) -> Result<Tags, StoreError> {
        self.inner.tags(key).await
    }

    async fn set_tags(&self, key: &ObjectKey, tags: &Tags) -> Result<(), StoreError> {
        self.inner.set_tags(key, tags).await
    }
}
