//! The result of a creation whose response was lost is found however Discord rewrote it, and a resource of another user is not
//! mistaken for it.

use arrakis_domain::{Color, Permission, Permissions};
use arrakis_iac::live::LiveResource;
use arrakis_iac::model::{
    Address, Attributes, AutomodAction, AutomodRule, AutomodTrigger, Channel, ChannelKind, Clearable, Emoji, Event,
    EventLocation, Overwrites, Reference, Role, Snowflake, Webhook,
};
use arrakis_iac::plan::{Action, ChangeReason, CreationOutcome, Mode, Options, find_pending, preflight};
use arrakis_iac::state::PendingCreation;

use super::world::{World, address, channel, configuration, id, role, steps};

const SINCE_MS: u64 = 2_000_000_000_000;

/// An id that Discord makes this long after the request.
fn later(ms: u64) -> Snowflake {
    id(((SINCE_MS - 1_420_070_400_000 + ms) << 22) + 1)
}

fn pending(attributes: &Attributes) -> PendingCreation {
    PendingCreation {
        since_ms: SINCE_MS,
        again_ms: None,
        attributes: attributes.clone(),
        others: [].into(),
        asked_before: Vec::new(),
    }
}

/// A server on which a request for `attributes` was lost.
fn lost(text: &str, attributes: &Attributes) -> World {
    let mut world = World::new();
    world.state.begin_create(address(text), pending(attributes));
    world
}

fn there(world: &mut World, id: Snowflake, attributes: Attributes) {
    world.live.insert(LiveResource {
        id,
        attributes,
        position: 1,
        managed: false,
    });
}

fn outcome(world: &World, text: &str) -> CreationOutcome {
    let address: Address = address(text);
    find_pending(&address, &world.state.pending[&address], &world.state, &world.live)
}

fn found(id: Snowflake, requested: &Attributes) -> CreationOutcome {
    let requested = Box::new(requested.clone());
    CreationOutcome::Found { id, requested }
}

/// Of each kind that can be made something with this name.
fn of_each_kind(name: &str) -> Vec<(&'static str, Attributes)> {
    let name = || Some(name.to_owned());
    let kind = |kind| {
        Attributes::Channel(Channel {
            kind,
            overwrites: Some(Overwrites::new()),
            ..channel(&name().unwrap())
        })
    };
    vec![
        ("role.x", Attributes::Role(role(&name().unwrap()))),
        (
            "category.x",
            Attributes::Category(super::world::category(&name().unwrap())),
        ),
        ("channel.x", kind(ChannelKind::Text)),
        ("channel.x", kind(ChannelKind::Announcement)),
        ("channel.x", kind(ChannelKind::Voice)),
        ("channel.x", kind(ChannelKind::Stage)),
        ("channel.x", kind(ChannelKind::Forum)),
        ("channel.x", kind(ChannelKind::Media)),
        (
            "emoji.x",
            Attributes::Emoji(Emoji {
                name: name(),
                ..Emoji::default()
            }),
        ),
        (
            "webhook.x",
            Attributes::Webhook(Webhook {
                name: name(),
                channel: Some(Reference::Id(id(1_500))),
                avatar: None,
            }),
        ),
        (
            "automod.x",
            Attributes::Automod(AutomodRule {
                name: name(),
                trigger: Some(AutomodTrigger::Spam),
                actions: Some(vec![AutomodAction::BlockMember]),
                ..AutomodRule::default()
            }),
        ),
        (
            "event.x",
            Attributes::Event(Event {
                name: name(),
                place: Some(EventLocation::External("Arrakeen".to_owned())),
                ..Event::default()
            }),
        ),
    ]
}

fn renamed(attributes: &Attributes, name: &str) -> Attributes {
    let mut renamed = attributes.clone();
    *renamed.name_mut().unwrap() = name.to_owned();
    renamed
}

#[test]
fn creation_of_every_kind_is_found_under_any_rewritten_name() {
    let names = [
        ("  Trim  Me! ", "Trim  Me!"),
        ("  Trim  Me! ", "Trim Me!"),
        ("  Trim  Me! ", "trim-me"),
        ("Trim Me", "TRIM_ME"),
        ("Was\u{a0}anders?", "Something else"),
        ("!!!", "-"),
    ];
    for (sent, kept) in names {
        for (text, attributes) in of_each_kind(sent) {
            let mut world = lost(text, &attributes);
            assert_eq!(outcome(&world, text), CreationOutcome::Absent, "{text}");
            there(&mut world, later(10), renamed(&attributes, kept));
            assert_eq!(
                outcome(&world, text),
                found(later(10), &attributes),
                "{text}: {sent:?} as {kept:?}"
            );
            let plan = world.plan(&configuration([(text, attributes)]));
            assert_eq!(
                (plan.changes[0].action, plan.changes[0].reason),
                (Action::Adopt, ChangeReason::FoundAgain)
            );
        }
    }
}

