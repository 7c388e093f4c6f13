//! A live server as a configuration: what is managed by its address, the rest by names made from Discord's.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::slug::slug;
use crate::live::{AddressIndex, Live, LiveResource};
use crate::model::limits::LONGEST_KEY;
use crate::model::{Address, Attributes, Channel, Configuration, Key, Kind, Resource, Role, Snowflake};

/// How much of each resource is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// What differs from Discord's defaults, under `defaults: managed`: easy to read, and every attribute is managed.
    #[default]
    Readable,
    /// Every attribute in full: for backups.
    Complete,
}

/// An address for every resource of a server that can be managed: those given keep theirs, the others get one from their
/// name, by the order of the server, so that the same server always gets the same.
///
/// Roles that belong to applications, subscriptions or boosting are left out: they can be neither made nor removed.
#[must_use]
pub fn assign(live: &Live, managed: &BTreeMap<Address, Snowflake>) -> BTreeMap<Address, Snowflake> {
    let mut assigned = managed.clone();
    let mut taken: BTreeSet<(Kind, Snowflake)> = managed.iter().map(|(address, id)| (address.kind(), *id)).collect();
    let mut next: HashMap<(Kind, String), usize> = HashMap::new();
    for kind in Kind::ALL {
        // Discord answers with an empty one for a server that cannot have it.
        if matches!(kind, Kind::WelcomeScreen | Kind::Onboarding) && !live.is_community() {
            continue;
        }
        for resource in in_order(live, *kind) {
            if let Some(address) = permanent(live, *kind, resource.id) {
                assigned.entry(address).or_insert(resource.id);
                continue;
            }
            if resource.managed || !taken.insert((*kind, resource.id)) {
                continue;
            }
            let base = slug(resource.attributes.name().unwrap_or_default(), *kind);
            let count = next.entry((*kind, base.clone())).or_insert(1);
            // A server may have five hundred channels of one name; the counter is kept so that this stays quick.
            loop {
                let key = numbered(&base, *count);
                *count += 1;
                let reserved = *kind == Kind::Role && matches!(key.as_str(), Address::EVERYONE_KEY | "bot");
                let Some(key) = Key::new(key).ok().filter(|_| !reserved) else {
                    continue;
                };
                let address = Address::of(*kind, key);
                if let Entry::Vacant(free) = assigned.entry(address) {
                    free.insert(resource.id);
                    break;
                }
            }
        }
    }
    assigned
}

/// The address of what every server has.
fn permanent(live: &Live, kind: Kind, id: Snowflake) -> Option<Address> {
    if kind == Kind::Role {
        let everyone = Key::new(Address::EVERYONE_KEY).ok().map(|key| Address::of(kind, key));
        return everyone.filter(|_| id == live.guild_id);
    }
    Address::new(kind, None).ok()
}

/// `general`, `general-2`, `general-3`; a long name loses its end for the number.
fn numbered(base: &str, count: usize) -> String {
    if count == 1 {
        return base.to_owned();
    }
    let number = format!("-{count}");
    let kept: String = base.chars().take(LONGEST_KEY - number.len()).collect();
    format!("{}{number}", kept.trim_end_matches('-'))
}

/// The resources of a kind in the order in which people see them.
fn in_order(live: &Live, kind: Kind) -> Vec<&LiveResource> {
    match kind {
        Kind::Role => live.roles_in_order(),
        Kind::Category | Kind::Channel => {
            let mut channels = live.channels_in_order();
            channels.retain(|channel| channel.attributes.kind() == kind);
            // Discord shows voices below everything else.
            channels.sort_by_key(|channel| {
                channel
                    .attributes
                    .channel()
                    .is_some_and(|channel| channel.kind.is_voice())
            });
            channels
        }
        _ => live.of_kind(kind).collect(),
    }
}

/// The server as a configuration of the resources that have an address (see [`assign`]; hand in fewer to export fewer).
/// References to anything else are by id, also to what has an address and is not exported, since it is gone or unreadable.
#[must_use]
pub fn from_live(live: &Live, addresses: &BTreeMap<Address, Snowflake>, detail: Detail) -> Configuration {
    let exported = addresses.iter().map(|(address, id)| (address, *id));
    let exported = exported.filter(|(address, id)| live.get(address.kind(), *id).is_some());
    let names = AddressIndex::new(live.guild_id, live.bot.user_id, exported);
    let by_id: HashMap<(Kind, Snowflake), &Address> = addresses
        .iter()
        .map(|(address, id)| ((address.kind(), *id), address))
        .collect();
    let mut configuration = Configuration {
        managed_defaults: detail == Detail::Readable,
        ..Configuration::default()
    };
    for kind in Kind::ALL {
        for resource in in_order(live, *kind) {
            let address = match kind.is_single() {
                true => permanent(live, *kind, resource.id).filter(|address| addresses.contains_key(address)),
                false => by_id.get(&(*kind, resource.id)).map(|address| (*address).clone()),
            };
            let Some(address) = address else { continue };
            let mut attributes = names.localised(&resource.attributes);
            fit(&mut attributes, &address);
            configuration.resources.insert(
                address,
                Resource {
                    attributes,
                    origin: None,
                },
            );
        }
    }
    configuration
}

/// Takes off what this kind does not have.
fn fit(attributes: &mut Attributes, address: &Address) {
    match attributes {
        Attributes::Role(role) if address.is_everyone() => {
            *role = Role {
                permissions: role.permissions,
                ..Role::default()
            };
        }
        Attributes::Category(channel) => {
            *channel = Channel {
                kind: channel.kind,
                name: channel.name.take(),
                overwrites: channel.overwrites.take(),
                ..Channel::default()
            };
        }
        Attributes::Channel(channel) => {
            let absent = Channel::FIELDS.iter().filter(|field| !channel.kind.has(field));
            for field in absent.copied().collect::<Vec<_>>() {
                channel.release(field);
            }
        }
        _ => {}
    }
}
