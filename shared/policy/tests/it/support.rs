//! Plans for tests, and what is asserted of a report.

use std::path::PathBuf;

use arrakis_policy::engine::PolicySet;
use arrakis_policy::{Inputs, Report, Verdict, check};
use serde_json::{Value, json};

pub(crate) fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(name)
}

/// A committed plan. Those whose name begins with `real_` are output of Terraform 1.11.4.
pub(crate) fn plan_file(name: &str) -> Vec<u8> {
    std::fs::read(folder("plans").join(format!("{name}.json"))).unwrap()
}

/// A plan with these items in `resource_changes`.
pub(crate) fn plan_of(changes: &[Value]) -> Value {
    json!({
        "format_version": "1.2",
        "terraform_version": "1.14.1",
        "planned_values": {"root_module": {}},
        "resource_changes": changes,
        "configuration": {"root_module": {}},
        "applyable": true, "complete": true, "errored": false,
    })
}

/// A change of a resource in the root module.
pub(crate) fn change(kind: &str, actions: &[&str]) -> Value {
    json!({
        "address": format!("{kind}.main"), "mode": "managed", "type": kind, "name": "main",
        "provider_name": "registry.terraform.io/hashicorp/test",
        "change": {"actions": actions, "before": {"name": "x"}, "after": {"name": "x"}, "after_unknown": {},
            "before_sensitive": {}, "after_sensitive": {}},
    })
}

pub(crate) fn check_bytes(plan: impl Into<Vec<u8>>) -> Report {
    check(&Inputs {
        plan: plan.into(),
        ..Inputs::default()
    })
}

pub(crate) fn check_plan(plan: &Value) -> Report {
    check_bytes(plan.to_string())
}

pub(crate) fn check_file(name: &str) -> Report {
    check_bytes(plan_file(name))
}

/// Checks a plan with a policy of an operator.
pub(crate) fn check_with(plan: Vec<u8>, files: &[(&str, &str)], data: &[&str]) -> Report {
    let policies = PolicySet {
        files: files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect(),
        data: data.iter().map(|text| (*text).to_owned()).collect(),
        ..PolicySet::default()
    };
    check(&Inputs {
        plan,
        policies: vec![policies],
        ..Inputs::default()
    })
}

#[track_caller]
pub(crate) fn assert_blocked_by(report: &Report, rule: &str) {
    assert_eq!(report.verdict, Verdict::Rejected, "{}", report.to_text());
    let found = report.blocks.iter().any(|block| block.rule == rule);
    assert!(found, "no block {rule} in\n{}", report.to_text());
    assert_eq!(report.risk.score, 100);
}

#[track_caller]
pub(crate) fn assert_warned_by(report: &Report, rule: &str) {
    assert_eq!(report.verdict, Verdict::NeedsApproval, "{}", report.to_text());
    let found = report.warnings.iter().any(|warning| warning.rule == rule);
    assert!(found, "no warning {rule} in\n{}", report.to_text());
}

#[track_caller]
pub(crate) fn assert_passed(report: &Report) {
    assert_eq!(report.verdict, Verdict::Passed, "{}", report.to_text());
    assert!(report.blocks.is_empty() && report.warnings.is_empty());
}
