//! Errors of a vault.

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
    /// A manifest cannot be signed.
    #[error("the manifest cannot be signed: {0}")]
    Sign(#[source] SignError),
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
    /// The backup or snapshot was expired by retention.
    #[error("the {kind} {id} expired on {} UTC and may be deleted at any time; choose a newer one", expired.date())]
    Expired {
        /// What it is.
        kind: RecordKind,
        /// The id.
        id: Uuid,
        /// Since when.
        expired: OffsetDateTime,
    },
    /// An object is damaged or missing.
    #[error("{object} is damaged: {damage}; nothing was restored")]
    Damaged {
        /// The object.
        object: String,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A backup or a snapshot is of another server.
    #[error("{object} is of server {found}, not of server {wanted}; nothing was restored")]
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
        "{object} has the lineage {found}, and the state of the workspace has {wanted}: it is a backup of another state; nothing was restored"
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
    /// The plan's limit is reached.
    #[error(transparent)]
    Limit(#[from] LimitReached),
}

impl VaultError {
    pub(crate) fn encode(object: &str, error: &dyn std::error::Error) -> Self {
        Self::Encode {
            object: object.to_owned(),
            reason: error.to_string(),
        }
    }

    /// Whether an object or a record is damaged or missing, as opposed to a store that fails.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. }
                | Self::OtherServer { .. }
                | Self::Key(_)
                // Nothing of this size is written.
                | Self::Store(StoreError::TooLarge { .. } | StoreError::Damaged { .. })
                | Self::Catalogue(CatalogueError::Damaged { .. })
        )
    }

    /// Whether the same call may succeed later, so that a job is retried.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Catalogue(error) => error.is_transient(),
            Self::Sign(error) | Self::Unverified { error, .. } => error.is_transient(),
            _ => false,
        }
    }
}
