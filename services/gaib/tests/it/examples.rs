//! The example configurations of the repository: each one is valid and can be applied.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::session::{GUILD, Session};

/// The configurations of the repository that name the schema.
fn examples() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["services", "docs", "shared", "loadtests", "deploy"]
        .iter()
        .map(|name| root.join(name))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml")
                && std::fs::read_to_string(&path)
                    .is_ok_and(|text| text.contains("$schema=") && text.contains("discord-server.schema"))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn applied_example_plans_to_no_change() {
    let examples = examples();
    assert!(examples.len() >= 4, "{examples:?}");
    for path in examples {
        // As Discord creates a server.
        let mut session = Session::with(json!({ "name": "New server", "community": false })).await;
        let path = path.canonicalize().unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        copy(path.parent().unwrap(), session.folder.path());
        let valid = session.gaib(&format!("server validate --file {name}")).await;
        assert!(valid.code == 0 && valid.stderr.is_empty(), "{name}: {valid:?}");
        let line = format!("apply {name} --guild {GUILD} --auto-approve");
        let applied = session.gaib(&line).await;
        assert_eq!(applied.code, 0, "{name}: {}", applied.stderr);
        assert!(!applied.stderr.contains("warning"), "{name}: {}", applied.stderr);
        let again = session.gaib(&line).await;
        assert!(again.stdout.starts_with("No changes."), "{name}: {again:?}");
        assert!(!again.stdout.contains("note:"), "{name}: {again:?}");
    }
}

/// Copies the examples with their images.
fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
