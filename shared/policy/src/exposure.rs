//! What a change exposes: protections that it removes, deletions that it prepares, networks and access that it opens.
//!
//! Attributes are compared wherever they are nested. Only their names are in the result, so that it can be shown whatever is sensitive.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;

/// Parts of the names of attributes that protect data, wherever they are in a path.
const PROTECTIONS: &[&str] = &[
    "deletion_protection",
    "delete_protection",
    "deletion_policy",
    "termination_protection",
    "rebuild_protection",
    "disable_api_termination",
    "disable_api_stop",
    "prevent_destroy",
    "prevent_deletion",
    "backup",
    "retention",
    "point_in_time",
    "soft_delete",
    "soft_deletion",
    "purge_protection",
    "deletion_window",
    "object_lock",
    "versioning",
    "snapshot_identifier_prefix",
    "storage_encrypted",
];

/// Attributes that protect data, by their whole name.
const PROTECTION_NAMES: &[&str] = &[
    "encrypted",
    "is_enabled",
    "is_locked",
    "key_rotation_enabled",
    "enable_key_rotation",
];

/// Attributes that a later deletion needs, or with which data is deleted.
const PREPARATIONS: &[&str] = &[
    "force_destroy",
    "force_delete",
    "force_destroy_all",
    "skip_final_snapshot",
    "delete_automated_backups",
    "delete_on_termination",
    "delete_os_disk_on_termination",
    "delete_data_disks_on_termination",
    "purge_soft_delete_on_destroy",
    "skip_final_backup",
    "skip_destroy_snapshot",
    "auto_delete",
];

/// Attributes of a change that are shown by their path.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Exposure {
    /// Protections that the change removes or reduces.
    pub(crate) removed: Vec<String>,
    /// Attributes that prepare a deletion.
    pub(crate) prepared: Vec<String>,
}

impl Exposure {
    /// Compares the attributes of a resource that changes in place.
    pub(crate) fn of(before: &Value, after: &Value) -> Self {
        let (before, after) = (leaves(before), leaves(after));
        let mut exposure = Self::default();
        for (path, value) in &before {
            let is_set = !matches!(value, Value::Null | Value::Bool(false))
                && value.as_f64() != Some(0.0)
                && value.as_str() != Some("");
            if is_set && is_protection(path) && is_reduced(value, after.get(path).copied()) {
                exposure.removed.push(path.clone());
            }
        }
        for (path, value) in &after {
            let is_new = before.get(path) != Some(value);
            if is_new && **value == Value::Bool(true) && PREPARATIONS.contains(&last_name(path)) {
                exposure.prepared.push(path.clone());
            }
        }
        exposure
    }
}

fn is_protection(path: &str) -> bool {
    PROTECTIONS.iter().any(|part| path.contains(part)) || PROTECTION_NAMES.contains(&last_name(path))
}

fn is_reduced(before: &Value, after: Option<&Value>) -> bool {
    match (before.as_f64(), after.and_then(Value::as_f64)) {
        (Some(before), Some(after)) => after < before,
        _ => after != Some(before),
    }
}

fn last_name(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// The values of a tree by their paths, such as `disk[0].encrypted`.
fn leaves(value: &Value) -> BTreeMap<String, &Value> {
    fn add<'a>(path: &str, value: &'a Value, found: &mut BTreeMap<String, &'a Value>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    let path = if path.is_empty() {
                        key.clone()
                    } else {
                        format!("{path}.{key}")
                    };
                    add(&path, value, found);
                }
            }
            Value::Array(items) => {
                for (number, item) in items.iter().enumerate() {
                    add(&format!("{path}[{number}]"), item, found);
                }
            }
            _ => {
                found.insert(path.to_owned(), value);
            }
        }
    }
    let mut found = BTreeMap::new();
    add("", value, &mut found);
    found
}

