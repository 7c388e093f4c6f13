//! Exports: the live server as a configuration, each under its time, the newest also as `config.latest.yaml`. Their images are beside them.
//!
//! An export is signed: by its metadata, which state its server, time, size and checksum. An image is named by the SHA-256 of its content,
//! and the configuration names it, so the signature covers the images, too.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::Vault;
use super::backups::TIER;
use super::verify::UnusableObjects;
use super::write::NameTimes;
use crate::checksum::checksum;
use crate::damage::Damage;
use crate::error::VaultError;
use crate::key::ObjectKey;
use crate::paths;
use crate::sealed::{self, Statement};
use crate::server::ServerId;
use crate::sign::{Signature, SigningPurpose};
use crate::store::{Condition, ListedObject, NewObject, ObjectHead, StoreError};

/// Name of the server in the metadata of an export.
const SERVER: &str = "server";
/// Name of the checksum in the metadata of an export.
const CHECKSUM: &str = "checksum";
/// Name of the time in the metadata of an export: the second name of the newest one has none.
const CREATED: &str = "created";
/// Name of the signature in the metadata of an export.
const SIGNATURE: &str = "signature";

/// Age from which an image may be deleted with the only export that names it. An export that is being stored writes its images first.
const IMAGE_IS_OLD_AFTER: Duration = Duration::HOUR;

/// The names of the image files that a configuration needs, or why it cannot be parsed. The vault does not parse configurations.
pub type ImageReferences<'a> = dyn Fn(&[u8]) -> Result<BTreeSet<String>, String> + Send + Sync + 'a;

/// An export that was read, after its checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Its object.
    pub key: ObjectKey,
    /// Time of its creation, to the millisecond.
    pub created: OffsetDateTime,
    /// The configuration.
    pub yaml: Vec<u8>,
    /// `None` of an export that an earlier version stored, or whose signature was removed.
    pub signature: Option<Signature>,
}

impl Export {
    /// Whether it is signed.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.signature.is_some()
    }
}

/// What the signature of an export states: its bytes, and what they are.
#[derive(Serialize)]
struct ExportStatement {
    server: ServerId,
    #[serde(with = "time::serde::rfc3339")]
    created: OffsetDateTime,
    size: u64,
    checksum: String,
}

impl Statement for ExportStatement {
    const PURPOSE: SigningPurpose = SigningPurpose::Export;
}

impl ExportStatement {
    fn new(server: ServerId, created: OffsetDateTime, yaml: &[u8]) -> Self {
        Self {
            server,
            created,
            size: yaml.len() as u64,
            checksum: checksum(yaml),
        }
    }
}

/// Result of [`Vault::verify_exports`].
#[derive(Debug, Default)]
pub struct ExportsReport {
    /// Number of exports that passed all checks.
    pub whole: usize,
    /// Number of those of them without a signature: an earlier version stored them, or the signature was removed.
    pub unsigned: usize,
    /// Exports that cannot be used here, also under the second name of the newest one.
    pub unusable: UnusableObjects,
}

impl Vault {
    /// Writes an export, signed, first under its time and then as the newest one. Returns the key with the time.
    ///
    /// # Errors
    /// The store cannot be written, or the export cannot be signed.
    pub async fn write_export(
        &self,
        server: ServerId,
        yaml: &[u8],
        now: OffsetDateTime,
    ) -> Result<ObjectKey, VaultError> {
        let plan = self.plan(server).await?;
        let mut times = NameTimes::from_now(now);
        let (key, object) = loop {
            let created = times.current();
            let key = paths::export(server, created)?;
            let object = self.signed_export(&key, server, created, yaml).await?;
            let object = object.tagged(TIER, plan.as_str());
            let written = self.parts.store.put(&key, object.clone(), &Condition::Absent).await;
            if times.is_written(written)? {
                break (key, object);
            }
        };
        let latest = paths::latest_export(server);
        self.parts.store.put(&latest, object, &Condition::Any).await?;
        Ok(key)
    }

