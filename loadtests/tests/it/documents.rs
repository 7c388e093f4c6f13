//! Documents name Rust files, and link to files, that exist.

use std::path::{Path, PathBuf};

/// Files of libraries that documents name.
const OF_LIBRARIES: &[&str] = &["src/aio/connection_manager.rs"];

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_ignored = entry.file_name() == "target" || entry.file_name().to_string_lossy().starts_with('.');
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !is_ignored => collect(&path, files),
            Ok(kind) if kind.is_file() => files.push(path),
            _ => {}
        }
    }
}

/// The Rust files that a document names between backticks.
fn named_rust_files(text: &str) -> impl Iterator<Item = &str> {
    let is_path = |text: &&str| {
        text.ends_with(".rs")
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_./-".contains(&byte))
    };
    text.split('`').skip(1).step_by(2).filter(is_path)
}

/// The paths to which a document links, relative to its folder.
fn linked_paths(text: &str) -> impl Iterator<Item = &str> {
    let ends = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#', ' ']).next());
    ends.filter(|path| !path.is_empty() && !path.contains(':'))
}

#[test]
fn files_named_in_documents_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = vec![root.join("README.md")];
    for folder in ["deploy", "docs", "loadtests", "rabbitmq", "services", "shared"] {
        collect(&root.join(folder), &mut files);
    }
    let mut missing = Vec::new();
    for document in files
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
    {
        let text = std::fs::read_to_string(document).unwrap();
        let is_missing = |name: &&str| !OF_LIBRARIES.contains(name) && !files.iter().any(|file| file.ends_with(name));
        let not_found = named_rust_files(&text).filter(is_missing);
        let dead = linked_paths(&text).filter(|path| !document.with_file_name(path).exists());
        missing.extend(
            not_found
                .chain(dead)
                .map(|path| format!("{}: {path}", document.display())),
        );
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
