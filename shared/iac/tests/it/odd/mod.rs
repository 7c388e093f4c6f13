//! Servers as Discord can return them, also against its present rules: every resource is imported, and nothing changes.

mod community;
mod random;
mod server;

use std::collections::BTreeMap;

use arrakis_domain::Permissions;
use arrakis_iac::export::{ExportDetail, assign, from_live, to_yaml};
use arrakis_iac::import::{import, matches};
use arrakis_iac::live::{Collections, LiveServer};
use arrakis_iac::model::Configuration;
use arrakis_iac::plan::{Options, Plan, plan, preflight};
use arrakis_iac::state::State;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::export::cases;
use random::Random;

/// A server at random: a greater `size` has more of everything.
fn collections(seed: u64, size: u64) -> Collections {
    let mut random = Random::new(seed);
    let ids = server::Ids::generate(&mut random, size);
    let mut collections = server::collections(&mut random, &ids);
    community::add(&mut random, &ids, &mut collections);
    collections
}

/// Exports all of it, reads the export back, and takes it in as `gaib server import --all` does.
fn imported(live: &LiveServer, detail: ExportDetail) -> (String, Configuration, State) {
    let addresses = assign(live, &BTreeMap::new());
    let yaml = to_yaml(&from_live(live, &addresses, detail), "a test");
    let configuration = crate::export::read_back(&yaml);
    let mut state = State::new("lineage");
    let found = matches(&configuration, &state, live);
    assert!(found.missing.is_empty(), "not found again: {:?}\n{yaml}", found.missing);
    for (address, id) in &found.found {
        import(address, *id, Some(&configuration), &mut state, live)
            .unwrap_or_else(|error| panic!("{address}: {error}"));
    }
    (yaml, configuration, state)
}

fn planned(configuration: &Configuration, state: &State, live: &LiveServer) -> Plan {
    plan(configuration, state, live, &Options::default()).unwrap()
}

/// What changes, attribute by attribute.
fn describe(plan: &Plan) -> String {
    let mut text = String::new();
    for change in &plan.changes {
        let map = |attributes: &Option<arrakis_iac::model::Attributes>| {
            attributes
                .as_ref()
                .map(arrakis_iac::model::Attributes::to_map)
                .unwrap_or_default()
        };
        let (before, after) = (map(&change.before), map(&change.after));
        for field in &change.fields {
            let (before, after) = (before.get(field), after.get(field));
            text.push_str(&format!("{}: {field}: {before:?} -> {after:?}\n", change.address));
        }
    }
    text
}

/// Reads, exports, imports and plans a random server: nothing changes, and the next export is the same file.
fn imports_without_changes(seed: u64, size: u64, detail: ExportDetail) -> Result<(), TestCaseError> {
    let live = LiveServer::read(&collections(seed, size)).unwrap();
    let (yaml, configuration, state) = imported(&live, detail);
    let plan = planned(&configuration, &state, &live);
    prop_assert!(
        plan.is_empty() && plan.steps.is_empty() && plan.drift.is_empty(),
        "{}\n{:#?}\n{:#?}\n{yaml}",
        describe(&plan),
        plan.reorders,
        plan.steps
    );
    prop_assert!(preflight(&plan, &live, &state).is_empty());
    let managed = state.resources.iter();
    let managed = managed.map(|(address, entry)| (address.clone(), entry.id)).collect();
    let again = to_yaml(&from_live(&live, &assign(&live, &managed), detail), "a test");
    prop_assert_eq!(again, yaml);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 400, ..ProptestConfig::with_cases(cases(256)) })]

    /// More by `PROPTEST_CASES`.
    #[test]
    fn any_server_imports_without_changes(seed in any::<u64>(), size in 0_u64..6) {
        imports_without_changes(seed, size, ExportDetail::Readable)?;
    }

    #[test]
    fn any_backup_imports_without_changes(seed in any::<u64>(), size in 0_u64..6) {
        imports_without_changes(seed, size, ExportDetail::Complete)?;
    }
}

/// Of the many servers of the property, most must have what it is about, or it proves nothing.
#[test]
fn random_servers_break_rules_and_hold_unknown_values() {
    let (mut broken, mut unknown, mut servers) = (BTreeMap::new(), BTreeMap::new(), 0);
    for seed in 0..300 {
        let live = LiveServer::read(&collections(seed, 8)).unwrap();
        let (_, configuration, _) = imported(&live, ExportDetail::Readable);
        servers += u32::from(!configuration.broken_rules.is_empty() && !live.unknown.is_empty());
        for rule in &configuration.broken_rules {
            *broken
                .entry(format!(
                    "{} {:?}",
                    rule.address.kind(),
                    std::mem::discriminant(&rule.part)
                ))
                .or_insert(0) += 1;
        }
        for value in &live.unknown {
            *unknown.entry(format!("{} {}", value.kind, value.field)).or_insert(0) += 1;
        }
    }
    assert!(servers > 200, "{servers} of 300");
    assert!(broken.len() >= 15, "{broken:#?}");
    assert!(unknown.len() >= 25, "{unknown:#?}");
}

