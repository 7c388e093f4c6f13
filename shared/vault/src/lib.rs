//! Backups and snapshots of Discord servers.
//!
//! Owns the object store ([`ObjectStore`]: a folder, S3), the catalogue ([`Catalogue`]: files, DynamoDB), and on top of both the [`Vault`]:
//! backups, snapshots with a signed manifest, exports, the theme registry, plans and limits, schedule, retention. What is not whole is
//! never listed: objects are written first, the record of the catalogue last. What is read is checked first: size, checksum, signature,
//! server, lineage. Signed documents of the platform are in the same store: [`ChainAnchors`], [`PublicKeyCopies`].
//!
//! Contains no rules of the engine (`arrakis-iac`): a state is JSON with a lineage, a serial and a server's id, a configuration is
//! text. Reads no clock: the time is an argument.
//!
//! To add a store or a catalogue: implement the trait and run the conformance suite in `tests/it/conformance/`. To add an object:
//! `paths.rs`.

#[cfg(feature = "aws")]
pub mod aws;
pub mod catalogue;
mod chain_anchors;
mod checksum;
mod damage;
mod error;
mod files;
#[cfg(test)]
mod fuzz;
mod gzip;
mod key;
mod limits;
mod manifest;
mod open;
pub mod paths;
mod public_keys;
mod record;
mod schedule;
mod sealed;
mod server;
mod signed_documents;
pub mod store;
mod theme_registry;
mod vault;

pub use arrakis_security::signing as sign;
pub use arrakis_security::signing::{LocalSigner, Signer};
pub use catalogue::{Catalogue, Cursor, FileCatalogue, ListRequest, Page};
pub use chain_anchors::{ChainAnchor, ChainAnchors};
pub use damage::Damage;
pub use error::VaultError;
pub use files::LockWait;
pub use key::{ObjectKey, ObjectKeyError};
pub use limits::{Limit, LimitReached, Operation, Period, Use};
pub use manifest::{
    CONFIG_FILE, MANIFEST_VERSION, MEMBERS_FILE, Manifest, ManifestFile, ResourceCounts, STATE_FILE,
    THEME_REGISTRY_FILE, ThemeVersion,
};
#[cfg(feature = "encryption")]
pub use open::open_encrypted;
pub use open::{OpenError, OpenOptions, open, open_signed_by, open_store};
pub use public_keys::PublicKeyCopies;
pub use record::{BackupRecord, LARGE_BACKUP_BYTES, RecordKind, StateVersion};
pub use schedule::{BackupSchedule, Slot, Task};
pub use server::ServerId;
pub use signed_documents::DocumentError;
pub use store::{Condition, FolderStore, NewObject, Object, ObjectStore, StoreError};
pub use theme_registry::{Action, Deployment, DeploymentAudit, RollbackError, RollbackTo, ThemeRegistry};
pub use vault::{
    CreatedSnapshot, Expected, Export, ExportsReport, ImageReferences, LimitPolicy, NewBackup, NewSnapshot,
    RebuiltRegistry, RecoveryReport, RegistryRebuild, RetentionReport, Snapshot, Trigger, UnfinishedTeardown,
    UnusableObjects, Vault, VaultParts, VerifyReport, kept_for, theme_history,
};
