//! Policies of operators: what they add, and that a broken one rejects.

use arrakis_policy::engine::PolicySet;
use arrakis_policy::test_runner;

use crate::support::{assert_blocked_by, assert_passed, assert_warned_by, check_with, folder, plan_file};

const PASSES: &str = "package acme\ndeny contains \"never\" if input.format == \"other\"\n";

#[track_caller]
fn assert_fails(policy: &str, reason: &str) {
    let report = check_with(plan_file("create_network"), &[("acme.rego", policy)], &[]);
    assert_blocked_by(&report, "policy_failed");
    let text = report.to_text();
    assert!(text.contains(reason), "{reason} is not in {text}");
}

#[test]
fn policy_that_finds_nothing_passes() {
    assert_passed(&check_with(plan_file("create_network"), &[("acme.rego", PASSES)], &[]));
}

#[test]
fn findings_have_address_rule_and_package() {
    let policy = "package acme.network\n\
        deny contains {\"rule\": \"no_vpc\", \"address\": change.address, \"msg\": \"no networks\"} if {\n\
        some change in input.resource_changes\nchange.type == \"aws_vpc\"\n}\n";
    let report = check_with(plan_file("create_network"), &[("acme.rego", policy)], &[]);
    assert_blocked_by(&report, "no_vpc");
    let block = &report.blocks[0];
    assert_eq!(
        (block.source.as_str(), block.address.as_deref()),
        ("acme.network", Some("aws_vpc.main"))
    );
}

