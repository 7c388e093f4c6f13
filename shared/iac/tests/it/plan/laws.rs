//! What holds for every configuration.

use arrakis_domain::{Permission, Permissions};
use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{Attributes, Configuration, Kind, Reference, Role, Snowflake, Target};
use arrakis_iac::plan::{Mode, Options, Plan, Step};
use arrakis_iac::state::State;
use proptest::prelude::*;

use super::generate::configurations;
use super::world::{GUILD, World, address, id, live_channel, live_role};

const DESTROY: Options = Options {
    mode: Mode::Destroy,
    targets: Vec::new(),
    allow_replace: false,
    drop_missing: false,
};

/// With an unmanaged role and two unmanaged channels.
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

/// Resources that exist and existed from the beginning, as far as the plan may not change them.
fn unmanaged(live: &LiveServer) -> Vec<(Kind, Snowflake, Attributes)> {
    let old = live
        .resources()
        .filter(|resource| [1_002, 1_100, 1_200, 1_201].contains(&resource.id.get()));
    old.map(|resource| (resource.attributes.kind(), resource.id, resource.attributes.clone()))
        .collect()
}

/// Whether a member with these roles sees a channel, by Discord's rules.
fn sees(live: &LiveServer, channel: Snowflake, roles: &[Snowflake]) -> bool {
    let everyone = live
        .role(id(GUILD))
        .and_then(|role| role.permissions)
        .unwrap_or_default();
    let of_roles = roles.iter().filter_map(|role| live.role(*role)?.permissions);
    let base = of_roles.fold(everyone, |sum, bits| sum | bits);
    let Some(overwrites) = live.channel(channel).and_then(|channel| channel.overwrites.as_ref()) else {
        return false;
    };
    let of_everyone = overwrites.get(&Target::Everyone).copied().unwrap_or_default();
    let mut bits = base.without(of_everyone.deny) | of_everyone.allow;
    let own = |role: &Snowflake| overwrites.get(&Target::Role(Reference::Id(*role)));
    let denied = roles
        .iter()
        .filter_map(own)
        .fold(Permissions::NONE, |sum, overwrite| sum | overwrite.deny);
    let allowed = roles
        .iter()
        .filter_map(own)
        .fold(Permissions::NONE, |sum, overwrite| sum | overwrite.allow);
    bits = bits.without(denied) | allowed;
    bits.contains(Permission::ViewChannel)
}

/// Every moment of carrying a plan out.
fn moments(world: &World, plan: &Plan) -> Vec<LiveServer> {
    let mut moments = Vec::new();
    for count in 0..=plan.steps.len() {
        let part = Plan {
            steps: plan.steps[..count].to_vec(),
            ..plan.clone()
        };
        let mut then = world.clone();
        then.apply(&part);
        moments.push(then.live);
    }
    moments
}

/// No member can view a channel between two steps that the member can view neither before nor after.
fn nothing_opens(world: &World, plan: &Plan) -> Result<(), TestCaseError> {
    let moments = moments(world, plan);
    let (before, after) = (&moments[0], &moments[moments.len() - 1]);
    // A deleted role loses its grants and denials, as configured; plans that delete a role are not checked.
    if before.of_kind(Kind::Role).any(|role| after.role(role.id).is_none()) {
        return Ok(());
    }
    for (place, moment) in moments.iter().enumerate() {
        nobody_gains_at(before, moment, after, || {
            format!("step {place} of {:#?}", super::world::steps(plan))
        })?;
    }
    Ok(())
}

/// The same step by step, for plans on large servers. Members of a deleted role are members without it.
pub(super) fn nobody_gains(world: &World, plan: &Plan) -> Result<(), TestCaseError> {
    let mut after = world.clone();
    after.apply(plan);
    let mut then = world.clone();
    for step in &plan.steps {
        let one = Plan {
            steps: vec![step.clone()],
            ..plan.clone()
        };
        then.apply(&one);
        let words = || format!("{} in {:#?}", step.describe(), super::world::steps(plan));
        nobody_gains_at(&world.live, &then.live, &after.live, words)?;
    }
    Ok(())
}

