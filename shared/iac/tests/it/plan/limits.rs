//! Near Discord's limits no step passes one, nothing private opens, and the plan settles.
//!
//! [`arrakis_iac::plan::simulate`] refuses a step that passes a limit, as Discord does, so carrying a plan out is the test.

use arrakis_domain::{Permission, Permissions};
use arrakis_iac::model::{
    Address, Attributes, AutomodAction, AutomodPreset, AutomodRule, AutomodTrigger, Channel, ChannelKind, Clearable,
    Configuration, Event, EventLocation, Kind, LogicalName, Overwrites, Reference, Resource, Role, Server, Target,
    Webhook,
};
use arrakis_iac::plan::{Plan, Step, preflight, simulate};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::laws::{nobody_gains, settled};
use super::world::{World, address, allow, category, channel, deny, id, live_channel, role, steps, within};

/// A configuration that is built up.
#[derive(Clone, Default)]
struct Draft(Configuration);

impl Draft {
    fn put(&mut self, address: Address, attributes: Attributes) {
        let resource = Resource {
            attributes,
            origin: None,
        };
        self.0.resources.insert(address, resource);
    }

    fn channel(&mut self, key: &str, place: Option<usize>, change: impl FnOnce(&mut Channel)) {
        let mut one = Channel {
            category: Some(Clearable::Cleared),
            ..channel(key)
        };
        if let Some(number) = place {
            one = within(&format!("category.c{number}"), one);
        }
        change(&mut one);
        self.put(
            Address::of(Kind::Channel, LogicalName::new(key).unwrap()),
            Attributes::Channel(one),
        );
    }

    fn at(&mut self, key: &str) -> &mut Channel {
        let address = Address::of(Kind::Channel, LogicalName::new(key).unwrap());
        match &mut self.0.resources[&address].attributes {
            Attributes::Channel(channel) => channel,
            _ => panic!("a channel is a channel"),
        }
    }
}

fn hidden() -> Overwrites {
    [(Target::Everyone, deny(Permission::ViewChannel))].into()
}

/// Categories with so many channels each, every third of them hidden; so many channels outside.
fn filled(counts: &[usize], outside: usize) -> Draft {
    let mut draft = Draft::default();
    for number in 0..counts.len() {
        draft.put(
            address(&format!("category.c{number}")),
            Attributes::Category(category(&format!("C{number}"))),
        );
    }
    for (number, count) in counts.iter().enumerate() {
        for index in 0..*count {
            draft.channel(&format!("t{number}-{index}"), Some(number), |channel| {
                channel.overwrites = (index % 3 == 0).then(hidden);
            });
        }
    }
    for index in 0..outside {
        draft.channel(&format!("o-{index}"), None, |_| {});
    }
    draft
}

/// Carries a plan out step by step: no limit is passed, nothing opens, nothing is left.
fn lawful(world: &mut World, wanted: &Configuration) -> Result<Plan, TestCaseError> {
    let plan = world.plan(wanted);
    let blocking: Vec<_> = preflight(&plan, &world.live, &world.state)
        .into_iter()
        .filter(|finding| finding.blocking)
        .collect();
    prop_assert!(blocking.is_empty(), "{blocking:#?} {:#?}", steps(&plan));
    let done = simulate(&world.live, &world.state, &plan);
    prop_assert!(done.is_ok(), "{:?} in {:#?}", done.err(), steps(&plan));
    nobody_gains(world, &plan)?;
    world.apply(&plan);
    settled(world, wanted)?;
    Ok(plan)
}

/// A manual change of a server that is full.
#[derive(Clone, Debug)]
enum ServerEdit {
    /// Two channels of two categories change places.
    Swap(Index, Index),
    /// Three do, in a ring.
    Rotate(Index, Index, Index),
    /// A channel is deleted and another one created in its place.
    Exchange(Index),
    /// A channel moves where there is room, if there is.
    Move(Index, usize),
    /// A channel becomes one for voices, which is another.
    Replace(Index),
    /// A channel is hidden, or no longer.
    Hide(Index),
    /// A category is deleted with its channels; another one is created with as many.
    ExchangeCategory(usize),
}

