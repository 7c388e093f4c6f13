//! The definition of a kind of resource, for code that treats all kinds alike.

use std::collections::BTreeSet;

use arrakis_domain::{Permission, Permissions};
use serde_json::Value;

use super::{Attributes, LiveResource};
use crate::values::{Image, ImageAttribute, Kind, Kinds, Overwrites, Reference, Snowflake};
use crate::wire::{LiveImage, UnknownValue, Unreadable};
use crate::yaml::Yaml;

/// The definition of a kind of resource. No item has a default, so that the compiler reports what a new kind lacks.
pub(crate) trait Definition: Sized {
    /// The attribute that is an image.
    const IMAGE: Option<ImageAttribute>;

    /// The request that lists the resources; `None` for what `GET /guilds/{id}` and `GET /guilds/{id}/channels` contain.
    const LIST: Option<ListRequest>;

    /// Attributes whose references a file writes as logical names alone, each with the prefix that is left out:
    /// `("category", "category.")`.
    const SHORT_REFERENCES: &'static [(&'static str, &'static str)];

    /// The attribute that names the resource which contains this one and has room for a limited number.
    const CONTAINER: Option<&'static str>;

    /// These attributes out of those of any kind.
    fn of(attributes: &Attributes) -> Option<&Self>;

    /// The name that Discord shows.
    fn name(&self) -> Option<&String>;

    /// The name that Discord shows, to be changed.
    fn name_mut(&mut self) -> Option<&mut String>;

    /// A name as Discord stores it.
    fn stored_name(&self, name: &str) -> String;

    /// The image.
    fn image(&self) -> Option<&Image>;

    /// The image, to be set; `None` for a kind without images.
    fn image_mut(&mut self) -> Option<&mut Option<Image>>;

    /// The value that Discord gives each attribute of a new resource; `None` for attributes without such a value.
    fn defaults(&self) -> Self;

    /// Every reference.
    fn references(&self) -> Vec<&Reference>;

    /// Passes every reference to `change`, with the kinds of resources that it may name.
    fn map_references(&mut self, change: &mut dyn FnMut(Kinds, &mut Reference));

    /// Removes the references that `is_gone` names; `false` when the resource cannot exist without one of them.
    fn remove_references(&mut self, is_gone: &dyn Fn(&Reference) -> bool) -> bool;

    /// The attribute that makes a replacement necessary: Discord cannot change it in place to what `after` has.
    fn forces_replacement(&self, after: &Self) -> Option<&'static str>;

