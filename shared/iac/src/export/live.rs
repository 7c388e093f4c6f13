//! A live server as a configuration: managed resources keep their addresses, others get an address from their name.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::slug::slug;
use crate::live::{AddressIndex, LiveResource, LiveServer};
use crate::model::limits::MAX_LOGICAL_NAME_LENGTH;
use crate::model::{Address, Attributes, Channel, Configuration, Kind, LogicalName, Resource, Role, Snowflake};

/// Which attributes of a resource an export contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExportDetail {
    /// Attributes that differ from Discord's defaults, with `defaults: managed`: short, and every attribute is managed.
    #[default]
    Readable,
    /// All attributes: for backups.
    Complete,
}

/// Assigns an address to each manageable resource of a server. Those in `known` keep their address; the others get one from
/// their name, in the order of the server, so that the result is deterministic.
///
/// Roles of applications, subscriptions and boosting are left out, since they can be neither created nor deleted.
#[must_use]
pub fn assign(live: &LiveServer, managed: &BTreeMap<Address, Snowflake>) -> BTreeMap<Address, Snowflake> {
    let mut assigned = managed.clone();
    let mut taken: BTreeSet<(Kind, Snowflake)> = managed.iter().map(|(address, id)| (address.kind(), *id)).collect();
    let mut next: HashMap<(Kind, String), usize> = HashMap::new();
    for kind in Kind::ALL {
        // Discord returns an empty one for a server that is not a community.
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
            // The counter keeps this fast for a server with 500 channels of the same name.
            loop {
                let key = numbered(&base, *count);
                *count += 1;
                let reserved = *kind == Kind::Role && matches!(key.as_str(), Address::EVERYONE_NAME | "bot");
                let Some(key) = LogicalName::new(key).ok().filter(|_| !reserved) else {
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

/// The address of a resource that every server has.
fn permanent(live: &LiveServer, kind: Kind, id: Snowflake) -> Option<Address> {
    if kind == Kind::Role {
        let everyone = LogicalName::new(Address::EVERYONE_NAME)
            .ok()
            .map(|key| Address::of(kind, key));
        return everyone.filter(|_| id == live.guild_id);
    }
    Address::new(kind, None).ok()
}

/// `general`, `general-2`, `general-3`; a long name is shortened for the number.
fn numbered(base: &str, count: usize) -> String {
    if count == 1 {
        return base.to_owned();
    }
    let number = format!("-{count}");
    let kept: String = base.chars().take(MAX_LOGICAL_NAME_LENGTH - number.len()).collect();
    format!("{}{number}", kept.trim_end_matches('-'))
}

/// The resources of a kind in the order of Discord's client.
fn in_order(live: &LiveServer, kind: Kind) -> Vec<&LiveResource> {
    match kind {
        Kind::Role => live.roles_in_order(),
        Kind::Category | Kind::Channel => {
            let mut channels = live.channels_in_order();
            channels.retain(|channel| channel.attributes.kind() == kind);
            // Discord shows voice channels below all others.
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

/// The configuration of the resources in `addresses` (see [`assign`]; pass fewer to export fewer). References to other
/// resources are ids, also to resources with an address that are absent or unreadable.
#[must_use]
pub fn from_live(live: &LiveServer, addresses: &BTreeMap<Address, Snowflake>, detail: ExportDetail) -> Configuration {
    let exported = addresses.iter().map(|(address, id)| (address, *id));
    let exported = exported.filter(|(address, id)| live.get(address.kind(), *id).is_some());
    let names = AddressIndex::new(live.guild_id, live.bot.user_id, exported);
    let by_id: HashMap<(Kind, Snowflake), &Address> = addresses
        .iter()
        .map(|(address, id)| ((address.kind(), *id), address))
        .collect();
    let mut configuration = Configuration {
        managed_defaults: detail == ExportDetail::Readable,
        ..Configuration::default()
    };
    for kind in Kind::ALL {
        for resource in in_order(live, *kind) {
            let address = match kind.is_single() {
                true => permanent(live, *kind, resource.id).filter(|address| addresses.contains_key(address)),
                false => by_id.get(&(*kind, resource.id)).map(|address| (*address).clone()),
            };
            let Some(address) = address else { continue };
            let mut attributes = names.with_addresses(&resource.attributes);
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

/// Removes attributes that this kind of channel does not have.
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
