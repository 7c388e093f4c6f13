//! Estimates of Infracost in each of its formats.

use arrakis_policy::cost::{Outcome, evaluate};
use arrakis_policy::{Inputs, check};
use serde_json::{Value, json};

use crate::support::{assert_blocked_by, assert_passed, folder, plan_file};

fn estimate_file(name: &str) -> Vec<u8> {
    std::fs::read(folder("estimates").join(format!("{name}.json"))).unwrap()
}

fn evaluate_file(name: &str) -> Outcome {
    evaluate(&estimate_file(name), None)
}

#[track_caller]
fn assert_increase(outcome: &Outcome, increase: &str) {
    assert_eq!(outcome.blocks, []);
    assert_eq!(outcome.cost.as_ref().unwrap().increase, increase);
}

#[track_caller]
fn assert_block(outcome: &Outcome, rule: &str) {
    assert!(outcome.blocks.iter().any(|block| block.rule == rule), "{outcome:?}");
}

#[test]
fn every_format_is_read() {
    assert_increase(&evaluate_file("v010_small"), "120.45");
    assert_increase(&evaluate_file("v010_merged"), "10");
    assert_increase(&evaluate_file("v2_small"), "300.5");
}

#[test]
fn increase_over_the_limit_is_rejected() {
    for name in ["v010_large", "v2_large", "v2_diff"] {
        assert_block(&evaluate_file(name), "cost_limit");
    }
}

#[test]
fn limit_itself_is_accepted() {
    for (increase, accepted) in [
        ("5000", true),
        ("5000.000000", true),
        ("5000.000001", false),
        ("5e3", true),
        ("50001e-1", false),
    ] {
        let report = json!({"Currency": "USD", "TotalMonthlyCost": increase, "PastTotalMonthlyCost": "0", "DiffTotalMonthlyCost": increase});
        assert_eq!(
            evaluate(report.to_string().as_bytes(), None).blocks.is_empty(),
            accepted,
            "{increase}"
        );
    }
}

#[test]
fn baseline_gives_the_increase_of_a_report_without_one() {
    let outcome = evaluate(&estimate_file("v2_large"), Some(&estimate_file("v2_before")));
    assert_increase(&outcome, "1000");
    assert_block(
        &evaluate(&estimate_file("v2_large"), Some(&estimate_file("v2_error"))),
        "cost_error",
    );
    assert_block(&evaluate(&estimate_file("v2_large"), Some(b"{}")), "cost_unknown");
}

#[test]
fn errors_of_a_project_reject_although_the_increase_is_0() {
    for name in ["v010_error", "v2_error"] {
        assert_block(&evaluate_file(name), "cost_error");
    }
}

#[test]
fn resources_without_a_price_need_an_approval() {
    let outcome = evaluate_file("v2_unsupported");
    assert_eq!(outcome.blocks, []);
    assert_eq!(outcome.warnings[0].rule, "cost_unsupported");
}

#[test]
fn contradicting_amounts_count_with_the_largest() {
    let mut report: Value = serde_json::from_slice(&estimate_file("v010_large")).unwrap();
    report["diffTotalMonthlyCost"] = json!("0");
    assert_block(&evaluate(report.to_string().as_bytes(), None), "cost_limit");
    report["totalMonthlyCost"] = json!("1000");
    assert_block(&evaluate(report.to_string().as_bytes(), None), "cost_limit");
}

