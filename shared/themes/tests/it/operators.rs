//! An operator's own themes, read from a directory.

use std::fs;
use std::path::Path;

use arrakis_domain::{Plan, TierRoles};
use arrakis_themes::{Registry, RegistryError, ThemeFolder};

fn embedded(id: &str) -> ThemeFolder {
    ThemeFolder::embedded()
        .into_iter()
        .find(|folder| folder.id == id)
        .unwrap()
}

fn write_theme(directory: &Path, id: &str, folder: &ThemeFolder) {
    let path = directory.join(id);
    fs::create_dir_all(path.join("badges")).unwrap();
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
fn role_policy_is_exclusive_unless_the_theme_has_another() {
    let directory = tempfile::tempdir().unwrap();
    let mut folder = embedded("basic");
    let manifest = folder.files.get_mut("theme.yaml").unwrap();
    manifest.push_str("\ntier_roles: cumulative\n");
    write_theme(directory.path(), "ladder", &folder);
    let registry = Registry::load(Some(directory.path())).unwrap();
    let policy = |id: &str| registry.theme(id).unwrap().tier_roles;
    assert_eq!(policy("basic"), TierRoles::Exclusive);
    assert_eq!(policy("sietch"), TierRoles::Exclusive);
    assert_eq!(policy("ladder"), TierRoles::Cumulative);
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

/// What is wrong with a theme `market` that has this art.
fn refused_art(file: &str, art: &[u8]) -> String {
    let directory = tempfile::tempdir().unwrap();
    write_theme(directory.path(), "market", &embedded("basic"));
    fs::write(directory.path().join("market/badges").join(file), art).unwrap();
    let error = Registry::load(Some(directory.path())).unwrap_err().to_string();
    error.replace(&directory.path().display().to_string(), "THEMES")
}

#[test]
fn art_of_badges_is_read_from_the_folder() {
    let directory = tempfile::tempdir().unwrap();
    let mut folder = embedded("basic");
    folder.files.remove("badges/veteran.svg");
    write_theme(directory.path(), "market", &folder);
    let mine = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 8 8\"/>";
    fs::write(directory.path().join("market/badges/active.svg"), mine).unwrap();
    fs::write(directory.path().join("market/badges/notes.txt"), "not art").unwrap();
    let registry = Registry::load(Some(directory.path())).unwrap();
    let badges = &registry.theme("market").unwrap().badges;
    let art = |id: &str| badges.iter().find(|badge| badge.id.as_str() == id).unwrap().art.clone();
    assert_eq!(art("active").as_deref(), Some(mine));
    assert_eq!(art("veteran"), None, "art may be left out");
    assert!(art("top-tier").is_some());
}

#[test]
fn art_of_an_unknown_badge_is_refused_with_a_suggestion() {
    let art = fs::read("basic/badges/veteran.svg").unwrap();
    let refusal = refused_art("vetran.svg", &art);
    assert!(
        refusal.contains(
            "THEMES/market/badges/vetran.svg: badges.yaml has no badge `vetran`, so the file would be ignored"
        ) && refusal.contains("help: did you mean `veteran`?"),
        "{refusal}"
    );
}

#[test]
fn dangerous_art_is_refused_with_file_line_and_reason() {
    let art =
        b"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'>\n  <image href='file:///etc/passwd'/>\n</svg>";
    let refusal = refused_art("active.svg", art);
    assert!(
        refusal.contains("THEMES/market/badges/active.svg:2:3: art of a badge cannot have the element `image`"),
        "{refusal}"
    );
    let refusal = refused_art("active.svg", "x".repeat(40_000).as_bytes());
    assert!(
        refusal.contains("cannot read the art of a badge THEMES/market/badges/active.svg: the file has 40000 bytes"),
        "{refusal}"
    );
}

/// Clip paths that are clipped by each other cost a multiple for each one.
#[test]
fn clip_paths_that_are_clipped_are_refused() {
    let clipped = [
        "<clipPath id='a'><path d='M0 0h9v9z' clip-path='url(#b)'/></clipPath>",
        "<clipPath id='a' clip-path='url(#b)'><path d='M0 0h9v9z'/></clipPath>",
        "<clipPath id='a'><path d='M0 0h9v9z' style='clip-path:url(#b)'/></clipPath>",
    ];
    for clipped in clipped {
        let art = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'>\n{clipped}<clipPath id='b'><path d='M0 0h9v9z'/></clipPath></svg>"
        );
        let refusal = refused_art("active.svg", art.as_bytes());
        assert!(refusal.contains("THEMES/market/badges/active.svg:2:"), "{refusal}");
        assert!(
            refusal.contains("a clip path and what is in it cannot be clipped"),
            "{refusal}"
        );
    }
}

#[test]
fn art_that_is_a_link_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    write_theme(directory.path(), "market", &embedded("basic"));
    let art = directory.path().join("market/badges/active.svg");
    fs::remove_file(&art).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &art).unwrap();
    let error = Registry::load(Some(directory.path())).unwrap_err().to_string();
    assert!(
        error.contains("it is not a regular file; links are not followed"),
        "{error}"
    );
}
