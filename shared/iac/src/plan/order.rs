//! Orders: of roles, of categories, of channels within a category.
//!
//! Managed resources are sorted by the configuration within the positions that managed resources have; other resources keep
//! their positions. Only orders are compared, since Discord may renumber positions.

use std::collections::{BTreeMap, BTreeSet};

use super::changes::WantedAttributes;
use super::document::{Action, Change, Reorder, ResourcePosition, Step};
use super::known::ManagedResources;
use super::scope::TargetScope;
use crate::live::{LiveResource, LiveServer};
use crate::model::{Address, ChannelKind, Clearable, Configuration, Kind, Reference, Snowflake};

/// Changed orders, and the steps that change them.
pub(super) struct Orders {
    pub(super) reorders: Vec<Reorder>,
    pub(super) steps: Vec<Step>,
    /// Notes about roles that are in the wrong order and that the bot cannot move.
    pub(super) notes: Vec<String>,
}

/// A role, category or channel of a sorted group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct OrderMember {
    reference: Reference,
    /// Whether this plan creates it or moves it into the group.
    arrives: bool,
    /// Index in the configuration; `None` for a resource that is not configured.
    configured: Option<usize>,
}

pub(super) fn orders(
    configuration: &Configuration,
    wanted: &WantedAttributes,
    managed: &ManagedResources,
    live: &LiveServer,
    changes: &[Change],
    scope: &TargetScope,
) -> Orders {
    let arrivals: BTreeSet<&Address> = changes
        .iter()
        .filter(|change| matches!(change.action, Action::Create | Action::Replace))
        .map(|change| &change.address)
        .collect();
    let leaving: BTreeSet<(Kind, Snowflake)> = changes
        .iter()
        .filter(|change| matches!(change.action, Action::Delete | Action::Replace))
        .filter_map(|change| Some((change.address.kind(), change.id?)))
        .collect();
    let context = OrderContext {
        configuration,
        wanted,
        managed,
        live,
        arrivals,
        leaving,
        scope,
    };
    let mut orders = Orders {
        reorders: Vec::new(),
        steps: Vec::new(),
        notes: Vec::new(),
    };
    context.roles(&mut orders);
    match live.channels_unordered {
        false => context.channels(&mut orders),
        true => orders.notes.push(
            "Discord sent channels without positions: the order of categories and channels does not change".to_owned(),
        ),
    }
    orders
}

struct OrderContext<'a> {
    configuration: &'a Configuration,
    wanted: &'a WantedAttributes,
    managed: &'a ManagedResources,
    live: &'a LiveServer,
    arrivals: BTreeSet<&'a Address>,
    leaving: BTreeSet<(Kind, Snowflake)>,
    scope: &'a TargetScope,
}

/// Discord sorts text channels, voice channels and categories separately.
type ChannelGroup = (Option<Reference>, u8);

