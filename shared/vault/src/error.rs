//! Errors of a vault.

use std::io::ErrorKind;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::catalogue::CatalogueError;
use crate::damage::Damage;
use crate::key::ObjectKeyError;
use crate::limits::LimitReached;
use crate::record::RecordKind;
use crate::server::ServerId;
use crate::sign::SignError;
use crate::store::StoreError;

/// Why an operation of a vault failed. Each text names the object.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// An operation on an object failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An operation on the catalogue failed.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// A manifest, a backup, a deployment or an export cannot be signed.
    #[error("{object} cannot be signed, and was not stored: {error}")]
    Sign {
        /// The object.
        object: String,
        /// The reason.
        #[source]
        error: SignError,
    },
    /// The signature of an object cannot be verified at present: the service with the key is unavailable, or refuses this process.
    #[error("the signature of {object} cannot be verified: {error}; nothing was restored")]
    Unverified {
        /// The object.
        object: String,
        /// The reason.
        error: SignError,
    },
    /// A name is not valid in a key.
    #[error(transparent)]
    Key(#[from] ObjectKeyError),
    /// There is no backup or snapshot with this id.
    #[error("there is no {kind} {id} in {catalogue}; `gaib server {kind} list` lists them")]
    UnknownId {
        /// What was looked for.
        kind: RecordKind,
        /// The id.
        id: Uuid,
        /// The catalogue.
        catalogue: String,
    },
    /// The backup or snapshot was expired by retention, or by a deletion.
    #[error(
        "the {kind} {id} expired or was deleted on {} UTC, and what is left of it may be removed at any time; choose another one",
        expired.date()
    )]
    Expired {
        /// What it is.
        kind: RecordKind,
        /// The id.
        id: Uuid,
        /// Since when.
        expired: OffsetDateTime,
    },
    /// An object is damaged or missing.
    #[error("{object} is damaged: {damage}")]
    Damaged {
        /// The object.
        object: String,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A backup, a snapshot, a deployment or an export is signed by a key that is not trusted on this machine. It may be whole.
    #[error("{object} is signed by the key {key} in version {version}, which is not trusted here")]
    NotTrusted {
        /// The object of the backup or the export, the manifest, or the deployment.
        object: String,
        /// Id of the key.
        key: String,
        /// Version of the key.
        version: u32,
    },
    /// A backup or a snapshot is of another server.
    #[error("{object} is of server {found}, not of server {wanted}")]
    OtherServer {
        /// The object.
        object: String,
        /// Its server.
        found: ServerId,
        /// The present server.
        wanted: ServerId,
    },
    /// A backup or a snapshot is of another lineage.
    #[error(
        "{object} has the lineage {found}, and the state of the workspace has {wanted}: it is a backup of another state"
    )]
    OtherLineage {
        /// The object.
        object: String,
        /// Its lineage.
        found: String,
        /// Lineage of the present state.
        wanted: String,
    },
    /// The bytes to be backed up are not a state of this server.
    #[error("the state cannot be backed up: {reason}")]
    NotAState {
        /// The reason.
        reason: String,
    },
    /// An object cannot be compressed or written as JSON.
    #[error("{object} cannot be written: {reason}")]
    Encode {
        /// The object.
        object: String,
        /// The reason.
        reason: String,
    },
    /// The export is the newest one that is whole. Like the newest good backup, it is never deleted: a server is recovered from it.
    #[error(
        "{object} is the newest export that is whole, and is not deleted; `gaib server export --backup` stores a newer one"
    )]
    NewestExport {
        /// The export.
        object: String,
    },
    /// The plan's limit is reached.
    #[error(transparent)]
    Limit(#[from] LimitReached),
}

impl VaultError {
    /// What is wrong with an object. A signature of a key that is not trusted is no damage: the object may be whole. Nor is one that cannot be
    /// verified at present.
    pub(crate) fn of_damage(object: String, damage: Damage) -> Self {
        match damage {
            Damage::Signature(SignError::UnknownKey { key, version }) => Self::NotTrusted { object, key, version },
            Damage::Signature(error) if !error.is_about_the_signature() => Self::Unverified { object, error },
            damage => Self::Damaged { object, damage },
        }
    }

    pub(crate) fn encode(object: &str, error: &dyn std::error::Error) -> Self {
        Self::Encode {
            object: object.to_owned(),
            reason: error.to_string(),
        }
    }

    /// Whether an object cannot be used as it is: damaged, missing, signed by a key that is not trusted, encrypted for another identity, or
    /// a file that this user may not read; as opposed to a store that fails. The other objects can be used.
    #[must_use]
    pub fn is_unusable(&self) -> bool {
        self.is_damage() || self.is_of_unknown_key() || self.is_encrypted_for_others() || self.is_denied()
    }

    /// Whether an object is encrypted for another identity than those of this machine: it may be whole.
    #[must_use]
    pub fn is_encrypted_for_others(&self) -> bool {
        matches!(self, Self::Store(StoreError::Encrypted { .. }))
    }

    /// Whether a file is one that this user may not read.
    fn is_denied(&self) -> bool {
        matches!(self, Self::Store(StoreError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied)
    }

    /// Whether an object or a record is damaged or missing, as opposed to a store that fails.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. }
                | Self::OtherServer { .. }
                | Self::Key(_)
                // Nothing of this size, and no link, is written.
                | Self::Store(StoreError::TooLarge { .. } | StoreError::Damaged { .. } | StoreError::Foreign { .. })
                | Self::Catalogue(CatalogueError::Damaged { .. })
        )
    }

    /// Whether a signature is by a key that is not trusted here: its owner may have written the object.
    #[must_use]
    pub fn is_of_unknown_key(&self) -> bool {
        matches!(self, Self::NotTrusted { .. })
    }

    /// Whether the same call may succeed later, so that a job is retried.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Catalogue(error) => error.is_transient(),
            Self::Sign { error, .. } | Self::Unverified { error, .. } => error.is_transient(),
            _ => false,
        }
    }
}
