//! The examples that ship, and the schema that editors check them with.

use std::path::{Path, PathBuf};

use arrakis_iac::config::{Loaded, VariableInputs, from_theme, load, schema};
use arrakis_iac::export::to_yaml;

use crate::export::{canonical, check_by_schema, read_back};
use crate::themes;

fn examples() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../services/gaib/examples");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    paths
        .iter()
        .map(|path| (name(path), std::fs::read(path).unwrap()))
        .collect()
}

fn loaded(name: &str, bytes: &[u8]) -> Loaded {
    load(name, bytes, themes(), &VariableInputs::default()).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn every_example_loads_without_warnings() {
    let examples = examples();
    assert!(examples.len() >= 4);
    for (name, bytes) in examples {
        let loaded = loaded(&name, &bytes);
        assert!(!loaded.configuration.resources.is_empty(), "{name}");
        assert_eq!(loaded.warnings, [], "{name}");
    }
}

#[test]
fn export_of_every_example_is_read_back_unchanged() {
    for (name, bytes) in examples() {
        let configuration = loaded(&name, &bytes).configuration;
        let yaml = to_yaml(&configuration, "exported");
        assert_eq!(canonical(&read_back(&yaml)), canonical(&configuration), "{name}");
        check_by_schema(&name, &yaml);
    }
}

#[test]
fn every_example_and_theme_satisfies_the_schema() {
    for (name, bytes) in examples() {
        check_by_schema(&name, std::str::from_utf8(&bytes).unwrap());
    }
    for theme in themes().all() {
        check_by_schema(theme.id.as_str(), &to_yaml(&from_theme(theme), ""));
    }
}

/// Written anew by `UPDATE_SCHEMA=1 cargo test -p arrakis-iac`.
#[test]
fn committed_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas/discord-server.schema.json");
    let made = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == made, "run: UPDATE_SCHEMA=1 cargo test -p arrakis-iac");
}
