//! Plans of Terraform: the output of `terraform show -json PLAN`, and of `tofu show -json PLAN`.
//!
//! Owns the reading of the format and the input of the policies. Only what decides is read: changes of resources, the completeness
//! of the plan, commands of provisioners. Sensitive values are masked before a policy reads them. A document that could be another
//! thing than a whole plan is refused. Format: <https://developer.hashicorp.com/terraform/internals/json-format>.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::address;
use crate::attributes::{AttributeEffects, add_texts};
use crate::exposure::{Exposure, is_open, names_everybody};
use crate::finding::Counts;
use crate::json::{Budget, entries, field, items, raw_field};
use crate::mask::mask;
use crate::plan::Plan;
use crate::sql::{self, Effect};

/// Values of all changes together that are kept in memory. A changed resource has some hundreds.
const MAX_VALUES: usize = 1_000_000;
/// Changes of resources, those without an effect too.
const MAX_CHANGES: usize = 100_000;
/// Bytes of the list of actions: at most two are valid, and their names have at most 6 letters.
const MAX_ACTIONS_BYTES: usize = 512;

/// Properties of a plan that this version reads or may leave out. Another one means a newer format, whose meaning is unknown.
const PROPERTIES: &[&str] = &[
    "format_version",
    "terraform_version",
    "variables",
    "planned_values",
    "proposed_unknown",
    "resource_drift",
    "resource_changes",
    "deferred_changes",
    "deferred_action_invocations",
    "output_changes",
    "action_invocations",
    "prior_state",
    "configuration",
    "relevant_attributes",
    "checks",
    "timestamp",
    "applyable",
    "complete",
    "errored",
];

/// Whether a document is a Terraform plan or state rather than a plan of gaib.
#[must_use]
pub(crate) fn is_terraform(document: &[(String, &RawValue)]) -> bool {
    document.iter().any(|(key, _)| key == "format_version")
}

/// Reads a plan.
///
/// # Errors
/// The document is no plan of a known format, or exceeds a limit. The text names the reason.
pub fn read(text: &str) -> Result<Plan, String> {
    let document = entries(text).map_err(|error| error.to_string())?;
    let version = format_version(&document)?;
    if document.iter().any(|(key, _)| key == "values") {
        return Err("it is a state, not a plan; `terraform show -json PLAN` needs the file of a plan".to_owned());
    }
    for required in ["planned_values", "configuration"] {
        if raw_field(&document, required).is_none() {
            return Err(format!(
                "it has no {required}, so it is not the output of `terraform show -json PLAN`"
            ));
        }
    }
    let budget = Budget::new(MAX_VALUES);
    let list = |name: &str| -> Result<Vec<&RawValue>, String> {
        raw_field(&document, name).map_or(Ok(Vec::new()), |raw| {
            items(raw).map_err(|error| format!("{name}: {error}"))
        })
    };
    let raw_changes = list("resource_changes")?;
    if raw_changes.is_empty() && list("resource_drift")?.is_empty() && has_managed(&document, "prior_state")? {
        return Err("it has resources in its prior state and no resource_changes".to_owned());
    }
    if raw_changes.len() > MAX_CHANGES {
        return Err(format!("resource_changes has more than {MAX_CHANGES} items"));
    }
    let mut counts = Counts::default();
    let mut changes = Vec::with_capacity(raw_changes.len());
    for (at, raw) in raw_changes.iter().enumerate() {
        let change = read_change(raw.get(), &budget).map_err(|why| format!("resource_changes[{at}]: {why}"))?;
        count(&mut counts, &change.actions);
        changes.push(change.input);
    }
    let invocations = list("action_invocations")?
        .iter()
        .map(|raw| read_invocation(raw.get(), &budget))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|why| format!("action_invocations: {why}"))?;
    let deferred = list("deferred_changes")?.len() + list("deferred_action_invocations")?.len();
    let configuration = raw_field(&document, "configuration").unwrap_or("{}");
    let provisioners = Provisioners::read(configuration).map_err(|error| format!("configuration: {error}"))?;
    let unknown: Vec<_> = document
        .iter()
        .map(|(key, _)| key.as_str())
        .filter(|key| !PROPERTIES.contains(key))
        .collect();
    // Absent in plans of versions before 1.8, which had no incomplete plans.
    let complete = raw_field(&document, "complete").is_none() || field::<bool>(&document, "complete")?;
    Ok(Plan {
        checked: changes.len(),
        counts,
        input: json!({
            "format": "terraform",
            "format_version": version,
            "terraform_version": field::<String>(&document, "terraform_version")?,
            "errored": field::<bool>(&document, "errored")?,
            "complete": complete,
            "deferred": deferred,
            "unknown_properties": unknown,
            "action_invocations": invocations,
            "provisioners": provisioners.count,
            "unknown_provisioners": provisioners.unknown,
            "provisioner_effects": provisioners.effects.iter().map(|effect| describe(*effect)).collect::<Vec<_>>(),
            "resource_changes": changes,
        }),
    })
}

