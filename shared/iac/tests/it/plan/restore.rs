//! Restores of snapshots: a server gets back to any earlier moment, nothing is deleted, and nothing is doubled.

use std::collections::BTreeSet;

use arrakis_domain::Permissions;
use arrakis_iac::live::{LiveResource, LiveServer};
use arrakis_iac::model::{Attributes, ChannelKind, Configuration, Kind, Overwrites, Reference, Snowflake, Target};
use arrakis_iac::plan::{Options, Plan, Step, plan};
use arrakis_iac::snapshot::{
    DifferenceKind, MemberRoles, MembersRecord, Restoration, RestoreInputs, ServerRecord, StateParts, compare_members,
    compare_servers, compare_states, restoration,
};
use arrakis_iac::state::State;
use proptest::prelude::*;

use super::generate::configurations;
use super::world::{BOT_ROLE, GUILD, World, address, allow, channel, configuration, id, live_channel, live_role, role};

/// A snapshot: the server and the state of a moment.
struct Moment {
    record: ServerRecord,
    state: State,
}

impl Moment {
    fn of(world: &World) -> Self {
        let record = ServerRecord::new(world.live.clone(), &world.state, Vec::new());
        // A snapshot is read from its file.
        let record = ServerRecord::from_bytes(&record.to_bytes()).unwrap();
        Self {
            record,
            state: world.state.clone(),
        }
    }

    fn restoration(&self, world: &World, borrowed: Option<&State>) -> Restoration {
        restoration(&RestoreInputs {
            record: &self.record,
            recorded_state: Some(&self.state),
            state: &world.state,
            borrowed,
            live: &world.live,
            now_ms: 0,
        })
    }
}

/// The plan of a restore, which deletes nothing.
fn planned(world: &World, restoration: &Restoration) -> Plan {
    let options = Options {
        drop_missing: true,
        ..Options::default()
    };
    let plan = plan(&restoration.configuration, &restoration.state, &world.live, &options).unwrap();
    let deletes = plan.steps.iter().find(|step| matches!(step, Step::Delete { .. }));
    assert!(deletes.is_none(), "{deletes:?} of {:#?}", super::world::steps(&plan));
    plan
}

/// Carries out the first steps of a plan. Returns the borrowed resources.
fn carry_out(world: &mut World, restoration: &Restoration, plan: &Plan, count: usize) -> State {
    let part = Plan {
        steps: plan.steps[..count].to_vec(),
        ..plan.clone()
    };
    let working = world.simulate(&restoration.state, &part);
    let StateParts { managed, borrowed } = restoration.split(&working);
    managed.check_ids().unwrap();
    world.state = managed;
    world.state.advance();
    borrowed
}

fn restore(world: &mut World, moment: &Moment) -> Restoration {
    let restoration = moment.restoration(world, None);
    let plan = planned(world, &restoration);
    carry_out(world, &restoration, &plan, plan.steps.len());
    restoration
}

/// The server is as it was, except for ids, and for resources that came later.
fn is_back(world: &World, moment: &Moment) -> Result<(), TestCaseError> {
    let now = Moment::of(world).record;
    let comparison = compare_servers(("then", &moment.record), ("now", &now));
    for one in &comparison.differences {
        let is_same = one.kind() == DifferenceKind::Added || (one.fields.is_empty() && one.is_created_again());
        prop_assert!(is_same, "{one:#?}");
    }
    prop_assert!(comparison.reorders.is_empty(), "{:#?}", comparison.reorders);
    // What was managed is managed again.
    let managed: BTreeSet<(Kind, Snowflake)> = world
        .state
        .resources
        .iter()
        .map(|(address, entry)| (address.kind(), entry.id))
        .collect();
    let again = moment.restoration(world, None);
    for (address, entry) in &moment.state.resources {
        let id = again.id(&again.state, address.kind(), entry.id).unwrap();
        prop_assert!(managed.contains(&(address.kind(), id)), "{address} is not managed");
    }
    let settled = planned(world, &again);
    let requests: Vec<&Step> = settled.steps.iter().filter(|step| step.is_request()).collect();
    prop_assert!(settled.is_empty() && requests.is_empty(), "{:#?}", settled.changes);
    Ok(())
}

/// The configuration with a name of its own for each resource: those with one name are paired by their order.
fn distinct(mut configuration: Configuration) -> Configuration {
    for (address, resource) in &mut configuration.resources {
        let key = address.key().map(ToString::to_string).unwrap_or_default();
        if let Some(name) = resource.attributes.name_mut() {
            *name = format!("{name} {key}");
        }
    }
    configuration
}

