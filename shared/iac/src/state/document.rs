//! The state document and its transitions.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::live::AddressIndex;
use crate::model::{Address, Attributes, Kind, Kinds, Overwrite, Reference, Snowflake, Target};

/// The version of state files that this gaib writes.
pub const VERSION: u32 = 1;

/// A managed resource that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateEntry {
    /// Id at Discord.
    pub id: Snowflake,
    /// The managed attributes as gaib last wrote or read them, with references by address.
    pub attributes: Attributes,
}

/// A creation whose outcome is unknown: the resource may exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingCreation {
    /// Time before the first request, in milliseconds since the Unix epoch, by Discord's clock where known. The resource is
    /// not older.
    pub since_ms: u64,
    /// Time before the last request, by the same clock; absent if it equals [`PendingCreation::since_ms`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_ms: Option<u64>,
    /// Requested attributes.
    pub attributes: Attributes,
    /// Ids of resources of the same kind that existed before. Those that are older than [`PendingCreation::since_ms`] are
    /// left out.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub others: BTreeSet<Snowflake>,
    /// Requested attributes of earlier attempts, where they differ from [`PendingCreation::attributes`]. Each attempt may have
    /// created a resource.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked_before: Vec<Attributes>,
}

impl PendingCreation {
    /// Requested attributes of all attempts, the newest first.
    pub fn requested(&self) -> impl Iterator<Item = &Attributes> {
        std::iter::once(&self.attributes).chain(self.asked_before.iter().rev())
    }

    /// Time before the last request.
    #[must_use]
    pub fn last_request_ms(&self) -> u64 {
        self.again_ms.unwrap_or(self.since_ms)
    }

    /// The record of a further attempt at `now_ms`. None of `others`, which existed by then, is the result of an earlier
    /// attempt.
    #[must_use]
    pub fn retried(&self, attributes: &Attributes, others: BTreeSet<Snowflake>, now_ms: u64) -> Self {
        let mut next = self.clone();
        next.others.extend(others);
        next.again_ms = Some(now_ms);
        next.asked_before
            .push(std::mem::replace(&mut next.attributes, attributes.clone()));
        next.asked_before.retain(|requested| requested != attributes);
        next
    }
}

/// The state of a server: its managed resources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Version of the format.
    pub version: u32,
    /// Number of writes.
    pub serial: u64,
    /// Random id from the creation of the state. Versions of one state have the same lineage.
    pub lineage: String,
    /// Id of the server; `None` before the first read or write.
    pub guild_id: Option<Snowflake>,
    /// Existing resources by address.
    pub resources: BTreeMap<Address, StateEntry>,
    /// Creations with an unknown outcome, by address.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pending: BTreeMap<Address, PendingCreation>,
    /// Creations that were repeated after a missing response. The resource exists twice if the earlier request takes effect
    /// later.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub repeated: BTreeMap<Address, PendingCreation>,
    /// Requested values that Discord stored differently, by attribute (see [`crate::plan::AlteredValues`]). `resources` has the
    /// stored values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub altered: BTreeMap<Address, BTreeMap<String, Value>>,
}

/// An invalid state document or transition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Invalid JSON.
    #[error("line {line}, column {column}: {reason}")]
    Malformed {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// Message of the parser.
        reason: String,
    },
    /// Written by a later version of gaib.
    #[error("it has version {0}, and this version of gaib reads up to {VERSION}; use a newer gaib")]
    Version(u64),
    /// The address is not in the state.
    #[error("`{address}` is not in the state{}", nearest.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    Unknown {
        /// The address.
        address: Address,
        /// The most similar address of the state.
        nearest: Option<Address>,
    },
    /// The address is in the state already.
    #[error("`{0}` is in the state already")]
    Taken(Address),
    /// The id is in the state with another address.
    #[error("`{wanted}` cannot have the id {id}: it is in the state already, as `{address}`")]
    IdTaken {
        /// The id.
        id: Snowflake,
        /// The address in the state.
        address: Address,
        /// The new address.
        wanted: Address,
    },
    /// Two addresses have the same id.
    #[error("`{one}` and `{other}` have the same id, {id}; a resource has exactly one address")]
    SameId {
        /// The id.
        id: Snowflake,
        /// The first address.
        one: Address,
        /// The second address.
        other: Address,
    },
    /// `role.everyone` is not the role @everyone, or @everyone has another address.
    #[error(
        "`role.everyone` is the role of all members, whose id is the server's; no other role has that address or that id"
    )]
    Everyone,
    /// The attributes are of another kind than the address.
    #[error("`{address}` has the attributes of {}", crate::grammar::with_article(kind.noun()))]
    OtherAttributes {
        /// The address.
        address: Address,
        /// The kind of the attributes.
        kind: Kind,
    },
    /// The new address is of another kind.
    #[error("`{from}` cannot become `{to}`: they are of different kinds")]
    KindDiffers {
        /// The old address.
        from: Address,
        /// The new address.
        to: Address,
    },
}