/// Whether a state in the document has a managed resource. Terraform lists each of them in `resource_changes`, also one that does not change.
fn has_managed(document: &[(String, &RawValue)], name: &str) -> Result<bool, String> {
    let Some(state) = raw_field(document, name) else {
        return Ok(false);
    };
    let failed = |error: serde_json::Error| format!("{name}: {error}");
    let state = entries(state).map_err(failed)?;
    let Some(values) = raw_field(&state, "values") else {
        return Ok(false);
    };
    let values = Budget::new(MAX_VALUES).read(values).map_err(failed)?;
    Ok(has_managed_resource(&values))
}

fn has_managed_resource(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_managed_resource),
        Value::Object(object) => {
            let is_managed = object.get("mode").and_then(Value::as_str) == Some("managed");
            (is_managed && object.contains_key("type"))
                || ["root_module", "child_modules", "resources"]
                    .into_iter()
                    .filter_map(|part| object.get(part))
                    .any(has_managed_resource)
        }
        _ => false,
    }
}

/// The version. Terraform documents that a minor version adds properties only, and that a major one changes their meaning.
fn format_version(document: &[(String, &RawValue)]) -> Result<String, String> {
    let version: String = field(document, "format_version")?;
    // `parse` accepts a sign.
    let number = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| part.parse().ok())?
    };
    let parts: Option<Vec<u32>> = version.split('.').map(number).collect();
    match parts.as_deref() {
        Some([0 | 1, _]) => Ok(version),
        _ => Err(format!(
            "the format version {version:?} is not supported; supported are 0.x and 1.x"
        )),
    }
}

struct Change {
    actions: Vec<String>,
    input: Value,
}

fn read_change(text: &str, budget: &Budget) -> Result<Change, String> {
    let outer = entries(text).map_err(|error| error.to_string())?;
    let inner = raw_field(&outer, "change").ok_or("it has no change")?;
    let inner = entries(inner).map_err(|error| format!("change: {error}"))?;
    let actions_text = raw_field(&inner, "actions").ok_or("it has no actions")?;
    if actions_text.len() > MAX_ACTIONS_BYTES {
        return Err("the list of actions is too long".to_owned());
    }
    let actions: Vec<String> = serde_json::from_str(actions_text).map_err(|error| format!("actions: {error}"))?;

    let address: String = field(&outer, "address")?;
    let kind: String = field(&outer, "type")?;
    let mode: String = field(&outer, "mode")?;
    let parsed = address::type_of(&address).ok_or_else(|| format!("the address {address:?} has no valid form"))?;
    if parsed.kind != kind || parsed.data != (mode == "data") {
        return Err(format!(
            "the address {address:?} contradicts the type {kind:?} or the mode {mode:?}"
        ));
    }
    let previous_address: Option<String> = field(&outer, "previous_address")?;
    let mut types = vec![kind.to_lowercase()];
    if let Some(previous) = &previous_address {
        let parsed = address::type_of(previous).ok_or_else(|| format!("the address {previous:?} has no valid form"))?;
        types.push(parsed.kind.to_lowercase());
    }

    // Resources without an effect are the most of a plan; their values decide nothing. Reading a data source can run a statement.
    let inert = matches!(actions.as_slice(), [only] if only == "no-op");
    let value = |name: &str| match raw_field(&inner, name) {
        Some(raw) if !inert => budget.read(raw).map_err(|error| format!("{name}: {error}")),
        _ => Ok(Value::Null),
    };
    let (mut before, mut after) = (value("before")?, value("after")?);
    let after_unknown = value("after_unknown")?;
    let deletes = actions.iter().any(|action| action == "delete" || action == "forget");
    types.extend(manifest_types(&kind, &before));
    types.extend(manifest_types(&kind, &after));
    if deletes && MANIFEST_TYPES.contains(&kind.as_str()) && !types.iter().any(|kind| kind.starts_with("manifest:")) {
        types.push("manifest:".to_owned());
    }
    let mut effects = AttributeEffects::default();
    effects.add(&kind, &after);
    if deletes {
        effects.add_deleted(&kind, &before);
    }
    let effects = effects.finish();
    let is_update = actions.iter().any(|action| action == "update");
    let exposure = if is_update {
        Exposure::of(&before, &after)
    } else {
        Exposure::default()
    };
    // Outgoing traffic opens nothing to others.
    let is_open = !kind.contains("egress") && is_open(&after);
    let names_everybody = names_everybody(&after);
    mask(&mut before, &value("before_sensitive")?);
    mask(&mut after, &value("after_sensitive")?);
    let stored = effects.stored.into_iter().map(describe_stored);
    let effects: Vec<_> = effects.run.into_iter().map(describe).chain(stored).collect();
    let input = json!({
        "address": address,
        "previous_address": previous_address,
        "deposed": field::<Option<String>>(&outer, "deposed")?,
        "mode": mode,
        "type": kind,
        "types": types,
        "resource": format!("{}.{}", parsed.kind, parsed.name),
        "provider_name": field::<String>(&outer, "provider_name")?,
        "action_reason": field::<Option<String>>(&outer, "action_reason")?,
        "effects": effects,
        "removed_protections": exposure.removed,
        "prepared_deletions": exposure.prepared,
        "is_open": is_open,
        "names_everybody": names_everybody,
        "unknown": unknown_attributes(&after_unknown),
        "change": {
            "actions": actions,
            "before": before,
            "after": after,
            "after_unknown": after_unknown,
            "importing": raw_field(&inner, "importing").is_some(),
            "replace_paths": value("replace_paths")?,
        },
    });
    Ok(Change { actions, input })
}