/// A server with an unmanaged role and two unmanaged channels.
fn lived_in() -> World {
    let mut world = World::new();
    let mut bot = world.live.bot_role().unwrap().clone();
    bot.position = 2;
    world.live.insert(bot);
    world.live.insert(live_role(1_100, "Naib", 1, Permissions::NONE));
    world.live.insert(live_channel(1_200, "general", 0));
    world.live.insert(live_channel(1_201, "off-topic", 1));
    world
}

/// Removes everything that can be deleted, as a teardown does.
fn empty(live: &mut LiveServer) {
    let all: Vec<(Kind, Snowflake)> = live
        .resources()
        .filter(|one| ![GUILD, BOT_ROLE].contains(&one.id.get()))
        .map(|one| (one.attributes.kind(), one.id))
        .collect();
    for (kind, id) in all {
        live.remove(kind, id);
        live.bot.roles.remove(&id);
    }
}

fn count(live: &LiveServer) -> usize {
    live.resources().count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// From any later configuration, with unmanaged resources deleted manually, back to the snapshot. Later resources stay.
    #[test]
    fn server_gets_back_to_a_snapshot_and_later_resources_stay(
        first in configurations(), second in configurations(), gone in proptest::sample::subsequence(vec![1_100_u64, 1_200, 1_201], 0..=3),
    ) {
        let mut world = lived_in();
        world.become_like(&distinct(first));
        let moment = Moment::of(&world);
        world.become_like(&distinct(second));
        for number in gone {
            let kind = if number == 1_100 { Kind::Role } else { Kind::Channel };
            world.live.remove(kind, id(number));
        }
        let before: Vec<(Kind, Snowflake)> =
            world.live.resources().map(|one| (one.attributes.kind(), one.id)).collect();
        restore(&mut world, &moment);
        is_back(&world, &moment)?;
        for (kind, id) in before {
            prop_assert!(world.live.get(kind, id).is_some(), "{kind} {id} was deleted");
        }
    }

    /// From a server that was emptied, with and without the state.
    #[test]
    fn emptied_server_gets_back_to_a_snapshot(first in configurations(), keeps_state in any::<bool>()) {
        let mut world = lived_in();
        world.become_like(&distinct(first));
        let moment = Moment::of(&world);
        let there = count(&world.live);
        empty(&mut world.live);
        if !keeps_state {
            world.state = State::new("lineage");
        }
        restore(&mut world, &moment);
        is_back(&world, &moment)?;
        prop_assert_eq!(there, count(&world.live));
        // Unmanaged resources are restored, and stay unmanaged.
        let managed = moment.state.resources.len();
        prop_assert_eq!(managed, world.state.resources.len());
    }

    /// Cut off after any number of steps, another restore finishes: nothing is doubled.
    #[test]
    fn interrupted_restore_is_completed_by_the_next(
        first in configurations(), second in configurations(), share in 0.0..1.0_f64,
    ) {
        let mut world = lived_in();
        world.become_like(&distinct(first));
        let moment = Moment::of(&world);
        world.become_like(&distinct(second));
        let mut whole = world.clone();
        restore(&mut whole, &moment);
        let restoration = moment.restoration(&world, None);
        let plan = planned(&world, &restoration);
        let steps = (plan.steps.len() as f64 * share) as usize;
        let borrowed = carry_out(&mut world, &restoration, &plan, steps);
        let again = moment.restoration(&world, Some(&borrowed));
        let rest = planned(&world, &again);
        carry_out(&mut world, &again, &rest, rest.steps.len());
        is_back(&world, &moment)?;
        prop_assert_eq!(count(&world.live), count(&whole.live));
    }

    /// A snapshot does not differ from itself, and two states differ as two snapshots of managed servers do.
    #[test]
    fn comparison_lists_what_changed(first in configurations(), second in configurations()) {
        let mut world = World::new();
        world.become_like(&distinct(first));
        let (then, state) = (Moment::of(&world).record, world.state.clone());
        prop_assert!(compare_servers(("a", &then), ("b", &then)).is_empty());
        prop_assert!(compare_states(("a", &state), ("b", &state)).is_empty());
        world.become_like(&distinct(second));
        let now = Moment::of(&world).record;
        let comparison = compare_servers(("a", &then), ("b", &now));
        let (added, removed) = (DifferenceKind::Added, DifferenceKind::Removed);
        let balance = |kind| {
            let before = then.server.of_kind(kind).count() + comparison.count(kind, added);
            before - comparison.count(kind, removed)
        };
        for kind in [Kind::Role, Kind::Category, Kind::Channel] {
            prop_assert_eq!(balance(kind), now.server.of_kind(kind).count());
        }
    }
}

