//! What is managed, exists and cannot be read is neither changed nor made again nor forgotten.

use std::collections::BTreeMap;

use arrakis_domain::Permission;
use arrakis_iac::export::{ExportDetail, assign, from_live, to_yaml};
use arrakis_iac::live::UnknownValue;
use arrakis_iac::model::{
    Attributes, AutomodAction, AutomodRule, AutomodTrigger, Channel, Clearable, Configuration, Event, EventLocation,
    Kind, Overwrites, Reference, Target, Webhook,
};
use arrakis_iac::plan::{Finding, Mode, Options, preflight};

use super::world::{World, address, allow, category, channel, configuration, role, steps, within};

/// Of each kind something that the others refer to, or that refers to others.
fn wanted() -> Configuration {
    let overwrites: Overwrites = [(Target::from(address("role.guard")), allow(Permission::ViewChannel))].into();
    let cave = Channel {
        overwrites: Some(overwrites.clone()),
        ..within("category.rock", channel("cave"))
    };
    let webhook = Webhook {
        name: Some("News".to_owned()),
        channel: Some(address("channel.cave").into()),
        avatar: None,
    };
    let rule = AutomodRule {
        name: Some("spam".to_owned()),
        trigger: Some(AutomodTrigger::Spam),
        actions: Some(vec![AutomodAction::Alert {
            channel: address("channel.cave").into(),
        }]),
        exempt_roles: Some(vec![address("role.guard").into()]),
        ..AutomodRule::default()
    };
    let event = Event {
        name: Some("Festival".to_owned()),
        start: Some("2999-01-01T00:00:00Z".parse().unwrap()),
        end: Some(Clearable::Set("2999-01-02T00:00:00Z".parse().unwrap())),
        place: Some(EventLocation::External("Arrakeen".to_owned())),
        ..Event::default()
    };
    let rock = Channel {
        overwrites: Some(overwrites),
        ..category("Rock")
    };
    configuration([
        ("role.guard", Attributes::Role(role("Guard"))),
        ("category.rock", Attributes::Category(rock)),
        ("channel.cave", Attributes::Channel(cave)),
        (
            "channel.well",
            Attributes::Channel(within("category.rock", channel("well"))),
        ),
        ("webhook.news", Attributes::Webhook(webhook)),
        ("automod.spam", Attributes::Automod(rule)),
        ("event.festival", Attributes::Event(event)),
    ])
}

/// How one resource comes back from Discord.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// With an unknown kind, nothing else is read.
    Unreadable,
    /// With an unknown value of this attribute, which decides what it is.
    UnknownValue(&'static str),
    /// In a list with an entry without content.
    WithoutContent,
    /// As a category, or as a channel.
    OtherKind,
}

fn cells() -> Vec<(&'static str, Change)> {
    vec![
        ("channel.cave", Change::Unreadable),
        ("category.rock", Change::Unreadable),
        ("webhook.news", Change::Unreadable),
        ("automod.spam", Change::UnknownValue("trigger")),
        ("automod.spam", Change::WithoutContent),
        ("event.festival", Change::UnknownValue("place")),
        ("channel.cave", Change::OtherKind),
        ("category.rock", Change::OtherKind),
    ]
}

/// A server as configured, where one resource comes back so.
fn changed(text: &str, change: Change) -> World {
    let mut world = World::new();
    world.become_like(&wanted());
    let (kind, id) = (address(text).kind(), world.state.id(&address(text)).unwrap());
    let mut found = world.live.remove(kind, id).unwrap();
    let unknown = |field: &str| UnknownValue {
        kind: if kind == Kind::Category { Kind::Channel } else { kind },
        id,
        name: "?".to_owned(),
        field: field.to_owned(),
        value: "99".to_owned(),
    };
    match change {
        Change::Unreadable => world.live.unreadable.push(unknown("kind")),
        Change::WithoutContent => {
            world.live.incomplete.insert(kind);
        }
        Change::UnknownValue(field) => {
            world.live.unreadable.push(unknown(field));
            found.attributes.release(field);
            world.live.insert(found);
        }
        Change::OtherKind => {
            found.attributes = match found.attributes {
                Attributes::Channel(_) => Attributes::Category(category("cave")),
                _ => Attributes::Channel(channel("rock")),
            };
            world.live.insert(found);
        }
    }
    world
}

fn in_mode(mode: Mode) -> Options {
    Options {
        mode,
        ..Options::default()
    }
}

fn warning(findings: &[Finding], text: &str) -> String {
    let of_it = findings.iter().find(|finding| finding.addresses == [address(text)]);
    let finding = of_it.unwrap_or_else(|| panic!("no finding of {text}: {findings:#?}"));
    assert_eq!((finding.rule.as_str(), finding.blocking), ("unreadable", false));
    finding.what.clone()
}