#[test]
fn amount_that_another_part_hides_is_found() {
    let changed = |edit: &dyn Fn(&mut Value)| {
        let mut report: Value = serde_json::from_slice(&estimate_file("v010_small")).unwrap();
        edit(&mut report);
        evaluate(report.to_string().as_bytes(), None)
    };
    for currency in [json!(null), json!(5)] {
        let outcome = changed(&|report| report["currency"] = currency.clone());
        assert_block(&outcome, "cost_currency");
    }
    let missing = changed(&|report| {
        report.as_object_mut().unwrap().remove("currency");
    });
    assert_block(&missing, "cost_currency");
    let hidden = changed(&|report| {
        for total in ["totalMonthlyCost", "diffTotalMonthlyCost", "pastTotalMonthlyCost"] {
            report[total] = json!("0");
        }
        report["projects"] = json!([{"name": "p", "metadata": {}, "breakdown": {"totalMonthlyCost": "100000"}}]);
    });
    assert_block(&hidden, "cost_limit");
    for (name, value) in [
        ("DiffTotalMonthlyCost", json!("0")),
        ("Currency", json!("USD")),
        ("summary", json!({"total_monthly_cost": "0"})),
        ("missingPricesCount", json!("7")),
        ("missingPricesCount", json!(9.0)),
        ("summary", json!({"totalUnsupportedResources": "9"})),
        ("summary", json!({"totalUnsupportedResources": 9.0})),
        ("totalMonthlyCost", json!(1120.45)),
    ] {
        let outcome = changed(&|report| report[name] = value.clone());
        assert_block(&outcome, "cost_unknown");
    }
    let text = String::from_utf8(estimate_file("v010_small")).unwrap();
    let number = text.replace(
        "\"diffTotalMonthlyCost\": \"120.45\"",
        "\"diffTotalMonthlyCost\": 5000.0000000000001",
    );
    assert_ne!(number, text);
    assert_block(&evaluate(number.as_bytes(), None), "cost_unknown");
    let parts = json!({"Currency": "USD", "TotalMonthlyCost": "1", "PastTotalMonthlyCost": "0", "DiffTotalMonthlyCost": "1",
        "Diff": {"aws_db_instance": {"DiffMonthlyCost": "6000"}}});
    assert_block(&evaluate(parts.to_string().as_bytes(), None), "cost_limit");
}

#[test]
fn what_is_no_estimate_is_rejected() {
    for text in [
        "",
        "{}",
        "[]",
        "null",
        "{\"projects\":[]}",
        "{\"version\":\"0.9\",\"totalMonthlyCost\":\"1\",\"projects\":[{}]}",
    ] {
        assert_block(&evaluate(text.as_bytes(), None), "cost_unknown");
    }
    for (name, value) in [
        ("diffTotalMonthlyCost", json!("NaN")),
        ("diffTotalMonthlyCost", json!("inf")),
        ("diffTotalMonthlyCost", json!("1e999999999")),
        ("diffTotalMonthlyCost", json!(true)),
        ("totalMonthlyCost", json!("12,50")),
        ("projects", json!([])),
        ("projects", json!({})),
        ("version", json!("1.0")),
    ] {
        let mut report: Value = serde_json::from_slice(&estimate_file("v010_small")).unwrap();
        report[name] = value;
        assert_block(&evaluate(report.to_string().as_bytes(), None), "cost_unknown");
    }
    let mut report: Value = serde_json::from_slice(&estimate_file("v010_small")).unwrap();
    report["currency"] = json!("JPY");
    assert_block(&evaluate(report.to_string().as_bytes(), None), "cost_currency");
    let mut report: Value = serde_json::from_slice(&estimate_file("v010_small")).unwrap();
    report["projects"][0]["breakdown"] = Value::Null;
    assert_block(&evaluate(report.to_string().as_bytes(), None), "cost_error");
}

#[test]
fn cost_is_a_part_of_the_report() {
    let checked = |name: &str| {
        check(&Inputs {
            plan: plan_file("create_network"),
            infracost: Some(estimate_file(name)),
            ..Inputs::default()
        })
    };
    let small = checked("v010_small");
    assert_passed(&small);
    assert!(
        small.to_text().contains("120.45 USD a month more"),
        "{}",
        small.to_text()
    );
    assert_blocked_by(&checked("v010_large"), "cost_limit");
    assert_blocked_by(&checked("v010_error"), "cost_error");
}
