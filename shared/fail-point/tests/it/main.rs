//! The list of fail points, the page that explains them and the sources agree.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use arrakis_fail_point::POINTS;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources(folder: &Path, found: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("fail-point") && !path.ends_with("tests") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_point_is_used_in_the_code() {
    let mut code = String::new();
    sources(&root().join("services"), &mut code);
    sources(&root().join("shared"), &mut code);
    let missing: Vec<_> = POINTS
        .iter()
        .map(|point| point.name)
        .filter(|name| !code.contains(&format!("\"{name}\"")))
        .collect();
    assert!(missing.is_empty(), "listed, but nowhere in the code: {missing:?}");
}

#[test]
fn every_point_is_listed_in_the_page_of_faults() {
    let page = std::fs::read_to_string(root().join("docs/faults.md")).unwrap();
    let expected: Vec<_> = POINTS
        .iter()
        .map(|point| format!("| `{}` | {} |", point.name, point.meaning))
        .filter(|row| !page.contains(row.as_str()))
        .collect();
    assert!(
        expected.is_empty(),
        "missing in docs/faults.md:\n{}",
        expected.join("\n")
    );
}