    async fn signed_export(
        &self,
        key: &ObjectKey,
        server: ServerId,
        created: OffsetDateTime,
        yaml: &[u8],
    ) -> Result<NewObject, VaultError> {
        let statement = ExportStatement::new(server, created, yaml);
        let signature = sealed::sign(&statement, &*self.parts.signer).await;
        let signature = signature.map_err(|error| self.unsealed(key, error))?;
        let signature = serde_json::to_vec(&signature).map_err(|error| VaultError::encode(&self.name(key), &error))?;
        Ok(NewObject::new(yaml)
            .described(SERVER, server.to_string())
            .described(CHECKSUM, statement.checksum)
            .described(CREATED, paths::time_text(created))
            .described(SIGNATURE, URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Writes the images of an export: by the SHA-256 of their contents, in hexadecimal digits, with their extension. They precede the export,
    /// so that no image is older than an export that has it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn write_export_images(
        &self,
        server: ServerId,
        images: BTreeMap<String, Vec<u8>>,
    ) -> Result<(), VaultError> {
        let plan = self.plan(server).await?;
        for (name, bytes) in images {
            let key = paths::export_image(server, &name)?;
            let object = NewObject::new(bytes).tagged(TIER, plan.as_str());
            // Also where it is stored: that makes it new, and not expired.
            self.parts.store.put(&key, object, &Condition::Any).await?;
        }
        Ok(())
    }

    /// The newest export; `None` where there is none.
    ///
    /// # Errors
    /// As [`Vault::read_export`].
    pub async fn latest_export(&self, server: ServerId) -> Result<Option<Export>, VaultError> {
        match self.read_export(server, &paths::latest_export(server)).await {
            Err(VaultError::Store(StoreError::NotFound { .. })) => Ok(None),
            read => read.map(Some),
        }
    }

    /// The exports of a server, newest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn exports(&self, server: ServerId) -> Result<Vec<ListedObject>, VaultError> {
        let mut listed = self.parts.store.list(&paths::exports(server)).await?;
        listed.retain(|object| paths::parse_export(server, &object.key).is_some());
        listed.reverse();
        Ok(listed)
    }

    /// The keys of all exports of a server, newest first, then the second name of the newest one.
    async fn export_keys(&self, server: ServerId) -> Result<Vec<ObjectKey>, VaultError> {
        let keys = self.exports(server).await?.into_iter().map(|export| export.key);
        Ok(keys.chain([paths::latest_export(server)]).collect())
    }

    /// An export of a server, by a key of [`Vault::exports`]: without its images. One without a signature ([`Export::is_signed`]) passes the
    /// checks: the caller decides.
    ///
    /// # Errors
    /// [`VaultError::Damaged`], [`VaultError::NotTrusted`], [`VaultError::OtherServer`], or the store cannot be read.
    pub async fn read_export(&self, server: ServerId, key: &ObjectKey) -> Result<Export, VaultError> {
        let export = self.open_export(server, key).await?;
        self.check_export_signature(server, &export).await?;
        Ok(export)
    }

    /// The configuration of an export after its checks, also where its key is not trusted here: it is good for those who trust its key.
    pub(super) async fn export_of_any_key(&self, server: ServerId, key: &ObjectKey) -> Result<Vec<u8>, VaultError> {
        let export = self.open_export(server, key).await?;
        match self.check_export_signature(server, &export).await {
            Err(error) if !error.is_of_unknown_key() => Err(error),
            _ => Ok(export.yaml),
        }
    }

    /// An export after all checks but that of its signature.
    async fn open_export(&self, server: ServerId, key: &ObjectKey) -> Result<Export, VaultError> {
        let object = self.parts.store.get(key).await?;
        let metadata = &object.head.metadata;
        let of_server = metadata.get(SERVER).and_then(|server| server.parse::<ServerId>().ok());
        if let Some(found) = of_server
            && found != server
        {
            return Err(self.other_server(key, found, server));
        }
        let found = checksum(&object.bytes);
        if let Some(wanted) = metadata.get(CHECKSUM)
            && *wanted != found
        {
            let wanted = wanted.clone();
            return Err(self.damaged(key, Damage::Checksum { found, wanted }));
        }
        Ok(Export {
            key: key.clone(),
            created: created_of(server, key, &object.head),
            signature: signature_of(&object.head),
            yaml: object.bytes,
        })
    }

    async fn check_export_signature(&self, server: ServerId, export: &Export) -> Result<(), VaultError> {
        let Some(signature) = &export.signature else {
            return Ok(());
        };
        let statement = ExportStatement::new(server, export.created, &export.yaml);
        let checked = sealed::verify(&statement, signature, &*self.parts.signer).await;
        checked.map_err(|damage| self.damaged(&export.key, damage))
    }

    /// Checks what can be checked of an export without reading it: that it exists, and that the signature is of its recorded checksum and its
    /// present size. Returns whether it is signed.
    ///
    /// # Errors
    /// [`VaultError::Damaged`], [`VaultError::NotTrusted`], or the store cannot be read.
    pub async fn inspect_export(&self, server: ServerId, key: &ObjectKey) -> Result<bool, VaultError> {
        let head = match self.parts.store.head(key).await {
            Ok(head) => head,
            Err(StoreError::NotFound { .. }) => return Err(self.damaged(key, Damage::Missing)),
            Err(error) => return Err(error.into()),
        };
        let Some(signature) = signature_of(&head) else {
            return Ok(false);
        };
        let created = created_of(server, key, &head);
        let statement = ExportStatement {
            server,
            created,
            size: head.size,
            checksum: head.metadata.get(CHECKSUM).cloned().unwrap_or_default(),
        };
        let checked = sealed::verify(&statement, &signature, &*self.parts.signer).await;
        checked.map_err(|damage| self.damaged(key, damage))?;
        Ok(true)
    }

    /// An image of an export, by its name.
    ///
    /// # Errors
    /// [`VaultError::Damaged`]: it is missing, or its content does not have the checksum of its name. [`VaultError::Key`]: the name is not
    /// valid for a file.
    pub async fn read_export_image(
        &self,
        server: ServerId,
        export: &Export,
        name: &str,
    ) -> Result<Vec<u8>, VaultError> {
        let key = paths::export_image(server, name)?;
        let bytes = self.bytes_of(&key).await?;
        let wanted = name.split('.').next().unwrap_or_default();
        let found = checksum(&bytes);
        let names_content = wanted.len() == found.len() && wanted.bytes().all(|byte| byte.is_ascii_hexdigit());
        if names_content && wanted != found {
            let wanted = wanted.to_owned();
            return Err(self.damaged(&key, Damage::Checksum { found, wanted }));
        }
        if !names_content && export.is_signed() {
            let reason = "its name is not the SHA-256 of its content, which a signed export has";
            return Err(self.damaged(&key, Damage::Content(reason.to_owned())));
        }
        Ok(bytes)
    }

    /// Reads an export with all checks, and the images that it names. `references` finds their names.
    ///
    /// # Errors
    /// As [`Vault::read_export`] and [`Vault::read_export_image`].
    pub async fn verify_export(
        &self,
        server: ServerId,
        key: &ObjectKey,
        references: &ImageReferences<'_>,
    ) -> Result<Export, VaultError> {
        let mut verified = BTreeSet::new();
        self.verify_with_images(server, key, references, &mut verified).await
    }

    /// The same, without the images in `verified`, to which those are added that are whole.
    async fn verify_with_images(
        &self,
        server: ServerId,
        key: &ObjectKey,
        references: &ImageReferences<'_>,
        verified: &mut BTreeSet<String>,
    ) -> Result<Export, VaultError> {
        let export = self.read_export(server, key).await?;
        let names = references(&export.yaml).map_err(|reason| self.damaged(key, Damage::Content(reason)))?;
        for name in names {
            // What a signed export accepts, each accepts.
            if !verified.contains(&name) {
                self.read_export_image(server, &export, &name).await?;
                if export.is_signed() {
                    verified.insert(name);
                }
            }
        }
        Ok(export)
    }

    /// Checks every export of a server with its images, and the second name of the newest one. `progress` is called after each with its
    /// result; for the second name only where it is not whole.
    ///
    /// # Errors
    /// The store fails. Damage is no error: it is in the report.
    pub async fn verify_exports(
        &self,
        server: ServerId,
        references: &ImageReferences<'_>,
        progress: &mut (dyn FnMut(&ObjectKey, Result<&Export, &VaultError>) + Send),
    ) -> Result<ExportsReport, VaultError> {
        let mut report = ExportsReport::default();
        let mut verified = BTreeSet::new();
        let latest = paths::latest_export(server);
        for key in self.export_keys(server).await? {
            match self.verify_with_images(server, &key, references, &mut verified).await {
                Ok(_) if key == latest => {}
                Ok(export) => {
                    progress(&key, Ok(&export));
                    report.whole += 1;
                    report.unsigned += usize::from(!export.is_signed());
                }
                // Deleted meanwhile, or there is no newest one.
                Err(VaultError::Store(StoreError::NotFound { .. })) => {}
                Err(error) if error.is_unusable() => {
                    progress(&key, Err(&error));
                    report.unusable.add(error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(report)
    }

    /// Deletes an export, and, where the store deletes no expired objects by itself, the images that it alone names. The second name of the
    /// newest export stays.
    ///
    /// # Errors
    /// [`VaultError::NewestExport`] for the newest one that is whole. The store cannot be read or written.
    pub async fn delete_export(
        &self,
        server: ServerId,
        key: &ObjectKey,
        now: OffsetDateTime,
    ) -> Result<(), VaultError> {
        if self.newest_good_export(server).await?.as_ref() == Some(key) {
            return Err(VaultError::NewestExport { object: self.name(key) });
        }
        let deleted = match self.parts.store.get(key).await.map_err(VaultError::from) {
            Ok(object) => object.bytes,
            Err(VaultError::Store(StoreError::NotFound { .. })) => Vec::new(),
            // Its images stay: they are listed only in its content.
            Err(error) if error.is_damage() => Vec::new(),
            Err(error) => return Err(error),
        };
        self.parts.store.delete(key, None).await?;
        if self.parts.store.deletes_tagged() {
            // The retention finds them.
            return Ok(());
        }
        self.delete_images_of(server, &deleted, now).await
    }

    /// The newest export that is whole, also one whose key is not trusted here. Its images are not checked.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn newest_good_export(&self, server: ServerId) -> Result<Option<ObjectKey>, VaultError> {
        for export in self.exports(server).await? {
            match self.export_of_any_key(server, &export.key).await {
                Ok(_) => return Ok(Some(export.key)),
                Err(VaultError::Store(StoreError::NotFound { .. })) => {}
                Err(error) if error.is_unusable() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Deletes the images that a deleted export named, and none of the others does.
    async fn delete_images_of(&self, server: ServerId, deleted: &[u8], now: OffsetDateTime) -> Result<(), VaultError> {
        let deleted = String::from_utf8_lossy(deleted);
        let file_name = |key: &ObjectKey| key.as_str().rsplit('/').next().unwrap_or_default().to_owned();
        let mut images = self.parts.store.list(&paths::export_images(server)).await?;
        images.retain(|image| image.modified + IMAGE_IS_OLD_AFTER <= now && deleted.contains(&file_name(&image.key)));
        for key in self.export_keys(server).await? {
            if images.is_empty() {
                break;
            }
            match self.parts.store.get(&key).await.map_err(VaultError::from) {
                Ok(object) => {
                    let other = String::from_utf8_lossy(&object.bytes);
                    images.retain(|image| !other.contains(&file_name(&image.key)));
                }
                Err(VaultError::Store(StoreError::NotFound { .. })) => {}
                // It may name any of them.
                Err(error) if error.is_damage() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        for image in images {
            self.parts.store.delete(&image.key, None).await?;
        }
        Ok(())
    }
}

/// The time of an export: that of its name, or the recorded one of the second name.
fn created_of(server: ServerId, key: &ObjectKey, head: &ObjectHead) -> OffsetDateTime {
    let recorded = || head.metadata.get(CREATED).and_then(|text| paths::parse_time(text));
    let created = paths::parse_export(server, key).or_else(recorded);
    created.unwrap_or(head.modified)
}

/// The signature in the metadata of an export.
fn signature_of(head: &ObjectHead) -> Option<Signature> {
    let text = head.metadata.get(SIGNATURE)?;
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    serde_json::from_slice(&bytes).ok()
}
