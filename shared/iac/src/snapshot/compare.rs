//! Compares two snapshots of a server, or two states, attribute by attribute.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::pairs::{Pairs, pairs};
use super::{MembersRecord, ServerRecord, free_address, without_tag_ids};
use crate::export::{self, ExportDetail};
use crate::grammar::plural;
use crate::model::{Address, Attributes, Clearable, Configuration, Kind, Reference, Snowflake};
use crate::plan::Reorder;
use crate::state::State;

/// A resource on one side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Its id.
    pub id: Snowflake,
    /// Its attributes, with references by address.
    pub attributes: Attributes,
}

/// A resource that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The resource: its address on the later side, where it is there.
    pub address: Address,
    /// The earlier side; `None` where it does not have the resource.
    pub before: Option<Side>,
    /// The later side; `None` where it does not have the resource.
    pub after: Option<Side>,
    /// Names of the attributes that differ; empty where only the id differs, and for a resource of one side.
    pub fields: Vec<String>,
}

/// How a resource differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceKind {
    /// Only the later side has it.
    Added,
    /// Only the earlier side has it.
    Removed,
    /// Both have it, with other values.
    Changed,
}

impl Difference {
    /// How it differs.
    #[must_use]
    pub const fn kind(&self) -> DifferenceKind {
        match (&self.before, &self.after) {
            (None, _) => DifferenceKind::Added,
            (_, None) => DifferenceKind::Removed,
            _ => DifferenceKind::Changed,
        }
    }

    /// Whether the two sides have different ids: the resource was created again.
    #[must_use]
    pub fn is_created_again(&self) -> bool {
        let ids = self.before.as_ref().zip(self.after.as_ref());
        ids.is_some_and(|(before, after)| before.id != after.id)
    }
}

/// A member whose roles differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDifference {
    /// User id of the member.
    pub user: Snowflake,
    /// Roles that only the later side has, as addresses or `role:ID`.
    pub gained: Vec<String>,
    /// Roles that only the earlier side has.
    pub lost: Vec<String>,
}

/// The differences between two sides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// What the earlier side is, as in `the present state`.
    pub before: String,
    /// What the later side is.
    pub after: String,
    /// Resources that differ, by kind.
    pub differences: Vec<Difference>,
    /// Groups of resources whose order differs.
    pub reorders: Vec<Reorder>,
    /// Members whose roles differ.
    pub members: Vec<MemberDifference>,
    /// What could not be compared.
    pub notes: Vec<String>,
}

impl Comparison {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.differences.is_empty() && self.reorders.is_empty() && self.members.is_empty()
    }

    /// Number of resources of a kind that differ in this way.
    #[must_use]
    pub fn count(&self, kind: Kind, how: DifferenceKind) -> usize {
        let fits = |difference: &&Difference| difference.address.kind() == kind && difference.kind() == how;
        self.differences.iter().filter(fits).count()
    }
}

/// Compares two states. `before` and `after` are each a state and what it is.
#[must_use]
pub fn compare_states(before: (&str, &State), after: (&str, &State)) -> Comparison {
    let side = |state: &State, address: &Address| {
        let entry = state.resources.get(address)?;
        Some(Side {
            id: entry.id,
            attributes: entry.attributes.clone(),
        })
    };
    let addresses: BTreeSet<&Address> = before.1.resources.keys().chain(after.1.resources.keys()).collect();
    let differences = addresses
        .into_iter()
        .filter_map(|address| difference(address, side(before.1, address), side(after.1, address)));
    Comparison {
        before: before.0.to_owned(),
        after: after.0.to_owned(),
        differences: differences.collect(),
        ..Comparison::default()
    }
}

