//! The plan as a document: steps, changes, and the inputs that it was made from.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::grammar::counted;
use crate::live::digest;
use crate::model::{Address, Attributes, BrokenRule, Kind, Origin, Overwrite, Reference, Snowflake, Target, ThemeUse};

/// The version of plan files that this gaib writes and applies.
pub const VERSION: u32 = 2;

/// A plan: the steps that bring a server to its configuration, and the changes that they cause. The executor makes no
/// decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of the format.
    pub version: u32,
    /// The inputs of the plan. The plan is stale when one of them has changed.
    pub made_from: PlanInputs,
    /// The purpose of the plan.
    pub mode: Mode,
    /// The plan covers only these resources and those that they refer to; empty for all.
    pub targets: Vec<Address>,
    /// Whether replacements that delete messages are allowed.
    pub allow_replace: bool,
    /// The theme that the configuration builds on.
    pub theme: Option<ThemeUse>,
    /// Differences between state and server: changes outside of gaib.
    pub drift: Vec<Drift>,
    /// Changes by resource, for display, in the order of the steps.
    pub changes: Vec<Change>,
    /// Changed orders of roles or channels, for display.
    pub reorders: Vec<Reorder>,
    /// The steps in order. Each makes at most one request.
    pub steps: Vec<Step>,
    /// Notes for display.
    pub notes: Vec<String>,
    /// Rules of Discord that sent values break. A plan with one cannot succeed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken_rules: Vec<BrokenRule>,
}

/// The inputs that a plan was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanInputs {
    /// Id of the server.
    pub guild_id: Snowflake,
    /// User id of the bot: the target `bot` of overwrites.
    pub bot_id: Snowflake,
    /// Name of the workspace; empty until the caller of [`plan`](super::plan()) sets it.
    pub workspace: String,
    /// The folder that paths of images are relative to, as seen from the folder in which gaib runs; `None` for that folder. The
    /// caller of [`plan`](super::plan()) sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Lineage of the state.
    pub lineage: String,
    /// Serial of the state.
    pub serial: u64,
    /// Digest of the configuration; `None` for a plan without a configuration (destroy).
    pub configuration: Option<String>,
    /// Fingerprint of the live server.
    pub live: String,
    /// Kinds in the configuration and the state: those that were read from the server.
    pub kinds: BTreeSet<Kind>,
}

/// The purpose of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The server is changed to match the configuration.
    #[default]
    Apply,
    /// The state is changed to match the server.
    RefreshOnly,
    /// All managed resources are deleted.
    Destroy,
}

/// The action on a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is created.
    Create,
    /// It is changed in place.
    Update,
    /// It is deleted and created again. Its content, such as messages, is lost.
    Replace,
    /// It is deleted.
    Delete,
    /// It exists on the server, and the plan adds it to the state. The server does not change.
    Adopt,
    /// It is removed from the state. The server does not change.
    Forget,
}

/// The reason for an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeReason {
    /// The resource differs from the configuration.
    Configured,
    /// The resource is no longer in the configuration.
    NotConfigured,
    /// The resource no longer exists on the server.
    Gone,
    /// An earlier creation had an unknown outcome, and the resource was found.
    FoundAgain,
    /// Every server has the resource.
    AlwaysThere,
    /// The plan destroys all managed resources.
    Destroy,
}

/// The change of one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The resource.
    pub address: Address,
    /// The action.
    pub action: Action,
    /// The reason.
    pub reason: ChangeReason,
    /// Its id; `None` for a resource that does not exist.
    pub id: Option<Snowflake>,
    /// The name that Discord shows, or will show.
    pub name: Option<String>,
    /// The managed attributes on the server, with references by address.
    pub before: Option<Attributes>,
    /// The managed attributes after the change.
    pub after: Option<Attributes>,
    /// Names of the attributes that differ, for an update or a replacement.
    pub fields: Vec<String>,
    /// Names of the attributes that force a replacement.
    pub forces_replacement: Vec<String>,
    /// Whether messages or posts are deleted.
    pub loses_messages: bool,
    /// Position in the configuration file.
    pub origin: Option<Origin>,
}

