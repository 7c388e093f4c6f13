//! Pairs the resources of a server at two times: which one is which.
//!
//! Pairs, in this order: resources that every server has; those with one id; those that the caller pairs; those with one name. Where
//! several have one name, they are paired by their order. Resources of which Discord cannot change one into the other (a text channel
//! and a voice channel) are never paired.

use std::collections::{BTreeMap, BTreeSet};

use crate::live::{LiveResource, LiveServer};
use crate::model::{Attributes, ChannelKind, Clearable, Kind, Reference, Snowflake};

/// The id of a resource at the later time, where the caller has it.
pub(super) type KnownId<'a> = &'a dyn Fn(Kind, Snowflake) -> Option<Snowflake>;

/// The pairs of resources.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs {
    later: BTreeMap<(Kind, Snowflake), Snowflake>,
    taken: BTreeSet<(Kind, Snowflake)>,
    /// Names of which several resources were paired by their order.
    pub(super) by_order: BTreeSet<(Kind, String)>,
}

impl Pairs {
    /// The id at the later time of the resource with this id at the earlier time.
    pub(super) fn later(&self, kind: Kind, earlier: Snowflake) -> Option<Snowflake> {
        self.later.get(&(kind, earlier)).copied()
    }

    /// The later id of a reference to a resource of one of these kinds.
    pub(super) fn reference(&self, kinds: &[Kind], earlier: Snowflake) -> Option<Snowflake> {
        kinds.iter().find_map(|kind| self.later(*kind, earlier))
    }

    fn insert(&mut self, kind: Kind, earlier: Snowflake, later: Snowflake) {
        self.later.insert((kind, earlier), later);
        self.taken.insert((kind, later));
    }
}

/// Pairs the resources of two readings of a server.
pub(super) fn pairs(earlier: &LiveServer, later: &LiveServer, known: KnownId<'_>) -> Pairs {
    let mut pairing = Pairing {
        earlier,
        later,
        pairs: Pairs::default(),
    };
    pairing.always_there();
    pairing.each(&|_, id| Some(id));
    pairing.each(known);
    // Categories before channels, and channels before webhooks.
    for kind in Kind::ALL {
        pairing.by_name(*kind, true);
        pairing.by_name(*kind, false);
    }
    pairing.own_role();
    pairing.pairs
}

/// What resources with one name have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    /// The name, as Discord stores it.
    text: String,
    /// Whether an integration manages the role.
    managed: bool,
    /// The kind of channel; those that Discord converts to each other have one.
    channel: Option<ChannelKind>,
    /// The category or channel that contains it, by its later id; `None` also for any.
    container: Option<Snowflake>,
}

struct Pairing<'a> {
    earlier: &'a LiveServer,
    later: &'a LiveServer,
    pairs: Pairs,
}

impl Pairing<'_> {
    /// The settings and the other resources of which every server has one, and @everyone.
    fn always_there(&mut self) {
        let (one, other) = (self.earlier.guild_id, self.later.guild_id);
        for kind in Kind::ALL {
            let is_there = self.earlier.get(*kind, one).is_some() && self.later.get(*kind, other).is_some();
            if is_there && (kind.is_single() || *kind == Kind::Role) {
                self.pairs.insert(*kind, one, other);
            }
        }
    }

    /// Pairs each resource that has no pair with the one of this id.
    fn each(&mut self, known: KnownId<'_>) {
        for resource in self.earlier.resources() {
            let kind = resource.attributes.kind();
            if let Some(found) = known(kind, resource.id).and_then(|id| self.later.get(kind, id))
                && self.is_free(resource, found)
            {
                self.pairs.insert(kind, resource.id, found.id);
            }
        }
    }

    /// Pairs resources by their names; with `within`, only those in the same category or channel.
    fn by_name(&mut self, kind: Kind, within: bool) {
        let mut groups: BTreeMap<Name, (Vec<&LiveResource>, Vec<&LiveResource>)> = BTreeMap::new();
        for resource in in_order(self.earlier, kind) {
            let pairs = &self.pairs;
            let later = |kind, id| pairs.later(kind, id);
            if pairs.later(kind, resource.id).is_none()
                && let Some(name) = name(resource, within, &later)
            {
                groups.entry(name).or_default().0.push(resource);
            }
        }
        for resource in in_order(self.later, kind) {
            if !self.pairs.taken.contains(&(kind, resource.id))
                && let Some(name) = name(resource, within, &|_, id| Some(id))
            {
                groups.entry(name).or_default().1.push(resource);
            }
        }
        for (name, (earlier, later)) in groups {
            let several = earlier.len() > 1 || later.len() > 1;
            for (one, other) in earlier.iter().zip(&later) {
                if !self.is_free(one, other) {
                    continue;
                }
                self.pairs.insert(kind, one.id, other.id);
                if several {
                    self.pairs.by_order.insert((kind, name.text.clone()));
                }
            }
        }
    }

    /// The role of the bot itself: another bot has a role with another name.
    fn own_role(&mut self) {
        let own = |live: &LiveServer| {
            let roles = live.of_kind(Kind::Role);
            let own = roles.filter(|role| role.managed && live.bot.roles.contains(&role.id));
            own.map(|role| role.id).next()
        };
        if let (Some(one), Some(other)) = (own(self.earlier), own(self.later))
            && self.pairs.later(Kind::Role, one).is_none()
            && !self.pairs.taken.contains(&(Kind::Role, other))
        {
            self.pairs.insert(Kind::Role, one, other);
        }
    }

    /// Whether neither has a pair, and Discord can change one into the other.
    fn is_free(&self, earlier: &LiveResource, later: &LiveResource) -> bool {
        let kind = earlier.attributes.kind();
        self.pairs.later(kind, earlier.id).is_none()
            && !self.pairs.taken.contains(&(kind, later.id))
            && later.attributes.forces_replacement(&earlier.attributes).is_none()
    }
}

/// The resources of a kind in the order of Discord's client.
fn in_order(live: &LiveServer, kind: Kind) -> Vec<&LiveResource> {
    let mut all = match kind {
        Kind::Role => live.roles_in_order(),
        Kind::Category | Kind::Channel => live.channels_in_order(),
        _ => live.of_kind(kind).collect(),
    };
    all.retain(|resource| resource.attributes.kind() == kind);
    all
}

/// The name of a resource; `None` where it has none, and where its container has no pair. `later` returns the later id of a container.
fn name(resource: &LiveResource, within: bool, later: &dyn Fn(Kind, Snowflake) -> Option<Snowflake>) -> Option<Name> {
    let container = match &resource.attributes {
        Attributes::Channel(channel) => channel
            .category
            .as_ref()
            .and_then(Clearable::value)
            .map(|one| (Kind::Category, one)),
        Attributes::Webhook(webhook) => webhook.channel.as_ref().map(|one| (Kind::Channel, one)),
        _ => None,
    };
    let container = match container.filter(|_| within) {
        Some((kind, Reference::Id(id))) => Some(later(kind, *id)?),
        _ => None,
    };
    let channel = resource.attributes.channel().map(|channel| match channel.kind {
        ChannelKind::Announcement => ChannelKind::Text,
        kind => kind,
    });
    Some(Name {
        text: resource.attributes.stored_name()?,
        managed: resource.managed,
        channel,
        container,
    })
}