/// A world with a managed role, a channel that it may see, and an unmanaged role of an application with an overwrite.
fn with_application() -> World {
    let mut world = lived_in();
    let application = LiveResource {
        managed: true,
        ..live_role(1_300, "Counting Bot", 1, Permissions::NONE)
    };
    world.live.insert(application);
    let mut gate = channel("gate");
    gate.overwrites = Some(Overwrites::from([
        (
            Target::from(address("role.guard")),
            allow(arrakis_domain::Permission::ViewChannel),
        ),
        (
            Target::Role(Reference::Id(id(1_300))),
            allow(arrakis_domain::Permission::SendMessages),
        ),
    ]));
    world.become_like(&configuration([
        ("role.guard", Attributes::Role(role("Guard"))),
        ("channel.gate", Attributes::Channel(gate)),
    ]));
    world
}

fn overwrites_of(world: &World, name: &str) -> Overwrites {
    let channels = world.live.channels_in_order();
    let found = channels.into_iter().find(|one| one.attributes.name() == Some(name));
    found.unwrap().attributes.overwrites().unwrap().clone()
}

#[test]
fn role_of_an_application_is_mapped_by_its_name_and_never_created() {
    let mut world = with_application();
    let moment = Moment::of(&world);
    empty(&mut world.live);
    let other = LiveResource {
        managed: true,
        ..live_role(1_400, "Counting Bot", 1, Permissions::NONE)
    };
    world.live.insert(other);
    let restoration = restore(&mut world, &moment);
    assert!(restoration.unmapped.is_empty(), "{:?}", restoration.unmapped);
    let named = world.live.of_kind(Kind::Role);
    let named = named.filter(|role| role.attributes.name() == Some("Counting Bot"));
    assert_eq!(named.count(), 1);
    let overwrites = overwrites_of(&world, "gate");
    assert!(
        overwrites.contains_key(&Target::Role(Reference::Id(id(1_400)))),
        "{overwrites:?}"
    );
}

#[test]
fn overwrite_of_a_role_that_is_gone_is_listed_and_left_out() {
    let mut world = with_application();
    let moment = Moment::of(&world);
    empty(&mut world.live);
    let restoration = restore(&mut world, &moment);
    let listed: Vec<String> = restoration
        .unmapped
        .iter()
        .map(|one| format!("{}: {}", one.what, one.reason))
        .collect();
    assert_eq!(
        listed,
        [
            "the role `Counting Bot` of an application (id 1300): not on the server any more; 1 resource is restored without it"
        ]
    );
    assert_eq!(overwrites_of(&world, "gate").len(), 1);
}

#[test]
fn existing_role_of_the_same_name_is_used_and_not_doubled() {
    let mut world = with_application();
    let moment = Moment::of(&world);
    let guard = world.state.id(&address("role.guard")).unwrap();
    world.live.remove(Kind::Role, guard);
    world.live.insert(live_role(1_400, "Guard", 1, Permissions::NONE));
    let restoration = restore(&mut world, &moment);
    let named = world.live.of_kind(Kind::Role);
    let named: Vec<Snowflake> = named
        .filter(|role| role.attributes.name() == Some("Guard"))
        .map(|role| role.id)
        .collect();
    assert_eq!(named, [id(1_400)]);
    assert_eq!(world.state.id(&address("role.guard")), Some(id(1_400)));
    let new: Vec<_> = restoration.new_ids(&world.state).collect();
    assert_eq!(new, [(&address("role.guard"), guard, id(1_400))]);
}

#[test]
fn value_above_a_limit_is_adapted_unless_the_server_has_it() {
    let mut world = lived_in();
    let mut hall = live_channel(1_500, "hall", 2);
    if let Attributes::Channel(channel) = &mut hall.attributes {
        channel.kind = ChannelKind::Voice;
        (channel.topic, channel.user_limit) = (None, Some(10_000));
    }
    world.live.insert(hall);
    let moment = Moment::of(&world);
    let limit = |world: &World| {
        let channels = world.live.channels_in_order();
        let hall = channels.into_iter().find(|one| one.attributes.name() == Some("hall"));
        hall.unwrap().attributes.channel().unwrap().user_limit
    };
    let unchanged = restore(&mut world, &moment);
    assert_eq!((unchanged.unmapped.len(), limit(&world)), (0, Some(10_000)));
    world.live.remove(Kind::Channel, id(1_500));
    let adapted = restore(&mut world, &moment);
    assert_eq!(limit(&world), Some(99));
    assert_eq!(
        adapted.unmapped[0].reason,
        "its user limit of 10000 becomes 99, the maximum of a voice channel"
    );
}