/// A difference between state and server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// The resource.
    pub address: Address,
    /// Its id.
    pub id: Snowflake,
    /// The attributes in the state.
    pub before: Attributes,
    /// The attributes on the server; `None` when the resource does not exist any more.
    pub after: Option<Attributes>,
    /// Names of the attributes that differ.
    pub fields: Vec<String>,
}

/// A changed order of roles, categories or channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reorder {
    /// The ordered group, as in `roles` or `text channels in category.stillsuit`.
    pub of: String,
    /// The managed resources in their present order.
    pub before: Vec<String>,
    /// The managed resources in their new order.
    pub after: Vec<String>,
}

/// A role, category or channel and its position in a request that changes positions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourcePosition {
    /// The resource, by address; by id when it is not managed.
    pub of: Reference,
    /// Discord's position.
    pub position: i64,
}

/// A step of a plan. References are symbolic; the ids of resources that earlier steps create come from the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Creates the resource with all attributes, including overwrites, in one request. A pending record is written to the state
    /// first. `given_to_bot` of a role is set by [`Step::BotRole`].
    Create {
        /// The resource.
        address: Address,
        /// Its attributes.
        attributes: Attributes,
    },
    /// Changes the attributes in `fields` to the values in `attributes`. Overwrites and `given_to_bot` are never in `fields`:
    /// other steps change them, and `attributes` has their present values.
    Update {
        /// The resource.
        address: Address,
        /// Its id.
        id: Snowflake,
        /// All managed attributes after this step, as the state records them.
        attributes: Attributes,
        /// Names of the attributes to send.
        fields: Vec<String>,
    },
    /// Sets one overwrite of a category or channel.
    PutOverwrite {
        /// The category or channel.
        address: Address,
        /// The target of the overwrite.
        target: Target,
        /// The overwrite.
        overwrite: Overwrite,
    },
    /// Removes one overwrite.
    DeleteOverwrite {
        /// The category or channel.
        address: Address,
        /// The target of the overwrite.
        target: Target,
    },
    /// Assigns a role to the bot, or removes it from the bot.
    BotRole {
        /// The resource.
        address: Address,
        /// Whether the role is assigned.
        give: bool,
    },
    /// Changes the positions of roles, in one request.
    MoveRoles {
        /// Each role below the bot's highest, with its position.
        places: Vec<ResourcePosition>,
    },
    /// Changes the positions of categories and channels, in one request. No category changes.
    MoveChannels {
        /// All resources of the groups whose order changes, with their positions.
        places: Vec<ResourcePosition>,
    },
    /// Deletes the resource.
    Delete {
        /// The resource.
        address: Address,
        /// Its id.
        id: Snowflake,
    },
    /// Records an existing resource in the state. The server does not change.
    Adopt {
        /// The resource.
        address: Address,
        /// Its id.
        id: Snowflake,
        /// Its attributes on the server.
        attributes: Attributes,
    },
    /// Updates the state from the server, which does not change.
    Refresh {
        /// The resource.
        address: Address,
        /// Its attributes on the server.
        attributes: Attributes,
    },
    /// Removes the resource from the state. The server does not change.
    Forget {
        /// The resource.
        address: Address,
    },
}

impl Step {
    /// A short description: `create role.naib`.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Create { address, .. } => format!("create {address}"),
            Self::Update { address, fields, .. } => format!("change {address} ({})", fields.join(", ")),
            Self::PutOverwrite { address, target, .. } => format!("set permissions of {target} in {address}"),
            Self::DeleteOverwrite { address, target } => format!("remove permissions of {target} from {address}"),
            Self::BotRole { address, give: true } => format!("give {address} to the bot"),
            Self::BotRole { address, give: false } => format!("take {address} from the bot"),
            Self::MoveRoles { places } => format!("order {}", counted(places.len(), "role")),
            Self::MoveChannels { places } => format!("order {}", counted(places.len(), "channel")),
            Self::Delete { address, .. } => format!("delete {address}"),
            Self::Adopt { address, .. } => format!("adopt {address}"),
            Self::Refresh { address, .. } => format!("refresh {address} in the state"),
            Self::Forget { address } => format!("forget {address}"),
        }
    }

    /// The resource; `None` for a change of positions.
    #[must_use]
    pub const fn address(&self) -> Option<&Address> {
        match self {
            Self::Create { address, .. }
            | Self::Update { address, .. }
            | Self::PutOverwrite { address, .. }
            | Self::DeleteOverwrite { address, .. }
            | Self::BotRole { address, .. }
            | Self::Delete { address, .. }
            | Self::Adopt { address, .. }
            | Self::Refresh { address, .. }
            | Self::Forget { address } => Some(address),
            Self::MoveRoles { .. } | Self::MoveChannels { .. } => None,
        }
    }

    /// Whether the step sends a request; otherwise it changes only the state.
    #[must_use]
    pub const fn is_request(&self) -> bool {
        !matches!(self, Self::Adopt { .. } | Self::Refresh { .. } | Self::Forget { .. })
    }
}