/// Whether a value opens a network to a large part of all addresses. Rules for outgoing traffic do not.
pub(crate) fn is_open(value: &Value) -> bool {
    match value {
        Value::String(text) => is_open_text(text),
        Value::Array(items) => items.iter().any(is_open),
        Value::Object(object) if is_outgoing(object) => false,
        Value::Object(object) => {
            let incoming = object.iter().filter(|(name, _)| !name.starts_with("egress"));
            is_open_range(object) || incoming.map(|(_, value)| value).any(is_open)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether an object is a rule for outgoing traffic, by its type or direction.
fn is_outgoing(object: &serde_json::Map<String, Value>) -> bool {
    if object.get("egress") == Some(&Value::Bool(true)) {
        return true;
    }
    ["type", "direction"].into_iter().any(|name| {
        let direction = object.get(name).and_then(Value::as_str).unwrap_or_default();
        ["egress", "outbound"]
            .iter()
            .any(|outgoing| direction.eq_ignore_ascii_case(outgoing))
    })
}

/// Length of a prefix that is open: no private network is larger than one of 8 bits.
const OPEN_BITS: u8 = 7;

fn is_open_text(text: &str) -> bool {
    let text = text.trim();
    if text == "*" || text.eq_ignore_ascii_case("internet") {
        return true;
    }
    match text.split_once('/') {
        Some((address, bits)) => {
            address.parse::<IpAddr>().is_ok_and(|address| !is_local(address))
                && bits.parse::<u8>().is_ok_and(|bits| bits <= OPEN_BITS)
        }
        None => false,
    }
}

/// Unique local addresses of IPv6 have a prefix of 7 bits.
fn is_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unique_local())
}

/// Whether an object has a range of addresses that is open, or the one by which Azure means all of its customers.
fn is_open_range(object: &serde_json::Map<String, Value>) -> bool {
    let address = |name: &str| object.get(name)?.as_str()?.trim().parse::<Ipv4Addr>().ok();
    let ranges = [
        ("start_ip_address", "end_ip_address"),
        ("start_ip", "end_ip"),
        ("start_address", "end_address"),
    ];
    ranges
        .into_iter()
        .any(|(start, end)| match (address(start), address(end)) {
            (Some(start), Some(end)) => {
                let (start, end) = (u32::from(start), u32::from(end));
                (start, end) == (0, 0) || end.saturating_sub(start) >= 1 << 24
            }
            _ => false,
        })
}

/// Whether a document of permissions names everybody: `"Principal": "*"`, also in JSON within a text.
pub(crate) fn names_everybody(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            text.contains('*')
                && text.to_ascii_lowercase().contains("principal")
                && serde_json::from_str::<Value>(text).is_ok_and(|inner| names_everybody(&inner))
        }
        Value::Array(items) => items.iter().any(names_everybody),
        Value::Object(object) => object.iter().any(|(key, value)| {
            let is_principal = matches!(
                key.to_ascii_lowercase().as_str(),
                "principal" | "principals" | "members" | "member"
            );
            (is_principal && is_everybody(value)) || names_everybody(value)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn is_everybody(value: &Value) -> bool {
    match value {
        Value::String(text) => matches!(text.as_str(), "*" | "allUsers" | "allAuthenticatedUsers"),
        Value::Array(items) => items.iter().any(is_everybody),
        Value::Object(object) => object.values().any(is_everybody),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn removed_protections_are_found_wherever_they_are_nested() {
        for (before, after, removed) in [
            (
                json!({"deletion_protection": true}),
                json!({"deletion_protection": false}),
                "deletion_protection",
            ),
            (
                json!({"rebuild_protection": true}),
                json!({"rebuild_protection": false}),
                "rebuild_protection",
            ),
            (
                json!({"deletion_policy": "PREVENT"}),
                json!({"deletion_policy": "DELETE"}),
                "deletion_policy",
            ),
            (json!({"is_enabled": true}), json!({"is_enabled": false}), "is_enabled"),
            (
                json!({"deletion_window_in_days": 30}),
                json!({"deletion_window_in_days": 7}),
                "deletion_window_in_days",
            ),
            (
                json!({"versioning_configuration": [{"status": "Enabled"}]}),
                json!({"versioning_configuration": [{"status": "Suspended"}]}),
                "versioning_configuration[0].status",
            ),
            (
                json!({"blob_properties": [{"delete_retention_policy": [{"days": 30}]}]}),
                json!({"blob_properties": []}),
                "blob_properties[0].delete_retention_policy[0].days",
            ),
            (
                json!({"backup_retention_period": 7}),
                json!({}),
                "backup_retention_period",
            ),
        ] {
            assert_eq!(Exposure::of(&before, &after).removed, [removed]);
        }
        for (before, after) in [
            (
                json!({"backup_retention_period": 7}),
                json!({"backup_retention_period": 14}),
            ),
            (
                json!({"deletion_protection": false}),
                json!({"deletion_protection": true}),
            ),
            (
                json!({"deletion_protection": true, "name": "a"}),
                json!({"deletion_protection": true, "name": "b"}),
            ),
        ] {
            assert_eq!(Exposure::of(&before, &after), Exposure::default());
        }
        let (before, after) = (
            json!({"disk": [{}]}),
            json!({"disk": [{"delete_on_termination": true}]}),
        );
        assert_eq!(
            Exposure::of(&before, &after).prepared,
            ["disk[0].delete_on_termination"]
        );
        assert_eq!(Exposure::of(&after, &after), Exposure::default());
    }

    #[test]
    fn open_networks_are_found_in_every_form() {
        for open in [
            json!("0.0.0.0/0"),
            json!(["10.0.0.0/8", "0.0.0.0/1"]),
            json!({"ipv6": ["0:0:0:0:0:0:0:0/0"]}),
            json!("::/0"),
            json!("2000::/3"),
            json!("*"),
            json!("Internet"),
            json!({"type": "ingress", "cidr_blocks": ["0.0.0.0/0"], "egress": []}),
            json!({"start_ip_address": "0.0.0.0", "end_ip_address": "255.255.255.255"}),
            json!({"start_ip_address": "0.0.0.0", "end_ip_address": "0.0.0.0"}),
        ] {
            assert!(is_open(&open), "{open}");
        }
        for closed in [
            json!("10.0.0.0/8"),
            json!("fc00::/7"),
            json!("any"),
            json!("rate(1/2)"),
            json!({"ingress": [{"cidr_blocks": ["10.0.0.0/8"]}], "egress": [{"cidr_blocks": ["0.0.0.0/0"]}]}),
            json!({"type": "egress", "cidr_blocks": ["0.0.0.0/0"]}),
            json!({"egress": true, "cidr_block": "0.0.0.0/0"}),
            json!({"direction": "Outbound", "destination_address_prefix": "*"}),
            json!({"start_ip_address": "10.0.0.1", "end_ip_address": "10.0.0.9"}),
        ] {
            assert!(!is_open(&closed), "{closed}");
        }
    }

    #[test]
    fn documents_that_name_everybody_are_found() {
        for open in [
            json!({"policy": "{\"Statement\":[{\"Principal\":\"*\"}]}"}),
            json!({"policy": "{\"Principal\":{\"AWS\":[\"*\"]}}"}),
            json!({"principal": "*"}),
            json!({"members": ["allUsers"]}),
        ] {
            assert!(names_everybody(&open), "{open}");
        }
        assert!(!names_everybody(
            &json!({"policy": "{\"Principal\":{\"AWS\":\"arn:a\"},\"Resource\":\"*\"}"})
        ));
    }
}
