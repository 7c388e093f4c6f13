//! What is exported reads back as the same.

use std::collections::BTreeMap;

use arrakis_iac::config::{VariableInputs, load, schema};
use arrakis_iac::export::to_yaml;
use arrakis_iac::model::{Address, Attributes, Clearable, Configuration, Kind};
use proptest::prelude::*;

use crate::random::configurations;
use crate::themes;

/// Resources by what their order counts within: their kind and, for channels, their category.
type Canonical = BTreeMap<(Kind, Option<String>), Vec<(Address, Attributes)>>;

pub(crate) fn canonical(configuration: &Configuration) -> Canonical {
    let mut canonical = Canonical::new();
    for (address, resource) in &configuration.resources {
        let parent = match &resource.attributes {
            Attributes::Channel(channel) => channel
                .category
                .as_ref()
                .and_then(Clearable::value)
                .map(ToString::to_string),
            _ => None,
        };
        canonical
            .entry((address.kind(), parent))
            .or_default()
            .push((address.clone(), resource.attributes.clone()));
    }
    canonical
}

pub(crate) fn read_back(yaml: &str) -> Configuration {
    match load("exported.yaml", yaml.as_bytes(), themes(), &VariableInputs::default()) {
        Ok(loaded) => loaded.configuration,
        Err(problems) => panic!("{problems}\n\n{yaml}"),
    }
}

/// Refuses, with the first reasons, what an editor would underline.
pub(crate) fn check_by_schema(name: &str, yaml: &str) {
    let validator = jsonschema::validator_for(schema().as_value()).unwrap();
    let value: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&value)
        .take(5)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}\n{yaml}");
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, ..ProptestConfig::with_cases(cases(64)) })]

    #[test]
    fn export_is_read_back_unchanged(configuration in configurations()) {
        let yaml = to_yaml(&configuration, "by a test");
        let back = read_back(&yaml);
        prop_assert_eq!(canonical(&back), canonical(&configuration), "{}", yaml);
        prop_assert_eq!(to_yaml(&back, "by a test"), yaml, "writing it again changes nothing");
    }
}

/// The number of cases: `usual`, or the value of `PROPTEST_CASES`.
pub(crate) fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(usual)
}
