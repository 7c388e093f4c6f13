//! The examples that ship, and the schema that editors check them with.

use std::path::{Path, PathBuf};

use arrakis_iac::config::{Inputs, Loaded, load, schema};
use arrakis_iac::model::{Attributes, Kind};
use arrakis_themes::Registry;

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
    let themes = Registry::load(None).unwrap();
    load(name, bytes, &themes, &Inputs::default()).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn every_example_is_a_configuration_without_a_warning() {
    let examples = examples();
    assert!(examples.len() >= 4);
    for (name, bytes) in examples {
        let loaded = loaded(&name, &bytes);
        assert!(!loaded.configuration.resources.is_empty(), "{name}");
        assert_eq!(loaded.warnings, [], "{name}");
    }
}
