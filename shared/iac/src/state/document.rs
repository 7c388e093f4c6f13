//! The document and its transitions.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::live::AddressIndex;
use crate::model::{Address, Attributes, Kind, Kinds, Overwrite, Reference, Snowflake, Target};

/// The version that this gaib writes.
pub const VERSION: u32 = 1;

/// A resource that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its id at Discord.
    pub id: Snowflake,
    /// What it was when gaib last wrote or read it: the managed attributes, with references by address.
    pub attributes: Attributes,
}

/// A resource whose creation was begun and of whose end nothing is known: it may exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// When, in milliseconds since the Unix epoch, by Discord's clock where that is known. What was made is not older.
    pub since_ms: u64,
    /// When it was asked for the last time, by the same clock; absent for [`Pending::since_ms`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_ms: Option<u64>,
    /// What was asked for.
    pub attributes: Attributes,
    /// Ids of what has its kind and was there before, as far as its age does not say so: none of them is what was made.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub others: BTreeSet<Snowflake>,
    /// What was asked for by earlier tries, where it differs from [`Pending::attributes`]: each of them may exist, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked_before: Vec<Attributes>,
}

impl Pending {
    /// Everything that was asked for and may exist, the newest first.
    pub fn asked(&self) -> impl Iterator<Item = &Attributes> {
        std::iter::once(&self.attributes).chain(self.asked_before.iter().rev())
    }

    /// When it was asked for the last time.
    #[must_use]
    pub fn last_ms(&self) -> u64 {
        self.again_ms.unwrap_or(self.since_ms)
    }

    /// The record of another try at `now_ms`, made since nothing of `others`, which were there by then, came of the earlier ones.
    #[must_use]
    pub fn asked_again(&self, attributes: &Attributes, others: BTreeSet<Snowflake>, now_ms: u64) -> Self {
        let mut next = self.clone();
        next.others.extend(others);
        next.again_ms = Some(now_ms);
        next.asked_before
            .push(std::mem::replace(&mut next.attributes, attributes.clone()));
        next.asked_before.retain(|asked| asked != attributes);
        next
    }
}

/// Everything that is managed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Version of the document's shape.
    pub version: u32,
    /// Grows by one with each write.
    pub serial: u64,
    /// Made up once; tells states of different beginnings apart.
    pub lineage: String,
    /// The server; `None` until something was read or written there.
    pub guild_id: Option<Snowflake>,
    /// What exists.
    pub resources: BTreeMap<Address, Entry>,
    /// What may exist.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pending: BTreeMap<Address, Pending>,
    /// What was asked for again since an answer was lost and nothing was found: what exists twice if the earlier request took
    /// effect after all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub repeated: BTreeMap<Address, Pending>,
    /// Values that gaib asked for and that Discord keeps otherwise, by attribute (see [`crate::plan::AlteredValues`]). What Discord
    /// keeps is in `resources`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub altered: BTreeMap<Address, BTreeMap<String, Value>>,
}

/// Why bytes are no state, or a transition was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
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
    /// Of a later gaib.
    #[error("it has version {0}, and this version of gaib reads up to {VERSION}; use a newer gaib")]
    Version(u64),
    /// Nothing is managed under this address.
    #[error("`{address}` is not in the state{}", nearest.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    Unknown {
        /// What was asked for.
        address: Address,
        /// The nearest address there is.
        nearest: Option<Address>,
    },
    /// Something is managed under this address.
    #[error("`{0}` is in the state already")]
    Taken(Address),
    /// The id is managed under another address.
    #[error("`{wanted}` cannot have the id {id}: it is in the state already, as `{address}`")]
    IdTaken {
        /// The id.
        id: Snowflake,
        /// Its address.
        address: Address,
        /// The address that was given for it.
        wanted: Address,
    },
    /// Two addresses have one id.
    #[error("`{one}` and `{other}` have the same id, {id}; a resource has exactly one address")]
    SameId {
        /// The id.
        id: Snowflake,
        /// The first address.
        one: Address,
        /// The second address.
        other: Address,
    },
    /// @everyone has one address, and nothing else has it.
    #[error(
        "`role.everyone` is the role of all members, whose id is the server's; no other role has that address or that id"
    )]
    Everyone,
    /// The attributes are those of another kind.
    #[error("`{address}` has the attributes of {}", crate::words::with_article(kind.words()))]
    OtherAttributes {
        /// The address.
        address: Address,
        /// What the attributes are of.
        kind: Kind,
    },
    /// Another kind.
    #[error("`{from}` cannot become `{to}`: they are of different kinds")]
    KindDiffers {
        /// The address as it is.
        from: Address,
        /// The address as it should be.
        to: Address,
    },
}

/// Kinds whose ids are of one sort at Discord: a category is a channel there.
const fn id_space(kind: Kind) -> Kind {
    match kind {
        Kind::Category => Kind::Channel,
        other => other,
    }
}

/// What `serde_json` writes, without the place at its end.
fn without_place(error: &serde_json::Error) -> String {
    let told = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    told.strip_suffix(&place).map_or(told.clone(), str::to_owned)
}

#[derive(Deserialize)]
struct VersionAlone {
    version: u64,
}

impl State {
    /// Nothing is managed yet.
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