/// Compares two snapshots of a server. `before` and `after` are each a record and what it is. A resource that was created again
/// is recognised by its name.
#[must_use]
pub fn compare_servers(before: (&str, &ServerRecord), after: (&str, &ServerRecord)) -> Comparison {
    let (one, other) = (before.1, after.1);
    let pairs = pairs(&one.server, &other.server, &|_, _| None);
    let named = common_addresses(one, other, &pairs);
    let earlier = comparable(one, &named.before, Some(&pairs));
    let later = comparable(other, &named.after, None);
    let mut comparison = Comparison {
        before: before.0.to_owned(),
        after: after.0.to_owned(),
        ..Comparison::default()
    };
    for kind in Kind::ALL {
        match (one.server.unread.contains(kind), other.server.unread.contains(kind)) {
            (false, false) => comparison.differences.extend(of_kind(*kind, &earlier, &later, &named)),
            (true, true) => {}
            (is_before, _) => comparison.notes.push(format!(
                "{} were not compared: {} does not have them, since the bot could not read them",
                plural(kind.noun()),
                if is_before { before.0 } else { after.0 }
            )),
        }
    }
    comparison.reorders = reorders(&earlier, &later);
    comparison
}

/// The members whose roles differ between two snapshots. Roles that were created again are recognised by their names.
#[must_use]
pub fn compare_members(
    before: (&ServerRecord, &MembersRecord),
    after: (&ServerRecord, &MembersRecord),
) -> Vec<MemberDifference> {
    let pairs = pairs(&before.0.server, &after.0.server, &|_, _| None);
    let names: HashMap<Snowflake, String> = after.0.addresses.iter().filter_map(role_name).collect();
    let name = |role: &Snowflake| names.get(role).cloned().unwrap_or_else(|| format!("role:{role}"));
    let nothing = BTreeSet::new();
    let earlier: BTreeMap<Snowflake, BTreeSet<Snowflake>> = before
        .1
        .members
        .iter()
        .map(|member| {
            let roles = member.roles.iter();
            let roles = roles.map(|role| pairs.later(Kind::Role, *role).unwrap_or(*role));
            (member.user, roles.collect())
        })
        .collect();
    let later: BTreeMap<Snowflake, &BTreeSet<Snowflake>> = after
        .1
        .members
        .iter()
        .map(|member| (member.user, &member.roles))
        .collect();
    let users: BTreeSet<Snowflake> = earlier.keys().chain(later.keys()).copied().collect();
    let differences = users.into_iter().map(|user| {
        let one = earlier.get(&user).unwrap_or(&nothing);
        let other = later.get(&user).copied().unwrap_or(&nothing);
        MemberDifference {
            user,
            gained: other.difference(one).map(name).collect(),
            lost: one.difference(other).map(name).collect(),
        }
    });
    differences
        .filter(|member| !member.gained.is_empty() || !member.lost.is_empty())
        .collect()
}

fn role_name((address, id): (&Address, &Snowflake)) -> Option<(Snowflake, String)> {
    (address.kind() == Kind::Role).then(|| (*id, address.to_string()))
}

/// The addresses of both sides: a pair has one address, that of the later side.
struct CommonAddresses {
    before: BTreeMap<Address, Snowflake>,
    after: BTreeMap<Address, Snowflake>,
}

fn common_addresses(one: &ServerRecord, other: &ServerRecord, pairs: &Pairs) -> CommonAddresses {
    let after = other.addresses.clone();
    let by_id: HashMap<(Kind, Snowflake), &Address> = after
        .iter()
        .map(|(address, id)| ((address.kind(), *id), address))
        .collect();
    let mut before = BTreeMap::new();
    let mut unpaired = Vec::new();
    for (address, id) in &one.addresses {
        let kind = address.kind();
        match pairs.later(kind, *id).and_then(|later| by_id.get(&(kind, later))) {
            Some(common) => {
                before.insert((*common).clone(), *id);
            }
            None => unpaired.push((address, *id)),
        }
    }
    for (address, id) in unpaired {
        let address = free_address(address, |address| {
            after.contains_key(address) || before.contains_key(address)
        });
        before.insert(address, id);
    }
    CommonAddresses { before, after }
}

