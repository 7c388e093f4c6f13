//! Laws of the gate for random plans.

use arrakis_policy::{Verdict, protected};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::support::{check_plan, plan_of};

fn kinds() -> Vec<String> {
    let providers = protected::providers();
    let all = providers.iter().flat_map(|provider| provider.types.keys());
    all.filter(|kind| !kind.starts_with("manifest:")).cloned().collect()
}

const SEQUENCES: &[&[&str]] = &[
    &["no-op"],
    &["create"],
    &["read"],
    &["update"],
    &["delete"],
    &["delete", "create"],
    &["create", "delete"],
    &["forget"],
    &["create", "forget"],
];

/// An address with a random module path and instance key.
fn address(kind: &str) -> impl Strategy<Value = String> + use<> {
    let key = prop_oneof![
        Just(String::new()),
        (0_u8..9).prop_map(|number| format!("[{number}]")),
        "[a-zé.\\[\\]ж ]{0,8}".prop_map(|key| format!("[{}]", json!(key))),
    ];
    let kind = kind.to_owned();
    (vec(("[a-z_]{1,6}", key.clone()), 0..3), "[a-z_ж]{1,8}", key).prop_map(move |(modules, name, key)| {
        let path: String = modules
            .iter()
            .map(|(name, key)| format!("module.{name}{key}."))
            .collect();
        format!("{path}{kind}.{name}{key}")
    })
}

fn attributes() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z_]{1,8}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn any_change(kinds: Vec<String>, sequences: Vec<Vec<String>>) -> impl Strategy<Value = Value> {
    (select(kinds), select(sequences)).prop_flat_map(|(kind, actions)| {
        (address(&kind), attributes(), attributes(), attributes(), attributes()).prop_map(
            move |(address, before, after, unknown, sensitive)| {
                json!({
                    "address": address, "mode": "managed", "type": kind, "name": "main", "provider_name": "test",
                    "change": {"actions": actions, "before": before, "after": after, "after_unknown": unknown,
                        "before_sensitive": sensitive, "after_sensitive": sensitive},
                })
            },
        )
    })
}

fn owned(sequences: &[&[&str]]) -> Vec<Vec<String>> {
    let owned = |sequence: &&[&str]| sequence.iter().map(|action| (*action).to_owned()).collect();
    sequences.iter().map(owned).collect()
}

/// Lists of actions with a deletion in any place, also such as Terraform does not write.
fn deleting() -> impl Strategy<Value = Vec<String>> {
    let others = vec(
        select(vec!["create", "read", "update", "no-op", "forget", "delete", "spill"]),
        0..3,
    );
    (others, any::<Index>()).prop_map(|(others, place)| {
        let mut actions: Vec<String> = others.into_iter().map(str::to_owned).collect();
        let place = place.index(actions.len() + 1);
        actions.insert(place, "delete".to_owned());
        actions
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn plan_that_deletes_a_protected_type_is_blocked(
        others in vec(any_change(vec!["aws_vpc".into(), "terraform_data".into(), "aws_s3_bucket".into()], owned(SEQUENCES)), 0..6),
        (mut deletion, actions) in (any_change(kinds(), owned(&[&["delete"]])), deleting()),
        place in any::<Index>(),
    ) {
        deletion["change"]["actions"] = json!(actions);
        let mut changes = others;
        changes.insert(place.index(changes.len() + 1), deletion);
        let report = check_plan(&plan_of(&changes));
        prop_assert_eq!(report.verdict, Verdict::Rejected);
        prop_assert!(report.blocks.iter().any(|block| block.rule == "protected_delete"), "{}", report.to_text());
    }

    #[test]
    fn order_of_changes_decides_nothing(
        changes in vec(any_change(kinds(), owned(SEQUENCES)), 0..5),
        rotation in any::<Index>(),
    ) {
        let mut rotated = changes.clone();
        if !rotated.is_empty() {
            let by = rotation.index(rotated.len());
            rotated.rotate_left(by);
        }
        let (one, other) = (check_plan(&plan_of(&changes)), check_plan(&plan_of(&rotated)));
        prop_assert_eq!((one.verdict, one.blocks, one.warnings, one.risk), (other.verdict, other.blocks, other.warnings, other.risk));
    }

    #[test]
    fn further_change_never_makes_a_plan_pass(
        changes in vec(any_change(kinds(), owned(SEQUENCES)), 1..5),
    ) {
        let fewer = check_plan(&plan_of(&changes[1..]));
        let more = check_plan(&plan_of(&changes));
        prop_assert!(more.verdict >= fewer.verdict);
        prop_assert!(more.risk.score >= fewer.risk.score);
        prop_assert!(more.risk.score <= 100);
    }

    #[test]
    fn sensitive_values_are_in_no_report(
        mut change in any_change(kinds(), owned(SEQUENCES)),
        secret in "[A-Z]{16}",
    ) {
        for (value, marks) in [("before", "before_sensitive"), ("after", "after_sensitive")] {
            change["change"][value] = json!({"deletion_protection": secret, "name": [secret]});
            change["change"][marks] = json!({"deletion_protection": true, "name": [true]});
        }
        let report = check_plan(&plan_of(&[change]));
        prop_assert!(!serde_json::to_string(&report).unwrap().contains(&secret));
    }
}