#[test]
fn apply_and_refresh_keep_unreadable_resource_with_a_warning() {
    for (text, change) in cells() {
        let case = format!("{text} {change:?}");
        let world = changed(text, change);
        let id = world.state.id(&address(text)).unwrap();
        for (config, mode) in [(wanted(), Mode::Apply), (Configuration::default(), Mode::RefreshOnly)] {
            let plan = world.plan_with(&config, &in_mode(mode));
            assert!(plan.is_empty(), "{case} {mode:?}: {:#?}", plan.changes);
            assert_eq!(steps(&plan), [""; 0], "{case} {mode:?}");
            assert!(plan.drift.is_empty(), "{case} {mode:?}: {:#?}", plan.drift);
            let findings = preflight(&plan, &world.live, &world.state);
            assert_eq!(findings.len(), 1, "{case}: {findings:#?}");
            let what = warning(&findings, text);
            assert!(what.contains(&id.to_string()), "{what}");
            match change {
                Change::Unreadable => assert!(what.contains("`99` as its `kind`"), "{what}"),
                Change::UnknownValue(field) => assert!(what.contains(&format!("`99` as its `{field}`")), "{what}"),
                Change::WithoutContent => assert!(what.contains("without content"), "{what}"),
                Change::OtherKind => assert!(what.contains("sent it as a"), "{what}"),
            }
        }
    }
}

#[test]
fn unreadable_resource_without_configuration_stays_and_others_are_deleted() {
    for (text, change) in cells() {
        let world = changed(text, change);
        let plan = world.plan(&configuration([]));
        let own = steps(&plan).into_iter().filter(|step| step.contains(text)).count();
        assert_eq!(own, 0, "{text} {change:?}: {:?}", steps(&plan));
        assert_eq!(plan.changes.len(), 6, "{text} {change:?}");
        warning(&preflight(&plan, &world.live, &world.state), text);
    }
}

#[test]
fn destroy_deletes_unreadable_resource_by_id() {
    for (text, change) in cells() {
        let world = changed(text, change);
        let plan = world.plan_with(&configuration([]), &in_mode(Mode::Destroy));
        assert!(steps(&plan).contains(&format!("delete {text}")), "{text} {change:?}");
        assert_eq!(plan.steps.len(), 7, "{text} {change:?}");
        let what = warning(&preflight(&plan, &world.live, &world.state), text);
        assert!(what.contains("deleted by its id"), "{what}");
    }
}

#[test]
fn resources_that_reference_unreadable_resource_still_change() {
    let world = changed("channel.cave", Change::Unreadable);
    let mut config = wanted();
    let news = &mut config.resources.get_mut(&address("webhook.news")).unwrap().attributes;
    *news.name_mut().unwrap() = "Old news".to_owned();
    let plan = world.plan(&config);
    assert_eq!(steps(&plan), ["change webhook.news (name)"]);
    let findings = preflight(&plan, &world.live, &world.state);
    assert!(findings.iter().all(|finding| !finding.blocking), "{findings:#?}");
}

#[test]
fn channel_is_created_in_unreadable_category() {
    let mut world = changed("category.rock", Change::Unreadable);
    let mut config = wanted();
    let spring = configuration([(
        "channel.spring",
        Attributes::Channel(within("category.rock", channel("spring"))),
    )]);
    config.resources.extend(spring.resources);
    let plan = world.plan(&config);
    assert_eq!(steps(&plan)[0], "create channel.spring");
    world.apply(&plan);
    assert!(world.plan(&config).is_empty());
}

#[test]
fn unmanaged_unknown_trigger_does_not_block_the_rule() {
    let mut world = changed("automod.spam", Change::UnknownValue("trigger"));
    let entry = world.state.resources.get_mut(&address("automod.spam")).unwrap();
    entry.attributes.release("trigger");
    let mut config = wanted();
    let rule = &mut config.resources.get_mut(&address("automod.spam")).unwrap().attributes;
    rule.release("trigger");
    *rule.name_mut().unwrap() = "No spam".to_owned();
    let plan = world.plan(&config);
    assert_eq!(steps(&plan), ["change automod.spam (name)"]);
}

/// What the export leaves out is named by its id in what refers to it, so that the reader takes the export.
#[test]
fn export_without_unreadable_resource_is_read_back() {
    for (text, change) in cells() {
        let world = changed(text, change);
        let managed: BTreeMap<_, _> = world
            .state
            .resources
            .iter()
            .map(|(address, entry)| (address.clone(), entry.id))
            .collect();
        for detail in [ExportDetail::Readable, ExportDetail::Complete] {
            let addresses = assign(&world.live, &managed);
            let yaml = to_yaml(&from_live(&world.live, &addresses, detail), "a test");
            let config = crate::export::read_back(&yaml);
            let plan = world.plan(&config);
            let changes = plan
                .changes
                .iter()
                .filter(|change| managed.contains_key(&change.address));
            assert_eq!(changes.count(), 0, "{text} {change:?}: {:#?}\n{yaml}", plan.changes);
        }
    }
}

#[test]
fn id_of_unreadable_resource_is_known() {
    let mut world = World::new();
    world.live.unreadable.push(UnknownValue {
        kind: Kind::Channel,
        id: super::world::id(1_777),
        name: "directory".to_owned(),
        field: "kind".to_owned(),
        value: "14".to_owned(),
    });
    let webhook = Webhook {
        name: Some("News".to_owned()),
        channel: Some(Reference::Id(super::world::id(1_777))),
        avatar: None,
    };
    let plan = world.plan(&configuration([("webhook.news", Attributes::Webhook(webhook))]));
    assert_eq!(preflight(&plan, &world.live, &world.state), []);
}