fn describe(effect: Effect) -> Value {
    json!({ "rule": effect.rule(), "block": effect.is_block(), "msg": effect.describe() })
}

/// An effect of a text that is stored or shown: somebody could run it later, and it can be prose.
fn describe_stored(effect: Effect) -> Value {
    let message = format!("{}, in a text that is stored or shown", effect.describe());
    json!({ "rule": effect.rule(), "block": false, "msg": message })
}

/// Names of the attributes that are unknown, in whole or in part.
fn unknown_attributes(after_unknown: &Value) -> Vec<&str> {
    fn is_unknown(value: &Value) -> bool {
        match value {
            Value::Bool(unknown) => *unknown,
            Value::Array(items) => items.iter().any(is_unknown),
            Value::Object(object) => object.values().any(is_unknown),
            Value::Null => false,
            Value::Number(_) | Value::String(_) => true,
        }
    }
    match after_unknown {
        Value::Object(object) => object
            .iter()
            .filter(|(_, value)| is_unknown(value))
            .map(|(key, _)| key.as_str())
            .collect(),
        other if is_unknown(other) => vec!["*"],
        _ => Vec::new(),
    }
}

/// Resource types that hold a Kubernetes object of any kind.
const MANIFEST_TYPES: &[&str] = &[
    "kubernetes_manifest",
    "kubectl_manifest",
    "kubectl_server_version",
    "k8s_manifest",
    "kustomization_resource",
    "k8sconnect_object",
];

/// `manifest:` with the kind of each Kubernetes object in the attributes, in lower case; `manifest:` alone for an unknown kind.
fn manifest_types(kind: &str, attributes: &Value) -> Vec<String> {
    if !MANIFEST_TYPES.contains(&kind) || attributes.is_null() {
        return Vec::new();
    }
    let mut kinds = Vec::new();
    for name in ["manifest", "object", "yaml_body", "yaml_body_parsed", "content", "yaml"] {
        match attributes.get(name) {
            Some(Value::Object(object)) => {
                kinds.extend(object.get("kind").and_then(Value::as_str).map(str::to_lowercase));
            }
            Some(Value::String(text)) => {
                kinds.extend(kinds_in_text(text));
                // Keys and values in quotes may have escapes.
                if text.contains('\\') {
                    kinds.extend(kinds_in_text(&sql::without_escapes(text)));
                }
            }
            _ => {}
        }
    }
    if kinds.is_empty() {
        kinds.push(String::new());
    }
    kinds.into_iter().map(|kind| format!("manifest:{kind}")).collect()
}

/// Values of the keys `kind` in YAML or JSON.
fn kinds_in_text(text: &str) -> Vec<String> {
    let mut kinds = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("kind") {
        rest = &rest[at + "kind".len()..];
        let value = rest.trim_start_matches(['"', '\'']).trim_start();
        if let Some(value) = value.strip_prefix(':') {
            let value = value.trim_start().trim_start_matches(['"', '\'']);
            let end = value.find(|character: char| !character.is_alphanumeric());
            kinds.push(value[..end.unwrap_or(value.len())].to_lowercase());
        }
    }
    kinds
}

/// The commands of provisioners in the configuration. They run outside of what a plan shows.
#[derive(Default)]
struct Provisioners {
    count: usize,
    effects: Vec<Effect>,
    /// Resources, as `type.name`, with a command that the configuration does not have as a constant; empty for an unknown resource.
    unknown: Vec<String>,
}

/// What a provisioner runs.
const COMMANDS: &[&str] = &["command", "inline", "content"];

/// Whether a provisioner runs a text that is known during the apply only: of a variable, a local, an attribute, a function.
fn runs_unknown(provisioner: &Value) -> bool {
    let Some(expressions) = provisioner.get("expressions") else {
        return true;
    };
    COMMANDS
        .iter()
        .filter_map(|name| expressions.get(name))
        .any(|expression| {
            expression.get("constant_value").is_none_or(Value::is_null) || expression.get("references").is_some()
        })
}

