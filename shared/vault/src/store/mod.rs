//! Object stores: [`ObjectStore`] and its implementations.
//!
//! [`FolderStore`] keeps objects as files of a folder, `S3Store` in a bucket, `EncryptedStore` encrypts those of another store. Objects are small, so their bytes are in memory. A
//! new store implements the trait and runs the conformance suite in `tests/it/conformance/store.rs`.

mod description;
#[cfg(feature = "encryption")]
mod encrypted;
mod error;
mod folder;
mod hooked;
#[cfg(feature = "aws")]
mod s3;

use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::key::ObjectKey;

#[cfg(feature = "encryption")]
pub use encrypted::{EncryptedStore, Encryption, EncryptionError};
pub use error::StoreError;
pub use folder::FolderStore;
pub use hooked::{HookedStore, StoreHook, StoreOperation};
#[cfg(feature = "aws")]
pub use s3::{S3Options, S3Store};

/// Largest object that a store reads, in bytes. A larger one is refused before it is in memory.
pub const MAX_OBJECT_BYTES: u64 = 64 << 20;

/// Version of an object's content, as the store identifies it: S3's ETag, or the SHA-256 of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(String);

impl Version {
    /// A version that a store returned earlier.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The ETag (S3) or the SHA-256 (folder).
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tags of an object, by key. S3 permits ten.
pub type Tags = BTreeMap<String, String>;

/// When a write takes effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Always: an object of this name is replaced.
    Any,
    /// Only if there is no object of this name.
    Absent,
    /// Only if the object has this version.
    Version(Version),
}

/// An object to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewObject {
    /// The content.
    pub bytes: Vec<u8>,
    /// Metadata: lower-case names of letters, digits and `-`, values of visible ASCII characters; at most 1,500 bytes in all.
    pub metadata: BTreeMap<String, String>,
    /// Tags, set in the same write.
    pub tags: Tags,
}

impl NewObject {
    /// An object without metadata and tags.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            ..Self::default()
        }
    }

    /// The same object with a tag.
    #[must_use]
    pub fn tagged(mut self, key: &str, value: impl Into<String>) -> Self {
        self.tags.insert(key.to_owned(), value.into());
        self
    }

    /// The same object with metadata of this name.
    #[must_use]
    pub fn described(mut self, name: &str, value: impl Into<String>) -> Self {
        self.metadata.insert(name.to_owned(), value.into());
        self
    }
}

/// What a store records about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectHead {
    /// Version of the content.
    pub version: Version,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last write, by the store's clock.
    pub modified: OffsetDateTime,
    /// Metadata, as written.
    pub metadata: BTreeMap<String, String>,
}

/// An object that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The content.
    pub bytes: Vec<u8>,
    /// What the store records about it.
    pub head: ObjectHead,
}

/// An object of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Name.
    pub key: ObjectKey,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last write, by the store's clock.
    pub modified: OffsetDateTime,
}

/// A store of objects, by key.
///
/// Every call retries transient failures within bounds. A response that is lost after the write took effect is recognised: the write
/// succeeds. [`StoreError::UnknownOutcome`] remains only where the store cannot be read afterwards.
#[async_trait]
pub trait ObjectStore: Debug + Send + Sync {
    /// The name of an object for messages: `s3://bucket/prefix/key`, or a path.
    fn describe(&self, key: &str) -> String;

    /// Whether the store itself deletes objects with the tag `Retain=expired`, as lifecycle rules of a bucket do. Where it does not,
    /// retention deletes them.
    fn deletes_tagged(&self) -> bool;

    /// Checks that the store responds, permits writes and honours conditions, with an object of its own that is then deleted. Called
    /// before the first conditional write of a process; some S3-compatible stores ignore conditions, and a lock there locks nothing.
    ///
    /// # Errors
    /// [`StoreError::IgnoresConditions`], or why the store cannot be used.
    async fn check(&self) -> Result<(), StoreError>;

    /// Writes an object, whole or not at all. Returns its version.
    ///
    /// # Errors
    /// [`StoreError::ConditionFailed`] where the condition does not hold; nothing is written then.
    async fn put(&self, key: &ObjectKey, object: NewObject, condition: &Condition) -> Result<Version, StoreError>;

    /// Reads an object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none, [`StoreError::TooLarge`] above [`MAX_OBJECT_BYTES`].
    async fn get(&self, key: &ObjectKey) -> Result<Object, StoreError>;

    /// What is recorded about an object, without its content.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    async fn head(&self, key: &ObjectKey) -> Result<ObjectHead, StoreError>;

    /// All objects whose keys begin with `prefix`, sorted by key. Incomplete uploads are not objects. Objects whose names are not
    /// valid keys are left out.
    ///
    /// # Errors
    /// The store cannot be read.
    async fn list(&self, prefix: &str) -> Result<Vec<ListedObject>, StoreError>;

    /// Deletes an object, if `only` is given: only in this version. No error where there is none, so it can be repeated.
    ///
    /// # Errors
    /// [`StoreError::ConditionFailed`] where the object has another version.
    async fn delete(&self, key: &ObjectKey, only: Option<&Version>) -> Result<(), StoreError>;

    /// Whether an object is stored without encryption although this store encrypts: an earlier program stored it, or one without the
    /// identity. False in a store that does not encrypt.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    async fn is_plain(&self, _key: &ObjectKey) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// The tags of an object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    async fn tags(&self, key: &ObjectKey) -> Result<Tags, StoreError>;

    /// Replaces the tags of an object. The version stays the same.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    async fn set_tags(&self, key: &ObjectKey, tags: &Tags) -> Result<(), StoreError>;
}