fn nobody_gains_at(
    before: &LiveServer,
    moment: &LiveServer,
    after: &LiveServer,
    words: impl Fn() -> String,
) -> Result<(), TestCaseError> {
    let mut members: Vec<Vec<Snowflake>> = vec![Vec::new()];
    members.extend(before.of_kind(Kind::Role).map(|role| vec![role.id]));
    let changed = moment.channels_in_order().into_iter().filter(|channel| {
        let overwrites = |live: &LiveServer| live.channel(channel.id).and_then(|channel| channel.overwrites.clone());
        let same = overwrites(before) == overwrites(moment) && overwrites(after) == overwrites(moment);
        !same
            || before
                .of_kind(Kind::Role)
                .any(|role| after.get(Kind::Role, role.id) != Some(role))
    });
    for channel in changed {
        for member in &members {
            if sees(moment, channel.id, member) {
                let known = before.channel(channel.id).is_some() && sees(before, channel.id, member);
                let wanted = after.channel(channel.id).is_none() || sees(after, channel.id, member);
                prop_assert!(known || wanted, "{:?} sees {} after {}", member, channel.id, words());
            }
        }
    }
    Ok(())
}

pub(super) fn settled(world: &World, configuration: &Configuration) -> Result<(), TestCaseError> {
    let again = world.plan(configuration);
    let left = super::world::steps(&again);
    let drift: Vec<_> = again
        .drift
        .iter()
        .map(|drift| (drift.address.to_string(), &drift.fields))
        .collect();
    let changes: Vec<_> = again
        .changes
        .iter()
        .map(|change| (change.address.to_string(), &change.fields))
        .collect();
    prop_assert!(
        again.is_empty() && left.is_empty() && drift.is_empty(),
        "left to do: {left:?}; changes: {changes:?}; drift: {drift:?}; order: {:?}",
        again.reorders
    );
    Ok(())
}

