//! Reads objects with all checks. Nothing here writes.

use serde::Deserialize;

use super::{Expected, Vault};
use crate::checksum::checksum;
use crate::damage::Damage;
use crate::error::VaultError;
use crate::gzip;
use crate::key::ObjectKey;
use crate::record::{BackupRecord, StateVersion};
use crate::server::ServerId;
use crate::store::StoreError;

/// The fields of a state that are checked. The rest is the engine's.
#[derive(Debug, Deserialize)]
pub(super) struct StateHeader {
    lineage: String,
    serial: u64,
    /// Absent before the first read of the server.
    #[serde(default)]
    guild_id: Option<ServerId>,
}

impl StateHeader {
    pub(super) fn parse(state: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(state)
    }

    pub(super) fn version(self) -> StateVersion {
        StateVersion {
            lineage: self.lineage,
            serial: self.serial,
        }
    }

    pub(super) fn server(&self) -> Option<ServerId> {
        self.guild_id
    }
}

impl Vault {
    /// The full name of an object.
    pub(super) fn name(&self, key: &ObjectKey) -> String {
        self.parts.store.describe(key.as_str())
    }

    pub(super) fn damaged(&self, key: &ObjectKey, damage: Damage) -> VaultError {
        match damage {
            // Nothing is wrong with an object because its signature cannot be verified at present.
            Damage::Signature(error) if !error.is_about_the_signature() => VaultError::Unverified {
                object: self.name(key),
                error,
            },
            damage => VaultError::Damaged {
                object: self.name(key),
                damage,
            },
        }
    }

    /// The bytes of an object that must exist.
    pub(super) async fn bytes_of(&self, key: &ObjectKey) -> Result<Vec<u8>, VaultError> {
        match self.parts.store.get(key).await {
            Ok(object) => Ok(object.bytes),
            Err(StoreError::NotFound { .. }) => Err(self.damaged(key, Damage::Missing)),
            Err(error) => Err(error.into()),
        }
    }

    /// The bytes of an object with this size and checksum.
    pub(super) async fn checked_bytes(
        &self,
        key: &ObjectKey,
        size: Option<u64>,
        wanted: &str,
    ) -> Result<Vec<u8>, VaultError> {
        let bytes = self.bytes_of(key).await?;
        let found = bytes.len() as u64;
        if let Some(size) = size
            && found != size
        {
            return Err(self.damaged(key, Damage::Size { found, wanted: size }));
        }
        let found = checksum(&bytes);
        if found != wanted {
            let wanted = wanted.to_owned();
            return Err(self.damaged(key, Damage::Checksum { found, wanted }));
        }
        Ok(bytes)
    }

    /// The decompressed content of an object.
    pub(super) fn content(&self, key: &ObjectKey, bytes: &[u8]) -> Result<Vec<u8>, VaultError> {
        gzip::decompress(bytes).map_err(|damage| self.damaged(key, damage))
    }

    /// Checks that a state belongs to its record, and to the present server and state.
    pub(super) fn check_state(
        &self,
        key: &ObjectKey,
        state: &[u8],
        record: &BackupRecord,
        expected: &Expected,
    ) -> Result<(), VaultError> {
        let header =
            StateHeader::parse(state).map_err(|error| self.damaged(key, Damage::Content(error.to_string())))?;
        if let Some(found) = header.server()
            && found != expected.server
        {
            return Err(self.other_server(key, found, expected.server));
        }
        let version = Some(header.version());
        if version != record.state {
            return Err(self.differs(
                key,
                "state version",
                &text(version.as_ref()),
                &text(record.state.as_ref()),
            ));
        }
        match (version, &expected.lineage) {
            (Some(version), Some(wanted)) if version.lineage != *wanted => Err(VaultError::OtherLineage {
                object: self.name(key),
                found: version.lineage,
                wanted: wanted.clone(),
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn other_server(&self, key: &ObjectKey, found: ServerId, wanted: ServerId) -> VaultError {
        VaultError::OtherServer {
            object: self.name(key),
            found,
            wanted,
        }
    }

    pub(super) fn differs(&self, key: &ObjectKey, field: &'static str, found: &str, wanted: &str) -> VaultError {
        let (found, wanted) = (found.to_owned(), wanted.to_owned());
        self.damaged(key, Damage::Differs { field, found, wanted })
    }
}

/// A version of a state, for messages.
pub(super) fn text(version: Option<&StateVersion>) -> String {
    version.map_or_else(
        || "none".to_owned(),
        |version| format!("serial {} of {}", version.serial, version.lineage),
    )
}