/// The kind whose id space contains the ids of `kind`: at Discord, a category is a channel.
const fn id_space(kind: Kind) -> Kind {
    match kind {
        Kind::Category => Kind::Channel,
        other => other,
    }
}

/// The message of `serde_json` without the position at its end.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).map_or(text.clone(), str::to_owned)
}

#[derive(Deserialize)]
struct VersionAlone {
    version: u64,
}

impl State {
    /// An empty state.
    #[must_use]
    pub fn new(lineage: impl Into<String>) -> Self {
        Self {
            version: VERSION,
            serial: 0,
            lineage: lineage.into(),
            guild_id: None,
            resources: BTreeMap::new(),
            pending: BTreeMap::new(),
            repeated: BTreeMap::new(),
            altered: BTreeMap::new(),
        }
    }

    /// Parses a state document.
    ///
    /// # Errors
    /// Invalid JSON, a later version, or inconsistent ids.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let malformed = |error: serde_json::Error| StateError::Malformed {
            line: error.line(),
            column: error.column(),
            reason: match bytes.trim_ascii().is_empty() {
                true => "it is empty".to_owned(),
                // The message of serde_json contains the position.
                false => without_position(&error),
            },
        };
        let VersionAlone { version } = serde_json::from_slice(bytes).map_err(malformed)?;
        if version == 0 || version > u64::from(VERSION) {
            return Err(StateError::Version(version));
        }
        let state: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        let of_other_kind = |(address, entry): &(&Address, &StateEntry)| entry.attributes.kind() != address.kind();
        match state.resources.iter().find(of_other_kind) {
            Some((address, entry)) => Err(StateError::OtherAttributes {
                address: address.clone(),
                kind: entry.attributes.kind(),
            }),
            None => Ok(state),
        }
    }

    /// Checks that no two addresses have the same id: a state may have been edited manually.
    ///
    /// # Errors
    /// [`StateError::SameId`], with both addresses; [`StateError::Everyone`].
    pub fn check_ids(&self) -> Result<(), StateError> {
        let mut known: BTreeMap<(Kind, Snowflake), &Address> = BTreeMap::new();
        for (address, entry) in &self.resources {
            if let Some(one) = known.insert((id_space(address.kind()), entry.id), address) {
                return Err(StateError::SameId {
                    id: entry.id,
                    one: one.clone(),
                    other: address.clone(),
                });
            }
            self.check_everyone(address, entry.id)?;
        }
        Ok(())
    }

    /// The id of the role @everyone is the id of the server.
    fn check_everyone(&self, address: &Address, id: Snowflake) -> Result<(), StateError> {
        let is_server = self.guild_id.is_none_or(|guild| guild == id);
        let has_its_id = self.guild_id == Some(id) && address.kind() == Kind::Role;
        match (address.is_everyone(), is_server, has_its_id) {
            (true, false, _) | (false, _, true) => Err(StateError::Everyone),
            _ => Ok(()),
        }
    }

    /// The document as JSON, with a final line break.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // serde_json cannot fail on structs and maps with string keys.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Increments the serial and returns the document.
    pub fn advance(&mut self) -> Vec<u8> {
        self.serial += 1;
        self.to_bytes()
    }

    /// Whether the state has neither resources nor pending creations.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.pending.is_empty()
    }

    /// Whether the state is of this server and is not empty.
    #[must_use]
    pub fn manages(&self, guild: Snowflake) -> bool {
        self.guild_id == Some(guild) && !self.is_empty()
    }

    /// The id of a managed resource.
    #[must_use]
    pub fn id(&self, address: &Address) -> Option<Snowflake> {
        self.resources.get(address).map(|entry| entry.id)
    }

    /// The entry of a managed resource.
    ///
    /// # Errors
    /// [`StateError::Unknown`], with the most similar address.
    pub fn entry(&self, address: &Address) -> Result<&StateEntry, StateError> {
        self.resources.get(address).ok_or_else(|| self.unknown(address))
    }

    /// The index of addresses by id.
    #[must_use]
    pub fn names(&self, guild_id: Snowflake, bot_id: Snowflake) -> AddressIndex {
        AddressIndex::new(
            guild_id,
            bot_id,
            self.resources.iter().map(|(address, entry)| (address, entry.id)),
        )
    }

    /// Records a creation before its request.
    pub fn begin_create(&mut self, address: Address, pending: PendingCreation) {
        self.pending.insert(address, pending);
    }

    /// Records a resource that was created, found or imported.
    pub fn record(&mut self, address: Address, entry: StateEntry) {
        self.pending.remove(&address);
        self.resources.insert(address, entry);
    }

    /// Removes a resource. References to it become ids.
    pub fn forget(&mut self, address: &Address) -> Option<StateEntry> {
        self.pending.remove(address);
        self.repeated.remove(address);
        self.altered.remove(address);
        let entry = self.resources.remove(address)?;
        self.rename_references(address, &Reference::Id(entry.id));
        Some(entry)
    }

    /// Removes a resource that was deleted at Discord. Discord removes the overwrites of a deleted role.
    pub fn delete(&mut self, address: &Address) {
        let Some(entry) = self.forget(address) else { return };
        if address.kind() != Kind::Role {
            return;
        }
        let target = Target::Role(Reference::Id(entry.id));
        for other in self.resources.values_mut() {
            if let Some(channel) = other.attributes.channel_mut()
                && let Some(overwrites) = &mut channel.overwrites
            {
                overwrites.remove(&target);
            }
        }
    }

    /// Removes the altered values of attributes that were requested again.
    pub fn clear_altered(&mut self, address: &Address, keys: &[String]) {
        if let Some(altered) = self.altered.get_mut(address) {
            altered.retain(|key, _| !keys.contains(key));
            if altered.is_empty() {
                self.altered.remove(address);
            }
        }
    }

    /// Records values that Discord stored differently. `attributes` has the stored values.
    pub fn record_altered(&mut self, address: &Address, attributes: Attributes, requested: BTreeMap<String, Value>) {
        if let Some(entry) = self.resources.get_mut(address).filter(|_| !requested.is_empty()) {
            entry.attributes = attributes;
            self.altered.entry(address.clone()).or_default().extend(requested);
        }
    }

    /// Removes a pending creation that certainly created nothing.
    pub fn remove_pending(&mut self, address: &Address) {
        self.pending.remove(address);
    }

    /// Records an overwrite that was set (`Some`) or removed.
    pub fn record_overwrite(&mut self, address: &Address, target: &Target, overwrite: Option<Overwrite>) {
        let Some(channel) = self
            .resources
            .get_mut(address)
            .and_then(|entry| entry.attributes.channel_mut())
        else {
            return;
        };
        let overwrites = channel.overwrites.get_or_insert_default();
        match overwrite {
            Some(overwrite) => overwrites.insert(target.clone(), overwrite),
            None => overwrites.remove(target),
        };
    }

    /// Records whether the bot has a role.
    pub fn record_bot_role(&mut self, address: &Address, given: bool) {
        if let Some(Attributes::Role(role)) = self.resources.get_mut(address).map(|entry| &mut entry.attributes) {
            role.given_to_bot = Some(given);
        }
    }

    /// Adds an existing, unmanaged resource.
    ///
    /// # Errors
    /// The address or the id is in the state already.
    pub fn import(&mut self, address: Address, entry: StateEntry) -> Result<(), StateError> {
        if self.resources.contains_key(&address) {
            return Err(StateError::Taken(address));
        }
        let space = id_space(address.kind());
        let same = |(known, other): &(&Address, &StateEntry)| other.id == entry.id && id_space(known.kind()) == space;
        if let Some((known, _)) = self.resources.iter().find(same) {
            return Err(StateError::IdTaken {
                id: entry.id,
                address: known.clone(),
                wanted: address,
            });
        }
        self.check_everyone(&address, entry.id)?;
        self.record(address, entry);
        Ok(())
    }

    /// Renames an address, also in references.
    ///
    /// # Errors
    /// `from` is not in the state, `to` is, or they are of different kinds.
    pub fn rename(&mut self, from: &Address, to: &Address) -> Result<(), StateError> {
        if from.kind() != to.kind() {
            return Err(StateError::KindDiffers {
                from: from.clone(),
                to: to.clone(),
            });
        }
        if self.resources.contains_key(to) || self.pending.contains_key(to) {
            return Err(StateError::Taken(to.clone()));
        }
        if from.is_everyone() || to.is_everyone() {
            return Err(StateError::Everyone);
        }
        let entry = self.resources.remove(from).ok_or_else(|| self.unknown(from))?;
        self.resources.insert(to.clone(), entry);
        if let Some(altered) = self.altered.remove(from) {
            self.altered.insert(to.clone(), altered);
        }
        if let Some(repeated) = self.repeated.remove(from) {
            self.repeated.insert(to.clone(), repeated);
        }
        self.rename_references(from, &Reference::Address(to.clone()));
        Ok(())
    }

    fn rename_references(&mut self, from: &Address, to: &Reference) {
        let mut change = |_: Kinds, reference: &mut Reference| {
            if reference.address() == Some(from) {
                *reference = to.clone();
            }
        };
        for entry in self.resources.values_mut() {
            if entry
                .attributes
                .references()
                .iter()
                .any(|reference| reference.address() == Some(from))
            {
                entry.attributes.map_references(&mut change);
            }
        }
    }

    fn unknown(&self, address: &Address) -> StateError {
        let wanted = address.to_string();
        let nearest = self
            .resources
            .keys()
            .map(|known| (strsim::osa_distance(&known.to_string(), &wanted), known))
            .min_by_key(|(distance, _)| *distance)
            .filter(|(distance, _)| *distance <= 3.max(wanted.len() / 4))
            .map(|(_, known)| known.clone());
        StateError::Unknown {
            address: address.clone(),
            nearest,
        }
    }
}
