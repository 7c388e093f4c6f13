//! Bodies of the routes of servers (`/admin/servers`) between gaib and the api.
//!
//! Ids of Discord are text, as Discord writes them: a JSON number holds 53 bits in many readers.

mod checkpoints;
mod mfa;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

pub use self::checkpoints::{
    Checkpoint, CheckpointCreated, CheckpointDetail, CheckpointList, CheckpointPurpose, CreateCheckpoint, FieldChange,
    IdKind, MappedId, NewCheckpointPurpose, PreviewRestore, RestoreChanges, RestoreCheckpoint, RestorePreview,
    Restored, UnmappedId,
};
pub use self::mfa::{GrantUsed, Granted, RequestGrant, ServerOperation, UseGrant};

/// All roles and channels that a server has, as its caller has read them from Discord. The api itself has no access to Discord.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ServerLists {
    /// Every role, also @everyone.
    pub roles: Vec<ServerRole>,
    /// Every channel and category.
    pub channels: Vec<ServerChannel>,
}

/// A role of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ServerRole {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it belongs to an application, to boosting or to a subscription: no member can be assigned it.
    #[serde(default)]
    pub managed: bool,
    /// Its permissions on the server, the bits as a decimal number, as Discord writes them. Without them the role is taken to have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<String>,
}

/// A channel or category of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ServerChannel {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its type, Discord's number: <https://discord.com/developers/docs/resources/channel#channel-object-channel-types>. Without it the
    /// channel is taken to be a text channel.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub channel_type: Option<u64>,
}

/// A plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum PlanName {
    /// The free plan.
    Free,
    /// The premium plan.
    Premium,
}

impl PlanName {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Premium => "premium",
        }
    }
}

/// `GET /admin/servers/{guild}/plan`: the community of a server and its plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ServerPlan {
    /// Id of the Discord server.
    pub guild_id: String,
    /// Name of the community.
    pub name: String,
    /// Its plan.
    pub plan: PlanName,
    /// Its theme.
    pub theme: String,
    /// Until when the theme is used although the plan does not include it; null where the plan includes it.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub theme_until: Option<OffsetDateTime>,
    /// Why the community is frozen; null while it is not.
    pub frozen: Option<String>,
}

/// `PUT /admin/servers/{guild}/plan`: sets the plan of a server's community.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SetPlan {
    /// The new plan.
    pub plan: PlanName,
    /// Why, for the audit log.
    #[serde(default)]
    pub reason: Option<String>,
    /// Days for which a theme stays in use that the plan does not include, at most 366; 14 by default. Without it, a grace period that has
    /// begun is not extended.
    #[serde(default)]
    pub grace_days: Option<u16>,
}

/// An operation that the free plan limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BackupKind {
    /// A backup of the state.
    Backup,
    /// A restore of a state.
    Restore,
    /// A snapshot of the whole server.
    Snapshot,
    /// A restore of a snapshot.
    SnapshotRestore,
}

impl BackupKind {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Snapshot => "snapshot",
            Self::SnapshotRestore => "snapshot-restore",
        }
    }
}

/// `POST /admin/servers/{guild}/backup-usage`: counts an operation before it begins. Beyond the limit it is refused with 429, code
/// `usage-limit`, whose `frees_at` is the time at which it works again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CountBackupUse {
    /// The operation.
    pub kind: BackupKind,
    /// Chosen by the caller: a request that is repeated with the same id counts once within the hours of the limit.
    pub request_id: Uuid,
    /// Returns the use that was counted with this id within the last hour, after an operation that failed and changed nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub give_back: bool,
}

/// Response to [`CountBackupUse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BackupUseCounted {
    /// The operation.
    pub kind: BackupKind,
    /// How often it is free now; null where the plan has no limit.
    pub left: Option<u32>,
}

/// `GET /admin/servers/{guild}/backup-usage`: the limits of a server and what is used of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BackupUsage {
    /// The plan.
    pub plan: PlanName,
    /// One entry for each operation.
    pub usage: Vec<BackupUsageEntry>,
}

/// A limit and what is used of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BackupUsageEntry {
    /// The operation.
    pub kind: BackupKind,
    /// How often it is permitted; null where the plan has no limit.
    pub limit: Option<u32>,
    /// The hours before now in which uses count; null without a limit.
    pub within_hours: Option<u64>,
    /// Uses that count; 0 without a limit.
    pub used: u32,
    /// When the next one is free; null while one is left.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub frees_at: Option<OffsetDateTime>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_those_of_json() {
        for kind in [
            BackupKind::Backup,
            BackupKind::Restore,
            BackupKind::Snapshot,
            BackupKind::SnapshotRestore,
        ] {
            assert_eq!(json!(kind), kind.name());
        }
        for plan in [PlanName::Free, PlanName::Premium] {
            assert_eq!(json!(plan), plan.name());
        }
    }
}
