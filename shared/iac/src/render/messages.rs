//! Renders plans for `--json`: one JSON object per line.

use serde_json::{Value, json};

use crate::model::Attributes;
use crate::plan::{Change, Finding, Plan};

/// The messages of a plan, in display order. The caller writes the version message first.
#[must_use]
pub fn messages(plan: &Plan, findings: &[Finding]) -> Vec<Value> {
    let mut messages = Vec::new();
    let map = |attributes: &Option<Attributes>| attributes.as_ref().map(Attributes::to_map);
    for drift in &plan.drift {
        messages.push(json!({
            "type": "resource_drift", "address": drift.address, "id": drift.id,
            "before": drift.before.to_map(), "after": map(&drift.after), "fields": drift.fields,
        }));
    }
    messages.extend(plan.changes.iter().map(change_message));
    for reorder in &plan.reorders {
        messages
            .push(json!({"type": "planned_order", "of": reorder.of, "before": reorder.before, "after": reorder.after}));
    }
    for note in &plan.notes {
        messages.push(json!({"type": "note", "message": note}));
    }
    for finding in findings {
        messages.push(json!({
            "type": "finding", "blocking": finding.blocking, "what": finding.what,
            "what_to_do": finding.what_to_do, "addresses": finding.addresses,
        }));
    }
    let counts = plan.counts();
    messages.push(json!({
        "type": "change_summary", "mode": plan.mode, "empty": plan.is_empty(), "add": counts.add, "change": counts.change,
        "destroy": counts.destroy, "reorder": counts.reorder, "adopt": counts.adopt, "forget": counts.forget,
        "steps": plan.steps.len(), "loses_messages": plan.losses().count(),
    }));
    messages
}

/// The message of a change.
#[must_use]
pub fn change_message(change: &Change) -> Value {
    let map = |attributes: &Option<Attributes>| attributes.as_ref().map(Attributes::to_map);
    json!({
        "type": "planned_change", "address": change.address, "action": change.action, "reason": change.reason,
        "id": change.id, "name": change.name, "before": map(&change.before), "after": map(&change.after),
        "fields": change.fields, "forces_replacement": change.forces_replacement,
        "loses_messages": change.loses_messages, "origin": change.origin,
    })
}
