//! Single decisions, each with its reason.

use arrakis_domain::{Color, Permission, Permissions};
use arrakis_iac::model::{Attributes, Channel, ChannelKind, Kind, Overwrites, Role, Target};
use arrakis_iac::plan::{Action, ChangeReason, Mode, Options, preflight};
use arrakis_iac::render::{self, Style};
use arrakis_iac::state::{PendingCreation, StateEntry};

use super::world::{
    World, address, allow, category, channel, configuration, deny, id, live_channel, live_role, role, steps, within,
};

fn closed() -> Overwrites {
    [(Target::Everyone, deny(Permission::ViewChannel))].into()
}

fn of(overwrites: Overwrites, channel: Channel) -> Channel {
    Channel {
        overwrites: Some(overwrites),
        ..channel
    }
}

#[test]
fn only_text_and_announcement_channels_convert() {
    let mut world = World::new();
    world.become_like(&configuration([("channel.news", Attributes::Channel(channel("news")))]));
    let as_kind = |kind| {
        configuration([(
            "channel.news",
            Attributes::Channel(Channel {
                kind,
                ..channel("news")
            }),
        )])
    };
    let plan = world.plan(&as_kind(ChannelKind::Announcement));
    assert_eq!(steps(&plan), ["change channel.news (kind)"]);
    let plan = world.plan(&as_kind(ChannelKind::Voice));
    assert_eq!(plan.changes[0].action, Action::Replace);
    assert_eq!(plan.changes[0].forces_replacement, ["kind"]);
    assert_eq!(plan.losses().count(), 1);
    assert_eq!(steps(&plan), ["delete channel.news", "create channel.news"]);
    assert!(render::plan(&plan, Style::default()).contains("# forces replacement"));
}

#[test]
fn unsynced_channel_is_separated_before_its_category_changes() {
    let mut world = World::new();
    let both = |of_category: Overwrites| {
        configuration([
            ("category.keep", Attributes::Category(of(of_category, category("KEEP")))),
            (
                "channel.gate",
                Attributes::Channel(of(closed(), within("category.keep", channel("gate")))),
            ),
        ])
    };
    world.become_like(&both(closed()));
    let plan = world.plan(&both(Overwrites::new()));
    let expected = [
        "set permissions of bot in channel.gate",
        "remove permissions of everyone from category.keep",
        "remove permissions of bot from channel.gate",
    ];
    assert_eq!(steps(&plan), expected);
}

#[test]
fn synced_channels_need_no_request() {
    let mut world = World::new();
    let both = |overwrites: Overwrites| {
        configuration([
            (
                "category.keep",
                Attributes::Category(of(overwrites.clone(), category("KEEP"))),
            ),
            (
                "channel.gate",
                Attributes::Channel(of(overwrites, within("category.keep", channel("gate")))),
            ),
        ])
    };
    world.become_like(&both(Overwrites::new()));
    let plan = world.plan(&both(closed()));
    assert_eq!(
        steps(&plan),
        [
            "set permissions of everyone in category.keep",
            "refresh channel.gate in the state"
        ]
    );
    world.apply(&plan);
    assert!(world.plan(&both(closed())).is_empty());
}

#[test]
fn role_permissions_are_removed_early_and_granted_late() {
    let mut world = World::new();
    let with = |permissions: &[Permission], overwrites: Overwrites| {
        let guard = Role {
            permissions: Some(Permissions::of(permissions)),
            ..role("Guard")
        };
        configuration([
            ("role.guard", Attributes::Role(guard)),
            ("channel.gate", Attributes::Channel(of(overwrites, channel("gate")))),
        ])
    };
    world.become_like(&with(&[Permission::KickMembers], Overwrites::new()));
    let plan = world.plan(&with(&[Permission::ViewChannel], closed()));
    let expected = [
        "change role.guard (permissions)",
        "set permissions of everyone in channel.gate",
        "change role.guard (permissions)",
    ];
    assert_eq!(steps(&plan), expected);
}