impl OrderContext<'_> {
    fn roles(&self, orders: &mut Orders) {
        let stays =
            |role: &&&LiveResource| role.id != self.live.guild_id && !self.leaving.contains(&(Kind::Role, role.id));
        let live = self.live.roles_in_order();
        let mut members: Vec<OrderMember> = live
            .iter()
            .filter(stays)
            .map(|role| self.member(Kind::Role, role.id))
            .collect();
        // A new role is at the bottom, above @everyone; the next one below it.
        members.extend(
            self.created_resources(Kind::Role)
                .filter(|(address, _)| !address.is_everyone())
                .map(|(address, place)| OrderMember {
                    reference: address.clone().into(),
                    arrives: true,
                    configured: Some(place),
                }),
        );
        let below = self.first_movable(&members);
        orders.notes.extend(self.misplaced_roles(&members, below));
        // Roles above the bot and unmanaged roles keep their positions.
        for member in members.iter_mut().take(below) {
            member.configured = None;
        }
        let sorted = sorted(&members);
        if !self.needs_request(&members, &sorted) {
            return;
        }
        orders.reorders.extend(reorder("roles", &members, &sorted));
        let places: Vec<ResourcePosition> = sorted
            .iter()
            .enumerate()
            .skip(below)
            .map(|(index, member)| ResourcePosition {
                of: member.reference.clone(),
                position: i64::try_from(sorted.len() - index).unwrap_or(i64::MAX),
            })
            .collect();
        // A single role below the bot's role has only one position.
        if places.len() > 1 || members != sorted {
            orders.steps.push(Step::MoveRoles { places });
        }
    }

    /// Index of the first role below the bot's highest role. The bot can move only these.
    fn first_movable(&self, members: &[OrderMember]) -> usize {
        let own = self.live.bot_role().filter(|_| !self.live.bot_is_owner());
        own.map_or(0, |own| {
            let own = self.member(Kind::Role, own.id).reference;
            let place = members.iter().position(|member| member.reference == own);
            place.map_or(0, |place| place + 1)
        })
    }

    /// Notes about roles above the bot's highest role that the configuration has lower.
    fn misplaced_roles(&self, members: &[OrderMember], below: usize) -> Vec<String> {
        let wrong = members.iter().take(below).enumerate().filter(|(index, member)| {
            let behind = members.iter().skip(index + 1).filter_map(|other| other.configured);
            let address = member.reference.address();
            address.is_some_and(|address| self.scope.includes(address))
                && member
                    .configured
                    .is_some_and(|place| behind.min().is_some_and(|first| first < place))
        });
        wrong
            .map(|(_, member)| {
                format!(
                    "{} is above the bot's highest role, where the bot cannot move it, and the configuration has it lower; \
                     drag the bot's role above it (Server Settings, Roles)",
                    member.reference
                )
            })
            .collect()
    }

    fn channels(&self, orders: &mut Orders) {
        let mut groups: BTreeMap<ChannelGroup, Vec<OrderMember>> = BTreeMap::new();
        for channel in self.live.channels_in_order() {
            let kind = channel.attributes.kind();
            if self.leaving.contains(&(kind, channel.id)) {
                continue;
            }
            let Some(attributes) = channel.attributes.channel() else {
                continue;
            };
            let member = self.member(channel.attributes.kind(), channel.id);
            let was = self.parent(attributes.category.as_ref());
            let (now, kind_now) = match member.reference.address().and_then(|address| self.wanted(address)) {
                Some((category, kind)) => (
                    category.map_or(was.clone(), |category| self.parent(Some(category))),
                    kind,
                ),
                None => (was.clone(), attributes.kind),
            };
            // The channels of a deleted category are in no category.
            let now = now.filter(|category| !self.is_removed(category));
            let arrives = now != was;
            groups
                .entry((now, like(kind_now)))
                .or_default()
                .push(OrderMember { arrives, ..member });
        }
        for kind in [Kind::Category, Kind::Channel] {
            for (address, place) in self.created_resources(kind) {
                let Some((category, kind)) = self.wanted(address) else {
                    continue;
                };
                let group = (self.parent(category), like(kind));
                let member = OrderMember {
                    reference: address.clone().into(),
                    arrives: true,
                    configured: Some(place),
                };
                groups.entry(group).or_default().push(member);
            }
        }
        let mut places = Vec::new();
        for (group, mut members) in groups {
            // The position of a moved channel is that of its old category, so it is sorted last.
            members.sort_by_key(|member| member.arrives);
            let sorted = sorted(&members);
            if !self.needs_request(&members, &sorted) {
                continue;
            }
            orders.reorders.extend(reorder(&description(&group), &members, &sorted));
            let numbered = (0..).zip(&sorted).map(|(position, member)| ResourcePosition {
                of: member.reference.clone(),
                position,
            });
            places.extend(numbered);
        }
        if !places.is_empty() {
            orders.steps.push(Step::MoveChannels { places });
        }
    }

    /// Whether a request is necessary: the order differs, or the group has a new resource whose position Discord chose.
    fn needs_request(&self, members: &[OrderMember], sorted: &[OrderMember]) -> bool {
        let in_scope = |member: &OrderMember| {
            let address = member.reference.address();
            address.is_some_and(|address| member.configured.is_some() && self.scope.includes(address))
        };
        let arrives = members.iter().any(|member| member.arrives);
        members.len() > 1 && (members != sorted || arrives) && members.iter().any(in_scope)
    }

    fn member(&self, kind: Kind, id: Snowflake) -> OrderMember {
        let address = self.managed.names.address(kind, id);
        OrderMember {
            reference: address.map_or(Reference::Id(id), |address| address.clone().into()),
            arrives: false,
            configured: address.and_then(|address| self.configuration.resources.get_index_of(address)),
        }
    }

    /// Resources that this plan creates, in the order of the configuration.
    fn created_resources(&self, kind: Kind) -> impl Iterator<Item = (&Address, usize)> {
        let resources = self.configuration.resources.keys().enumerate();
        resources
            .filter(move |(_, address)| address.kind() == kind && self.arrivals.contains(address))
            .map(|(place, address)| (address, place))
    }

    /// The configured category, if it is managed, and the kind of a category or channel in scope.
    fn wanted(&self, address: &Address) -> Option<(Option<&Clearable<Reference>>, ChannelKind)> {
        if !self.scope.includes(address) {
            return None;
        }
        let channel = self.wanted.get(address)?.channel()?;
        Some((channel.category.as_ref(), channel.kind))
    }

    /// Whether a category is removed by this plan.
    fn is_removed(&self, category: &Reference) -> bool {
        let id = match category {
            Reference::Id(id) => Some(*id),
            Reference::Address(address) => self.managed.known.get(address).map(|known| known.id),
        };
        id.is_some_and(|id| self.leaving.contains(&(Kind::Category, id)))
    }

    fn parent(&self, category: Option<&Clearable<Reference>>) -> Option<Reference> {
        match category?.value()? {
            Reference::Id(id) => Some(self.member(Kind::Category, *id).reference),
            address => Some(address.clone()),
        }
    }
}

const fn like(kind: ChannelKind) -> u8 {
    match kind {
        ChannelKind::Category => 2,
        kind if kind.is_voice() => 1,
        _ => 0,
    }
}

fn description((parent, like): &ChannelGroup) -> String {
    let what = match like {
        2 => return "categories".to_owned(),
        1 => "voice channels",
        _ => "text channels",
    };
    match parent {
        None => format!("{what} without a category"),
        Some(parent) => format!("{what} in {parent}"),
    }
}

/// The configured members in the order of the configuration, within the positions of configured members.
fn sorted(members: &[OrderMember]) -> Vec<OrderMember> {
    let mut configured: Vec<&OrderMember> = members.iter().filter(|member| member.configured.is_some()).collect();
    configured.sort_by_key(|member| member.configured);
    let mut next = configured.into_iter();
    let place = |member: &OrderMember| match member.configured {
        Some(_) => next.next().unwrap_or(member).clone(),
        None => member.clone(),
    };
    members.iter().map(place).collect()
}

/// The changed order for display; `None` when only new resources get their positions.
fn reorder(of: &str, members: &[OrderMember], sorted: &[OrderMember]) -> Option<Reorder> {
    let names = |members: &[OrderMember]| -> Vec<String> {
        let staying = members
            .iter()
            .filter(|member| member.configured.is_some() && !member.arrives);
        staying.map(|member| member.reference.to_string()).collect()
    };
    let (before, after) = (names(members), names(sorted));
    (before != after).then(|| Reorder {
        of: of.to_owned(),
        before,
        after,
    })
}
