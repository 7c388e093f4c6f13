//! An operator's own themes, read from a directory.

use std::fs;
use std::path::Path;

use arrakis_domain::Plan;
use arrakis_themes::{Registry, RegistryError, ThemeFolder};

fn embedded(id: &str) -> ThemeFolder {
    ThemeFolder::embedded()
        .into_iter()
        .find(|folder| folder.id == id)
        .unwrap()
}

fn write_theme(directory: &Path, id: &str, folder: &ThemeFolder) {
    let path = directory.join(id);
    fs::create_dir(&path).unwrap();
    for (file, text) in &folder.files {
        fs::write(path.join(file), text).unwrap();
    }
}

#[test]
fn operators_folder_adds_a_theme() {
    let directory = tempfile::tempdir().unwrap();
    let mut folder = embedded("basic");
    folder.files.remove("server.yaml");
    write_theme(directory.path(), "market", &folder);
    fs::write(directory.path().join("notes.txt"), "not a theme").unwrap();
    fs::create_dir(directory.path().join(".git")).unwrap();

    let registry = Registry::load(Some(directory.path())).unwrap();
    let ids: Vec<&str> = registry.allowed(Plan::Free).map(|theme| theme.id.as_str()).collect();
    assert_eq!(ids, ["basic", "market"]);
    assert_eq!(
        registry.theme("market").unwrap().settings.name,
        None,
        "server.yaml may be left out"
    );
}

#[test]
fn invalid_theme_is_refused_with_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let mut folder = embedded("basic");
    folder.files.get_mut("tiers.yaml").unwrap().push_str("extra: 1\n");
    write_theme(directory.path(), "market", &folder);
    let error = Registry::load(Some(directory.path())).unwrap_err().to_string();
    let file = directory.path().join("market/tiers.yaml");
    assert!(
        error.contains(&format!("{}:24:1: unknown key `extra`", file.display())),
        "{error}"
    );
}

#[test]
fn built_in_theme_cannot_be_replaced() {
    let directory = tempfile::tempdir().unwrap();
    write_theme(directory.path(), "sietch", &embedded("basic"));
    let error = Registry::load(Some(directory.path())).unwrap_err().to_string();
    assert!(
        error.contains("there is another theme `sietch`; rename this folder"),
        "{error}"
    );
}

#[test]
fn missing_directory_is_reported() {
    let error = Registry::load(Some(Path::new("/nowhere/themes"))).unwrap_err();
    assert!(matches!(error, RegistryError::Folder(_)));
    assert!(
        error
            .to_string()
            .starts_with("cannot list the themes directory /nowhere/themes: "),
        "{error}"
    );
}

#[test]
fn file_that_is_not_utf8_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    write_theme(directory.path(), "market", &embedded("basic"));
    fs::write(directory.path().join("market/roles.yaml"), [0xff, 0xfe, 0x00]).unwrap();
    let error = Registry::load(Some(directory.path())).unwrap_err().to_string();
    assert!(
        error.contains("cannot read the theme file") && error.contains("market/roles.yaml"),
        "{error}"
    );
}

#[test]
fn unknown_theme_is_refused_with_a_suggestion() {
    let registry = Registry::load(None).unwrap();
    let error = registry.theme("seitch").unwrap_err().to_string();
    assert_eq!(error, "there is no theme `seitch`; did you mean `sietch`?");
    assert_eq!(
        registry.theme("harkonnen").unwrap_err().to_string(),
        "there is no theme `harkonnen`"
    );
}
