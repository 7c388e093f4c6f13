//! Random configurations over a small set of addresses, so that one often changes what another made.

use arrakis_domain::{Color, Permission, Permissions};
use arrakis_iac::model::{
    Address, Attributes, Channel, ChannelKind, Clearable, Configuration, Overwrite, Overwrites, Resource, Role, Target,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::world::address;

const ROLES: [&str; 5] = ["role.a", "role.b", "role.c", "role.d", "role.e"];
const CATEGORIES: [&str; 3] = ["category.a", "category.b", "category.c"];
const CHANNELS: [&str; 6] = [
    "channel.a",
    "channel.b",
    "channel.c",
    "channel.d",
    "channel.e",
    "channel.f",
];
const BITS: [Permission; 3] = [Permission::ViewChannel, Permission::SendMessages, Permission::Connect];

fn permissions() -> impl Strategy<Value = Permissions> {
    subsequence(&BITS[..], 0..=3).prop_map(|bits| Permissions::of(&bits))
}

fn role() -> impl Strategy<Value = Role> {
    let name = select(vec!["Naib", "Fedaykin", "Usul"]);
    (
        name,
        permissions(),
        any::<Option<bool>>(),
        proptest::option::of(0..3_u32),
        any::<Option<bool>>(),
    )
        .prop_map(|(name, permissions, hoist, color, given_to_bot)| Role {
            name: Some(name.to_owned()),
            permissions: Some(permissions),
            hoist,
            color: color.map(Color::from_rgb),
            given_to_bot,
            ..Role::default()
        })
}

fn overwrite() -> impl Strategy<Value = Overwrite> {
    (permissions(), permissions()).prop_map(|(allow, deny)| Overwrite {
        allow,
        deny: deny.without(allow),
    })
}

fn overwrites(roles: Vec<Address>) -> impl Strategy<Value = Overwrites> {
    let mut targets = vec![Target::Everyone, Target::Bot];
    targets.extend(roles.into_iter().map(Target::from));
    let few = 0..=targets.len().min(4);
    subsequence(targets, few).prop_flat_map(|targets| {
        let count = targets.len();
        let sets = proptest::collection::vec(overwrite(), count);
        sets.prop_map(move |sets| targets.iter().cloned().zip(sets).collect())
    })
}

fn channel(categories: Vec<Address>, roles: Vec<Address>) -> impl Strategy<Value = Channel> {
    let kind = prop_oneof![
        4 => Just(ChannelKind::Text),
        2 => Just(ChannelKind::Voice),
        1 => Just(ChannelKind::Announcement),
    ];
    let name = select(vec!["Spice Market", "spice-market", "water", "The  Door"]);
    let place = match categories.is_empty() {
        true => Just(Clearable::Cleared).boxed(),
        false => prop_oneof![
            Just(Clearable::Cleared),
            select(categories).prop_map(|category| Clearable::Set(category.into())),
        ]
        .boxed(),
    };
    let topic = proptest::option::of(select(vec!["", "of water"]));
    let overwrites = proptest::option::of(overwrites(roles));
    (kind, name, proptest::option::weighted(0.8, place), topic, overwrites).prop_map(
        |(kind, name, category, topic, overwrites)| Channel {
            kind,
            name: Some(name.to_owned()),
            category,
            topic: topic.map(str::to_owned).filter(|_| !kind.is_voice()),
            overwrites,
            ..Channel::default()
        },
    )
}

fn shuffled(addresses: &'static [&'static str]) -> impl Strategy<Value = Vec<Address>> {
    subsequence(addresses, 0..=addresses.len())
        .prop_shuffle()
        .prop_map(|chosen| chosen.into_iter().map(address).collect())
}

/// Any configuration; with @everyone in some.
pub(crate) fn configurations() -> impl Strategy<Value = Configuration> {
    let names = (shuffled(&ROLES), shuffled(&CATEGORIES), shuffled(&CHANNELS));
    names.prop_flat_map(|(roles, categories, channels)| {
        let everyone = proptest::option::of(permissions());
        let of_roles = proptest::collection::vec(role(), roles.len());
        let of_categories =
            proptest::collection::vec(proptest::option::of(overwrites(roles.clone())), categories.len());
        let of_channels = proptest::collection::vec(channel(categories.clone(), roles.clone()), channels.len());
        (everyone, of_roles, of_categories, of_channels).prop_map(
            move |(everyone, of_roles, of_categories, of_channels)| {
                let mut configuration = Configuration::default();
                let mut add = |address: &Address, attributes| {
                    configuration.resources.insert(
                        address.clone(),
                        Resource {
                            attributes,
                            origin: None,
                        },
                    );
                };
                if let Some(permissions) = everyone {
                    let role = Role {
                        permissions: Some(permissions),
                        ..Role::default()
                    };
                    add(&address("role.everyone"), Attributes::Role(role));
                }
                for (address, role) in roles.iter().zip(of_roles) {
                    add(address, Attributes::Role(role));
                }
                for (address, overwrites) in categories.iter().zip(of_categories) {
                    let kind = ChannelKind::Category;
                    let name = Some(address.to_string());
                    add(
                        address,
                        Attributes::Category(Channel {
                            kind,
                            name,
                            overwrites,
                            ..Channel::default()
                        }),
                    );
                }
                for (address, channel) in channels.iter().zip(of_channels) {
                    add(address, Attributes::Channel(channel));
                }
                configuration
            },
        )
    })
}