impl Provisioners {
    fn read(configuration: &str) -> serde_json::Result<Self> {
        let mut found = Self::default();
        // Configurations are larger than changes; most of them have no provisioner, and are not read then. The escaped form of a
        // key is not that of Terraform's encoder, so a document with escapes is read.
        if !configuration.contains("\"provisioners\"") && !configuration.contains("\\u") {
            return Ok(found);
        }
        let value = Budget::new(MAX_VALUES).read(configuration)?;
        found.collect(&value);
        found.effects.sort_unstable();
        found.effects.dedup();
        found.unknown.sort_unstable();
        found.unknown.dedup();
        Ok(found)
    }

    fn collect(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.collect(item)),
            Value::Object(object) => {
                for (key, item) in object {
                    if key == "provisioners" {
                        self.count += item.as_array().map_or(1, Vec::len);
                        add_texts(item, &mut self.effects);
                        let provisioners = item.as_array().map_or(std::slice::from_ref(item), Vec::as_slice);
                        if provisioners.iter().any(runs_unknown) {
                            self.unknown.push(configured_resource(object));
                        }
                    } else {
                        self.collect(item);
                    }
                }
            }
            _ => {}
        }
    }
}

/// `type.name` of a resource in the configuration, whose address is within its module.
fn configured_resource(object: &serde_json::Map<String, Value>) -> String {
    let address = object.get("address").and_then(Value::as_str).unwrap_or_default();
    address::type_of(address).map_or_else(String::new, |parsed| format!("{}.{}", parsed.kind, parsed.name))
}

fn read_invocation(text: &str, budget: &Budget) -> Result<Value, String> {
    let entries = entries(text).map_err(|error| error.to_string())?;
    let values = raw_field(&entries, "config_values").unwrap_or("null");
    let values = budget.read(values).map_err(|error| format!("config_values: {error}"))?;
    let mut effects = Vec::new();
    add_texts(&values, &mut effects);
    effects.sort_unstable();
    effects.dedup();
    Ok(json!({
        "address": field::<String>(&entries, "address")?,
        "type": field::<String>(&entries, "type")?,
        "effects": effects.into_iter().map(describe).collect::<Vec<_>>(),
    }))
}

fn count(counts: &mut Counts, actions: &[String]) {
    let has = |wanted: &str| actions.iter().any(|action| action == wanted);
    match (has("create"), has("delete"), has("forget"), has("update")) {
        (true, true, _, _) | (true, _, true, _) => counts.replace += 1,
        (_, true, _, _) => counts.delete += 1,
        (_, _, true, _) => counts.forget += 1,
        (true, _, _, _) => counts.create += 1,
        (_, _, _, true) => counts.update += 1,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_manifests_are_found_in_objects_yaml_and_json() {
        let object = json!({"manifest": {"kind": "PersistentVolume"}});
        assert_eq!(
            manifest_types("kubernetes_manifest", &object),
            ["manifest:persistentvolume"]
        );
        let yaml = json!({"yaml_body": "apiVersion: v1\nkind: \"PersistentVolumeClaim\"\n---\nkind: Service\n"});
        let expected = ["manifest:persistentvolumeclaim", "manifest:service"];
        assert_eq!(manifest_types("kubectl_manifest", &yaml), expected);
        let text = json!({"manifest": "{\"kind\":\"Deployment\"}"});
        assert_eq!(manifest_types("kustomization_resource", &text), ["manifest:deployment"]);
        assert_eq!(manifest_types("kubectl_manifest", &json!({"name": "x"})), ["manifest:"]);
        assert!(manifest_types("aws_instance", &object).is_empty());
        for escaped in [
            r#"kind: "Persistent\x56olumeClaim""#,
            r#""\x6bind": PersistentVolumeClaim"#,
        ] {
            let kinds = manifest_types("kubectl_manifest", &json!({"yaml_body": escaped}));
            assert!(
                kinds.contains(&"manifest:persistentvolumeclaim".to_owned()),
                "{kinds:?}"
            );
        }
    }

    #[test]
    fn versions_of_other_majors_are_refused() {
        for (version, accepted) in [
            ("0.1", true),
            ("1.0", true),
            ("1.99", true),
            ("2.0", false),
            ("1", false),
            ("1.x", false),
            ("+1.2", false),
            ("1.+2", false),
            ("1.", false),
        ] {
            let text = format!(
                r#"{{"format_version":"{version}","planned_values":{{}},"configuration":{{}},"resource_changes":[]}}"#
            );
            assert_eq!(read(&text).is_ok(), accepted, "{version}");
        }
    }
}