fn server_edits() -> impl Strategy<Value = Vec<ServerEdit>> {
    let one = prop_oneof![
        4 => any::<(Index, Index)>().prop_map(|(a, b)| ServerEdit::Swap(a, b)),
        2 => any::<(Index, Index, Index)>().prop_map(|(a, b, c)| ServerEdit::Rotate(a, b, c)),
        4 => any::<Index>().prop_map(ServerEdit::Exchange),
        2 => (any::<Index>(), 0_usize..4).prop_map(|(a, place)| ServerEdit::Move(a, place)),
        1 => any::<Index>().prop_map(ServerEdit::Replace),
        2 => any::<Index>().prop_map(ServerEdit::Hide),
        1 => (0_usize..3).prop_map(ServerEdit::ExchangeCategory),
    ];
    proptest::collection::vec(one, 1..7)
}

fn carry_out(draft: &mut Draft, server_edits: &[ServerEdit], limit: usize, total: usize) {
    for (number, edit) in server_edits.iter().enumerate() {
        let keys: Vec<String> = draft
            .0
            .resources
            .keys()
            .filter(|address| address.kind() == Kind::Channel)
            .map(|address| address.key().unwrap().as_str().to_owned())
            .collect();
        let pick = |index: &Index| index.get(&keys).clone();
        match edit {
            ServerEdit::Swap(a, b) => rotate(draft, &[pick(a), pick(b)]),
            ServerEdit::Rotate(a, b, c) => rotate(draft, &[pick(a), pick(b), pick(c)]),
            ServerEdit::Exchange(a) => {
                let old = draft.at(&pick(a)).clone();
                let key = pick(a);
                draft.0.resources.shift_remove(&address(&format!("channel.{key}")));
                draft.channel(
                    &format!("n{number}-{key}").chars().take(40).collect::<String>(),
                    None,
                    |channel| {
                        channel.category.clone_from(&old.category);
                        channel.overwrites.clone_from(&old.overwrites);
                    },
                );
            }
            ServerEdit::Move(a, place) => {
                let to = within(&format!("category.c{place}"), channel("x")).category;
                let there = keys.iter().filter(|key| draft.at(key).category == to).count();
                let exists = draft.0.resources.contains_key(&address(&format!("category.c{place}")));
                if exists && there < limit {
                    draft.at(&pick(a)).category = to;
                }
            }
            ServerEdit::Replace(a) => draft.at(&pick(a)).kind = ChannelKind::Voice,
            ServerEdit::Hide(a) => {
                let channel = draft.at(&pick(a));
                channel.overwrites = match channel.overwrites {
                    None => Some(hidden()),
                    Some(_) => Some(Overwrites::new()),
                };
            }
            ServerEdit::ExchangeCategory(place) => exchange_category(draft, *place, number),
        }
    }
    let channels = draft.0.resources.keys();
    assert!(
        channels
            .filter(|address| matches!(address.kind(), Kind::Channel | Kind::Category))
            .count()
            <= total
    );
}

/// Moves each channel to the category of the next. Repeated channels would change the number of channels in a category.
fn rotate(draft: &mut Draft, keys: &[String]) {
    if (1..keys.len()).any(|index| keys[index..].contains(&keys[index - 1])) {
        return;
    }
    let mut places: Vec<_> = keys.iter().map(|key| draft.at(key).category.clone()).collect();
    places.rotate_left(1);
    for (key, place) in keys.iter().zip(places) {
        draft.at(key).category = place;
    }
}

fn exchange_category(draft: &mut Draft, place: usize, number: usize) {
    let old = address(&format!("category.c{place}"));
    let Some(index) = draft.0.resources.get_index_of(&old) else {
        return;
    };
    let new = address(&format!("category.d{number}"));
    draft.0.resources.shift_remove(&old);
    let resource = Resource {
        attributes: Attributes::Category(category(&format!("D{number}"))),
        origin: None,
    };
    draft.0.resources.shift_insert(index, new.clone(), resource);
    for resource in draft.0.resources.values_mut() {
        if let Attributes::Channel(channel) = &mut resource.attributes
            && channel.category == Some(Clearable::Set(Reference::Address(old.clone())))
        {
            channel.category = Some(Clearable::Set(Reference::Address(new.clone())));
        }
    }
}

fn cases(few: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() {
        asked.cases
    } else {
        few
    };
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..asked
    }
}

/// A world that matches a draft.
fn world_of(draft: &Draft) -> World {
    let mut world = World::new();
    world.become_like(&draft.0);
    world
}

proptest! {
    #![proptest_config(cases(48))]

    /// Three categories with 49 or 50 channels.
    #[test]
    fn full_categories_change_within_limits(
        counts in proptest::collection::vec(select(vec![49_usize, 50]), 3),
        server_edits in server_edits(),
    ) {
        let before = filled(&counts, 2);
        let mut after = before.clone();
        carry_out(&mut after, &server_edits, 50, 500);
        let mut world = world_of(&before);
        lawful(&mut world, &after.0)?;
    }
}