#[test]
fn unmanaged_resources_keep_their_position() {
    let mut world = World::new();
    let three = |order: [&'static str; 3]| {
        configuration(order.map(|name| (name, Attributes::Role(role(name.trim_start_matches("role."))))))
    };
    world.become_like(&three(["role.a", "role.b", "role.c"]));
    let mut bot = world.live.bot_role().unwrap().clone();
    bot.position = 9;
    world.live.insert(bot);
    // Between a and b is an unmanaged one.
    for (number, position) in [(1_003, 5), (1_004, 3), (1_005, 2)] {
        world
            .live
            .get_mut(arrakis_iac::model::Kind::Role, id(number))
            .unwrap()
            .position = position;
    }
    world.live.insert(live_role(1_900, "Foreign", 4, Permissions::NONE));
    let plan = world.plan(&three(["role.c", "role.a", "role.b"]));
    assert_eq!(plan.reorders[0].after, ["role.c", "role.a", "role.b"]);
    world.apply(&plan);
    let names: Vec<String> = world
        .live
        .roles_in_order()
        .iter()
        .map(|role| role.attributes.name().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["Worm", "c", "Foreign", "a", "b", "@everyone"]);
    assert!(world.plan(&three(["role.c", "role.a", "role.b"])).is_empty());
}

#[test]
fn only_the_result_of_an_interrupted_apply_is_found() {
    let mut world = World::new();
    let wanted = configuration([("channel.gate", Attributes::Channel(channel("The Gate")))]);
    let attributes = wanted.get(&address("channel.gate")).unwrap().clone();
    let made = (2_000_000_000_000 - 1_420_070_400_000_u64) << 22;
    world.live.insert(live_channel(made - (60_000 << 22), "the-gate", 0));
    world.state.begin_create(
        address("channel.gate"),
        PendingCreation {
            since_ms: 2_000_000_000_000,
            again_ms: None,
            others: [].into(),
            attributes,
            asked_before: Vec::new(),
        },
    );
    // The one that is there is older than the request.
    let plan = world.plan(&wanted);
    assert_eq!(plan.changes[0].action, Action::Create);
    world.live.insert(live_channel(made + 1, "the-gate", 1));
    let plan = world.plan(&wanted);
    assert_eq!(
        (plan.changes[0].action, plan.changes[0].reason),
        (Action::Adopt, ChangeReason::FoundAgain)
    );
    assert_eq!(plan.changes[0].id, Some(id(made + 1)));
    world.apply(&plan);
    assert!(world.plan(&wanted).is_empty() && world.state.pending.is_empty());
}

#[test]
fn drift_is_distinguished_from_configured_changes() {
    let mut world = World::new();
    let wanted = configuration([("role.guard", Attributes::Role(role("Guard")))]);
    world.become_like(&wanted);
    let guard = world.state.id(&address("role.guard")).unwrap();
    let Attributes::Role(live) = &mut world
        .live
        .get_mut(arrakis_iac::model::Kind::Role, guard)
        .unwrap()
        .attributes
    else {
        panic!("a role is a role");
    };
    live.name = Some("Watch".to_owned());
    live.color = Some(Color::from_rgb(7));
    let plan = world.plan(&wanted);
    // The colour is not managed: every value is accepted.
    assert_eq!(plan.drift[0].fields, ["name"]);
    assert_eq!(plan.changes[0].fields, ["name"]);
    let refresh = Options {
        mode: Mode::RefreshOnly,
        ..Options::default()
    };
    let plan = world.plan_with(&wanted, &refresh);
    assert_eq!(steps(&plan), ["refresh role.guard in the state"]);
    world.apply(&plan);
    assert!(world.plan_with(&wanted, &refresh).is_empty());
}

#[test]
fn creation_beside_unmanaged_resource_of_the_same_name_has_a_note() {
    let mut world = World::new();
    world.live.insert(live_channel(1_500, "general", 0));
    let plan = world.plan(&configuration([(
        "channel.talk",
        Attributes::Channel(channel("General")),
    )]));
    assert_eq!(plan.notes.len(), 1);
    assert!(
        plan.notes[0].contains("gaib server import channel.talk 1500"),
        "{:?}",
        plan.notes
    );
}

#[test]
fn rules_channel_of_a_community_is_not_deleted() {
    let mut world = World::new();
    let wanted = configuration([("channel.rules", Attributes::Channel(channel("rules")))]);
    world.become_like(&wanted);
    world.live.features.insert("COMMUNITY".to_owned());
    let rules = world.state.id(&address("channel.rules")).unwrap();
    let server = world
        .live
        .get_mut(arrakis_iac::model::Kind::Server, world.live.guild_id)
        .unwrap();
    let Attributes::Server(settings) = &mut server.attributes else {
        panic!("a server is a server")
    };
    settings.rules_channel = Some(arrakis_iac::model::Clearable::Set(rules.into()));
    let plan = world.plan(&configuration([]));
    let findings = preflight(&plan, &world.live, &world.state);
    assert!(
        findings
            .iter()
            .any(|finding| finding.blocking && finding.what.contains("rules_channel")),
        "{findings:?}"
    );
}

