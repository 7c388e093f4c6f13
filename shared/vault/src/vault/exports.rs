//! Exports: the live server as a configuration, each under its time, the newest also as `config.latest.yaml`. Their images are beside them.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::Vault;
use super::backups::TIER;
use crate::checksum::checksum;
use crate::damage::Damage;
use crate::error::VaultError;
use crate::key::ObjectKey;
use crate::paths;
use crate::server::ServerId;
use crate::store::{Condition, ListedObject, NewObject, StoreError};

/// Name of the server in the metadata of an export.
const SERVER: &str = "server";
/// Name of the checksum in the metadata of an export.
const CHECKSUM: &str = "checksum";

impl Vault {
    /// Writes an export, first under its time and then as the newest one. Returns the key with the time.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn write_export(
        &self,
        server: ServerId,
        yaml: &[u8],
        now: OffsetDateTime,
    ) -> Result<ObjectKey, VaultError> {
        let plan = self.plan(server).await?;
        let object = NewObject::new(yaml)
            .tagged(TIER, plan.as_str())
            .described(SERVER, server.to_string())
            .described(CHECKSUM, checksum(yaml));
        let (key, _) = self
            .put_at(now, object.clone(), |time| paths::export(server, time))
            .await?;
        let latest = paths::latest_export(server)?;
        self.parts.store.put(&latest, object, &Condition::Any).await?;
        Ok(key)
    }

    /// Writes the images of an export, by their names, which name their contents. They precede the export, so that no image is older than
    /// an export that has it.
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
    /// [`VaultError::Damaged`], or the store cannot be read.
    pub async fn latest_export(&self, server: ServerId) -> Result<Option<Vec<u8>>, VaultError> {
        match self.read_export(server, &paths::latest_export(server)?).await {
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

    /// An export of a server, by a key of [`Vault::exports`].
    ///
    /// # Errors
    /// [`VaultError::Damaged`], [`VaultError::OtherServer`], or the store cannot be read.
    pub async fn read_export(&self, server: ServerId, key: &ObjectKey) -> Result<Vec<u8>, VaultError> {
        let object = self.parts.store.get(key).await?;
        let metadata = &object.head.metadata;
        let of_server = metadata.get(SERVER).and_then(|server| server.parse::<ServerId>().ok());
        if let Some(found) = of_server
            && found != server
        {
            return Err(self.other_server(key, found, server));
        }
        let found = checksum(&object.bytes);
        match metadata.get(CHECKSUM) {
            Some(wanted) if *wanted != found => {
                let wanted = wanted.clone();
                Err(self.damaged(key, Damage::Checksum { found, wanted }))
            }
            _ => Ok(object.bytes),
        }
    }
}