#[test]
fn warnings_and_data_are_read() {
    let policy = "package acme\ndeny contains \"x\" if false\n\
        warn contains {\"msg\": \"large\", \"risk\": 77} if count(input.resource_changes) > data.limits.changes\n";
    let report = check_with(
        plan_file("create_network"),
        &[("acme.rego", policy)],
        &[r#"{"limits":{"changes":1}}"#],
    );
    assert_warned_by(&report, "warn");
    assert_eq!(report.risk.score, 79);
}

#[test]
fn rules_that_do_not_evaluate_reject() {
    assert_fails(
        "package acme\ndeny contains x if { x := nosuch.function(1) }",
        "could not find function",
    );
    assert_fails(
        "package acme\ndeny contains x if { x := http.send({}) }",
        "could not find function",
    );
    assert_fails(
        "package acme\ndeny contains x if { x := to_number(\"a\") }",
        "could not parse",
    );
    assert_fails("package acme\ndeny := \"x\" if input.nothing", "undefined");
    assert_fails("package acme\ndeny := false", "is no set");
    assert_fails("package acme\ndeny := true", "is no set");
    assert_fails("package acme\ndeny contains 5", "neither a text nor an object");
    assert_fails(
        "package acme\ndeny contains {\"message\": \"x\"}",
        "neither a text nor an object",
    );
    assert_fails("package acme\ndney contains \"x\" if true", "no rule");
    assert_fails("package acme\nwarn contains \"x\" if false", "no policy declares");
    assert_fails("package lib.acme\nhelper := 1", "no policy declares");
    assert_fails("package acme\ndeny[x] { x := 1 }", "keyword is required");
    assert_fails("deny contains \"x\" if true", "package");
    assert_fails("", "package");
    assert_fails("package acme\ndeny := 1 if true\ndeny := 2 if true", "conflicts");
    assert_fails(
        "package acme[\"x-y\"]\ndeny contains \"x\" if false",
        "names of packages",
    );
}

#[test]
fn error_has_the_position_in_the_file_and_no_excerpt() {
    let policy = "package acme\ndeny contains x if { x := to_number(\"a\") }";
    let report = check_with(plan_file("create_network"), &[("acme.rego", policy)], &[]);
    let message = &report.blocks[0].message;
    assert!(message.contains(" acme.rego:2:"), "{message}");
    assert!(!message.contains("-->") && !message.contains('^'), "{message}");
    let unparsed = check_with(
        plan_file("create_network"),
        &[("acme.rego", "package acme\ndeny contains")],
        &[],
    );
    let message = &unparsed.blocks[0].message;
    assert_eq!(message.matches("acme.rego").count(), 1, "{message}");
}

#[test]
fn error_names_the_folder_of_the_policies() {
    let set = |folder: &str, text: &str| PolicySet {
        folder: folder.to_owned(),
        files: vec![("acme.rego".to_owned(), text.to_owned())],
        ..PolicySet::default()
    };
    let report = arrakis_policy::check(&arrakis_policy::Inputs {
        plan: plan_file("create_network"),
        policies: vec![
            set("policies/good", PASSES),
            set("policies/bad", "package acme\ndeny := false"),
        ],
        ..arrakis_policy::Inputs::default()
    });
    assert_blocked_by(&report, "policy_failed");
    assert_eq!(report.blocks.len(), 1);
    assert!(report.blocks[0].message.contains("policies/bad: "), "{report:?}");
}

#[test]
fn package_may_be_split_into_a_file_of_functions_and_one_of_warnings() {
    let report = check_with(
        plan_file("create_network"),
        &[
            (
                "functions.rego",
                "package acme.size\nis_large if count(input.resource_changes) > 1\n",
            ),
            ("size.rego", "package acme.size\nwarn contains \"large\" if is_large\n"),
            ("acme.rego", PASSES),
        ],
        &[],
    );
    assert_warned_by(&report, "warn");
}

#[test]
fn endless_policy_is_stopped() {
    let policy = "package acme\ndeny contains a if { some a in numbers.range(1, 20000); some b in numbers.range(1, 20000); a * b == -1 }";
    let inputs = arrakis_policy::Inputs {
        plan: plan_file("create_network"),
        policies: vec![PolicySet {
            files: vec![("acme.rego".to_owned(), policy.to_owned())],
            ..PolicySet::default()
        }],
        ..arrakis_policy::Inputs::default()
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(2);
    let report = arrakis_policy::check_until(&inputs, deadline);
    assert_blocked_by(&report, "policy_failed");
}

#[test]
fn no_policy_changes_the_built_in_one() {
    let policy = "package arrakis.terraform\nimport rego.v1\n\
        deny contains \"x\" if false\nchecked := 0\nis_protected(change) if false\nknown_actions := {{}}\n";
    let report = check_with(
        plan_file("delete_database"),
        &[("arrakis-terraform.rego", policy)],
        &[r#"{"arrakis":{"protected":{}}}"#],
    );
    assert_blocked_by(&report, "protected_delete");
}

#[test]
fn data_in_the_place_of_a_rule_is_refused() {
    let policy = "package acme\ndeny contains \"always\" if true\n";
    let files = [("acme.rego", policy)];
    for data in [
        r#"{"acme": {"deny": []}}"#,
        r#"{"acme": {"d\u0065ny": []}}"#,
        r#"{"acme": {}, "acme": {"deny": []}}"#,
        r#"{"acme": []}"#,
        r#"{"acme": 1}"#,
    ] {
        let report = check_with(plan_file("create_network"), &files, &[data]);
        assert_blocked_by(&report, "policy_failed");
    }
    let beside = check_with(
        plan_file("create_network"),
        &files,
        &[r#"{"acme": {"names": []}, "other": 1}"#],
    );
    assert_blocked_by(&beside, "deny");
    let library = "package lib.acme\nlimit := 1\n";
    let policy = "package acme\ndeny contains \"large\" if data.lib.acme.limit < 5\n";
    let report = check_with(
        plan_file("create_network"),
        &[("lib.rego", library), ("acme.rego", policy)],
        &[r#"{"lib": {"acme": {"limit": 9}}}"#],
    );
    assert_blocked_by(&report, "policy_failed");
}

#[test]
fn libraries_are_used_by_other_packages() {
    let library = "package lib.acme\nis_network(change) if change.type == \"aws_vpc\"\n";
    let policy = "package acme\nimport data.lib.acme as lib\n\
        deny contains \"network\" if { some change in input.resource_changes; lib.is_network(change) }\n";
    let report = check_with(
        plan_file("create_network"),
        &[("lib.rego", library), ("acme.rego", policy)],
        &[],
    );
    assert_blocked_by(&report, "deny");
}

fn tested(text: &str) -> Result<Vec<(String, bool)>, String> {
    let policies = PolicySet {
        files: vec![("acme_test.rego".to_owned(), text.to_owned())],
        ..PolicySet::default()
    };
    let results = test_runner::run(&policies)?;
    Ok(results
        .into_iter()
        .map(|result| (result.name, result.failure.is_none()))
        .collect())
}

#[test]
fn tests_pass_only_when_true() {
    let text = "package acme\n# test_comment if true\n\
        test_a if 1 == 1\ntest_b if 1 == 2\ntest_c := false\ntest_d if to_number(\"x\") == 1\n";
    let expected = [
        ("acme.test_a", true),
        ("acme.test_b", false),
        ("acme.test_c", false),
        ("acme.test_d", false),
    ];
    assert_eq!(
        tested(text).unwrap(),
        expected.map(|(name, passed)| (name.to_owned(), passed))
    );
}

#[test]
fn test_with_a_default_is_seen() {
    let text = "package acme\ntest_a if true\ndefault test_b := false\n";
    let expected = [("acme.test_a".to_owned(), true), ("acme.test_b".to_owned(), false)];
    assert_eq!(tested(text).unwrap(), expected);
}

#[test]
fn folder_without_tests_fails() {
    assert!(tested("package acme\ndeny contains \"x\" if false").is_err());
    assert!(tested("package acme\ntest_a if").is_err());
}

#[test]
fn example_of_the_guide_passes_its_tests() {
    let policies = arrakis_policy::files::read_policies(&folder("policies/good"), true).unwrap();
    let results = test_runner::run(&policies).unwrap();
    assert!(results.len() >= 3);
    for result in results {
        assert_eq!(result.failure, None, "{}", result.name);
    }
}