#[test]
fn full_category_is_reported_before_the_first_write() {
    let world = World::new();
    let mut wanted = configuration([("category.keep", Attributes::Category(category("KEEP")))]);
    for number in 0..51 {
        let attributes = Attributes::Channel(within("category.keep", channel(&format!("c{number}"))));
        let resource = arrakis_iac::model::Resource {
            attributes,
            origin: None,
        };
        wanted
            .resources
            .insert(address(&format!("channel.c{number}")), resource);
    }
    let plan = world.plan(&wanted);
    let findings = preflight(&plan, &world.live, &world.state);
    assert_eq!(findings.len(), 1);
    assert!(findings[0].what.contains("51 channels"), "{findings:?}");
}

#[test]
fn plan_is_rendered() {
    let mut world = World::new();
    let first = configuration([
        (
            "role.guard",
            Attributes::Role(Role {
                permissions: Some(Permissions::of(&[Permission::KickMembers])),
                ..role("Guard")
            }),
        ),
        ("role.baron", Attributes::Role(role("Baron"))),
        ("role.old", Attributes::Role(role("Old"))),
        ("channel.gate", Attributes::Channel(of(closed(), channel("gate")))),
        ("channel.hall", Attributes::Channel(channel("hall"))),
    ]);
    world.become_like(&first);
    let open: Overwrites = [
        (Target::Everyone, allow(Permission::ViewChannel)),
        (Target::from(address("role.guard")), allow(Permission::SendMessages)),
    ]
    .into();
    let second = configuration([
        ("role.baron", Attributes::Role(role("Baron"))),
        (
            "role.guard",
            Attributes::Role(Role {
                permissions: Some(Permissions::of(&[Permission::BanMembers])),
                ..role("Guard")
            }),
        ),
        (
            "role.new",
            Attributes::Role(Role {
                color: Some(Color::from_rgb(0xff_d7_00)),
                hoist: Some(true),
                ..role("New")
            }),
        ),
        (
            "channel.gate",
            Attributes::Channel(Channel {
                topic: Some("Halt".to_owned()),
                ..of(open, channel("gate"))
            }),
        ),
        (
            "channel.hall",
            Attributes::Channel(Channel {
                kind: ChannelKind::Voice,
                ..channel("hall")
            }),
        ),
    ]);
    let plan = world.plan(&second);
    insta::assert_snapshot!("plan", render::plan(&plan, Style { color: false }));
    insta::assert_snapshot!(
        "plan_in_colour",
        render::plan(&plan, Style { color: true }).replace('\u{1b}', "ESC")
    );
    insta::assert_snapshot!("plan_as_steps", steps(&plan).join("\n"));
    let lines: Vec<String> = render::messages(&plan, &[]).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!("plan_as_messages", lines.join("\n"));
}

#[test]
fn role_above_the_bot_is_reported_and_not_moved() {
    let mut world = World::new();
    let ordered = configuration([
        ("role.naib", Attributes::Role(role("Naib"))),
        ("role.usul", Attributes::Role(role("Usul"))),
        ("role.hajra", Attributes::Role(role("Hajra"))),
    ]);
    world.become_like(&ordered);
    let above = world.live.bot_role().unwrap().position + 1;
    let usul = world.state.resources[&address("role.usul")].id;
    world.live.get_mut(Kind::Role, usul).unwrap().position = above;
    let plan = world.plan(&ordered);
    assert_eq!(steps(&plan), [""; 0]);
    assert!(render::plan(&plan, Style::default()).contains("role.usul is above the bot's highest role"));
}

/// Discord gives new roles position 1, and of equal positions the lower id ranks above.
#[test]
fn roles_of_equal_position_are_deleted_from_the_lowest() {
    let mut world = World::new();
    let names = ["role.high", "role.middle", "role.low"];
    for (name, number) in names.into_iter().zip([2_001, 2_002, 2_003]) {
        let found = live_role(number, name, 1, Permissions::NONE);
        let entry = StateEntry {
            id: found.id,
            attributes: found.attributes.clone(),
        };
        world.live.insert(found);
        world.state.record(address(name), entry);
    }
    let plan = world.plan(&configuration([]));
    let expected = ["delete role.low", "delete role.middle", "delete role.high"];
    assert_eq!(steps(&plan), expected);
}