/// A record as a configuration whose values can be compared: without ids of tags, with images by digest, and with the later ids of
/// resources that have no address.
fn comparable(record: &ServerRecord, addresses: &BTreeMap<Address, Snowflake>, pairs: Option<&Pairs>) -> Configuration {
    let mut configuration = export::from_live(&record.server, addresses, ExportDetail::Complete);
    let images = record.images_by_resource();
    for (address, resource) in &mut configuration.resources {
        let attributes = &mut resource.attributes;
        without_tag_ids(attributes);
        let id = addresses.get(address);
        let image = id.and_then(|id| images.get(&(address.kind(), *id)));
        if let (Some(attribute), Some(record)) = (attributes.image_mut(), image) {
            *attribute = Some(record.image());
        }
        let Some(pairs) = pairs else { continue };
        attributes.map_references(&mut |kinds, reference| {
            if let Reference::Id(id) = reference
                && let Some(later) = pairs.reference(kinds, *id)
            {
                *reference = Reference::Id(later);
            }
        });
    }
    configuration
}

fn of_kind(kind: Kind, earlier: &Configuration, later: &Configuration, named: &CommonAddresses) -> Vec<Difference> {
    let side = |configuration: &Configuration, ids: &BTreeMap<Address, Snowflake>, address: &Address| {
        let attributes = configuration.get(address)?.clone();
        let id = *ids.get(address)?;
        Some(Side { id, attributes })
    };
    let removed = earlier
        .of_kind(kind)
        .filter(|(address, _)| later.get(address).is_none());
    let all = later.of_kind(kind).chain(removed);
    all.filter_map(|(address, _)| {
        let before = side(earlier, &named.before, address);
        difference(address, before, side(later, &named.after, address))
    })
    .collect()
}

/// The difference of a resource between two sides; `None` where there is none.
fn difference(address: &Address, before: Option<Side>, after: Option<Side>) -> Option<Difference> {
    let fields = match (&before, &after) {
        (Some(before), Some(after)) => {
            let fields = differing_fields(&before.attributes, &after.attributes);
            if fields.is_empty() && before.id == after.id {
                return None;
            }
            fields
        }
        (None, None) => return None,
        _ => Vec::new(),
    };
    Some(Difference {
        address: address.clone(),
        before,
        after,
        fields,
    })
}

/// Names of the attributes that differ, in display order.
fn differing_fields(before: &Attributes, after: &Attributes) -> Vec<String> {
    if before == after {
        return Vec::new();
    }
    let (one, other) = (before.to_map(), after.to_map());
    let fields = before
        .fields()
        .iter()
        .filter(|field| one.get(**field) != other.get(**field));
    fields.map(|field| (*field).to_owned()).collect()
}

/// The groups in which the resources of both sides have another order.
fn reorders(earlier: &Configuration, later: &Configuration) -> Vec<Reorder> {
    let (one, other) = (groups(earlier), groups(later));
    let mut reorders = Vec::new();
    for (group, after) in &other {
        let Some(before) = one.get(group) else { continue };
        let common = |addresses: &[&Address], others: &[&Address]| -> Vec<String> {
            let others: BTreeSet<&Address> = others.iter().copied().collect();
            let common = addresses.iter().filter(|address| others.contains(*address));
            common.map(ToString::to_string).collect()
        };
        let (was, is) = (common(before, after), common(after, before));
        if was != is {
            reorders.push(Reorder {
                of: group.clone(),
                before: was,
                after: is,
            });
        }
    }
    reorders
}

/// The ordered resources of each group that Discord sorts by itself.
fn groups(configuration: &Configuration) -> BTreeMap<String, Vec<&Address>> {
    let mut groups: BTreeMap<String, Vec<&Address>> = BTreeMap::new();
    for (address, resource) in &configuration.resources {
        let group = match &resource.attributes {
            Attributes::Role(_) if !address.is_everyone() => "roles".to_owned(),
            Attributes::Category(_) => "categories".to_owned(),
            Attributes::Channel(channel) => {
                let what = if channel.kind.is_voice() {
                    "voice channels"
                } else {
                    "text channels"
                };
                match channel.category.as_ref().and_then(Clearable::value) {
                    Some(category) => format!("{what} in {category}"),
                    None => format!("{what} without a category"),
                }
            }
            _ => continue,
        };
        groups.entry(group).or_default().push(address);
    }
    groups
}
