//! What a server is at Discord at one moment.
//!
//! Owns the snapshot that plans, exports and imports are made from: whatever one GET per collection tells, in the words of
//! [`crate::model`]. References in it are by id; [`AddressIndex`] gives those that are managed their addresses. Refuses to know how
//! it was read.
//!
//! To add a collection, give its resources an id and attributes and [`Live::insert`] them.

mod names;
mod permissions;
mod read;

use std::collections::{BTreeMap, BTreeSet};

use arrakis_domain::{Permission, Permissions};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::kinds::Abilities;
use crate::model::{Attributes, Channel, Kind, Role, Server, Snowflake};

pub use crate::kinds::{FLAG_HIDE_DOWNLOAD_OPTIONS, FLAG_REQUIRE_TAG, LiveResource};
pub use crate::wire::{LiveImage, UnknownValue, Unreadable};
pub use names::AddressIndex;
pub use read::{Collections, read_answer, read_channels, read_me};

/// The bot that asks, as a member of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveBot {
    /// Its user id.
    pub user_id: Snowflake,
    /// Its roles, @everyone aside.
    pub roles: BTreeSet<Snowflake>,
}

/// A server as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// Its id.
    pub guild_id: Snowflake,
    /// Its owner, who may do everything.
    pub owner_id: Snowflake,
    /// Boost level, 0 to 3.
    pub boost_level: u8,
    /// Discord's features of the server, as in `COMMUNITY`.
    pub features: BTreeSet<String>,
    /// Who asks.
    pub bot: LiveBot,
    /// Channels of kinds that gaib does not know (a directory, say): they count towards the limits.
    pub foreign_channels: usize,
    /// Values that this version does not know: their attributes are `None`, and left as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<UnknownValue>,
    /// What exists and cannot be read, since a value that decides how it is read is unknown: the kind of a channel or of a
    /// webhook, what triggers a rule of auto moderation, the kind of place of an event. It is never taken for gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<UnknownValue>,
    /// Kinds whose list has an entry without content: what is not found may be this entry, so it is never taken for gone.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub incomplete: BTreeSet<Kind>,
    /// Discord sent channels without positions: the order of channels is unknown, and not changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub channels_unordered: bool,
    /// Kinds that were not read: nothing is known of such resources, not even whether there are any.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unread: BTreeSet<Kind>,
    /// Emoji that move: they have a limit of their own.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub animated_emoji: BTreeSet<Snowflake>,
    /// Where the images of resources are. No part of the fingerprint: a plan compares digests of files.
    #[serde(skip)]
    pub images: BTreeMap<(Kind, Snowflake), LiveImage>,
    /// Everything else. Threads are not part of it.
    #[serde(serialize_with = "as_list", deserialize_with = "from_list")]
    resources: BTreeMap<(Kind, Snowflake), LiveResource>,
}

impl Live {
    /// A server with settings and nothing else.
    #[must_use]
    pub fn new(guild_id: Snowflake, owner_id: Snowflake, bot: LiveBot, server: Server) -> Self {
        let mut live = Self {
            guild_id,
            owner_id,
            boost_level: 0,
            features: BTreeSet::new(),
            bot,
            foreign_channels: 0,
            unknown: Vec::new(),
            unreadable: Vec::new(),
            incomplete: BTreeSet::new(),
            channels_unordered: false,
            unread: BTreeSet::new(),
            animated_emoji: BTreeSet::new(),
            images: BTreeMap::new(),
            resources: BTreeMap::new(),
        };
        live.insert(LiveResource {
            id: guild_id,
            attributes: Attributes::Server(server),
            position: 0,
            managed: false,
        });
        live
    }

    /// Puts a resource in, in place of one with its kind and id.
    pub fn insert(&mut self, resource: LiveResource) {
        self.resources
            .insert((resource.attributes.kind(), resource.id), resource);
    }

    /// Takes a resource out.
    pub fn remove(&mut self, kind: Kind, id: Snowflake) -> Option<LiveResource> {
        self.resources.remove(&(kind, id))
    }

    /// A resource.
    #[must_use]
    pub fn get(&self, kind: Kind, id: Snowflake) -> Option<&LiveResource> {
        self.resources.get(&(kind, id))
    }

