//! As large as Discord allows.

use arrakis_iac::model::{Attributes, Configuration, Resource, Target};

use super::world::{World, address, category, channel, role, within};
use arrakis_domain::Permission;

/// 249 roles and 500 channels and categories, each private to a role.
pub(crate) fn largest() -> Configuration {
    let mut configuration = Configuration::default();
    let mut add = |text: String, attributes| {
        configuration.resources.insert(
            address(&text),
            Resource {
                attributes,
                origin: None,
            },
        );
    };
    for number in 0..248 {
        add(
            format!("role.r{number}"),
            Attributes::Role(role(&format!("Role {number}"))),
        );
    }
    for number in 0..10 {
        add(
            format!("category.c{number}"),
            Attributes::Category(category(&format!("Category {number}"))),
        );
    }
    for number in 0..490 {
        let mut one = within(
            &format!("category.c{}", number / 49),
            channel(&format!("channel-{number}")),
        );
        let of_role = Target::from(address(&format!("role.r{}", number % 248)));
        one.overwrites = Some(
            [
                (Target::Everyone, super::world::deny(Permission::ViewChannel)),
                (of_role, super::world::allow(Permission::ViewChannel)),
            ]
            .into(),
        );
        add(format!("channel.t{number}"), Attributes::Channel(one));
    }
    configuration
}

#[test]
fn largest_server_is_planned_and_converges() {
    let configuration = largest();
    let mut world = World::new();
    let started = std::time::Instant::now();
    let plan = world.plan(&configuration);
    println!(
        "planned {} steps from nothing in {:?}",
        plan.steps.len(),
        started.elapsed()
    );
    assert_eq!(plan.counts().add, 248 + 500);
    let started = std::time::Instant::now();
    let findings = arrakis_iac::plan::preflight(&plan, &world.live, &world.state);
    println!("checked it in {:?}", started.elapsed());
    assert!(findings.is_empty(), "{findings:#?}");
    // Each resource once, one request for the order of roles, one for that of channels.
    assert_eq!(plan.steps.len(), 248 + 500 + 2);
    world.apply(&plan);
    let started = std::time::Instant::now();
    let again = world.plan(&configuration);
    println!("planned no change in {:?}", started.elapsed());
    assert!(again.is_empty() && again.steps.is_empty());
}
