//! Teardowns that are not finished: a signed document for each server, from before the first deletion until the server is empty.
//!
//! A teardown that is continued or begun on another machine reads from it that the server is incomplete, and where the complete export is.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Vault;
use crate::damage::Damage;
use crate::error::VaultError;
use crate::paths;
use crate::sealed;
use crate::server::ServerId;
use crate::sign::SigningPurpose;
use crate::store::{Condition, NewObject};

/// A teardown whose deletions have begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfinishedTeardown {
    /// The Discord server.
    pub server: ServerId,
    /// When it began: its identity.
    #[serde(with = "time::serde::rfc3339")]
    pub begun: OffsetDateTime,
    /// Name of the machine.
    pub host: String,
    /// Absolute path of the folder with the workspace, on that machine.
    pub folder: String,
    /// Path of the export, on that machine.
    pub export: String,
    /// The snapshot from before the deletions.
    pub snapshot: Option<Uuid>,
    /// The checkpoint at the platform.
    pub checkpoint: Option<Uuid>,
    /// Snapshots of earlier teardowns that were not finished, oldest first.
    pub earlier_snapshots: Vec<Uuid>,
}

impl Vault {
    /// The teardown of a server that is not finished; `None` where there is none.
    ///
    /// # Errors
    /// [`VaultError::Damaged`], [`VaultError::NotTrusted`], [`VaultError::OtherServer`], or the store cannot be read.
    pub async fn unfinished_teardown(&self, server: ServerId) -> Result<Option<UnfinishedTeardown>, VaultError> {
        let key = paths::teardown(server);
        let object = match self.parts.store.get(&key).await {
            Ok(object) => object,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let opened: Result<UnfinishedTeardown, Damage> =
            sealed::open_signed(&object.bytes, SigningPurpose::Teardown, &*self.parts.signer).await;
        let teardown = opened.map_err(|damage| self.damaged(&key, damage))?;
        match teardown.server == server {
            true => Ok(Some(teardown)),
            false => Err(self.other_server(&key, teardown.server, server)),
        }
    }

    /// Records a teardown before its first deletion. Repeating it changes nothing.
    ///
    /// # Errors
    /// It cannot be signed, or the store cannot be written.
    pub async fn record_teardown(&self, teardown: &UnfinishedTeardown) -> Result<(), VaultError> {
        let key = paths::teardown(teardown.server);
        let sealed = sealed::seal_signed(teardown, SigningPurpose::Teardown, &*self.parts.signer).await;
        let bytes = sealed.map_err(|error| self.unsealed(&key, error))?;
        self.parts
            .store
            .put(&key, NewObject::new(bytes), &Condition::Any)
            .await?;
        Ok(())
    }

    /// Removes the record of the teardown of a server, which is empty.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn finish_teardown(&self, server: ServerId) -> Result<(), VaultError> {
        Ok(self.parts.store.delete(&paths::teardown(server), None).await?)
    }
}
