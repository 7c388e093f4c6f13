//! A snapshot of a server at Discord.
//!
//! Plans, exports and imports are made from the snapshot: the responses to one GET for each collection, in the types of
//! [`crate::model`]. References are by id; [`AddressIndex`] replaces the ids of managed resources by addresses.
//!
//! To add a collection, give its resources an id and attributes and [`LiveServer::insert`] them.

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

/// The bot, as a member of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveBot {
    /// Its user id.
    pub user_id: Snowflake,
    /// Its roles, without @everyone.
    pub roles: BTreeSet<Snowflake>,
}

/// A snapshot of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveServer {
    /// Its id.
    pub guild_id: Snowflake,
    /// The owner, who has all permissions.
    pub owner_id: Snowflake,
    /// Boost level, 0 to 3.
    pub boost_level: u8,
    /// Features of the server, as in `COMMUNITY`.
    pub features: BTreeSet<String>,
    /// The bot that read the server.
    pub bot: LiveBot,
    /// Number of channels of unknown kinds (a directory, for example). They count towards the limits.
    pub foreign_channels: usize,
    /// Values that this version does not support. Their attributes are `None` and therefore not managed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<UnknownValue>,
    /// Resources that exist and cannot be read, since a value that determines their form is unknown: the kind of a channel
    /// or of a webhook, the trigger of a rule of auto moderation, the entity type of an event. They do not count as deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<UnknownValue>,
    /// Kinds whose list has an entry without content. A resource that is not found may be this entry, so it does not count
    /// as deleted.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub incomplete: BTreeSet<Kind>,
    /// Whether Discord sent channels without positions. Their order is unknown, and a plan does not change it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub channels_unordered: bool,
    /// Kinds that were not read. It is unknown whether the server has such resources.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unread: BTreeSet<Kind>,
    /// Animated emoji, which have a limit of their own.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub animated_emoji: BTreeSet<Snowflake>,
    /// Locations of the images of resources. Not part of the fingerprint: a plan compares digests of files.
    #[serde(skip)]
    pub images: BTreeMap<(Kind, Snowflake), LiveImage>,
    /// All resources. Threads are not part of them.
    #[serde(serialize_with = "as_list", deserialize_with = "from_list")]
    resources: BTreeMap<(Kind, Snowflake), LiveResource>,
}

impl LiveServer {
    /// A server that has only settings.
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

    /// Inserts a resource; replaces one with the same kind and id.
    pub fn insert(&mut self, resource: LiveResource) {
        self.resources
            .insert((resource.attributes.kind(), resource.id), resource);
    }

    /// Removes a resource and returns it.
    pub fn remove(&mut self, kind: Kind, id: Snowflake) -> Option<LiveResource> {
        self.resources.remove(&(kind, id))
    }

    /// The resource of this kind and id.
    #[must_use]
    pub fn get(&self, kind: Kind, id: Snowflake) -> Option<&LiveResource> {
        self.resources.get(&(kind, id))
    }

    /// The unknown value that prevents the reading of a resource of this kind and id. A channel of unknown kind may be a
    /// category.
    #[must_use]
    pub fn unreadable(&self, kind: Kind, id: Snowflake) -> Option<&UnknownValue> {
        let is_tree = |kind| matches!(kind, Kind::Channel | Kind::Category);
        self.unreadable
            .iter()
            .find(|value| value.id == id && (value.kind == kind || (is_tree(value.kind) && is_tree(kind))))
    }

    /// The mutable resource of this kind and id.
    pub fn get_mut(&mut self, kind: Kind, id: Snowflake) -> Option<&mut LiveResource> {
        self.resources.get_mut(&(kind, id))
    }

    /// All resources, by kind and id.
    pub fn resources(&self) -> impl Iterator<Item = &LiveResource> {
        self.resources.values()
    }

    /// The resources of a kind, by id.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &LiveResource> {
        self.resources()
            .filter(move |resource| resource.attributes.kind() == kind)
    }

    /// Roles from the highest to the lowest, @everyone last. Of roles with equal positions, the one with the lower id is
    /// higher.
    #[must_use]
    pub fn roles_in_order(&self) -> Vec<&LiveResource> {
        let mut roles: Vec<&LiveResource> = self.of_kind(Kind::Role).collect();
        roles.sort_by_key(|role| (role.id == self.guild_id, std::cmp::Reverse(role.position), role.id));
        roles
    }

    /// Categories and channels in the order in which Discord sorts each group: by position, then by id.
    #[must_use]
    pub fn channels_in_order(&self) -> Vec<&LiveResource> {
        let mut channels: Vec<&LiveResource> = self
            .of_kind(Kind::Category)
            .chain(self.of_kind(Kind::Channel))
            .collect();
        channels.sort_by_key(|channel| (channel.position, channel.id));
        channels
    }

    /// The attributes of a role; `None` when it does not exist.
    #[must_use]
    pub fn role(&self, id: Snowflake) -> Option<&Role> {
        match &self.get(Kind::Role, id)?.attributes {
            Attributes::Role(role) => Some(role),
            _ => None,
        }
    }

    /// The attributes of a category or channel; `None` when it does not exist.
    #[must_use]
    pub fn channel(&self, id: Snowflake) -> Option<&Channel> {
        let found = self.get(Kind::Channel, id).or_else(|| self.get(Kind::Category, id))?;
        found.attributes.channel()
    }

    /// Whether it is a community server, which announcement, stage, forum and media channels require.
    #[must_use]
    pub fn is_community(&self) -> bool {
        self.features.contains("COMMUNITY")
    }

    /// Whether the bot owns the server.
    #[must_use]
    pub fn bot_is_owner(&self) -> bool {
        self.owner_id == self.bot.user_id
    }

    /// Permissions of the bot on the server; all for the owner and for an administrator.
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

    /// Features of the server and permissions of the bot.
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

    /// SHA-256 of the snapshot, in hexadecimal: equal for equal servers.
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

/// JSON has no pairs as keys, and the value contains the key.
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
