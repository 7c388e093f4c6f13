//! Plans of gaib.

use arrakis_iac::plan::Plan;
use arrakis_policy::Format;
use serde_json::{Value, json};

use crate::support::{assert_blocked_by, assert_passed, assert_warned_by, check_bytes};

const ID: &str = "1300000000000000001";

fn plan(mode: &str, changes: &Value, steps: &Value) -> Vec<u8> {
    let plan = json!({
        "version": 2,
        "made_from": {"guild_id": "1300000000000000000", "bot_id": "1300000000000000009", "workspace": "default",
            "lineage": "a", "serial": 1, "configuration": null, "live": "b", "kinds": ["role"]},
        "mode": mode, "targets": [], "allow_replace": false, "theme": null, "drift": [],
        "changes": changes, "reorders": [], "steps": steps, "notes": [],
    });
    serde_json::from_value::<Plan>(plan).unwrap().to_bytes()
}

fn change(action: &str, loses_messages: bool) -> Value {
    json!({"address": "role.naib", "action": action, "reason": "configured", "id": ID, "name": "Naib", "before": null,
        "after": null, "fields": [], "forces_replacement": [], "loses_messages": loses_messages, "origin": null})
}

fn deletion() -> Value {
    json!([{"do": "delete", "address": "role.naib", "id": ID}])
}

#[test]
fn empty_plan_passes() {
    let report = check_bytes(plan("apply", &json!([]), &json!([])));
    assert_passed(&report);
    assert_eq!(report.plan.format, Some(Format::Gaib));
}

#[test]
fn deletions_need_an_approval() {
    let report = check_bytes(plan("apply", &json!([change("delete", false)]), &deletion()));
    assert_warned_by(&report, "delete");
    assert_eq!(report.plan.changes.delete, 1);
    assert_warned_by(
        &check_bytes(plan("apply", &json!([change("replace", true)]), &deletion())),
        "messages_lost",
    );
    assert_warned_by(
        &check_bytes(plan("destroy", &json!([change("delete", false)]), &deletion())),
        "destroy",
    );
    assert_warned_by(
        &check_bytes(plan("apply", &json!([change("forget", false)]), &json!([]))),
        "forget",
    );
}

#[test]
fn step_that_is_not_shown_is_blocked() {
    assert_blocked_by(&check_bytes(plan("apply", &json!([]), &deletion())), "hidden_step");
    let update = json!({"address": "role.naib", "action": "update", "reason": "configured", "id": ID, "name": "Naib",
        "before": {"resource": "role", "name": "Naib"}, "after": {"resource": "role", "name": "Fedaykin"}, "fields": ["name"],
        "forces_replacement": [], "loses_messages": false, "origin": null});
    for steps in [
        deletion(),
        json!([{"do": "update", "address": "role.warden", "id": ID, "fields": ["permissions"],
            "attributes": {"resource": "role", "permissions": ["ADMINISTRATOR"]}}]),
        json!([{"do": "bot_role", "address": "role.warden", "give": true}]),
        json!([{"do": "delete_overwrite", "address": "channel.rumours", "target": "everyone"}]),
    ] {
        assert_blocked_by(
            &check_bytes(plan("apply", &json!([update.clone()]), &steps)),
            "hidden_step",
        );
    }
}

#[test]
fn permissions_that_a_step_gives_are_a_warning_whatever_the_plan_claims_of_before() {
    let role = json!({"resource": "role", "permissions": ["ADMINISTRATOR"]});
    let update = json!({"address": "role.naib", "action": "update", "reason": "configured", "id": ID, "name": "Naib",
        "before": role, "after": role, "fields": ["permissions"], "forces_replacement": [], "loses_messages": false, "origin": null});
    let steps =
        json!([{"do": "update", "address": "role.naib", "id": ID, "fields": ["permissions"], "attributes": role}]);
    assert_warned_by(&check_bytes(plan("apply", &json!([update]), &steps)), "permissions");
}

#[test]
fn edited_plan_is_blocked() {
    let text = String::from_utf8(plan("apply", &json!([change("delete", false)]), &deletion())).unwrap();
    let edited = text.replace("\"loses_messages\": false", "\"loses_messages\": true");
    assert_ne!(edited, text);
    assert_blocked_by(&check_bytes(edited), "unreadable_plan");
    assert_blocked_by(
        &check_bytes(text.replace("\"version\": 2", "\"version\": 3")),
        "unreadable_plan",
    );
}
