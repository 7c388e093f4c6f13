//! Plans that try to pass: malformed, contradictory, huge, deep. None passes.

use std::time::{Duration, Instant};

use arrakis_policy::{Inputs, MAX_PLAN_BYTES, Verdict, check_until};
use serde_json::{Value, json};

use crate::support::{
    assert_blocked_by, assert_passed, assert_warned_by, change, check_bytes, check_file, check_plan, plan_of,
};

#[test]
fn what_is_no_plan_is_blocked() {
    for text in [
        "",
        "null",
        "[]",
        "{}",
        "\"plan\"",
        "{\"format_version\":\"1.2\"}",
        "{\"format_version\":\"1.2\",\"planned_values\":{}}",
        "{\"format_version\":1.2,\"planned_values\":{},\"configuration\":{}}",
        "{\"format_version\":\"3.0\",\"planned_values\":{},\"configuration\":{}}",
        "{\"plan\":{\"version\":2}}",
        "\u{feff}{}",
    ] {
        assert_blocked_by(&check_bytes(text), "unreadable_plan");
    }
    assert_blocked_by(&check_bytes(vec![0xff, 0xfe, b'{', 0]), "unreadable_plan");
}

#[test]
fn cut_plan_is_blocked_at_every_byte() {
    let plan = crate::support::plan_file("real_empty");
    let end = plan.trim_ascii_end().len();
    for length in 0..end {
        assert_blocked_by(&check_bytes(&plan[..length]), "unreadable_plan");
    }
}

#[test]
fn hidden_actions_are_blocked() {
    for (actions, rule) in [
        (json!(["destroy"]), "unknown_action"),
        (json!(["Delete"]), "unknown_action"),
        (json!(["delete "]), "unknown_action"),
        (json!([]), "unknown_action"),
        (json!(["no-op", "delete"]), "unknown_action"),
        (json!(["no-op", "no-op"]), "unknown_action"),
        (json!(["create", "delete", "read"]), "unknown_action"),
        (json!("delete"), "unreadable_plan"),
        (json!(null), "unreadable_plan"),
        (json!(["d\u{435}lete"]), "unknown_action"),
        (json!([["delete"]]), "unreadable_plan"),
    ] {
        let mut hidden = change("aws_db_instance", &[]);
        hidden["change"]["actions"] = actions.clone();
        let report = check_plan(&plan_of(&[hidden]));
        assert_blocked_by(&report, rule);
    }
}

#[test]
fn contradictions_are_blocked() {
    let mut other_type = change("aws_db_instance", &["delete"]);
    other_type["type"] = json!("aws_vpc");
    let mut other_mode = change("aws_db_instance", &["delete"]);
    other_mode["mode"] = json!("data");
    let mut no_change = change("aws_db_instance", &["delete"]);
    no_change["change"] = Value::Null;
    let mut no_address = change("aws_db_instance", &["delete"]);
    no_address["address"] = json!("main");
    for hidden in [
        other_type,
        other_mode,
        no_change,
        no_address,
        json!("text"),
        json!(null),
    ] {
        assert_blocked_by(&check_plan(&plan_of(&[hidden])), "unreadable_plan");
    }
    let mut ephemeral = change("aws_db_instance", &["create"]);
    ephemeral["mode"] = json!("ephemeral");
    assert_blocked_by(&check_plan(&plan_of(&[ephemeral])), "unknown_mode");
}

#[test]
fn prior_state_without_changes_is_blocked() {
    let resource =
        json!({"address": "aws_db_instance.main", "mode": "managed", "type": "aws_db_instance", "name": "main"});
    let state = json!({"values": {"root_module": {"child_modules": [{"resources": [resource]}]}}});
    for changes in [json!(null), json!([])] {
        let mut plan = plan_of(&[]);
        plan["prior_state"] = state.clone();
        plan["resource_changes"] = changes;
        assert_blocked_by(&check_plan(&plan), "unreadable_plan");
    }
    let mut absent = plan_of(&[]);
    absent["prior_state"] = state;
    absent.as_object_mut().unwrap().remove("resource_changes");
    assert_blocked_by(&check_plan(&absent), "unreadable_plan");
}

#[test]
fn repeated_keys_are_blocked() {
    let plan = plan_of(&[change("aws_db_instance", &["delete"])]).to_string();
    let hidden = plan.replacen('{', "{\"resource_changes\":[],", 1);
    assert_blocked_by(&check_bytes(hidden), "unreadable_plan");
    let actions = plan.replace(
        "\"actions\":[\"delete\"]",
        "\"actions\":[\"delete\"],\"actions\":[\"no-op\"]",
    );
    assert_ne!(actions, plan);
    assert_blocked_by(&check_bytes(actions), "unreadable_plan");
}

