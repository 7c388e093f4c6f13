//! [`BackupRecord`]: what the catalogue records about a backup or a snapshot.

use std::fmt;

use arrakis_domain::Plan;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::key::{ObjectKey, ObjectKeyError};
use crate::paths;
use crate::sealed::Statement;
use crate::server::ServerId;
use crate::sign::{Signature, SigningPurpose};

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordKind {
    /// A backup: the state of a workspace.
    Backup,
    /// A snapshot: the whole server, in several objects with a manifest.
    Snapshot,
}

impl RecordKind {
    /// The name in records and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Snapshot => "snapshot",
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Version of a state: which state, and the number of its write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateVersion {
    /// Lineage of the state.
    pub lineage: String,
    /// Serial of the state.
    pub serial: u64,
}

/// A backup or a snapshot, as the catalogue records it. A record is written after all of its objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRecord {
    /// Random id.
    pub id: Uuid,
    /// What it is.
    pub kind: RecordKind,
    /// The Discord server.
    pub server: ServerId,
    /// Workspace of the state.
    pub workspace: String,
    /// Time of creation, to the millisecond, in UTC.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// Version of the state; `None` for a snapshot of a server without a state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateVersion>,
    /// The author's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Plan of the community at the time of creation, which decides how long the record is kept.
    #[serde(with = "plan_name")]
    pub plan: Plan,
    /// Bytes in the store: of the compressed state, or of all files of a snapshot with its manifest.
    pub size: u64,
    /// SHA-256, in hexadecimal digits, of the stored bytes: of the compressed state, or of the manifest.
    pub checksum: String,
    /// Time from which it is no longer listed and may be deleted; set by retention.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "time::serde::rfc3339::option"
    )]
    pub expires: Option<OffsetDateTime>,
    /// Of a backup: the signature of its bytes and of what they are; `None` of one that an earlier version created, or whose
    /// signature was removed. A snapshot has the signature in its manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

/// What the signature of a backup states: its bytes, and what they are. Not the message and the plan, which a recovery cannot always make again,
/// and not the expiry, which changes.
#[derive(Serialize)]
pub(crate) struct BackupStatement<'a> {
    id: Uuid,
    server: ServerId,
    workspace: &'a str,
    #[serde(with = "time::serde::rfc3339")]
    created: OffsetDateTime,
    state: Option<&'a StateVersion>,
    size: u64,
    checksum: &'a str,
}

impl Statement for BackupStatement<'_> {
    const PURPOSE: SigningPurpose = SigningPurpose::Backup;
}

impl BackupRecord {
    /// What the signature of a backup states.
    pub(crate) fn statement(&self) -> BackupStatement<'_> {
        BackupStatement {
            id: self.id,
            server: self.server,
            workspace: &self.workspace,
            created: self.created,
            state: self.state.as_ref(),
            size: self.size,
            checksum: &self.checksum,
        }
    }

    /// Whether it is signed: a snapshot by its manifest, a backup by its record.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.kind == RecordKind::Snapshot || self.signature.is_some()
    }

    /// The object whose checksum the record has: the compressed state, or the manifest.
    ///
    /// # Errors
    /// The name of the workspace is not valid in a key.
    pub fn object(&self) -> Result<ObjectKey, ObjectKeyError> {
        match self.kind {
            RecordKind::Backup => paths::backup(self.server, &self.workspace, self.created),
            RecordKind::Snapshot => Ok(paths::manifest(self.server, self.id)),
        }
    }

    /// Whether it is expired at this time.
    #[must_use]
    pub fn is_expired(&self, now: OffsetDateTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether it is so large that its creator is warned.
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.size > LARGE_BACKUP_BYTES
    }
}

/// Size above which the creator of a backup is warned: 10 MB.
pub const LARGE_BACKUP_BYTES: u64 = 10_000_000;

/// A plan by its name, for `#[serde(with)]`.
pub(crate) mod plan_name {
    use super::{Deserialize, Deserializer, Plan, Serializer};

    pub(crate) fn serialize<S: Serializer>(plan: &Plan, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(plan.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Plan, D::Error> {
        let name = String::deserialize(deserializer)?;
        parse(&name).ok_or_else(|| serde::de::Error::custom(format!("`{name}` is not a plan: free or premium")))
    }

    pub(crate) fn parse(name: &str) -> Option<Plan> {
        [Plan::Free, Plan::Premium]
            .into_iter()
            .find(|plan| plan.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn record() -> BackupRecord {
        BackupRecord {
            id: Uuid::from_u128(1),
            kind: RecordKind::Backup,
            server: ServerId::new(1_200_000_000_000_000_000),
            workspace: "default".to_owned(),
            created: datetime!(2026-12-01 02:50:00.123 UTC),
            state: Some(StateVersion {
                lineage: "l".to_owned(),
                serial: 7,
            }),
            message: None,
            plan: Plan::Premium,
            size: 10,
            checksum: "00".to_owned(),
            expires: None,
            signature: None,
        }
    }

    #[test]
    fn record_is_the_same_after_json() {
        let mut record = record();
        for expires in [None, Some(datetime!(2026-12-08 00:00 UTC))] {
            record.expires = expires;
            record.signature = expires.map(|_| Signature {
                algorithm: crate::sign::Algorithm::Ed25519,
                key: "0123456789abcdef".to_owned(),
                version: 1,
                value: "AA==".to_owned(),
            });
            let text = serde_json::to_string(&record).unwrap();
            assert_eq!(serde_json::from_str::<BackupRecord>(&text).unwrap(), record, "{text}");
        }
    }

    #[test]
    fn json_form_is_stable() {
        let text = serde_json::to_string(&record()).unwrap();
        assert_eq!(
            text,
            "{\"id\":\"00000000-0000-0000-0000-000000000001\",\"kind\":\"backup\",\"server\":\"1200000000000000000\",\
             \"workspace\":\"default\",\"created\":\"2026-12-01T02:50:00.123Z\",\"state\":{\"lineage\":\"l\",\"serial\":7},\
             \"plan\":\"premium\",\"size\":10,\"checksum\":\"00\"}"
        );
    }

    #[test]
    fn unknown_plan_is_refused() {
        let text = serde_json::to_string(&record()).unwrap().replace("premium", "gold");
        let error = serde_json::from_str::<BackupRecord>(&text).unwrap_err().to_string();
        assert!(error.contains("`gold` is not a plan"), "{error}");
    }
}