/// Resources that another user created meanwhile, ordered by similarity.
#[test]
fn most_similar_candidate_is_found() {
    for (text, attributes) in of_each_kind("Guard") {
        let mut world = lost(text, &attributes);
        there(&mut world, later(1), renamed(&attributes, "Friends"));
        there(&mut world, later(2), renamed(&attributes, "guard!!"));
        if !matches!(&attributes, Attributes::Channel(channel) if channel.kind == ChannelKind::Text) {
            assert_eq!(outcome(&world, text), found(later(2), &attributes), "{text}");
        }
        there(&mut world, later(3), renamed(&attributes, "Guard"));
        let taken = outcome(&world, text);
        assert!(
            taken == found(later(3), &attributes) || matches!(&taken, CreationOutcome::Unclear(ids) if ids.len() == 2),
            "{text}: {taken:?}"
        );
    }
}

fn guard() -> Role {
    Role {
        color: Some(Color::from_rgb(7)),
        permissions: Some(Permissions::of(&[Permission::Administrator])),
        ..role("Guard")
    }
}

#[test]
fn ambiguous_candidate_is_an_obstacle() {
    let requested = Attributes::Role(guard());
    let mut world = lost("role.guard", &requested);
    // A role that another user creates at the same time: another name, other permissions.
    there(&mut world, later(10), Attributes::Role(role("Friends")));
    assert_eq!(outcome(&world, "role.guard"), CreationOutcome::Unclear(vec![later(10)]));
    let config = configuration([("role.guard", requested)]);
    let plan = world.plan(&config);
    let findings = preflight(&plan, &world.live, &world.state);
    let finding = findings
        .iter()
        .find(|finding| finding.rule == "outcome-unknown")
        .unwrap();
    assert!(
        finding.blocking && finding.what.contains(&later(10).to_string()),
        "{finding:?}"
    );
    assert!(
        finding.what_to_do.contains("gaib server import role.guard ID")
            && finding.what_to_do.contains("gaib server state rm role.guard"),
        "{finding:?}"
    );
    // It is no longer wanted: the record stays, and a warning names what may have been created.
    for mode in [Mode::Apply, Mode::Destroy] {
        let options = Options {
            mode,
            ..Options::default()
        };
        let plan = world.plan_with(&configuration([]), &options);
        assert_eq!(steps(&plan), [""; 0], "{mode:?}");
        let findings = preflight(&plan, &world.live, &world.state);
        assert!(findings.len() == 1 && !findings[0].blocking, "{findings:?}");
    }
    // The operator decides: another user created it.
    world.state.forget(&address("role.guard"));
    assert!(preflight(&world.plan(&config), &world.live, &world.state).is_empty());
}

#[test]
fn two_candidates_of_one_name_are_ambiguous() {
    for (text, attributes) in of_each_kind("guard") {
        let mut world = lost(text, &attributes);
        there(&mut world, later(10), attributes.clone());
        there(&mut world, later(20), attributes.clone());
        assert_eq!(
            outcome(&world, text),
            CreationOutcome::Unclear(vec![later(10), later(20)]),
            "{text}"
        );
    }
}

#[test]
fn older_later_or_moved_resources_are_no_candidates() {
    let requested = Attributes::Channel(Channel {
        category: Some(Clearable::Set(Reference::Id(id(1_600)))),
        ..channel("gate")
    });
    let in_category = |category: u64, name: &str, kind| {
        Attributes::Channel(Channel {
            kind,
            category: Some(Clearable::Set(Reference::Id(id(category)))),
            ..channel(name)
        })
    };
    let mut world = lost("channel.gate", &requested);
    there(&mut world, later(10), in_category(1_601, "gate", ChannelKind::Text));
    there(&mut world, later(11), in_category(1_600, "gate", ChannelKind::Voice));
    there(&mut world, id(1_700), in_category(1_600, "gate", ChannelKind::Text));
    there(
        &mut world,
        later(3_600_000),
        in_category(1_600, "temporary", ChannelKind::Text),
    );
    assert_eq!(outcome(&world, "channel.gate"), CreationOutcome::Absent);
    there(&mut world, later(12), in_category(1_600, "gate", ChannelKind::Text));
    assert_eq!(outcome(&world, "channel.gate"), found(later(12), &requested));
    let pending = world.state.pending.get_mut(&address("channel.gate")).unwrap();
    pending.others.insert(later(12));
    assert_eq!(outcome(&world, "channel.gate"), CreationOutcome::Absent);
}