    /// Whether `found` has the values of these attributes that Discord never rewrites, as far as both are known.
    fn is_same_place(&self, found: &Self, resolve: Resolve<'_>) -> bool;

    /// The permissions that a request needs, with where Discord checks them.
    fn requirements(write: Write<'_, Self>) -> Vec<Requirement>;

    /// The limits that the resource counts towards.
    fn limits(&self, resolve: Resolve<'_>) -> Vec<Limit>;

    /// A limit of this kind on a server of a boost level, 0 to 3.
    fn bound(group: Group, boost_level: u8) -> Bound;

    /// Rules of Discord's that the sent attributes break on a server like this one.
    fn violations(&self, sent: Sent<'_>, server: &Abilities<'_>) -> Vec<Violation>;

    /// The entries of a file for an attribute that is written in another shape than the state has; `None` for any other.
    /// `synced_with` are the overwrites of the category.
    fn written(&self, field: &str, synced_with: Option<&Overwrites>) -> Option<Vec<(String, Yaml)>>;

    /// The attributes in Discord's response to a request that wrote the resource; `None` when the response does not have them.
    fn read_answer(answer: &Value, server: ReadContext<'_>) -> Result<Option<Attributes>, Unreadable>;
}

/// Resolves a reference to an id.
pub(crate) type Resolve<'a> = &'a dyn Fn(&Reference) -> Option<Snowflake>;

/// The phases of a plan, in the order of their steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Changes of the state only.
    State,
    /// Deletions of kinds with low limits.
    EarlyRemovals,
    /// Removals of role permissions.
    Withhold,
    /// Roles.
    Roles,
    /// Emoji and stickers.
    Expressions,
    /// Categories.
    Categories,
    /// Channels that the server settings reference.
    NamedChannels,
    /// The server settings.
    Server,
    /// Other channels.
    Channels,
    /// Overwrites.
    Overwrites,
    /// New channels with the changed overwrites of their category.
    Inheriting,
    /// Grants of role permissions.
    Grant,
    /// Everything else.
    Rest,
    /// Other deletions, after the creation of replacements.
    Removals,
    /// Changes that must follow the deletions: disabling Community, removing a role of the bot.
    AfterRemovals,
    /// Updates of the state with effects of earlier steps.
    Refreshes,
}

/// A request that lists the resources of a kind.
#[derive(Clone, Copy, Debug)]
pub struct ListRequest {
    /// Path below `/guilds/{id}/`.
    pub path: &'static str,
    /// Name of the list in messages: `scheduled events`.
    pub what: &'static str,
    /// The permission that the bot needs for it.
    pub permission: &'static str,
    /// Whether status 404 means that the server has none.
    pub is_nullable: bool,
    /// Reads the response.
    pub(crate) read: fn(&Value, ReadContext<'_>, &mut ReadNotes) -> Result<Vec<LiveResource>, Unreadable>,
}

/// The server whose responses are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadContext<'a> {
    pub(crate) guild: Snowflake,
    /// Discord's features of the server.
    pub(crate) features: &'a BTreeSet<String>,
}

/// Notes about unknown values in responses.
#[derive(Debug, Default)]
pub(crate) struct ReadNotes {
    /// Values that this version does not support.
    pub(crate) unknown: Vec<UnknownValue>,
    /// Resources that cannot be read, by the value that prevents it.
    pub(crate) unreadable: Vec<UnknownValue>,
    /// Kinds whose list has an entry without content.
    pub(crate) incomplete: BTreeSet<Kind>,
    /// Where the images of resources are.
    pub(crate) images: Vec<((Kind, Snowflake), LiveImage)>,
}

/// A request that writes a resource, with the attributes before (as they are on the server) and after.
#[derive(Debug)]
pub(crate) enum Write<'a, T> {
    Create(&'a T),
    Update { before: Option<&'a T>, after: &'a T },
    Delete { before: Option<&'a T> },
}

impl<'a, T> Write<'a, T> {
    /// The attributes before the request, of a resource that exists.
    pub(crate) const fn before(&self) -> Option<&'a T> {
        match self {
            Self::Create(_) => None,
            Self::Update { before, .. } | Self::Delete { before } => *before,
        }
    }

    /// The attributes after the request.
    pub(crate) const fn after(&self) -> Option<&'a T> {
        match self {
            Self::Create(after) | Self::Update { after, .. } => Some(after),
            Self::Delete { .. } => None,
        }
    }
}

/// Permissions that a request needs.
#[derive(Clone, Debug)]
pub(crate) struct Requirement {
    pub(crate) permissions: Vec<Permission>,
    pub(crate) at: CheckedAt,
}

impl Requirement {
    /// Permissions on the server.
    pub(crate) fn on_server(permissions: &[Permission]) -> Vec<Self> {
        vec![Self {
            permissions: permissions.to_vec(),
            at: CheckedAt::Server,
        }]
    }

    /// Permissions in a channel.
    pub(crate) fn in_channel(permissions: &[Permission], channel: &Reference) -> Self {
        Self {
            permissions: permissions.to_vec(),
            at: CheckedAt::Channel(channel.clone()),
        }
    }
}

/// Where Discord checks a permission.
#[derive(Clone, Debug)]
pub(crate) enum CheckedAt {
    Server,
    /// In the channel or category that the request writes.
    Itself,
    /// In a channel that the resource names; on the server when the channel cannot be read.
    Channel(Reference),
    /// In a channel that the resource names; nowhere when the channel cannot be read.
    ReadableChannel(Reference),
}

/// A limit on the number of resources: those of a kind, or of a group within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Limit {
    pub(crate) kind: Kind,
    pub(crate) group: Group,
}

/// The resources of a kind that a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// All of the server.
    All,
    /// The resources in this category or channel.
    Within(Snowflake),
    /// The resources of a variant, by Discord's number.
    Variant(u64),
    /// The resources with animated images, or those with other images.
    Animated(bool),
}

impl Limit {
    pub(crate) const fn all(kind: Kind) -> Self {
        let group = Group::All;
        Self { kind, group }
    }
}

/// How many resources a limit allows, and what is reported when there are more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    /// How many there may be.
    pub(crate) most: usize,
    /// The counted resources in messages: `roles (including @everyone)`.
    pub(crate) what: &'static str,
    /// The rule of preflight.
    pub(crate) rule: &'static str,
    /// The hint to make room.
    pub(crate) what_to_do: &'static str,
}

impl Bound {
    /// A kind of which a server has one, which is never created.
    pub(crate) const NONE: Self = Self {
        most: usize::MAX,
        what: "",
        rule: "",
        what_to_do: "",
    };
}

/// Which attributes a request has: those of these names, or all, when it creates the resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent<'a>(pub(crate) Option<&'a [String]>);

impl Sent<'_> {
    pub(crate) fn has(self, field: &str) -> bool {
        self.0.is_none_or(|fields| fields.iter().any(|name| name == field))
    }

    pub(crate) const fn is_creation(self) -> bool {
        self.0.is_none()
    }
}

/// Features of the server and permissions of the bot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Abilities<'a> {
    /// Boost level, 0 to 3.
    pub(crate) boost_level: u8,
    /// Discord's features of the server.
    pub(crate) features: &'a BTreeSet<String>,
    /// Permissions of the bot on the server.
    pub(crate) bot_permissions: Permissions,
}

/// A rule that a request breaks. Discord refuses the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The rule of preflight.
    pub(crate) rule: &'static str,
    /// The problem; `{}` is the placeholder of the addresses.
    pub(crate) what: String,
    pub(crate) what_to_do: String,
}
