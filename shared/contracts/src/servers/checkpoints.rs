//! Checkpoints of a community's configuration, and their restores.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::ServerLists;

/// What a checkpoint was stored for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum CheckpointPurpose {
    /// On request.
    Manual,
    /// Before the server was emptied.
    Teardown,
    /// What a restore replaced: its restore undoes that one.
    Restore,
}

impl CheckpointPurpose {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Teardown => "teardown",
            Self::Restore => "restore",
        }
    }
}

/// What a checkpoint is requested for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum NewCheckpointPurpose {
    /// To have it.
    Manual,
    /// The server is emptied next. The community is frozen, so that no role and no channel is created meanwhile.
    Teardown,
}

/// `POST /admin/servers/{guild}/checkpoints`: stores a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateCheckpoint {
    /// Chosen by the caller: a request that is repeated with the same id stores no second checkpoint.
    pub request_id: Uuid,
    /// What it is for.
    pub purpose: NewCheckpointPurpose,
    /// Why; shown in lists and in the audit log.
    #[serde(default)]
    pub reason: Option<String>,
    /// The server as it is. Without it, roles have the names that the theme gives them, and channels none.
    #[serde(default)]
    pub server: Option<ServerLists>,
}

/// A checkpoint without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Checkpoint {
    /// Its id.
    pub id: Uuid,
    /// What it was stored for.
    pub purpose: CheckpointPurpose,
    /// The reason, if one was given.
    pub reason: Option<String>,
    /// Who stored it.
    pub created_by: String,
    /// When it was stored.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Until when it is kept.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// SHA-256 of its content, in hexadecimal digits.
    pub checksum: String,
}

/// Response to [`CreateCheckpoint`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CheckpointCreated {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Whether the community is frozen: no role is assigned or removed.
    pub frozen: bool,
}

/// `GET /admin/servers/{guild}/checkpoints`: the checkpoints of a server, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CheckpointList {
    /// The checkpoints that have not expired.
    pub checkpoints: Vec<Checkpoint>,
}

/// `GET /admin/servers/{guild}/checkpoints/{id}`: a checkpoint with its content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CheckpointDetail {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The configuration of the community.
    pub content: serde_json::Value,
}

/// `POST /admin/servers/{guild}/checkpoints/{id}/preview`: requests what a restore would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PreviewRestore {
    /// The server as it is.
    pub server: ServerLists,
}

/// `POST /admin/servers/{guild}/checkpoints/{id}/restore`: restores a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RestoreCheckpoint {
    /// Chosen by the caller: a request that is repeated with the same id restores nothing a second time.
    pub request_id: Uuid,
    /// Why, for the audit log.
    #[serde(default)]
    pub reason: Option<String>,
    /// The server as it is.
    pub server: ServerLists,
}

/// A field that differs between the present configuration and the one after a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FieldChange {
    /// The field, such as `theme`, `roles.naib`, `gates.leaderboard`.
    pub field: String,
    /// Its present value; null where it has none.
    pub before: Option<String>,
    /// Its value after the restore; null where it has none.
    pub after: Option<String>,
}

/// Whether an id is of a role or of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum IdKind {
    /// A role.
    Role,
    /// A channel.
    Channel,
}

impl IdKind {
    /// The name in JSON and in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Channel => "channel",
        }
    }
}

/// An id of the checkpoint whose role or channel was created again, with another id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MappedId {
    /// What it is.
    pub kind: IdKind,
    /// The field that has it, such as `roles.naib`.
    pub field: String,
    /// The name that both have.
    pub name: String,
    /// The id in the checkpoint.
    pub before: String,
    /// The present id.
    pub after: String,
}

/// An id of the checkpoint for which the server has no role or channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UnmappedId {
    /// What it was.
    pub kind: IdKind,
    /// The field that has it.
    pub field: String,
    /// Its name; null where it was not known.
    pub name: Option<String>,
    /// The id in the checkpoint.
    pub id: String,
    /// Why it cannot be mapped.
    pub reason: String,
}

/// What a restore changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RestoreChanges {
    /// The fields that change.
    pub changes: Vec<FieldChange>,
    /// Ids that were mapped by name.
    pub mapped: Vec<MappedId>,
    /// Ids that cannot be mapped; what they stand for is not restored.
    pub unmapped: Vec<UnmappedId>,
    /// What is not restored, and what follows, for people.
    pub notes: Vec<String>,
}

/// Response to [`PreviewRestore`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RestorePreview {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// What would change.
    #[serde(flatten)]
    pub changes: RestoreChanges,
    /// Why a restore would be refused, for people; empty when it would not be.
    pub obstacles: Vec<String>,
}

/// Response to [`RestoreCheckpoint`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Restored {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// What was changed.
    #[serde(flatten)]
    pub changes: RestoreChanges,
    /// Id of the checkpoint of what was replaced: its restore undoes this one.
    pub undo_checkpoint: Uuid,
    /// Whether a freeze that a teardown had begun was ended.
    pub unfrozen: bool,
    /// Ids of the jobs that change the members' roles and, where it is necessary, the server.
    pub jobs: Vec<String>,
    /// Whether an earlier request with this id has restored it; this one changed nothing.
    #[serde(default)]
    pub repeated: bool,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_those_of_json() {
        for kind in [IdKind::Role, IdKind::Channel] {
            assert_eq!(json!(kind), kind.name());
        }
        for purpose in [
            CheckpointPurpose::Manual,
            CheckpointPurpose::Teardown,
            CheckpointPurpose::Restore,
        ] {
            assert_eq!(json!(purpose), purpose.name());
        }
    }

    /// The result of a restore is stored: it must be read for as long as the checkpoint exists.
    #[test]
    fn result_of_an_earlier_build_still_decodes() {
        let stored = json!({
            "checkpoint": {"id": Uuid::from_u128(1), "purpose": "teardown", "reason": null, "created_by": "api-key:x",
                           "created_at": "2026-11-21T12:00:00Z", "expires_at": "2026-12-21T12:00:00Z", "checksum": "00"},
            "changes": [{"field": "roles.naib", "before": null, "after": "Naib (2)"}],
            "mapped": [{"kind": "role", "field": "roles.naib", "name": "Naib", "before": "1", "after": "2"}],
            "unmapped": [], "notes": [], "undo_checkpoint": Uuid::from_u128(2), "unfrozen": true, "jobs": ["tier-sync:x"],
        });
        let restored: Restored = serde_json::from_value(stored).unwrap();
        assert_eq!(restored.changes.mapped[0].after, "2");
        assert!(restored.unfrozen && !restored.repeated);
    }
}