/// The server has more of what today's limits allow than any rule: 258 roles, 520 channels, 55 in a category, 130 overwrites.
#[test]
fn server_beyond_every_limit_imports_without_changes() {
    let live = LiveServer::read(&server::beyond_limits()).unwrap();
    let (yaml, configuration, state) = imported(&live, ExportDetail::Readable);
    let plan = planned(&configuration, &state, &live);
    assert!(plan.is_empty() && plan.steps.is_empty(), "{:#?}\n{yaml}", plan.changes);
    let reasons: Vec<&str> = configuration
        .broken_rules
        .iter()
        .map(|rule| rule.reason.as_str())
        .collect();
    for part in [
        "258 roles",
        "500 categories",
        "50 channels in",
        "100 overwrites",
        "20 tags",
    ] {
        assert!(
            reasons.iter().any(|reason| reason.contains(part)),
            "{part}: {reasons:#?}"
        );
    }
}

/// 500 channels with 70 overwrites each, of several permissions: more values than a small file may hold.
#[test]
fn server_full_of_overwrites_imports_without_changes() {
    let live = LiveServer::read(&server::full_of_overwrites()).unwrap();
    let (yaml, configuration, state) = imported(&live, ExportDetail::Readable);
    assert!(yaml.len() > 2_000_000, "{}", yaml.len());
    assert!(planned(&configuration, &state, &live).is_empty());
}

/// A small server that has a channel; random overwrites may hold more bits than are handled, so these are replaced.
fn small_server() -> Collections {
    let mut collections = (0..)
        .map(|seed| collections(seed, 3))
        .find(|collections| channel_at(&collections.channels).is_some())
        .unwrap();
    for channel in collections.channels.as_array_mut().unwrap() {
        channel["permission_overwrites"] = json!([]);
    }
    for role in collections.guild["roles"].as_array_mut().unwrap() {
        role["permissions"] = json!("8");
    }
    collections
}

fn channel_at(channels: &Value) -> Option<usize> {
    channels
        .as_array()
        .unwrap()
        .iter()
        .position(|channel| channel["type"] == 0)
}

#[test]
fn permission_bits_above_64_are_managed() {
    let bits = |numbers: &[u32]| {
        let bits = numbers.iter().map(|bit| Permissions::of_bit(*bit).unwrap());
        json!(bits.fold(Permissions::NONE, |sum, bit| sum | bit).to_string())
    };
    let mut collections = small_server();
    let channel = channel_at(&collections.channels).unwrap();
    collections.guild["roles"][0]["permissions"] = bits(&[3, 64, 128]);
    collections.channels[channel]["permission_overwrites"] = json!([
        { "id": server::GUILD.to_string(), "type": 0, "allow": bits(&[65, 255]), "deny": bits(&[10, 64]) },
    ]);
    let live = LiveServer::read(&collections).unwrap();
    assert!(
        live.unknown
            .iter()
            .all(|value| value.field != "overwrites" && value.field != "permissions")
    );
    let (yaml, configuration, state) = imported(&live, ExportDetail::Readable);
    for bit in ["BIT_64", "BIT_65", "BIT_128", "BIT_255"] {
        assert!(yaml.contains(bit), "{bit} is missing in\n{yaml}");
    }
    assert!(planned(&configuration, &state, &live).is_empty());
    // By hand the highest bits are taken away: that is seen, and planned to be put back.
    collections.guild["roles"][0]["permissions"] = bits(&[3, 64]);
    collections.channels[channel]["permission_overwrites"][0]["allow"] = bits(&[65]);
    let changed = LiveServer::read(&collections).unwrap();
    let plan = planned(&configuration, &state, &changed);
    let text = describe(&plan);
    assert!(text.contains("permissions") && text.contains("overwrites"), "{text}");
    assert_eq!(plan.changes.len(), 2, "{text}");
    let steps = serde_json::to_string(&plan.steps).unwrap();
    assert!(steps.contains("BIT_128") && steps.contains("BIT_255"), "{steps}");
}

#[test]
fn too_many_permission_bits_are_reported_and_unmanaged() {
    let mut collections = small_server();
    // 2^256.
    let beyond = json!("115792089237316195423570985008687907853269984665640564039457584007913129639936");
    collections.guild["roles"][0]["permissions"] = beyond.clone();
    let live = LiveServer::read(&collections).unwrap();
    assert!(
        live.unknown
            .iter()
            .any(|value| value.field == "permissions" && json!(value.value) == beyond)
    );
    let (_, configuration, state) = imported(&live, ExportDetail::Readable);
    assert!(planned(&configuration, &state, &live).is_empty());
}

#[test]
fn numbers_of_any_size_are_read() {
    let mut collections = small_server();
    let channel = channel_at(&collections.channels).unwrap();
    for number in [json!(u64::MAX), json!(i64::MIN), json!(i64::MAX), json!(-1)] {
        collections.guild["roles"][0]["position"] = number.clone();
        collections.guild["system_channel_flags"] = number.clone();
        collections.guild["premium_tier"] = number.clone();
        collections.guild["verification_level"] = number.clone();
        for field in [
            "position",
            "flags",
            "rate_limit_per_user",
            "default_thread_rate_limit_per_user",
        ] {
            collections.channels[channel][field] = number.clone();
        }
        let live = LiveServer::read(&collections).unwrap_or_else(|error| panic!("{number}: {error}"));
        let (_, configuration, state) = imported(&live, ExportDetail::Readable);
        let plan = planned(&configuration, &state, &live);
        assert!(plan.is_empty(), "{number}: {}", describe(&plan));
    }
}
