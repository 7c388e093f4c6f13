//! The list of resource types that hold data: databases, volumes, and what protects rows.
//!
//! `policies/data.json` has the types of each provider with the source in its documentation. A type that a provider has retired
//! stays in the list: old states still have it. To add one: a line there.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Value, json};

const DATA: &str = include_str!("../policies/data.json");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    protected: Vec<Provider>,
    guarded: BTreeMap<String, String>,
    sql_attributes: BTreeMap<String, Vec<String>>,
    stored_content: BTreeMap<String, Vec<String>>,
}

/// Types of one provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its name in the registry.
    pub provider: String,
    /// URL of the documentation of its resources.
    pub source: String,
    /// Types with what they hold.
    pub types: BTreeMap<String, String>,
}

fn document() -> Document {
    // The file is part of the program, and a test reads it.
    serde_json::from_str(DATA).unwrap_or(Document {
        protected: Vec::new(),
        guarded: BTreeMap::new(),
        sql_attributes: BTreeMap::new(),
        stored_content: BTreeMap::new(),
    })
}

/// Providers with the types whose deletion rejects a plan.
#[must_use]
pub fn providers() -> Vec<Provider> {
    document().protected
}

/// The document for the attributes of each change, read once.
static DOCUMENT: LazyLock<Document> = LazyLock::new(document);

/// Attributes of a resource type that have SQL. The program of `external` is no SQL.
pub(crate) fn sql_attributes(kind: &str) -> &'static [String] {
    match kind {
        "external" => &[],
        _ => attributes(&DOCUMENT.sql_attributes, kind),
    }
}

/// Attributes of a resource type whose content is stored and not run.
pub(crate) fn stored_content(kind: &str) -> &'static [String] {
    attributes(&DOCUMENT.stored_content, kind)
}

fn attributes<'a>(types: &'a BTreeMap<String, Vec<String>>, kind: &str) -> &'a [String] {
    types.get(kind).map(Vec::as_slice).unwrap_or_default()
}

/// The document that the built-in policies read as `data.arrakis`.
pub(crate) fn data() -> Value {
    let document = document();
    let mut protected = BTreeMap::new();
    for provider in document.protected {
        protected.extend(provider.types);
    }
    json!({ "arrakis": {
        "protected": protected,
        "guarded": document.guarded,
        "sql_attributes": document.sql_attributes,
    } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_has_the_types_of_every_large_provider_with_a_source() {
        let providers = providers();
        for (provider, kind) in [
            ("hashicorp/aws", "aws_db_instance"),
            ("hashicorp/aws", "aws_ebs_volume"),
            ("hashicorp/google", "google_sql_database_instance"),
            ("hashicorp/azurerm", "azurerm_managed_disk"),
            ("hashicorp/kubernetes", "kubernetes_persistent_volume_claim"),
            ("cyrilgdn/postgresql", "postgresql_database"),
            ("hashicorp/aws", "aws_athena_database"),
            ("lxc/incus", "incus_storage_volume"),
            ("ionos-cloud/ionoscloud", "ionoscloud_pg_cluster"),
            ("stackitcloud/stackit", "stackit_postgresflex_instance"),
            ("NetApp/netapp-ontap", "netapp-ontap_volume"),
        ] {
            let found = providers.iter().find(|it| it.provider == provider).unwrap();
            assert!(found.types.contains_key(kind), "{kind}");
        }
        for provider in &providers {
            assert!(provider.source.starts_with("https://"), "{}", provider.provider);
            assert!(!provider.types.is_empty());
        }
    }

    #[test]
    fn types_are_in_lower_case_because_plans_are_compared_in_lower_case() {
        for kind in providers().iter().flat_map(|provider| provider.types.keys()) {
            assert_eq!(kind, &kind.to_lowercase());
        }
    }

    #[test]
    fn no_type_is_both_protected_and_guarded() {
        let document = document();
        for provider in &document.protected {
            for kind in provider.types.keys() {
                assert!(!document.guarded.contains_key(kind), "{kind}");
            }
        }
    }
}
