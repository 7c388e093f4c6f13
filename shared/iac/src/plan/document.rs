//! What a plan says, as a file keeps it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::live::digest;
use crate::model::{Address, Attributes, BrokenRule, Kind, Origin, Overwrite, Reference, Snowflake, Target, ThemeUse};
use crate::words::counted;

/// The version that this gaib writes.
pub const VERSION: u32 = 2;

/// What is to happen to a server, decided once. Immutable: whoever carries it out decides nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of the document's shape.
    pub version: u32,
    /// What it was made from. It is stale when any of that has changed.
    pub made_from: PlanInputs,
    /// What for.
    pub mode: Mode,
    /// Only these and what they need; empty for everything.
    pub targets: Vec<Address>,
    /// Replacements that lose messages may be carried out.
    pub allow_replace: bool,
    /// The theme that the configuration builds on.
    pub theme: Option<ThemeUse>,
    /// What somebody else changed since gaib last wrote or read: state against server.
    pub drift: Vec<Drift>,
    /// What changes, resource by resource, for people. In order of steps.
    pub changes: Vec<Change>,
    /// Orders that change, for people.
    pub reorders: Vec<Reorder>,
    /// What to do, one request (or none) each, in this order.
    pub steps: Vec<Step>,
    /// Words for the reader.
    pub notes: Vec<String>,
    /// Rules of Discord's that values break which the plan sends. While there is one, the plan cannot succeed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken_rules: Vec<BrokenRule>,
}

/// What a plan was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanInputs {
    /// The server.
    pub guild_id: Snowflake,
    /// The bot, as whom `bot` is understood.
    pub bot_id: Snowflake,
    /// Name of the workspace; empty until the caller of [`plan`](super::plan()) sets it.
    pub workspace: String,
    /// Of the state.
    pub lineage: String,
    /// Of the state.
    pub serial: u64,
    /// Digest of the configuration; `None` when none was read (destroy).
    pub configuration: Option<String>,
    /// Fingerprint of the live server.
    pub live: String,
    /// Kinds that configuration and state hold: what the live server was read for.
    pub kinds: BTreeSet<Kind>,
}

/// What a plan is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The server becomes what the configuration says.
    #[default]
    Apply,
    /// The state becomes what the server is.
    RefreshOnly,
    /// What is managed is removed.
    Destroy,
}

/// What happens to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is made.
    Create,
    /// It is changed in place.
    Update,
    /// It is removed and made anew: what it held (messages, say) is lost.
    Replace,
    /// It is removed.
    Delete,
    /// It is there and is managed from now on.
    Adopt,
    /// It is no longer managed. The server is not touched.
    Forget,
}

/// Why something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The configuration says so.
    Configured,
    /// It is no longer in the configuration.
    NotConfigured,
    /// Somebody removed it on the server.
    Gone,
    /// Its creation was begun earlier, and it was found.
    FoundAgain,
    /// It is there on every server.
    AlwaysThere,
    /// Everything managed is to be removed.
    Destroy,
}

/// What happens to one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Which.
    pub address: Address,
    /// What.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// Its id, of what exists.
    pub id: Option<Snowflake>,
    /// What Discord shows, or will.
    pub name: Option<String>,
    /// The managed attributes as they are, references by address.
    pub before: Option<Attributes>,
    /// The managed attributes as they will be.
    pub after: Option<Attributes>,
    /// Names of the attributes that differ, for an update or a replacement.
    pub fields: Vec<String>,
    /// Names of the attributes that make a replacement necessary.
    pub forces_replacement: Vec<String>,
    /// Messages or posts are lost.
    pub loses_messages: bool,
    /// Where it is written.
    pub origin: Option<Origin>,
}

/// What somebody else changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// Which.
    pub address: Address,
    /// Its id.
    pub id: Snowflake,
    /// What it was.
    pub before: Attributes,
    /// What it is; `None` when it is gone.
    pub after: Option<Attributes>,
    /// Names of the attributes that differ.
    pub fields: Vec<String>,
}

/// An order that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reorder {
    /// Of what, as in `roles` or `text channels in category.stillsuit`.
    pub of: String,
    /// As it is, of what is managed.
    pub before: Vec<String>,
    /// As it will be.
    pub after: Vec<String>,
}

