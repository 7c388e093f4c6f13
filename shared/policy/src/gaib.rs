//! Plans of gaib: the file of `gaib server plan --out FILE`.

use arrakis_iac::plan;
use serde_json::{Value, json};

use crate::finding::Counts;
use crate::plan::Plan;

/// Reads a plan. Its digest is verified, which finds damage and no forgery: anybody can write a plan with its digest. So its steps are compared
/// with its changes.
///
/// # Errors
/// The text is no plan of gaib's present version, or was edited.
pub fn read(text: &str) -> Result<Plan, String> {
    let plan = plan::Plan::from_bytes(text.as_bytes()).map_err(|error| error.to_string())?;
    let mut counts = Counts::default();
    for change in &plan.changes {
        match change.action {
            plan::Action::Create => counts.create += 1,
            plan::Action::Update => counts.update += 1,
            plan::Action::Replace => counts.replace += 1,
            plan::Action::Delete => counts.delete += 1,
            plan::Action::Forget => counts.forget += 1,
            plan::Action::Adopt => {}
        }
    }
    let hidden: Vec<Value> = plan
        .hidden_steps()
        .into_iter()
        .map(|step| json!({ "address": step.address().map(ToString::to_string), "step": step.describe() }))
        .collect();
    let input = serde_json::to_value(&plan).map_err(|error| error.to_string())?;
    Ok(Plan {
        checked: plan.steps.len(),
        counts,
        input: json!({ "format": "gaib", "hidden_steps": hidden, "plan": without_images(input) }),
    })
}

/// Images are data URIs of up to megabytes; no policy needs their bytes.
fn without_images(mut value: Value) -> Value {
    fn shorten(value: &mut Value) {
        match value {
            Value::String(text) if text.len() > 4_096 && text.starts_with("data:") => *value = json!("(image)"),
            Value::Array(items) => items.iter_mut().for_each(shorten),
            Value::Object(object) => object.values_mut().for_each(shorten),
            _ => {}
        }
    }
    shorten(&mut value);
    value
}