/// Numbers of changes by action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Created, including replacements.
    pub add: usize,
    /// Changed in place.
    pub change: usize,
    /// Deleted, including replacements.
    pub destroy: usize,
    /// Changed orders.
    pub reorder: usize,
    /// Recorded in the state.
    pub adopt: usize,
    /// Removed from the state.
    pub forget: usize,
}

/// A plan file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanFileError {
    /// The file is not valid JSON of this format.
    #[error("line {line}, column {column}: {reason}")]
    Malformed {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The reason.
        reason: String,
    },
    /// Another version of gaib wrote the file.
    #[error(
        "it has version {0}, and this version of gaib applies version {VERSION}; create it again with `gaib server plan --out`"
    )]
    Version(u64),
    /// The file was edited.
    #[error(
        "it was changed after it was created (its digest does not match); create it again with `gaib server plan --out`"
    )]
    Digest,
}

/// A plan file: the plan with its digest.
#[derive(Serialize, Deserialize)]
struct Sealed<P> {
    digest: String,
    plan: P,
}

#[derive(Deserialize)]
struct VersionAlone {
    plan: VersionInside,
}

#[derive(Deserialize)]
struct VersionInside {
    version: u64,
}

impl Plan {
    /// Whether neither the server nor the set of managed resources changes. The plan may have steps that only update the
    /// state.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self.mode {
            Mode::RefreshOnly => self.steps.is_empty(),
            Mode::Apply | Mode::Destroy => self.changes.is_empty() && self.reorders.is_empty(),
        }
    }

    /// Numbers of changes by action.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            reorder: self.reorders.len(),
            ..Counts::default()
        };
        for change in &self.changes {
            match change.action {
                Action::Create => counts.add += 1,
                Action::Update => counts.change += 1,
                Action::Replace => {
                    counts.add += 1;
                    counts.destroy += 1;
                }
                Action::Delete => counts.destroy += 1,
                Action::Adopt => counts.adopt += 1,
                Action::Forget => counts.forget += 1,
            }
        }
        counts
    }

    /// The replacements that delete messages.
    pub fn losses(&self) -> impl Iterator<Item = &Change> {
        self.changes
            .iter()
            .filter(|change| change.action == Action::Replace && change.loses_messages)
    }

    /// SHA-256 of the plan, in hexadecimal. Its start identifies the plan in audit log reasons.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(self)
    }

    /// The content of a plan file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let sealed = Sealed {
            digest: self.digest(),
            plan: self,
        };
        // Plain structs with text keys: serde_json cannot fail on them.
        let mut bytes = serde_json::to_vec_pretty(&sealed).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// A plan from the content of a plan file.
    ///
    /// # Errors
    /// The content is not a plan, has another version, or was edited.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PlanFileError> {
        let malformed = |error: serde_json::Error| PlanFileError::Malformed {
            line: error.line(),
            column: error.column(),
            reason: error.to_string(),
        };
        let VersionAlone {
            plan: VersionInside { version },
        } = serde_json::from_slice(bytes).map_err(malformed)?;
        if version != u64::from(VERSION) {
            return Err(PlanFileError::Version(version));
        }
        let Sealed { digest, plan } = serde_json::from_slice::<Sealed<Self>>(bytes).map_err(malformed)?;
        if digest != plan.digest() {
            return Err(PlanFileError::Digest);
        }
        Ok(plan)
    }
}