proptest! {
    #![proptest_config(cases(8))]

    /// 499 or 500 channels and categories.
    #[test]
    fn full_servers_change_within_limits(
        outside in select(vec![49_usize, 50]),
        server_edits in server_edits(),
    ) {
        let before = filled(&[50, 50, 49, 49, 49, 49, 49, 48, 48], outside);
        let mut after = before.clone();
        carry_out(&mut after, &server_edits, 50, 500);
        let mut world = world_of(&before);
        lawful(&mut world, &after.0)?;
    }

    /// 249 or 250 roles: some are deleted, as many created, some of them in overwrites.
    #[test]
    fn full_role_lists_change_within_limits(
        count in select(vec![247_usize, 248]),
        exchanged in proptest::collection::btree_set(0_usize..247, 1..8),
        marked in proptest::collection::vec((0_usize..247, any::<bool>(), any::<bool>()), 0..6),
    ) {
        let mut before = Draft::default();
        let key = |number: usize| format!("role.r{number}");
        for number in 0..count {
            before.put(address(&key(number)), Attributes::Role(role(&format!("R{number}"))));
        }
        let mut after = Draft::default();
        for number in 0..count {
            let (text, name) = match exchanged.contains(&number) {
                true => (format!("role.n{number}"), format!("N{number}")),
                false => (key(number), format!("R{number}")),
            };
            after.put(address(&text), Attributes::Role(role(&name)));
        }
        for (index, (number, allows, closes)) in marked.iter().enumerate() {
            let bits = if *allows { allow(Permission::ViewChannel) } else { deny(Permission::ViewChannel) };
            let with = |text: &str, closed: bool| -> Overwrites {
                let mut all = if closed { hidden() } else { Overwrites::new() };
                all.insert(Target::from(address(text)), bits);
                all
            };
            before.channel(&format!("m{index}"), None, |channel| channel.overwrites = Some(with(&key(*number), true)));
            let stays = !exchanged.contains(number);
            let text = if stays { key(*number) } else { format!("role.n{number}") };
            after.channel(&format!("m{index}"), None, |channel| channel.overwrites = Some(with(&text, *closes)));
        }
        let mut world = world_of(&before);
        lawful(&mut world, &after.0)?;
    }
}

#[test]
fn channels_of_full_categories_are_swapped_via_no_category() {
    let before = filled(&[50, 50], 0);
    let mut after = before.clone();
    rotate(&mut after, &["t0-0".to_owned(), "t1-0".to_owned()]);
    let mut world = world_of(&before);
    let plan = lawful(&mut world, &after.0).unwrap();
    let changes: Vec<String> = steps(&plan);
    let expected = [
        "change channel.t1-0 (category)",
        "change channel.t0-0 (category)",
        "change channel.t1-0 (category)",
    ];
    assert_eq!(changes[..3], expected);
    let Step::Update {
        attributes: Attributes::Channel(waiting),
        ..
    } = &plan.steps[0]
    else {
        panic!("{plan:?}")
    };
    assert_eq!(waiting.category, Some(Clearable::Cleared));
    assert_eq!(waiting.overwrites, Some(hidden()));
}

#[test]
fn chain_of_moves_starts_at_the_free_category() {
    let before = filled(&[50, 50, 49], 0);
    let mut after = before.clone();
    for (key, place) in [("t0-1", "category.c1"), ("t1-1", "category.c2")] {
        after.at(key).category = Some(Clearable::Set(address(place).into()));
    }
    let mut world = world_of(&before);
    let plan = lawful(&mut world, &after.0).unwrap();
    assert_eq!(
        steps(&plan)[..2],
        ["change channel.t1-1 (category)", "change channel.t0-1 (category)"]
    );
}

#[test]
fn deletion_precedes_creation_only_if_the_limit_requires_it() {
    for (count, expected) in [
        (50, ["delete channel.t0-1", "create channel.new"]),
        (49, ["create channel.new", "delete channel.t0-1"]),
    ] {
        let before = filled(&[count], 0);
        let mut after = before.clone();
        after.0.resources.shift_remove(&address("channel.t0-1"));
        after.channel("new", Some(0), |_| {});
        let mut world = world_of(&before);
        let plan = lawful(&mut world, &after.0).unwrap();
        let written: Vec<String> = steps(&plan)
            .into_iter()
            .filter(|step| step.contains("t0-1") || step.contains("new"))
            .collect();
        assert_eq!(written, expected);
    }
}

