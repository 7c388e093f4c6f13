//! A whole live server that is exported and imported has a plan without changes, with any names of its resources.

use std::collections::BTreeMap;

use arrakis_domain::Permissions;
use arrakis_iac::export::{ExportDetail, assign, from_live, to_yaml};
use arrakis_iac::import::import;
use arrakis_iac::live::{LiveResource, LiveServer};
use arrakis_iac::model::{Attributes, Channel, ChannelKind, Clearable, Kind, Overwrite, Overwrites, Reference, Target};
use arrakis_iac::plan::{Options, plan, simulate};
use arrakis_iac::state::State;
use proptest::prelude::*;

use crate::export::{cases, check_by_schema, read_back};
use crate::plan::world::{empty_server, id, live_role};
use crate::random::configurations;

/// Exports all of it, reads the export back, takes everything in and plans.
fn assert_no_change(live: &LiveServer, detail: ExportDetail) -> String {
    let addresses = assign(live, &BTreeMap::new());
    let yaml = to_yaml(&from_live(live, &addresses, detail), "a test");
    let configuration = read_back(&yaml);
    let mut state = State::new("lineage");
    for (address, id) in &addresses {
        import(address, *id, Some(&configuration), &mut state, live)
            .unwrap_or_else(|error| panic!("{address}: {error}"));
    }
    let plan = plan(&configuration, &state, live, &Options::default()).unwrap();
    assert!(
        plan.is_empty(),
        "{detail:?}: {:#?}\n{:#?}\n{yaml}",
        plan.changes,
        plan.reorders
    );
    yaml
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 500, ..ProptestConfig::with_cases(cases(24)) })]

    #[test]
    fn export_after_apply_plans_no_change(configuration in configurations()) {
        let server = empty_server();
        let made = plan(&configuration, &State::new("first"), &server, &Options::default()).unwrap();
        if let Ok((live, _)) = simulate(&server, &State::new("first"), &made) {
            for detail in [ExportDetail::Readable, ExportDetail::Complete] {
                assert_no_change(&live, detail);
            }
        }
    }
}

const NAMES: [&str; 10] = [
    "general",
    "general",
    "🏜️",
    "💧",
    "Größe & Maß",
    "日本語",
    "admin\u{200d}only",
    "69",
    "true",
    "${name}: [x] # \"y\"",
];

/// 250 roles, 500 channels in categories that are full, names that repeat and names that no address could be.
fn crowded() -> LiveServer {
    let mut live = empty_server();
    for number in 0..248_u64 {
        let name = NAMES[usize::try_from(number).unwrap() % NAMES.len()];
        live.insert(live_role(
            2_000 + number,
            name,
            2 + i64::try_from(number % 200).unwrap(),
            Permissions::from_bits(number << 44),
        ));
    }
    let kinds = [
        ChannelKind::Text,
        ChannelKind::Voice,
        ChannelKind::Text,
        ChannelKind::Forum,
    ];
    let mut put = |number: u64, kind, category: Option<u64>| {
        let index = usize::try_from(number).unwrap();
        let name = arrakis_iac::model::normalised_name(kind, NAMES[index % NAMES.len()]);
        let role = Target::Role(Reference::Id(id(2_000 + number % 248)));
        let overwrites: Overwrites = [
            (
                Target::Everyone,
                Overwrite {
                    allow: Permissions::NONE,
                    deny: Permissions::from_bits(1 << 10),
                },
            ),
            (
                role,
                Overwrite {
                    allow: Permissions::from_bits(1 << 10 | 1 << 47),
                    deny: Permissions::NONE,
                },
            ),
            (Target::Member(id(77)), Overwrite::default()),
        ]
        .into();
        let channel = Channel {
            kind,
            name: Some(name),
            category: Some(category.map(|category| Reference::Id(id(category))).into()),
            topic: kind.has("topic").then(|| "two\nlines: \"and\" quotes".to_owned()),
            overwrites: Some(overwrites),
            ..Channel::default()
        };
        let attributes = if kind == ChannelKind::Category {
            Attributes::Category(channel)
        } else {
            Attributes::Channel(channel)
        };
        live.insert(LiveResource {
            id: id(10_000 + number),
            attributes,
            position: i64::try_from(number % 7).unwrap(),
            managed: false,
        });
    };
    for number in 0..10 {
        put(number, ChannelKind::Category, None);
    }
    for number in 10..500 {
        let category = (number % 10 != 9).then_some(10_000 + number % 9);
        put(
            number,
            kinds[usize::try_from(number / 10).unwrap() % kinds.len()],
            category,
        );
    }
    live
}

#[test]
fn export_of_a_large_server_plans_no_change() {
    let live = crowded();
    // Fifty in a category is the limit, and this has 49 or 50 in each.
    assert_eq!(
        live.of_kind(Kind::Category).count() + live.of_kind(Kind::Channel).count(),
        500
    );
    let yaml = assert_no_change(&live, ExportDetail::Complete);
    assert!(yaml.contains("BIT_47"), "a bit without a name is not lost");
    check_by_schema("crowded", &yaml);
}

#[test]
fn assigned_names_are_deterministic_and_keep_existing_ones() {
    let live = crowded();
    let fresh = assign(&live, &BTreeMap::new());
    assert_eq!(
        fresh.len(),
        1 + 249 + 500,
        "the server, roles with @everyone and without the bot's own, channels"
    );
    assert_eq!(assign(&live, &fresh), fresh);
    let general = id(10_000 + 100);
    let kept = assign(&live, &BTreeMap::from([("channel.general".parse().unwrap(), general)]));
    assert_eq!(kept[&"channel.general".parse().unwrap()], general);
    assert_eq!(kept.values().filter(|id| **id == general).count(), 1);
    assert_eq!(kept.len(), fresh.len());
}

#[test]
fn export_is_readable() {
    let mut live = empty_server();
    let settings = live.get_mut(Kind::Server, live.guild_id).unwrap();
    settings.attributes.complete_with(&settings.attributes.defaults(), &[]);
    live.insert(live_role(20, "Naib", 2, Permissions::from_bits(8)));
    let channel = |number: u64, kind, name: &str, category: Option<u64>, position| {
        let channel = Channel {
            kind,
            name: Some(name.to_owned()),
            category: Some(category.map(|category| Reference::Id(id(category))).into()),
            topic: kind.has("topic").then(String::new),
            slow_mode: kind.has("slow_mode").then_some(0),
            nsfw: Some(false),
            region: Some(Clearable::Cleared),
            overwrites: Some(
                [(
                    Target::Everyone,
                    Overwrite {
                        allow: Permissions::NONE,
                        deny: Permissions::from_bits(1 << 10),
                    },
                )]
                .into(),
            ),
            ..Channel::default()
        };
        let mut attributes = if kind == ChannelKind::Category {
            Attributes::Category(channel)
        } else {
            Attributes::Channel(channel)
        };
        // Discord returns all attributes.
        attributes.complete_with(&attributes.defaults(), &[]);
        LiveResource {
            id: id(number),
            attributes,
            position,
            managed: false,
        }
    };
    live.insert(channel(30, ChannelKind::Category, "🏛️ NAIB COUNCIL", None, 0));
    live.insert(channel(31, ChannelKind::Voice, "council chamber", Some(30), 0));
    live.insert(channel(32, ChannelKind::Text, "council-rock", Some(30), 1));
    live.insert(channel(33, ChannelKind::Text, "lobby", None, 0));
    insta::assert_snapshot!(assert_no_change(&live, ExportDetail::Readable));
}
