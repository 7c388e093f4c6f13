//! Fuzz target of the configuration reader: see `arrakis-fuzz`.

use std::path::Path;

use arrakis_fuzz::Fuzz;
use arrakis_themes::Registry;

use crate::config::{VariableInputs, load};
use crate::export::to_yaml;

fn read(themes: &Registry, file: &[u8]) -> String {
    let loaded = match load("server.yaml", file, themes, &VariableInputs::default()) {
        Ok(loaded) => loaded,
        Err(problems) => {
            assert!(
                !problems.0.is_empty() && problems.0.len() <= 201,
                "{} problems",
                problems.0.len()
            );
            let last = problems.0.last().map(|problem| problem.reason.clone());
            return last.unwrap_or_default();
        }
    };
    // A valid configuration can be exported and loads to the same configuration.
    let yaml = to_yaml(&loaded.configuration, "");
    let back = match load("server.yaml", yaml.as_bytes(), themes, &VariableInputs::default()) {
        Ok(back) => to_yaml(&back.configuration, ""),
        Err(problems) => panic!("what was taken is refused when it is written: {problems}\n{yaml}"),
    };
    assert_eq!(back, yaml, "writing it again changes nothing");
    format!("taken, empty {}", loaded.configuration.resources.is_empty())
}

#[test]
fn server_files() {
    let words = [
        "variables:",
        "flags:",
        "roles:",
        "channels:",
        "overwrites: synced",
        "permissions: [",
        "colour: \"#ff0000\"",
        "kind: forum",
        "category: hall",
        "after: host",
        "flag: guests",
        "everyone",
        "role:1",
        "member:0",
        "BIT_63",
        "${club}",
        "$${",
        "&a [*a, *a]",
        "<<: *a",
        "!!binary",
        "theme: sietch",
        "from_theme: { name: a, version: b }",
    ];
    let themes = Registry::load(None).unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // A theme adds about a hundred resources with one line of a file.
    let fuzz = Fuzz::target(env!("CARGO_MANIFEST_DIR"), "server_files")
        .extra_corpus(here.join("tests/corpus"))
        .extra_corpus(here.join("../../services/gaib/examples"))
        .dictionary(&words)
        .max_memory(1_024, 16 << 20)
        .cases(600);
    fuzz.run(|file| read(&themes, file));
}