    /// Reads the document.
    ///
    /// # Errors
    /// With line, column and reason; or that a later gaib wrote it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let malformed = |error: serde_json::Error| StateError::Malformed {
            line: error.line(),
            column: error.column(),
            reason: match bytes.trim_ascii().is_empty() {
                true => "it is empty".to_owned(),
                // serde_json names the place, too.
                false => without_place(&error),
            },
        };
        let VersionAlone { version } = serde_json::from_slice(bytes).map_err(malformed)?;
        if version == 0 || version > u64::from(VERSION) {
            return Err(StateError::Version(version));
        }
        let state: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        let of_other_kind = |(address, entry): &(&Address, &Entry)| entry.attributes.kind() != address.kind();
        match state.resources.iter().find(of_other_kind) {
            Some((address, entry)) => Err(StateError::OtherAttributes {
                address: address.clone(),
                kind: entry.attributes.kind(),
            }),
            None => Ok(state),
        }
    }

    /// That no two addresses stand for one thing at Discord. A state may have been edited by hand.
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

    /// @everyone is the role whose id is the server's.
    fn check_everyone(&self, address: &Address, id: Snowflake) -> Result<(), StateError> {
        let is_server = self.guild_id.is_none_or(|guild| guild == id);
        let has_its_id = self.guild_id == Some(id) && address.kind() == Kind::Role;
        match (address.is_everyone(), is_server, has_its_id) {
            (true, false, _) | (false, _, true) => Err(StateError::Everyone),
            _ => Ok(()),
        }
    }

    /// The document as text, ending in a line break.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Plain structs with text keys: serde_json cannot fail on them.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Counts a write, and gives the bytes to write.
    pub fn advance(&mut self) -> Vec<u8> {
        self.serial += 1;
        self.to_bytes()
    }

    /// Whether nothing is managed, and nothing may exist.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.pending.is_empty()
    }

    /// Whether something on this server is managed, or may exist.
    #[must_use]
    pub fn manages(&self, guild: Snowflake) -> bool {
        self.guild_id == Some(guild) && !self.is_empty()
    }

    /// The id of what is managed under an address.
    #[must_use]
    pub fn id(&self, address: &Address) -> Option<Snowflake> {
        self.resources.get(address).map(|entry| entry.id)
    }

    /// An entry.
    ///
    /// # Errors
    /// [`StateError::Unknown`], with the nearest address.
    pub fn entry(&self, address: &Address) -> Result<&Entry, StateError> {
        self.resources.get(address).ok_or_else(|| self.unknown(address))
    }

    /// Which address stands for which id.
    #[must_use]
    pub fn names(&self, guild_id: Snowflake, bot_id: Snowflake) -> AddressIndex {
        AddressIndex::new(
            guild_id,
            bot_id,
            self.resources.iter().map(|(address, entry)| (address, entry.id)),
        )
    }

    /// A creation is about to be asked for.
    pub fn begin_create(&mut self, address: Address, pending: Pending) {
        self.pending.insert(address, pending);
    }

    /// It exists (made, found again, or adopted), with these attributes.
    pub fn record(&mut self, address: Address, entry: Entry) {
        self.pending.remove(&address);
        self.resources.insert(address, entry);
    }

    /// It does not exist, or is no longer managed. Whoever refers to it does so by id from now on.
    pub fn forget(&mut self, address: &Address) -> Option<Entry> {
        self.pending.remove(address);
        self.repeated.remove(address);
        self.altered.remove(address);
        let entry = self.resources.remove(address)?;
        self.rename_references(address, &Reference::Id(entry.id));
        Some(entry)
    }

    /// It was deleted from the server. Discord removes the overwrites of a deleted role.
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

    /// Attributes of a resource were asked for anew: what Discord did with an earlier request for them no longer counts.
    pub fn ask_again(&mut self, address: &Address, keys: &[String]) {
        if let Some(altered) = self.altered.get_mut(address) {
            altered.retain(|key, _| !keys.contains(key));
            if altered.is_empty() {
                self.altered.remove(address);
            }
        }
    }

    /// Discord keeps other values than those that were asked for. `attributes` has the values that it keeps.
    pub fn record_altered(&mut self, address: &Address, attributes: Attributes, asked: BTreeMap<String, Value>) {
        if let Some(entry) = self.resources.get_mut(address).filter(|_| !asked.is_empty()) {
            entry.attributes = attributes;
            self.altered.entry(address.clone()).or_default().extend(asked);
        }
    }

    /// A creation came to nothing: it is certain that nothing was made, by this try or an earlier one.
    pub fn give_up(&mut self, address: &Address) {
        self.pending.remove(address);
    }

    /// An overwrite of a category or channel was set (`Some`) or removed.
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

    /// The bot was given a role, or it was taken.
    pub fn record_bot_role(&mut self, address: &Address, given: bool) {
        if let Some(Attributes::Role(role)) = self.resources.get_mut(address).map(|entry| &mut entry.attributes) {
            role.given_to_bot = Some(given);
        }
    }

    /// Takes something in that exists and is not managed.
    ///
    /// # Errors
    /// When the address or the id is managed already.
    pub fn adopt(&mut self, address: Address, entry: Entry) -> Result<(), StateError> {
        if self.resources.contains_key(&address) {
            return Err(StateError::Taken(address));
        }
        let space = id_space(address.kind());
        let same = |(known, other): &(&Address, &Entry)| other.id == entry.id && id_space(known.kind()) == space;
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

    /// Gives an address another name, everywhere.
    ///
    /// # Errors
    /// When there is nothing under `from`, something under `to`, or they are of different kinds.
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