/// A community whose rules channel is in a full category and is to be another one.
#[test]
fn rules_channel_of_a_full_category_is_moved_out_until_replaced() {
    let server = |rules: &str, updates: &str| {
        Attributes::Server(Server {
            community: Some(true),
            rules_channel: Some(Clearable::Set(address(rules).into())),
            public_updates_channel: Some(Clearable::Set(address(updates).into())),
            ..Server::default()
        })
    };
    let mut before = filled(&[50], 0);
    before.put(Address::SERVER, server("channel.t0-1", "channel.t0-2"));
    let mut after = before.clone();
    after.0.resources.shift_remove(&address("channel.t0-1"));
    after.channel("new", Some(0), |_| {});
    after.put(Address::SERVER, server("channel.new", "channel.t0-2"));
    let mut world = world_of(&before);
    let plan = lawful(&mut world, &after.0).unwrap();
    let expected = [
        "change channel.t0-1 (category)",
        "create channel.new",
        "change server (rules_channel)",
    ];
    assert_eq!(steps(&plan)[..3], expected);
}

#[test]
fn exceeded_limit_between_steps_is_an_obstacle() {
    // 500 channels, and the only one that is deleted is the rules channel, which cannot be deleted before its successor exists.
    let server = |rules: &str| {
        Attributes::Server(Server {
            community: Some(true),
            rules_channel: Some(Clearable::Set(address(rules).into())),
            public_updates_channel: Some(Clearable::Set(address("channel.o-1").into())),
            ..Server::default()
        })
    };
    let mut before = filled(&[50, 50, 50, 50, 50, 50, 50, 50, 50], 41);
    before.put(Address::SERVER, server("channel.o-0"));
    let mut after = before.clone();
    after.0.resources.shift_remove(&address("channel.o-0"));
    after.channel("new", None, |_| {});
    after.put(Address::SERVER, server("channel.new"));
    let world = world_of(&before);
    let plan = world.plan(&after.0);
    let findings = preflight(&plan, &world.live, &world.state);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(findings[0].rule, "channels-limit");
    assert!(findings[0].what.starts_with("during the apply, "), "{findings:#?}");
    assert!(simulate(&world.live, &world.state, &plan).is_err());
}

fn rule(name: &str, trigger: AutomodTrigger) -> Attributes {
    Attributes::Automod(AutomodRule {
        name: Some(name.to_owned()),
        trigger: Some(trigger),
        actions: Some(vec![AutomodAction::BlockMessage { message: String::new() }]),
        ..AutomodRule::default()
    })
}

fn preset() -> AutomodTrigger {
    AutomodTrigger::Preset {
        presets: [AutomodPreset::Slurs].into(),
        allow: Vec::new(),
    }
}

#[test]
fn automod_rules_that_swap_triggers_are_deleted_before_creation() {
    let with = |one: AutomodTrigger, other: AutomodTrigger| {
        let mut draft = Draft::default();
        draft.put(address("automod.a"), rule("a", one));
        draft.put(address("automod.b"), rule("b", other));
        draft
    };
    let mut world = world_of(&with(AutomodTrigger::Spam, preset()));
    let plan = lawful(&mut world, &with(preset(), AutomodTrigger::Spam).0).unwrap();
    let expected = [
        "delete automod.a",
        "delete automod.b",
        "create automod.a",
        "create automod.b",
    ];
    assert_eq!(steps(&plan), expected);
}

#[test]
fn webhooks_and_events_at_their_limits_are_replaced() {
    let fill = |gone: usize| {
        let mut draft = Draft::default();
        draft.channel("a", None, |_| {});
        draft.channel("b", None, |_| {});
        for number in gone..15 + gone {
            draft.put(
                address(&format!("webhook.w{number}")),
                Attributes::Webhook(Webhook {
                    name: Some(format!("W{number}")),
                    channel: Some(address("channel.a").into()),
                    ..Webhook::default()
                }),
            );
        }
        for number in gone..100 + gone {
            draft.put(
                address(&format!("event.e{number}")),
                Attributes::Event(Event {
                    name: Some(format!("E{number}")),
                    place: Some(EventLocation::External("here".to_owned())),
                    ..Event::default()
                }),
            );
        }
        draft
    };
    let mut world = world_of(&fill(0));
    lawful(&mut world, &fill(3).0).unwrap();
    // One moves out of the full channel, another in.
    let mut before = Draft::default();
    before.put(
        address("webhook.other"),
        Attributes::Webhook(Webhook {
            name: Some("Other".to_owned()),
            channel: Some(address("channel.b").into()),
            ..Webhook::default()
        }),
    );
    before.0.resources.extend(fill(0).0.resources);
    let mut after = before.clone();
    for (key, place) in [("webhook.w9", "channel.b"), ("webhook.other", "channel.a")] {
        let Attributes::Webhook(webhook) = &mut after.0.resources[&address(key)].attributes else {
            panic!("a webhook is a webhook")
        };
        webhook.channel = Some(address(place).into());
    }
    let mut world = world_of(&before);
    let plan = lawful(&mut world, &after.0).unwrap();
    assert_eq!(
        steps(&plan),
        ["change webhook.w9 (channel)", "change webhook.other (channel)"]
    );
}