    /// The value that keeps a resource of this kind and id from being read, if there is one. A channel whose kind is unknown
    /// may be a category as well.
    #[must_use]
    pub fn unreadable(&self, kind: Kind, id: Snowflake) -> Option<&UnknownValue> {
        let is_tree = |kind| matches!(kind, Kind::Channel | Kind::Category);
        self.unreadable
            .iter()
            .find(|value| value.id == id && (value.kind == kind || (is_tree(value.kind) && is_tree(kind))))
    }

    /// A resource, to be changed.
    pub fn get_mut(&mut self, kind: Kind, id: Snowflake) -> Option<&mut LiveResource> {
        self.resources.get_mut(&(kind, id))
    }

    /// Everything, by kind and id.
    pub fn resources(&self) -> impl Iterator<Item = &LiveResource> {
        self.resources.values()
    }

    /// The resources of a kind, by id.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &LiveResource> {
        self.resources()
            .filter(move |resource| resource.attributes.kind() == kind)
    }

    /// Roles from the highest to the lowest, @everyone last. Of equal positions the lower id is the higher role.
    #[must_use]
    pub fn roles_in_order(&self) -> Vec<&LiveResource> {
        let mut roles: Vec<&LiveResource> = self.of_kind(Kind::Role).collect();
        roles.sort_by_key(|role| (role.id == self.guild_id, std::cmp::Reverse(role.position), role.id));
        roles
    }

    /// Categories and channels as Discord sorts them among their like: by position, then by id.
    #[must_use]
    pub fn channels_in_order(&self) -> Vec<&LiveResource> {
        let mut channels: Vec<&LiveResource> = self
            .of_kind(Kind::Category)
            .chain(self.of_kind(Kind::Channel))
            .collect();
        channels.sort_by_key(|channel| (channel.position, channel.id));
        channels
    }

    /// The role's attributes, of a role that is there.
    #[must_use]
    pub fn role(&self, id: Snowflake) -> Option<&Role> {
        match &self.get(Kind::Role, id)?.attributes {
            Attributes::Role(role) => Some(role),
            _ => None,
        }
    }

    /// The attributes of a category or channel that is there.
    #[must_use]
    pub fn channel(&self, id: Snowflake) -> Option<&Channel> {
        let found = self.get(Kind::Channel, id).or_else(|| self.get(Kind::Category, id))?;
        found.attributes.channel()
    }

    /// Whether it is a community server, which announcement, stage, forum and media channels need.
    #[must_use]
    pub fn is_community(&self) -> bool {
        self.features.contains("COMMUNITY")
    }

    /// Whether the bot owns the server.
    #[must_use]
    pub fn bot_is_owner(&self) -> bool {
        self.owner_id == self.bot.user_id
    }

    /// What the bot may do everywhere; all of it for the owner and an administrator.
    #[must_use]
    pub fn bot_permissions(&self) -> Permissions {
        let all = Permissions::ALL;
        let own = self.bot.roles.iter().copied().chain([self.guild_id]);
        let bits = own
            .filter_map(|id| self.role(id)?.permissions)
            .fold(Permissions::NONE, |sum, bits| sum | bits);
        if self.bot_is_owner() || bits.contains(Permission::Administrator) {
            all
        } else {
            bits
        }
    }

    /// What the server and the bot on it can do.
    pub(crate) fn abilities(&self) -> Abilities<'_> {
        Abilities {
            boost_level: self.boost_level,
            features: &self.features,
            bot_permissions: self.bot_permissions(),
        }
    }

    /// The bot's highest role; `None` when it has none but @everyone.
    #[must_use]
    pub fn bot_role(&self) -> Option<&LiveResource> {
        self.roles_in_order()
            .into_iter()
            .find(|role| self.bot.roles.contains(&role.id))
    }

    /// SHA-256 of all of it, in hexadecimal: equal for equal servers.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        digest(self)
    }
}

/// SHA-256 of a value as JSON, in hexadecimal.
pub(crate) fn digest(value: &impl Serialize) -> String {
    // Plain structs with text keys: serde_json cannot fail on them.
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    hex::encode(Sha256::digest(bytes))
}

type Resources = BTreeMap<(Kind, Snowflake), LiveResource>;

/// JSON has no pairs as keys, and the key stands in the value anyway.
fn as_list<S: Serializer>(resources: &Resources, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(resources.values())
}

fn from_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Resources, D::Error> {
    let list = Vec::<LiveResource>::deserialize(deserializer)?;
    Ok(list
        .into_iter()
        .map(|resource| ((resource.attributes.kind(), resource.id), resource))
        .collect())
}