#[test]
fn escaped_names_are_read_as_what_they_are() {
    let plan = plan_of(&[change("aws_db_instance", &["delete"])]).to_string();
    let escaped = plan
        .replace("aws_db_instance", "aws_db_\\u0069nstance")
        .replace("\"delete\"", "\"d\\u0065lete\"");
    assert_ne!(escaped, plan);
    assert_blocked_by(&check_bytes(escaped), "protected_delete");
}

#[test]
fn wrong_types_of_flags_are_blocked() {
    for flag in ["errored", "complete"] {
        for value in [json!("false"), json!(0), json!([])] {
            let mut plan = plan_of(&[]);
            plan[flag] = value;
            assert_blocked_by(&check_plan(&plan), "unreadable_plan");
        }
    }
    let mut plan = plan_of(&[]);
    plan["resource_changes"] = json!({"a": change("aws_db_instance", &["delete"])});
    assert_blocked_by(&check_plan(&plan), "unreadable_plan");
}

#[test]
fn deep_plans_are_blocked_or_their_depth_is_skipped() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let inside = plan_of(&[change("aws_db_instance", &["update"])])
        .to_string()
        .replacen("{\"name\":\"x\"}", &deep, 1);
    assert_blocked_by(&check_bytes(inside), "unreadable_plan");
    // The prior state is not read, and the deletion beside it is.
    let beside = plan_of(&[change("aws_db_instance", &["delete"])]).to_string();
    let beside = beside.replacen('{', &format!("{{\"prior_state\":{deep},"), 1);
    assert_blocked_by(&check_bytes(beside), "protected_delete");
}

#[test]
fn plan_above_the_limit_is_blocked() {
    let mut plan = plan_of(&[]).to_string().into_bytes();
    plan.resize(MAX_PLAN_BYTES + 1, b' ');
    assert_blocked_by(&check_bytes(plan), "unreadable_plan");
}

#[test]
fn plan_of_very_many_values_is_blocked() {
    let values = format!("[{}0]", "0,".repeat(2_000_000));
    let plan = plan_of(&[change("aws_vpc", &["update"])])
        .to_string()
        .replacen("{\"name\":\"x\"}", &values, 1);
    let report = check_bytes(plan);
    assert_blocked_by(&report, "unreadable_plan");
    let actions = format!("[{}\"\"]", "\"\",".repeat(1_000_000));
    let plan = plan_of(&[change("aws_vpc", &["update"])])
        .to_string()
        .replacen("[\"update\"]", &actions, 1);
    assert_blocked_by(&check_bytes(plan), "unreadable_plan");
}

#[test]
fn deletion_among_thousands_of_changes_is_found() {
    let mut changes: Vec<_> = (0..3_000)
        .map(|number| {
            let mut unchanged = change("aws_vpc", &["no-op"]);
            unchanged["address"] = json!(format!("aws_vpc.main[{number}]"));
            unchanged
        })
        .collect();
    changes.insert(2_000, change("aws_ebs_volume", &["delete"]));
    assert_blocked_by(&check_plan(&plan_of(&changes)), "protected_delete");
    // What makes a resource without a change worth a look.
    changes[2_000] = change("aws_vpc", &["no-op"]);
    assert_passed(&check_plan(&plan_of(&changes)));
    changes[2_000]["mode"] = json!("ephemeral");
    assert_blocked_by(&check_plan(&plan_of(&changes)), "unknown_mode");
    changes[2_000]["mode"] = json!("managed");
    changes[2_000]["change"]["importing"] = json!({"id": "vpc-1"});
    assert_warned_by(&check_plan(&plan_of(&changes)), "import");
}

#[test]
fn check_without_time_left_is_blocked() {
    let inputs = Inputs {
        plan: crate::support::plan_file("create_network"),
        ..Inputs::default()
    };
    let deadline = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    let report = check_until(&inputs, deadline);
    assert_eq!(report.verdict, Verdict::Rejected);
    assert_blocked_by(&report, "policy_failed");
}

#[test]
fn text_of_a_report_has_no_character_that_changes_its_direction() {
    let text = check_file("unicode_names").to_text();
    assert!(text.contains("förråd") && text.contains("\\u{202e}"), "{text}");
    assert!(!text.contains('\u{202e}'), "{text}");
}