/// A role that is denied a channel which is closed to everyone in the same plan: it must not go before that.
#[test]
fn role_is_not_deleted_early_if_that_opens_a_channel() {
    let mut before = Draft::default();
    for number in 0..248 {
        before.put(
            address(&format!("role.r{number}")),
            Attributes::Role(role(&format!("R{number}"))),
        );
    }
    before.channel("vault", None, |channel| {
        channel.overwrites = Some([(Target::from(address("role.r5")), deny(Permission::ViewChannel))].into());
    });
    let mut after = before.clone();
    after.0.resources.shift_remove(&address("role.r5"));
    after.put(address("role.new"), Attributes::Role(role("New")));
    after.channel("vault", None, |channel| {
        let mut overwrites = hidden();
        overwrites.insert(Target::from(address("role.new")), allow(Permission::ViewChannel));
        channel.overwrites = Some(overwrites);
    });
    let mut world = world_of(&before);
    let plan = world.plan(&after.0);
    let findings = preflight(&plan, &world.live, &world.state);
    // The limit is reported; where another role is removed first, the plan can be applied.
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(findings[0].rule, "roles-limit");
    after.0.resources.shift_remove(&address("role.r9"));
    lawful(&mut world, &after.0).unwrap();
}

#[test]
fn unmanaged_channels_of_a_full_category_stay() {
    let mut world = world_of(&filled(&[0], 1));
    let category = world.state.id(&address("category.c0")).unwrap();
    for number in 0..50 {
        let mut foreign = live_channel(900_000 + number, &format!("foreign-{number}"), 0);
        if let Attributes::Channel(channel) = &mut foreign.attributes {
            channel.category = Some(Clearable::Set(Reference::Id(category)));
        }
        world.live.insert(foreign);
    }
    let mut after = filled(&[0], 1);
    after.at("o-0").category = Some(Clearable::Set(address("category.c0").into()));
    let plan = world.plan(&after.0);
    let findings = preflight(&plan, &world.live, &world.state);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(
        findings[0].what.contains("category.c0 would have 51 channels"),
        "{findings:#?}"
    );
    assert!(world.live.channel(id(900_001)).is_some());
}

#[test]
fn order_ignores_role_permissions_when_making_room() {
    // A role that an administrator bot ranks by is not removed early, at any limit.
    let mut world = World::new();
    let mut draft = Draft::default();
    let strong = Role {
        permissions: Some(Permissions::of(&[Permission::ManageRoles])),
        given_to_bot: Some(true),
        ..role("Strong")
    };
    draft.put(address("role.strong"), Attributes::Role(strong));
    for number in 0..247 {
        draft.put(
            address(&format!("role.r{number}")),
            Attributes::Role(role(&format!("R{number}"))),
        );
    }
    world.become_like(&draft.0);
    let mut after = draft.clone();
    after.0.resources.shift_remove(&address("role.strong"));
    after.0.resources.shift_remove(&address("role.r3"));
    after.put(address("role.a"), Attributes::Role(role("A")));
    after.put(address("role.b"), Attributes::Role(role("B")));
    let plan = world.plan(&after.0);
    let first = steps(&plan);
    assert_eq!(first[0], "delete role.r3");
    assert!(
        preflight(&plan, &world.live, &world.state)
            .iter()
            .any(|finding| finding.rule == "roles-limit")
    );
}

#[test]
fn categories_of_a_full_server_are_replaced() {
    let before = filled(&[50, 50, 49, 49, 49, 49, 49, 48, 48], 50);
    let mut after = before.clone();
    exchange_category(&mut after, 0, 0);
    exchange_category(&mut after, 1, 1);
    let mut world = world_of(&before);
    lawful(&mut world, &after.0).unwrap();
}