#[test]
fn channel_of_another_kind_under_the_address_stays() {
    let mut world = lived_in();
    world.become_like(&configuration([("channel.hall", Attributes::Channel(channel("hall")))]));
    let moment = Moment::of(&world);
    let mut voice = channel("hall");
    voice.kind = ChannelKind::Voice;
    world.become_like(&configuration([("channel.hall", Attributes::Channel(voice))]));
    let spoken = world.state.id(&address("channel.hall")).unwrap();
    let restoration = restore(&mut world, &moment);
    assert_eq!(restoration.kept, [address("channel.hall")]);
    assert!(world.live.get(Kind::Channel, spoken).is_some());
    assert!(world.state.id(&address("channel.hall-2")).is_some());
}

/// The later text channel has its place among the text channels, independent of the voice channels that are restored.
#[test]
fn later_channel_is_not_moved_by_a_further_restore() {
    let mut world = lived_in();
    let voice = |name: &str| {
        let mut channel = channel(name);
        channel.kind = ChannelKind::Voice;
        Attributes::Channel(channel)
    };
    world.become_like(&configuration([
        ("channel.gate", Attributes::Channel(channel("gate"))),
        ("channel.hall", voice("spoken")),
        ("channel.lobby", voice("lobby")),
    ]));
    let moment = Moment::of(&world);
    world.become_like(&configuration([(
        "channel.hall",
        Attributes::Channel(channel("written")),
    )]));
    let restoration = restore(&mut world, &moment);
    assert_eq!(restoration.kept, [address("channel.hall")]);
    is_back(&world, &moment).unwrap();
}

#[test]
fn comparison_shows_each_attribute_and_the_roles_of_members() {
    let mut world = with_application();
    let then = Moment::of(&world).record;
    let mut guard = role("Guards");
    guard.hoist = Some(true);
    let gate = channel("gate");
    world.become_like(&configuration([
        ("role.guard", Attributes::Role(guard)),
        ("role.naib", Attributes::Role(role("Naib"))),
        ("channel.gate", Attributes::Channel(gate)),
    ]));
    let now = Moment::of(&world).record;
    let mut comparison = compare_servers(("the snapshot A", &then), ("the snapshot B", &now));
    let guard = then.addresses[&address("role.guard")];
    let member = |user: u64, roles: &[Snowflake]| MemberRoles {
        user: id(user),
        roles: roles.iter().copied().collect(),
    };
    let earlier = MembersRecord::new(vec![member(5_000, &[guard]), member(5_001, &[guard])]);
    let later = MembersRecord::new(vec![member(5_001, &[guard, id(1_300)])]);
    comparison.members = compare_members((&then, &earlier), (&now, &later));
    let text = arrakis_iac::render::comparison(&comparison, arrakis_iac::render::Style::default());
    for part in [
        "the snapshot A -> the snapshot B:\n",
        "# role.naib is only in the snapshot B\n",
        "# role.guard differs\n",
        "\"Guard\" -> \"Guards\"\n",
        "= false -> true\n",
        "# the roles of 2 members differ\n",
        "~ member 5000: - role.guard\n",
        "~ member 5001: + role:1300\n",
        "Roles: 1 added, 0 removed, 1 changed. Categories: 0 added, 0 removed, 0 changed. Channels: 0 added, 0 removed, 0 \
         changed. Members: 2 changed.\n",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let messages = arrakis_iac::render::comparison_messages(&comparison);
    let summary = messages.last().unwrap();
    assert_eq!(
        (&summary["kinds"]["role"]["added"], &summary["members"]),
        (&1.into(), &2.into())
    );
}

#[test]
fn roles_with_one_name_are_restored_as_often_as_they_were() {
    let mut world = lived_in();
    world.live.insert(live_role(1_101, "Naib", 1, Permissions::NONE));
    let moment = Moment::of(&world);
    let naibs = |world: &World| {
        let roles = world.live.of_kind(Kind::Role);
        roles.filter(|role| role.attributes.name() == Some("Naib")).count()
    };
    world.live.remove(Kind::Role, id(1_100));
    restore(&mut world, &moment);
    assert_eq!(naibs(&world), 2);
    empty(&mut world.live);
    restore(&mut world, &moment);
    assert_eq!(naibs(&world), 2);
    let again = moment.restoration(&world, None);
    assert_eq!(
        again.unmapped[0].reason,
        "several have this name, and were mapped by their order"
    );
    assert!(planned(&world, &again).is_empty());
}
