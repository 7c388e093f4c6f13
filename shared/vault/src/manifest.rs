//! [`Manifest`]: the list of a snapshot's files, with their checksums.

use std::collections::BTreeMap;

use arrakis_domain::Plan;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::record::{StateVersion, plan_name};
use crate::server::ServerId;

/// Version of the manifest that is written.
pub const MANIFEST_VERSION: &str = "1.0";

/// Name of the state in a snapshot, stored as `state.json.gz`.
pub const STATE_FILE: &str = "state.json";
/// Name of the configuration in a snapshot, stored as `config.yaml.gz`.
pub const CONFIG_FILE: &str = "config.yaml";
/// Name of the theme registry in a snapshot, stored as `theme-registry.json.gz`.
pub const THEME_REGISTRY_FILE: &str = "theme-registry.json";
/// Name of the members' role assignments in a snapshot, stored as `members.json.gz`.
pub const MEMBERS_FILE: &str = "members.json";

/// Numbers of a server's resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceCounts {
    /// Roles.
    pub roles: u32,
    /// Channels, without categories.
    pub channels: u32,
    /// Categories.
    pub categories: u32,
}

/// The theme that a server was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThemeVersion {
    /// Name of the theme.
    pub name: String,
    /// Version of the theme.
    pub version: String,
}

/// A file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Path below the snapshot's folder, as in `state.json.gz`.
    pub path: String,
    /// SHA-256 of the compressed bytes, in hexadecimal digits.
    pub checksum: String,
    /// Compressed size in bytes.
    pub size: u64,
}

/// What a snapshot consists of. The manifest is written after all files and is checksummed and signed: `sealed.rs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format.
    pub version: String,
    /// Id of the snapshot.
    pub id: Uuid,
    /// The Discord server.
    pub server: ServerId,
    /// Workspace of the state.
    pub workspace: String,
    /// Time of creation, to the millisecond, in UTC.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// Version of the state; `None` where the snapshot has no state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateVersion>,
    /// The author's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Plan of the community at the time of creation.
    #[serde(with = "plan_name")]
    pub plan: Plan,
    /// Numbers of resources.
    pub counts: ResourceCounts,
    /// The theme, where the server has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theme: Option<ThemeVersion>,
    /// The files by name, as in `state.json`.
    pub files: BTreeMap<String, ManifestFile>,
}