/// A role or a channel with its position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourcePosition {
    /// Which. What is not managed keeps its place and is named by id.
    pub of: Reference,
    /// Discord's position.
    pub position: i64,
}

/// One thing to do. References are symbolic; ids of what earlier steps make come from the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Make it with all these attributes, overwrites among them, in one request. A pending record is written first. In a
    /// role, `given_to_bot` is left to [`Step::BotRole`].
    Create {
        /// Which.
        address: Address,
        /// What.
        attributes: Attributes,
    },
    /// Change the attributes named in `fields` to what `attributes` says. Overwrites and `given_to_bot` are never among
    /// them: other steps change those, and `attributes` has them as they are before.
    Update {
        /// Which.
        address: Address,
        /// Its id.
        id: Snowflake,
        /// All managed attributes as they are after this step: what the state records.
        attributes: Attributes,
        /// The ones to send.
        fields: Vec<String>,
    },
    /// Set one overwrite of a category or channel.
    PutOverwrite {
        /// Where.
        address: Address,
        /// Whose.
        target: Target,
        /// What.
        overwrite: Overwrite,
    },
    /// Remove one overwrite.
    DeleteOverwrite {
        /// Where.
        address: Address,
        /// Whose.
        target: Target,
    },
    /// Give the bot a role, or take it.
    BotRole {
        /// Which.
        address: Address,
        /// Give it.
        give: bool,
    },
    /// Order roles, in one request.
    MoveRoles {
        /// Each role below the bot's highest, with its position.
        places: Vec<ResourcePosition>,
    },
    /// Order categories or channels, in one request. No entry changes its category.
    MoveChannels {
        /// Each member of the groups whose order changes, with its position.
        places: Vec<ResourcePosition>,
    },
    /// Remove it.
    Delete {
        /// Which.
        address: Address,
        /// Its id.
        id: Snowflake,
    },
    /// Take it into the state: it exists. The server is not touched.
    Adopt {
        /// Which.
        address: Address,
        /// Its id.
        id: Snowflake,
        /// What it is.
        attributes: Attributes,
    },
    /// Bring the state up to date with the server, which is not touched.
    Refresh {
        /// Which.
        address: Address,
        /// What it is.
        attributes: Attributes,
    },
    /// Drop it from the state. The server is not touched.
    Forget {
        /// Which.
        address: Address,
    },
}

impl Step {
    /// What it does, in a few words: `create role.naib`.
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

    /// The resource it is about; `None` for orders.
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

    /// Whether Discord is asked for it; else it is the state alone that changes.
    #[must_use]
    pub const fn is_a_request(&self) -> bool {
        !matches!(self, Self::Adopt { .. } | Self::Refresh { .. } | Self::Forget { .. })
    }
}

/// How many of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Made, replacements included.
    pub add: usize,
    /// Changed in place.
    pub change: usize,
    /// Removed, replacements included.
    pub destroy: usize,
    /// Orders that change.
    pub reorder: usize,
    /// Taken into the state.
    pub adopt: usize,
    /// Dropped from the state.
    pub forget: usize,
}

/// Why bytes are no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanFileError {
    /// Not this JSON.
    #[error("line {line}, column {column}: {reason}")]
    Malformed {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// Of another gaib.
    #[error(
        "it has version {0}, and this version of gaib applies version {VERSION}; create it again with `gaib server plan --out`"
    )]
    Version(u64),
    /// Changed since.
    #[error(
        "it was changed after it was created (its digest does not match); create it again with `gaib server plan --out`"
    )]
    Digest,
}

/// The plan with its digest, as a file has it.
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
    /// Whether nothing changes: neither on the server nor in what is managed. Steps that only bring the state up to date
    /// may be there nevertheless.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self.mode {
            Mode::RefreshOnly => self.steps.is_empty(),
            Mode::Apply | Mode::Destroy => self.changes.is_empty() && self.reorders.is_empty(),
        }
    }

    /// How many of what.
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

    /// The replacements that lose messages.
    pub fn losses(&self) -> impl Iterator<Item = &Change> {
        self.changes
            .iter()
            .filter(|change| change.action == Action::Replace && change.loses_messages)
    }

    /// SHA-256 of the whole plan, in hexadecimal: its name in audit logs.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(self)
    }

    /// The file.
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

    /// Reads a file.
    ///
    /// # Errors
    /// When it is no plan, of another version, or was changed after it was made.
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