/// A hand that changes what is managed, in one of a few ways.
fn meddle(world: &mut World, how: u8, which: usize) {
    let managed: Vec<(Kind, Snowflake)> = world
        .state
        .resources
        .iter()
        .map(|(address, entry)| (address.kind(), entry.id))
        .filter(|(_, id)| id.get() != GUILD)
        .collect();
    let Some((kind, id)) = managed.get(which % managed.len().max(1)).copied() else {
        return;
    };
    if how == 0 {
        world.live.remove(kind, id);
        return;
    }
    let Some(found) = world.live.get_mut(kind, id) else {
        return;
    };
    match &mut found.attributes {
        Attributes::Role(Role { name, .. }) => *name = Some("Meddled".to_owned()),
        Attributes::Channel(channel) | Attributes::Category(channel) if how == 1 => {
            channel.name = Some("meddled".to_owned());
        }
        Attributes::Channel(channel) | Attributes::Category(channel) => {
            channel
                .overwrites
                .get_or_insert_default()
                .insert(Target::Everyone, super::world::deny(Permission::Speak));
        }
        _ => {}
    }
    found.position += i64::from(how);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// After an apply the next plan is empty: from an empty server, from another configuration, and after manual changes. No
    /// private channel is visible in between, and unmanaged resources do not change.
    #[test]
    fn plan_after_apply_is_empty(
        first in configurations(), second in configurations(), hands in proptest::collection::vec((0..3_u8, any::<usize>()), 0..4),
    ) {
        let mut world = lived_in();
        let untouched = unmanaged(&world.live);
        let plan = world.plan(&first);
        nothing_opens(&world, &plan)?;
        world.apply(&plan);
        settled(&world, &first)?;
        let plan = world.plan(&second);
        nothing_opens(&world, &plan)?;
        world.apply(&plan);
        settled(&world, &second)?;
        for (how, which) in hands {
            meddle(&mut world, how, which);
        }
        world.become_like(&second);
        settled(&world, &second)?;
        prop_assert_eq!(&untouched, &unmanaged(&world.live));
        let destroyed = world.plan_with(&second, &DESTROY);
        world.apply(&destroyed);
        prop_assert_eq!(&world.state.resources, &State::new("x").resources);
        prop_assert_eq!(&untouched, &unmanaged(&world.live));
        prop_assert_eq!(world.live.of_kind(Kind::Role).count(), 3);
        prop_assert_eq!(world.live.channels_in_order().len(), 2);
    }

    /// Equal arguments give equal plans, and a plan survives its file.
    #[test]
    fn plan_is_deterministic(first in configurations(), second in configurations()) {
        let mut world = lived_in();
        world.become_like(&first);
        let plan = world.plan(&second);
        let bytes = plan.to_bytes();
        prop_assert_eq!(&bytes, &world.plan(&second).to_bytes());
        prop_assert_eq!(&plan, &Plan::from_bytes(&bytes).unwrap());
        let text = world.state.to_bytes();
        prop_assert_eq!(&world.state, &State::from_bytes(&text).unwrap());
    }

    /// Cut off after any number of steps, a second plan finishes: nothing is created twice, nothing is missing.
    #[test]
    fn interrupted_plan_is_completed_by_the_next(
        first in configurations(), second in configurations(), share in 0.0..1.0_f64,
    ) {
        let mut world = lived_in();
        world.become_like(&first);
        let plan = world.plan(&second);
        let count = (plan.steps.len() as f64 * share) as usize;
        world.apply(&Plan { steps: plan.steps[..count].to_vec(), ..plan });
        world.become_like(&second);
        settled(&world, &second)?;
        let made = second.resources.keys().filter(|address| !address.is_permanent()).count();
        let there = world.live.resources().filter(|resource| resource.id.get() > 1_201).count();
        prop_assert_eq!(made, there);
    }

    /// Targets and what they need are all that a plan touches.
    #[test]
    fn target_includes_only_its_dependencies(configuration in configurations(), which in any::<usize>()) {
        let world = lived_in();
        prop_assume!(!configuration.resources.is_empty());
        let target = configuration.resources.keys().nth(which % configuration.resources.len()).unwrap().clone();
        let options = Options { targets: vec![target.clone()], ..Options::default() };
        let plan = world.plan_with(&configuration, &options);
        let mut allowed = vec![target.clone()];
        for place in 0.. {
            let Some(address) = allowed.get(place).cloned() else { break };
            let needed = configuration.get(&address).map(Attributes::references).unwrap_or_default();
            let needed: Vec<_> = needed.into_iter().filter_map(Reference::address).cloned().collect();
            allowed.extend(needed.into_iter().filter(|address| !allowed.contains(address)).collect::<Vec<_>>());
        }
        for step in &plan.steps {
            prop_assert!(step.address().is_none_or(|address| allowed.contains(address)), "{step:?} for {target}");
        }
        let mut after = world.clone();
        after.apply(&plan);
        prop_assert!(after.plan_with(&configuration, &options).is_empty());
    }
}

#[test]
fn broken_invariant_is_detected() {
    // The laws above are only meaningful if `sees` distinguishes open from closed channels.
    let mut world = lived_in();
    assert!(sees(&world.live, id(1_200), &[]));
    let configuration = super::world::configuration([(
        "channel.secret",
        Attributes::Channel(arrakis_iac::model::Channel {
            overwrites: Some([(Target::Everyone, super::world::deny(Permission::ViewChannel))].into()),
            ..super::world::channel("secret")
        }),
    )]);
    let mut plan = world.plan(&configuration);
    assert!(nothing_opens(&world, &plan).is_ok());
    // The same plan, but open first and closed by a step of its own.
    let Some(Step::Create {
        attributes: Attributes::Channel(channel),
        ..
    }) = plan.steps.first_mut()
    else {
        panic!("{plan:?}")
    };
    let closed = channel.overwrites.replace([].into()).unwrap()[&Target::Everyone];
    plan.steps.insert(
        1,
        Step::PutOverwrite {
            address: address("channel.secret"),
            target: Target::Everyone,
            overwrite: closed,
        },
    );
    assert!(nothing_opens(&world, &plan).is_err());
    world.apply(&plan);
}
